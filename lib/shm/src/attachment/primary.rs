//! The primary's side of an attachment.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory::{Memory, Origin, Reservation, ReservationError};
use super::punt::{DROP, FORWARD, REFUSE, REPLACE, TAKE};
use super::ring::{self, BadPosition, Consumer, Producer};
use super::{Clock, Counts, Geometry, LAYOUT, MAGIC, Stage, count, most_decided, word};

/// An attachment as the control thread has it. Its memory goes when this and all lanes are dropped.
pub struct Attachment {
    memory: Arc<Memory>,
}

/// The part of an attachment that is one worker's, or that of the other threads, who take turns with theirs.
pub struct Lane {
    memory: Arc<Memory>,
    /// The worker's number, or how many workers there are.
    worker: usize,
    filled: Producer,
    returned: Consumer,
    /// Slots that are with the worker.
    free: Vec<u32>,
    /// By number: whether it is not with the worker.
    out: Vec<bool>,
    counts: Counts,
    /// Packets that were lost since the last that was put in.
    lost_before: u32,
    /// Whether something was put in since the tool was last told.
    news: bool,
    /// Whether a packet is among it. For numbers of its own that it gets back a tool need not wake: it finds them when it does.
    packets: bool,
    /// Whether something was counted since then.
    counted: bool,
}

/// The most slots of the lane that is not a worker's: what comes there is little, and comes in bursts of tens.
const BESIDE: u32 = 512;

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
    /// A decision that is none.
    #[error("the tool decided {head:#x} about {length} bytes, which means nothing")]
    Decision {
        /// The slot that it is in: of the packet that it is about, or one of the tool's own.
        slot: u32,
        /// Decision, stage and interface as it wrote them.
        head: u32,
        /// How many bytes it says that there are.
        length: u32,
    },
}

impl BadVerdict {
    /// The slot of the packet that it is about, if the tool had that.
    pub fn slot(&self) -> Option<u32> {
        match self {
            Self::Decision { slot, .. } => Some(*slot),
            Self::Position(_) | Self::Slot { .. } => None,
        }
    }
}

/// What a tool has decided about a packet, or made itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forget the packet of this slot.
    Drop(u32),
    /// The packet of this slot has arrived: it was for the tool.
    Take(u32),
    /// The packet of this slot goes on as if no tool had been asked.
    Forward(u32),
    /// The packet of this slot is dropped, and its sender told that it is prohibited.
    Refuse(u32),
    /// The bytes that were copied out take the place of the packet of this slot.
    Rewrite {
        /// The slot.
        slot: u32,
        /// Where they go on.
        stage: Stage,
        /// By this interface, which may be none that there is.
        interface: u16,
    },
    /// The bytes that were copied out are a packet of the tool's own.
    Send {
        /// Where they go on.
        stage: Stage,
        /// By this interface, which may be none that there is.
        interface: u16,
    },
}

impl Attachment {
    /// Divides the memory among `workers` for packets of up to `snaplen` bytes, for a tool that looks on. `None` when not one
    /// fits.
    pub fn new(
        reservation: Reservation,
        workers: usize,
        snaplen: usize,
    ) -> Result<Option<(Self, Vec<Lane>)>, ReservationError> {
        let bytes = reservation.bytes();
        Self::within(reservation, bytes, workers, false, snaplen)
    }

    /// The same, in the first `bytes` of the memory, or in all where that has fewer; with another lane, the last, for what threads
    /// `beside` the workers have to show, if so wanted.
    pub fn within(
        reservation: Reservation,
        bytes: usize,
        workers: usize,
        beside: bool,
        snaplen: usize,
    ) -> Result<Option<(Self, Vec<Lane>)>, ReservationError> {
        let beside = if beside { BESIDE } else { 0 };
        match Geometry::fit_beside(bytes.min(reservation.bytes()), workers, beside, snaplen) {
            Some(geometry) => Self::with(geometry, reservation).map(Some),
            None => Ok(None),
        }
    }

    /// The same for a tool that decides about packets and makes some of its own.
    pub fn deciding(
        reservation: Reservation,
        workers: usize,
        snaplen: usize,
    ) -> Result<Option<(Self, Vec<Lane>)>, ReservationError> {
        match Geometry::fit(reservation.bytes(), workers, snaplen) {
            Some(geometry) => {
                let most = most_decided(reservation.bytes());
                Self::with(geometry.deciding(most), reservation).map(Some)
            }
            None => Ok(None),
        }
    }

