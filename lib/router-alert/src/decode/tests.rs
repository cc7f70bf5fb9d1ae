use std::net::{Ipv4Addr, Ipv6Addr};

use packet::{PacketBuilder, Protocol};
use proptest::prelude::*;

use super::*;
use crate::vectors::{TEXT, alert_v4, syn_with_text};

const HOST4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

/// The line of a packet with this upper layer, from the protocol on.
fn four(protocol: Protocol, bytes: &[u8]) -> String {
    let packet = PacketBuilder::ipv4(HOST4, PEER4)
        .ttl(9)
        .options(&[148, 4, 0, 0])
        .payload(protocol, bytes);
    behind(&line(&packet), "198.51.100.1 > 203.0.113.77, ttl 9, ")
}

fn behind(line: &str, start: &str) -> String {
    line.strip_prefix(start)
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

fn mld(message_type: u8, body: &[u8]) -> String {
    let packet = PacketBuilder::ipv6(HOST6, PEER6)
        .hop_limit(1)
        .router_alert(0)
        .icmp(message_type, 0, body);
    behind(&line(&packet), "2001:db8::1 > 2001:db8:1::1, hop limit 1, ")
}

#[test]
fn the_text_of_a_packet_comes_out_whole() {
    let packet = syn_with_text();
    assert_eq!(text(&packet).as_deref(), Some(TEXT));
    assert_eq!(
        line(&packet),
        "2001:db8::214:51ff:fe2f:1556 > 2404:6800:4005:803::200e, hop limit 255, tcp 80 > 80 SYN, 102 bytes of text"
    );
    assert_eq!(text(&alert_v4()).as_deref(), Some("RSVP-demo-data!!"));
    let udp = PacketBuilder::ipv4(HOST4, PEER4).udp(1, 2, TEXT.as_bytes());
    assert_eq!(text(&udp).as_deref(), Some(TEXT));
    // The second of two fragments has no header in front of its text.
    let fragment = PacketBuilder::ipv4(HOST4, PEER4)
        .fragment(1480, false)
        .payload(Protocol::UDP, b"the end of it");
    assert_eq!(text(&fragment).as_deref(), Some("the end of it"));
}

#[test]
fn what_is_no_text_is_shown_as_hex_and_gives_none() {
    let escape = PacketBuilder::ipv4(HOST4, PEER4).udp(1, 2, b"\x1b]0;title\x07");
    assert_eq!(text(&escape), None);
    assert_eq!(
        line(&escape),
        "198.51.100.1 > 203.0.113.77, ttl 64, udp 1 > 2, 10 bytes: 1b5d303b7469746c6507"
    );
    let bytes: Vec<_> = (0..40).collect();
    assert_eq!(
        four(Protocol(200), &bytes),
        "200, 40 bytes: 000102030405060708090a0b0c0d0e0f..."
    );
    assert_eq!(four(Protocol::GRE, b""), "gre, no payload");
    for packet in [&b""[..], b"\x50", b"\x45", &[0x60; 50]] {
        assert_eq!(text(packet), None);
    }
}

#[test]
fn rsvp_messages_are_named_with_their_objects() {
    // SESSION (12 bytes), RSVP_HOP (12), TIME_VALUES (8), a class of its own (4).
    let objects = [
        &[0, 12, 1, 1, 10, 0, 0, 1, 17, 0, 0, 80][..],
        &[0, 12, 3, 1, 10, 0, 0, 2, 0, 0, 0, 1],
        &[0, 8, 5, 1, 0, 0, 0x75, 0x30],
        &[0, 4, 200, 1],
    ]
    .concat();
    let message = |message_type, length, objects: &[u8]| {
        [&[0x10, message_type, 0, 0, 63, 0, 0, length][..], objects].concat()
    };
    assert_eq!(
        four(Protocol::RSVP, &message(1, 44, &objects)),
        "rsvp Path, Send_TTL 63, length 44: SESSION, RSVP_HOP, TIME_VALUES, class 200"
    );
    assert_eq!(
        four(Protocol::RSVP, &message(5, 8, &[])),
        "rsvp PathTear, Send_TTL 63, length 8"
    );
    assert_eq!(
        four(Protocol::RSVP, &message(99, 20, &objects)),
        "rsvp type 99, Send_TTL 63, length 20: SESSION"
    );
    for broken in [[0, 3, 1, 1], [0, 8, 1, 1], [0, 0, 1, 1]] {
        assert_eq!(
            four(Protocol::RSVP, &message(2, 12, &broken)),
            "rsvp Resv, Send_TTL 63, length 12: a broken object"
        );
    }
    assert_eq!(
        four(Protocol::RSVP, &message(1, 8 + 200, &[0, 4, 1, 1].repeat(50))),
        format!(
            "rsvp Path, Send_TTL 63, length 208: {} and 18 more",
            ["SESSION"; 32].join(", ")
        )
    );
    assert_eq!(
        four(Protocol::RSVP, &[0x10, 1]),
        "rsvp cut short or malformed, 2 bytes: 1001"
    );
    assert_eq!(
        line(&alert_v4()),
        "198.51.100.1 > 203.0.113.77, ttl 64, rsvp of version 5, 16 bytes of text"
    );
}

#[test]
fn igmp_messages_are_told_apart() {
    let group = [239, 1, 2, 3];
    let of = |message_type, code, rest: &[u8]| {
        four(Protocol::IGMP, &[&[message_type, code, 0, 0][..], rest].concat())
    };
    assert_eq!(of(0x11, 0, &[0; 4]), "igmp v1 general query");
    assert_eq!(of(0x11, 100, &[0; 4]), "igmp v2 general query");
    assert_eq!(of(0x11, 100, &group), "igmp v2 query for 239.1.2.3");
    assert_eq!(
        of(0x11, 100, &[&group[..], &[2, 125, 0, 0]].concat()),
        "igmp v3 query for 239.1.2.3"
    );
    assert_eq!(of(0x12, 0, &group), "igmp v1 report of 239.1.2.3");
    assert_eq!(of(0x16, 0, &group), "igmp v2 report of 239.1.2.3");
    assert_eq!(of(0x17, 0, &group), "igmp v2 leave of 239.1.2.3");
    let records = [
        &[0, 0, 0, 2][..],
        &[4, 1, 0, 2],
        &group,
        &[10, 0, 0, 1, 10, 0, 0, 2, 9, 9, 9, 9],
        &[3, 0, 0, 0],
        &group,
    ]
    .concat();
    assert_eq!(
        of(0x22, 0, &records),
        "igmp v3 report, records 2: CHANGE_TO_EXCLUDE_MODE 239.1.2.3 with 2 sources, CHANGE_TO_INCLUDE_MODE 239.1.2.3"
    );
    assert_eq!(
        of(0x22, 0, &[0, 0, 0, 9, 9, 0, 0, 0, 239, 1, 2, 3]),
        "igmp v3 report, records 9: type 9 239.1.2.3, a broken record"
    );
    assert_eq!(of(0x30, 20, &[0, 125, 0, 2]), "multicast router advertisement");
    assert_eq!(of(0x31, 0, &[0; 4]), "multicast router solicitation");
    assert_eq!(of(0x32, 0, &[0; 4]), "multicast router termination");
    assert_eq!(of(0x99, 0, &group), "igmp type 0x99, 8 bytes: 99000000ef010203");
    assert_eq!(of(0x11, 0, &[]), "igmp cut short or malformed, 4 bytes: 11000000");
}

#[test]
fn mld_messages_are_told_apart() {
    let group = "ff0e::1234".parse::<Ipv6Addr>().unwrap().octets();
    let with_group = |rest: &[u8]| [&[0; 4][..], &group, rest].concat();
    assert_eq!(mld(130, &[0; 20]), "mld v1 general query");
    assert_eq!(mld(130, &with_group(&[])), "mld v1 query for ff0e::1234");
    assert_eq!(
        mld(130, &with_group(&[2, 125, 0, 0])),
        "mld v2 query for ff0e::1234"
    );
    assert_eq!(mld(131, &with_group(&[])), "mld v1 report of ff0e::1234");
    assert_eq!(mld(132, &with_group(&[])), "mld v1 done of ff0e::1234");
    let record = [&[2, 0, 0, 1][..], &group, &HOST6.octets()].concat();
    assert_eq!(
        mld(143, &[&[0, 0, 0, 1][..], &record].concat()),
        "mld v2 report, records 1: MODE_IS_EXCLUDE ff0e::1234 with 1 source"
    );
    assert_eq!(
        mld(143, &[&[0, 0, 0, 1][..], &record[..30]].concat()),
        "mld v2 report, records 1: a broken record"
    );
    assert!(mld(130, &[0; 8]).starts_with("mld cut short or malformed, 12 bytes: 8200"));
    assert_eq!(mld(151, &[0; 4]), "multicast router advertisement");
    assert_eq!(mld(152, &[0; 4]), "multicast router solicitation");
    assert_eq!(mld(153, &[0; 4]), "multicast router termination");
    assert_eq!(
        mld(128, &[0x47, 0x11, 0, 1]),
        "ipv6-icmp type 128 code 0, 4 bytes: 47110001"
    );
}

#[test]
fn pgm_packets_are_named_with_ports_source_and_sequence() {
    let packet = |packet_type| {
        let header = [0x1b, 0x58, 0, 80, packet_type, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0];
        four(Protocol(113), &[&header[..], &[0, 0, 1, 0], &[0; 12]].concat())
    };
    assert_eq!(
        packet(0x00),
        "pgm SPM 7000 > 80, source 010203040506, sequence 256"
    );
    assert_eq!(
        packet(0x0a),
        "pgm NCF 7000 > 80, source 010203040506, sequence 256"
    );
    assert_eq!(packet(0x0c), "pgm SPMR 7000 > 80, source 010203040506");
    assert_eq!(packet(0x77), "pgm type 0x77");
    for (packet_type, name) in [
        (1, "POLL"),
        (2, "POLR"),
        (4, "ODATA"),
        (5, "RDATA"),
        (8, "NAK"),
        (9, "NNAK"),
    ] {
        assert!(
            packet(packet_type).starts_with(&format!("pgm {name} 7000")),
            "{name}"
        );
    }
    assert_eq!(
        four(Protocol(113), &[0x1b, 0x58, 0, 80, 0, 0, 0, 0, 1]),
        "pgm cut short or malformed, 9 bytes: 1b5800500000000001"
    );
}

#[test]
fn fragments_are_said_to_be_such() {
    let fragment = |offset, more| {
        PacketBuilder::ipv6(HOST6, PEER6)
            .router_alert(5)
            .fragment(offset, more, 0x77)
            .payload(Protocol::UDP, &[0, 1, 0, 2, 5, 0, 0, 0])
    };
    let start = "2001:db8::1 > 2001:db8:1::1, hop limit 64, ";
    assert_eq!(
        behind(&line(&fragment(0, true)), start),
        "first fragment 0x77, udp cut short or malformed, 8 bytes: 0001000205000000"
    );
    assert_eq!(
        behind(&line(&fragment(1232, false)), start),
        "fragment 0x77 from byte 1232 on, udp, 8 bytes: 0001000205000000"
    );
}

#[test]
fn what_is_malformed_has_a_line_too() {
    assert_eq!(line(&[]), "neither IPv4 nor IPv6: ");
    assert_eq!(
        line(&[0x45, 0]),
        "the packet is shorter than an IPv4 header: 4500"
    );
    assert_eq!(
        line(&[0x60, 0]),
        "the packet is shorter than an IPv6 header: 6000"
    );
    let packet = PacketBuilder::ipv6(HOST6, PEER6).payload(Protocol::HOP_BY_HOP, &[6, 9]);
    assert!(
        line(&packet)
            .ends_with("the extension header hopopt at byte 40 of the IPv6 packet goes beyond its end")
    );
    assert_eq!(
        four(Protocol::TCP, &[0; 4]),
        "tcp cut short or malformed, 4 bytes: 00000000"
    );
}

proptest! {
    #[test]
    fn no_packet_drives_a_terminal(
        protocol in prop_oneof![Just(2u8), Just(6), Just(17), Just(46), Just(58), Just(113), any::<u8>()],
        kind in any::<u8>(), bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&[kind][..], &bytes].concat();
        let packets = [
            PacketBuilder::ipv4(HOST4, PEER4).payload(Protocol(protocol), &bytes),
            PacketBuilder::ipv6(HOST6, PEER6).payload(Protocol(protocol), &bytes),
            bytes,
        ];
        for packet in packets {
            let line = line(&packet);
            prop_assert!(line.chars().all(|character| character == ' ' || character.is_ascii_graphic()), "{:?}", line);
            let text = text(&packet).unwrap_or_default();
            prop_assert!(text.chars().all(|character| matches!(character, '\n' | '\t') || !character.is_control()));
        }
    }
}
