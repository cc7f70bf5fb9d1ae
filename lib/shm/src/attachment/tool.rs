//! The tool's side of an attachment.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::memory::{Memory, Origin};
use super::ring::{BadPosition, Consumer, Producer};
use super::{Clock, Counts, Geometry, LAYOUT, MAGIC, Way, count, word};
use crate::mapping::Mapping;

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
    /// As much of it as was asked for.
    pub data: &'a [u8],
}

/// Why the memory is none that this tool can use.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Of another build, or no such memory.
    #[error("the attachment's memory is not what this tool expects: use tools of the primary's build")]
    Layout,
    /// The kernel refused it.
    #[error("cannot map the attachment's memory: {0}")]
    Io(#[from] io::Error),
}

impl ToolEnd {
    /// Maps what the primary handed over: the memory of the packets, and that of the rings.
    pub fn open(packets: OwnedFd, rings: OwnedFd) -> Result<Self, OpenError> {
        let (packet_file, ring_file) = (File::from(packets), File::from(rings));
        let length = |file: &File| -> io::Result<usize> {
            usize::try_from(file.metadata()?.len()).map_err(io::Error::other)
        };
        let bytes = length(&packet_file)?;
        let packets = Mapping::readable(&packet_file, bytes)?;
        let header = packets.words().get(..512).ok_or(OpenError::Layout)?;
        let [magic, layout, workers, slots, slot_bytes] = [
            word::MAGIC,
            word::LAYOUT,
            word::WORKERS,
            word::SLOTS,
            word::SLOT_BYTES,
        ]
        .map(|index| header[index].load(Ordering::Acquire));
        let small = workers <= 1024 && slots <= 1 << 20 && slot_bytes <= 1 << 20;
        if magic != MAGIC || layout != LAYOUT || !small || slot_bytes < 64 || slot_bytes % 64 != 0 {
            return Err(OpenError::Layout);
        }
        let geometry = Geometry {
            workers: workers as usize,
            slots: slots as u32,
            slot_bytes: slot_bytes as usize,
        };
        let ring_bytes = length(&ring_file)?;
        if geometry.packet_bytes() > bytes || geometry.ring_bytes() > ring_bytes {
            return Err(OpenError::Layout);
        }
        let clock = Clock::read(header).ok_or(OpenError::Layout)?;
        let rings = Mapping::writable(&ring_file, ring_bytes)?;
        let lane = |_| ToolLane {
            filled: Consumer::new(geometry.slots),
            returned: Producer::new(geometry.slots),
        };
        Ok(Self {
            lanes: (0..geometry.workers).map(lane).collect(),
            packet: vec![0; geometry.snaplen()],
            memory: Memory::new(geometry, (packet_file, packets), (ring_file, rings)),
            clock,
            batch: Vec::with_capacity(BATCH),
        })
    }

    /// Hands out what packets there are, the oldest first, at most 256 of them, and gives how many.
    pub fn receive(&mut self, take: &mut dyn FnMut(&Packet<'_>)) -> Result<usize, BadPosition> {
        self.batch.clear();
        let workers = self.lanes.len().max(1);
        for (worker, lane) in self.lanes.iter_mut().enumerate() {
            let [filled, _] = self.memory.rings(worker);
            let ready = lane.filled.ready(filled)?.min((BATCH / workers).max(1) as u32);
            for _ in 0..ready {
                let slot = lane.filled.take(filled) % self.memory.geometry.slots;
                let ticks = self
                    .memory
                    .slot_header(worker, slot)
                    .map_or(0, |header| header.origin.ticks);
                self.batch.push((ticks, worker, slot));
            }
            if ready > 0 {
                lane.filled.publish(filled);
            }
        }
        if workers > 1 {
            self.batch.sort_by_key(|(ticks, ..)| *ticks);
        }
        // The clock goes on with the time of day, which may be set meanwhile.
        self.clock = Clock::read(self.memory.header()).unwrap_or(self.clock);
        for (_, worker, slot) in &self.batch {
            if let Some(header) = self.memory.slot_header(*worker, *slot) {
                let packet = &mut self.packet[..header.captured];
                self.memory.read(*worker, *slot, packet);
                let Origin {
                    ticks,
                    interface,
                    way,
                    wire_length,
                } = header.origin;
                take(&Packet {
                    time_ns: self.clock.time_ns(ticks),
                    interface,
                    way,
                    wire_length,
                    data: packet,
                });
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
            self.lanes.iter().enumerate().any(waiting) || self.has_ended()
        });
    }

    /// Whether no worker puts any more packets in.
    pub fn has_ended(&self) -> bool {
        (0..self.lanes.len())
            .all(|worker| self.memory.counter(worker, count::ENDED).load(Ordering::Acquire) != 0)
    }

    /// What the workers have counted.
    pub fn counts(&self) -> Counts {
        self.memory.counts()
    }
}
