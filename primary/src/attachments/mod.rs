//! Tools that see packets, or decide about them, by an attachment each.
//!
//! ```text
//!   tool ─ CaptureStart, PuntStart ─► control thread ─ its part ─► workers ─ copies ─► attachment ─► tool
//!     │                                      │                        ▲──── decisions ────┘  ◄────────┘
//!     └──── hang-up, death ────────────────► │ ◄──── the part, ended ─┘
//!                                            └─► memory and filter are freed when every worker has handed its part back
//! ```

mod beside;
mod captures;
mod class_policy;
mod consumer;
mod ends;
mod flow_order;
mod going_by;
mod handed_back;
mod loose;
mod oldest;
mod parts;
mod punts;
mod ration;
mod related;
mod sight;
mod tap;
mod watching;
mod window;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::event::Event;
use control::message::{CaptureInterface, ControlError, ErrorCode, PuntClass};
use control::server::Peer;
use dpdk::Eal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shm::attachment::{Attachment, BadVerdict, Clock, Lane, Reservation, ReservationError};
use shm::process;

pub use self::beside::{Beside, BesideControl};
use self::captures::Capture;
pub use self::captures::compile;
pub use self::class_policy::ClassPolicy;
pub use self::consumer::{Consumer, Consumers, NotTaken};
pub use self::flow_order::MOST_BEHIND;
pub use self::handed_back::HandedBack;
pub use self::loose::{Loose, Spare};
pub(crate) use self::oldest::Oldest;
pub use self::parts::{Part, PartControl, Parts, parts};
use self::punts::Punt;
pub use self::ration::Ration;
pub use self::sight::{Sight, means_all};
pub use self::tap::{Seen, Tap, Taps, Terms};
use crate::plan::FRAME_OVERHEAD;

/// All attachments, as the control thread has them.
pub struct Attachments<'a> {
    eal: &'a Eal,
    interfaces: Vec<AttachmentInterface>,
    workers: Vec<WorkerControl>,
    beside: BesideControl,
    policies: [ClassPolicy; PuntClass::COUNT],
    reservations: Vec<Reservation>,
    /// How many attachments there can be.
    limit: usize,
    /// The memory of each.
    bytes: usize,
    attached: Vec<Attached>,
    next_id: u32,
    /// Who came and went.
    events: Vec<Event>,
    /// When the primary started: time stamp counter, nanoseconds since 1970.
    epoch: (u64, u64),
}

/// By which a worker gets its parts.
pub struct WorkerControl {
    /// Of captures.
    pub taps: PartControl<Tap>,
    /// Of tools that decide or watch.
    pub consumers: PartControl<Consumer>,
}

/// One attachment.
struct Attached {
    id: u32,
    kind: Kind,
    tool: String,
    pid: i32,
    uid: u32,
    connection: u64,
    begun: Duration,
    attachment: Attachment,
    /// Readable when the tool's process has ended.
    process: Option<OwnedFd>,
    /// Workers, and others, that still have their part.
    parts: usize,
    /// Whether the workers were told to end it.
    ending: bool,
    /// Whether nobody needs its memory any more.
    abandoned: bool,
}

/// The longest frame of some interfaces, bytes.
fn longest<'i>(interfaces: impl Iterator<Item = &'i AttachmentInterface>) -> usize {
    let frames = interfaces.map(|interface| usize::from(interface.mtu) + FRAME_OVERHEAD);
    frames.max().unwrap_or(0)
}

/// What a tool attached for.
enum Kind {
    Capture(Capture),
    Punt(Punt),
}

/// What the attachments need to know of an interface.
pub struct AttachmentInterface {
    /// As tools see it.
    pub interface: CaptureInterface,
    /// Longest IP packet, bytes.
    pub mtu: u16,
    /// Whether it is that of a port.
    pub is_port: bool,
}

