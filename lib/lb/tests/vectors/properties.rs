//! Whatever the ends, numbers and bytes are.

use std::net::IpAddr;

use lb::icmp::{error_to_client, error_to_server};
use lb::rewrite::{clamp_mss, insert_toa, remove_timestamps, to_client, to_server};
use lb::{Sequence, View, What, look};
use proptest::prelude::*;

use crate::frames::*;

fn address(six: bool) -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(move |number| {
        if six {
            IpAddr::from((number >> 3 | 1 << 125).to_be_bytes())
        } else {
            let [a, b, c, d, ..] = number.to_be_bytes();
            IpAddr::from([a % 126 + 1, b, c, d])
        }
    })
}

fn net() -> impl Strategy<Value = Net> {
    any::<bool>().prop_flat_map(|six| {
        let end = || (address(six), any::<u16>());
        (end(), end(), end(), end(), address(six), address(six)).prop_map(
            |(client, service, local, server, wan_router, lan_router)| Net {
                client,
                service,
                local,
                server,
                wan_router,
                lan_router,
            },
        )
    })
}

/// Options that are none of those changed.
fn options() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1]), 0..=10)
        .prop_map(|kinds| kinds.into_iter().flat_map(|kind| [kind; 4]).collect())
}

fn segment() -> impl Strategy<Value = Segment> {
    let numbers = (any::<u8>(), any::<u32>(), any::<u32>());
    (numbers, options(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(
        |((flags, sequence, acknowledgment), options, payload)| Segment {
            flags,
            sequence,
            acknowledgment,
            options,
            payload,
        },
    )
}

/// Whether all checksums of an unfragmented packet without options or extension headers are right.
fn is_right(bytes: &[u8]) -> bool {
    let packet = &bytes[14..];
    let (header, protocol, addresses) = if packet[0] >> 4 == 4 {
        (20, packet[9], &packet[12..20])
    } else {
        (40, packet[6], &packet[8..40])
    };
    let carried = &packet[header..];
    let tail = [0, protocol, (carried.len() >> 8) as u8, carried.len() as u8];
    let pseudo_header = if protocol == 1 {
        Vec::new()
    } else {
        [addresses, &tail].concat()
    };
    (header == 40 || sum(&[&packet[..20]]) == 0xffff) && sum(&[&pseudo_header, carried]) == 0xffff
}

proptest! {
    #[test]
    fn segments_are_as_if_their_new_ends_had_sent_them(net in net(), segment in segment(), delta: u32) {
        let (ends, sequence) = (net.ends(), Sequence { in_delta: delta, first_ack: 0 });
        let mut bytes = segment.frame(net.client, net.service);
        let view = look(&bytes);
        prop_assert!(to_server(&mut bytes, &view, &ends, &sequence));
        let expected = Segment { sequence: segment.sequence.wrapping_add(delta), ..segment.clone() };
        prop_assert_eq!(&bytes, &expected.frame(net.local, net.server));
        let mut bytes = segment.frame(net.server, net.local);
        let view = look(&bytes);
        prop_assert!(to_client(&mut bytes, &view, &ends, &sequence));
        let taken = if segment.flags & ACK == 0 { 0 } else { delta };
        let expected = Segment { acknowledgment: segment.acknowledgment.wrapping_sub(taken), ..segment };
        prop_assert_eq!(bytes, expected.frame(net.service, net.client));
    }

    #[test]
    fn what_a_server_sends_back_comes_to_the_client_as_it_sent_it(net in net(), segment in segment(), delta: u32) {
        let (ends, sequence) = (net.ends(), Sequence { in_delta: delta, first_ack: 0 });
        // An echo server of TCP: it acknowledges the number that it saw.
        let mut there = segment.frame(net.client, net.service);
        let view = look(&there);
        prop_assert!(to_server(&mut there, &view, &ends, &sequence));
        let What::Segment { sequence: seen, .. } = look(&there).what else { panic!("no segment") };
        let answer = Segment { flags: ACK, acknowledgment: seen, ..segment.clone() };
        let mut back = answer.frame(net.server, net.local);
        let view = look(&back);
        prop_assert!(to_client(&mut back, &view, &ends, &sequence));
        let expected = Segment { flags: ACK, acknowledgment: segment.sequence, ..segment };
        prop_assert_eq!(back, expected.frame(net.service, net.client));
    }

    #[test]
    fn datagrams_and_pings_are_as_if_their_new_ends_had_sent_them(net in net(), payload: Vec<u8>, sequence: u32) {
        let (ends, numbers) = (net.ends(), Sequence { in_delta: sequence, first_ack: 0 });
        let mut bytes = frame(&udp(net.client, net.service, &payload));
        let view = look(&bytes);
        prop_assert!(to_server(&mut bytes, &view, &ends, &numbers));
        prop_assert_eq!(&bytes, &frame(&udp(net.local, net.server, &payload)));
        let (request, reply) = net.echo_types();
        let mut bytes = frame(&echo(net.client.0, net.service.0, request, net.client.1));
        let view = look(&bytes);
        prop_assert!(to_server(&mut bytes, &view, &ends, &numbers));
        prop_assert_eq!(&bytes, &frame(&echo(net.local.0, net.server.0, request, net.local.1)));
        let mut bytes = frame(&echo(net.server.0, net.local.0, reply, net.local.1));
        let view = look(&bytes);
        prop_assert!(to_client(&mut bytes, &view, &ends, &numbers));
        prop_assert_eq!(&bytes, &frame(&echo(net.service.0, net.client.0, reply, net.client.1)));
    }

    #[test]
    fn errors_quote_what_was_sent(net in net(), segment in segment(), delta: u32, cut in 18usize..80, mtu: u32) {
        let (ends, sequence) = (net.ends(), Sequence { in_delta: delta, first_ack: 0 });
        let head = if net.six() { [2, 0] } else { [11, 0] };
        let rest = if net.six() { mtu.to_be_bytes() } else { [0; 4] };
        let shifted = Segment { sequence: segment.sequence.wrapping_add(delta), ..segment.clone() };
        let (inner, sent) = (shifted.packet(net.local, net.server), segment.packet(net.client, net.service));
        let len = (cut + if net.six() { 40 } else { 20 }).min(inner.len());
        let mut bytes = frame(&icmp(net.lan_router, net.local.0, head, rest, &inner[..len]));
        let view = look(&bytes);
        prop_assert!(error_to_client(&mut bytes, &view, &ends, &sequence, 0));
        let expected = frame(&icmp(net.service.0, net.client.0, head, rest, &sent[..len]));
        prop_assert_eq!(bytes, expected);
    }

    #[test]
    fn options_change_and_checksums_stay_right(net in net(), segment in segment(), mut options: Vec<u8>, by: u16, delta: u32) {
        options.truncate(20);
        options.resize(options.len() / 4 * 4, 1);
        let segment = Segment { options, ..segment };
        let sequence = Sequence { in_delta: delta, first_ack: 0 };
        let mut bytes = segment.frame(net.server, net.local);
        let mut view = look(&bytes);
        clamp_mss(&mut bytes, &view, by);
        remove_timestamps(&mut bytes, &view);
        prop_assert!(insert_toa(&mut bytes, &mut view, &net.ends(), 1500));
        prop_assert_eq!(view.end, look(&bytes).end);
        prop_assert!(to_client(&mut bytes, &view, &net.ends(), &sequence));
        prop_assert!(is_right(&bytes));
        prop_assert!(bytes.ends_with(&segment.payload));
    }

    #[test]
    fn nothing_panics_on_any_bytes(mut bytes: Vec<u8>, net in net(), kind in 0usize..6) {
        if bytes.len() > 50 {
            let (protocol, start): (u8, [u8; 3]) = [(6, [0x08, 0, 0x45]), (17, [0x08, 0, 0x45]), (1, [0x08, 0, 0x45]), (6, [0x86, 0xdd, 0x60]), (0, [0x86, 0xdd, 0x60]), (58, [0x86, 0xdd, 0x60])][kind];
            bytes[12..15].copy_from_slice(&start);
            bytes[if kind < 3 { 23 } else { 20 }] = protocol;
        }
        let view = look(&bytes);
        every_change(&bytes, &view, &net);
    }

    #[test]
    fn nothing_panics_if_the_view_is_of_other_bytes(mut bytes: Vec<u8>, ones: bool, net in net(), segment in segment()) {
        if ones {
            bytes.fill(0xff);
        }
        let error = icmp(net.lan_router, net.local.0, if net.six() { [1, 0] } else { [3, 0] }, [0; 4], &segment.packet(net.local, net.server));
        for frame in [segment.frame(net.client, net.service), frame(&error)] {
            every_change(&bytes, &look(&frame), &net);
        }
    }
}

fn every_change(bytes: &[u8], view: &View, net: &Net) {
    let (ends, sequence) = (net.ends(), sequence());
    for change in 0..7 {
        let (mut bytes, mut view) = (bytes.to_vec(), *view);
        let before = bytes.len();
        let mut added = 0;
        match change {
            0 => drop(to_server(&mut bytes, &view, &ends, &sequence)),
            1 => drop(to_client(&mut bytes, &view, &ends, &sequence)),
            2 => drop(error_to_client(&mut bytes, &view, &ends, &sequence, 8)),
            3 => drop(error_to_server(&mut bytes, &view, &ends, &sequence)),
            4 => drop(clamp_mss(&mut bytes, &view, 8)),
            5 => drop(remove_timestamps(&mut bytes, &view)),
            _ if insert_toa(&mut bytes, &mut view, &ends, 1500) => added = if ends.six { 20 } else { 8 },
            _ => {}
        }
        assert_eq!(bytes.len(), before + added);
    }
}
