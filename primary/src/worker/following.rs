//! Traced packets that tunnels have: each is followed until what a tunnel made of it goes through the stages, so that one record has its
//! whole way.
//!
//! ```text
//!   traced, a tunnel takes it ─► kept here ─┬─► opened or sealed ─► through the stages, with a recorder ─► told of, or kept again
//!                                           └─► slot ─► the worker whose SA it is, which keeps it
//! ```
//!
//! A packet is known by where it lies. At the end of a round no tunnel has packets any more, so none is kept longer.

use std::sync::{Arc, Mutex};

use dpdk::{Chain, Mbuf, MbufBatch};
use shm::{DropReason, Passed, PathStage};

use super::Engine;
use super::away::place_of;
use super::tunnels::ENCAPSULATED;
use crate::adjacency;
use crate::path::{BURST, Disposition, Note, Tracer};
use crate::trace::{Followed, Leg, Protection};

/// Traced packets of a worker that tunnels can have at a time. What is written down of one more ends where the tunnel has it.
const MOST: usize = BURST;
/// Traced packets that can be on their way from a worker to another at a time, of all together.
const SLOTS: usize = 16;

/// All of a worker.
pub(super) struct Following {
    packets: Vec<Kept>,
    next: u64,
}

/// A traced packet that a tunnel has.
pub(super) struct Kept {
    at: usize,
    number: u64,
    followed: Followed,
}

/// Those that are handed over to the workers whose SAs they are of.
#[derive(Clone)]
pub(super) struct Slots(Arc<[Mutex<Option<Kept>>; SLOTS]>);

impl Slots {
    pub(super) fn new() -> Self {
        Self(Arc::new([const { Mutex::new(None) }; SLOTS]))
    }

    /// Puts one in, and gives what the label of its packet says of it; where there is no room it is told of.
    fn put(&self, kept: Kept) -> u8 {
        for (label, slot) in (1..).zip(self.0.iter()) {
            if let Ok(mut slot) = slot.try_lock()
                && slot.is_none()
            {
                *slot = Some(kept);
                return label;
            }
        }
        kept.followed.finish();
        0
    }

    fn take(&self, label: u8) -> Option<Kept> {
        let slot = self.0.get(usize::from(label).checked_sub(1)?)?;
        slot.lock().ok()?.take()
    }
}

/// Takes down where a packet ends that is kept meanwhile.
#[derive(Default)]
pub(super) struct Ending {
    passed: Passed,
    refused: Option<DropReason>,
}

impl Tracer for Ending {
    const WATCHES: bool = true;

    fn enter(&mut self, _: PathStage) {}

    fn found(&mut self, _: fib::NextHop) {}

    fn goes_on(&mut self, _: &Note, _: &[u8]) {}

    fn end(&mut self, passed: Passed, refused: Option<DropReason>) {
        (self.passed, self.refused) = (passed, refused);
    }
}

impl Following {
    /// None yet, at the worker of this number.
    pub(super) fn new(worker: usize) -> Self {
        Self {
            packets: Vec::with_capacity(MOST),
            // Another than those of packets that come from other workers.
            next: (worker as u64) << 48,
        }
    }

