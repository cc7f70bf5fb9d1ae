//! Packets in clear that belong in a protected tunnel: RFC 4301 section 5.2.
//!
//! A packet belongs in a tunnel if what is sent to its source leaves by it. What sets tunnels up, and what says of their packets that
//! they do not get through, comes in clear all the same.

use std::net::{IpAddr, Ipv6Addr};

use dpdk::MbufBatch;
use esp::udp;
use packet::{EtherType, EthernetHeader, Ipv4, Ipv6, Protocol, extension, icmpv4, icmpv6};
use shm::{DropReason, Passed, PathStage};

use super::super::Engine;
use crate::adjacency;
use crate::path::BURST;

/// UDP port of IKE, RFC 7296 section 2.
const IKE: u16 = 500;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Drops those packets of a burst that came in clear and belong in a protected tunnel. Gives the bytes of the others.
    #[inline(never)]
    pub(in crate::worker) fn drop_clear(&mut self, ingress: u16, batch: &mut MbufBatch<BURST>) -> usize {
        let mut kept = MbufBatch::<BURST>::new();
        let mut bytes = 0;
        for mbuf in batch.drain() {
            let way_back = to_be_asked(mbuf.data()).and_then(|source| self.stages.way_back(source));
            if way_back.is_some_and(|tunnel| self.stages.interfaces.is_esp(tunnel)) {
                self.counters.drop(ingress, DropReason::EspClear, 1);
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

/// The source of a packet, unless it may come in clear from wherever.
fn to_be_asked(frame: &[u8]) -> Option<IpAddr> {
    let (link, packet) = EthernetHeader::parse(frame).ok()?;
    let behind = usize::from(u16::MAX);
    let (source, protocol, payload): (IpAddr, _, _) = match link.ethertype {
        EtherType::IPV4 => {
            let header = Ipv4::parse_start(packet, behind).ok()?;
            (header.source().into(), header.protocol(), header.payload())
        }
        EtherType::IPV6 => {
            let header = Ipv6::parse_start(packet, behind).ok()?;
            let upper = extension::upper_layer(&header).ok()?;
            (header.source().into(), upper.protocol, upper.payload)
        }
        _ => return None,
    };
    let may_be_clear = match protocol {
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
    };
    let is_of_link = match source {
        IpAddr::V4(source) => source.is_unspecified(),
        IpAddr::V6(source) => source.is_unicast_link_local() || source == Ipv6Addr::UNSPECIFIED,
    };
    (!may_be_clear && !is_of_link).then_some(source)
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;

    use super::*;

    fn asked(ethertype: u16, packet: &[u8]) -> bool {
        let link = [&[2; 12][..], &ethertype.to_be_bytes()].concat();
        to_be_asked(&[&link, packet].concat()).is_some()
    }

    #[test]
    fn what_sets_tunnels_up_and_what_is_said_of_their_packets_may_be_clear() {
        let four = || PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let six = |from: &str| PacketBuilder::ipv6(from.parse().unwrap(), Ipv6Addr::LOCALHOST);
        for (port, expected) in [(500, false), (4500, false), (53, true)] {
            assert_eq!(asked(0x0800, &four().udp(7, port, b"")), expected, "{port}");
            assert_eq!(
                asked(0x86dd, &six("2001:db8::1").udp(7, port, b"")),
                expected,
                "{port}"
            );
        }
        assert!(
            !asked(0x86dd, &six("fe80::1").udp(7, 53, b"")),
            "it is of its link"
        );
        assert!(!asked(0x0806, &[0; 28]), "it is no IP packet");
        for cut in 0..20 {
            assert!(!asked(0x0800, &four().udp(7, 53, b"")[..cut]), "{cut}");
        }
    }
}