impl<'a> Attachments<'a> {
    /// Sets the memory of `limit` attachments aside, each of `bytes`.
    pub fn new(
        eal: &'a Eal,
        interfaces: Vec<AttachmentInterface>,
        workers: Vec<WorkerControl>,
        beside: BesideControl,
        policies: [ClassPolicy; PuntClass::COUNT],
        (limit, bytes): (usize, usize),
    ) -> Result<Self, ReservationError> {
        let reserve = || Reservation::new(bytes, true);
        Ok(Self {
            eal,
            interfaces,
            workers,
            beside,
            policies,
            bytes,
            reservations: (0..limit).map(|_| reserve()).collect::<Result<_, _>>()?,
            limit,
            attached: Vec::new(),
            next_id: 1,
            events: Vec::new(),
            epoch: (dpdk::tsc(), now_ns()),
        })
    }

    /// More interfaces.
    pub fn extend_interfaces(&mut self, interfaces: impl IntoIterator<Item = AttachmentInterface>) {
        self.interfaces.extend(interfaces);
    }

    /// There is no interface of this index any more. Captures that are on it see no more of it.
    pub fn remove_interface(&mut self, index: u16) {
        self.interfaces.retain(|there| there.interface.index != index);
    }

    /// How many attachments there are, and how many there can be.
    pub fn usage(&self) -> (usize, usize) {
        (self.attached.len(), self.limit)
    }

    fn check_new(&self, peer: &Peer) -> Result<(), ControlError> {
        let there = self
            .attached
            .iter()
            .any(|attached| attached.connection == peer.connection);
        if there {
            return Err(ControlError::new(
                ErrorCode::Exists,
                "this connection has an attachment already: use another one",
            ));
        }
        Ok(())
    }

    fn reserve(&mut self) -> Result<Reservation, ControlError> {
        if self.attached.len() >= self.limit {
            let tools: Vec<_> = self
                .attached
                .iter()
                .map(|attached| format!("{} (pid {})", attached.tool, attached.pid))
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
            None => Reservation::new(self.bytes, true).map_err(|error| {
                ControlError::new(
                    ErrorCode::Failed,
                    format!("{error}; a tool whose attachment was ended may still hold its memory: end it"),
                )
            }),
        }
    }

    /// What became of an attempt to make an attachment for packets of `snaplen` bytes.
    fn made(
        &self,
        made: Result<Option<(Attachment, Vec<Lane>)>, ReservationError>,
        snaplen: usize,
    ) -> Result<(Attachment, Vec<Lane>), ControlError> {
        let (attachment, lanes) = made
            .map_err(|error| ControlError::new(ErrorCode::Failed, error.to_string()))?
            .ok_or_else(|| {
                let workers = self.workers.len();
                ControlError::new(
                    ErrorCode::Invalid,
                    format!("{workers} workers have no room for packets of {snaplen} bytes: give a shorter snapshot length"),
                )
            })?;
        attachment.set_clock(&self.clock());
        Ok((attachment, lanes))
    }

