//! The side of a tool that decides about packets.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory::{Memory, OpenError};
use super::ring::{BadPosition, Consumer, Producer};
use super::{Clock, Counts, Packet, Stage, Waker};

/// Decisions, the first byte of an answer; then come stage and interface.
pub(super) const DROP: u8 = 1;
pub(super) const FORWARD: u8 = 2;
pub(super) const REPLACE: u8 = 3;
pub(super) const REFUSE: u8 = 4;
pub(super) const TAKE: u8 = 5;

/// What a tool that decides has of its attachment.
pub struct PuntEnd {
    memory: Arc<Memory>,
    waker: Waker,
    lanes: Vec<PuntLane>,
    clock: Clock,
    packet: Vec<u8>,
    /// When it last had packets.
    taken: Option<Instant>,
    /// How long it looks for packets after the last before it sleeps.
    linger: Duration,
}

/// So long, unless the tool would rather sleep.
const LINGER: Duration = Duration::from_micros(200);
/// Pauses between two looks, of some tens of cycles each.
const PAUSES: u32 = 128;

struct PuntLane {
    filled: Consumer,
    returned: Producer,
    /// Numbers for packets of the tool's own.
    own: Vec<u32>,
    /// Whether something was put in that the worker has not been shown.
    news: bool,
}

/// A packet that the primary waits for an answer about, or the copy of one: any answer gives that back. One that is dropped without
/// an answer keeps its slot until the attachment ends.
#[derive(Debug)]
#[must_use = "the primary waits for an answer"]
pub struct Punted {
    worker: usize,
    slot: u32,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It is forgotten.
    Drop,
    /// It has arrived: the tool is who it was for.
    Take,
    /// It is dropped, and its sender is told that it is prohibited: ICMP 3/13 (RFC 1812 section 5.2.7.1), ICMPv6 1/1 (RFC 4443
    /// section 3.1). Not where an ICMP error may not be sent, and no oftener than others are.
    Refuse,
    /// It goes on as if no tool had been asked.
    Forward,
    /// This frame goes on in its place.
    Replace {
        /// Where.
        stage: Stage,
        /// By this interface.
        interface: u16,
        /// From the Ethernet header on.
        frame: &'a [u8],
    },
}

impl PuntEnd {
    /// Maps what the primary handed over: the memory of the packets, and that of the rings.
    pub fn open(packets: OwnedFd, rings: OwnedFd) -> Result<Self, OpenError> {
        let memory = Arc::new(Memory::open(packets, rings)?);
        let clock = Clock::read(memory.header()).ok_or(OpenError::Layout)?;
        let geometry = memory.geometry;
        let numbers = geometry.numbers();
        let lane = |_| PuntLane {
            filled: Consumer::new(numbers),
            returned: Producer::new(numbers),
            own: (geometry.slots..numbers).collect(),
            news: false,
        };
        Ok(Self {
            lanes: (0..geometry.workers).map(lane).collect(),
            packet: vec![0; geometry.snaplen()],
            waker: Waker::new(&memory),
            memory,
            clock,
            taken: None,
            linger: LINGER,
        })
    }

    /// Has [`PuntEnd::wait`] sleep at once: for a tool that gets few packets and has much to do for each, which would spend more time on
    /// looking for the next than it saves the primary.
    pub fn sleep_at_once(&mut self) {
        self.linger = Duration::ZERO;
    }

    /// What wakes this end from other threads.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Whether its waker was used since this was asked last.
    pub fn was_woken(&self) -> bool {
        self.waker.take()
    }

    /// The longest frame that can be answered with or sent, bytes.
    pub fn longest(&self) -> usize {
        self.packet.len()
    }

