//! Captures: tools that see packets, by an attachment each.
//!
//! ```text
//!   pdump ─ CaptureStart ─► control thread ─ Tap ─► workers ─ copies ─► attachment ─► pdump
//!     └──── hang-up, death ──────► │ ◄──── the Tap, ended ──┘
//!                                  └─► memory and filter are freed when every worker has handed its Tap back
//! ```

mod tap;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::message::{
    CaptureInfo, CaptureInterface, CaptureRequest, CaptureStarted, ControlError, Direction, ErrorCode, Reply,
    SNAPLEN_MAX,
};
use control::server::{Peer, Response};
use dpdk::Eal;
use dpdk::filter::{Filter, Instruction};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shm::attachment::{Attachment, Clock, Reservation, ReservationError, Way};
use shm::process;

use self::tap::Tap;
pub use self::tap::{TapControl, Taps, taps};
use crate::plan::{ATTACHMENT_BYTES, FRAME_OVERHEAD};

/// The longest filter expression that is kept to be shown, bytes.
const EXPRESSION: usize = 1024;

/// All captures, as the control thread has them.
pub struct Captures<'a> {
    eal: &'a Eal,
    interfaces: Vec<CaptureInterface>,
    /// By interface: the longest frame.
    frames: Vec<usize>,
    workers: Vec<TapControl>,
    reservations: Vec<Reservation>,
    /// How many attachments there can be.
    limit: usize,
    captures: Vec<Capture>,
    next_id: u32,
    /// When the primary started: time stamp counter, nanoseconds since 1970.
    epoch: (u64, u64),
}

/// One of them.
struct Capture {
    info: CaptureInfo,
    connection: u64,
    begun: Duration,
    attachment: Attachment,
    /// Readable when the tool's process has ended.
    process: Option<OwnedFd>,
    /// Workers that still have their part.
    taps: usize,
    /// Whether the workers were told to end it.
    ending: bool,
    /// Whether nobody needs its memory any more.
    abandoned: bool,
}

/// What the captures need to know of an interface.
pub struct CapturePort {
    /// As tools see it.
    pub interface: CaptureInterface,
    /// Longest IP packet, bytes.
    pub mtu: u16,
}

impl<'a> Captures<'a> {
    /// Sets the memory of `limit` attachments aside.
    pub fn new(
        eal: &'a Eal,
        ports: Vec<CapturePort>,
        workers: Vec<TapControl>,
        limit: usize,
    ) -> Result<Self, ReservationError> {
        let reserve = || Reservation::new(ATTACHMENT_BYTES, true);
        Ok(Self {
            eal,
            frames: ports
                .iter()
                .map(|port| usize::from(port.mtu) + FRAME_OVERHEAD)
                .collect(),
            interfaces: ports.into_iter().map(|port| port.interface).collect(),
            workers,
            reservations: (0..limit).map(|_| reserve()).collect::<Result<_, _>>()?,
            limit,
            captures: Vec::new(),
            next_id: 1,
            epoch: (dpdk::tsc(), now_ns()),
        })
    }

    /// How many captures there are, and how many there can be.
    pub fn usage(&self) -> (usize, usize) {
        (self.captures.len(), self.limit)
    }

