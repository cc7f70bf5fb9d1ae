//! Everything that can be done with bytes from outside.

use packet::extension::{self, ExtensionHeader, OptionError, option_type};
use packet::icmp_error::{Icmpv6Problem, may_answer_v4, may_answer_v6};
use packet::ipv6::{ALL_NODES, ALL_ROUTERS};
use packet::nd::NeighborMessage;
use packet::transport::{
    ChecksumState, checksum_is_partial, checksum_is_partial_v6, checksum_state, checksum_state_v6,
};
use packet::{
    Arp, EthernetHeader, Icmpv4, Icmpv6, Ipv4, Ipv6, MacAddress, Tcp, Udp, ethernet, icmpv4, icmpv6, ipv4,
    ipv6,
};

use crate::checksums::reference_sum;

/// Parses `bytes` as everything, reads every field, makes every change in place.
pub(crate) fn exercise(bytes: &[u8]) {
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
        let _ = (
            may_answer_v4(&ip),
            ip.source(),
            ip.destination(),
            ip.fragment_offset(),
        );
        exercise_transport(ip.payload());
    }
    if let Ok(ip) = Ipv6::parse(bytes) {
        exercise_v6(&ip);
        exercise_transport(ip.payload());
    }
    exercise_transport(bytes);
    let mut copy = bytes.to_vec();
    let _ = icmpv4::request_into_reply(&mut copy);
    let _ = icmpv6::request_into_reply(&mut copy);
    let _ = icmpv6::update_address(&mut copy, ALL_NODES, ALL_ROUTERS);
    let _ = ethernet::rewrite(&mut copy, MacAddress::BROADCAST, MacAddress::ZERO);
    if let Some(header) = copy.first_chunk_mut() {
        let _ = ipv4::decrement_ttl(header);
        ipv4::set_ttl(header, 255);
        ipv4::swap_addresses(header);
    }
    if let Some(header) = copy.first_chunk_mut() {
        let _ = ipv6::decrement_hop_limit(header);
        ipv6::set_hop_limit(header, 255);
        ipv6::swap_addresses(header);
    }
    assert_eq!(copy.len(), bytes.len());
}

fn exercise_v6(ip: &Ipv6<'_>) {
    assert_eq!(ip.total_len(), ipv6::HEADER_LEN + usize::from(ip.payload_len()));
    assert_eq!(ip.payload().len(), usize::from(ip.payload_len()));
    let _ = (ip.traffic_class(), ip.flow_label(), ip.hop_limit());
    assert_eq!(
        checksum_is_partial_v6(ip),
        checksum_state_v6(ip) == Some(ChecksumState::Partial)
    );
    let upper = extension::upper_layer(ip);
    let mut offset = ipv6::HEADER_LEN;
    for header in extension::walk(ip) {
        let Ok(header) = header else {
            assert_eq!(upper, header.map(|_| unreachable!("an error")));
            break;
        };
        assert_eq!(header.offset, offset);
        assert!(header.bytes.len() >= 8 && header.named_at < offset);
        offset += header.bytes.len();
        assert!(offset <= ip.total_len());
        let _ = (header.fragment(), header.routing());
        exercise_options(&header);
    }
    if let Ok(upper) = upper {
        assert_eq!(upper.offset, offset);
        assert_eq!(offset + upper.payload.len(), ip.total_len());
    }
    let _ = NeighborMessage::parse(ip);
    for problem in [
        Icmpv6Problem::NoRoute,
        Icmpv6Problem::PacketTooBig { mtu: 1280 },
        Icmpv6Problem::ParameterProblem { code: 2, pointer: 42 },
    ] {
        let may_answer = may_answer_v6(ip, problem);
        assert!(!may_answer || !ip.source().is_multicast());
    }
}

fn exercise_options(header: &ExtensionHeader<'_>) {
    let end = header.offset + header.bytes.len();
    let mut at = header.offset + 2;
    for option in header.options().into_iter().flatten() {
        let Ok(option) = option else {
            assert_eq!(option, Err(OptionError::Overrun { offset: at }));
            return;
        };
        assert_eq!(option.offset, at);
        let _ = (option.is_padding(), option.unrecognized_action());
        at += option.data.len()
            + if option.option_type == option_type::PAD1 {
                1
            } else {
                2
            };
        assert!(at <= end);
    }
    assert!(header.options().is_none() || at == end);
}

fn exercise_transport(bytes: &[u8]) {
    if let Ok(icmp) = Icmpv4::parse(bytes) {
        assert_eq!(icmp.data().len() + icmpv4::HEADER_LEN, bytes.len());
        assert_eq!(icmp.checksum_is_valid(), reference_sum(bytes) == 0xffff);
        let _ = (icmp.echo(), icmp.code(), icmp.message_type(), icmp.checksum());
    }
    if let Ok(icmp) = Icmpv6::parse(bytes) {
        assert_eq!(icmp.data().len() + icmpv6::HEADER_LEN, bytes.len());
        assert_eq!(icmp.body().len() + 4, bytes.len());
        let _ = (icmp.echo(), icmp.code(), icmp.message_type(), icmp.checksum());
        let _ = icmp.checksum_is_valid(ALL_NODES, ALL_ROUTERS);
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
