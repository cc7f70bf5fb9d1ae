//! Captures: begun, shown and ended.

use std::sync::Arc;
use std::time::Duration;

use control::message::{
    CaptureInfo, CaptureInterface, CaptureRequest, ControlError, Direction, ErrorCode, FilterInstruction,
    Reply, SNAPLEN_MAX,
};
use control::server::{Peer, Response};
use dpdk::Eal;
use dpdk::filter::{Filter, Instruction};
use shm::attachment::{Attachment, Way};

use super::{Attachments, Kind, Tap};

/// The longest filter expression that is kept to be shown, bytes.
const EXPRESSION: usize = 1024;

/// What a capture takes.
pub(super) struct Capture {
    interfaces: Vec<String>,
    direction: Direction,
    expression: String,
    snaplen: usize,
}

/// The filter of a request; `None` when it wants every packet.
pub fn compile(eal: &Eal, program: &[FilterInstruction]) -> Result<Option<Arc<Filter>>, ControlError> {
    if program.is_empty() {
        return Ok(None);
    }
    let program: Vec<_> = program
        .iter()
        .map(|instruction| Instruction {
            code: instruction.code,
            jt: instruction.jt,
            jf: instruction.jf,
            k: instruction.k,
        })
        .collect();
    Filter::compile(eal, &program)
        .map(|filter| Some(Arc::new(filter)))
        .map_err(|error| ControlError::new(ErrorCode::Invalid, error.to_string()))
}

impl Attachments<'_> {
    /// Begins a capture for the tool at the other end of a connection.
    pub fn start_capture(
        &mut self,
        peer: &Peer,
        request: CaptureRequest,
        now: Duration,
    ) -> Result<Response, ControlError> {
        self.check_new(peer)?;
        let (chosen, ways) = self.choose(&request)?;
        let filter = compile(self.eal, &request.filter)?;
        if request.snaplen == 0 || request.snaplen > SNAPLEN_MAX {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "a snapshot length of {} cannot be: give 1 to {SNAPLEN_MAX}",
                    request.snaplen
                ),
            ));
        }
        let snaplen = self.longest(&chosen).min(request.snaplen as usize);
        let reservation = self.reserve()?;
        let made = Attachment::new(reservation, self.workers.len(), snaplen);
        let (attachment, lanes) = self.made(made, snaplen)?;
        let descriptors = self.hand_over(&attachment)?;
        let mut expression = request.expression;
        expression.truncate(expression.floor_char_boundary(EXPRESSION));
        let capture = Capture {
            interfaces: chosen.iter().map(|interface| interface.name.clone()).collect(),
            direction: request.direction,
            expression: expression.chars().filter(|c| !c.is_control()).collect(),
            snaplen,
        };
        let id = self.take_id();
        tracing::info!(
            target: "capture",
            "{} (pid {}) captures on {}: '{}'", peer.tool, peer.pid, capture.interfaces.join(", "), capture.expression
        );
        // There are never more parts than attachments, so each worker has room.
        let workers = self.workers.iter().zip(lanes);
        let parts = workers
            .map(|(worker, lane)| worker.taps.add(Tap::new(id, filter.clone(), ways.clone(), lane)))
            .filter(|added| *added)
            .count();
        self.add(id, peer, Kind::Capture(capture), attachment, parts, now);
        Ok(Response {
            answer: Ok(Reply::CaptureStarted(control::message::CaptureStarted {
                id,
                interfaces: chosen,
            })),
            descriptors,
        })
    }

    /// The interfaces that a request names, and by interface which ways.
    fn choose(&self, request: &CaptureRequest) -> Result<(Vec<CaptureInterface>, Vec<u8>), ControlError> {
        let way = match request.direction {
            Direction::Rx => Way::Rx as u8,
            Direction::Tx => Way::Tx as u8,
            Direction::Both => Way::Rx as u8 | Way::Tx as u8,
        };
        let named = |interface: &&CaptureInterface| {
            request.interfaces.is_empty() || request.interfaces.contains(&interface.name)
        };
        if let Some(unknown) = request
            .interfaces
            .iter()
            .find(|name| !self.interfaces.iter().any(|interface| interface.name == **name))
        {
            let names: Vec<_> = self
                .interfaces
                .iter()
                .map(|interface| interface.name.as_str())
                .collect();
            return Err(ControlError::new(
                ErrorCode::UnknownInterface,
                format!(
                    "there is no interface '{unknown}': there are {}",
                    names.join(", ")
                ),
            ));
        }
        let chosen: Vec<_> = self.interfaces.iter().filter(named).cloned().collect();
        let mut ways = vec![0; self.interfaces.len()];
        for interface in &chosen {
            ways[usize::from(interface.index)] = way;
        }
        Ok((chosen, ways))
    }

    /// Ends the capture of a connection; what is in it can still be taken.
    pub fn stop_capture(&mut self, connection: u64) -> Result<(), ControlError> {
        let is_it = |attached: &&mut super::Attached| {
            attached.connection == connection && matches!(attached.kind, Kind::Capture(_))
        };
        match self.attached.iter_mut().find(is_it) {
            Some(attached) => {
                attached.end(&self.workers);
                Ok(())
            }
            None => Err(ControlError::new(
                ErrorCode::NotFound,
                "this connection has no capture: start one first",
            )),
        }
    }

    /// All captures, to be shown.
    pub fn captures(&self, now: Duration) -> Vec<CaptureInfo> {
        let info = |attached: &super::Attached| {
            let Kind::Capture(capture) = &attached.kind else {
                return None;
            };
            let counts = attached.attachment.counts();
            Some(CaptureInfo {
                id: attached.id,
                tool: attached.tool.clone(),
                pid: attached.pid,
                uid: attached.uid,
                interfaces: capture.interfaces.clone(),
                direction: capture.direction,
                expression: capture.expression.clone(),
                snaplen: capture.snaplen as u32,
                age_s: now.saturating_sub(attached.begun).as_secs(),
                seen: counts.seen,
                matched: counts.matched,
                lost: counts.lost,
            })
        };
        self.attached.iter().filter_map(info).collect()
    }
}
