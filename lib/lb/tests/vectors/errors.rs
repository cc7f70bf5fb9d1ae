//! ICMP errors about translated packets.

use lb::icmp::{error_to_client, error_to_server};
use lb::{Quoted, Refused, View, What, look};

use crate::frames::*;

/// Sequence number that the client sent, acknowledgment that it was sent.
pub(crate) const S: u32 = 0xffff_fff0;
const ACKED: u32 = 0x2000_0001;

pub(crate) fn from_client() -> Segment {
    Segment {
        flags: ACK | PSH,
        sequence: S,
        acknowledgment: 77,
        payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ..Segment::default()
    }
}

/// As the server sees it.
pub(crate) fn at_server() -> Segment {
    Segment {
        sequence: S.wrapping_add(DELTA),
        ..from_client()
    }
}

pub(crate) fn from_server() -> Segment {
    Segment {
        flags: ACK,
        sequence: 77,
        acknowledgment: ACKED.wrapping_add(DELTA),
        options: [1, 1, 5, 10]
            .into_iter()
            .chain(0x3000_0000u32.to_be_bytes())
            .chain(0x3000_0100u32.to_be_bytes())
            .collect(),
        payload: b"HTTP/1.1 200 OK\r\n".to_vec(),
    }
}

/// As the client sees it.
pub(crate) fn at_client() -> Segment {
    Segment {
        acknowledgment: ACKED,
        options: [1, 1, 5, 10]
            .into_iter()
            .chain(0x2000_0000u32.to_be_bytes())
            .chain(0x2000_0100u32.to_be_bytes())
            .collect(),
        ..from_server()
    }
}

pub(crate) fn quoted(view: &View) -> Quoted {
    match view.what {
        What::Error(quoted) => quoted,
        other => panic!("no error: {other:?}"),
    }
}

/// What becomes of an error from the server's side.
#[track_caller]
pub(crate) fn to_client(net: &Net, packet: &[u8], added: u16) -> Vec<u8> {
    let mut bytes = frame(packet);
    let view = look(&bytes);
    let flow = quoted(&view).flow;
    let ends = net.ends();
    let (from, to) = (
        (flow.source, flow.source_port),
        (flow.destination, flow.destination_port),
    );
    assert_eq!(
        (from, to),
        ((ends.local, ends.local_port), (ends.server, ends.server_port))
    );
    assert!(error_to_client(&mut bytes, &view, &ends, &sequence(), added));
    bytes
}

/// What becomes of an error from the client's side.
#[track_caller]
pub(crate) fn to_server(net: &Net, packet: &[u8]) -> Vec<u8> {
    let mut bytes = frame(packet);
    let view = look(&bytes);
    let flow = quoted(&view).flow;
    let ends = net.ends();
    let (from, to) = (
        (flow.source, flow.source_port),
        (flow.destination, flow.destination_port),
    );
    assert_eq!(
        (from, to),
        ((ends.service, ends.service_port), (ends.client, ends.client_port))
    );
    assert!(error_to_server(&mut bytes, &view, &ends, &sequence()));
    bytes
}

pub(crate) fn is_tcp(packet: &[u8], six: bool) -> bool {
    packet[if six { 6 } else { 9 }] == TCP
}

pub(crate) fn unreachable(net: &Net) -> [u8; 2] {
    if net.six() { [1, 3] } else { [3, 1] }
}

