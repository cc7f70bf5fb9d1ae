//! Whole IPv6 packets: what the builder makes, and what is said of their transport checksums.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

use std::net::Ipv6Addr;

use packet::builder::Ipv6Builder;
use packet::extension::{option_type, upper_layer, walk};
use packet::tcp::{TcpFlags, TcpHeader};
use packet::transport::{ChecksumState, checksum_is_partial_v6, checksum_state_v6};
use packet::{EtherType, EthernetHeader, Icmpv6, Ipv6, MacAddress, PacketBuilder, Protocol, Udp};

const HOST: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 2]);
const GATEWAY: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 1]);
const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const SYN: TcpHeader = TcpHeader {
    source_port: 40_000,
    destination_port: 5201,
    sequence: 1,
    acknowledgment: 0,
    flags: TcpFlags::SYN,
    window: 64_240,
};

fn ip() -> Ipv6Builder {
    PacketBuilder::ipv6(A, B)
}

/// What is said of the packet, by the thorough and by the cheap question.
fn state(packet: &[u8]) -> Option<ChecksumState> {
    let ip = Ipv6::parse(packet).unwrap();
    let state = checksum_state_v6(&ip);
    assert_eq!(checksum_is_partial_v6(&ip), state == Some(ChecksumState::Partial));
    state
}

#[test]
fn echo_request_has_the_bytes_that_ping_would_send() {
    let frame = PacketBuilder::ethernet(GATEWAY, HOST)
        .vlan(100)
        .ipv6(A, B)
        .flow_label(0x1_2345)
        .echo_request(1, 2, b"abcd");
    let expected = [
        &[
            2, 0, 0, 0, 0x10, 1, 2, 0, 0, 0, 0x10, 2, 0x81, 0x00, 0x00, 100, 0x86, 0xdd,
        ][..],
        &[0x60, 0x01, 0x23, 0x45, 0, 12, 58, 64],
        &A.octets(),
        &B.octets(),
        // 2001+0db8+0001+0002 + 2001+0db8+0002+0002 + 000c+003a + 8000+0001+0002+6162+6364 folds to 0xa089.
        &[128, 0, 0x5f, 0x76, 0, 1, 0, 2, b'a', b'b', b'c', b'd'],
    ]
    .concat();
    assert_eq!(frame, expected);
}

#[test]
fn short_frame_is_padded_on_demand_and_the_padding_is_no_payload() {
    let frame = PacketBuilder::ethernet(GATEWAY, HOST)
        .padded()
        .ipv6(A, B)
        .payload(Protocol::NO_NEXT_HEADER, b"x");
    assert_eq!(frame.len(), 60);
    let (header, payload) = EthernetHeader::parse(&frame).unwrap();
    assert_eq!(header.ethertype, EtherType::IPV6);
    assert_eq!(Ipv6::parse(payload).unwrap().payload(), b"x");
}

#[test]
fn router_alert_has_the_bytes_of_rfc_2711_section_2_1() {
    let packet = ip().router_alert(0).udp(1, 2, b"");
    assert_eq!(packet[6], 0);
    assert_eq!(packet[40..48], [17, 0, 5, 2, 0, 0, 1, 0]);
}

#[test]
fn options_are_padded_to_units_of_eight_bytes() {
    for len in 0..40 {
        let options = [&[0x1e, len][..], &vec![7; usize::from(len)]].concat();
        let packet = ip().destination_options(&options).udp(1, 2, b"x");
        let ip = Ipv6::parse(&packet).unwrap();
        let header = walk(&ip).next().unwrap().unwrap();
        assert_eq!(header.bytes.len(), (options.len() + 2).next_multiple_of(8));
        let found: Vec<_> = header.options().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            (found[0].option_type, found[0].data.len()),
            (0x1e, usize::from(len))
        );
        assert!(found.len() <= 2 && found[1..].iter().all(|option| option.is_padding()));
    }
}

#[test]
fn most_options_are_2046_bytes_and_what_goes_beyond_is_cut() {
    let packet = ip().hop_by_hop(&[option_type::PAD1; 3000]).udp(1, 2, b"x");
    let ip = Ipv6::parse(&packet).unwrap();
    let header = walk(&ip).next().unwrap().unwrap();
    assert_eq!(header.bytes.len(), 2048);
    assert_eq!(
        header.options().unwrap().filter(|option| option.is_ok()).count(),
        2046
    );
    assert_eq!(upper_layer(&ip).unwrap().protocol, Protocol::UDP);
}

