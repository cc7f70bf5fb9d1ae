//! Packets in clear that belong in a protected tunnel: RFC 4301 section 5.2.
//!
//! A packet belongs in a tunnel if what is sent to its source leaves by it. What sets tunnels up, and what says of their packets that
//! they do not get through, comes to the gateway itself in clear all the same, whole or as the first fragment. What cannot be read
//! belongs where its source says.

use std::net::{IpAddr, Ipv6Addr};

use dpdk::MbufBatch;
use esp::udp;
use packet::ethernet::VlanTags;
use packet::{EtherType, EthernetHeader, Ipv4, Ipv6, Protocol, extension, icmpv4, icmpv6};
use shm::{DropReason, Passed, PathStage};

use super::super::Engine;
use super::survey::{Survey, sources6};
use crate::adjacency;
use crate::path::punt::IKE;
use crate::path::{BURST, Interfaces};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Drops those packets of a burst that came in clear and belong in a protected tunnel. Gives the bytes of the others.
    #[inline]
    pub(super) fn drop_clear(
        &mut self,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        survey: &Survey,
    ) -> usize {
        let may_belong = if survey.are_plain {
            self.stages.may_belong_in_esp4(ingress, survey.sources())
        } else {
            self.may_belong6(ingress, batch)
        };
        if may_belong {
            self.drop_each_clear(ingress, batch)
        } else {
            survey.bytes
        }
    }

    /// Whether one of a burst may belong in a protected tunnel that is not all of IPv4.
    #[inline(never)]
    fn may_belong6(&self, ingress: u16, batch: &MbufBatch<BURST>) -> bool {
        let mut sources = [0; BURST];
        match sources6(batch, &mut sources) {
            Some(sources) => self.stages.may_belong_in_esp6(ingress, sources),
            None => true,
        }
    }

    fn drop_each_clear(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>) -> usize {
        let mut kept = MbufBatch::<BURST>::new();
        let mut bytes = 0;
        for mut mbuf in batch.drain() {
            let belongs = |ends: Ends| {
                self.stages.belongs_in_esp(ingress, ends.source)
                    && !(ends.may_be_clear && self.stages.is_own(ends.destination))
            };
            if ends(mbuf.data()).is_some_and(belongs) {
                let interface = own_interface(&self.stages.interfaces, ingress, mbuf.data());
                if interface != ingress {
                    self.received_tagged(interface, &mut mbuf);
                }
                self.lose(&mbuf, interface, PathStage::Rx, DropReason::EspClear);
                self.drop_one(interface, DropReason::EspClear, PathStage::Rx, &mut mbuf);
                self.count_way(Passed::NONE.with(PathStage::Rx).with(PathStage::Drop));
                continue;
            }
            bytes += mbuf.len();
            // As many as there were, at most.
            drop(kept.push(mbuf));
        }
        *batch = kept;
        bytes
    }
}

/// The interface that a frame belongs to, by its tags: the stages have not looked at them yet.
#[cold]
fn own_interface(interfaces: &Interfaces, ingress: u16, frame: &[u8]) -> u16 {
    let tags = EthernetHeader::parse(frame).map_or(VlanTags::NONE, |(link, _)| link.tags);
    let levels = interfaces.levels(ingress, &tags).into_iter().flatten();
    levels.last().map_or(ingress, |(index, _)| index)
}

/// Between whom a packet is.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    source: IpAddr,
    destination: IpAddr,
    /// Whether the gateway itself takes it in clear.
    may_be_clear: bool,
}

