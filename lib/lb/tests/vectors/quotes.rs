//! What errors quote, and how much of it.

use lb::icmp::error_to_client;
use lb::{Kind, Refused, What, look};

use crate::errors::{
    at_client, at_server, from_client, from_server, is_tcp, quoted, to_client, to_server, unreachable,
};
use crate::frames::*;

#[test]
fn req_icmp_9_any_quote_of_eight_transport_bytes_and_more_is_enough() {
    for net in nets() {
        let head = unreachable(&net);
        let network = if net.six() { 40 } else { 20 };
        let pairs = [
            (
                at_server().packet(net.local, net.server),
                from_client().packet(net.client, net.service),
            ),
            (
                udp(net.local, net.server, b"question"),
                udp(net.client, net.service, b"question"),
            ),
        ];
        for (inner, outer) in pairs {
            for len in network + 8..=inner.len() {
                // The first half of a checksum is none.
                let mut outer = outer.clone();
                if len == network + 17 && is_tcp(&inner, net.six()) {
                    outer[len - 1] = inner[len - 1];
                }
                let before = icmp(net.lan_router, net.local.0, head, [0; 4], &inner[..len]);
                let after = icmp(net.service.0, net.client.0, head, [0; 4], &outer[..len]);
                assert_same(&to_client(&net, &before, 0), &frame(&after));
            }
            for len in 0..network + 8 {
                let before = icmp(net.lan_router, net.local.0, head, [0; 4], &inner[..len]);
                assert_eq!(
                    look(&frame(&before)).what,
                    What::Bad(Refused::IcmpShort),
                    "{len} bytes"
                );
            }
        }
        // Flags are needed to know whether there is an acknowledgment; the options of a quote that ends among them stay.
        let (inner, outer) = (
            at_client().packet(net.service, net.client),
            from_server().packet(net.server, net.local),
        );
        for len in (network + 8..network + 12).chain([network + 32, inner.len()]) {
            let before = icmp(net.wan_router, net.service.0, head, [0; 4], &inner[..len]);
            let mut expected = outer[..len].to_vec();
            let untouched = network + 8..len.min(network + 12);
            if len < network + 12 {
                expected[untouched.clone()].copy_from_slice(&inner[untouched]);
            }
            let after = icmp(net.local.0, net.server.0, head, [0; 4], &expected);
            assert_same(&to_server(&net, &before), &frame(&after));
        }
    }
}

#[test]
fn req_icmp_10_inner_options_and_extension_headers_are_skipped() {
    let options: (u8, &[u8]) = (0, &[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]);
    // Hop-by-hop options that name destination options that name TCP; and a fragment header of a whole packet.
    let extensions: (u8, &[u8]) = (0, &[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]);
    let whole: (u8, &[u8]) = (44, &[6, 0, 0, 0, 0, 0, 0, 9]);
    let first: (u8, &[u8]) = (44, &[6, 0, 0, 1, 0, 0, 0, 9]);
    for (net, between) in [
        (net4(), options),
        (net6(), extensions),
        (net6(), whole),
        (net6(), first),
    ] {
        let head = unreachable(&net);
        let inner = packet_with(
            net.local.0,
            net.server.0,
            TCP,
            between,
            &at_server().bytes(net.local, net.server),
        );
        let sent = packet_with(
            net.client.0,
            net.service.0,
            TCP,
            between,
            &from_client().bytes(net.client, net.service),
        );
        let before = icmp(net.lan_router, net.local.0, head, [0; 4], &inner);
        let after = icmp(net.service.0, net.client.0, head, [0; 4], &sent);
        assert_same(&to_client(&net, &before, 0), &frame(&after));
    }
}

#[test]
fn req_icmp_10_later_fragment_in_a_quote_is_of_no_connection() {
    let net = net4();
    let mut inner = at_server().packet(net.local, net.server);
    inner[7] = 1;
    let before = icmp(net.lan_router, net.local.0, [11, 1], [0; 4], &inner);
    assert_eq!(look(&frame(&before)).what, What::Bad(Refused::ErrorNoConnection));
    let net = net6();
    let later: (u8, &[u8]) = (44, &[6, 0, 0, 8, 0, 0, 0, 9]);
    let inner = packet_with(net.local.0, net.server.0, TCP, later, b"somewhere in the middle");
    let before = icmp(net.lan_router, net.local.0, [3, 1], [0; 4], &inner);
    assert_eq!(look(&frame(&before)).what, What::Bad(Refused::ErrorNoConnection));
}

#[test]
fn req_icmp_11_extensions_behind_the_quote_stay() {
    // An MPLS label stack object (RFC 4950) with its header; it would be read as options of TCP if it were part of the quote.
    let extension = [0x20, 0, 0xaa, 0xbb, 0, 8, 1, 1, 0x00, 0x01, 0x31, 0x01];
    for net in nets() {
        let (words, head, at) = if net.six() {
            (16, [3, 0], 0)
        } else {
            (32, [11, 0], 1)
        };
        let mut rest = [0; 4];
        rest[at] = words;
        let quote = |segment: Segment, from, to| {
            let mut bytes = segment.packet(from, to);
            bytes.resize(128, 0);
            bytes.extend(extension);
            bytes
        };
        let before = icmp(
            net.lan_router,
            net.local.0,
            head,
            rest,
            &quote(at_server(), net.local, net.server),
        );
        let after = icmp(
            net.service.0,
            net.client.0,
            head,
            rest,
            &quote(from_client(), net.client, net.service),
        );
        assert_same(&to_client(&net, &before, 0), &frame(&after));
    }
    // A quote that the length field ends within the TCP header: what follows is not its checksum.
    let net = net4();
    let quote = |segment: Segment, from, to| [&segment.packet(from, to)[..32], &extension[..]].concat();
    let before = icmp(
        net.lan_router,
        net.local.0,
        [3, 1],
        [0, 8, 0, 0],
        &quote(at_server(), net.local, net.server),
    );
    let after = icmp(
        net.service.0,
        net.client.0,
        [3, 1],
        [0, 8, 0, 0],
        &quote(from_client(), net.client, net.service),
    );
    assert_same(&to_client(&net, &before, 0), &frame(&after));
}

