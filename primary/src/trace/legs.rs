//! What a worker says of a traced packet: a leg for each packet that it was on its way, as received, inside of a tunnel, outside of one.
//!
//! ```text
//!   received ─ stages ─► a tunnel takes it ─┬─► opened, decapsulated ─ received by the tunnel ─ stages ─► ...
//!                                           └─► sealed, encapsulated ─ stages ─► ...
//! ```

use std::net::IpAddr;
use std::sync::mpsc::SyncSender;

use control::message::TRACE_LEGS;
use dpdk::Mbuf;
use esp::Transform;
use shm::{DropReason, PathStage};

use super::Watched;
use crate::adjacency::Adjacency;
use crate::path::{Disposition, Note, Tracer};

/// What an SA did to a packet.
#[derive(Clone, Copy, Debug)]
pub struct Protection {
    /// Its SPI.
    pub spi: u32,
    /// The sequence number, as far as it is known.
    pub sequence: Option<u64>,
    /// Its transform.
    pub transform: Transform,
    /// Why it did not open or seal the packet, if it did not.
    pub refused: Option<DropReason>,
}

/// A packet on the way, from where it begins to where it ends.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Where it was.
    pub watched: Watched,
    /// What the stages noted.
    pub note: Note,
    /// What the lookup found.
    pub found: Option<(Adjacency, IpAddr)>,
    /// The neighbour that it waits for, if it does.
    pub awaited: Option<IpAddr>,
    /// What the SA did that it comes from.
    pub protection: Option<Protection>,
    /// What the load balancer did that it ends by.
    pub judged: Option<Judged>,
}

/// How a leg ends that ends by the load balancer, and not where the packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// What is translated goes through the stages, and has a leg of its own.
    GoesOn,
    /// It is of a connection of another worker.
    Elsewhere,
}

impl Leg {
    fn new(ingress: u16, mbuf: &Mbuf, begins: PathStage, protection: Option<(u64, Protection)>) -> Self {
        let mut watched = Watched::new(ingress, mbuf);
        match (begins, protection) {
            (PathStage::Rx, Some((since, _))) => {
                watched.recorder.enter_at(PathStage::Released, since);
                watched.recorder.enter_at(PathStage::Decapsulated, watched.begun);
                watched.recorder.enter_at(PathStage::Rx, watched.begun);
            }
            (_, Some((since, _))) => watched.recorder.enter_at(begins, since),
            (_, None) => watched.recorder.enter_at(begins, watched.begun),
        }
        Self {
            watched,
            note: Note::of(Disposition::Drop(DropReason::Stopping), mbuf.len()),
            found: None,
            awaited: None,
            protection: protection.map(|(_, protection)| protection),
            judged: None,
        }
    }

    /// A packet that was just received by a port, or was inside of one that a tunnel has taken.
    pub fn received(ingress: u16, mbuf: &Mbuf, opened: Option<(u64, Protection)>) -> Self {
        Self::new(ingress, mbuf, PathStage::Rx, opened)
    }

    /// What the load balancer has made of a packet, and the stages take as received.
    pub fn judged(ingress: u16, mbuf: &Mbuf) -> Self {
        Self::new(ingress, mbuf, PathStage::Service, None)
    }

    /// An outer packet that a tunnel has made.
    pub fn outer(tunnel: u16, mbuf: &Mbuf, sealed: Option<(u64, Protection)>) -> Self {
        Self::new(tunnel, mbuf, PathStage::Encapsulated, sealed)
    }

    /// A packet that a tunnel has taken, at this stage, and dropped.
    pub fn refused(
        tunnel: u16,
        mbuf: &Mbuf,
        at: PathStage,
        reason: DropReason,
        sa: Option<(u64, Protection)>,
    ) -> Self {
        let mut leg = Self::new(tunnel, mbuf, at, sa);
        leg.watched.enter(PathStage::Drop);
        leg.watched.recorder.refused = Some(reason);
        leg
    }
}

/// What a worker says of a traced packet.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// The worker that received it.
    pub worker: u16,
    first: Leg,
    later: [Option<Leg>; TRACE_LEGS - 1],
}

impl Finished {
    /// All legs, in order.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.first).chain(self.later.iter().flatten())
    }

    fn last_mut(&mut self) -> &mut Leg {
        self.later
            .iter_mut()
            .rev()
            .flatten()
            .next()
            .unwrap_or(&mut self.first)
    }

    fn push(&mut self, leg: Leg) -> bool {
        let place = self.later.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some(leg)).is_some()
    }
}

/// A traced packet on its way, and who is told of it at its end.
pub struct Followed {
    finished: Finished,
    to: SyncSender<Finished>,
    /// What an SA has done to it since its last leg, and since when, ticks.
    pub protection: Option<(u64, Protection)>,
}

impl Followed {
    pub(super) fn new(worker: u16, first: Leg, to: SyncSender<Finished>) -> Self {
        Self {
            finished: Finished {
                worker,
                first,
                later: [None; TRACE_LEGS - 1],
            },
            to,
            protection: None,
        }
    }

    /// Its last leg, which may go on.
    pub fn leg(&mut self) -> &mut Leg {
        self.finished.last_mut()
    }

    /// Begins one more leg; where there is no room for it the packet is told of, and followed no further.
    #[must_use]
    pub fn begin(mut self, leg: Leg) -> Option<Self> {
        if self.finished.push(leg) {
            return Some(self);
        }
        self.finish();
        None
    }

    /// Tells the control thread.
    pub fn finish(self) {
        // It has room for all that could be taken; nobody listens any more when the trace was stopped.
        let _ = self.to.try_send(self.finished);
    }
}
