//! What a worker says of itself: rounds, ticks, packets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shm::WorkerCounter;

use super::Engine;
use crate::adjacency;

/// Has a worker begin its longest round anew; the control thread and the worker have one each.
#[derive(Clone, Debug, Default)]
pub struct LongestAnew(Arc<Anew>);

#[derive(Debug, Default)]
struct Anew {
    /// How often that was asked for.
    asked: AtomicU64,
    /// How often as of the last time that the worker did so.
    done: AtomicU64,
}

impl LongestAnew {
    /// Asks the worker to.
    pub fn ask(&self) {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the worker has since it was last asked: readers see it.
    pub fn is_done(&self) -> bool {
        self.0.done.load(Ordering::Acquire) == self.0.asked.load(Ordering::Relaxed)
    }
}

/// What a worker says of itself.
pub(super) struct Tally {
    started: u64,
    loops: u64,
    busy_loops: u64,
    packets: u64,
    busy_ticks: u64,
    longest: u64,
    anew: LongestAnew,
    /// Times that it slept.
    pub(super) sleeps: u64,
    /// Packets that it gave to others.
    pub(super) handed_over: u64,
}

impl Tally {
    pub(super) fn new(anew: LongestAnew) -> Self {
        Self {
            started: dpdk::tsc(),
            loops: 0,
            busy_loops: 0,
            packets: 0,
            busy_ticks: 0,
            longest: 0,
            anew,
            sleeps: 0,
            handed_over: 0,
        }
    }

    #[inline]
    pub(super) fn round(&mut self, begin: u64, end: u64, received: usize, moved: usize) {
        self.loops += 1;
        self.packets += received as u64;
        if moved > 0 {
            let ticks = end.wrapping_sub(begin);
            self.busy_loops += 1;
            self.busy_ticks += ticks;
            self.longest = self.longest.max(ticks);
        }
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.loops.is_multiple_of(1024)
    }

    pub(super) fn publish<F: fib::Storage, A: adjacency::Storage>(
        &mut self,
        engine: &Engine<F, A>,
        now: u64,
    ) {
        let asked = self.anew.0.asked.load(Ordering::Relaxed);
        let is_anew = asked != self.anew.0.done.load(Ordering::Relaxed);
        if is_anew {
            self.longest = 0;
        }
        let counters = &engine.counters;
        counters.set_worker(WorkerCounter::Loops, self.loops);
        counters.set_worker(WorkerCounter::BusyLoops, self.busy_loops);
        counters.set_worker(WorkerCounter::Packets, self.packets);
        counters.set_worker(WorkerCounter::BusyTicks, self.busy_ticks);
        counters.set_worker(WorkerCounter::Ticks, now.wrapping_sub(self.started));
        counters.set_worker(WorkerCounter::Sleeps, self.sleeps);
        counters.set_worker(WorkerCounter::LongestTicks, self.longest);
        counters.set_worker(WorkerCounter::HandedOver, self.handed_over);
        counters.set_worker(WorkerCounter::BadVerdicts, engine.bad_verdicts());
        engine.services.publish(counters);
        if is_anew {
            self.anew.0.done.store(asked, Ordering::Release);
        }
    }
}
