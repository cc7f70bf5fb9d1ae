//! Packets that leave by a tunnel that ESP protects: sealed in bursts of its SA.

use dpdk::crypto::{Job, Outcome};
use dpdk::{Mbuf, MbufBatch};
use esp::lifetime::Life;
use esp::outer::Ends;
use esp::tunnel::Inner;
use esp::{SealError, Sealing};
use packet::ethernet::HEADER_LEN;
use packet::{EtherType, MacAddress};
use shm::{DropReason, SaCounter};

use super::super::Engine;
use super::super::tunnels::Step;
use crate::adjacency;
use crate::ipsec::{OutboundSa, SaMatter, job, publish};
use crate::path::{BURST, link_header};

/// Sequence numbers that are left when it is said that they near their end: some minutes of the fastest line.
const SOON: u64 = 1 << 28;

/// More than ESP puts behind a packet: padding, trailer, ICV, and what cryptography needs meanwhile.
const TAIL: [u8; 64] = [0; 64];

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Puts a packet into the burst of the SA that its tunnel sends by.
    pub(in crate::worker) fn seal_later(
        &mut self,
        tunnel: u16,
        level: u8,
        mbuf: Mbuf,
        now: u64,
    ) -> Result<(), DropReason> {
        if !self.stages.is_up(tunnel) {
            return Err(DropReason::TunnelDown);
        }
        let slot = self.esp.sas.current(tunnel).ok_or(DropReason::EspNoSa)?;
        let mbuf = self.in_one_segment(mbuf).map_err(|(_, reason)| reason)?;
        let sas = &mut self.esp.sas.outbound;
        let sa = sas.get_mut(slot).ok_or(DropReason::EspNoSa)?;
        let was_empty = sa.burst.is_empty();
        // It is never left full.
        sa.push(mbuf, level).map_err(|_| DropReason::NoBuffer)?;
        let is_full = sa.burst.is_full();
        if was_empty {
            sas.note(slot);
        }
        if is_full {
            self.seal_burst(slot, now);
        }
        Ok(())
    }

    /// Seals and sends what is in bursts.
    pub(in crate::worker) fn seal_all(&mut self, now: u64) {
        while let Some(slot) = self.esp.sas.outbound.take_busy() {
            self.seal_burst(slot, now);
        }
    }

    /// Seals and sends the burst of an SA.
    fn seal_burst(&mut self, slot: u32, now: u64) {
        let mut own = None;
        // Taken out, since sending changes the worker.
        self.esp.sas.outbound.swap(slot, &mut own);
        if let Some(sa) = own.as_deref_mut() {
            let mac = self.mac_of(sa.tunnel);
            let mut ready = MbufBatch::<BURST>::new();
            let mut jobs = [Job::default(); BURST];
            let mut sealings: [Option<(Sealing, u8)>; BURST] = [None; BURST];
            let OutboundSa { burst, levels, .. } = sa;
            let (mut burst, levels) = (std::mem::take(burst), *levels);
            for (mut mbuf, level) in burst.drain().zip(levels) {
                let number = ready.len();
                let mut life = Life::Lasts;
                let begun = begin(sa, &mut mbuf, mac, &mut life);
                super::note_life(&mut sa.told, life);
                match begun {
                    Ok((sealing, work)) => {
                        jobs[number] = job(number, HEADER_LEN + sa.outer.len(), &work);
                        sealings[number] = Some((sealing, level));
                        // As many as there were in the burst, at most.
                        drop(ready.push(mbuf));
                    }
                    Err(reason) => self.not_sealed(sa, reason),
                }
            }
            let count = ready.len();
            sa.session.process(&mut ready, &mut jobs[..count]);
            for ((mut mbuf, job), sealing) in ready.drain().zip(&jobs).zip(&sealings) {
                let Some((sealing, level)) = sealing else { continue };
                match end(sa, &mut mbuf, sealing, job.outcome) {
                    Ok(()) => {
                        self.tunnels.serve(Step::Encapsulate, *level);
                        if let Err(reason) = self.send_sealed(sa, mbuf, now) {
                            self.not_sealed(sa, reason);
                        }
                        self.tunnels.rest();
                    }
                    Err(reason) => self.not_sealed(sa, reason),
                }
            }
            if sa.esp.sequence().left() < SOON {
                sa.told.note(SaMatter::SequenceSoon);
            }
            self.tell_matters(sa.id, sa.number, &mut sa.told);
            let used = super::boottime_ns();
            publish(&sa.cells, &sa.lifetime, sa.esp.sequence().last(), used);
        }
        self.esp.sas.outbound.swap(slot, &mut own);
    }

    /// Sends a sealed packet: in fragments, if it is of IPv6 and longer than its path takes, as nobody on the way may cut it.
    fn send_sealed(&mut self, sa: &OutboundSa, mbuf: Mbuf, now: u64) -> Result<(), DropReason> {
        let limit = match (sa.outer.ends(), self.stages.interfaces.tunnel(sa.tunnel)) {
            (Ends::V6 { .. }, Some(view)) => view.path_mtu.at(now).saturating_add(view.overhead()),
            _ => u16::MAX,
        };
        if mbuf.len() <= HEADER_LEN + usize::from(limit) {
            self.send_outer(sa.tunnel, mbuf, now);
            return Ok(());
        }
        let mut fragments = self.outer_fragments(sa.tunnel, &mbuf, limit)?;
        for mbuf in fragments.drain() {
            self.send_outer(sa.tunnel, mbuf, now);
        }
        Ok(())
    }

    fn not_sealed(&mut self, sa: &OutboundSa, reason: DropReason) {
        match reason {
            DropReason::EspSelector => sa.cells.add(SaCounter::Selector, 1),
            DropReason::EspSequence => sa.cells.add(SaCounter::Exhausted, 1),
            _ => {}
        }
        self.drop_outer(sa.tunnel, reason);
    }

    fn mac_of(&self, tunnel: u16) -> MacAddress {
        let view = self.stages.interfaces.get(usize::from(tunnel));
        view.map_or(MacAddress::ZERO, |view| view.mac)
    }
}

