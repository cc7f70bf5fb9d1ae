//! IPv6 packets in; dispositions and bytes out.

use std::net::Ipv6Addr;

use control::message::PuntClass;
use packet::builder::Ipv6Builder;
use packet::ethernet::EthernetHeader;
use packet::nd::{MAX_FRAME_LEN, NeighborSolicitation};
use packet::{EtherType, Icmpv6, Ipv6, MacAddress, PacketBuilder, Protocol, VlanTag, ipv6};
use proptest::prelude::*;
use shm::DropReason;

use super::{Bench, GATEWAY, HOST_A6, HOST_B6, LINK_LOCAL, MTU, NEIGHBOR, OWN6, SENDER};
use crate::path::punt::{PuntMode, Punts};
use crate::path::{BURST, Disposition};

const NEIGHBOR_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

pub(super) fn from_a(destination: Ipv6Addr) -> Ipv6Builder {
    from(HOST_A6, destination)
}

fn from(source: Ipv6Addr, destination: Ipv6Addr) -> Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(source, destination)
}

fn to_group(source: Ipv6Addr, group: Ipv6Addr) -> Ipv6Builder {
    PacketBuilder::ethernet(ipv6::multicast_mac(group), SENDER).ipv6(source, group)
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A solicitation by `source` for `target`, sent to `destination`.
fn solicitation(source: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let mac = if destination.is_multicast() {
        ipv6::multicast_mac(destination)
    } else {
        GATEWAY[0]
    };
    let message = NeighborSolicitation {
        target,
        source_link_layer: (!source.is_unspecified()).then_some(SENDER),
    };
    let mut frame = vec![0; MAX_FRAME_LEN];
    let length = message
        .emit_frame(SENDER, mac, source, destination, &mut frame)
        .unwrap();
    frame.truncate(length);
    frame
}

#[test]
fn a_packet_leaves_with_new_macs_and_one_less_hop() {
    let bench = Bench::new();
    let original = from_a(HOST_B6).hop_limit(17).udp(1000, 2000, b"payload");
    let (disposition, sent) = bench.one(original.clone());
    assert_eq!(disposition, Disposition::Transmit(1));
    let (link, rest) = EthernetHeader::parse(&sent).unwrap();
    assert_eq!(
        (link.destination, link.source, link.ethertype),
        (NEIGHBOR, GATEWAY[1], EtherType::IPV6)
    );
    assert_eq!(rest[7], 16);
    assert_eq!(rest[..7], original[14..21]);
    assert_eq!(rest[8..], original[22..], "all but the hop limit stays");
}

#[test]
fn extension_headers_are_passed_on_as_they_are() {
    let bench = Bench::new();
    for packet in [
        from_a(HOST_B6).router_alert(0).udp(1, 2, b"x"),
        from_a(HOST_B6).hop_by_hop(&[0xc3, 1, 0, 1, 0, 0]).udp(1, 2, b"x"),
        from_a(HOST_B6)
            .destination_options(&[0xc3, 1, 0, 1, 0, 0])
            .udp(1, 2, b"x"),
        from_a(HOST_B6).routing(0, 3).udp(1, 2, b"x"),
        from_a(HOST_B6)
            .fragment(0, true, 7)
            .payload(Protocol::UDP, &[0; 8]),
        from_a(HOST_B6)
            .fragment(1480, false, 7)
            .payload(Protocol::UDP, &[0; 8]),
        // A misplaced hop-by-hop header is nothing to a router that looks at none.
        from_a(HOST_B6)
            .destination_options(&[1, 2, 0, 0])
            .hop_by_hop(&[1, 2, 0, 0])
            .udp(1, 2, b"x"),
        from_a(HOST_B6).payload(Protocol(253), b"unknown"),
        from_a(HOST_B6).payload(Protocol::NO_NEXT_HEADER, b""),
        from_a(HOST_B6).payload(Protocol::ESP, &[1; 40]),
    ] {
        let (disposition, sent) = bench.one(packet.clone());
        assert_eq!(disposition, Disposition::Transmit(1), "{packet:02x?}");
        assert_eq!(sent[22..], packet[22..]);
    }
}

#[test]
fn a_burst_of_both_families_keeps_each_packet_to_its_own_fate() {
    let bench = Bench::new();
    let mut packets: Vec<_> = (0..BURST as u16)
        .map(|number| match number % 5 {
            0 => from_a(HOST_B6).udp(number, 2, b""),
            1 => super::ip4::from_a(super::HOST_B).udp(number, 2, b""),
            2 => from_a(address("2001:db8:ffff::1")).udp(number, 2, b""),
            3 => from_a(OWN6).echo_request(number, 1, b""),
            _ => super::ip4::from_a([8, 8, 8, 8].into()).udp(number, 2, b""),
        })
        .collect();
    for (number, note) in bench.run(&mut packets).iter().enumerate() {
        let expected = match number % 5 {
            0 | 1 => Disposition::Transmit(1),
            3 => Disposition::Transmit(0),
            _ => Disposition::Drop(DropReason::NoRoute),
        };
        assert_eq!(note.disposition, expected, "packet {number}");
    }
    let whole = vec![from_a(HOST_B6).udp(1, 2, b"payload"); BURST];
    assert_eq!(bench.burst(whole).0, Some(1));
}

#[test]
fn echo_is_answered_the_way_it_came_and_without_extension_headers() {
    let bench = Bench::new();
    let tag = VlanTag {
        tpid: EtherType::VLAN,
        tci: 3 << 13,
    };
    let plain = || {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .tag(tag)
            .ipv6(HOST_A6, OWN6)
    };
    for request in [
        plain().hop_limit(1).echo_request(7, 9, b"are you there"),
        plain()
            .router_alert(0)
            .destination_options(&[0x1e, 2, 0, 0])
            .echo_request(7, 9, b"are you there"),
        // An atomic fragment is a whole packet, RFC 6946.
        plain().fragment(0, false, 1).echo_request(7, 9, b"are you there"),
        plain().routing(0, 0).echo_request(7, 9, b"are you there"),
    ] {
        let (disposition, reply) = bench.one(request);
        assert_eq!(disposition, Disposition::Transmit(0));
        let (link, rest) = EthernetHeader::parse(&reply).unwrap();
        assert_eq!((link.destination, link.source), (SENDER, GATEWAY[0]));
        assert_eq!(link.tags.outer(), Some(tag));
        assert_reply(rest, OWN6, HOST_A6);
    }
}

fn assert_reply(packet: &[u8], source: Ipv6Addr, destination: Ipv6Addr) {
    let ip = Ipv6::parse(packet).unwrap();
    assert_eq!((ip.source(), ip.destination()), (source, destination));
    assert_eq!((ip.hop_limit(), ip.next_header()), (64, Protocol::ICMPV6));
    let message = Icmpv6::parse(ip.payload()).unwrap();
    assert!(message.checksum_is_valid(source, destination));
    let echo = message.echo().unwrap();
    assert_eq!(
        (echo.identifier, echo.sequence, message.data()),
        (7, 9, b"are you there".as_slice())
    );
}

#[test]
fn all_nodes_and_all_routers_are_answered_by_the_address_that_suits_the_sender() {
    let bench = Bench::new();
    for (sender, group, own) in [
        (NEIGHBOR_LINK_LOCAL, ipv6::ALL_NODES, LINK_LOCAL),
        (NEIGHBOR_LINK_LOCAL, ipv6::ALL_ROUTERS, LINK_LOCAL),
        (HOST_A6, ipv6::ALL_NODES, OWN6),
    ] {
        let request = to_group(sender, group).echo_request(7, 9, b"are you there");
        let (disposition, reply) = bench.one(request);
        assert_eq!(disposition, Disposition::Transmit(0));
        let (link, rest) = EthernetHeader::parse(&reply).unwrap();
        assert_eq!(link.destination, SENDER);
        assert_reply(rest, own, sender);
    }
}

#[test]
fn link_local_packets_stay_on_their_link() {
    let bench = Bench::new();
    let request = from(NEIGHBOR_LINK_LOCAL, LINK_LOCAL).echo_request(7, 9, b"are you there");
    let (disposition, reply) = bench.one(request);
    assert_eq!(disposition, Disposition::Transmit(0));
    assert_reply(&reply[14..], LINK_LOCAL, NEIGHBOR_LINK_LOCAL);
    // The gateway's global address is on this link as well as on any.
    let request = from(NEIGHBOR_LINK_LOCAL, OWN6).echo_request(7, 9, b"are you there");
    assert_eq!(bench.one(request).0, Disposition::Transmit(0));
    for (source, destination, reason) in [
        (NEIGHBOR_LINK_LOCAL, HOST_B6, DropReason::Ip6Scope),
        (
            NEIGHBOR_LINK_LOCAL,
            address("2001:db8:a1::1"),
            DropReason::Ip6Scope,
        ),
        (NEIGHBOR_LINK_LOCAL, address("fe80::77"), DropReason::Ip6LinkLocal),
        (HOST_A6, address("fe80::77"), DropReason::Ip6LinkLocal),
    ] {
        assert_eq!(bench.dropped(from(source, destination).udp(1, 2, b"")), reason);
    }
    // RFC 4291 section 2.5.6: they go to no other link.
    let on_link = address("2001:db8:1::77");
    assert_eq!(
        bench.waits(from(NEIGHBOR_LINK_LOCAL, on_link).udp(1, 2, b"")),
        (0, on_link.into(), on_link.into())
    );
}

#[test]
fn a_packet_for_an_unknown_next_hop_waits_for_it() {
    let bench = Bench::new();
    let on_link = address("2001:db8:1::77");
    assert_eq!(
        bench.waits(from_a(on_link).udp(1, 2, b"")),
        (0, on_link.into(), on_link.into())
    );
    let behind = address("2001:db8:a1::1");
    assert_eq!(
        bench.waits(from_a(behind).udp(1, 2, b"")),
        (1, address("fe80::9").into(), behind.into())
    );
}

#[test]
fn neighbor_discovery_goes_to_the_control_thread() {
    let bench = Bench::new();
    let group = ipv6::solicited_node(OWN6);
    for frame in [
        solicitation(HOST_A6, group, OWN6),
        solicitation(Ipv6Addr::UNSPECIFIED, group, OWN6),
        solicitation(NEIGHBOR_LINK_LOCAL, LINK_LOCAL, LINK_LOCAL),
        solicitation(HOST_A6, OWN6, OWN6),
        solicitation(HOST_A6, ipv6::ALL_NODES, OWN6),
    ] {
        assert_eq!(bench.one(frame).0, Disposition::Nd);
    }
}

#[test]
fn every_other_packet_is_dropped_for_its_reason() {
    use DropReason::*;
    let bench = Bench::new();
    let good = || from_a(HOST_B6).udp(1, 2, b"data");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good();
        change(&mut packet);
        packet
    };
    let own = || from_a(OWN6);
    let group = address("ff02::16");
    let cases: Vec<(DropReason, Vec<u8>)> = vec![
        (Ip6Truncated, good()[..14 + 39].to_vec()),
        (Ip6Version, with(&|packet| packet[14] = 0x45)),
        (Ip6PayloadLength, with(&|packet| packet.truncate(14 + 45))),
        (Ip6MartianSource, from(address("::"), HOST_B6).udp(1, 2, b"")),
        (Ip6MartianSource, from(address("::1"), HOST_B6).udp(1, 2, b"")),
        (Ip6MartianSource, from(address("ff02::1"), HOST_B6).udp(1, 2, b"")),
        (
            Ip6MartianSource,
            from(address("::ffff:10.0.0.1"), HOST_B6).udp(1, 2, b""),
        ),
        (
            Ip6MartianSource,
            to_group(Ipv6Addr::UNSPECIFIED, ipv6::ALL_NODES).echo_request(1, 2, b""),
        ),
        (Ip6MartianDestination, from_a(address("::")).udp(1, 2, b"")),
        (Ip6MartianDestination, from_a(address("::1")).udp(1, 2, b"")),
        (
            Ip6MartianDestination,
            from_a(address("::ffff:10.0.0.1")).udp(1, 2, b""),
        ),
        (Ip6Multicast, to_group(HOST_A6, group).udp(1, 2, b"")),
        (Ip6Multicast, to_group(HOST_A6, address("ff0e::1")).udp(1, 2, b"")),
        // For another's address.
        (
            Ip6Multicast,
            solicitation(HOST_A6, ipv6::solicited_node(HOST_B6), address("2001:db8:1::2")),
        ),
        (
            Ip6Multicast,
            to_group(HOST_A6, ipv6::ALL_ROUTERS).icmp(133, 0, &[0; 4]),
        ),
        (
            Ip6LinkMulticast,
            PacketBuilder::ethernet(MacAddress::BROADCAST, SENDER)
                .ipv6(HOST_A6, HOST_B6)
                .udp(1, 2, b""),
        ),
        (TtlExpired, from_a(HOST_B6).hop_limit(1).udp(1, 2, b"")),
        (TtlExpired, from_a(HOST_B6).hop_limit(0).udp(1, 2, b"")),
        (NoRoute, from_a(address("2001:db8:ffff::1")).udp(1, 2, b"")),
        (Blackhole, from_a(address("2001:db8:a3::1")).udp(1, 2, b"")),
        (NeighborFailed, from_a(address("2001:db8:a2::1")).udp(1, 2, b"")),
        (TooBig, from_a(HOST_B6).udp(1, 2, &vec![0; usize::from(MTU) - 47])),
        (Oversize, from_a(HOST_B6).udp(1, 2, &[0; 1453])),
        (
            PartialChecksum,
            from_a(HOST_B6).partial_checksum().udp(1, 2, b"data"),
        ),
        (LocalUnhandled, own().udp(1, 2, b"")),
        (LocalUnhandled, own().payload(Protocol(253), b"")),
        (LocalUnhandled, own().payload(Protocol::NO_NEXT_HEADER, b"")),
        (LocalUnhandled, own().echo_reply(1, 2, b"")),
        (
            Ip6ExtensionHeader,
            own()
                .destination_options(&[1, 2, 0, 0])
                .hop_by_hop(&[1, 2, 0, 0])
                .udp(1, 2, b""),
        ),
        (
            Ip6ExtensionHeader,
            own().payload(Protocol::ROUTING, &[17, 9, 0, 0]),
        ),
        (
            Ip6ExtensionHeader,
            own().hop_by_hop(&[5, 9, 0, 0, 0, 0]).udp(1, 2, b""),
        ),
        (Ip6Option, own().hop_by_hop(&[0x43, 2, 0, 0]).udp(1, 2, b"")),
        (
            Ip6Option,
            own().destination_options(&[0x83, 2, 0, 0]).udp(1, 2, b""),
        ),
        (Ip6RoutingHeader, own().routing(0, 1).udp(1, 2, b"")),
        (IcmpMalformed, own().payload(Protocol::ICMPV6, &[128, 0, 0])),
    ];
    for (number, (reason, packet)) in cases.into_iter().enumerate() {
        assert_eq!(bench.one(packet).0, Disposition::Drop(reason), "case {number}");
    }
    let mut bad_echo = own().echo_request(1, 2, b"data");
    *bad_echo.last_mut().unwrap() ^= 1;
    assert_eq!(bench.dropped(bad_echo), IcmpMalformed);
}

