//! The tool's side of an attachment.

use std::os::fd::OwnedFd;
use std::time::Duration;

pub use super::memory::OpenError;
use super::memory::{Memory, Origin, SlotHeader};
use super::ring::{BadPosition, Consumer, Producer};
use super::{Clock, Counts, Dropped, Way};

/// The most packets that one call hands out: what is returned late is missing in the primary.
const BATCH: usize = 256;

/// What a tool has of its attachment.
pub struct ToolEnd {
    memory: Memory,
    lanes: Vec<ToolLane>,
    clock: Clock,
    /// Worker and slot of what is being handed out, and when it came.
    batch: Vec<(u64, usize, u32)>,
    packet: Vec<u8>,
}

struct ToolLane {
    filled: Consumer,
    returned: Producer,
}

/// A packet, copied out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it came or went: nanoseconds since 1970, UTC.
    pub time_ns: u64,
    /// Index of the interface.
    pub interface: u16,
    /// Which way it went.
    pub way: Way,
    /// Its length, from the Ethernet header on, without FCS.
    pub wire_length: u32,
    /// The number of the rule for router alerts that it fits, if that is why the tool is asked.
    pub rule: Option<u16>,
    /// The same wherever this packet is seen; 0 for none.
    pub id: u64,
    /// The worker that saw it, from 0; `None` where another thread of the primary did.
    pub worker: Option<u16>,
    /// The queue of the port that it came or goes by, if it is one's.
    pub queue: Option<u16>,
    /// Packets that matched, and were lost right before it at this worker.
    pub lost_before: u32,
    /// Why it was dropped, if it was.
    pub dropped: Option<Dropped>,
    /// As much of it as was asked for.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(super) fn new(worker: Option<u16>, header: &SlotHeader, clock: &Clock, data: &'a [u8]) -> Self {
        let Origin {
            ticks,
            interface,
            way,
            wire_length,
            rule,
            id,
            queue,
            dropped,
        } = header.origin;
        Self {
            time_ns: clock.time_ns(ticks),
            interface,
            way,
            wire_length,
            rule,
            id,
            worker,
            queue,
            lost_before: header.lost_before,
            dropped,
            data,
        }
    }
}

impl ToolEnd {
    /// Maps what the primary handed over: the memory of the packets, and that of the rings.
    pub fn open(packets: OwnedFd, rings: OwnedFd) -> Result<Self, OpenError> {
        let memory = Memory::open(packets, rings)?;
        let clock = Clock::read(memory.header()).ok_or(OpenError::Layout)?;
        let geometry = memory.geometry;
        let lane = |_| ToolLane {
            filled: Consumer::new(geometry.numbers()),
            returned: Producer::new(geometry.numbers()),
        };
        Ok(Self {
            lanes: (0..geometry.lanes()).map(lane).collect(),
            packet: vec![0; geometry.snaplen()],
            memory,
            clock,
            batch: Vec::with_capacity(BATCH),
        })
    }

    /// Hands out what packets there are, the oldest first, at most 256 of them, and gives how many.
    pub fn receive(&mut self, take: &mut dyn FnMut(&Packet<'_>)) -> Result<usize, BadPosition> {
        self.batch.clear();
        let lanes = self.lanes.len().max(1);
        let geometry = self.memory.geometry;
        for (worker, lane) in self.lanes.iter_mut().enumerate() {
            let [filled, _] = self.memory.rings(worker);
            let ready = lane.filled.ready(filled)?.min((BATCH / lanes).max(1) as u32);
            for _ in 0..ready {
                let slot = lane.filled.take(filled) % geometry.slots_of(worker).max(1);
                // All at once: they are in the cache of the worker's CPU.
                self.memory.prefetch_to_read(worker, slot);
                self.batch.push((0, worker, slot));
            }
            if ready > 0 {
                lane.filled.publish(filled);
            }
        }
        if lanes > 1 {
            for (ticks, worker, slot) in &mut self.batch {
                let header = self.memory.slot_header(*worker, *slot);
                *ticks = header.map_or(0, |header| header.origin.ticks);
            }
            self.batch.sort_by_key(|(ticks, ..)| *ticks);
        }
        // The clock goes on with the time of day, which may be set meanwhile.
        self.clock = Clock::read(self.memory.header()).unwrap_or(self.clock);
        for (_, worker, slot) in &self.batch {
            if let Some(header) = self.memory.slot_header(*worker, *slot) {
                let packet = &mut self.packet[..header.captured];
                self.memory.read(*worker, *slot, packet);
                let by = (*worker < geometry.workers).then_some(*worker as u16);
                take(&Packet::new(by, &header, &self.clock, packet));
            }
            let [_, returned] = self.memory.rings(*worker);
            self.lanes[*worker].returned.put(returned, *slot);
        }
        for (worker, lane) in self.lanes.iter().enumerate() {
            let [_, returned] = self.memory.rings(worker);
            lane.returned.publish(returned);
        }
        Ok(self.batch.len())
    }

    /// Sleeps until there is a packet, or the primary has ended the attachment, or `timeout` is over.
    pub fn wait(&self, timeout: Duration) {
        self.memory.sleep(timeout, || {
            let waiting = |(worker, lane): (usize, &ToolLane)| {
                let [filled, _] = self.memory.rings(worker);
                lane.filled.ready(filled) != Ok(0)
            };
            self.lanes.iter().enumerate().any(waiting) || self.memory.has_ended()
        });
    }

    /// Packets that each worker can have under way.
    pub fn slots(&self) -> u32 {
        self.memory.geometry.slots
    }

    /// Whether no worker puts any more packets in.
    pub fn has_ended(&self) -> bool {
        self.memory.has_ended()
    }

    /// What the workers have counted.
    pub fn counts(&self) -> Counts {
        self.memory.counts()
    }
}
