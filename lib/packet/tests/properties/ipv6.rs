//! IPv6, its extension headers and what it carries.

use std::net::Ipv6Addr;

use packet::checksum::Sum;
use packet::extension::{self, ExtensionError};
use packet::icmp_error::{
    HEADERS_LEN_V4, HEADERS_LEN_V6, Icmpv4Problem, Icmpv6Problem, emit_v4, emit_v6, quote_len_v4,
    quote_len_v6,
};
use packet::icmpv6::{self, Echo, EchoKind};
use packet::ipv6::{self, Ipv6Header};
use packet::transport::{ChecksumState, checksum_state_v6};
use packet::udp::UdpHeader;
use packet::{Icmpv4, Icmpv6, Ipv4, Ipv6, PacketBuilder, Protocol, Tcp, Udp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::checksums::reference_sum;
use crate::exercise::exercise;
use crate::strategies::{Extension, address, address_v6, extensions, frame, packet_v6, tcp_header};

/// RFC 8200 §8.1 byte by byte, with the message behind.
fn with_pseudo_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: Protocol,
    message: &[u8],
) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [
        &source.octets()[..],
        &destination.octets(),
        &len,
        &[0, 0, 0, protocol.0],
        message,
    ]
    .concat()
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    extensions().prop_flat_map(packet_v6)
}

