//! Routes that lead to groups: which packets go by which next hop, the MTU of a route, and routes that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use control::message::Flow;
use packet::PacketBuilder;

use super::*;
use crate::adjacency::BUCKETS;
use crate::flow;

/// Neighbours with these last bytes of their MAC addresses share 10.9.0.0/16 and 2001:db8:b0::/48.
const SHARED: [u8; 3] = [0x11, 0x12, 0x13];
/// Of 10.8.0.0/16 and 2001:db8:b8::/48, which lead to the first of them.
const ROUTE_MTU: u16 = 1300;

fn from_a(destination: Ipv4Addr) -> packet::builder::Ipv4Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, destination)
}

fn from_a6(destination: Ipv6Addr) -> packet::builder::Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, destination)
}

/// The last byte of the MAC address that a packet leaves for.
fn next_hop(bench: &Bench, packet: Vec<u8>) -> u8 {
    let (disposition, sent) = bench.one(packet);
    assert_eq!(disposition, Disposition::Transmit(1));
    sent[5]
}

#[test]
fn flows_spread_and_each_stays_on_one_next_hop() {
    let bench = Bench::new();
    let mut counts = BTreeMap::new();
    for port in 0..3000u16 {
        let packet = || from_a([10, 9, 1, 1].into()).udp(port, 53, b"");
        let found = next_hop(&bench, packet());
        assert_eq!(next_hop(&bench, packet()), found);
        *counts.entry(found).or_insert(0) += 1;
    }
    assert!(counts.keys().eq(&SHARED), "{counts:?}");
    assert!(
        counts.values().all(|count| (850..1150).contains(count)),
        "{counts:?}"
    );
    let mut counts = BTreeMap::new();
    for last in 0..3000u16 {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last);
        let packet =
            PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(source, "2001:db8:b0::1".parse().unwrap());
        *counts
            .entry(next_hop(&bench, packet.udp(7, 53, b"")))
            .or_insert(0) += 1;
    }
    assert!(
        counts.values().all(|count| (850..1150).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_whole_burst_over_a_group_leaves_as_its_packets_would_alone() {
    let bench = Bench::new();
    let packets: Vec<_> = (0..BURST as u16)
        .map(|port| match port % 4 {
            0 => from_a(HOST_B).udp(port, 53, b""),
            1 => from_a6("2001:db8:b0::1".parse().unwrap()).udp(port, 53, b""),
            _ => from_a([10, 9, 1, 1].into()).udp(port, 53, b""),
        })
        .collect();
    let mut together = packets.clone();
    let notes = bench.run(&mut together);
    for ((packet, sent), note) in packets.into_iter().zip(together).zip(notes) {
        assert_eq!((note.disposition, sent), bench.one(packet));
    }
}

#[test]
fn all_fragments_of_a_datagram_go_by_one_next_hop_whatever_its_ports() {
    let bench = Bench::new();
    let found: BTreeSet<u8> = (0..50u16)
        .map(|port| {
            let mut packet = from_a([10, 9, 1, 1].into()).udp(port, 53, &[0; 64]);
            // Offset 8, more fragments.
            let header = &mut packet[14..34];
            header[6..8].copy_from_slice(&[0x20, u8::from(port % 2 == 0)]);
            header[10..12].fill(0);
            let sum = packet::checksum::Sum::ZERO.bytes(header).checksum();
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            next_hop(&bench, packet)
        })
        .collect();
    assert_eq!(found.len(), 1);
}

#[test]
fn the_flow_label_alone_tells_ipv6_flows_apart() {
    let bench = Bench::new();
    let labelled = |label: u32, port: u16| {
        let mut packet = from_a6("2001:db8:b0::1".parse().unwrap()).udp(port, 53, b"");
        packet[15..18].copy_from_slice(&label.to_be_bytes()[1..]);
        next_hop(&bench, packet)
    };
    let by_label: BTreeSet<u8> = (1..50).map(|label| labelled(label, 7)).collect();
    assert_eq!(by_label.len(), SHARED.len());
    let by_port: BTreeSet<u8> = (1..50).map(|port| labelled(0x777, port)).collect();
    assert_eq!(by_port.len(), 1);
}

#[test]
fn what_is_asked_about_a_flow_is_what_its_packets_do() {
    let bench = Bench::new();
    let seed = 5;
    for port in 0..100u16 {
        let packet = from_a([10, 9, 1, 1].into()).udp(port, 443, b"");
        let flow = Flow {
            source: Some(HOST_A.into()),
            protocol: 17,
            ports: Some((port, 443)),
            ..Flow::to([10, 9, 1, 1].into())
        };
        assert_eq!(flow::hash(seed, &flow), flow::hash4(seed, &packet[14..]));
        let packet = from_a6("2001:db8:b0::1".parse().unwrap()).udp(port, 53, b"");
        let flow = Flow {
            source: Some(HOST_A6.into()),
            protocol: 17,
            ports: Some((port, 53)),
            ..Flow::to("2001:db8:b0::1".parse().unwrap())
        };
        assert_eq!(flow::hash(seed, &flow), flow::hash6(seed, &packet[14..]));
    }
    assert!(bench.path.adjacencies.group(bench.shared).is_some());
}

#[test]
fn the_mtu_of_a_route_counts_where_it_is_below_that_of_the_interface() {
    let bench = Bench::new();
    let four = |length: usize| from_a([10, 8, 1, 1].into()).udp(7, 53, &vec![0; length - 28]);
    let six = |length: usize| from_a6("2001:db8:b8::1".parse().unwrap()).udp(7, 53, &vec![0; length - 48]);
    let fits = usize::from(ROUTE_MTU);
    assert_eq!(next_hop(&bench, four(fits)), SHARED[0]);
    assert_eq!(next_hop(&bench, six(fits)), SHARED[0]);
    let whole = from_a([10, 8, 1, 1].into())
        .dont_fragment()
        .udp(7, 53, &vec![0; fits + 1 - 28]);
    for (packet, disposition) in [
        (four(fits + 1), Disposition::Fragment(1)),
        (whole, Disposition::Drop(DropReason::TooBig)),
        (six(fits + 1), Disposition::Drop(DropReason::TooBig)),
    ] {
        let mut packets = [packet.clone()];
        let note = bench.run(&mut packets)[0];
        assert_eq!((note.disposition, note.detail), (disposition, ROUTE_MTU));
        // What is cut has its new headers already.
        let is_new = packets[0] != packet;
        assert_eq!(is_new, matches!(disposition, Disposition::Fragment(_)));
    }
    let expired = from_a([10, 8, 1, 1].into()).ttl(1).udp(7, 53, &[0; 1350]);
    assert_eq!(bench.dropped(expired), DropReason::TtlExpired);
}

#[test]
fn a_packet_waits_for_the_member_that_it_goes_to() {
    let bench = Bench::new();
    let next_hop = Ipv4Addr::new(192, 168, 2, 77);
    let unknown = Adjacency::Incomplete { interface: 1 };
    bench.adjacencies.set(bench.members[0], unknown);
    let mut waited = 0;
    for port in 0..100u16 {
        let packet = from_a([10, 9, 1, 1].into()).udp(port, 53, b"");
        if let Disposition::Wait { interface, adjacency } = bench.run(&mut [packet.clone()])[0].disposition {
            assert_eq!((interface, adjacency), (1, bench.members[0]));
            assert_eq!(bench.waits(packet), (1, next_hop.into(), [10, 9, 1, 1].into()));
            waited += 1;
        }
    }
    assert!((15..55).contains(&waited), "{waited} of 100 waited");
    let destination = [10, 9, 1, 1].into();
    assert!(bench.path.must_wait(destination, 1, next_hop.into()));
    assert!(!bench.path.must_wait(destination, 1, [192, 168, 2, 78].into()));
    let others: Vec<_> = (0..BUCKETS).map(|bucket| bench.members[1 + bucket % 2]).collect();
    bench.adjacencies.set_group(bench.shared, 5, u16::MAX, &others);
    assert!(
        !bench.path.must_wait(destination, 1, next_hop.into()),
        "it has left the group"
    );
}

#[test]
fn unreachable_and_prohibit_are_told_as_linux_does() {
    let bench = Bench::new();
    for (destination, destination6, reason, code4, code6) in [
        ([10, 4, 1, 1], "2001:db8:a4::1", DropReason::Unreachable, 1, 0),
        ([10, 5, 1, 1], "2001:db8:a5::1", DropReason::Prohibited, 13, 1),
    ] {
        let packet = from_a(destination.into()).udp(7, 53, b"payload");
        assert_eq!(bench.dropped(packet.clone()), reason);
        let error = bench.path.error_for(0, &packet, reason, 0).unwrap();
        assert_eq!(error.headers()[14 + 20..14 + 22], [3, code4]);
        let packet = from_a6(destination6.parse().unwrap()).udp(7, 53, b"payload");
        assert_eq!(bench.dropped(packet.clone()), reason);
        let error = bench.path.error_for(0, &packet, reason, 0).unwrap();
        assert_eq!(error.headers()[14 + 40..14 + 42], [1, code6]);
    }
}