    /// The descriptors that the tool gets.
    fn hand_over(&self, attachment: &Attachment) -> Result<Vec<OwnedFd>, ControlError> {
        let cloned = attachment
            .descriptors()
            .map(|descriptor| descriptor.try_clone_to_owned());
        cloned.into_iter().collect::<Result<_, _>>().map_err(|error| {
            ControlError::new(ErrorCode::Failed, format!("cannot hand the memory over: {error}"))
        })
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn add(&mut self, id: u32, peer: &Peer, kind: Kind, attachment: Attachment, parts: usize, now: Duration) {
        self.attached.push(Attached {
            id,
            kind,
            tool: peer.tool.clone(),
            pid: peer.pid,
            uid: peer.uid,
            connection: peer.connection,
            begun: now,
            attachment,
            process: process::pidfd(peer.pid),
            parts,
            ending: false,
            abandoned: false,
        });
    }

    /// Ends the attachments of connections that have closed.
    pub fn closed(&mut self, connections: &[u64]) {
        for attached in &mut self.attached {
            if connections.contains(&attached.connection) {
                attached.abandoned = true;
                attached.end(&self.workers, &self.beside);
            }
        }
    }

    /// Packet buffers that threads keep to show in them what lies in none: each worker one, and the others.
    pub fn kept_buffers(&self) -> u32 {
        self.workers.len() as u32 + 1
    }

    /// What threads beside the workers drop.
    pub fn beside(&self) -> &Beside {
        &self.beside.taps
    }

    /// Takes back what workers are done with, frees what nobody needs, and gives the connections that must be cut off.
    pub fn collect(&mut self) -> Vec<u64> {
        let mut cut_off = Vec::new();
        for number in 0..self.workers.len() {
            while let Some(ended) = self.workers[number].taps.take_ended() {
                self.part_ended(ended.id(), ended.bad, &mut cut_off);
            }
            while let Some(ended) = self.workers[number].consumers.take_ended() {
                self.part_ended(ended.id(), ended.bad, &mut cut_off);
            }
        }
        while let Some(ended) = self.beside.take_ended() {
            self.part_ended(ended.id(), ended.bad, &mut cut_off);
        }
        for attached in &mut self.attached {
            if !attached.abandoned && attached.process.as_ref().is_some_and(has_ended) {
                attached.abandoned = true;
                cut_off.push(attached.connection);
            }
            if attached.abandoned {
                attached.end(&self.workers, &self.beside);
            }
        }
        let is_over = |attached: &mut Attached| attached.parts == 0 && attached.abandoned;
        let over = self.attached.extract_if(.., is_over);
        self.events
            .extend(over.filter_map(|attached| attached.listener(false)));
        // The memory of those that are gone, for those to come. A tool that keeps its mapping keeps the pages, too.
        while self.reservations.len() + self.attached.len() < self.limit {
            match Reservation::new(self.bytes, true) {
                Ok(reservation) => self.reservations.push(reservation),
                Err(_) => break,
            }
        }
        cut_off
    }

    fn part_ended(&mut self, id: u32, bad: Option<BadVerdict>, cut_off: &mut Vec<u64>) {
        let Some(attached) = self.attached.iter_mut().find(|attached| attached.id == id) else {
            return;
        };
        attached.parts -= 1;
        let Some(bad) = bad else { return };
        if !attached.abandoned {
            tracing::warn!(
                target: "attachment",
                "the attachment of {} (pid {}) is ended: {bad}", attached.tool, attached.pid
            );
            cut_off.push(attached.connection);
        }
        attached.abandoned = true;
    }

    /// Tells all tools how the clocks go.
    pub fn set_clocks(&mut self) {
        if self.attached.is_empty() {
            return;
        }
        let clock = self.clock();
        for attached in &self.attached {
            attached.attachment.set_clock(&clock);
        }
        self.tell_of_budgets();
    }

    fn clock(&self) -> Clock {
        Clock::between(self.epoch, (dpdk::tsc(), now_ns()))
    }

    /// What to poll: the processes of the tools.
    pub fn descriptors<'b>(&'b self, into: &mut Vec<PollFd<'b>>) {
        let processes = self
            .attached
            .iter()
            .filter(|attached| !attached.abandoned)
            .filter_map(|attached| attached.process.as_ref());
        into.extend(processes.map(|process| PollFd::new(process.as_fd(), PollFlags::POLLIN)));
    }
}

impl Attached {
    fn end(&mut self, workers: &[WorkerControl], beside: &BesideControl) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        for worker in workers {
            match self.kind {
                Kind::Capture(_) => worker.taps.remove(self.id),
                Kind::Punt(_) => worker.consumers.remove(self.id),
            };
        }
        if matches!(self.kind, Kind::Capture(_)) {
            beside.remove(self.id);
        }
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Nanoseconds since 1970.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
