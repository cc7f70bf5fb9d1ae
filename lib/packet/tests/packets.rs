//! Whole packets: what the builder makes, and what is said of their transport checksums.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

use std::net::Ipv4Addr;

use packet::tcp::{TcpFlags, TcpHeader};
use packet::transport::{ChecksumState, checksum_is_partial, checksum_state};
use packet::{Arp, EtherType, EthernetHeader, Icmpv4, Ipv4, MacAddress, PacketBuilder, Protocol, Udp};

const HOST: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 2]);
const GATEWAY: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 1]);
const A: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 2);
const B: Ipv4Addr = Ipv4Addr::new(192, 168, 20, 2);
const SYN: TcpHeader = TcpHeader {
    source_port: 40_000,
    destination_port: 5201,
    sequence: 1,
    acknowledgment: 0,
    flags: TcpFlags::SYN,
    window: 64_240,
};

/// What is said of the packet, by the thorough and by the cheap question.
fn state(packet: &[u8]) -> Option<ChecksumState> {
    let ip = Ipv4::parse(packet).unwrap();
    let state = checksum_state(&ip);
    assert_eq!(checksum_is_partial(&ip), state == Some(ChecksumState::Partial));
    state
}

#[test]
fn echo_request_has_the_bytes_that_ping_would_send() {
    let frame = PacketBuilder::ethernet(GATEWAY, HOST)
        .vlan(100)
        .ipv4(A, B)
        .identification(0x1234)
        .dont_fragment()
        .echo_request(1, 2, b"abcd");
    let expected = [
        &[
            2, 0, 0, 0, 0x10, 1, 2, 0, 0, 0, 0x10, 2, 0x81, 0x00, 0x00, 100, 0x08, 0x00,
        ][..],
        // Checksums by hand: 0x4500+0x20+0x1234+0x4000+0x4001+0xc0a8+0x0a02+0xc0a8+0x1402 folds to 0x76ab.
        &[
            0x45, 0, 0, 32, 0x12, 0x34, 0x40, 0, 64, 1, 0x89, 0x54, 192, 168, 10, 2, 192, 168, 20, 2,
        ],
        // 0x0800+0x0001+0x0002+0x6162+0x6364 = 0xccc9.
        &[8, 0, 0x33, 0x36, 0, 1, 0, 2, b'a', b'b', b'c', b'd'],
    ]
    .concat();
    assert_eq!(frame, expected);
}

#[test]
fn short_frame_is_padded_on_demand_and_the_padding_is_no_payload() {
    let frame = PacketBuilder::ethernet(GATEWAY, HOST)
        .padded()
        .ipv4(A, B)
        .udp(1, 2, b"x");
    assert_eq!(frame.len(), 60);
    let (_, payload) = EthernetHeader::parse(&frame).unwrap();
    let ip = Ipv4::parse(payload).unwrap();
    assert_eq!(Udp::parse(ip.payload()).unwrap().payload(), b"x");
    assert_eq!(
        PacketBuilder::ethernet(GATEWAY, HOST)
            .ipv4(A, B)
            .udp(1, 2, b"x")
            .len(),
        14 + 20 + 8 + 1
    );
}

#[test]
fn arp_and_foreign_ethertypes_end_a_frame() {
    let request = Arp::request(HOST, A, Ipv4Addr::new(192, 168, 10, 1));
    let frame = PacketBuilder::ethernet(MacAddress::BROADCAST, HOST)
        .padded()
        .arp(&request);
    let (header, payload) = EthernetHeader::parse(&frame).unwrap();
    assert_eq!(
        (header.ethertype, Arp::parse(payload), frame.len()),
        (EtherType::ARP, Ok(request), 60)
    );
    let frame = PacketBuilder::ethernet(GATEWAY, HOST).payload(EtherType::LLDP, b"lldp");
    let (header, payload) = EthernetHeader::parse(&frame).unwrap();
    assert_eq!((header.ethertype, payload), (EtherType::LLDP, &b"lldp"[..]));
}

#[test]
fn options_and_fragments_are_built_as_asked() {
    let packet = PacketBuilder::ipv4(A, B)
        .options(&[0x94, 4, 0, 0, 1])
        .fragment(1480, true)
        .payload(Protocol::UDP, b"rest");
    let ip = Ipv4::parse(&packet).unwrap();
    assert_eq!(ip.options(), [0x94, 4, 0, 0, 1, 0, 0, 0]);
    assert_eq!(
        (ip.fragment_offset(), ip.more_fragments(), ip.payload()),
        (1480, true, &b"rest"[..])
    );
}

