//! Packets that are traced go one by one through the same stages, with somebody who writes down where they are.

use dpdk::{Chain, Mbuf, MbufBatch};

use super::following::Ending;
use super::{Engine, away};
use crate::adjacency;
use crate::path::{BURST, Burst, Disposition, NOTES, Off};
use crate::trace::{Followed, Leg};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Lets traces come and go.
    #[inline]
    pub(super) fn serve_traces(&mut self) {
        if self.traces.has_mail() {
            self.traces.read_mail(|_| {});
            self.doorbell.ring();
        }
    }

    /// Takes a burst of which some packets are to be traced through the stages, packet by packet; `false`, and nothing is done,
    /// if there is none.
    #[cold]
    pub(super) fn trace_burst(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>, now: u64) -> bool {
        if !self.following.is_empty() && self.follow_burst(ingress, batch, now) {
            return true;
        }
        let mut place = 0;
        let chosen = loop {
            match self.traces.get_mut(place) {
                None => return false,
                Some(part) if part.is_over() => {
                    self.traces.hand_back(place, None);
                    self.doorbell.ring();
                }
                Some(part) => match part.choose(ingress, batch) {
                    0 => place += 1,
                    chosen => break chosen,
                },
            }
        };
        for (number, mbuf) in batch.drain().enumerate() {
            let mut one = MbufBatch::<BURST>::new();
            // An empty batch has room.
            drop(one.push(mbuf));
            if chosen & 1 << number != 0 {
                self.trace(ingress, &mut one, place, now);
            } else {
                self.untraced(ingress, &mut one, now);
            }
        }
        true
    }

    fn trace(&mut self, ingress: u16, one: &mut MbufBatch<BURST>, place: usize, now: u64) {
        if let (Some(mbuf), Some(part)) = (one.first(), self.traces.get_mut(place)) {
            let followed = part.follow(Leg::received(ingress, mbuf, None));
            self.trace_on(followed, ingress, one, now);
        }
    }

    /// Takes a packet through the stages whose last leg has just begun.
    pub(super) fn trace_on(
        &mut self,
        mut followed: Followed,
        ingress: u16,
        one: &mut MbufBatch<BURST>,
        now: u64,
    ) {
        let leg = followed.leg();
        let mut notes = NOTES;
        if let Some(mbuf) = one.first_mut() {
            let recorder = &mut leg.watched.recorder;
            notes[0] = self.stages.run_traced(ingress, Chain::of_one(mbuf), recorder);
        }
        let note = notes[0];
        leg.note = note;
        if let Some(mbuf) = one.first() {
            self.see(leg, mbuf);
        }
        let at = one.first().map_or(0, away::place_of);
        if self.enters_tunnel(&note) {
            // Before: it may be another worker's afterwards.
            let number = self.following.keep(at, followed);
            let mut ending = Ending::default();
            self.dispatch(&mut ending, ingress, one, &notes, now);
            return self.settle(number, &ending);
        }
        self.away.forget_given();
        self.dispatch(&mut leg.watched.recorder, ingress, one, &notes, now);
        let ended = match note.disposition {
            Disposition::Punt(class) => self.away.keep(at, class, followed),
            _ => Some(followed),
        };
        if let Some(followed) = ended {
            followed.finish();
            self.doorbell.ring();
        }
    }

    /// Takes down what is known of a packet between the stages and where they send it.
    pub(super) fn see(&mut self, leg: &mut Leg, mbuf: &Mbuf) {
        let (note, bytes) = (leg.note, mbuf.data());
        match note.disposition {
            Disposition::Transmit(_) | Disposition::Fragment(_) => {
                // As much as is in the first segment.
                let end = usize::from(note.length).min(bytes.len());
                let left = bytes.get(usize::from(note.trim)..end);
                leg.watched.leaves(left.unwrap_or_default());
            }
            Disposition::Redirect { interface, .. } => {
                // As it will be: its sender is told first.
                let end = usize::from(note.length).min(bytes.len());
                let left = bytes.get(usize::from(note.trim)..end).unwrap_or_default();
                if let Some(leaving) = self.buffer.get_mut(..left.len()) {
                    leaving.copy_from_slice(left);
                    if self.stages.complete(interface, leaving, &note).is_ok() {
                        leg.watched.leaves(leaving);
                    }
                }
            }
            Disposition::Wait { adjacency, .. } => {
                let awaited = self.stages.awaited(adjacency, bytes, &note);
                leg.awaited = awaited.map(|(next_hop, _)| next_hop);
            }
            _ => {}
        }
        let found = leg.watched.recorder.next_hop;
        leg.found = found.map(|found| self.stages.explain(found));
    }

    /// Takes one packet through the stages.
    pub(super) fn untraced(&mut self, ingress: u16, one: &mut MbufBatch<BURST>, now: u64) {
        let mut notes = NOTES;
        self.stages.run(
            ingress,
            &mut Burst {
                packets: Chain::of(one),
                notes: &mut notes,
            },
        );
        self.dispatch(&mut Off, ingress, one, &notes, now);
    }
}
