//! ESP packets as they usually come: whole, without options, to an SA of the worker that received them. They are told from others before
//! the stages, which all that is not usual in the least goes through, and take nothing of what those look at to get there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::esp::udp;
use dpdk::{Mbuf, MbufBatch};
use packet::checksum::Sum;
use packet::ethernet::HEADER_LEN;
use packet::{Protocol, ipv4, ipv6};
use shm::{InterfaceCounter, Passed, PathStage};

use super::super::Engine;
use super::super::tunnels::Step;
use crate::adjacency;
use crate::ipsec::{Arrived, InboundSa, source_port};
use crate::path::{BURST, Family};

/// Bytes of Ethernet and IP header.
const HEAD4: usize = HEADER_LEN + ipv4::HEADER_LEN;
const HEAD6: usize = HEADER_LEN + ipv6::HEADER_LEN;

/// The ways of those that are told apart here, which are those that they would go through the stages.
const WAY4: Passed = Passed::USUAL4
    .without(PathStage::Rewrite)
    .with(PathStage::Rx)
    .with(PathStage::Local4)
    .with(PathStage::Waiting);
const WAY6: Passed = Passed::USUAL6
    .without(PathStage::Rewrite)
    .with(PathStage::Rx)
    .with(PathStage::Local6)
    .with(PathStage::Waiting);

/// What is known of an ESP packet.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    source: IpAddr,
    destination: IpAddr,
    spi: u32,
    arrived: Arrived,
    /// Where the IP packet ends.
    end: usize,
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Takes out of a burst those packets, of one segment each, that are ESP packets of SAs of this worker and nothing else in any way.
    #[inline(never)]
    pub(in crate::worker) fn take_esp(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>, now: u64) {
        let candidates = (0..).zip(batch.iter()).fold(0_u32, |found, (number, mbuf)| {
            found | u32::from(may_be_esp(mbuf.data())) << number
        });
        if candidates == 0 || !self.traces.is_empty() {
            return;
        }
        let Some(mac) = self.stages.takes_usual(ingress) else {
            return;
        };
        let level = self.tunnels.level_of(Step::Receive);
        let mut others = MbufBatch::new();
        let mut taken = [0, 0];
        for (number, mbuf) in (0..).zip(batch.drain()) {
            let is_candidate = candidates >> number & 1 != 0;
            let found = is_candidate.then(|| find(ingress, &mac, mbuf.data())).flatten();
            let left = match found {
                Some(found) => match self.take_one_esp(mbuf, &found, level, now) {
                    Ok(()) => {
                        taken[usize::from(found.source.is_ipv6())] += 1;
                        continue;
                    }
                    Err(mbuf) => mbuf,
                },
                None => mbuf,
            };
            // As many as there were, at most.
            drop(others.push(left));
        }
        *batch = others;
        for (packets, way) in taken.into_iter().zip([WAY4, WAY6]) {
            if packets > 0 {
                self.counters.burst_of(way, packets);
            }
        }
    }

    #[inline]
    fn take_one_esp(&mut self, mut mbuf: Mbuf, found: &Found, level: u8, now: u64) -> Result<(), Mbuf> {
        let Some(slot) = self.esp.sas.by_spi.find(found.spi, found.destination) else {
            return Err(mbuf);
        };
        let is_ours = self.esp.elsewhere(slot).is_none();
        let is_usual = is_ours
            && self.esp.sas.inbound.get_mut(slot).is_some_and(|sa| {
                // While its tunnel is up, its destination is an address of the gateway.
                is_at_its_place(sa, found, mbuf.data()) && self.stages.is_up(sa.tunnel)
            });
        if !is_usual {
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

/// Whether a frame has an ESP header right behind its IP header, or UDP that may be around one.
#[inline]
fn may_be_esp(frame: &[u8]) -> bool {
    let Some(head) = frame.first_chunk::<{ HEAD4 + 4 }>() else {
        return false;
    };
    match [head[12], head[13], head[14]] {
        [0x08, 0x00, 0x45] => {
            head[23] == Protocol::ESP.0
                || head[23] == Protocol::UDP.0 && head[36..] == udp::PORT.to_be_bytes()
        }
        // Of UDP somebody has to look at the checksum.
        [0x86, 0xdd, first] => first >> 4 == 6 && head[20] == Protocol::ESP.0,
        _ => false,
    }
}

/// What is known of a frame that came for `mac`, if it is an ESP packet about which nothing is out of the ordinary.
#[inline]
fn find(ingress: u16, mac: &[u8; 6], frame: &[u8]) -> Option<Found> {
    if frame.first_chunk() != Some(mac) {
        return None;
    }
    let length = |high, low| usize::from(u16::from_be_bytes([high, low]));
    let (source, destination, protocol, class, head, end): (IpAddr, IpAddr, _, _, _, _) = if frame.get(12)
        == Some(&0x08)
    {
        let header: &[u8; ipv4::HEADER_LEN] = frame.get(HEADER_LEN..)?.first_chunk()?;
        let &[
            _,
            class,
            l0,
            l1,
            _,
            _,
            f0,
            f1,
            _,
            protocol,
            _,
            _,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        ] = header;
        let is_whole = f0 & 0x3f == 0 && f1 == 0;
        if !is_whole || !Sum::ZERO.ipv4_header(header).is_valid() {
            return None;
        }
        (
            Ipv4Addr::new(a, b, c, d).into(),
            Ipv4Addr::new(e, f, g, h).into(),
            protocol,
            class,
            HEAD4,
            HEADER_LEN + length(l0, l1),
        )
    } else {
        let header: &[u8; ipv6::HEADER_LEN] = frame.get(HEADER_LEN..)?.first_chunk()?;
        let &[first, second, _, _, l0, l1, protocol, ..] = header;
        let address =
            |at: usize| -> Option<Ipv6Addr> { Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?)) };
        (
            address(8)?.into(),
            address(24)?.into(),
            protocol,
            first << 4 | second >> 4,
            HEAD6,
            HEAD6 + length(l0, l1),
        )
    };
    let mut at = head;
    if protocol == Protocol::UDP.0 {
        let &[_, _, d0, d1, l0, l1, _, _] = frame.get(head..)?.first_chunk::<{ udp::HEADER_LEN }>()?;
        if [d0, d1] != udp::PORT.to_be_bytes() || head + length(l0, l1) != end || head == HEAD6 {
            return None;
        }
        at += udp::HEADER_LEN;
    }
    if end > frame.len() || at + ::esp::HEADER_LEN > end {
        return None;
    }
    let spi = u32::from_be_bytes(*frame.get(at..)?.first_chunk()?);
    // Zero says that it is IKE.
    (spi != 0).then_some(Found {
        source,
        destination,
        spi,
        arrived: Arrived {
            ingress,
            at: at as u16,
            class,
            network: HEADER_LEN as u8,
            moved: false,
        },
        end,
    })
}
