//! IPv4 packets in; dispositions and bytes out.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use control::message::PuntClass;
use packet::ethernet::EthernetHeader;
use packet::{Arp, EtherType, Icmpv4, Ipv4, MacAddress, PacketBuilder, VlanTag};
use proptest::prelude::*;
use shm::DropReason;

use super::{Bench, GATEWAY, HOST_A, HOST_B, NEIGHBOR, OWN, SENDER};
use crate::path::punt::{PuntMode, Punts};
use crate::path::{BURST, Disposition};

pub(super) fn from_a(destination: Ipv4Addr) -> packet::builder::Ipv4Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, destination)
}

#[test]
fn a_packet_leaves_with_new_macs_and_one_less_ttl() {
    let bench = Bench::new();
    let original = from_a(HOST_B).ttl(17).udp(1000, 2000, b"payload");
    let (disposition, sent) = bench.one(original.clone());
    assert_eq!(disposition, Disposition::Transmit(1));
    let (link, rest) = EthernetHeader::parse(&sent).unwrap();
    assert_eq!(
        (link.destination, link.source, link.ethertype),
        (NEIGHBOR, GATEWAY[1], EtherType::IPV4)
    );
    let ip = Ipv4::parse(rest).unwrap();
    assert_eq!(ip.ttl(), 16);
    assert_eq!(rest[12..], original[14 + 12..], "all but TTL and checksum stays");
    assert!(bench.adjacencies.take_used(bench.to_b));
}

#[test]
fn a_burst_that_leaves_whole_by_one_interface_says_so() {
    let bench = Bench::new();
    let plain = || from_a(HOST_B).udp(1, 2, b"payload");
    let full = vec![plain(); BURST];
    assert_eq!(bench.burst(full.clone()).0, Some(1));
    assert_eq!(bench.burst(full[..1].to_vec()).0, Some(1));
    let tagged = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .tag(VlanTag {
            tpid: EtherType::VLAN,
            tci: 0,
        })
        .ipv4(HOST_A, HOST_B)
        .udp(1, 2, b"payload");
    let padded = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .padded()
        .ipv4(HOST_A, HOST_B)
        .udp(1, 2, b"");
    let others = [
        tagged,
        padded,
        from_a(HOST_B).ttl(1).udp(1, 2, b""),
        from_a([10, 3, 0, 1].into()).udp(1, 2, b""),
        from_a([10, 1, 0, 1].into()).udp(1, 2, b""),
        from_a(OWN).echo_request(1, 2, b""),
        vec![0; 13],
    ];
    for (other, place) in others.iter().zip([0, 1, BURST - 1].into_iter().cycle()) {
        let mut packets = full.clone();
        packets[place] = other.clone();
        let (together, notes) = bench.burst(packets);
        assert_eq!(together, None, "{other:?}");
        let (alone, _) = bench.one(other.clone());
        for (number, note) in notes.iter().enumerate() {
            let expected = if number == place {
                alone
            } else {
                Disposition::Transmit(1)
            };
            assert_eq!(note.disposition, expected, "packet {number}");
        }
    }
    assert_eq!(bench.burst(Vec::new()).0, None);
}

#[test]
fn padding_and_a_priority_tag_stay_behind() {
    let bench = Bench::new();
    let tagged = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .tag(VlanTag {
            tpid: EtherType::VLAN,
            tci: 5 << 13,
        })
        .padded()
        .ipv4(HOST_A, HOST_B)
        .udp(1, 2, b"x");
    assert!(tagged.len() >= 60);
    let (disposition, sent) = bench.one(tagged);
    assert_eq!(disposition, Disposition::Transmit(1));
    assert_eq!(sent.len(), 14 + 20 + 8 + 1);
    let (link, rest) = EthernetHeader::parse(&sent).unwrap();
    assert_eq!((link.tags.count(), link.destination), (0, NEIGHBOR));
    Ipv4::parse(rest).unwrap();
}

#[test]
fn echo_is_answered_the_way_it_came() {
    let bench = Bench::new();
    let tag = VlanTag {
        tpid: EtherType::VLAN,
        tci: 3 << 13,
    };
    let request = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .tag(tag)
        .ipv4(HOST_A, OWN)
        .ttl(1)
        .echo_request(7, 9, b"are you there");
    let (disposition, reply) = bench.one(request);
    assert_eq!(disposition, Disposition::Transmit(0));
    let (link, rest) = EthernetHeader::parse(&reply).unwrap();
    assert_eq!((link.destination, link.source), (SENDER, GATEWAY[0]));
    assert_eq!(link.tags.outer(), Some(tag));
    let ip = Ipv4::parse(rest).unwrap();
    assert_eq!((ip.source(), ip.destination(), ip.ttl()), (OWN, HOST_A, 64));
    let message = Icmpv4::parse(ip.payload()).unwrap();
    assert!(message.checksum_is_valid());
    let echo = message.echo().unwrap();
    assert_eq!(
        (echo.identifier, echo.sequence, message.data()),
        (7, 9, b"are you there".as_slice())
    );
}