#[test]
fn router_alerts_and_ike_go_to_a_tool_or_fail_as_their_class_does() {
    let mut bench = Bench::new();
    let alert = || from_a(HOST_B6).router_alert(0).udp(1, 2, b"rsvp");
    let ike = |port| from_a(OWN6).udp(500, port, b"ike");
    assert_eq!(bench.one(alert()).0, Disposition::Transmit(1));
    assert_eq!(bench.dropped(ike(500)), DropReason::LocalUnhandled);

    bench.path.punts = Punts::new(|_| PuntMode::Tool);
    assert_eq!(bench.one(alert()).0, Disposition::Punt(PuntClass::RouterAlert));
    for port in [500, 4500] {
        assert_eq!(bench.one(ike(port)).0, Disposition::Punt(PuntClass::Ike));
    }
    for other in [
        from_a(HOST_B6).hop_by_hop(&[1, 4, 0, 0, 0, 0]).udp(1, 2, b""),
        // The option is one of hop-by-hop headers, RFC 2711 section 2.1.
        from_a(HOST_B6).destination_options(&[5, 2, 0, 0]).udp(1, 2, b""),
    ] {
        assert_eq!(bench.one(other).0, Disposition::Transmit(1));
    }
    assert_eq!(
        bench.path.run_one(0, &mut alert()).disposition,
        Disposition::Transmit(1)
    );

    bench.path.punts = Punts::new(|_| PuntMode::Closed);
    assert_eq!(bench.dropped(alert()), DropReason::PuntClosed);
    assert_eq!(bench.dropped(ike(500)), DropReason::PuntClosed);
}

proptest! {
    #[test]
    fn a_damaged_packet_never_leaves_longer_or_with_a_bad_header(
        byte in 0usize..62, value: u8, cut in 0usize..81
    ) {
        thread_local!(static BENCH: Bench = Bench::new());
        BENCH.with(|bench| {
            let mut packet = from_a(HOST_B6).udp(1, 2, b"some payload bytes");
            packet[byte] = value;
            packet.truncate(80 - cut);
            let length = packet.len();
            if let (Disposition::Transmit(1), sent) = bench.one(packet) {
                assert!(sent.len() <= length);
                Ipv6::parse(&sent[14..]).unwrap();
            }
        });
    }
}
