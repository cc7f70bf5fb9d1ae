//! Links and IPv4.

use std::net::Ipv4Addr;

use packet::icmpv4::{Echo, EchoKind};
use packet::ipv4::{self, Ipv4Header};
use packet::transport::{ChecksumState, checksum_state};
use packet::udp::UdpHeader;
use packet::{Arp, EtherType, EthernetHeader, Icmpv4, Ipv4, PacketBuilder, Protocol, Tcp, Udp, arp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::exercise::exercise;
use crate::strategies::{address, frame, mac, tags, tcp_header};

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