#[test]
fn a_packet_for_an_unknown_next_hop_waits_for_it() {
    let bench = Bench::new();
    let on_link = Ipv4Addr::new(192, 168, 1, 77);
    assert_eq!(
        bench.waits(from_a(on_link).udp(1, 2, b"")),
        (0, on_link.into(), on_link.into())
    );
    assert_eq!(
        bench.waits(from_a([10, 1, 2, 3].into()).udp(1, 2, b"")),
        (1, [192, 168, 2, 9].into(), [10, 1, 2, 3].into())
    );
}

#[test]
fn arp_goes_to_the_control_thread() {
    let request = Arp::request(SENDER, HOST_A, OWN);
    let frame = PacketBuilder::ethernet(MacAddress::BROADCAST, SENDER).arp(&request);
    assert_eq!(Bench::new().one(frame).0, Disposition::Arp);
}

#[test]
fn every_other_packet_is_dropped_for_its_reason() {
    use DropReason::*;
    let bench = Bench::new();
    let good = || from_a(HOST_B).udp(1, 2, b"data");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good();
        change(&mut packet);
        packet
    };
    let link = |destination, source| {
        PacketBuilder::ethernet(destination, source)
            .ipv4(HOST_A, HOST_B)
            .udp(1, 2, b"")
    };
    let source = |address: [u8; 4]| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .ipv4(address.into(), HOST_B)
            .udp(1, 2, b"")
    };
    let to = |address: [u8; 4]| from_a(address.into()).udp(1, 2, b"");
    let big = vec![0; 1473];
    let cases: Vec<(DropReason, Vec<u8>)> = vec![
        (EthernetTruncated, vec![0; 13]),
        (OtherHost, link(NEIGHBOR, SENDER)),
        (EthernetSource, link(GATEWAY[0], MacAddress([1, 0, 0, 0, 0, 1]))),
        (
            UnknownVlan,
            PacketBuilder::ethernet(GATEWAY[0], SENDER)
                .vlan(7)
                .ipv4(HOST_A, HOST_B)
                .udp(1, 2, b""),
        ),
        (
            VlanDepth,
            PacketBuilder::ethernet(GATEWAY[0], SENDER)
                .tag(VlanTag {
                    tpid: EtherType::SERVICE_VLAN,
                    tci: 0,
                })
                .tag(VlanTag {
                    tpid: EtherType::VLAN,
                    tci: 0,
                })
                .payload(EtherType::VLAN, &[0; 46]),
        ),
        (
            UnknownEthertype,
            PacketBuilder::ethernet(GATEWAY[0], SENDER).payload(EtherType::LLDP, &[0; 46]),
        ),
        (Ip4Truncated, good()[..14 + 19].to_vec()),
        (Ip4Version, with(&|packet| packet[14] = 0x65)),
        (Ip4HeaderLength, with(&|packet| packet[14] = 0x44)),
        (Ip4TotalLength, with(&|packet| packet.truncate(14 + 25))),
        (Ip4Checksum, with(&|packet| packet[14 + 10] ^= 1)),
        (Ip4Options, from_a(HOST_B).options(&[7, 200, 4, 0]).udp(1, 2, b"")),
        (
            Ip4SourceRoute,
            from_a(OWN)
                .options(&[131, 7, 4, 192, 168, 2, 2, 0])
                .echo_request(1, 2, b""),
        ),
        (
            Ip4SourceRoute,
            from_a(HOST_B)
                .options(&[137, 7, 8, 192, 168, 2, 2, 0])
                .udp(1, 2, b""),
        ),
        (Ip4MartianSource, source([127, 0, 0, 1])),
        (Ip4MartianSource, source([0, 0, 0, 0])),
        (Ip4MartianSource, source([224, 0, 0, 1])),
        (Ip4MartianSource, source([255, 255, 255, 255])),
        (Ip4MartianDestination, to([127, 0, 0, 1])),
        (Ip4MartianDestination, to([0, 1, 2, 3])),
        (Ip4MartianDestination, to([240, 0, 0, 1])),
        (Ip4Multicast, to([224, 0, 0, 5])),
        (Ip4Multicast, to([255, 255, 255, 255])),
        (Ip4DirectedBroadcast, to([192, 168, 1, 255])),
        (Ip4LinkBroadcast, link(MacAddress::BROADCAST, SENDER)),
        (TtlExpired, from_a(HOST_B).ttl(1).udp(1, 2, b"")),
        (TtlExpired, from_a(HOST_B).ttl(0).udp(1, 2, b"")),
        (NoRoute, to([8, 8, 8, 8])),
        (Blackhole, to([10, 3, 0, 1])),
        (NeighborFailed, to([10, 2, 0, 1])),
        (Oversize, from_a(HOST_B).udp(1, 2, &big)),
        (
            PartialChecksum,
            from_a(HOST_B).partial_checksum().udp(1, 2, b"data"),
        ),
        (LocalUnhandled, from_a(OWN).udp(1, 2, b"")),
        (LocalUnhandled, from_a(OWN).echo_reply(1, 2, b"")),
    ];
    for (reason, packet) in cases {
        assert_eq!(bench.one(packet).0, Disposition::Drop(reason));
    }
    let mut bad_echo = from_a(OWN).echo_request(1, 2, b"data");
    *bad_echo.last_mut().unwrap() ^= 1;
    assert_eq!(bench.dropped(bad_echo), IcmpMalformed);
}