    /// Hands out what packets there are, those of each worker the oldest first, and gives how many.
    pub fn receive(&mut self, take: &mut dyn FnMut(Punted, &Packet<'_>)) -> Result<usize, BadPosition> {
        self.clock = Clock::read(self.memory.header()).unwrap_or(self.clock);
        let mut taken = 0;
        for (worker, lane) in self.lanes.iter_mut().enumerate() {
            let [filled, _] = self.memory.rings(worker);
            let ready = lane.filled.ready(filled)?;
            for _ in 0..ready {
                let number = lane.filled.take(filled) % self.memory.geometry.numbers();
                if number >= self.memory.geometry.slots {
                    lane.own.push(number);
                    continue;
                }
                let Some(header) = self.memory.slot_header(worker, number) else {
                    continue;
                };
                let data = &mut self.packet[..header.captured];
                self.memory.read(worker, number, data);
                let punted = Punted { worker, slot: number };
                take(
                    punted,
                    &Packet::new(Some(worker as u16), &header, &self.clock, data),
                );
                taken += 1;
            }
            if ready > 0 {
                lane.filled.publish(filled);
            }
        }
        if taken > 0 {
            self.taken = Some(Instant::now());
        }
        Ok(taken)
    }

    /// Answers about a packet. The worker sees it after [`PuntEnd::flush`]. A frame that is longer than [`PuntEnd::longest`] is
    /// not taken: the packet is dropped, and the answer is `false`.
    pub fn answer(&mut self, punted: Punted, answer: Answer<'_>) -> bool {
        let Punted { worker, slot } = punted;
        let (head, frame, taken) = match answer {
            Answer::Drop => (head(DROP, 0, 0), &[][..], true),
            Answer::Take => (head(TAKE, 0, 0), &[][..], true),
            Answer::Forward => (head(FORWARD, 0, 0), &[][..], true),
            Answer::Refuse => (head(REFUSE, 0, 0), &[][..], true),
            Answer::Replace {
                stage,
                interface,
                frame,
            } if frame.len() <= self.longest() => (head(REPLACE, stage as u8, interface), frame, true),
            Answer::Replace { .. } => (head(DROP, 0, 0), &[][..], false),
        };
        self.put(worker, slot, head, frame);
        taken
    }

    /// Sends a frame of the tool's own by way of worker 0, after [`PuntEnd::flush`]; `false` when it is too long or there are too
    /// many on their way already.
    pub fn send(&mut self, stage: Stage, interface: u16, frame: &[u8]) -> bool {
        let free = self
            .lanes
            .first_mut()
            .filter(|_| frame.len() <= self.packet.len());
        match free.and_then(|lane| lane.own.pop()) {
            Some(number) => {
                self.put(0, number, head(REPLACE, stage as u8, interface), frame);
                true
            }
            None => false,
        }
    }

    fn put(&mut self, worker: usize, number: u32, head: u32, frame: &[u8]) {
        // Where nothing is decided, copies are only given back.
        if self.memory.geometry.own.is_some() {
            self.memory.write_reply(worker, number, head, frame);
        }
        let [_, returned] = self.memory.rings(worker);
        let lane = &mut self.lanes[worker];
        lane.returned.put(returned, number);
        lane.news = true;
    }

    /// Shows the workers what was answered and sent.
    pub fn flush(&mut self) {
        for (worker, lane) in self.lanes.iter_mut().enumerate() {
            if std::mem::take(&mut lane.news) {
                let [_, returned] = self.memory.rings(worker);
                lane.returned.publish(returned);
            }
        }
    }

    /// Sleeps until there is a packet, or its waker is used, or the primary has ended the attachment, or `timeout` is over.
    ///
    /// Right after packets it looks for more for 200 µs before it sleeps: to wake it takes the primary a system call, which costs
    /// as much as to forward dozens of packets. Not after [`PuntEnd::sleep_at_once`].
    pub fn wait(&self, timeout: Duration) {
        let ready = || {
            let waiting = |(worker, lane): (usize, &PuntLane)| {
                let [filled, _] = self.memory.rings(worker);
                lane.filled.ready(filled) != Ok(0)
            };
            self.lanes.iter().enumerate().any(waiting) || self.memory.has_ended() || self.waker.is_rung()
        };
        let looked_for = timeout.min(self.linger);
        while self.taken.is_some_and(|taken| taken.elapsed() < looked_for) {
            if ready() {
                return;
            }
            for _ in 0..PAUSES {
                std::hint::spin_loop();
            }
        }
        self.memory.sleep(timeout, ready);
    }

    /// Whether no worker takes part any more.
    pub fn has_ended(&self) -> bool {
        self.memory.has_ended()
    }

    /// What the workers have counted: matched are the packets of the classes, lost those that found no free slot.
    pub fn counts(&self) -> Counts {
        self.memory.counts()
    }
}

fn head(decision: u8, stage: u8, interface: u16) -> u32 {
    let [low, high] = interface.to_le_bytes();
    u32::from_le_bytes([decision, stage, low, high])
}
