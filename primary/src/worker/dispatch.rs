//! Does what the stages noted: the one place where packets change hands.

use dpdk::{Mbuf, MbufBatch};
use shm::{DropReason, InterfaceCounter, Passed, PathStage, Ways};

use super::waiting::Awaited;
use super::{Engine, ways};
use crate::adjacency;
use crate::path::{BURST, Disposition, Note, Tracer, errors};

/// A packet and why nobody wanted it.
pub(super) type Refused = (Mbuf, DropReason);

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Moves every packet of the batch to where its note says.
    #[inline]
    pub(super) fn dispatch<T: Tracer>(
        &mut self,
        tracer: &mut T,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        notes: &[Note; BURST],
        now: u64,
    ) {
        if !self.waiting.is_empty() {
            // A next hop that the stages found resolved may still have packets waiting: they leave first.
            self.serve_waiting(now);
        }
        // Freed together at the end of this function.
        let mut dropped = MbufBatch::<BURST>::new();
        let mut discovery = MbufBatch::<BURST>::new();
        // The ways of those.
        let mut discovering = [Passed::NONE; BURST];
        let mut counted = Ways::default();
        let mut waited = false;
        for (mbuf, note) in batch.drain().zip(notes) {
            let passed = note
                .passed
                .with(PathStage::Rx)
                .union(ways::behind(note.disposition));
            if matches!(note.disposition, Disposition::Arp | Disposition::Nd) {
                discovering[discovery.len()] = passed;
            }
            let result = match note.disposition {
                Disposition::Drop(reason) => Err((mbuf, reason)),
                Disposition::Arp if !self.policers.arp.admit(ingress, now) => {
                    Err((mbuf, DropReason::ArpPoliced))
                }
                Disposition::Nd if !self.policers.nd.admit(ingress, now) => {
                    Err((mbuf, DropReason::NdPoliced))
                }
                Disposition::Punt(class) => self.punt_to_tool(class, ingress, mbuf, now),
                Disposition::Arp | Disposition::Nd => discovery
                    .push(mbuf)
                    .map_err(|mbuf| (mbuf, DropReason::PuntRingFull)),
                Disposition::Transmit(_) | Disposition::Wait { .. } => {
                    if waited {
                        // The next hop may have been resolved in the middle of this burst.
                        self.serve_waiting(now);
                    }
                    waited = matches!(note.disposition, Disposition::Wait { .. });
                    self.place(ingress, mbuf, note, now)
                }
            };
            let (end, refused) = match result {
                // Told below.
                Ok(()) if matches!(note.disposition, Disposition::Arp | Disposition::Nd) => continue,
                Ok(()) => (Passed::NONE.with(ways::end(note.disposition)), None),
                Err((mbuf, reason)) if errors::is_told(reason) => {
                    (self.refuse(ingress, mbuf, reason, note.detail, now), Some(reason))
                }
                Err((mbuf, reason)) => {
                    self.counters.drop(ingress, reason, 1);
                    // A batch of drops is never fuller than the batch that it came from.
                    drop(dropped.push(mbuf));
                    (Passed::NONE.with(PathStage::Drop), Some(reason))
                }
            };
            let passed = passed.union(end);
            self.counters.way(&mut counted, passed);
            tracer.end(passed, refused);
        }
        if !discovery.is_empty() {
            let offered = discovery.len();
            let taken = self.punt(ingress, &mut discovery);
            for (number, passed) in discovering.iter().take(offered).enumerate() {
                let (end, refused) = if number < taken {
                    (PathStage::Control, None)
                } else {
                    (PathStage::Drop, Some(DropReason::PuntRingFull))
                };
                self.counters.way(&mut counted, passed.with(end));
                tracer.end(passed.with(end), refused);
            }
        }
        self.counters.ways(&counted);
    }

    /// Puts a packet where it leaves or waits, or gives it back with the reason why neither can be.
    #[inline]
    pub(super) fn place(
        &mut self,
        ingress: u16,
        mut mbuf: Mbuf,
        note: &Note,
        now: u64,
    ) -> Result<(), Refused> {
        if mbuf.len() != usize::from(note.length) {
            mbuf.truncate(usize::from(note.length));
        }
        let interface = match note.disposition {
            Disposition::Transmit(interface) => interface,
            Disposition::Wait { interface, adjacency } => {
                let Some((next_hop, destination)) = self.stages.awaited(adjacency, mbuf.data(), note) else {
                    return Err((mbuf, DropReason::NeighborFailed));
                };
                let route = Awaited {
                    interface,
                    next_hop,
                    destination,
                };
                return self.wait(ingress, route, mbuf, now);
            }
            Disposition::Drop(reason) => return Err((mbuf, reason)),
            // Only what was just received can be these.
            Disposition::Arp => return Err((mbuf, DropReason::ArpMalformed)),
            Disposition::Nd => return Err((mbuf, DropReason::NdMalformed)),
            Disposition::Punt(_) => return Err((mbuf, DropReason::PuntClosed)),
        };
        if note.trim != 0 && mbuf.trim_front(usize::from(note.trim)).is_err() {
            return Err((mbuf, DropReason::EthernetTruncated));
        }
        self.transmit
            .push(interface, mbuf, &self.counters)
            .map_err(|mbuf| (mbuf, DropReason::TxFull))?;
        if note.echo_reply {
            self.counters.add(ingress, InterfaceCounter::EchoReplies, 1);
        }
        Ok(())
    }

    #[cold]
    fn punt(&mut self, ingress: u16, discovery: &mut MbufBatch<BURST>) -> usize {
        let taken = self.discovery.enqueue(discovery);
        self.counters
            .add(ingress, InterfaceCounter::Delivered, taken as u64);
        self.counters
            .drop(ingress, DropReason::PuntRingFull, discovery.len() as u64);
        self.doorbell.ring();
        taken
    }
}

/// Marks the packets that lie in more than one segment as dropped, whatever the stages made of their first.
#[cold]
pub(super) fn refuse_segmented(batch: &MbufBatch<BURST>, notes: &mut [Note; BURST]) {
    for (mbuf, note) in batch.iter().zip(notes) {
        if mbuf.segment_count() != 1 {
            note.disposition = Disposition::Drop(DropReason::Segmented);
        }
    }
}