#[test]
fn req_icmp_12_wrong_checksum_of_the_error_is_refused() {
    for net in nets() {
        let before = icmp(
            net.lan_router,
            net.local.0,
            unreachable(&net),
            [0; 4],
            &at_server().packet(net.local, net.server),
        );
        let message = if net.six() { 40 } else { 20 };
        for at in message..before.len() {
            let mut bytes = frame(&before);
            bytes[14 + at] ^= 0x40;
            let what = look(&bytes).what;
            // Another type may be no error at all.
            if at != message {
                assert_eq!(what, What::Bad(Refused::BadChecksum), "byte {at}");
            }
        }
    }
}

#[test]
fn req_icmp_12_wrong_checksum_of_the_quoted_header_is_seen_and_made_right() {
    let net = net4();
    let mut inner = at_server().packet(net.local, net.server);
    // A router that counted the TTL down, and not the checksum.
    inner[8] = 1;
    let before = icmp(net.lan_router, net.local.0, [11, 0], [0; 4], &inner);
    assert!(!quoted(&look(&frame(&before))).sound);
    let mut sent = from_client().packet(net.client, net.service);
    sent[8] = 1;
    sent[10..12].fill(0);
    let checksum = !sum(&[&sent[..20]]);
    sent[10..12].copy_from_slice(&checksum.to_be_bytes());
    let after = icmp(net.service.0, net.client.0, [11, 0], [0; 4], &sent);
    assert_same(&to_client(&net, &before, 0), &frame(&after));
}

#[test]
fn req_icmp_12_quoted_udp_without_checksum_stays_without() {
    let net = net4();
    let without = |from: End, to: End| {
        let mut bytes = udp(from, to, b"question");
        bytes[26..28].fill(0);
        bytes
    };
    let before = icmp(
        net.lan_router,
        net.local.0,
        [3, 3],
        [0; 4],
        &without(net.local, net.server),
    );
    let after = icmp(
        net.service.0,
        net.client.0,
        [3, 3],
        [0; 4],
        &without(net.client, net.service),
    );
    assert_same(&to_client(&net, &before, 0), &frame(&after));
}

#[test]
fn req_icmp_23_error_within_an_error_is_of_no_connection() {
    for net in nets() {
        let head = unreachable(&net);
        let inner = icmp(
            net.local.0,
            net.server.0,
            head,
            [0; 4],
            &from_server().packet(net.server, net.local),
        );
        let before = icmp(net.lan_router, net.local.0, head, [0; 4], &inner);
        assert_eq!(look(&frame(&before)).what, What::Bad(Refused::ErrorNoConnection));
    }
}

#[test]
fn req_icmp_23_quote_of_another_sender_is_of_no_connection() {
    for net in nets() {
        let before = icmp(
            net.lan_router,
            net.service.0,
            unreachable(&net),
            [0; 4],
            &at_server().packet(net.local, net.server),
        );
        assert_eq!(look(&frame(&before)).what, What::Bad(Refused::ErrorNoConnection));
    }
}

#[test]
fn req_icmp_14_error_about_what_the_gateway_itself_sends_is_left_to_the_stages() {
    for net in nets() {
        // ESP and OSPF have no ports.
        for protocol in [50, 89] {
            let inner = packet(net.local.0, net.server.0, protocol, &[0xee; 40]);
            let before = icmp(net.lan_router, net.local.0, unreachable(&net), [0; 4], &inner);
            assert_eq!(look(&frame(&before)).what, What::Other, "protocol {protocol}");
        }
    }
}

#[test]
fn errors_are_translated_in_tagged_frames_and_with_outer_options() {
    let net = net4();
    let head = [3, 1];
    let inner = message(
        net.lan_router,
        net.local.0,
        head,
        [0; 4],
        &at_server().packet(net.local, net.server),
    );
    let outer = message(
        net.service.0,
        net.client.0,
        head,
        [0; 4],
        &from_client().packet(net.client, net.service),
    );
    let between: (u8, &[u8]) = (0, &[148, 4, 0, 0]);
    for tags in [&[][..], &[101], &[7, 101]] {
        let mut bytes = tagged(
            tags,
            &packet_with(net.lan_router, net.local.0, 1, between, &inner),
        );
        let expected = tagged(
            tags,
            &packet_with(net.service.0, net.client.0, 1, between, &outer),
        );
        let view = look(&bytes);
        assert_eq!(quoted(&view).kind, Kind::Tcp);
        assert!(!view.plain);
        assert!(error_to_client(&mut bytes, &view, &net.ends(), &sequence(), 0));
        assert_same(&bytes, &expected);
    }
}