proptest! {
    #[test]
    fn bytes_with_a_valid_ipv6_header_never_panic(
        payload in vec(any::<u8>(), 0..150),
        next_header in prop_oneof![Just(0), Just(43), Just(44), Just(51), Just(58), Just(60), any::<u8>()],
        multicast in any::<bool>(),
        hop_limit in prop_oneof![Just(255), any::<u8>()],
    ) {
        let destination = if multicast { ipv6::ALL_NODES } else { Ipv6Addr::LOCALHOST };
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let builder = PacketBuilder::ipv6(source, destination).hop_limit(hop_limit);
        exercise(&builder.payload(Protocol(next_header), &payload));
    }

    #[test]
    fn packet_damaged_anywhere_never_panics(
        packet in any_packet(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut packet = packet;
        for (at, value) in damages {
            *at.get_mut(&mut packet) = value;
        }
        exercise(&packet);
    }

    #[test]
    fn packet_truncated_at_any_byte_is_refused_or_ends_its_chain_early(packet in any_packet()) {
        prop_assert!(Ipv6::parse(&packet).is_ok());
        for cut in 0..packet.len() {
            prop_assert!(Ipv6::parse(&packet[..cut]).is_err(), "{} of {}", cut, packet.len());
        }
        let whole = Ipv6::parse(&packet).unwrap();
        let upper = extension::upper_layer(&whole).unwrap();
        // The same with a payload length that is right: the chain is cut, or what is behind it.
        for cut in ipv6::HEADER_LEN..packet.len() {
            let mut short = packet[..cut].to_vec();
            let payload_len = u16::try_from(cut - ipv6::HEADER_LEN).unwrap();
            short[4..6].copy_from_slice(&payload_len.to_be_bytes());
            let found = extension::upper_layer(&Ipv6::parse(&short).unwrap()).map(|upper| upper.offset);
            if cut < upper.offset {
                let truncated = matches!(found, Err(ExtensionError::Truncated { .. }));
                prop_assert!(truncated, "{} of {}", cut, upper.offset);
            } else {
                prop_assert_eq!(found, Ok(upper.offset));
            }
            exercise(&short);
        }
    }

    #[test]
    fn built_packets_have_right_checksums(packet in any_packet()) {
        let ip = Ipv6::parse(&packet).unwrap();
        let upper = extension::upper_layer(&ip).unwrap();
        let (source, destination) = (ip.source(), ip.destination());
        let sum = reference_sum(&with_pseudo_header(source, destination, upper.protocol, upper.payload));
        match upper.protocol {
            Protocol::ICMPV6 => {
                prop_assert_eq!(sum, 0xffff);
                let message = Icmpv6::parse(upper.payload);
                prop_assert!(message.is_err() || message.unwrap().checksum_is_valid(source, destination));
            }
            Protocol::ESP => prop_assert_eq!(checksum_state_v6(&ip), None),
            _ => {
                prop_assert_eq!(sum, 0xffff);
                prop_assert_eq!(checksum_state_v6(&ip), Some(ChecksumState::Complete));
            }
        }
    }

    #[test]
    fn extension_headers_come_back(
        extensions in extensions(),
        offset in any::<u16>(),
        more in any::<bool>(),
        payload in vec(any::<u8>(), 0..64),
    ) {
        let ip = PacketBuilder::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let ip = extensions.iter().fold(ip, |ip, extension| extension.put_into(ip));
        let packet = ip.fragment(offset, more, 7).payload(Protocol::NO_NEXT_HEADER, &payload);
        let ip = Ipv6::parse(&packet).unwrap();
        let found: Vec<_> = extension::walk(&ip)
            .map(|header| header.map(|header| (header.protocol, header.bytes.len())))
            .collect::<Result<_, _>>()
            .unwrap();
        let put_in: Vec<_> = extensions
            .iter()
            .chain([&Extension::Fragment(offset, more, 7)])
            .map(|extension| (extension.protocol(), extension.len()))
            .collect();
        prop_assert_eq!(found, put_in);
        let upper = extension::upper_layer(&ip).unwrap();
        prop_assert_eq!((upper.protocol, upper.payload), (Protocol::NO_NEXT_HEADER, &payload[..]));
        let fragment = upper.fragment.unwrap();
        prop_assert_eq!((fragment.offset, fragment.more, fragment.identification), (offset & !7, more, 7));
    }

    #[test]
    fn ipv6_round_trips(
        addresses in (address_v6(), address_v6()),
        octets in any::<[u8; 3]>(),
        flow_label in 0u32..1 << 20,
        payload in vec(any::<u8>(), 0..64),
    ) {
        let header = Ipv6Header {
            traffic_class: octets[0],
            flow_label,
            next_header: Protocol(octets[1]),
            hop_limit: octets[2],
            source: addresses.0,
            destination: addresses.1,
            payload_len: payload.len() as u16,
        };
        let mut packet = vec![0; header.len()];
        header.emit(&mut packet).unwrap();
        packet.extend(&payload);
        let ip = Ipv6::parse(&packet).unwrap();
        let parsed = Ipv6Header {
            traffic_class: ip.traffic_class(),
            flow_label: ip.flow_label(),
            next_header: ip.next_header(),
            hop_limit: ip.hop_limit(),
            source: ip.source(),
            destination: ip.destination(),
            payload_len: ip.payload_len(),
        };
        prop_assert_eq!((parsed, ip.payload()), (header, &payload[..]));
    }

    #[test]
    fn decremented_header_equals_one_built_with_that_hop_limit(
        addresses in (address_v6(), address_v6()),
        hop_limit in 2u8..,
    ) {
        let build = |hop_limit| PacketBuilder::ipv6(addresses.0, addresses.1).hop_limit(hop_limit).udp(1, 2, b"x");
        let mut packet = build(hop_limit);
        prop_assert_eq!(ipv6::decrement_hop_limit(packet.first_chunk_mut().unwrap()), Some(hop_limit - 1));
        prop_assert_eq!(packet, build(hop_limit - 1));
    }

    #[test]
    fn echo_udp_and_tcp_round_trip(
        request in any::<bool>(),
        ports in any::<(u16, u16)>(),
        tcp in tcp_header(),
        addresses in (address_v6(), address_v6()),
        payload in vec(any::<u8>(), 0..64),
    ) {
        let (source, destination) = addresses;
        let mut buffer = [0; 84];

        let kind = if request { EchoKind::Request } else { EchoKind::Reply };
        let echo = Echo { kind, identifier: ports.0, sequence: ports.1 };
        let len = icmpv6::emit_echo(&echo, source, destination, &payload, &mut buffer).unwrap();
        let parsed = Icmpv6::parse(&buffer[..len]).unwrap();
        prop_assert!(parsed.checksum_is_valid(source, destination));
        prop_assert_eq!((parsed.echo(), parsed.data()), (Some(echo), &payload[..]));

        let header = UdpHeader { source_port: ports.0, destination_port: ports.1 };
        let len = header.emit(source, destination, &payload, &mut buffer).unwrap();
        let parsed = Udp::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((parsed.source_port(), parsed.payload()), (ports.0, &payload[..]));
        let sum = reference_sum(&with_pseudo_header(source, destination, Protocol::UDP, &buffer[..len]));
        prop_assert_eq!(sum, 0xffff);

        let len = tcp.emit(source, destination, &payload, &mut buffer).unwrap();
        let parsed = Tcp::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((parsed.sequence(), parsed.payload()), (tcp.sequence, &payload[..]));
        let sum = reference_sum(&with_pseudo_header(source, destination, Protocol::TCP, &buffer[..len]));
        prop_assert_eq!(sum, 0xffff);
    }

    #[test]
    fn pseudo_header_sum_equals_the_reference(
        addresses in (address_v6(), address_v6()),
        protocol in any::<u8>(),
        message in vec(any::<u8>(), 0..100),
    ) {
        let (source, destination) = addresses;
        let bytes = with_pseudo_header(source, destination, Protocol(protocol), &message);
        let sum = Sum::ZERO
            .pseudo_header(source, destination, Protocol(protocol), message.len() as u16)
            .bytes(&message);
        prop_assert_eq!(sum.fold(), reference_sum(&bytes));
    }

    #[test]
    fn checksum_updated_for_an_address_equals_the_recomputed(
        addresses in (address_v6(), address_v6(), address_v6()),
        data in vec(any::<u8>(), 0..64),
    ) {
        let (host, group, own) = addresses;
        let mut packet = PacketBuilder::ipv6(host, group).echo_request(1, 2, &data);
        let message = &mut packet[ipv6::HEADER_LEN..];
        icmpv6::request_into_reply(message).unwrap();
        icmpv6::update_address(message, group, own).unwrap();
        let expected = PacketBuilder::ipv6(own, host).echo_reply(1, 2, &data);
        prop_assert_eq!(message, &expected[ipv6::HEADER_LEN..]);
    }

    #[test]
    fn errors_of_both_families_are_valid_packets_around_the_quote(
        packets in (frame(), any_packet()),
        v4 in (address(), address()),
        v6 in (address_v6(), address_v6()),
        hops in any::<u8>(),
        mtu in any::<u16>(),
    ) {
        let quote = &packets.0[..quote_len_v4(packets.0.len())];
        let mut headers = [0xee; HEADERS_LEN_V4];
        emit_v4(Icmpv4Problem::FragmentationNeeded { mtu }, v4.0, v4.1, hops, quote, &mut headers);
        let error = [&headers[..], quote].concat();
        let ip = Ipv4::parse(&error).unwrap();
        prop_assert_eq!((ip.source(), ip.destination(), ip.ttl()), (v4.0, v4.1, hops));
        let message = Icmpv4::parse(ip.payload()).unwrap();
        prop_assert!(message.checksum_is_valid());
        prop_assert_eq!(message.data(), quote);

        let quote = &packets.1[..quote_len_v6(packets.1.len())];
        let mut headers = [0xee; HEADERS_LEN_V6];
        emit_v6(Icmpv6Problem::PacketTooBig { mtu: mtu.into() }, v6.0, v6.1, hops, quote, &mut headers);
        let error = [&headers[..], quote].concat();
        let ip = Ipv6::parse(&error).unwrap();
        prop_assert_eq!((ip.source(), ip.destination(), ip.hop_limit()), (v6.0, v6.1, hops));
        let message = Icmpv6::parse(ip.payload()).unwrap();
        prop_assert!(message.checksum_is_valid(v6.0, v6.1));
        prop_assert_eq!(message.data(), quote);
    }
}
