use super::*;
use crate::PacketBuilder;
use crate::builder::Ipv6Builder;
use crate::icmpv6::ROUTER_SOLICITATION;
use crate::ipv6::{ALL_NODES, multicast_mac, solicited_node};

const ASKER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 2]);
const OWNER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x10, 1]);
const ASKER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x1002);
const OWNER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xab, 0xcdef);
const SOLICITATION: NeighborSolicitation = NeighborSolicitation {
    target: OWNER,
    source_link_layer: Some(ASKER_MAC),
};
const ADVERTISEMENT: NeighborAdvertisement = NeighborAdvertisement {
    target: OWNER,
    router: true,
    solicited: true,
    overrides: true,
    target_link_layer: Some(OWNER_MAC),
};

fn parse(packet: &[u8]) -> Result<NeighborMessage, NdError> {
    NeighborMessage::parse(&Ipv6::parse(packet).unwrap())
}

/// A message without options but those given, with a right checksum.
fn built(ip: Ipv6Builder, message_type: u8, flags: u8, options: &[u8]) -> Vec<u8> {
    let body = [&[flags, 0, 0, 0][..], &OWNER.octets(), options].concat();
    ip.hop_limit(255).icmp(message_type, 0, &body)
}

fn solicitation(source: Ipv6Addr, destination: Ipv6Addr, options: &[u8]) -> Result<NeighborMessage, NdError> {
    parse(&built(PacketBuilder::ipv6(source, destination), 135, 0, options))
}

fn advertisement(destination: Ipv6Addr, flags: u8) -> Result<NeighborMessage, NdError> {
    parse(&built(PacketBuilder::ipv6(OWNER, destination), 136, flags, &[]))
}

#[test]
fn solicitation_has_the_bytes_of_rfc_4861_section_4_3() {
    let mut buffer = [0xee; MAX_FRAME_LEN];
    let group = solicited_node(OWNER);
    let len = SOLICITATION.emit_frame(ASKER_MAC, multicast_mac(group), ASKER, group, &mut buffer);
    assert_eq!(len, Ok(86));
    let message = [
        // Checksum by hand: fe80+00ff+fe00+1002 + ff02+0001+ffab+cdef + 0020+003a (pseudo-header) + 8700
        // + 2001+0db8+00ab+cdef + 0101+0200+0000+1002 = 0x6_70ce, folded 0x70d4, complement 0x8f2b.
        &[135, 0, 0x8f, 0x2b, 0, 0, 0, 0][..],
        &OWNER.octets(),
        &[1, 1, 2, 0, 0, 0, 0x10, 2],
    ]
    .concat();
    let header = [
        // Ethernet.
        &[
            0x33, 0x33, 0xff, 0xab, 0xcd, 0xef, 2, 0, 0, 0, 0x10, 2, 0x86, 0xdd,
        ][..],
        // IPv6: 32 bytes, ICMPv6, hop limit 255.
        &[0x60, 0, 0, 0, 0, 32, 58, 255],
        &ASKER.octets(),
        &group.octets(),
    ]
    .concat();
    assert_eq!(buffer[..54], header);
    assert_eq!(buffer[54..], message);
    assert_eq!(
        parse(&buffer[14..]),
        Ok(NeighborMessage::Solicitation(SOLICITATION))
    );
}

#[test]
fn test_for_a_duplicate_address_comes_from_nowhere_and_has_78_bytes() {
    let probe = NeighborSolicitation {
        source_link_layer: None,
        ..SOLICITATION
    };
    let mut buffer = [0xee; MAX_FRAME_LEN];
    let group = solicited_node(OWNER);
    let len = probe.emit_frame(
        ASKER_MAC,
        multicast_mac(group),
        Ipv6Addr::UNSPECIFIED,
        group,
        &mut buffer,
    );
    assert_eq!(len, Ok(78));
    assert_eq!(parse(&buffer[14..]), Ok(NeighborMessage::Solicitation(probe)));
    assert_eq!(buffer[78..], [0xee; 8]);
}

#[test]
fn advertisement_comes_back_with_each_of_its_flags() {
    for bits in 0..8u8 {
        let message = NeighborAdvertisement {
            router: bits & 4 != 0,
            solicited: bits & 2 != 0,
            overrides: bits & 1 != 0,
            ..ADVERTISEMENT
        };
        let mut buffer = [0; MAX_FRAME_LEN];
        let len = message.emit_frame(OWNER_MAC, ASKER_MAC, OWNER, ASKER, &mut buffer);
        assert_eq!(len, Ok(86));
        assert_eq!(buffer[54 + 4..54 + 8], [bits << 5, 0, 0, 0]);
        assert_eq!(parse(&buffer[14..]), Ok(NeighborMessage::Advertisement(message)));
    }
}

#[test]
fn frame_that_does_not_fit_is_refused() {
    for (option, len) in [(Some(OWNER_MAC), 86), (None, 78)] {
        let message = NeighborAdvertisement {
            target_link_layer: option,
            ..ADVERTISEMENT
        };
        let refused = BufferTooShort {
            needed: len,
            available: len - 1,
        };
        let mut buffer = vec![0; len - 1];
        assert_eq!(
            message.emit_frame(OWNER_MAC, ASKER_MAC, OWNER, ASKER, &mut buffer),
            Err(refused)
        );
        buffer.push(0);
        assert_eq!(
            message.emit_frame(OWNER_MAC, ASKER_MAC, OWNER, ASKER, &mut buffer),
            Ok(len)
        );
    }
}