    /// Begins a capture for the tool at the other end of a connection.
    pub fn start(
        &mut self,
        peer: &Peer,
        request: CaptureRequest,
        now: Duration,
    ) -> Result<Response, ControlError> {
        if self
            .captures
            .iter()
            .any(|capture| capture.connection == peer.connection)
        {
            return Err(ControlError::new(
                ErrorCode::Exists,
                "this connection has a capture already: use another one",
            ));
        }
        let (chosen, ways) = self.choose(&request)?;
        let filter = self.compile(&request)?;
        let longest = chosen
            .iter()
            .filter_map(|interface| self.frames.get(usize::from(interface.index)))
            .max()
            .copied()
            .unwrap_or(0);
        if request.snaplen == 0 || request.snaplen > SNAPLEN_MAX {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "a snapshot length of {} cannot be: give 1 to {SNAPLEN_MAX}",
                    request.snaplen
                ),
            ));
        }
        let snaplen = longest.min(request.snaplen as usize);
        let reservation = self.reserve()?;
        let (attachment, lanes) = Attachment::new(reservation, self.workers.len(), snaplen)
            .map_err(|error| ControlError::new(ErrorCode::Failed, error.to_string()))?
            .ok_or_else(|| {
                ControlError::new(
                    ErrorCode::Invalid,
                    format!("{} workers have no room for packets of {snaplen} bytes: give a shorter snapshot length", self.workers.len()),
                )
            })?;
        attachment.set_clock(&self.clock());
        let clone = |descriptor: std::os::fd::BorrowedFd<'_>| descriptor.try_clone_to_owned();
        let [packets, rings] = attachment.descriptors().map(clone);
        let descriptors = [packets, rings]
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                ControlError::new(ErrorCode::Failed, format!("cannot hand the memory over: {error}"))
            })?;

        let id = self.next_id;
        self.next_id += 1;
        let mut expression = request.expression;
        expression.truncate(expression.floor_char_boundary(EXPRESSION));
        let info = CaptureInfo {
            id,
            tool: peer.tool.clone(),
            pid: peer.pid,
            uid: peer.uid,
            interfaces: chosen.iter().map(|interface| interface.name.clone()).collect(),
            direction: request.direction,
            expression: expression.chars().filter(|c| !c.is_control()).collect(),
            snaplen: snaplen as u32,
            age_s: 0,
            seen: 0,
            matched: 0,
            lost: 0,
        };
        let mut taps = 0;
        for (worker, lane) in self.workers.iter().zip(lanes) {
            // There are never more captures than attachments, so there is room.
            taps += usize::from(worker.add(Tap::new(id, filter.clone(), ways.clone(), lane)));
        }
        tracing::info!(
            target: "capture",
            "{} (pid {}) captures on {}: '{}'", info.tool, info.pid, info.interfaces.join(", "), info.expression
        );
        self.captures.push(Capture {
            info,
            connection: peer.connection,
            begun: now,
            attachment,
            process: process::pidfd(peer.pid),
            taps,
            ending: false,
            abandoned: false,
        });
        Ok(Response {
            answer: Ok(Reply::CaptureStarted(CaptureStarted {
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

    fn compile(&self, request: &CaptureRequest) -> Result<Option<Arc<Filter>>, ControlError> {
        if request.filter.is_empty() {
            return Ok(None);
        }
        let program: Vec<_> = request
            .filter
            .iter()
            .map(|instruction| Instruction {
                code: instruction.code,
                jt: instruction.jt,
                jf: instruction.jf,
                k: instruction.k,
            })
            .collect();
        Filter::compile(self.eal, &program)
            .map(|filter| Some(Arc::new(filter)))
            .map_err(|error| ControlError::new(ErrorCode::Invalid, error.to_string()))
    }

    fn reserve(&mut self) -> Result<Reservation, ControlError> {
        if self.captures.len() >= self.limit {
            let tools: Vec<_> = self
                .captures
                .iter()
                .map(|capture| format!("{} (pid {})", capture.info.tool, capture.info.pid))
                .collect();
            return Err(ControlError::new(
                ErrorCode::LimitReached,
                format!(
                    "no attachment is free, {} are in use by {}: end one of them, or raise attachments in [limits]",
                    self.limit,
                    tools.join(", ")
                ),
            ));
        }
        match self.reservations.pop() {
            Some(reservation) => Ok(reservation),
            None => Reservation::new(ATTACHMENT_BYTES, true).map_err(|error| {
                ControlError::new(
                    ErrorCode::Failed,
                    format!("{error}; a tool whose capture was ended may still hold its memory: end it"),
                )
            }),
        }
    }

    /// Ends the capture of a connection; what is in it can still be taken.
    pub fn stop(&mut self, connection: u64) -> Result<(), ControlError> {
        match self
            .captures
            .iter_mut()
            .find(|capture| capture.connection == connection)
        {
            Some(capture) => {
                capture.end(&self.workers);
                Ok(())
            }
            None => Err(ControlError::new(
                ErrorCode::NotFound,
                "this connection has no capture: start one first",
            )),
        }
    }

    /// Ends the captures of connections that have closed.
    pub fn closed(&mut self, connections: &[u64]) {
        for capture in &mut self.captures {
            if connections.contains(&capture.connection) {
                capture.abandoned = true;
                capture.end(&self.workers);
            }
        }
    }

    /// All captures, to be shown.
    pub fn show(&self, now: Duration) -> Vec<CaptureInfo> {
        let info = |capture: &Capture| {
            let counts = capture.attachment.counts();
            CaptureInfo {
                age_s: now.saturating_sub(capture.begun).as_secs(),
                seen: counts.seen,
                matched: counts.matched,
                lost: counts.lost,
                ..capture.info.clone()
            }
        };
        self.captures.iter().map(info).collect()
    }

    /// Takes back what workers are done with, frees what nobody needs, and gives the connections that must be cut off.
    pub fn collect(&mut self) -> Vec<u64> {
        let mut cut_off = Vec::new();
        for worker in &self.workers {
            while let Some(ended) = worker.take_ended() {
                let Some(capture) = self
                    .captures
                    .iter_mut()
                    .find(|capture| capture.info.id == ended.tap.id)
                else {
                    continue;
                };
                capture.taps -= 1;
                if let Some(bad) = ended.bad {
                    if !capture.abandoned {
                        tracing::warn!(
                            target: "capture",
                            "the capture of {} (pid {}) is ended: {bad}", capture.info.tool, capture.info.pid
                        );
                        cut_off.push(capture.connection);
                    }
                    capture.abandoned = true;
                }
            }
        }
        for capture in &mut self.captures {
            if !capture.abandoned && capture.process.as_ref().is_some_and(has_ended) {
                capture.abandoned = true;
                cut_off.push(capture.connection);
            }
            if capture.abandoned {
                capture.end(&self.workers);
            }
        }
        self.captures
            .retain(|capture| capture.taps > 0 || !capture.abandoned);
        // The memory of those that are gone, for those to come. A tool that keeps its mapping keeps the pages, too.
        while self.reservations.len() + self.captures.len() < self.limit {
            match Reservation::new(ATTACHMENT_BYTES, true) {
                Ok(reservation) => self.reservations.push(reservation),
                Err(_) => break,
            }
        }
        cut_off
    }

    /// Tells all tools how the clocks go.
    pub fn set_clocks(&self) {
        if self.captures.is_empty() {
            return;
        }
        let clock = self.clock();
        for capture in &self.captures {
            capture.attachment.set_clock(&clock);
        }
    }

    fn clock(&self) -> Clock {
        Clock::between(self.epoch, (dpdk::tsc(), now_ns()))
    }

    /// What to poll: the processes of the tools.
    pub fn descriptors<'b>(&'b self, into: &mut Vec<PollFd<'b>>) {
        let processes = self
            .captures
            .iter()
            .filter(|capture| !capture.abandoned)
            .filter_map(|capture| capture.process.as_ref());
        into.extend(processes.map(|process| PollFd::new(process.as_fd(), PollFlags::POLLIN)));
    }
}

impl Capture {
    fn end(&mut self, workers: &[TapControl]) {
        if !std::mem::replace(&mut self.ending, true) {
            for worker in workers {
                worker.remove(self.info.id);
            }
        }
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