#[test]
fn req_icmp_1_errors_are_those_of_the_standards_and_no_others() {
    for net in nets() {
        let quote = at_server().packet(net.local, net.server);
        let is_error = |message_type| {
            let bytes = frame(&icmp(
                net.lan_router,
                net.local.0,
                [message_type, 0],
                [0; 4],
                &quote,
            ));
            match look(&bytes).what {
                What::Error(quoted) => quoted.message_type == message_type,
                _ => false,
            }
        };
        let errors: Vec<_> = (0..=255).filter(|&message_type| is_error(message_type)).collect();
        let expected = if net.six() { [1, 2, 3, 4] } else { [3, 4, 11, 12] };
        assert_eq!(errors, expected);
        let of = |message_type| {
            look(&frame(&icmp(
                net.lan_router,
                net.local.0,
                [message_type, 0],
                [0; 4],
                &quote,
            )))
            .what
        };
        let unknown: &[u8] = if net.six() {
            &[0, 5, 100, 127]
        } else {
            &[1, 2, 5, 9, 10, 19, 42, 255]
        };
        for &message_type in unknown {
            assert_eq!(
                of(message_type),
                What::Bad(Refused::Unsolicited),
                "type {message_type}"
            );
        }
        // Neighbour discovery for a service's address is the stack's.
        if net.six() {
            assert!((130..=255).all(|message_type| of(message_type) == What::Other));
        }
    }
}

#[test]
fn req_icmp_2_source_quench_is_told_from_other_errors_and_can_be_translated() {
    let net = net4();
    let before = icmp(
        net.lan_router,
        net.local.0,
        [4, 0],
        [0; 4],
        &at_server().packet(net.local, net.server),
    );
    assert_eq!(quoted(&look(&frame(&before))).message_type, 4);
    let after = icmp(
        net.service.0,
        net.client.0,
        [4, 0],
        [0; 4],
        &from_client().packet(net.client, net.service),
    );
    assert_same(&to_client(&net, &before, 0), &frame(&after));
}

#[test]
fn req_icmp_3_error_from_the_servers_side_is_about_what_the_client_sent() {
    for net in nets() {
        let head = unreachable(&net);
        let before = icmp(
            net.lan_router,
            net.local.0,
            head,
            [0; 4],
            &at_server().packet(net.local, net.server),
        );
        let after = icmp(
            net.service.0,
            net.client.0,
            head,
            [0; 4],
            &from_client().packet(net.client, net.service),
        );
        assert_same(&to_client(&net, &before, 0), &frame(&after));
    }
}

#[test]
fn req_icmp_3_udp_and_ping_likewise() {
    for net in nets() {
        let head = unreachable(&net);
        let before = icmp(
            net.server.0,
            net.local.0,
            head,
            [0; 4],
            &udp(net.local, net.server, b"question"),
        );
        let after = icmp(
            net.service.0,
            net.client.0,
            head,
            [0; 4],
            &udp(net.client, net.service, b"question"),
        );
        assert_same(&to_client(&net, &before, 0), &frame(&after));
        // Identifier 0 is one as others are.
        for (id, other) in [(7, 40961), (0, 40961), (7, 0)] {
            let net = net.ping(id, other);
            let request = net.echo_types().0;
            let before = icmp(
                net.lan_router,
                net.local.0,
                head,
                [0; 4],
                &echo(net.local.0, net.server.0, request, other),
            );
            let after = icmp(
                net.service.0,
                net.client.0,
                head,
                [0; 4],
                &echo(net.client.0, net.service.0, request, id),
            );
            assert_same(&to_client(&net, &before, 0), &frame(&after));
        }
    }
}

#[test]
fn req_icmp_4_error_from_the_clients_side_is_about_what_the_server_sent() {
    let net = net4();
    let mtu = [0, 0, 0x05, 0x78];
    let before = icmp(
        net.wan_router,
        net.service.0,
        [3, 4],
        mtu,
        &at_client().packet(net.service, net.client),
    );
    let after = icmp(
        net.local.0,
        net.server.0,
        [3, 4],
        mtu,
        &from_server().packet(net.server, net.local),
    );
    assert_same(&to_server(&net, &before), &frame(&after));
}

