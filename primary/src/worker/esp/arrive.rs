//! ESP packets as they usually come: whole, without options, to an SA of the worker that received them. They are told from others before
//! the stages, which all that is not usual in the least goes through, and take nothing of what those look at to get there.

use std::net::IpAddr;

use dpdk::{Mbuf, MbufBatch};
use packet::ethernet::HEADER_LEN;
use shm::{InterfaceCounter, Passed};

use super::super::Engine;
use super::super::tunnels::Step;
use super::found::{Alike, Found, find};
use super::survey::Survey;
use crate::adjacency;
use crate::ipsec::{Arrived, InboundSa, source_port};
use crate::path::{BURST, Family};

/// The SA of the packet before.
#[derive(Clone, Copy)]
struct Known {
    spi: u32,
    destination: IpAddr,
    slot: u32,
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Looks at a received burst before the stages do: takes ESP packets out of it that are for SAs of this worker, and drops what came in clear
    /// and belongs in a protected tunnel. `segmented`: one of its packets has several segments. Gives the bytes of those that are left.
    #[inline(never)]
    pub(in crate::worker) fn esp_first(
        &mut self,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        segmented: bool,
        now: u64,
    ) -> usize {
        if segmented {
            return self.drop_clear(ingress, batch, &Survey::of(batch));
        }
        let level = self.tunnels.level_of(Step::Receive);
        if level == 0 && self.open_at_once(ingress, batch, now) {
            return 0;
        }
        let mut survey = Survey::of(batch);
        if survey.candidates != 0 && !self.looks_on() {
            self.take_esp(ingress, batch, survey.candidates, level, now);
            survey = Survey::of(batch);
        }
        self.drop_clear(ingress, batch, &survey)
    }

    /// Takes out of a burst those of the packets that `candidates` has a bit for, of one segment each, that are ESP packets of SAs of this worker
    /// and nothing else in any way.
    #[inline(never)]
    fn take_esp(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>, candidates: u32, level: u8, now: u64) {
        let Some(mac) = self.stages.takes_usual(ingress) else {
            return;
        };
        let mut others = MbufBatch::new();
        let mut taken = [0, 0];
        // Mostly all are of one SA.
        let mut known = None;
        // Behind one that goes through the stages all do, so that those of its SA keep their order.
        let mut are_usual = true;
        for (number, mbuf) in (0..).zip(batch.drain()) {
            let is_candidate = are_usual && candidates >> number & 1 != 0;
            let found = is_candidate.then(|| find(ingress, &mac, mbuf.data())).flatten();
            let left = match found {
                Some(found) => match self.take_one_esp(mbuf, &found, &mut known, level, now) {
                    Ok(()) => {
                        taken[usize::from(found.source.is_ipv6())] += 1;
                        continue;
                    }
                    Err(mbuf) => {
                        are_usual = self.own_slot(&found).is_none();
                        mbuf
                    }
                },
                None => mbuf,
            };
            // As many as there were, at most.
            drop(others.push(left));
        }
        *batch = others;
        for (packets, way) in taken.into_iter().zip([Passed::TO_ESP4, Passed::TO_ESP6]) {
            if packets > 0 {
                self.counters.burst_of(way, packets);
            }
        }
    }

    /// Opens a burst all of whose packets are of one SA, without another look at each; `false` if it is not such a burst, and nothing
    /// was done. Nothing is being served at this moment, so that what was inside can go on at once.
    #[inline]
    fn open_at_once(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>, now: u64) -> bool {
        let Some((alike, found)) = self.first_esp(ingress, batch) else {
            return false;
        };
        let slot = self.own_slot(&found);
        let Some((slot, sa)) = slot.and_then(|slot| Some((slot, self.esp.sas.inbound.get_mut(slot)?))) else {
            return false;
        };
        // In UDP its port is asked about too.
        if !sa.burst.is_empty() || sa.peer.is_some() || sa.source != found.source {
            return false;
        }
        for (mbuf, place) in batch.iter().zip(&mut sa.arrived) {
            match alike.class_of(mbuf.data()) {
                Some(class) => {
                    *place = Arrived {
                        class,
                        ..found.arrived
                    }
                }
                None => return false,
            }
        }
        let packets = batch.len() as u64;
        self.counters.burst_of(Passed::TO_ESP4, packets);
        self.counters.add(ingress, InterfaceCounter::Waiting, packets);
        self.open_taken(slot, 0, batch, now);
        true
    }

    /// What the first packet of a burst says, if it is an ESP packet over IPv4 about which nothing is out of the ordinary.
    #[inline]
    fn first_esp(&self, ingress: u16, batch: &MbufBatch<BURST>) -> Option<(Alike, Found)> {
        let frame = batch.first()?.data();
        let alike = Alike::to(frame)?;
        if self.looks_on() {
            return None;
        }
        let mac = self.stages.takes_usual(ingress)?;
        Some((alike, find(ingress, &mac, frame)?))
    }

    #[inline]
    fn take_one_esp(
        &mut self,
        mut mbuf: Mbuf,
        found: &Found,
        known: &mut Option<Known>,
        level: u8,
        now: u64,
    ) -> Result<(), Mbuf> {
        let slot = match *known {
            Some(known) if (known.spi, known.destination) == (found.spi, found.destination) => known.slot,
            _ => match self.own_slot(found) {
                Some(slot) => {
                    let (spi, destination) = (found.spi, found.destination);
                    *known = Some(Known {
                        spi,
                        destination,
                        slot,
                    });
                    slot
                }
                None => return Err(mbuf),
            },
        };
        let sa = self.esp.sas.inbound.get(slot);
        if !sa.is_some_and(|sa| is_at_its_place(sa, found, mbuf.data())) {
            return Err(mbuf);
        }
        if mbuf.len() > found.end {
            mbuf.truncate(found.end);
        }
        let ingress = found.arrived.ingress;
        self.counters.add(ingress, InterfaceCounter::Waiting, 1);
        self.join_burst(slot, mbuf, found.arrived, level, now)
            .inspect_err(|_| self.counters.sub(ingress, InterfaceCounter::Waiting, 1))
    }

    /// The number of a packet's SA, if that is this worker's and its tunnel is up.
    fn own_slot(&self, found: &Found) -> Option<u32> {
        let slot = self.esp.sas.by_spi.find(found.spi, found.destination)?;
        let is_elsewhere = self.esp.elsewhere(slot).is_some();
        let sa = self.esp.sas.inbound.get(slot)?;
        // While its tunnel is up, its destination is an address of the gateway.
        (!is_elsewhere && self.stages.is_up(sa.tunnel)).then_some(slot)
    }
}

/// Whether a packet comes from where others of its SA did.
#[inline]
fn is_at_its_place(sa: &InboundSa, found: &Found, frame: &[u8]) -> bool {
    let Some(peer) = &sa.peer else {
        return sa.source == found.source;
    };
    let family = match found.source {
        IpAddr::V4(_) => Family::Four,
        IpAddr::V6(_) => Family::Six,
    };
    match source_port(frame, HEADER_LEN, family, found.arrived.at.into()) {
        Some(port) => peer.is_at(found.source, port),
        None => sa.source == found.source,
    }
}