#[test]
fn other_hop_limit_code_checksum_or_type_is_refused() {
    for message_type in [135, 136] {
        let good = built(PacketBuilder::ipv6(ASKER, OWNER), message_type, 0, &[]);
        assert!(parse(&good).is_ok());
        for hop_limit in 0..255 {
            let mut packet = good.clone();
            packet[7] = hop_limit;
            assert_eq!(parse(&packet), Err(NdError::HopLimit));
        }
        for at in 40..good.len() {
            let mut packet = good.clone();
            packet[at] ^= 0x10;
            let error = if at == 40 {
                NdError::NotNeighborMessage
            } else {
                NdError::Checksum
            };
            assert_eq!(parse(&packet), Err(error), "byte {at}");
        }
        let body = [&[0; 4][..], &OWNER.octets()].concat();
        let coded = PacketBuilder::ipv6(ASKER, OWNER)
            .hop_limit(255)
            .icmp(message_type, 1, &body);
        assert_eq!(parse(&coded), Err(NdError::Code));
    }
    let router = built(PacketBuilder::ipv6(ASKER, OWNER), ROUTER_SOLICITATION, 0, &[]);
    assert_eq!(parse(&router), Err(NdError::NotNeighborMessage));
    let datagram = PacketBuilder::ipv6(ASKER, OWNER).hop_limit(255).udp(1, 2, b"");
    assert_eq!(parse(&datagram), Err(NdError::NotNeighborMessage));
}

#[test]
fn message_below_24_bytes_is_refused() {
    for len in 0..20 {
        let packet = PacketBuilder::ipv6(ASKER, OWNER)
            .hop_limit(255)
            .icmp(135, 0, &vec![0; len]);
        assert_eq!(parse(&packet), Err(NdError::Truncated), "{} bytes", len + 4);
    }
}

#[test]
fn multicast_target_is_refused() {
    let body = [&[0; 4][..], &ALL_NODES.octets()].concat();
    for message_type in [135, 136] {
        let packet = PacketBuilder::ipv6(ASKER, OWNER)
            .hop_limit(255)
            .icmp(message_type, 0, &body);
        assert_eq!(parse(&packet), Err(NdError::MulticastTarget));
    }
}

#[test]
fn option_of_no_length_or_beyond_the_message_is_refused() {
    for options in [
        &[14, 0, 0, 0, 0, 0, 0, 0][..],
        &[1, 1, 2, 0, 0, 0, 0x10, 2, 14, 0, 0, 0, 0, 0, 0, 0],
        &[14, 2, 0, 0, 0, 0, 0, 0],
        &[1, 1, 2, 0, 0, 0, 0x10],
        &[1],
    ] {
        assert_eq!(
            solicitation(ASKER, OWNER, options),
            Err(NdError::OptionLength),
            "{options:?}"
        );
    }
    let long = [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(solicitation(ASKER, OWNER, &long), Err(NdError::LinkLayerLength));
}

#[test]
fn other_options_are_skipped_and_the_first_address_counts() {
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let target = [2, 1, 9, 9, 9, 9, 9, 9];
    let source = [1, 1, 2, 0, 0, 0, 0x10, 2];
    let second = [1, 1, 2, 0, 0, 0, 0x10, 3];
    let options = [nonce, target, source, second].concat();
    let found = Ok(NeighborMessage::Solicitation(SOLICITATION));
    assert_eq!(solicitation(ASKER, OWNER, &options), found);
}

#[test]
fn unspecified_source_asks_a_solicited_node_address_and_says_no_mac() {
    let source = [1, 1, 2, 0, 0, 0, 0x10, 2];
    let group = solicited_node(OWNER);
    assert!(solicitation(Ipv6Addr::UNSPECIFIED, group, &[]).is_ok());
    let with_mac = solicitation(Ipv6Addr::UNSPECIFIED, group, &source);
    assert_eq!(with_mac, Err(NdError::UnspecifiedWithLinkLayer));
    for destination in [OWNER, ALL_NODES] {
        let to_other = solicitation(Ipv6Addr::UNSPECIFIED, destination, &[]);
        assert_eq!(to_other, Err(NdError::UnspecifiedToOther));
    }
    assert!(solicitation(ASKER, group, &source).is_ok());
}

#[test]
fn advertisement_to_a_group_is_not_solicited() {
    assert_eq!(advertisement(ALL_NODES, 0x60), Err(NdError::SolicitedMulticast));
    assert!(advertisement(ALL_NODES, 0xa0).is_ok());
    assert!(advertisement(ASKER, 0x60).is_ok());
}

#[test]
fn message_behind_a_fragment_header_is_refused_and_behind_another_taken() {
    let ip = || PacketBuilder::ipv6(ASKER, OWNER);
    for more in [false, true] {
        let packet = built(ip().fragment(0, more, 1), 135, 0, &[]);
        assert_eq!(parse(&packet), Err(NdError::Fragment));
    }
    let later = built(ip().fragment(8, false, 1), 135, 0, &[]);
    assert_eq!(parse(&later), Err(NdError::NotNeighborMessage));
    assert!(parse(&built(ip().destination_options(&[]), 135, 0, &[])).is_ok());
    let misplaced = built(ip().routing(0, 0).hop_by_hop(&[]), 135, 0, &[]);
    let error = ExtensionError::HopByHopNotFirst { pointer: 40 };
    assert_eq!(parse(&misplaced), Err(NdError::Extension(error)));
}
