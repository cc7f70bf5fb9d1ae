//! Packets that leave by a tunnel that ESP protects: sealed in bursts of its SA.

use dpdk::crypto::Outcome;
use dpdk::{Mbuf, MbufBatch};
use esp::lifetime::Life;
use packet::MacAddress;
use shm::{DropReason, InterfaceCounter, Passed, SaCounter};

use super::super::Engine;
use super::super::dispatch::Refused;
use super::super::tunnels::{LEVELS, Step};
use super::room::Around;
use super::sealing::{begin, begin_usual, end};
use super::send::{ethertype_of, take_back};
use super::{Bench, note_life};
use crate::adjacency;
use crate::ipsec::{OutboundSa, SaMatter, publish};
use crate::path::{BURST, Disposition, Note, link_bytes};

/// Sequence numbers that are left when it is said that they near their end: some minutes of the fastest line.
const SOON: u64 = 1 << 28;

/// More than ESP puts around a packet: an IPv6 header, UDP, its own, an initialization vector, a GRE header; padding, trailer, ICV, and
/// what cryptography needs meanwhile.
pub(super) const AROUND: Around = Around {
    head: 40 + 8 + 8 + 16 + 8,
    tail: 64,
};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Seals and sends a burst of so many `bytes` that leaves by a protected tunnel, whose packets the stages have made ready. What
    /// stays in `batch` found no room.
    #[inline(never)]
    pub(in crate::worker) fn seal_together(
        &mut self,
        tunnel: u16,
        batch: &mut MbufBatch<BURST>,
        bytes: usize,
        now: u64,
    ) {
        let level = self.tunnels.level_of(Step::Encapsulate);
        let current = self.esp.sas.current(tunnel);
        let is_elsewhere = current.is_some_and(|slot| self.esp.elsewhere(slot).is_some());
        if is_elsewhere || level >= LEVELS || !self.tunnels.is_empty() {
            // Behind those that wait.
            let mut refused = MbufBatch::new();
            for mbuf in batch.drain() {
                let put = self.tunnels.put(Step::Encapsulate, tunnel, mbuf);
                // No more are given back than there were.
                drop(put.or_else(|mbuf| refused.push(mbuf)));
            }
            *batch = refused;
            return;
        }
        self.left_by(tunnel, batch, bytes);
        let slot = self
            .may_seal(tunnel)
            .and_then(|()| current.ok_or(DropReason::EspNoSa));
        let sealed = slot.and_then(|slot| self.seal_by(slot, batch, level, now));
        if let Err(reason) = sealed {
            self.drop_outers(tunnel, reason, batch);
            batch.clear();
        }
        self.count_sealed();
    }

    /// Asks for what packets that are to leave by tunnels need to get there.
    #[inline(never)]
    pub(in crate::worker) fn prefetch_sas(&self, notes: &[Note]) {
        for note in notes {
            if let Disposition::Transmit(egress) = note.disposition
                && let Some(slot) = self.esp.sas.current(egress)
                && let Some(sa) = self.esp.sas.outbound.get(slot)
            {
                sa.prefetch_burst();
                if let Some(cell) = self.counters.cell(egress, InterfaceCounter::TxPackets) {
                    dpdk::prefetch(cell);
                }
            }
        }
    }

    /// Puts a packet right into the burst of the SA that its tunnel sends by, or behind those that wait for their turn. Gives it back
    /// when there is no room for it.
    pub(in crate::worker) fn seal_soon(&mut self, tunnel: u16, mut mbuf: Mbuf) -> Result<(), Mbuf> {
        let level = self.tunnels.level_of(Step::Encapsulate);
        let is_next = self.tunnels.is_empty() && level < LEVELS && mbuf.segment_count() == 1;
        let slot = self.esp.sas.current(tunnel);
        let slot = slot.filter(|slot| is_next && self.esp.elsewhere(*slot).is_none());
        if let Some(slot) = slot
            && self.stages.is_up(tunnel)
            && let Some(sa) = self.esp.sas.outbound.get_mut(slot)
            && sa.has_room(level)
        {
            let bytes = mbuf.len();
            self.left_by(tunnel, std::slice::from_mut(&mut mbuf), bytes);
            if let Some(sa) = self.esp.sas.outbound.get_mut(slot) {
                let is_first = sa.burst.is_empty();
                // There is room.
                drop(sa.push(mbuf, level));
                if is_first {
                    self.esp.sas.outbound.note(slot);
                }
            }
            return Ok(());
        }
        self.tunnels.put(Step::Encapsulate, tunnel, mbuf)
    }

    fn may_seal(&self, tunnel: u16) -> Result<(), DropReason> {
        if self.stages.is_up(tunnel) {
            Ok(())
        } else {
            Err(DropReason::TunnelDown)
        }
    }

    /// Puts a packet into the burst of the SA that its tunnel sends by.
    pub(in crate::worker) fn seal_later(
        &mut self,
        tunnel: u16,
        level: u8,
        mbuf: Mbuf,
        now: u64,
    ) -> Result<(), Refused> {
        if let Err(reason) = self.may_seal(tunnel) {
            return Err((mbuf, reason));
        }
        let Some(slot) = self.esp.sas.current(tunnel) else {
            return Err((mbuf, DropReason::EspNoSa));
        };
        let mut mbuf = self.with_room(mbuf, AROUND)?;
        loop {
            let sas = &mut self.esp.sas.outbound;
            let Some(sa) = sas.get_mut(slot) else {
                return Err((mbuf, DropReason::EspNoSa));
            };
            let is_first = sa.burst.is_empty();
            match sa.push(mbuf, level) {
                Ok(()) => {
                    if is_first {
                        sas.note(slot);
                    }
                    return Ok(());
                }
                // There is room once the others are gone.
                Err(refused) => {
                    mbuf = refused;
                    self.seal_burst(slot, now);
                }
            }
        }
    }

    /// Seals and sends what is in bursts.
    pub(in crate::worker) fn seal_all(&mut self, now: u64) {
        while let Some(slot) = self.esp.sas.outbound.take_busy() {
            self.seal_burst(slot, now);
        }
        self.count_sealed();
    }

    /// Counts the ways of the sealed packets that left together since the last call.
    fn count_sealed(&mut self) {
        let [four, six] = std::mem::take(&mut self.esp.sent);
        if four > 0 {
            self.counters.burst_of(Passed::SEALED4, four);
        }
        if six > 0 {
            self.counters.burst_of(Passed::SEALED6, six);
        }
    }

    /// Seals and sends the burst of an SA.
    fn seal_burst(&mut self, slot: u32, now: u64) {
        // Taken out, since sending changes the worker.
        let mut own = self.esp.sas.outbound.take(slot);
        if let Some(sa) = own.as_deref_mut() {
            self.seal_own(sa, now);
        }
        self.esp.sas.outbound.put_back(slot, own);
    }

    /// Seals and sends packets of one segment each by an SA, after those that are in its burst.
    fn seal_by(
        &mut self,
        slot: u32,
        batch: &mut MbufBatch<BURST>,
        level: u8,
        now: u64,
    ) -> Result<(), DropReason> {
        let mut own = self.esp.sas.outbound.take(slot);
        let sa = own.as_deref_mut().ok_or(DropReason::EspNoSa)?;
        if !sa.burst.is_empty() {
            self.seal_own(sa, now);
        }
        self.seal(sa, batch, level, now);
        self.esp.sas.outbound.put_back(slot, own);
        Ok(())
    }

    /// Seals and sends what is in the burst of an SA.
    fn seal_own(&mut self, sa: &mut OutboundSa, now: u64) {
        let (mut batch, level) = (MbufBatch::new(), sa.level);
        // Copies only as many as there are.
        batch.append(&mut sa.burst);
        self.seal(sa, &mut batch, level, now);
    }

    fn seal(&mut self, sa: &mut OutboundSa, batch: &mut MbufBatch<BURST>, level: u8, now: u64) {
        let before = sa.lifetime.packets();
        // The stages get another, where they look at it.
        let link = link_bytes(MacAddress::ZERO, ethertype_of(sa));
        // Nobody else has it: nothing is sealed or opened in the middle of this.
        let mut bench = self.esp.bench.take().unwrap_or_default();
        let Bench {
            jobs,
            sealings,
            refused,
            ..
        } = &mut *bench;
        // Until it is known that they are.
        *refused = [Some(DropReason::CryptoBusy); BURST];
        let way = self.way_of_sealed(sa);
        let (mut count, mut are_written) = (0, false);
        if sa.is_usual {
            // Written once and for all, where they leave by a port as they are.
            let (written, hops) = match &way {
                Some(way) => (way.link4(), 1),
                None => (link, 0),
            };
            count = begin_usual(sa, batch, &written, hops, jobs);
            refused.iter_mut().take(count).for_each(|refused| *refused = None);
            are_written = hops != 0;
            if are_written && count < batch.len() {
                batch.iter_mut().take(count).for_each(take_back);
                are_written = false;
            }
        }
        for (number, mbuf) in batch.iter_mut().enumerate().skip(count) {
            let (Some(job), Some(sealing), Some(refused)) = (
                jobs.get_mut(count),
                sealings.get_mut(number),
                refused.get_mut(number),
            ) else {
                break;
            };
            let mut life = Life::Lasts;
            let mut begun = begin(sa, mbuf, &link, &mut life, number, job, sealing);
            if matches!(begun, Err(DropReason::EspRoom)) {
                begun = self
                    .move_to_room(mbuf, AROUND)
                    .and_then(|()| begin(sa, mbuf, &link, &mut life, number, job, sealing));
            }
            match begun {
                Ok(()) => {
                    *refused = None;
                    count += 1;
                }
                Err(reason) => *refused = Some(reason),
            }
            note_life(&mut sa.told, life);
        }
        let jobs = jobs.get_mut(..count).unwrap_or_default();
        let done = sa.session.process(batch, jobs);
        if done < batch.len() {
            for job in jobs.iter().filter(|job| job.outcome != Outcome::Done) {
                if let Some(place) = refused.get_mut(usize::from(job.packet)) {
                    *place = Some(DropReason::CryptoBusy);
                }
            }
        }
        if sa.has_end {
            for ((mbuf, sealing), refused) in batch.iter_mut().zip(sealings).zip(&mut *refused) {
                if refused.is_none()
                    && let Some(sealing) = sealing
                {
                    *refused = end(sa, mbuf, sealing).err();
                }
            }
        }
        if self.esp.has_lent {
            for (mbuf, refused) in batch.iter_mut().zip(&mut *refused) {
                if refused.is_none() {
                    *refused = self.leave_long_buffer(mbuf).err();
                }
            }
        }
        if !self.following.is_empty() {
            self.see_sealed(sa, batch, refused);
        }
        if refused.iter().take(batch.len()).any(Option::is_some) {
            self.drop_unsealed(sa, batch, refused);
        }
        self.esp.bench = Some(bench);
        self.send_sealed(sa, batch, way, are_written, level, now);
        if sa.esp.sequence().left() < SOON {
            sa.told.note(SaMatter::SequenceSoon);
        }
        self.tell_matters(sa.id, sa.number, &mut sa.told);
        let used = (sa.lifetime.packets() > before).then(|| self.esp.boottime_ns(now));
        publish(&sa.cells, &sa.lifetime, sa.esp.sequence().last(), used);
    }

    /// Takes those out of a burst that are not sealed.
    #[cold]
    fn drop_unsealed(
        &mut self,
        sa: &OutboundSa,
        batch: &mut MbufBatch<BURST>,
        refused: &[Option<DropReason>; BURST],
    ) {
        let mut sealed = MbufBatch::new();
        for (mut mbuf, refused) in batch.drain().zip(refused) {
            match refused {
                // As many as there were, at most.
                None => drop(sealed.push(mbuf)),
                Some(reason) => self.not_sealed(sa, *reason, &mut mbuf),
            }
        }
        *batch = sealed;
    }

    pub(super) fn not_sealed(&mut self, sa: &OutboundSa, reason: DropReason, mbuf: &mut Mbuf) {
        match reason {
            DropReason::EspSelector => sa.cells.add(SaCounter::Selector, 1),
            DropReason::EspSequence => sa.cells.add(SaCounter::Exhausted, 1),
            _ => {}
        }
        self.drop_outer(sa.tunnel, reason, mbuf);
    }
}
