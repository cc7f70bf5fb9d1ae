//! Does what the stages noted: the one place where packets change hands.

use control::message::PuntClass;
use dpdk::{Mbuf, MbufBatch};
use shm::{DropReason, InterfaceCounter, Passed, PathStage, Ways};

use super::waiting::Awaited;
use super::ways::{self, End};
use super::{Engine, alerts};
use crate::adjacency;
use crate::path::punt::Punts;
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
        if self.consumers.is_watched(PuntClass::RouterAlert) {
            self.show_local(ingress, batch, notes, now);
        }
        let count = batch.len();
        if self.stages.interfaces.has_esp() {
            self.prefetch_sas(notes.get(..count).unwrap_or_default());
        }
        // Freed together at the end of this function.
        let mut dropped = MbufBatch::<BURST>::new();
        let mut discovery = MbufBatch::<BURST>::new();
        // Which of these are ARP, a bit each.
        let mut arps = 0;
        // The ways of those.
        let mut discovering = [Passed::NONE; BURST];
        let mut counted = Ways::default();
        let mut waited = false;
        for (mut mbuf, note) in batch.drain().zip(notes) {
            let mut ingress = ingress;
            if let Some(sub_interface) = note.sub_interface() {
                self.received_tagged(sub_interface, &mut mbuf);
                ingress = sub_interface;
            }
            let passed = note
                .passed
                .with(PathStage::Rx)
                .union(ways::behind(note.disposition));
            if matches!(note.disposition, Disposition::Arp | Disposition::Nd) {
                discovering[discovery.len()] = passed;
            }
            let result = match note.disposition {
                Disposition::Drop(reason) => {
                    if reason == DropReason::TunnelDown {
                        self.acquire(note.detail, now);
                    }
                    Err((mbuf, reason))
                }
                Disposition::Arp if !self.policers.arp.admit(ingress, now) => {
                    Err((mbuf, DropReason::ArpPoliced))
                }
                Disposition::Nd if !self.policers.nd.admit(ingress, now) => {
                    Err((mbuf, DropReason::NdPoliced))
                }
                Disposition::Punt(class) => self
                    .punt_to_tool(class, alerts::rule_of(class, note), ingress, mbuf, now)
                    .map(|()| End::at(PathStage::Tool)),
                Disposition::Kernel(interface) => self
                    .hand_to_kernel(interface, mbuf, now)
                    .map(|()| End::at(PathStage::Kernel)),
                Disposition::Arp | Disposition::Nd => {
                    arps |= u32::from(note.disposition == Disposition::Arp) << discovery.len();
                    discovery
                        .push(mbuf)
                        .map(|()| End::at(PathStage::Control))
                        .map_err(|mbuf| (mbuf, DropReason::PuntRingFull))
                }
                Disposition::Gather | Disposition::Reassemble => {
                    let punts = self.stages.punts.clone();
                    self.deliver(ingress, mbuf, note, &punts, now)
                }
                Disposition::Tunnelled(tunnel) => self.decapsulate(ingress, tunnel, mbuf, note),
                Disposition::TunnelMtu(tunnel) => {
                    self.learn_mtu(tunnel, note.detail, now);
                    Err((mbuf, DropReason::TunnelError))
                }
                Disposition::EspError => {
                    let reason = self.esp_error(mbuf.data(), note.family(), note.detail, now);
                    Err((mbuf, reason))
                }
                Disposition::Esp => self.open_later(ingress, mbuf, note, now),
                Disposition::Transmit(_)
                | Disposition::Wait { .. }
                | Disposition::Fragment(_)
                | Disposition::Redirect { .. } => {
                    if waited {
                        // The next hop may have been resolved in the middle of this burst.
                        self.serve_waiting(now);
                    }
                    waited = matches!(note.disposition, Disposition::Wait { .. });
                    self.place(ingress, mbuf, note, now)
                }
            };
            let end = match result {
                // Told below.
                Ok(_) if matches!(note.disposition, Disposition::Arp | Disposition::Nd) => continue,
                Ok(end) => end,
                Err((mbuf, reason)) if errors::is_told(reason) => {
                    self.show_expired(ingress, &mbuf, reason, note.alert, now);
                    let at = passed.last();
                    End::dropped(self.refuse(ingress, mbuf, reason, note.detail, at, now), reason)
                }
                Err((mut mbuf, reason)) => {
                    self.drop_one(ingress, reason, passed.last(), &mut mbuf);
                    // A batch of drops is never fuller than the batch that it came from.
                    drop(dropped.push(mbuf));
                    End::dropped(Passed::NONE.with(PathStage::Drop), reason)
                }
            };
            let passed = passed.union(end.passed);
            self.counters.way(&mut counted, passed);
            tracer.end(passed, end.refused);
        }
        if !discovery.is_empty() {
            let offered = discovery.len();
            let taken = self.punt(&mut discovery, arps);
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
        if counted.pass_any(alerts::OPTIONS) {
            self.count_alerts(ingress, notes.get(..count).unwrap_or_default());
        }
    }

    /// Puts a packet where it leaves or waits, or gives it back with the reason why neither can be.
    #[inline]
    pub(super) fn place(
        &mut self,
        ingress: u16,
        mut mbuf: Mbuf,
        note: &Note,
        now: u64,
    ) -> Result<End, Refused> {
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
                return self
                    .wait(ingress, route, mbuf, now)
                    .map(|()| End::at(PathStage::Waiting));
            }
            Disposition::Fragment(interface) => {
                return self
                    .fragment(ingress, interface, mbuf, note)
                    .map(|()| End::at(PathStage::Tx));
            }
            Disposition::Redirect { interface, adjacency } => {
                if let Err(reason) = self.redirect(interface, adjacency, &mut mbuf, note, now) {
                    return Err((mbuf, reason));
                }
                if note.detail != 0 {
                    return self
                        .fragment(ingress, interface, mbuf, note)
                        .map(|()| End::at(PathStage::Tx));
                }
                interface
            }
            // Of a packet that has been through the stages before: no tool is asked again.
            Disposition::Gather | Disposition::Reassemble => {
                return self.deliver(ingress, mbuf, note, &Punts::OFF, now);
            }
            Disposition::Kernel(interface) => {
                return self
                    .hand_to_kernel(interface, mbuf, now)
                    .map(|()| End::at(PathStage::Kernel));
            }
            Disposition::Tunnelled(tunnel) => return self.decapsulate(ingress, tunnel, mbuf, note),
            Disposition::TunnelMtu(tunnel) => {
                self.learn_mtu(tunnel, note.detail, now);
                return Err((mbuf, DropReason::TunnelError));
            }
            Disposition::EspError => {
                let reason = self.esp_error(mbuf.data(), note.family(), note.detail, now);
                return Err((mbuf, reason));
            }
            Disposition::Esp => return self.open_later(ingress, mbuf, note, now),
            Disposition::Drop(reason) => {
                if reason == DropReason::TunnelDown {
                    self.acquire(note.detail, now);
                }
                return Err((mbuf, reason));
            }
            // Only what was just received can be these.
            Disposition::Arp => return Err((mbuf, DropReason::ArpMalformed)),
            Disposition::Nd => return Err((mbuf, DropReason::NdMalformed)),
            Disposition::Punt(_) => return Err((mbuf, DropReason::PuntClosed)),
        };
        if note.trim != 0 && mbuf.trim_front(usize::from(note.trim)).is_err() {
            return Err((mbuf, DropReason::EthernetTruncated));
        }
        self.leave(interface, mbuf)?;
        if note.echo_reply {
            self.counters.add(ingress, InterfaceCounter::EchoReplies, 1);
        }
        Ok(End::at(PathStage::Tx))
    }

    /// Puts a packet that comes from somewhere else than a port where its note says, or drops it, and counts its way.
    pub(super) fn place_again<T: Tracer>(
        &mut self,
        tracer: &mut T,
        from: Passed,
        ingress: u16,
        mbuf: Mbuf,
        note: &Note,
        now: u64,
    ) {
        let passed = from.union(note.passed).union(ways::behind(note.disposition));
        let end = match self.place(ingress, mbuf, note, now) {
            Ok(end) => end,
            Err((mbuf, reason)) => {
                let at = passed.last();
                End::dropped(self.refuse(ingress, mbuf, reason, note.detail, at, now), reason)
            }
        };
        let passed = passed.union(end.passed);
        self.count_way(passed);
        tracer.end(passed, end.refused);
    }

    #[cold]
    fn punt(&mut self, discovery: &mut MbufBatch<BURST>, arps: u32) -> usize {
        // The packets of a burst may be of several interfaces, and those that are taken are gone.
        let kind = |number: usize| match arps >> number & 1 {
            0 => (InterfaceCounter::NdDelivered, PathStage::Nd),
            _ => (InterfaceCounter::ArpDelivered, PathStage::Arp),
        };
        for (number, mbuf) in discovery.iter().enumerate() {
            let ingress = self.interface_of(mbuf).unwrap_or_default();
            self.counters.add(ingress, InterfaceCounter::Delivered, 1);
            self.counters.add(ingress, kind(number).0, 1);
        }
        let taken = self.discovery.enqueue(discovery);
        for (number, mbuf) in discovery.iter_mut().enumerate() {
            let ingress = self.interface_of(mbuf).unwrap_or_default();
            let (counter, stage) = kind(taken + number);
            self.counters.sub(ingress, InterfaceCounter::Delivered, 1);
            self.counters.sub(ingress, counter, 1);
            self.drop_one(ingress, DropReason::PuntRingFull, stage, mbuf);
        }
        self.doorbell.ring();
        taken
    }
}
