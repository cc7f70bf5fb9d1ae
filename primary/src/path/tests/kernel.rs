//! What goes to the kernel on an interface with a tap, and what becomes of the same packets without.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::ethernet::{EthernetHeader, VlanTags};
use packet::nd::{MAX_FRAME_LEN, NeighborSolicitation};
use packet::{EtherType, MacAddress, PacketBuilder, Protocol, ipv6};
use shm::DropReason;

use super::ip4::from_a;
use super::{Bench, GATEWAY, HOST_A, HOST_A6, HOST_B, LINK_LOCAL, OWN, OWN6, SENDER};
use crate::path::punt::Punts;
use crate::path::{Disposition, Family};

const NEIGHBOR6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const ALL_OSPF: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 5);
const GROUP_MAC: MacAddress = MacAddress([1, 0, 0x5e, 0, 0, 5]);

fn to_group4(group: Ipv4Addr) -> Vec<u8> {
    PacketBuilder::ethernet(GROUP_MAC, SENDER)
        .ipv4(HOST_A, group)
        .payload(Protocol::OSPF, b"hello")
}

fn to_group6(group: &str, protocol: Protocol) -> Vec<u8> {
    let group = group.parse().unwrap();
    PacketBuilder::ethernet(ipv6::multicast_mac(group), SENDER)
        .ipv6(NEIGHBOR6, group)
        .payload(protocol, b"hello")
}

fn frame(destination: MacAddress, ethertype: u16) -> Vec<u8> {
    let header = EthernetHeader {
        destination,
        source: SENDER,
        tags: VlanTags::NONE,
        ethertype: EtherType(ethertype),
    };
    let mut frame = vec![0; 60];
    header.emit(&mut frame).unwrap();
    frame
}

/// A packet and why it is dropped where there is no tap.
fn for_the_kernel() -> Vec<(Vec<u8>, DropReason)> {
    let from_a6 = |destination| PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, destination);
    let (unhandled, group4, group6) = (
        DropReason::LocalUnhandled,
        DropReason::Ip4Multicast,
        DropReason::Ip6Multicast,
    );
    vec![
        (from_a(OWN).udp(1, 53, b"x"), unhandled),
        (from_a(OWN).payload(Protocol::OSPF, b"x"), unhandled),
        (from_a(OWN).echo_reply(1, 2, b"x"), unhandled),
        (from_a6(OWN6).udp(1, 53, b"x"), unhandled),
        (from_a6(OWN6).payload(Protocol::OSPF, b"x"), unhandled),
        (
            PacketBuilder::ethernet(GATEWAY[0], SENDER)
                .ipv6(NEIGHBOR6, LINK_LOCAL)
                .payload(Protocol::OSPF, b"x"),
            unhandled,
        ),
        (to_group4(ALL_OSPF), group4),
        (to_group4([224, 0, 0, 18].into()), group4),
        (to_group4(Ipv4Addr::BROADCAST), group4),
        (to_group6("ff02::5", Protocol::OSPF), group6),
        (to_group6("ff02::12", Protocol::VRRP), group6),
        // IS-IS, whose type is a length, and LLDP.
        (
            frame(MacAddress([1, 0x80, 0xc2, 0, 0, 0x14]), 46),
            DropReason::UnknownEthertype,
        ),
        (
            frame(MacAddress([1, 0x80, 0xc2, 0, 0, 0x0e]), 0x88cc),
            DropReason::UnknownEthertype,
        ),
        (frame(GATEWAY[0], 0x88b5), DropReason::UnknownEthertype),
    ]
}

#[test]
fn what_nobody_here_handles_goes_to_the_kernel_as_it_came() {
    let (with, without) = (Bench::with_tap(), Bench::new());
    for (packet, reason) in for_the_kernel() {
        let mut packets = [packet.clone()];
        let note = with.run(&mut packets)[0];
        assert_eq!(
            note.disposition,
            Disposition::Kernel(0),
            "{reason}: {packet:02x?}"
        );
        assert_eq!(packets[0], packet);
        assert_eq!(without.dropped(packet), reason);
    }
}

#[test]
fn what_is_handled_here_or_is_for_nobody_here_does_not() {
    let bench = Bench::with_tap();
    assert_eq!(
        bench.one(from_a(HOST_B).udp(1, 2, b"x")).0,
        Disposition::Transmit(1)
    );
    assert_eq!(
        bench.one(from_a(OWN).echo_request(1, 2, b"x")).0,
        Disposition::Transmit(0),
        "the gateway answers"
    );
    let mut question = vec![0; MAX_FRAME_LEN];
    let solicitation = NeighborSolicitation {
        target: OWN6,
        source_link_layer: Some(SENDER),
    };
    let length = solicitation
        .emit_frame(SENDER, GATEWAY[0], HOST_A6, OWN6, &mut question)
        .unwrap();
    question.truncate(length);
    assert_eq!(bench.one(question).0, Disposition::Nd);
    for (packet, reason) in [
        (to_group4([239, 1, 2, 3].into()), DropReason::Ip4Multicast),
        (to_group4([224, 0, 1, 1].into()), DropReason::Ip4Multicast),
        (to_group6("ff0e::77", Protocol::UDP), DropReason::Ip6Multicast),
        // Of a host that is none of the gateway's addresses.
        (
            to_group6("ff02::1:ff12:3456", Protocol::ICMPV6),
            DropReason::Ip6Multicast,
        ),
        (frame(SENDER, 0x88cc), DropReason::OtherHost),
        (from_a([10, 99, 0, 1].into()).udp(1, 2, b"x"), DropReason::NoRoute),
        (from_a(HOST_B).ttl(1).udp(1, 2, b"x"), DropReason::TtlExpired),
    ] {
        assert_eq!(bench.dropped(packet), reason);
    }
}

#[test]
fn a_packet_for_the_kernel_leaves_its_burst_alone() {
    let bench = Bench::with_tap();
    let plain = || from_a(HOST_B).udp(1, 2, b"x");
    let (together, notes) = bench.burst(vec![plain(), from_a(OWN).udp(1, 53, b"x"), plain()]);
    assert_eq!(together, None);
    let dispositions: Vec<_> = notes.iter().map(|note| note.disposition).collect();
    let transmit = Disposition::Transmit(1);
    assert_eq!(dispositions, [transmit, Disposition::Kernel(0), transmit]);
}

#[test]
fn what_was_put_together_and_nobody_here_handles_goes_to_the_kernel() {
    let (with, without) = (Bench::with_tap(), Bench::new());
    for (mut packet, reason) in for_the_kernel() {
        let family = match packet[12..14] {
            [0x08, 0x00] => Family::Four,
            [0x86, 0xdd] => Family::Six,
            _ => continue,
        };
        if reason != DropReason::LocalUnhandled {
            continue;
        }
        for (bench, disposition) in [
            (&with, Disposition::Kernel(0)),
            (&without, Disposition::Drop(reason)),
        ] {
            let delivered = bench.path.deliver(0, &Punts::OFF, &mut packet, 14, family);
            assert_eq!(delivered.disposition, disposition);
        }
    }
}