#[test]
fn header_without_bytes_or_without_room_is_left_out() {
    let plain = ip().udp(1, 2, b"x");
    assert_eq!(ip().extension(Protocol::ROUTING, &[]).udp(1, 2, b"x"), plain);
    assert_eq!(
        ip().extension(Protocol::ROUTING, &vec![0; 65_516])
            .udp(1, 2, b"x"),
        plain
    );
    let full = ip().extension(Protocol(200), &vec![0; 65_515]).tcp(&SYN, b"x");
    assert_eq!((full.len(), full[6], full[40]), (40 + 65_535, 200, 6));
}

#[test]
fn payload_beyond_the_largest_packet_is_cut() {
    let large = vec![7; 70_000];
    for packet in [
        ip().router_alert(0).udp(1, 2, &large),
        ip().udp(1, 2, &large),
        ip().tcp(&SYN, &large),
    ] {
        assert_eq!(packet.len(), 40 + 65_535);
        assert_eq!(state(&packet), Some(ChecksumState::Complete));
    }
    for packet in [ip().echo_reply(1, 2, &large), ip().icmp(200, 0, &large)] {
        assert_eq!(packet.len(), 40 + 65_535);
        let message = Icmpv6::parse(Ipv6::parse(&packet).unwrap().payload()).unwrap();
        assert!(message.checksum_is_valid(A, B));
    }
    assert_eq!(ip().payload(Protocol::ESP, &large).len(), 40 + 65_535);
}

#[test]
fn finished_unfinished_absent_and_wrong_checksums_are_told_apart() {
    for payload in [&b""[..], b"a", b"some payload"] {
        for ip in [
            ip(),
            ip().router_alert(0).destination_options(&[]),
            ip().fragment(0, false, 7),
            ip().routing(4, 0),
        ] {
            let ip = || ip.clone();
            assert_eq!(state(&ip().tcp(&SYN, payload)), Some(ChecksumState::Complete));
            assert_eq!(state(&ip().udp(1, 2, payload)), Some(ChecksumState::Complete));
            let partial = ip().partial_checksum();
            assert_eq!(
                state(&partial.clone().tcp(&SYN, payload)),
                Some(ChecksumState::Partial)
            );
            assert_eq!(state(&partial.udp(1, 2, payload)), Some(ChecksumState::Partial));
            let absent = ip().no_udp_checksum();
            assert_eq!(state(&absent.udp(1, 2, payload)), Some(ChecksumState::Absent));
            let mut wrong = ip().udp(1, 2, payload);
            let field = wrong.len() - payload.len() - 2;
            wrong[field] ^= 0x01;
            assert_eq!(state(&wrong), Some(ChecksumState::Wrong));
        }
    }
}

#[test]
fn partial_checksum_is_the_pseudo_header_sum() {
    // 2001+0db8+0001+0002 + 2001+0db8+0002+0002 + 17 + 10 folds to 0x5b94.
    let packet = ip().partial_checksum().udp(1, 2, b"ab");
    assert_eq!(packet[46..48], [0x5b, 0x94]);
}

#[test]
fn what_has_no_checksum_to_judge_is_not_judged() {
    let datagram = ip().partial_checksum().udp(1, 2, b"0123456789abcdef")[40..].to_vec();
    assert_eq!(Udp::parse(&datagram).unwrap().payload(), b"0123456789abcdef");
    for packet in [
        ip().fragment(0, true, 1).payload(Protocol::UDP, &datagram),
        ip().fragment(8, false, 1).payload(Protocol::UDP, &datagram),
        ip().payload(Protocol::ESP, &datagram),
        ip().payload(Protocol::UDP, &datagram[..7]),
        ip().payload(Protocol::UDP, &datagram[..20]),
        ip().payload(Protocol::TCP, &datagram[..19]),
        // The checksum is for the last of the listed nodes.
        ip().routing(4, 1).payload(Protocol::UDP, &datagram),
        ip().routing(4, 0)
            .hop_by_hop(&[])
            .payload(Protocol::UDP, &datagram),
    ] {
        assert_eq!(state(&packet), None);
    }
    assert_eq!(
        state(&ip().payload(Protocol::UDP, &datagram)),
        Some(ChecksumState::Partial)
    );
}
