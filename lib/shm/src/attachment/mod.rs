//! What a primary shares with one attached tool: packets one way, slot numbers both ways.
//!
//! ```text
//!   packets   hugetlb memfd, the primary writes, the tool maps it read-only
//!             ├─ header, clock, counters of each worker
//!             └─ slots: worker 0 │ worker 1 │ … │ other threads, where they have packets for it
//!   rings     memfd, both write
//!             └─ per worker  filled ─► slot numbers with packets in them
//!                            returned ◄─ slot numbers that the tool is done with
//! ```
//!
//! A tool that decides about packets (a consumer of punts) answers in a slot of its own for each of the packets' slots, and has
//! some more for packets that it makes itself: they lie behind the rings, in ordinary memory, and are copied before they are
//! looked at.
//!
//! A slot is in one place at a time: with the worker, in `filled`, with the tool, or in `returned`. So there are never
//! more numbers in a ring than it holds, and the worker needs to look at one word of the tool's only: how far it returned.
//! What it finds there is checked before it is believed. A tool that dies is forgotten by unmapping both.
//!
//! The memory that the tool can write to is not of huge pages: it could punch a hole into it, and where there is no free
//! huge page to fill the hole the primary would die of SIGBUS. Both are sealed against being cut short.

mod clock;
pub mod handover;
mod memory;
mod primary;
mod punt;
pub mod ring;
#[cfg(test)]
mod tests;
mod tool;
mod waker;

pub use clock::Clock;
pub use memory::{Origin, Reservation, ReservationError};
pub use primary::{Attachment, BadVerdict, Lane, Verdict};
pub use punt::{Answer, PuntEnd, Punted};
pub use tool::{OpenError, Packet, ToolEnd};
pub use waker::Waker;

/// Which way a packet went, seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Received.
    Rx = 1,
    /// Sent.
    Tx = 2,
    /// Handed to a tool that decides about it.
    Punt = 3,
    /// Come back from such a tool, or made by it.
    Reinject = 4,
    /// Dropped, as it is then.
    Drop = 5,
    /// Sent by a tunnel whose SA is about to seal it.
    PreEncrypt = 6,
    /// Received by a tunnel, whose SA has opened it.
    PostDecrypt = 7,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Rx,
        Self::Tx,
        Self::Punt,
        Self::Reinject,
        Self::Drop,
        Self::PreEncrypt,
        Self::PostDecrypt,
    ];

    /// The one of this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// A bit of its own, for sets.
    #[inline]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Why a packet was dropped, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The number of a [`DropReason`](crate::DropReason), which [`DropReason::from_index`](crate::DropReason::from_index) takes.
    pub reason: u16,
    /// The number of the [`PathStage`](crate::PathStage) that it had come to, which
    /// [`PathStage::from_index`](crate::PathStage::from_index) takes.
    pub stage: u8,
}

impl Dropped {
    /// For this reason, at this stage.
    #[inline]
    pub fn new(reason: crate::DropReason, stage: crate::PathStage) -> Self {
        Self {
            reason: reason as u16,
            stage: stage as u8,
        }
    }
}

/// Where a packet that a tool hands back goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// As if it had just been received by the interface, except that no tool is asked about it again.
    Input = 1,
    /// Out of the interface, as it is.
    Output = 2,
    /// As a packet of the gateway itself: looked up, and sent to the next hop that is found, with the hop limit that it has (254 where that is 255). The
    /// interface is one that is up, and only what is counted is counted there; of the link header the EtherType counts.
    Own = 3,
}

/// What a tool and a primary count together, summed over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that the filter was asked about.
    pub seen: u64,
    /// Those of them that matched.
    pub matched: u64,
    /// Those of the matching ones that found no free slot.
    pub lost: u64,
    /// Those of the matching ones that the capture's own budget or sample left out.
    pub unsampled: u64,
    /// Packets that a tool was asked about and that went on without it, since it had not answered in time.
    pub late: u64,
}

const MAGIC: u64 = u64::from_le_bytes(*b"tgattach");
/// Goes up with every change of what lies where.
const LAYOUT: u64 = 7;

/// Bytes of a slot before the packet: a cache line, so that the packet begins at one.
const SLOT_HEADER: usize = 64;
/// Bytes of the counters of a worker.
const COUNTERS: usize = 64;
/// Where the counters begin.
const FIRST_COUNTERS: usize = 1024;
/// Words of the header.
mod word {
    pub(super) const MAGIC: usize = 0;
    pub(super) const LAYOUT: usize = 1;
    pub(super) const WORKERS: usize = 2;
    pub(super) const SLOTS: usize = 3;
    pub(super) const SLOT_BYTES: usize = 4;
    pub(super) const OWN: usize = 5;
    pub(super) const SNAPLEN: usize = 6;
    pub(super) const BESIDE: usize = 7;
    /// A slot of [`crate::slot`].
    pub(super) const CLOCK: usize = 16;
    pub(super) const CLOCK_END: usize = CLOCK + 4;
}
/// Words of the counters of a worker.
mod count {
    pub(super) const SEEN: usize = 0;
    pub(super) const MATCHED: usize = 1;
    pub(super) const LOST: usize = 2;
    /// 1 when the worker puts no more packets in.
    pub(super) const ENDED: usize = 3;
    pub(super) const LATE: usize = 4;
    pub(super) const UNSAMPLED: usize = 5;
}