    fn with(geometry: Geometry, reservation: Reservation) -> Result<(Self, Vec<Lane>), ReservationError> {
        let memory = Arc::new(reservation.share(geometry)?);
        let header = memory.header();
        for (index, value) in [
            (word::WORKERS, geometry.workers as u64),
            (word::SLOTS, u64::from(geometry.slots)),
            (word::SLOT_BYTES, geometry.slot_bytes as u64),
            (word::SNAPLEN, geometry.snaplen as u64),
            (word::OWN, u64::from(geometry.own.unwrap_or(0))),
            (word::BESIDE, u64::from(geometry.beside)),
            (word::LAYOUT, LAYOUT),
            (word::MAGIC, MAGIC),
        ] {
            header[index].store(value, Ordering::Release);
        }
        let lanes = (0..geometry.lanes())
            .map(|lane| Lane::new(&memory, lane))
            .collect();
        Ok((Self { memory }, lanes))
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
    fn new(memory: &Arc<Memory>, lane: usize) -> Self {
        let (slots, numbers) = (memory.geometry.slots_of(lane), memory.geometry.numbers());
        let [filled, returned] = memory.rings(lane);
        ring::format(filled, "filled", numbers);
        ring::format(returned, "returned", numbers);
        // The tool's own slots are the tool's to begin with.
        let own = memory.geometry.own.unwrap_or(0);
        let out = (0..slots + own).map(|number| number >= slots).collect();
        Self {
            memory: memory.clone(),
            worker: lane,
            filled: Producer::new(numbers),
            returned: Consumer::new(numbers),
            free: (0..slots).rev().collect(),
            out,
            counts: Counts::default(),
            lost_before: 0,
            news: false,
            packets: false,
            counted: false,
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

    /// The next decision of the tool, if there is one. The bytes that it is about, if any, are copied to `bytes`, which has room
    /// for as many as a slot, and counted in the answer.
    pub fn decision(&mut self, bytes: &mut [u8]) -> Result<Option<(Verdict, usize)>, BadVerdict> {
        let [_, returned] = self.memory.rings(self.worker);
        if self.returned.ready(returned)? == 0 {
            return Ok(None);
        }
        let number = self.returned.take(returned);
        self.returned.publish(returned);
        if !self.out.get_mut(number as usize).is_some_and(std::mem::take) {
            return Err(BadVerdict::Slot { slot: number });
        }
        let (head, length) = self.memory.reply_head(self.worker, number);
        let bad = BadVerdict::Decision {
            slot: number,
            head,
            length,
        };
        let own = number >= self.memory.geometry.slots;
        let [decision, stage, low, high] = head.to_le_bytes();
        let interface = u16::from_le_bytes([low, high]);
        let verdict = match (decision, own) {
            (DROP, false) => Verdict::Drop(number),
            (TAKE, false) => Verdict::Take(number),
            (FORWARD, false) => Verdict::Forward(number),
            (REFUSE, false) => Verdict::Refuse(number),
            (REPLACE, _) => {
                let stage = match stage {
                    1 => Stage::Input,
                    2 => Stage::Output,
                    3 => Stage::Own,
                    _ => return Err(bad),
                };
                let into = bytes.get_mut(..length as usize).ok_or(bad)?;
                if into.len() > self.memory.geometry.snaplen() {
                    return Err(bad);
                }
                self.memory.read_reply(self.worker, number, into);
                if own {
                    Verdict::Send { stage, interface }
                } else {
                    Verdict::Rewrite {
                        slot: number,
                        stage,
                        interface,
                    }
                }
            }
            _ => return Err(bad),
        };
        if own {
            // Copied: the tool may have it again.
            self.out[number as usize] = true;
            let [filled, _] = self.memory.rings(self.worker);
            self.filled.put(filled, number);
            self.news = true;
        } else {
            self.free.push(number);
        }
        let length = if decision == REPLACE { length as usize } else { 0 };
        Ok(Some((verdict, length)))
    }

    /// Whether something was put in or counted that [`Lane::publish`] has not shown yet.
    pub fn has_news(&self) -> bool {
        self.news | self.counted
    }

    /// Bytes of a packet that are kept at most.
    #[inline]
    pub fn snaplen(&self) -> usize {
        self.memory.geometry.snaplen()
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
        self.counted |= packets > 0;
    }

    /// Asks for a slot that will be filled soon, so that it is at hand by then: mostly the tool has just read it, on another CPU.
    #[inline]
    pub fn prefetch(&self) {
        /// How many are filled before it.
        const AHEAD: usize = 4;
        if let Some(place) = self.free.len().checked_sub(1 + AHEAD)
            && let Some(slot) = self.free.get(place)
        {
            self.memory.prefetch(self.worker, *slot);
        }
    }

    /// Notes that a packet goes on without its tool. [`Lane::publish`] shows it.
    #[inline]
    pub fn count_late(&mut self) {
        self.counts.late += 1;
        self.counted = true;
    }

    /// Notes that a packet that matched is not put in, since the tool is behind.
    #[inline]
    pub fn count_lost(&mut self) {
        self.counts.matched += 1;
        self.counts.lost += 1;
        self.lost_before = self.lost_before.saturating_add(1);
        self.counted = true;
    }

    /// Notes that a packet that matched is not put in, since the tool wants no more. [`Lane::publish`] shows it.
    #[inline]
    pub fn count_unsampled(&mut self) {
        self.counts.matched += 1;
        self.counts.unsampled += 1;
        self.counted = true;
    }

    /// Copies a packet that matched into a slot, if one is free, and gives its number; otherwise it is counted as lost.
    #[inline]
    pub fn put<'a>(&mut self, origin: &Origin, segments: impl Iterator<Item = &'a [u8]>) -> Option<u32> {
        let Some(slot) = self.free.pop() else {
            self.count_lost();
            return None;
        };
        self.counts.matched += 1;
        let lost_before = std::mem::take(&mut self.lost_before);
        self.memory.fill(self.worker, slot, origin, lost_before, segments);
        if let Some(out) = self.out.get_mut(slot as usize) {
            *out = true;
        }
        let [filled, _] = self.memory.rings(self.worker);
        self.filled.put(filled, slot);
        self.news = true;
        self.packets = true;
        Some(slot)
    }

    /// Shows the tool what was put in and counted, and wakes it if there is a packet for it and it sleeps.
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
        counter(count::UNSAMPLED, self.counts.unsampled);
        counter(count::LATE, self.counts.late);
        self.counted = false;
        if std::mem::take(&mut self.news) {
            let [filled, _] = self.memory.rings(self.worker);
            self.filled.publish(filled);
            if std::mem::take(&mut self.packets) {
                self.memory.wake();
            }
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
