//! Packets that are traced go one by one through the same stages, with somebody who writes down where they are.

use dpdk::{Chain, MbufBatch};

use super::{Engine, away};
use crate::adjacency;
use crate::attachments::Part;
use crate::path::{BURST, Burst, Disposition, NOTES, Off};
use crate::trace::{Finished, Watched};

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
        let mut place = 0;
        let chosen = loop {
            match self.traces.get_mut(place) {
                None => return false,
                Some(part) if part.is_over() && !part.waits() => {
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
        let Some(mbuf) = one.first_mut() else {
            return;
        };
        let mut watched = Watched::new(ingress, mbuf);
        let mut notes = NOTES;
        notes[0] = self
            .stages
            .run_traced(ingress, Chain::of_one(mbuf), &mut watched.recorder);
        let note = notes[0];
        let at = one.first().map_or(0, away::place_of);
        let bytes = one.first().map_or(&[][..], |mbuf| mbuf.data());
        let mut awaited = None;
        match note.disposition {
            Disposition::Transmit(_) | Disposition::Fragment(_) => {
                // As much as is in the first segment.
                let end = usize::from(note.length).min(bytes.len());
                let left = bytes.get(usize::from(note.trim)..end);
                watched.leaves(left.unwrap_or_default());
            }
            Disposition::Redirect { interface, .. } => {
                // As it will be: its sender is told first.
                let end = usize::from(note.length).min(bytes.len());
                let left = bytes.get(usize::from(note.trim)..end).unwrap_or_default();
                if let Some(leaving) = self.buffer.get_mut(..left.len()) {
                    leaving.copy_from_slice(left);
                    if self.stages.complete(interface, leaving, &note).is_ok() {
                        watched.leaves(leaving);
                    }
                }
            }
            Disposition::Wait { adjacency, .. } => {
                awaited = self.stages.awaited(adjacency, bytes, &note);
            }
            _ => {}
        }
        let found = watched.recorder.next_hop.map(|found| self.stages.explain(found));
        self.away.forget_given();
        self.dispatch(&mut watched.recorder, ingress, one, &notes, now);
        let finished = Finished {
            watched,
            worker: 0,
            note,
            found,
            awaited: awaited.map(|(next_hop, _)| next_hop),
        };
        let Some(part) = self.traces.get_mut(place) else {
            return;
        };
        if let Disposition::Punt(class) = note.disposition
            && self.away.keep(at, part.id(), class, finished)
        {
            part.goes_away();
            return;
        }
        part.finish(finished);
        self.doorbell.ring();
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