/// How an attachment's memory is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    workers: usize,
    /// Of each worker.
    slots: u32,
    /// Of the lane behind theirs, which is that of all other threads; 0 where there is none. Never more than of a worker.
    beside: u32,
    slot_bytes: usize,
    /// Bytes of a packet that are kept at most: no more than a slot has room for.
    snaplen: usize,
    /// Slots of each worker that the tool has for packets of its own; `None` where a tool only looks on.
    own: Option<u32>,
}

impl Geometry {
    /// As many slots for packets of `snaplen` bytes as fit into `bytes`, all of them of `workers`; `None` when not one does.
    fn fit(bytes: usize, workers: usize, snaplen: usize) -> Option<Self> {
        Self::fit_beside(bytes, workers, 0, snaplen)
    }

    /// The same, with an eighth of the slots, at most `beside`, for other threads; where `beside` is 0 they have no lane.
    fn fit_beside(bytes: usize, workers: usize, beside: u32, snaplen: usize) -> Option<Self> {
        let slot_bytes = (SLOT_HEADER + snaplen).next_multiple_of(64);
        let lanes = workers + usize::from(beside > 0);
        let all = bytes.checked_sub(header_bytes(lanes))? / slot_bytes;
        let beside = u32::try_from(all / 8).ok()?.max(1).min(beside);
        let slots = all.checked_sub(beside as usize)? / workers;
        let slots = u32::try_from(slots).ok()?.min(1 << 20);
        (slots > 0).then_some(Self {
            workers,
            slots,
            beside: beside.min(slots),
            slot_bytes,
            snaplen,
            own: None,
        })
    }

    /// The same for a tool that decides, with at most `most` packets on their way to it and back.
    fn deciding(self, most: u32) -> Self {
        let slots = self.slots.min(most / self.workers.max(1) as u32).max(1);
        Self {
            slots,
            own: Some(slots.div_ceil(4)),
            // Whatever fits: what a tool hands back may be longer than what it got.
            snaplen: self.slot_bytes - SLOT_HEADER,
            ..self
        }
    }

    /// Lanes: one of each worker, and one of all other threads where they have any.
    #[inline]
    fn lanes(&self) -> usize {
        self.workers + usize::from(self.beside > 0)
    }

    /// Slots of a lane.
    #[inline]
    fn slots_of(&self, lane: usize) -> u32 {
        if lane < self.workers {
            self.slots
        } else {
            self.beside
        }
    }

    /// Numbers that can be in a ring.
    fn numbers(&self) -> u32 {
        self.slots + self.own.unwrap_or(0)
    }

    fn packet_bytes(&self) -> usize {
        let slots = self.workers * self.slots as usize + self.beside as usize;
        header_bytes(self.lanes()) + slots * self.slot_bytes
    }

    /// Where a slot of a lane begins.
    #[inline]
    fn slot(&self, lane: usize, slot: u32) -> usize {
        header_bytes(self.lanes()) + (lane * self.slots as usize + slot as usize) * self.slot_bytes
    }

    fn snaplen(&self) -> usize {
        self.snaplen
    }

    fn ring_bytes(&self) -> usize {
        let replies = self
            .own
            .map_or(0, |_| self.lanes() * self.numbers() as usize * self.slot_bytes);
        self.first_reply() + replies
    }

    fn first_reply(&self) -> usize {
        (FIRST_RING + 2 * self.lanes() * ring::bytes(self.numbers())).next_multiple_of(4096)
    }

    /// Where the slot begins in which a tool answers.
    fn reply(&self, worker: usize, number: u32) -> usize {
        self.first_reply() + (worker * self.numbers() as usize + number as usize) * self.slot_bytes
    }

    /// Where, in words of four bytes, the rings of a worker are: filled, returned.
    fn rings(&self, worker: usize) -> [std::ops::Range<usize>; 2] {
        let words = ring::bytes(self.numbers()) / 4;
        [2 * worker, 2 * worker + 1].map(|ring| {
            let first = FIRST_RING / 4 + ring * words;
            first..first + words
        })
    }
}

/// Packets that can be with a tool that decides about them, whose attachment has so many bytes: 4,096 for 8 MB, which is what comes
/// at a million a second while the tool has to wait some milliseconds for its CPU.
pub const fn most_decided(bytes: usize) -> u32 {
    let packets = bytes / 2048;
    if packets < 1 << 20 {
        packets as u32
    } else {
        1 << 20
    }
}

/// Bytes before the slots.
fn header_bytes(lanes: usize) -> usize {
    (FIRST_COUNTERS + lanes * COUNTERS).next_multiple_of(4096)
}

/// Bytes before the rings. Its first word is the tool's: not zero while the tool sleeps.
const FIRST_RING: usize = 4096;