#[test]
fn payload_beyond_the_largest_packet_is_cut() {
    let large = vec![7; 70_000];
    let packet = PacketBuilder::ipv4(A, B).options(&[1; 40]).udp(1, 2, &large);
    assert_eq!(packet.len(), 65_535);
    assert_eq!(state(&packet), Some(ChecksumState::Complete));
    let packet = PacketBuilder::ipv4(A, B).tcp(&SYN, &large);
    assert_eq!(packet.len(), 65_535);
    assert_eq!(state(&packet), Some(ChecksumState::Complete));
    let packet = PacketBuilder::ipv4(A, B).echo_reply(1, 2, &large);
    assert_eq!(packet.len(), 65_535);
    assert!(
        Icmpv4::parse(Ipv4::parse(&packet).unwrap().payload())
            .unwrap()
            .checksum_is_valid()
    );
}

#[test]
fn finished_unfinished_absent_and_wrong_checksums_are_told_apart() {
    for payload in [&b""[..], b"a", b"some payload"] {
        let ip = || PacketBuilder::ipv4(A, B);
        assert_eq!(state(&ip().tcp(&SYN, payload)), Some(ChecksumState::Complete));
        assert_eq!(state(&ip().udp(1, 2, payload)), Some(ChecksumState::Complete));
        assert_eq!(
            state(&ip().partial_checksum().tcp(&SYN, payload)),
            Some(ChecksumState::Partial)
        );
        assert_eq!(
            state(&ip().partial_checksum().udp(1, 2, payload)),
            Some(ChecksumState::Partial)
        );
        assert_eq!(
            state(&ip().no_udp_checksum().udp(1, 2, payload)),
            Some(ChecksumState::Absent)
        );
        let mut wrong = ip().udp(1, 2, payload);
        wrong[26] ^= 0x01;
        assert_eq!(state(&wrong), Some(ChecksumState::Wrong));
        // TCP has no "absent".
        let mut zero = ip().tcp(&SYN, payload);
        zero[36..38].fill(0);
        assert_eq!(state(&zero), Some(ChecksumState::Wrong));
    }
}

#[test]
fn partial_checksum_is_the_pseudo_header_sum() {
    // 0xc0a8 + 0x0a02 + 0xc0a8 + 0x1402 + 17 + 10 folds to 0x9f70.
    let packet = PacketBuilder::ipv4(A, B).partial_checksum().udp(1, 2, b"ab");
    assert_eq!(packet[26..28], [0x9f, 0x70]);
}

#[test]
fn right_checksum_that_equals_the_pseudo_header_sum_is_complete() {
    // Choose the payload so that the segment's own sum is the complement of twice the pseudo-header's.
    let right = |filler: u16| {
        let packet = PacketBuilder::ipv4(A, B).udp(0, 0, &filler.to_be_bytes());
        let partial = PacketBuilder::ipv4(A, B)
            .partial_checksum()
            .udp(0, 0, &filler.to_be_bytes());
        (packet == partial).then_some(packet)
    };
    let packet = (0..=u16::MAX)
        .find_map(right)
        .expect("one filler in 65,536 does it");
    assert_eq!(state(&packet), Some(ChecksumState::Complete));
}

#[test]
fn datagram_shorter_than_its_packet_is_judged_by_its_own_length() {
    let mut datagram = PacketBuilder::ipv4(A, B).udp(1, 2, b"abc")[20..].to_vec();
    datagram.extend(b"trailer");
    let packet = PacketBuilder::ipv4(A, B).payload(Protocol::UDP, &datagram);
    assert_eq!(state(&packet), Some(ChecksumState::Complete));
}

#[test]
fn fragments_foreign_protocols_and_short_segments_are_not_judged() {
    let datagram = PacketBuilder::ipv4(A, B)
        .partial_checksum()
        .udp(1, 2, b"0123456789abcdef")[20..]
        .to_vec();
    let ip = || PacketBuilder::ipv4(A, B);
    assert_eq!(
        state(&ip().payload(Protocol::UDP, &datagram)),
        Some(ChecksumState::Partial)
    );
    assert_eq!(
        state(&ip().fragment(0, true).payload(Protocol::UDP, &datagram)),
        None
    );
    assert_eq!(
        state(&ip().fragment(8, false).payload(Protocol::UDP, &datagram)),
        None
    );
    assert_eq!(state(&ip().payload(Protocol::ESP, &datagram)), None);
    assert_eq!(state(&ip().payload(Protocol::UDP, &datagram[..7])), None);
    assert_eq!(
        state(&ip().payload(Protocol::UDP, &datagram[..20])),
        None,
        "UDP length above the bytes there"
    );
    assert_eq!(state(&ip().payload(Protocol::TCP, &datagram[..19])), None);
}