    /// Whether there is none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Keeps what was written down of the packet at `at`, or tells of it where there is no room. Gives its number.
    pub(super) fn keep(&mut self, at: usize, followed: Followed) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.packets.len() < MOST {
            self.packets.push(Kept { at, number, followed });
        } else {
            followed.finish();
        }
        number
    }

    /// Whether a packet is one of them.
    pub(super) fn has(&self, mbuf: &Mbuf) -> bool {
        let at = place_of(mbuf);
        self.packets.iter().any(|kept| kept.at == at)
    }

    /// One of them.
    pub(super) fn get_mut(&mut self, mbuf: &Mbuf) -> Option<&mut Followed> {
        let at = place_of(mbuf);
        let kept = self.packets.iter_mut().find(|kept| kept.at == at);
        kept.map(|kept| &mut kept.followed)
    }

    fn take_kept(&mut self, at: usize) -> Option<Kept> {
        let place = self.packets.iter().position(|kept| kept.at == at)?;
        Some(self.packets.swap_remove(place))
    }

    /// Takes what was written down of a packet.
    pub(super) fn take(&mut self, mbuf: &Mbuf) -> Option<Followed> {
        self.take_kept(place_of(mbuf)).map(|kept| kept.followed)
    }

    /// A packet lies elsewhere from now on.
    pub(super) fn moves(&mut self, from: &Mbuf, to: &Mbuf) {
        if self.is_empty() {
            return;
        }
        let from = place_of(from);
        if let Some(kept) = self.packets.iter_mut().find(|kept| kept.at == from) {
            kept.at = place_of(to);
        }
    }

    /// Puts what was written down of a packet where another worker finds it; gives what its label says of that.
    #[inline]
    pub(super) fn hand_over(&mut self, slots: &Slots, mbuf: &Mbuf, stage: Option<PathStage>) -> u8 {
        if self.is_empty() {
            return 0;
        }
        self.put_into(slots, mbuf, stage)
    }

    #[cold]
    fn put_into(&mut self, slots: &Slots, mbuf: &Mbuf, stage: Option<PathStage>) -> u8 {
        let Some(mut kept) = self.take_kept(place_of(mbuf)) else {
            return 0;
        };
        if let Some(stage) = stage {
            kept.followed.leg().watched.enter(stage);
        }
        slots.put(kept)
    }

    /// Keeps what another worker, or this one, has put there, of a packet with this label.
    #[inline]
    pub(super) fn take_over(&mut self, slots: &Slots, mbuf: &Mbuf, label: u8) {
        if label != 0
            && let Some(Kept { number, followed, .. }) = slots.take(label)
        {
            self.take_back(place_of(mbuf), number, followed);
        }
    }

    #[cold]
    fn take_back(&mut self, at: usize, number: u64, followed: Followed) {
        if self.packets.len() < MOST {
            self.packets.push(Kept { at, number, followed });
        } else {
            followed.finish();
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Whether packets may be traced in what comes next.
    #[inline]
    pub(super) fn looks_on(&self) -> bool {
        !(self.traces.is_empty() && self.following.is_empty())
    }

    /// Whether a tunnel takes a packet that its note says this of, or may.
    pub(super) fn enters_tunnel(&self, note: &Note) -> bool {
        match note.disposition {
            Disposition::Esp | Disposition::Tunnelled(_) | Disposition::Gather => true,
            Disposition::Transmit(interface) | Disposition::Redirect { interface, .. } => {
                self.stages.interfaces.tunnel(interface).is_some()
            }
            _ => false,
        }
    }

    /// A packet that was kept under this number before somebody took it has ended there.
    pub(super) fn settle(&mut self, number: u64, ending: &Ending) {
        let packets = &mut self.following.packets;
        let Some(place) = packets.iter().position(|kept| kept.number == number) else {
            return;
        };
        if let Some(kept) = packets.get_mut(place) {
            let recorder = &mut kept.followed.leg().watched.recorder;
            recorder.end(ending.passed, ending.refused);
        }
        if ending.refused.is_some() {
            packets.swap_remove(place).followed.finish();
            self.doorbell.ring();
        }
    }

    /// Takes those of a burst that are followed through the stages, with all others, one by one; `false`, and nothing is done, if there
    /// are none.
    #[cold]
    pub(super) fn follow_burst(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>, now: u64) -> bool {
        if !batch.iter().any(|mbuf| self.following.has(mbuf)) {
            return false;
        }
        for mbuf in batch.drain() {
            let begun = self.following.take(&mbuf).and_then(|mut followed| {
                let opened = followed.protection.take();
                followed.begin(Leg::received(ingress, &mbuf, opened))
            });
            let mut one = MbufBatch::<BURST>::new();
            // An empty batch has room.
            drop(one.push(mbuf));
            match begun {
                Some(followed) => self.trace_on(followed, ingress, &mut one, now),
                None if self.trace_burst(ingress, &mut one, now) => {}
                None => self.untraced(ingress, &mut one, now),
            }
        }
        true
    }

    /// Sends an outer packet that is followed.
    #[cold]
    pub(super) fn send_followed(&mut self, mut followed: Followed, tunnel: u16, mut mbuf: Mbuf, now: u64) {
        let sealed = followed.protection.take();
        let Some(mut followed) = followed.begin(Leg::outer(tunnel, &mbuf, sealed)) else {
            return self.send_outer(tunnel, mbuf, now);
        };
        let leg = followed.leg();
        let recorder = &mut leg.watched.recorder;
        leg.note = self.stages.run_again(recorder, tunnel, Chain::of_one(&mut mbuf));
        let note = leg.note;
        self.learn_from(tunnel, &note, now);
        self.see(leg, &mbuf);
        if self.enters_tunnel(&note) {
            let number = self.following.keep(place_of(&mbuf), followed);
            let mut ending = Ending::default();
            self.place_again(&mut ending, ENCAPSULATED, tunnel, mbuf, &note, now);
            return self.settle(number, &ending);
        }
        let recorder = &mut followed.leg().watched.recorder;
        self.place_again(recorder, ENCAPSULATED, tunnel, mbuf, &note, now);
        followed.finish();
        self.doorbell.ring();
    }

    /// Of an outer packet that was cut the first fragment is followed.
    #[inline]
    pub(super) fn follow_first<const N: usize>(&mut self, whole: &Mbuf, fragments: &MbufBatch<N>) {
        if let Some(first) = fragments.first() {
            self.following.moves(whole, first);
        }
    }

    /// A tunnel has dropped a packet that it was to take or to send.
    #[inline]
    pub(super) fn lose(&mut self, mbuf: &Mbuf, tunnel: u16, at: PathStage, reason: DropReason) {
        if !self.following.is_empty() {
            self.lose_followed(mbuf, tunnel, at, reason, None);
        }
    }

    #[cold]
    pub(super) fn lose_followed(
        &mut self,
        mbuf: &Mbuf,
        tunnel: u16,
        at: PathStage,
        reason: DropReason,
        sa: Option<Protection>,
    ) {
        if let Some(mut followed) = self.following.take(mbuf) {
            let sa = sa.map(|sa| (dpdk::tsc(), sa)).or(followed.protection.take());
            if let Some(followed) = followed.begin(Leg::refused(tunnel, mbuf, at, reason, sa)) {
                followed.finish();
            }
            self.doorbell.ring();
        }
    }

    /// Tells of those that no tunnel has any more: they went where nobody looks on.
    #[cold]
    pub(super) fn end_following(&mut self) {
        while let Some(kept) = self.following.packets.pop() {
            kept.followed.finish();
        }
        self.doorbell.ring();
    }
}