/// Makes room around a packet and writes all but what cryptography does.
fn begin(
    sa: &mut OutboundSa,
    mbuf: &mut Mbuf,
    mac: MacAddress,
    life: &mut Life,
) -> Result<(Sealing, esp::Work), DropReason> {
    let packet = mbuf.data().get(HEADER_LEN..).unwrap_or_default();
    let inner = Inner::read(packet).map_err(|_| DropReason::TunnelMalformed)?;
    let packet = packet.get(..inner.len).unwrap_or_default();
    let front = sa.fronts.of(inner.family);
    if !(front.may_go && sa.selectors.allow(packet)) {
        return Err(DropReason::EspSelector);
    }
    let payload_len = front.bytes().len() + inner.len;
    *life = sa.lifetime.count(payload_len);
    if *life == Life::Ended {
        return Err(DropReason::EspLifetime);
    }
    let sealing = sa
        .esp
        .seal(payload_len, front.next_header)
        .map_err(|error| match error {
            SealError::SequenceEnded(_) => DropReason::EspSequence,
            SealError::TooLong(_) => DropReason::Oversize,
        })?;
    mbuf.truncate(HEADER_LEN + inner.len);
    let outer_len = sa.outer.len();
    mbuf.prepend(outer_len + sealing.head_len() + front.bytes().len())
        .map_err(|_| DropReason::EspRoom)?;
    let tail = TAIL.get(..sealing.tail_len()).ok_or(DropReason::EspRoom)?;
    mbuf.append(tail).map_err(|_| DropReason::EspRoom)?;
    let (link, packet) = mbuf
        .data_mut()
        .split_at_mut_checked(HEADER_LEN)
        .ok_or(DropReason::EspRoom)?;
    let ethertype = match sa.outer.ends() {
        Ends::V4 { .. } => EtherType::IPV4,
        Ends::V6 { .. } => EtherType::IPV6,
    };
    link_header(mac, ethertype)
        .emit(link)
        .map_err(|_| DropReason::EspRoom)?;
    sa.outer
        .write(&inner, sealing.sealed_len(), sealing.sequence(), packet)
        .map_err(|_| DropReason::Oversize)?;
    let esp = packet.get_mut(outer_len..).unwrap_or_default();
    let work = sealing.write(esp).map_err(|_| DropReason::EspRoom)?;
    for (place, byte) in esp.iter_mut().skip(sealing.head_len()).zip(front.bytes()) {
        *place = *byte;
    }
    Ok((sealing, work))
}

/// Finishes a packet that cryptography is done with.
fn end(sa: &OutboundSa, mbuf: &mut Mbuf, sealing: &Sealing, outcome: Outcome) -> Result<(), DropReason> {
    if outcome != Outcome::Done {
        return Err(DropReason::CryptoBusy);
    }
    let begin = HEADER_LEN + sa.outer.len();
    let esp = mbuf.data_mut().get_mut(begin..).unwrap_or_default();
    let len = sealing.finish(esp).map_err(|_| DropReason::EspRoom)?;
    mbuf.truncate(begin + len);
    if sa.outer.needs_checksum() {
        sa.outer
            .complete(mbuf.data_mut().get_mut(HEADER_LEN..).unwrap_or_default());
    }
    Ok(())
}
