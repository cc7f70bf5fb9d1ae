//! ESP packets for the gateway itself: opened in bursts of their SA.
//!
//! Until its burst is done a packet counts as waiting on the interface that it came in by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use control::message::SaId;
use dpdk::crypto::Outcome;
use dpdk::{Mbuf, MbufBatch};
use esp::Header;
use esp::lifetime::Life;
use packet::{EtherType, MacAddress};
use shm::{CounterBlock, DropReason, InterfaceCounter, Passed, PathStage, SaCounter};

use super::super::Engine;
use super::super::dispatch::Refused;
use super::super::tunnels::Step;
use super::super::ways::End;
use super::opening::{begin, begin_usual, end, end_usual};
use super::room::Around;
use super::{Bench, note_life};
use crate::adjacency;
use crate::ipsec::{Arrived, InboundSa, Peer, SaSignal, publish, source_port};
use crate::path::{BURST, Family, Note, link_bytes};

/// Behind a packet is meanwhile the high half of its number, at most.
const AROUND: Around = Around { head: 0, tail: 8 };

/// What is asked of the outer header.
pub(super) struct Outer {
    pub(super) source: IpAddr,
    destination: IpAddr,
    class: u8,
}

impl Outer {
    /// Of a packet that was found right before.
    pub(super) fn of(family: Family, packet: &[u8]) -> Option<Self> {
        let at = |from: usize| packet.get(from..);
        match family {
            Family::Four => Some(Self {
                source: Ipv4Addr::from(*at(12)?.first_chunk::<4>()?).into(),
                destination: Ipv4Addr::from(*at(16)?.first_chunk::<4>()?).into(),
                class: *packet.get(1)?,
            }),
            Family::Six => {
                let &[first, second] = packet.first_chunk::<2>()?;
                Some(Self {
                    source: Ipv6Addr::from(*at(8)?.first_chunk::<16>()?).into(),
                    destination: Ipv6Addr::from(*at(24)?.first_chunk::<16>()?).into(),
                    class: first << 4 | second >> 4,
                })
            }
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Puts an ESP packet into the burst of its SA, here or at another worker.
    #[cold]
    pub(in crate::worker) fn open_later(
        &mut self,
        ingress: u16,
        mut mbuf: Mbuf,
        note: &Note,
        now: u64,
    ) -> Result<End, Refused> {
        mbuf.truncate(usize::from(note.length));
        let level = self.tunnels.level_of(Step::Receive);
        let (link_len, at) = (note.link_len(), note.detail);
        let slot = match self.sa_of(&mbuf, link_len, note.family(), at) {
            Ok(slot) => slot,
            Err(reason) => return Err((mbuf, reason)),
        };
        if let Some(worker) = self.esp.elsewhere(slot) {
            return self.hand_esp(worker, ingress, mbuf, link_len, note.family(), at, level);
        }
        self.counters.add(ingress, InterfaceCounter::Waiting, 1);
        match self.open_here(slot, ingress, mbuf, link_len, note.family(), at, level, now) {
            Ok(()) => Ok(End::at(PathStage::Waiting)),
            Err((mbuf, reason)) => {
                self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                Err((mbuf, reason))
            }
        }
    }

    /// The SA of a packet.
    pub(super) fn sa_of(
        &mut self,
        mbuf: &Mbuf,
        link_len: usize,
        family: Family,
        at: u16,
    ) -> Result<u32, DropReason> {
        let frame = mbuf.data();
        let outer = Outer::of(family, frame.get(link_len..).unwrap_or_default());
        let header = Header::parse(frame.get(usize::from(at)..).unwrap_or_default());
        let (Some(outer), Ok(header)) = (outer, header) else {
            return Err(DropReason::EspMalformed);
        };
        let (spi, destination) = (header.spi.get(), outer.destination);
        let found = self.esp.sas.by_spi.find(spi, destination);
        found.ok_or_else(|| {
            let id = SaId { destination, spi };
            self.tell_unknown(id, outer.source);
            DropReason::EspSpi
        })
    }

    /// Says that a packet came without an SA, if that was not said a moment ago.
    #[cold]
    fn tell_unknown(&mut self, id: SaId, source: IpAddr) {
        let now = dpdk::tsc();
        if now >= self.esp.quiet_until {
            self.esp.quiet_until = now.saturating_add(self.esp.second);
            self.tell_of_sa(SaSignal::Unknown { id, source });
        }
    }

    /// Puts a packet that counts as waiting into the burst of an SA of this worker's.
    #[expect(clippy::too_many_arguments, reason = "a packet, and what is known of it")]
    pub(super) fn open_here(
        &mut self,
        slot: u32,
        ingress: u16,
        mbuf: Mbuf,
        link_len: usize,
        family: Family,
        at: u16,
        level: u8,
        now: u64,
    ) -> Result<(), Refused> {
        let outer = Outer::of(family, mbuf.data().get(link_len..).unwrap_or_default());
        let sa = self.esp.sas.inbound.get_mut(slot);
        let (Some(sa), Some(outer)) = (sa, outer) else {
            return Err((mbuf, DropReason::EspSpi));
        };
        let in_udp = sa.peer.as_ref().and_then(|peer| {
            let port = source_port(mbuf.data(), link_len, family, at.into())?;
            Some((peer, port))
        });
        let moved = match in_udp {
            Some((peer, port)) => !peer.is_at(outer.source, port),
            None if outer.source == sa.source => false,
            None => {
                sa.cells.add(SaCounter::Source, 1);
                return Err((mbuf, DropReason::EspSource));
            }
        };
        let class = outer.class;
        let mbuf = self.with_room(mbuf, AROUND)?;
        let arrived = Arrived {
            ingress,
            at,
            class,
            network: link_len as u8,
            moved,
        };
        self.join_burst(slot, mbuf, arrived, level, now)
            .map_err(|mbuf| (mbuf, DropReason::EspSpi))
    }

    /// Puts a packet into the burst of an SA; gives it back if there is none.
    #[inline]
    pub(super) fn join_burst(
        &mut self,
        slot: u32,
        mut mbuf: Mbuf,
        arrived: Arrived,
        level: u8,
        now: u64,
    ) -> Result<(), Mbuf> {
        loop {
            let sas = &mut self.esp.sas.inbound;
            let Some(sa) = sas.get_mut(slot) else {
                return Err(mbuf);
            };
            let is_first = sa.burst.is_empty();
            match sa.push(mbuf, arrived, level) {
                Ok(()) => {
                    if is_first {
                        sas.note(slot);
                    }
                    return Ok(());
                }
                // There is room once the others are gone.
                Err(refused) => {
                    mbuf = refused;
                    self.open_burst(slot, now);
                }
            }
        }
    }

    /// Opens what is in bursts.
    pub(in crate::worker) fn open_all(&mut self, now: u64) {
        while let Some(slot) = self.esp.sas.inbound.take_busy() {
            self.open_burst(slot, now);
        }
    }

    /// Opens the burst of an SA, and takes what was inside through the stages.
    fn open_burst(&mut self, slot: u32, now: u64) {
        let Some(sa) = self.esp.sas.inbound.get_mut(slot) else {
            return;
        };
        let mut batch = MbufBatch::new();
        // Copies only as many as there are.
        batch.append(&mut sa.burst);
        let level = sa.level;
        self.open_taken(slot, level, &mut batch, now);
    }

    /// Opens packets of an SA, of which it knows how they arrived, and takes what was inside through the stages.
    #[inline]
    pub(super) fn open_taken(&mut self, slot: u32, level: u8, batch: &mut MbufBatch<BURST>, now: u64) {
        let mut own = self.esp.sas.inbound.take(slot);
        let Some(sa) = own.as_deref_mut() else { return };
        let tunnel = sa.tunnel;
        self.open(sa, batch, now);
        // What was inside may be for it again.
        self.esp.sas.inbound.put_back(slot, own);
        if !batch.is_empty() {
            self.emerged(tunnel, level, batch, now);
        }
    }

    /// Opens packets of an SA; those stay in `batch` that were authentic, and what they begin with is what was inside.
    fn open(&mut self, sa: &mut InboundSa, batch: &mut MbufBatch<BURST>, now: u64) {
        let before = sa.lifetime.packets();
        let view = self.stages.interfaces.get(usize::from(sa.tunnel));
        let mac = view.map_or(MacAddress::ZERO, |view| view.mac);
        // In front of IPv4, and of IPv6.
        let link = [EtherType::IPV4, EtherType::IPV6].map(|ethertype| link_bytes(mac, ethertype));
        // Nobody else has it: nothing is sealed or opened in the middle of this.
        let mut bench = self.esp.bench.take().unwrap_or_default();
        let Bench {
            jobs,
            openings,
            refused,
            ..
        } = &mut *bench;
        // Until it is known that they were authentic.
        *refused = [Some(DropReason::CryptoBusy); BURST];
        let mut count = 0;
        for (number, (mbuf, arrived)) in batch.iter_mut().zip(&sa.arrived).enumerate() {
            let (Some(job), Some(place), Some(refused)) = (
                jobs.get_mut(count),
                openings.get_mut(number),
                refused.get_mut(number),
            ) else {
                break;
            };
            let at = usize::from(arrived.at);
            let mut begun = if sa.is_usual {
                begin_usual(&sa.esp, mbuf, at, number, job, place)
            } else {
                begin(&sa.esp, mbuf, at, number, job, place)
            };
            if matches!(begun, Err(DropReason::EspRoom)) {
                begun = self
                    .move_to_room(mbuf, AROUND)
                    .and_then(|()| begin(&sa.esp, mbuf, at, number, job, place));
            }
            match begun {
                Ok(()) => count += 1,
                Err(reason) => (*place, *refused) = (None, Some(reason)),
            }
        }
        let jobs = jobs.get_mut(..count).unwrap_or_default();
        sa.session.process(batch, jobs);
        let (mut opened, mut authentic) = (Opened::NONE, 0);
        for job in jobs.iter() {
            let number = usize::from(job.packet);
            let arrived = sa.arrived.get(number).copied();
            let (Some(mbuf), Some(Some(opening)), Some(arrived)) =
                (batch.get_mut(number), openings.get(number), arrived)
            else {
                break;
            };
            let mut life = Life::Lasts;
            let is_usual = sa.is_usual && job.outcome == Outcome::Done && !arrived.moved;
            let ended = is_usual
                .then(|| end_usual(sa, mbuf, opening, &arrived, &link, &mut life))
                .flatten()
                .unwrap_or_else(|| end(sa, mbuf, *opening, job.outcome, &arrived, &link, &mut life));
            note_life(&mut sa.told, life);
            let ended = match ended {
                Ok(()) if self.esp.has_lent => self.leave_long_buffer(mbuf),
                ended => ended,
            };
            if ended.is_ok() {
                opened.count(arrived.ingress, &self.counters);
                authentic += 1;
            }
            if let Some(place) = refused.get_mut(number) {
                *place = ended.err();
            }
        }
        opened.tell(&self.counters);
        if !self.following.is_empty() {
            self.see_opened(sa, batch, openings, refused);
        }
        if authentic < batch.len() {
            self.drop_unopened(sa, batch, refused);
        }
        self.esp.bench = Some(bench);
        if let Some((from, to)) = sa.peer.as_mut().and_then(Peer::take_move) {
            let (id, number) = (sa.id, sa.number);
            self.tell_once(SaSignal::Moved { id, number, from, to });
        }
        // What is forged says nothing of the other end.
        let used = (sa.lifetime.packets() > before).then(|| self.esp.boottime_ns(now));
        publish(&sa.cells, &sa.lifetime, sa.esp.window().highest(), used);
        self.tell_matters(sa.id, sa.number, &mut sa.told);
    }

    /// Takes those out of a burst that were not opened.
    #[cold]
    fn drop_unopened(
        &mut self,
        sa: &InboundSa,
        batch: &mut MbufBatch<BURST>,
        refused: &[Option<DropReason>; BURST],
    ) {
        let mut opened = MbufBatch::new();
        for ((mut mbuf, refused), arrived) in batch.drain().zip(refused).zip(&sa.arrived) {
            match refused {
                // As many as there were, at most.
                None => drop(opened.push(mbuf)),
                Some(reason) => self.not_opened(sa, arrived.ingress, *reason, &mut mbuf),
            }
        }
        *batch = opened;
    }

    /// Counts a packet that waited and is dropped.
    fn not_opened(&mut self, sa: &InboundSa, ingress: u16, reason: DropReason, mbuf: &mut Mbuf) {
        let counter = match reason {
            DropReason::EspReplayed => Some(SaCounter::Replayed),
            DropReason::EspOld => Some(SaCounter::TooOld),
            DropReason::EspIcv => Some(SaCounter::BadIcv),
            DropReason::EspMalformed => Some(SaCounter::Malformed),
            DropReason::EspSelector => Some(SaCounter::Selector),
            _ => None,
        };
        if let Some(counter) = counter {
            sa.cells.add(counter, 1);
        }
        self.drop_waiting(ingress, reason, mbuf);
    }

    /// Drops a packet that counted as waiting.
    pub(super) fn drop_waiting(&mut self, ingress: u16, reason: DropReason, mbuf: &mut Mbuf) {
        self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
        self.drop_one(ingress, reason, PathStage::Released, mbuf);
        self.count_way(Passed::NONE.with(PathStage::Released).with(PathStage::Drop));
    }
}

/// Packets that were opened, which came in by one interface: mostly all of a burst did.
struct Opened {
    ingress: u16,
    packets: u64,
}

impl Opened {
    const NONE: Self = Self {
        ingress: 0,
        packets: 0,
    };

    /// Counts one more.
    #[inline]
    fn count(&mut self, ingress: u16, counters: &CounterBlock) {
        if ingress != self.ingress {
            self.tell(counters);
            self.ingress = ingress;
        }
        self.packets += 1;
    }

    /// Says how many there were.
    #[inline]
    fn tell(&mut self, counters: &CounterBlock) {
        let packets = std::mem::take(&mut self.packets);
        if packets > 0 {
            counters.sub(self.ingress, InterfaceCounter::Waiting, packets);
            counters.add(self.ingress, InterfaceCounter::Decapsulated, packets);
            counters.burst_of(Passed::OUT_OF_ESP, packets);
        }
    }
}