/// The ends of a packet; `None` for what is no IP packet, or stays on its link.
fn ends(frame: &[u8]) -> Option<Ends> {
    let (link, packet) = EthernetHeader::parse(frame).ok()?;
    let behind = usize::from(u16::MAX);
    let (source, destination, upper): (IpAddr, IpAddr, _) = match link.ethertype {
        EtherType::IPV4 => {
            let header = Ipv4::parse_start(packet, behind).ok()?;
            let is_first = header.fragment_offset() == 0;
            let upper = is_first.then(|| (header.protocol(), header.payload()));
            (header.source().into(), header.destination().into(), upper)
        }
        EtherType::IPV6 => {
            let header = Ipv6::parse_start(packet, behind).ok()?;
            let upper = extension::upper_layer(&header).ok();
            let upper = upper.filter(|upper| !upper.is_later_fragment());
            let upper = upper.map(|upper| (upper.protocol, upper.payload));
            (header.source().into(), header.destination().into(), upper)
        }
        _ => return None,
    };
    let is_of_link = match source {
        IpAddr::V4(source) => source.is_unspecified(),
        IpAddr::V6(source) => source.is_unicast_link_local() || source == Ipv6Addr::UNSPECIFIED,
    };
    (!is_of_link).then(|| Ends {
        source,
        destination,
        may_be_clear: upper.is_some_and(|(protocol, payload)| may_be_clear(protocol, payload)),
    })
}

/// Whether a packet is ESP, IKE, or an ICMP error.
fn may_be_clear(protocol: Protocol, payload: &[u8]) -> bool {
    match protocol {
        Protocol::ESP => true,
        Protocol::UDP => payload
            .get(2..4)
            .and_then(|port| port.first_chunk())
            .is_some_and(|port| [IKE, udp::PORT].contains(&u16::from_be_bytes(*port))),
        Protocol::ICMP => payload.first().is_some_and(|kind| {
            matches!(
                *kind,
                icmpv4::DESTINATION_UNREACHABLE | icmpv4::TIME_EXCEEDED | icmpv4::PARAMETER_PROBLEM
            )
        }),
        Protocol::ICMPV6 => payload.first().is_some_and(|kind| icmpv6::is_error(*kind)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;

    use super::*;

    fn read(ethertype: u16, packet: &[u8]) -> Option<Ends> {
        let link = [&[2; 12][..], &ethertype.to_be_bytes()].concat();
        ends(&[&link, packet].concat())
    }

    fn may(ethertype: u16, packet: &[u8]) -> bool {
        read(ethertype, packet).unwrap().may_be_clear
    }

    #[test]
    fn what_sets_tunnels_up_and_what_is_said_of_their_packets_may_be_clear() {
        let four = || PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let six = |from: &str| PacketBuilder::ipv6(from.parse().unwrap(), Ipv6Addr::LOCALHOST);
        for (port, expected) in [(500, true), (4500, true), (53, false)] {
            assert_eq!(may(0x0800, &four().udp(7, port, b"")), expected, "{port}");
            assert_eq!(
                may(0x86dd, &six("2001:db8::1").udp(7, port, b"")),
                expected,
                "{port}"
            );
        }
        assert_eq!(
            read(0x86dd, &six("fe80::1").udp(7, 53, b"")),
            None,
            "it is of its link"
        );
        assert_eq!(read(0x0806, &[0; 28]), None, "it is no IP packet");
        for cut in 0..20 {
            assert_eq!(read(0x0800, &four().udp(7, 53, b"")[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn later_fragments_and_what_cannot_be_read_may_not_be_clear() {
        let port = [1, 0xf4, 1, 0xf4, 0, 8, 0, 0];
        let four = || PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for (offset, expected) in [(0, true), (64, false)] {
            let packet = four().fragment(offset, true).payload(Protocol::UDP, &port);
            assert_eq!(may(0x0800, &packet), expected, "{offset}");
        }
        let six = || PacketBuilder::ipv6("2001:db8::1".parse().unwrap(), Ipv6Addr::LOCALHOST);
        for (offset, expected) in [(0, true), (64, false)] {
            let packet = six().fragment(offset, true, 7).payload(Protocol::UDP, &port);
            assert_eq!(may(0x86dd, &packet), expected, "{offset}");
        }
        let long = (0..20).fold(six(), |packet, _| packet.destination_options(&[]));
        assert!(!may(0x86dd, &long.udp(500, 500, b"")));
    }
}
