//! The primary's side of an attachment.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory::{Memory, Origin, Reservation, ReservationError};
use super::ring::{self, BadPosition, Consumer, Producer};
use super::{Clock, Counts, Geometry, LAYOUT, MAGIC, count, word};

/// An attachment as the control thread has it. Its memory goes when this and all lanes are dropped.
pub struct Attachment {
    memory: Arc<Memory>,
}

/// The part of an attachment that is one worker's.
pub struct Lane {
    memory: Arc<Memory>,
    worker: usize,
    filled: Producer,
    returned: Consumer,
    /// Slots that are with the worker.
    free: Vec<u32>,
    /// By slot: whether it is not with the worker.
    out: Vec<bool>,
    counts: Counts,
    /// Whether something was put in since the tool was last told.
    news: bool,
}

/// The tool handed something back that it never had, or claims to have handed back what it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVerdict {
    /// A position that cannot be.
    #[error("{0}")]
    Position(#[from] BadPosition),
    /// A slot that it has not.
    #[error("the tool returned slot {slot}, which it has not")]
    Slot {
        /// The number.
        slot: u32,
    },
}

impl Attachment {
    /// Divides the memory among `workers` for packets of up to `snaplen` bytes. `None` when not one fits.
    pub fn new(
        reservation: Reservation,
        workers: usize,
        snaplen: usize,
    ) -> Result<Option<(Self, Vec<Lane>)>, ReservationError> {
        let Some(geometry) = Geometry::fit(reservation.bytes(), workers, snaplen) else {
            return Ok(None);
        };
        let memory = Arc::new(reservation.share(geometry)?);
        let header = memory.header();
        for (index, value) in [
            (word::WORKERS, geometry.workers as u64),
            (word::SLOTS, u64::from(geometry.slots)),
            (word::SLOT_BYTES, geometry.slot_bytes as u64),
            (word::LAYOUT, LAYOUT),
            (word::MAGIC, MAGIC),
        ] {
            header[index].store(value, Ordering::Release);
        }
        let lanes = (0..workers).map(|worker| Lane::new(&memory, worker)).collect();
        Ok(Some((Self { memory }, lanes)))
    }

    /// What the tool gets: the memory of the packets, which it can map for reading, and that of the rings.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.memory.packet_file.as_fd(), self.memory.ring_file.as_fd()]
    }

    /// Says how the tool is to read time stamps.
    pub fn set_clock(&self, clock: &Clock) {
        clock.write(self.memory.header());
    }

    /// What the workers have counted.
    pub fn counts(&self) -> Counts {
        self.memory.counts()
    }

    /// Packets that each worker can have under way.
    pub fn slots(&self) -> u32 {
        self.memory.geometry.slots
    }
}

impl Lane {
    fn new(memory: &Arc<Memory>, worker: usize) -> Self {
        let slots = memory.geometry.slots;
        let [filled, returned] = memory.rings(worker);
        ring::format(filled, "filled", slots);
        ring::format(returned, "returned", slots);
        Self {
            memory: memory.clone(),
            worker,
            filled: Producer::new(slots),
            returned: Consumer::new(slots),
            free: (0..slots).rev().collect(),
            out: vec![false; slots as usize],
            counts: Counts::default(),
            news: false,
        }
    }

    /// Takes back the slots that the tool is done with.
    #[inline]
    pub fn reclaim(&mut self) -> Result<(), BadVerdict> {
        let [_, returned] = self.memory.rings(self.worker);
        let ready = self.returned.ready(returned)?;
        for _ in 0..ready {
            let slot = self.returned.take(returned);
            if !self.out.get_mut(slot as usize).is_some_and(std::mem::take) {
                return Err(BadVerdict::Slot { slot });
            }
            // There is room for all slots, so this does not allocate.
            self.free.push(slot);
        }
        if ready > 0 {
            self.returned.publish(returned);
        }
        Ok(())
    }

    /// Slots that are free, of those that [`Lane::reclaim`] has seen.
    #[inline]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Notes that the filter was asked about packets.
    #[inline]
    pub fn count_seen(&mut self, packets: u64) {
        self.counts.seen += packets;
    }

    /// Copies a packet that matched into a slot, if one is free; otherwise it is counted as lost.
    #[inline]
    pub fn put<'a>(&mut self, origin: &Origin, segments: impl Iterator<Item = &'a [u8]>) {
        self.counts.matched += 1;
        let Some(slot) = self.free.pop() else {
            self.counts.lost += 1;
            return;
        };
        self.memory.fill(self.worker, slot, origin, segments);
        if let Some(out) = self.out.get_mut(slot as usize) {
            *out = true;
        }
        let [filled, _] = self.memory.rings(self.worker);
        self.filled.put(filled, slot);
        self.news = true;
    }

    /// Shows the tool what was put in and counted, and wakes it if there is something for it and it sleeps.
    #[inline]
    pub fn publish(&mut self) {
        let counter = |index, value| {
            self.memory
                .counter(self.worker, index)
                .store(value, Ordering::Release)
        };
        // A number that is part of another is published after it.
        counter(count::SEEN, self.counts.seen);
        counter(count::MATCHED, self.counts.matched);
        counter(count::LOST, self.counts.lost);
        if std::mem::take(&mut self.news) {
            let [filled, _] = self.memory.rings(self.worker);
            self.filled.publish(filled);
            self.memory.wake();
        }
    }

    /// Says that this worker puts no more packets in.
    pub fn end(&mut self) {
        self.publish();
        self.memory
            .counter(self.worker, count::ENDED)
            .store(1, Ordering::Release);
        self.memory.wake();
    }
}
