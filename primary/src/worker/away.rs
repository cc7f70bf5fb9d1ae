//! Traced packets that tools have: what was written down of each stays here until it is back, so that one record has its whole way.

use control::message::{PuntClass, TraceVerdict};
use dpdk::Mbuf;
use shm::PathStage;

use super::Engine;
use crate::adjacency;
use crate::attachments::HandedBack;
use crate::path::{Off, Tracer};
use crate::trace::Followed;

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
    class: PuntClass,
    followed: Followed,
}

/// Where a packet lies, whatever is put in front of it or taken off.
pub(super) fn place_of(mbuf: &Mbuf) -> usize {
    mbuf.data().as_ptr().addr() - mbuf.headroom()
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

    /// Keeps what was written down of the packet at `at`, if a tool was given that and there is room; else gives
    /// that back.
    pub(super) fn keep(&mut self, at: usize, class: PuntClass, followed: Followed) -> Option<Followed> {
        if self.given != at || self.packets.len() >= MOST {
            return Some(followed);
        }
        self.packets.push(Gone { at, class, followed });
        None
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
            HandedBack::Take(_) => TraceVerdict::Take,
            _ => TraceVerdict::Drop,
        };
        let watched = &mut gone.followed.leg().watched;
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
        let leg = gone.followed.leg();
        if let Some(found) = leg.watched.recorder.next_hop {
            let (adjacency, next_hop) = self.stages.explain(found);
            leg.found = Some((adjacency, next_hop));
            leg.awaited = Some(next_hop).filter(|address| !address.is_unspecified());
        }
        let enters = leg.watched.recorder.refused.is_none()
            && leg
                .watched
                .last_note()
                .is_some_and(|note| self.enters_tunnel(note));
        if enters {
            self.following.keep(gone.at, gone.followed);
        } else {
            gone.followed.finish();
        }
        self.doorbell.ring();
    }
}
