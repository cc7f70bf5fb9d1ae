//! ESP packets for the gateway itself: opened in bursts of their SA.
//!
//! Until its burst is done a packet counts as waiting on the interface that it came in by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use control::message::SaId;
use dpdk::crypto::{Job, Outcome};
use dpdk::{Mbuf, MbufBatch};
use esp::lifetime::Life;
use esp::tunnel::{Family as InnerFamily, InnerError};
use esp::{Header, OpenError, Opened, Opening, ReplayError};
use packet::EtherType;
use packet::ethernet::HEADER_LEN;
use shm::{DropReason, InterfaceCounter, Passed, PathStage, SaCounter};

use super::super::Engine;
use super::super::dispatch::Refused;
use super::super::tunnels::Step;
use super::super::ways::End;
use crate::adjacency;
use crate::ipsec::{Arrived, InboundSa, Peer, SaSignal, job, publish, source_port};
use crate::path::{BURST, Family, Note, link_header};

/// Where the way of a packet goes on whose burst is done.
const OPENED: Passed = Passed::NONE.with(PathStage::Released);

/// What is asked of the outer header.
struct Outer {
    source: IpAddr,
    destination: IpAddr,
    class: u8,
}

impl Outer {
    /// Of a packet that was found right before.
    fn of(family: Family, packet: &[u8]) -> Option<Self> {
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
    ) -> Result<End, Refused> {
        mbuf.truncate(usize::from(note.length));
        let mbuf = self.in_one_segment(mbuf)?;
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
        match self.open_here(slot, ingress, mbuf, link_len, note.family(), at, level) {
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
    ) -> Result<(), Refused> {
        let outer = Outer::of(family, mbuf.data().get(link_len..).unwrap_or_default());
        let sas = &mut self.esp.sas.inbound;
        let (Some(sa), Some(outer)) = (sas.get_mut(slot), outer) else {
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
        let number = sa.burst.len();
        if let Some(place) = sa.arrived.get_mut(number) {
            *place = Arrived {
                ingress,
                at,
                class: outer.class,
                level,
                network: link_len as u8,
                moved,
            };
        }
        // It is never left full.
        sa.burst.push(mbuf).map_err(|mbuf| (mbuf, DropReason::NoBuffer))?;
        let is_full = sa.burst.is_full();
        if number == 0 {
            sas.note(slot);
        }
        if is_full {
            self.open_burst(slot);
        }
        Ok(())
    }

    /// Opens what is in bursts.
    pub(in crate::worker) fn open_all(&mut self) {
        while let Some(slot) = self.esp.sas.inbound.take_busy() {
            self.open_burst(slot);
        }
    }

    /// Opens the burst of an SA; what was inside waits for the tunnels' turn.
    fn open_burst(&mut self, slot: u32) {
        let mut own = None;
        // Taken out, since what follows changes the worker.
        self.esp.sas.inbound.swap(slot, &mut own);
        if let Some(sa) = own.as_deref_mut() {
            let mac = self
                .stages
                .interfaces
                .get(usize::from(sa.tunnel))
                .map(|view| view.mac)
                .unwrap_or_default();
            let mut ready = MbufBatch::<BURST>::new();
            let mut jobs = [Job::default(); BURST];
            let mut openings: [Option<(Opening, Arrived)>; BURST] = [None; BURST];
            let (mut burst, arrived) = (std::mem::take(&mut sa.burst), sa.arrived);
            for (mut mbuf, arrived) in burst.drain().zip(arrived) {
                let number = ready.len();
                match begin(sa, &mut mbuf, arrived.at.into()) {
                    Ok((opening, work)) => {
                        jobs[number] = job(number, arrived.at.into(), &work);
                        openings[number] = Some((opening, arrived));
                        // As many as there were in the burst, at most.
                        drop(ready.push(mbuf));
                    }
                    Err(reason) => self.not_opened(sa, arrived.ingress, reason),
                }
            }
            let count = ready.len();
            sa.session.process(&mut ready, &mut jobs[..count]);
            for ((mut mbuf, job), opening) in ready.drain().zip(&jobs).zip(&openings) {
                let Some((opening, arrived)) = *opening else {
                    continue;
                };
                let mut life = Life::Lasts;
                let ended = end(sa, &mut mbuf, opening, job.outcome, &arrived, mac, &mut life);
                super::note_life(&mut sa.told, life);
                let ended = ended.and_then(|()| {
                    self.tunnels
                        .put_at(Step::Receive, arrived.level, sa.tunnel, mbuf)
                        .map_err(|_| DropReason::NoBuffer)
                });
                match ended {
                    Ok(()) => {
                        let ingress = arrived.ingress;
                        self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                        self.counters.add(ingress, InterfaceCounter::Decapsulated, 1);
                        self.count_way(OPENED.with(PathStage::Decapsulated));
                    }
                    Err(reason) => self.not_opened(sa, arrived.ingress, reason),
                }
            }
            if let Some((from, to)) = sa.peer.as_mut().and_then(Peer::take_move) {
                let (id, number) = (sa.id, sa.number);
                self.tell_of_sa(SaSignal::Moved { id, number, from, to });
            }
            let used = super::boottime_ns();
            publish(&sa.cells, &sa.lifetime, sa.esp.window().highest(), used);
            self.tell_matters(sa.id, sa.number, &mut sa.told);
        }
        self.esp.sas.inbound.swap(slot, &mut own);
    }

    /// Counts a packet that waited and is dropped.
    fn not_opened(&mut self, sa: &InboundSa, ingress: u16, reason: DropReason) {
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
        self.drop_waiting(ingress, reason);
    }

    /// Drops a packet that counted as waiting.
    pub(super) fn drop_waiting(&mut self, ingress: u16, reason: DropReason) {
        self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
        self.counters.drop(ingress, reason, 1);
        self.count_way(OPENED.with(PathStage::Drop));
    }
}

/// Looks whether a packet may be opened, and makes it ready for cryptography.
fn begin(sa: &mut InboundSa, mbuf: &mut Mbuf, at: usize) -> Result<(Opening, esp::Work), DropReason> {
    let packet = mbuf.data().get(at..).unwrap_or_default();
    let header = Header::parse(packet).map_err(|_| DropReason::EspMalformed)?;
    let opening = sa.esp.open(header, packet.len()).map_err(refused)?;
    let spare = [0; 8];
    mbuf.append(spare.get(..opening.spare_len()).unwrap_or_default())
        .map_err(|_| DropReason::EspRoom)?;
    let work = opening
        .prepare(mbuf.data_mut().get_mut(at..).unwrap_or_default())
        .map_err(|_| DropReason::EspRoom)?;
    Ok((opening, work))
}

/// Takes what is inside out of a packet that cryptography is done with: it begins with a link header afterwards.
fn end(
    sa: &mut InboundSa,
    mbuf: &mut Mbuf,
    opening: Opening,
    outcome: Outcome,
    arrived: &Arrived,
    mac: packet::MacAddress,
    life: &mut Life,
) -> Result<(), DropReason> {
    if matches!(outcome, Outcome::Refused | Outcome::Waiting) {
        return Err(DropReason::CryptoBusy);
    }
    let at = usize::from(arrived.at);
    let frame = mbuf.data_mut();
    let place = if arrived.moved {
        place_of(frame, arrived)
    } else {
        None
    };
    let sequence = opening.sequence().get();
    let packet = frame.get_mut(at..).unwrap_or_default();
    let opened = sa
        .esp
        .finish(opening, outcome == Outcome::Done, packet)
        .map_err(refused)?;
    if let (Some(place), Some(peer)) = (place, &mut sa.peer)
        && sequence == sa.esp.window().highest()
    {
        peer.came_from(place, dpdk::tsc(), dpdk::tsc_hz());
    }
    let Opened::Packet(payload) = opened else {
        return Err(DropReason::EspDummy);
    };
    *life = sa.lifetime.count(payload.span.len.into());
    if *life == Life::Ended {
        return Err(DropReason::EspLifetime);
    }
    let payload = match &sa.behind {
        None => payload,
        Some(behind) => behind.inside(&payload, packet)?,
    };
    let (inner, span) = payload
        .decapsulate(packet, arrived.class)
        .map_err(|error| match error {
            InnerError::Congestion => DropReason::TunnelEcn,
            _ => DropReason::EspMalformed,
        })?;
    if !sa.selectors.allow(packet.get(span.range()).unwrap_or_default()) {
        return Err(DropReason::EspSelector);
    }
    let begin = at + usize::from(span.offset);
    let ethertype = match inner.family {
        InnerFamily::V4 => EtherType::IPV4,
        InnerFamily::V6 => EtherType::IPV6,
    };
    // What is taken off is longer than a link header.
    let link = begin.checked_sub(HEADER_LEN).ok_or(DropReason::EspMalformed)?;
    link_header(mac, ethertype)
        .emit(frame.get_mut(link..begin).unwrap_or_default())
        .map_err(|_| DropReason::EspMalformed)?;
    mbuf.truncate(begin + usize::from(span.len));
    mbuf.trim_front(link).map_err(|_| DropReason::EspMalformed)
}

/// Where a packet in UDP came from.
#[cold]
fn place_of(frame: &[u8], arrived: &Arrived) -> Option<SocketAddr> {
    let link_len = usize::from(arrived.network);
    let packet = frame.get(link_len..)?;
    let family = match packet.first()? >> 4 {
        4 => Family::Four,
        _ => Family::Six,
    };
    let port = source_port(frame, link_len, family, arrived.at.into())?;
    Some(SocketAddr::new(Outer::of(family, packet)?.source, port))
}

fn refused(error: OpenError) -> DropReason {
    match error {
        OpenError::Length(_) | OpenError::Padding => DropReason::EspMalformed,
        OpenError::Replay(ReplayError::Replayed) => DropReason::EspReplayed,
        OpenError::Replay(_) => DropReason::EspOld,
        OpenError::Forged => DropReason::EspIcv,
        OpenError::NoRoom(_) => DropReason::EspRoom,
    }
}
