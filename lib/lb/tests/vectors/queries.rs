//! ICMP queries and replies.

use lb::rewrite::{to_client, to_server};
use lb::{Refused, What, look};

use crate::frames::*;

#[track_caller]
fn there(net: &Net, packet: &[u8]) -> Vec<u8> {
    let mut bytes = frame(packet);
    let view = look(&bytes);
    assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
    bytes
}

#[track_caller]
fn back(net: &Net, packet: &[u8]) -> Vec<u8> {
    let mut bytes = frame(packet);
    let view = look(&bytes);
    assert!(to_client(&mut bytes, &view, &net.ends(), &sequence()));
    bytes
}

#[test]
fn req_icmp_26_echo_gets_an_identifier_of_the_gateway_and_its_own_back() {
    for net in nets() {
        let net = net.ping(7, 40961);
        let (request, reply) = net.echo_types();
        let before = echo(net.client.0, net.service.0, request, 7);
        let after = echo(net.local.0, net.server.0, request, 40961);
        assert_same(&there(&net, &before), &frame(&after));
        let before = echo(net.server.0, net.local.0, reply, 40961);
        let after = echo(net.service.0, net.client.0, reply, 7);
        assert_same(&back(&net, &before), &frame(&after));
    }
}

#[test]
fn req_icmp_28_flow_of_a_reply_is_that_of_its_query_reversed() {
    for net in nets() {
        let (request, reply) = net.echo_types();
        let query = look(&frame(&echo(net.local.0, net.server.0, request, 7)));
        let answer = look(&frame(&echo(net.server.0, net.local.0, reply, 7)));
        assert_eq!(answer.flow, query.flow.reversed());
        assert_eq!(
            (query.flow.source_port, query.flow.destination_port),
            (7, request.into())
        );
    }
}

#[test]
fn req_icmp_28_queries_of_another_type_have_another_flow_which_their_replies_share() {
    let net = net4();
    let mut seen = Vec::new();
    for (query, reply) in [(8, 0), (13, 14), (15, 16), (17, 18)] {
        let asked = look(&frame(&echo(net.client.0, net.service.0, query, 7))).flow;
        let answered = look(&frame(&echo(net.service.0, net.client.0, reply, 7))).flow;
        assert_eq!(answered, asked.reversed(), "type {query}");
        assert!(!seen.contains(&asked), "type {query}");
        seen.push(asked);
    }
}

#[test]
fn req_icmp_29_two_clients_with_one_identifier_are_kept_apart() {
    let net = net4().ping(7, 40961);
    let other = Net {
        client: (ip("10.0.0.49"), 7),
        local: (net.local.0, 40962),
        ..net
    };
    let of = |net: &Net| there(net, &echo(net.client.0, net.service.0, 8, 7));
    assert_eq!(look(&of(&net)).flow.source_port, 40961);
    assert_eq!(look(&of(&other)).flow.source_port, 40962);
    assert_same(
        &back(&other, &echo(net.server.0, net.local.0, 0, 40962)),
        &frame(&echo(net.service.0, other.client.0, 0, 7)),
    );
}

#[test]
fn req_icmp_30_queries_are_told_from_replies() {
    for net in nets() {
        let of = |message_type: u8| look(&frame(&echo(net.client.0, net.service.0, message_type, 7))).what;
        let (queries, replies): (&[u8], &[u8]) = if net.six() {
            (&[128], &[129])
        } else {
            (&[8, 13, 15, 17], &[0, 14, 16, 18])
        };
        for &message_type in queries {
            assert_eq!(of(message_type), What::Query { id: 7, message_type });
        }
        for &message_type in replies {
            assert_eq!(of(message_type), What::Reply { id: 7, message_type });
        }
    }
}

#[test]
fn req_icmp_33_checksum_of_an_echo_of_ipv6_covers_the_new_addresses() {
    // All zero and all ones in the checksum field, and odd lengths.
    let net = net6().ping(0, 0xffff);
    for len in 0..40u8 {
        let body: Vec<u8> = (0..len).map(|byte| byte.wrapping_mul(0x35)).collect();
        let before = icmp(net.client.0, net.service.0, [128, 0], [0, 0, 0, len], &body);
        let after = icmp(net.local.0, net.server.0, [128, 0], [0xff, 0xff, 0, len], &body);
        assert_same(&there(&net, &before), &frame(&after));
    }
}

#[test]
fn req_icmp_23_message_that_is_not_all_there_is_short() {
    for net in nets() {
        for len in 0..8 {
            let message = packet(
                net.client.0,
                net.service.0,
                icmp_protocol(net.client.0),
                &[8; 8][..len],
            );
            assert_eq!(
                look(&frame(&message)).what,
                What::Bad(Refused::IcmpShort),
                "{len} bytes"
            );
        }
    }
}
