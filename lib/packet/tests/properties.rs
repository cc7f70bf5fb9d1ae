//! What must hold of every parser, for any bytes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

use std::net::Ipv4Addr;

use packet::checksum::{self, Sum};
use packet::ethernet::{self, VlanTags};
use packet::icmpv4::{self, Echo, EchoKind};
use packet::ipv4::{self, Ipv4Header};
use packet::tcp::{TcpFlags, TcpHeader};
use packet::transport::{ChecksumState, checksum_is_partial, checksum_state};
use packet::udp::UdpHeader;
use packet::{
    Arp, EtherType, EthernetHeader, Icmpv4, Ipv4, MacAddress, PacketBuilder, Protocol, Tcp, Udp, VlanTag, arp,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Parses `bytes` as everything, reads every field, makes every change in place.
fn exercise(bytes: &[u8]) {
    if let Ok((header, payload)) = EthernetHeader::parse(bytes) {
        assert_eq!(header.len() + payload.len(), bytes.len());
    }
    let _ = Arp::parse(bytes);
    if let Ok(ip) = Ipv4::parse(bytes) {
        assert_eq!(ip.header_len() + ip.payload().len(), usize::from(ip.total_len()));
        assert_eq!(ip.header_len(), ipv4::HEADER_LEN + ip.options().len());
        assert!(usize::from(ip.total_len()) <= bytes.len());
        assert_eq!(
            checksum_is_partial(&ip),
            checksum_state(&ip) == Some(ChecksumState::Partial)
        );
        exercise_transport(ip.payload());
    }
    exercise_transport(bytes);
    let mut copy = bytes.to_vec();
    let _ = icmpv4::request_into_reply(&mut copy);
    let _ = ethernet::rewrite(&mut copy, MacAddress::BROADCAST, MacAddress::ZERO);
    if let Some(header) = copy.first_chunk_mut() {
        let _ = ipv4::decrement_ttl(header);
        ipv4::set_ttl(header, 255);
        ipv4::swap_addresses(header);
    }
    assert_eq!(copy.len(), bytes.len());
}

fn exercise_transport(bytes: &[u8]) {
    if let Ok(icmp) = Icmpv4::parse(bytes) {
        assert_eq!(icmp.data().len() + icmpv4::HEADER_LEN, bytes.len());
        assert_eq!(icmp.checksum_is_valid(), reference_sum(bytes) == 0xffff);
        let _ = (icmp.echo(), icmp.code(), icmp.message_type(), icmp.checksum());
    }
    if let Ok(udp) = Udp::parse(bytes) {
        assert_eq!(udp.payload().len() + 8, usize::from(udp.len()));
        let _ = (udp.source_port(), udp.destination_port(), udp.checksum());
    }
    if let Ok(tcp) = Tcp::parse(bytes) {
        assert_eq!(20 + tcp.options().len() + tcp.payload().len(), bytes.len());
        let _ = (
            tcp.source_port(),
            tcp.destination_port(),
            tcp.flags(),
            tcp.window(),
            tcp.checksum(),
        );
        let _ = (tcp.sequence(), tcp.acknowledgment());
    }
}

/// RFC 1071 §4.1 word by word.
fn reference_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn mac() -> impl Strategy<Value = MacAddress> {
    any::<[u8; 6]>().prop_map(MacAddress)
}

fn tags() -> impl Strategy<Value = VlanTags> {
    let tag = || {
        let tpid = prop_oneof![Just(EtherType::VLAN), Just(EtherType::SERVICE_VLAN)];
        (tpid, any::<u16>()).prop_map(|(tpid, tci)| VlanTag { tpid, tci })
    };
    prop_oneof![
        Just(VlanTags::NONE),
        tag().prop_map(VlanTags::one),
        (tag(), tag()).prop_map(|(outer, inner)| VlanTags::two(outer, inner)),
    ]
}

fn tcp_header() -> impl Strategy<Value = TcpHeader> {
    (any::<[u16; 3]>(), any::<[u32; 2]>(), any::<u8>()).prop_map(
        |([source_port, destination_port, window], [sequence, acknowledgment], flags)| TcpHeader {
            source_port,
            destination_port,
            sequence,
            acknowledgment,
            flags: TcpFlags(flags),
            window,
        },
    )
}

/// A frame of each kind that the builder can make.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let link = (mac(), mac(), tags()).prop_map(|(destination, source, tags)| {
        tags.iter()
            .fold(PacketBuilder::ethernet(destination, source), |builder, tag| {
                builder.tag(tag)
            })
    });
    let ip = (link, address(), address(), any::<u8>(), vec(any::<u8>(), 0..=40)).prop_map(
        |(link, source, destination, ttl, options)| link.ipv4(source, destination).ttl(ttl).options(&options),
    );
    (ip, 0..5, tcp_header(), vec(any::<u8>(), 0..200)).prop_map(|(ip, kind, tcp, payload)| match kind {
        0 => ip.udp(tcp.source_port, tcp.destination_port, &payload),
        1 => ip.tcp(&tcp, &payload),
        2 => ip.echo_request(tcp.source_port, tcp.window, &payload),
        3 => ip.udp(tcp.source_port, tcp.destination_port, &payload),
        _ => ip.payload(Protocol::ESP, &payload),
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
    }

    #[test]
    fn bytes_with_a_valid_ipv4_header_never_panic(
        payload in vec(any::<u8>(), 0..100),
        protocol in prop_oneof![Just(1), Just(6), Just(17), any::<u8>()],
        fragment in prop_oneof![Just(0), any::<u16>()],
        options in vec(any::<u8>(), 0..=40),
    ) {
        let builder = PacketBuilder::ipv4(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST).options(&options);
        let packet = builder.fragment(fragment, fragment % 2 == 1).payload(Protocol(protocol), &payload);
        prop_assert!(Ipv4::parse(&packet).is_ok());
        exercise(&packet);
    }

    #[test]
    fn frame_damaged_anywhere_never_panics(frame in frame(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut frame = frame;
        *at.get_mut(&mut frame) = value;
        exercise(&frame);
        if let Ok((_, payload)) = EthernetHeader::parse(&frame) {
            exercise(payload);
        }
    }

    #[test]
    fn packet_truncated_at_any_byte_is_refused(frame in frame()) {
        let (header, payload) = EthernetHeader::parse(&frame).unwrap();
        for cut in 0..header.len() {
            prop_assert!(EthernetHeader::parse(&frame[..cut]).is_err());
        }
        prop_assert!(Ipv4::parse(payload).is_ok());
        for cut in 0..payload.len() {
            prop_assert!(Ipv4::parse(&payload[..cut]).is_err(), "{} of {}", cut, payload.len());
        }
    }

    #[test]
    fn built_packets_have_right_checksums(frame in frame()) {
        let (_, payload) = EthernetHeader::parse(&frame).unwrap();
        let ip = Ipv4::parse(payload).unwrap();
        match ip.protocol() {
            Protocol::ICMP => prop_assert!(Icmpv4::parse(ip.payload()).unwrap().checksum_is_valid()),
            Protocol::ESP => prop_assert_eq!(checksum_state(&ip), None),
            _ => prop_assert_eq!(checksum_state(&ip), Some(ChecksumState::Complete)),
        }
    }

    #[test]
    fn sum_equals_the_reference_at_any_length_and_split(bytes in vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        prop_assert_eq!(Sum::ZERO.bytes(&bytes).fold(), reference_sum(&bytes));
        prop_assert_eq!(checksum::checksum(&bytes), !reference_sum(&bytes));
        let (head, tail) = bytes.split_at(at.index(bytes.len() + 1) & !1);
        prop_assert_eq!(Sum::ZERO.bytes(head).bytes(tail).fold(), reference_sum(&bytes));
        let words = bytes.chunks_exact(2).fold(Sum::ZERO, |sum, word| sum.word(u16::from_be_bytes([word[0], word[1]])));
        prop_assert_eq!(words.bytes(bytes.chunks_exact(2).remainder()).fold(), reference_sum(&bytes));
    }

    #[test]
    fn updated_checksum_equals_the_recomputed(
        words in vec(prop_oneof![Just(0u16), Just(0xffff), any::<u16>()], 2..20),
        at in any::<prop::sample::Index>(),
        new in prop_oneof![Just(0u32), Just(0xffff), Just(u32::MAX), any::<u32>()],
    ) {
        // A header is never all zero: its version is not.
        let mut bytes: Vec<u8> = [0x4500].iter().chain(&words).flat_map(|word| word.to_be_bytes()).collect();
        let before = checksum::checksum(&bytes);
        let at = 2 + 2 * at.index(words.len() - 1);
        let old = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let old_word = u16::from_be_bytes([bytes[at], bytes[at + 1]]);

        let [high, low, ..] = new.to_be_bytes();
        let mut one_word = bytes.clone();
        one_word[at..at + 2].copy_from_slice(&[high, low]);
        let updated = checksum::update16(before, old_word, u16::from_be_bytes([high, low]));
        prop_assert_eq!(updated, checksum::checksum(&one_word));

        bytes[at..at + 4].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(checksum::update32(before, old, new), checksum::checksum(&bytes));
    }

    #[test]
    fn decremented_header_equals_one_built_with_that_ttl(
        addresses in (address(), address()),
        ttl in 2u8..,
        identification in any::<u16>(),
        protocol in any::<u8>(),
    ) {
        let build = |ttl| PacketBuilder::ipv4(addresses.0, addresses.1)
            .ttl(ttl)
            .identification(identification)
            .payload(Protocol(protocol), b"payload");
        let mut packet = build(ttl);
        prop_assert_eq!(ipv4::decrement_ttl(packet.first_chunk_mut().unwrap()), Some(ttl - 1));
        prop_assert_eq!(packet, build(ttl - 1));
    }

    #[test]
    fn ethernet_round_trips(destination in mac(), source in mac(), tags in tags(), ethertype in any::<u16>()) {
        let ethertype = EtherType(ethertype);
        prop_assume!(!ethertype.is_tag());
        let header = EthernetHeader { destination, source, tags, ethertype };
        let mut buffer = [0; 22];
        let len = header.emit(&mut buffer).unwrap();
        prop_assert_eq!(EthernetHeader::parse(&buffer[..len]), Ok((header, &[][..])));
    }

    #[test]
    fn arp_round_trips(reply in any::<bool>(), macs in (mac(), mac()), addresses in (address(), address())) {
        let message = Arp {
            operation: if reply { arp::Operation::Reply } else { arp::Operation::Request },
            sender_mac: macs.0,
            sender_address: addresses.0,
            target_mac: macs.1,
            target_address: addresses.1,
        };
        let mut buffer = [0; arp::LEN];
        message.emit(&mut buffer).unwrap();
        prop_assert_eq!(Arp::parse(&buffer), Ok(message));
    }

    #[test]
    fn ipv4_round_trips(
        addresses in (address(), address()),
        octets in any::<[u8; 3]>(),
        identification in any::<u16>(),
        dont_fragment in any::<bool>(),
        payload in vec(any::<u8>(), 0..64),
    ) {
        let header = Ipv4Header {
            traffic_class: octets[0],
            identification,
            dont_fragment,
            ttl: octets[1],
            protocol: Protocol(octets[2]),
            source: addresses.0,
            destination: addresses.1,
            payload_len: payload.len() as u16,
        };
        let mut packet = vec![0; header.len()];
        header.emit(&mut packet).unwrap();
        packet.extend(&payload);
        let ip = Ipv4::parse(&packet).unwrap();
        let parsed = Ipv4Header {
            traffic_class: ip.traffic_class(),
            identification: ip.identification(),
            dont_fragment: ip.dont_fragment(),
            ttl: ip.ttl(),
            protocol: ip.protocol(),
            source: ip.source(),
            destination: ip.destination(),
            payload_len: ip.payload().len() as u16,
        };
        prop_assert_eq!(parsed, header);
        prop_assert_eq!(ip.payload(), &payload[..]);
    }

    #[test]
    fn echo_udp_and_tcp_round_trip(
        request in any::<bool>(),
        ports in any::<(u16, u16)>(),
        tcp in tcp_header(),
        payload in vec(any::<u8>(), 0..64),
    ) {
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut buffer = [0; 84];

        let kind = if request { EchoKind::Request } else { EchoKind::Reply };
        let echo = Echo { kind, identifier: ports.0, sequence: ports.1 };
        let len = echo.emit(&payload, &mut buffer).unwrap();
        let parsed = Icmpv4::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((parsed.echo(), parsed.data()), (Some(echo), &payload[..]));

        let header = UdpHeader { source_port: ports.0, destination_port: ports.1 };
        let len = header.emit(source, destination, &payload, &mut buffer).unwrap();
        let parsed = Udp::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((parsed.source_port(), parsed.destination_port(), parsed.payload()), (ports.0, ports.1, &payload[..]));

        let len = tcp.emit(source, destination, &payload, &mut buffer).unwrap();
        let parsed = Tcp::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((parsed.source_port(), parsed.destination_port()), (tcp.source_port, tcp.destination_port));
        prop_assert_eq!((parsed.sequence(), parsed.acknowledgment()), (tcp.sequence, tcp.acknowledgment));
        prop_assert_eq!((parsed.flags(), parsed.window(), parsed.payload()), (tcp.flags, tcp.window, &payload[..]));
    }
}