#[test]
fn req_icmp_4_udp_and_ping_likewise() {
    for net in nets() {
        let head = unreachable(&net);
        let before = icmp(
            net.client.0,
            net.service.0,
            head,
            [0; 4],
            &udp(net.service, net.client, b"answer"),
        );
        let after = icmp(
            net.local.0,
            net.server.0,
            head,
            [0; 4],
            &udp(net.server, net.local, b"answer"),
        );
        assert_same(&to_server(&net, &before), &frame(&after));
        let net = net.ping(7, 40961);
        let reply = net.echo_types().1;
        let before = icmp(
            net.wan_router,
            net.service.0,
            head,
            [0; 4],
            &echo(net.service.0, net.client.0, reply, 7),
        );
        let after = icmp(
            net.local.0,
            net.server.0,
            head,
            [0; 4],
            &echo(net.server.0, net.local.0, reply, 40961),
        );
        assert_same(&to_server(&net, &before), &frame(&after));
    }
}

#[test]
fn req_icmp_13_type_code_and_the_rest_of_the_header_stay() {
    for net in nets() {
        let heads: &[[u8; 2]] = if net.six() {
            &[[1, 0], [1, 4], [2, 0], [3, 1], [4, 2]]
        } else {
            &[[3, 3], [3, 4], [3, 13], [11, 1], [12, 0]]
        };
        for &head in heads {
            let rest = [9, 0, 0x05, 0x14];
            let before = icmp(
                net.lan_router,
                net.local.0,
                head,
                rest,
                &at_server().packet(net.local, net.server),
            );
            let after = icmp(
                net.service.0,
                net.client.0,
                head,
                rest,
                &from_client().packet(net.client, net.service),
            );
            assert_same(&to_client(&net, &before, 0), &frame(&after));
            let before = icmp(
                net.wan_router,
                net.service.0,
                head,
                rest,
                &at_client().packet(net.service, net.client),
            );
            let after = icmp(
                net.local.0,
                net.server.0,
                head,
                rest,
                &from_server().packet(net.server, net.local),
            );
            assert_same(&to_server(&net, &before), &frame(&after));
        }
    }
}

#[test]
fn req_icmp_18_too_big_for_the_client_is_lowered_by_what_is_added() {
    let cases = [
        (
            net4(),
            [3, 4],
            8,
            vec![(1400, 1392), (76, 68), (70, 68), (68, 68), (40, 40), (0, 0)],
        ),
        (
            net6(),
            [2, 0],
            20,
            vec![
                (1400, 1380),
                (1290, 1280),
                (1280, 1280),
                (600, 600),
                (0x1_0000, 0xffec),
            ],
        ),
    ];
    for (net, head, added, mtus) in cases {
        for (mtu, lowered) in mtus {
            let before = icmp(
                net.lan_router,
                net.local.0,
                head,
                u32::to_be_bytes(mtu),
                &at_server().packet(net.local, net.server),
            );
            let after = icmp(
                net.service.0,
                net.client.0,
                head,
                u32::to_be_bytes(lowered),
                &from_client().packet(net.client, net.service),
            );
            assert_same(&to_client(&net, &before, added), &frame(&after));
        }
    }
    // Others have no MTU.
    let net = net4();
    let before = icmp(
        net.lan_router,
        net.local.0,
        [3, 1],
        [0, 0, 5, 0x78],
        &at_server().packet(net.local, net.server),
    );
    let after = icmp(
        net.service.0,
        net.client.0,
        [3, 1],
        [0, 0, 5, 0x78],
        &from_client().packet(net.client, net.service),
    );
    assert_same(&to_client(&net, &before, 8), &frame(&after));
}

#[test]
fn req_icmp_21_packet_too_big_of_ipv6_keeps_its_mtu_towards_the_server() {
    let net = net6();
    let mtu = 1400u32.to_be_bytes();
    let before = icmp(
        net.wan_router,
        net.service.0,
        [2, 0],
        mtu,
        &at_client().packet(net.service, net.client),
    );
    let after = icmp(
        net.local.0,
        net.server.0,
        [2, 0],
        mtu,
        &from_server().packet(net.server, net.local),
    );
    assert_same(&to_server(&net, &before), &frame(&after));
}