#[test]
fn an_interface_that_is_down_takes_and_sends_nothing() {
    let bench = Bench::new();
    bench.up[1].store(false, Ordering::Relaxed);
    assert_eq!(
        bench.dropped(from_a(HOST_B).udp(1, 2, b"")),
        DropReason::InterfaceDown
    );
    assert!(matches!(
        bench.one(from_a(OWN).echo_request(1, 1, b"")).0,
        Disposition::Transmit(0)
    ));
    bench.up[0].store(false, Ordering::Relaxed);
    assert_eq!(
        bench.dropped(from_a(OWN).echo_request(1, 1, b"")),
        DropReason::InterfaceDown
    );
}

#[test]
fn a_full_burst_keeps_each_packet_to_its_own_fate() {
    let bench = Bench::new();
    let mut packets: Vec<_> = (0..BURST as u16)
        .map(|number| match number % 3 {
            0 => from_a(HOST_B).udp(number, 2, b""),
            1 => from_a([8, 8, 8, 8].into()).udp(number, 2, b""),
            _ => from_a(OWN).echo_request(number, 1, b""),
        })
        .collect();
    let notes = bench.run(&mut packets);
    for (number, note) in notes.iter().enumerate() {
        let expected = match number % 3 {
            0 => Disposition::Transmit(1),
            1 => Disposition::Drop(DropReason::NoRoute),
            _ => Disposition::Transmit(0),
        };
        assert_eq!(note.disposition, expected, "packet {number}");
    }
}

proptest! {
    #[test]
    fn no_bytes_upset_the_stages(mut packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..=BURST)) {
        thread_local!(static BENCH: Bench = Bench::new());
        BENCH.with(|bench| {
            for note in bench.run(&mut packets) {
                assert!(usize::from(note.trim) <= usize::from(note.length));
            }
        });
    }

    #[test]
    fn a_damaged_packet_never_leaves_longer_or_with_a_bad_header(
        byte in 0usize..42, value: u8, cut in 0usize..60
    ) {
        thread_local!(static BENCH: Bench = Bench::new());
        BENCH.with(|bench| {
            let mut packet = from_a(HOST_B).udp(1, 2, b"some payload bytes");
            packet[byte] = value;
            packet.truncate(60 - cut);
            let length = packet.len();
            if let (Disposition::Transmit(1), sent) = bench.one(packet) {
                assert!(sent.len() <= length);
                Ipv4::parse(&sent[14..]).unwrap();
            }
        });
    }
}

#[test]
fn router_alerts_and_ike_go_to_a_tool_or_fail_as_their_class_does() {
    let mut bench = Bench::new();
    let alert = || from_a(HOST_B).options(&[148, 4, 0, 0]).udp(1, 2, b"rsvp");
    let ike = |port| from_a(OWN).udp(500, port, b"ike");
    assert_eq!(
        bench.one(alert()).0,
        Disposition::Transmit(1),
        "a router that knows none forwards it"
    );
    assert_eq!(bench.dropped(ike(500)), DropReason::LocalUnhandled);

    bench.path.punts = Punts::new(|_| PuntMode::Tool);
    assert_eq!(bench.one(alert()).0, Disposition::Punt(PuntClass::RouterAlert));
    for port in [500, 4500] {
        assert_eq!(bench.one(ike(port)).0, Disposition::Punt(PuntClass::Ike));
    }
    // Other options, other ports, other addresses, and pings are nothing to a tool.
    let no_alert = from_a(HOST_B).options(&[1, 1, 1, 0]).udp(1, 2, b"rsvp");
    assert_eq!(bench.one(no_alert).0, Disposition::Transmit(1));
    assert_eq!(bench.dropped(ike(501)), DropReason::LocalUnhandled);
    assert_eq!(
        bench.one(from_a(HOST_B).udp(500, 500, b"ike")).0,
        Disposition::Transmit(1)
    );
    // What comes back from a tool is not asked about again.
    let note = bench.path.run_one(0, &mut alert());
    assert_eq!(note.disposition, Disposition::Transmit(1));

    bench.path.punts = Punts::new(|_| PuntMode::Closed);
    assert_eq!(bench.dropped(alert()), DropReason::PuntClosed);
    assert_eq!(bench.dropped(ike(500)), DropReason::PuntClosed);
}
