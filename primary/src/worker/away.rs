//! Traced packets that tools have: what was written down of each stays here until it is back, so that one record has its whole way.

use control::message::{PuntClass, TraceVerdict};
use dpdk::Mbuf;
use shm::PathStage;

use super::Engine;
use crate::adjacency;
use crate::attachments::HandedBack;
use crate::path::{Off, Tracer};
use crate::trace::Finished;

/// Traced packets that tools can have at a time. What is written down of one more ends where the tool has it.
const MOST: usize = 64;

/// All of a worker.
pub(super) struct Away {
    packets: Vec<Gone>,
    /// Where the packet lies that a tool was given last.
    given: usize,
}

/// A traced packet that a tool has.
struct Gone {
    /// Where it lies: until it is back no other does.
    at: usize,
    /// Number of the trace.
    part: u32,
    class: PuntClass,
    finished: Finished,
}

/// Where a packet lies.
pub(super) fn place_of(mbuf: &Mbuf) -> usize {
    mbuf.data().as_ptr().addr()
}

impl Away {
    pub(super) fn new() -> Self {
        Self {
            packets: Vec::with_capacity(MOST),
            given: 0,
        }
    }

    /// Whether there is none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// A tool was given a packet.
    #[inline]
    pub(super) fn given(&mut self, mbuf: &Mbuf) {
        self.given = place_of(mbuf);
    }

    /// No packet is meant of those that tools were given before.
    pub(super) fn forget_given(&mut self) {
        self.given = 0;
    }

    /// Keeps what was written down of the packet at `at`, if a tool was given that and there is room; whether it does.
    pub(super) fn keep(&mut self, at: usize, part: u32, class: PuntClass, finished: Finished) -> bool {
        let keeps = self.given == at && self.packets.len() < MOST;
        if keeps {
            self.packets.push(Gone {
                at,
                part,
                class,
                finished,
            });
        }
        keeps
    }

    fn take(&mut self, mbuf: &Mbuf) -> Option<Gone> {
        let at = place_of(mbuf);
        let place = self.packets.iter().position(|gone| gone.at == at)?;
        Some(self.packets.swap_remove(place))
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// As [`go_on`](Self::go_on), of a packet that may be traced.
    #[cold]
    pub(super) fn go_on_traced(&mut self, handed: HandedBack, now: u64) {
        let gone = handed.packet().and_then(|mbuf| self.away.take(mbuf));
        let Some(mut gone) = gone else {
            return self.go_on(&mut Off, handed, now);
        };
        let verdict = match &handed {
            HandedBack::Rewrite(..) => TraceVerdict::Replace,
            HandedBack::Forward(_) => TraceVerdict::Forward,
            _ => TraceVerdict::Drop,
        };
        let watched = &mut gone.finished.watched;
        watched.enter(PathStage::FromTool);
        match (&handed, verdict) {
            (HandedBack::Rewrite(_, _, _, length), _) => {
                watched.is_back(gone.class, verdict, self.consumers.bytes(*length));
            }
            (_, TraceVerdict::Forward) => {
                let bytes = handed.packet().map_or(&[][..], |mbuf| mbuf.data());
                watched.is_back(gone.class, verdict, bytes);
            }
            _ => watched.is_back(gone.class, verdict, &[]),
        }
        self.go_on(watched, handed, now);
        let finished = &mut gone.finished;
        if let Some(found) = finished.watched.recorder.next_hop {
            let (adjacency, next_hop) = self.stages.explain(found);
            finished.found = Some((adjacency, next_hop));
            finished.awaited = Some(next_hop).filter(|address| !address.is_unspecified());
        }
        let mut place = 0;
        while let Some(part) = self.traces.get_mut(place) {
            if crate::attachments::Part::id(part) == gone.part {
                part.is_back();
                part.finish(gone.finished);
                break;
            }
            place += 1;
        }
        self.doorbell.ring();
    }
}
