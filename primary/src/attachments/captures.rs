//! Captures: begun, shown and ended.

use std::sync::Arc;
use std::time::Duration;

use control::message::{
    Budget, CaptureInfo, CapturePoint, CaptureRequest, ControlError, ErrorCode, FilterInstruction, PuntClass,
    Reply, SNAPLEN_MAX,
};
use control::server::{Peer, Response};
use dpdk::Eal;
use dpdk::filter::{Filter, Instruction};
use shm::attachment::{Attachment, Way};

use super::{AttachmentInterface, Attachments, Kind, Sight, Tap, longest, means_all};
use crate::path::Interfaces;

/// The longest filter expression that is kept to be shown, bytes.
const EXPRESSION: usize = 1024;

/// The most interfaces that a capture is on: the tool is told of all of them in one answer.
const INTERFACES: usize = 1000;

/// What a capture takes.
pub(super) struct Capture {
    interfaces: Vec<String>,
    points: Vec<CapturePoint>,
    expression: String,
    snaplen: usize,
    queue: Option<u16>,
    drop_reasons: Vec<String>,
    punt_classes: Vec<PuntClass>,
    related: bool,
    ring_kb: u32,
    budget: Budget,
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
        interfaces: &Interfaces,
        now: Duration,
    ) -> Result<Response, ControlError> {
        self.check_new(peer)?;
        let chosen = self.choose(&request.interfaces)?;
        let longest = longest(chosen.iter().copied());
        let chosen: Vec<_> = chosen.iter().map(|chosen| chosen.interface.clone()).collect();
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
        if request.points.is_empty() {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                "a capture needs a point: give rx, tx, punt, reinject, drop, pre-encrypt or post-decrypt",
            ));
        }
        let mut points = request.points;
        points.sort_by_key(|point| Way::from(*point) as u8);
        points.dedup();
        let snaplen = longest.min(request.snaplen as usize);
        let indices: Vec<_> = chosen.iter().map(|interface| interface.index).collect();
        let sight = Sight::new(
            &Arc::new(interfaces.clone()),
            &indices,
            points
                .iter()
                .fold(0, |ways, point| ways | Way::from(*point).bit()),
            means_all(&request.interfaces),
        );
        let reservation = self.reserve()?;
        let made = Attachment::new(reservation, self.workers.len(), snaplen);
        let (attachment, lanes) = self.made(made, snaplen)?;
        let descriptors = self.hand_over(&attachment)?;
        let mut expression = request.expression;
        expression.truncate(expression.floor_char_boundary(EXPRESSION));
        let capture = Capture {
            interfaces: chosen.iter().map(|interface| interface.name.clone()).collect(),
            points,
            expression: expression.chars().filter(|c| !c.is_control()).collect(),
            snaplen,
            queue: request.queue,
            drop_reasons: request.drop_reasons,
            punt_classes: request.punt_classes,
            related: request.related,
            ring_kb: (self.bytes >> 10) as u32,
            budget: request.budget,
        };
        let id = self.take_id();
        tracing::info!(
            target: "capture",
            "{} (pid {}) captures on {}: '{}'", peer.tool, peer.pid, capture.interfaces.join(", "), capture.expression
        );
        // There are never more parts than attachments, so each worker has room.
        let workers = self.workers.iter().zip(lanes);
        let parts = workers
            .map(|(worker, lane)| worker.taps.add(Tap::new(id, filter.clone(), sight.clone(), lane)))
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

    /// The interfaces that a request names.
    fn choose(&self, names: &[String]) -> Result<Vec<&AttachmentInterface>, ControlError> {
        let all = means_all(names);
        let by_name = |name: &String| self.interfaces.iter().find(|there| there.interface.name == *name);
        let unknown = names.iter().find(|name| by_name(name).is_none());
        if let (false, Some(unknown)) = (all, unknown) {
            let names = self.interfaces.iter().take(INTERFACES);
            let names: Vec<_> = names.map(|there| there.interface.name.as_str()).collect();
            return Err(ControlError::new(
                ErrorCode::UnknownInterface,
                format!(
                    "there is no interface '{unknown}': there are {}",
                    names.join(", ")
                ),
            ));
        }
        let is_meant = |there: &&AttachmentInterface| all || names.contains(&there.interface.name);
        let chosen: Vec<_> = self.interfaces.iter().filter(is_meant).collect();
        if chosen.len() > INTERFACES {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "{} interfaces are too many for a capture: name at most {INTERFACES} of them with -i",
                    chosen.len()
                ),
            ));
        }
        Ok(chosen)
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
                points: capture.points.clone(),
                expression: capture.expression.clone(),
                snaplen: capture.snaplen as u32,
                queue: capture.queue,
                drop_reasons: capture.drop_reasons.clone(),
                punt_classes: capture.punt_classes.clone(),
                related: capture.related,
                ring_kb: capture.ring_kb,
                budget: capture.budget,
                age_s: now.saturating_sub(attached.begun).as_secs(),
                seen: counts.seen,
                matched: counts.matched,
                lost: counts.lost,
                unsampled: counts.unsampled,
            })
        };
        self.attached.iter().filter_map(info).collect()
    }
}
