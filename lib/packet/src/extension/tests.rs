use std::net::Ipv6Addr;

use super::*;
use crate::PacketBuilder;
use crate::builder::Ipv6Builder;

fn ip() -> Ipv6Builder {
    PacketBuilder::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
}

fn headers(packet: &[u8]) -> Result<Vec<(Protocol, usize, usize)>, ExtensionError> {
    walk(&Ipv6::parse(packet).unwrap())
        .map(|header| header.map(|header| (header.protocol, header.offset, header.bytes.len())))
        .collect()
}

fn upper(packet: &[u8]) -> Result<UpperLayer<'_>, ExtensionError> {
    upper_layer(&Ipv6::parse(packet).unwrap())
}

#[test]
fn packet_without_extension_headers_has_its_upper_layer_at_byte_40() {
    let packet = ip().udp(1, 2, b"x");
    let expected = UpperLayer {
        protocol: Protocol::UDP,
        offset: 40,
        named_at: 6,
        payload: &packet[40..],
        fragment: None,
        has_segments_left: false,
    };
    assert_eq!(upper(&packet), Ok(expected));
    assert_eq!(headers(&packet), Ok(vec![]));
}

#[test]
fn headers_come_in_order_with_offsets_from_the_ipv6_header() {
    let packet = ip()
        .router_alert(0)
        .destination_options(&[0x3e, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .routing(4, 1)
        .fragment(0, true, 7)
        .extension(
            Protocol::AH,
            &[
                0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
            ],
        )
        .payload(Protocol::TCP, b"segment");
    let expected = vec![
        (Protocol::HOP_BY_HOP, 40, 8),
        (Protocol::DESTINATION_OPTIONS, 48, 16),
        (Protocol::ROUTING, 64, 8),
        (Protocol::FRAGMENT, 72, 8),
        (Protocol::AH, 80, 24),
    ];
    assert_eq!(headers(&packet), Ok(expected));
    let upper = upper(&packet).unwrap();
    assert_eq!(
        (upper.protocol, upper.offset, upper.named_at),
        (Protocol::TCP, 104, 80)
    );
    assert_eq!(upper.payload, b"segment");
    assert!(upper.has_segments_left && upper.is_fragment() && !upper.is_later_fragment());
}

#[test]
fn each_header_says_where_it_was_named() {
    let packet = ip().router_alert(0).routing(0, 0).udp(1, 2, b"");
    let named: Vec<_> = walk(&Ipv6::parse(&packet).unwrap())
        .map(|header| header.unwrap().named_at)
        .collect();
    assert_eq!(named, [6, 40]);
    assert_eq!(packet[6], Protocol::HOP_BY_HOP.0);
    assert_eq!(packet[40], Protocol::ROUTING.0);
}

#[test]
fn walk_ends_at_esp_no_next_header_and_the_unknown() {
    for protocol in [
        Protocol::ESP,
        Protocol::NO_NEXT_HEADER,
        Protocol(135),
        Protocol(253),
    ] {
        let packet = ip().destination_options(&[]).payload(protocol, &[0; 32]);
        let upper = upper(&packet).unwrap();
        assert_eq!((upper.protocol, upper.offset, upper.named_at), (protocol, 48, 40));
    }
}

#[test]
fn hop_by_hop_options_behind_another_header_are_misplaced() {
    let packet = ip().router_alert(0).router_alert(0).udp(1, 2, b"");
    let misplaced = ExtensionError::HopByHopNotFirst { pointer: 40 };
    assert_eq!(upper(&packet), Err(misplaced));
    let packet = ip()
        .router_alert(0)
        .destination_options(&[])
        .hop_by_hop(&[])
        .udp(1, 2, b"");
    let misplaced = ExtensionError::HopByHopNotFirst { pointer: 48 };
    assert_eq!(upper(&packet), Err(misplaced));
    let ip = Ipv6::parse(&packet).unwrap();
    let passed = upper_layer_of_misordered(&ip).unwrap();
    assert_eq!((passed.protocol, passed.offset), (Protocol::UDP, 64));
    // What comes before the error is given; nothing comes after it.
    let mut headers = walk(&ip);
    assert!(headers.next().unwrap().is_ok() && headers.next().unwrap().is_ok());
    assert_eq!(headers.next(), Some(Err(misplaced)));
    assert_eq!(headers.next(), None);
}

#[test]
fn header_that_goes_beyond_the_packet_is_refused() {
    for protocol in [0, 43, 44, 51, 60].map(Protocol) {
        let truncated = ExtensionError::Truncated { protocol, offset: 40 };
        // Two units of 8 bytes, or of 4 behind the first 8; a fragment header has 8.
        let needed = match protocol {
            Protocol::FRAGMENT => 8,
            Protocol::AH => 12,
            _ => 16,
        };
        for len in 0..needed {
            let mut packet = ip().payload(protocol, &vec![1; len]);
            if let Some(next) = packet.get_mut(40) {
                *next = 59;
            }
            assert_eq!(upper(&packet), Err(truncated), "{protocol} of {len} bytes");
        }
        let packet = ip().payload(protocol, &[&[59, 1][..], &vec![0; needed - 2]].concat());
        assert_eq!(upper(&packet).unwrap().offset, 40 + needed);
    }
}

#[test]
fn sixteen_headers_are_walked_and_no_more() {
    let chain = |count| (0..count).fold(ip(), |builder, _| builder.destination_options(&[]));
    assert_eq!(upper(&chain(16).udp(1, 2, b"")).unwrap().offset, 40 + 16 * 8);
    assert_eq!(upper(&chain(17).udp(1, 2, b"")), Err(ExtensionError::TooMany));
}

#[test]
fn walk_ends_in_a_later_fragment_since_the_rest_of_the_chain_is_elsewhere() {
    let packet = ip()
        .fragment(1480, true, 0x0102_0304)
        .payload(Protocol::DESTINATION_OPTIONS, &[0xff; 16]);
    let upper = upper(&packet).unwrap();
    assert_eq!(
        (upper.protocol, upper.offset),
        (Protocol::DESTINATION_OPTIONS, 48)
    );
    let fragment = Fragment {
        offset: 1480,
        more: true,
        identification: 0x0102_0304,
    };
    assert_eq!(upper.fragment, Some(fragment));
    assert!(upper.is_later_fragment());
}

#[test]
fn fragment_header_of_a_whole_packet_makes_no_fragment() {
    let packet = ip().fragment(0, false, 9).destination_options(&[]).udp(1, 2, b"");
    let upper = upper(&packet).unwrap();
    assert_eq!(upper.protocol, Protocol::UDP);
    assert!(!upper.is_fragment() && !upper.is_later_fragment());
    assert_eq!(upper.fragment.map(|fragment| fragment.identification), Some(9));
}

#[test]
fn headers_are_read_as_what_they_are_alone() {
    let packet = ip()
        .hop_by_hop(&[])
        .routing(3, 7)
        .fragment(0, true, 5)
        .udp(1, 2, b"");
    let ip = Ipv6::parse(&packet).unwrap();
    let headers: Vec<_> = walk(&ip).map(Result::unwrap).collect();
    let routing = Routing {
        routing_type: 3,
        segments_left: 7,
    };
    assert!(headers[0].options().is_some() && headers[1].options().is_none());
    assert_eq!(
        headers.iter().map(|header| header.routing()).collect::<Vec<_>>(),
        [None, Some(routing), None]
    );
    assert_eq!(
        headers
            .iter()
            .map(|header| header.fragment().is_some())
            .collect::<Vec<_>>(),
        [false, false, true]
    );
}

fn options(options: &[u8]) -> Result<Vec<(u8, usize, Vec<u8>)>, OptionError> {
    let packet = ip().hop_by_hop(options).udp(1, 2, b"");
    let header = walk(&Ipv6::parse(&packet).unwrap()).next().unwrap().unwrap();
    header
        .options()
        .unwrap()
        .map(|option| option.map(|option| (option.option_type, option.offset, option.data.to_vec())))
        .collect()
}

#[test]
fn options_come_in_order_with_padding_and_offsets() {
    let found = options(&[0, 5, 2, 0, 1, 0xc2, 4, 0, 1, 0, 0]).unwrap();
    let expected = [
        (option_type::PAD1, 42, vec![]),
        (option_type::ROUTER_ALERT, 43, vec![0, 1]),
        (option_type::JUMBO, 47, vec![0, 1, 0, 0]),
        (option_type::PADN, 53, vec![0]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn option_beyond_its_header_ends_the_options_with_an_error() {
    // Six bytes of options: the second's length says one more than there are; then its length is missing.
    assert_eq!(
        options(&[1, 0, 0x1e, 3, 0, 0]),
        Err(OptionError::Overrun { offset: 44 })
    );
    assert_eq!(
        options(&[1, 3, 0, 0, 0, 0x1e]),
        Err(OptionError::Overrun { offset: 47 })
    );
    let packet = ip().hop_by_hop(&[0x1e, 9, 0, 0, 0, 0]).udp(1, 2, b"");
    let header = walk(&Ipv6::parse(&packet).unwrap()).next().unwrap().unwrap();
    let mut options = header.options().unwrap();
    assert!(options.next().unwrap().is_err());
    assert_eq!(options.next(), None);
}

#[test]
fn two_high_bits_of_the_type_say_what_to_do_where_it_is_unknown() {
    for option_type in 0..=u8::MAX {
        let option = HeaderOption {
            option_type,
            offset: 42,
            data: &[],
        };
        let expected = match option_type {
            0x00..0x40 => UnrecognizedAction::Skip,
            0x40..0x80 => UnrecognizedAction::Discard,
            0x80..0xc0 => UnrecognizedAction::DiscardAndAnswer,
            _ => UnrecognizedAction::DiscardAndAnswerUnlessMulticast,
        };
        assert_eq!(option.unrecognized_action(), expected);
        assert_eq!(option.is_padding(), option_type < 2);
    }
}

#[test]
fn a_first_fragment_is_complete_with_its_upper_layer_header() {
    let is_complete = |packet: &[u8]| {
        let packet = Ipv6::parse(packet).unwrap();
        let mut headers = walk(&packet);
        headers.find(|header| header.is_ok_and(|header| header.protocol == Protocol::FRAGMENT));
        headers.is_complete()
    };
    let first = || ip().fragment(0, true, 7);
    for (protocol, least) in [
        (Protocol::TCP, 20),
        (Protocol::UDP, 8),
        (Protocol::ICMPV6, 8),
        (Protocol::ESP, 1),
        (Protocol::NO_NEXT_HEADER, 0),
    ] {
        assert!(
            is_complete(&first().payload(protocol, &vec![0; least])),
            "{protocol}"
        );
        if let Some(less) = least.checked_sub(1) {
            assert!(
                !is_complete(&first().payload(protocol, &vec![0; less])),
                "{protocol}"
            );
        }
    }
    let options = [Protocol::UDP.0, 2, 1, 4, 0, 0, 0, 0];
    assert!(!is_complete(
        &first().payload(Protocol::DESTINATION_OPTIONS, &options)
    ));
    // A second fragment header, of a part in the middle.
    let nested = first().fragment(64, true, 8).payload(Protocol::TCP, &[]);
    assert!(is_complete(&nested));
}
