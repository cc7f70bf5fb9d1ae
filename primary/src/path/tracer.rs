//! Who looks on while packets go through the stages: usually nobody, and then nothing is left of it in the machine code.

use std::net::IpAddr;

use fib::NextHop;
use shm::{DropReason, Passed, PathStage};

use super::{Burst, NOTES, Note, Packet, Stages};
use crate::adjacency::{self, Adjacency};

/// Is told where a packet is. Stages that are told of have been marked in the packet's note by its end, and no others.
pub trait Tracer {
    /// Whether anybody looks on.
    const WATCHES: bool;

    /// A stage begins.
    fn enter(&mut self, stage: PathStage);
    /// The lookup is over.
    fn found(&mut self, next_hop: NextHop);
    /// A packet that is back from a tool has been through the stages and goes where its note says, or is dropped before.
    fn goes_on(&mut self, note: &Note, packet: &[u8]);
    /// The packet is where it ends, with all the stages that it passed; for one that was dropped, why.
    fn end(&mut self, passed: Passed, refused: Option<DropReason>);
}

/// Nobody.
pub struct Off;

impl Tracer for Off {
    const WATCHES: bool = false;

    #[inline(always)]
    fn enter(&mut self, _: PathStage) {}

    #[inline(always)]
    fn found(&mut self, _: NextHop) {}

    #[inline(always)]
    fn goes_on(&mut self, _: &Note, _: &[u8]) {}

    #[inline(always)]
    fn end(&mut self, _: Passed, _: Option<DropReason>) {}
}

/// Stages that a packet goes through at most: all, and all again when it is back from a tool.
const MOST: usize = 2 * PathStage::COUNT;

/// Writes down where one packet was, and when.
#[derive(Clone, Copy, Debug)]
pub struct Recorder {
    steps: [(PathStage, u64); MOST],
    len: usize,
    /// What the lookup found.
    pub next_hop: Option<NextHop>,
    /// Why it was dropped, if it was.
    pub refused: Option<DropReason>,
}

impl Recorder {
    /// For a packet that has been in no stage yet.
    pub fn new() -> Self {
        Self {
            steps: [(PathStage::Rx, 0); MOST],
            len: 0,
            next_hop: None,
            refused: None,
        }
    }

    /// A stage began then, in ticks of the time stamp counter.
    pub fn enter_at(&mut self, stage: PathStage, ticks: u64) {
        if let Some(step) = self.steps.get_mut(self.len) {
            *step = (stage, ticks);
            self.len += 1;
        }
    }

    /// Where it is now.
    pub fn last(&self) -> PathStage {
        self.steps().last().map_or(PathStage::Rx, |(stage, _)| *stage)
    }

    /// The stages, and when each began, in ticks of the time stamp counter.
    pub fn steps(&self) -> &[(PathStage, u64)] {
        self.steps.get(..self.len).unwrap_or_default()
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Tracer for Recorder {
    const WATCHES: bool = true;

    fn enter(&mut self, stage: PathStage) {
        self.enter_at(stage, dpdk::tsc());
    }

    fn found(&mut self, next_hop: NextHop) {
        self.next_hop = Some(next_hop);
    }

    fn goes_on(&mut self, _: &Note, _: &[u8]) {}

    fn end(&mut self, passed: Passed, refused: Option<DropReason>) {
        self.refused = refused;
        // What comes behind the stages is told at once.
        let last = self.last();
        for stage in passed.iter().filter(|stage| *stage > last) {
            self.enter(stage);
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Takes one received packet through all stages and has `recorder` write down where it was.
    #[cold]
    pub fn run_traced<P: Packet>(&self, ingress: u16, packet: P, recorder: &mut Recorder) -> Note {
        let mut notes = NOTES;
        self.run_with(
            &self.punts,
            recorder,
            ingress,
            &mut Burst {
                packets: &mut [packet],
                notes: &mut notes,
            },
        );
        notes[0]
    }

    /// Where an adjacency leads, for people.
    pub fn explain(&self, adjacency: NextHop) -> (Adjacency, IpAddr) {
        (
            self.adjacencies.load(adjacency),
            self.adjacencies.next_hop(adjacency),
        )
    }
}
