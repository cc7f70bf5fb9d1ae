//! TCP and UDP through the balancer.

use lb::rewrite::{clamp_mss, insert_toa, remove_timestamps, to_client, to_server, toa_len};
use lb::{Sequence, What, look};

use crate::frames::*;

const MTU: u16 = 1500;
/// mss 1460, nop, nop, sackOK, nop, wscale 9.
const OPTIONS: [u8; 12] = [2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 9];

/// What a client's segment becomes.
fn there(net: &Net, sequence: &Sequence, segment: &Segment) -> Vec<u8> {
    let mut bytes = segment.frame(net.client, net.service);
    let mut view = look(&bytes);
    remove_timestamps(&mut bytes, &view);
    assert!(to_server(&mut bytes, &view, &net.ends(), sequence));
    if sequence.carries_address(&view) {
        assert!(insert_toa(&mut bytes, &mut view, &net.ends(), MTU));
        assert_eq!(usize::from(view.end), bytes.len());
    }
    bytes
}

/// What a server's segment becomes.
fn back(net: &Net, sequence: &mut Sequence, segment: &Segment) -> Vec<u8> {
    let mut bytes = segment.frame(net.server, net.local);
    let view = look(&bytes);
    assert!(to_client(&mut bytes, &view, &net.ends(), sequence));
    sequence.answered(&view);
    if segment.flags & SYN != 0 {
        assert!(clamp_mss(&mut bytes, &view, toa_len(net.six())));
    }
    bytes
}

fn toa(net: &Net) -> Vec<u8> {
    let address = net.ends().client.to_be_bytes();
    let address = if net.six() { &address[..] } else { &address[12..] };
    [
        &[254, toa_len(net.six()) as u8][..],
        &net.client.1.to_be_bytes(),
        address,
    ]
    .concat()
}

#[test]
fn golden_flow_of_a_request_as_dpvs_shows_it() {
    let net = Net {
        client: (ip("192.168.88.15"), 51540),
        service: (ip("192.168.88.100"), 80),
        local: (ip("192.168.88.241"), 1030),
        server: (ip("192.168.88.15"), 80),
        ..net4()
    };
    // Initial numbers: of the client, of the gateway towards the server, of the server.
    let (client, gateway, server) = (2_648_360_207u32, 3_258_245_864u32, 2_951_500_348u32);
    let mut sequence = Sequence::new(client, gateway);
    let request = vec![b'q'; 78];
    let answer = vec![b'a'; 272];
    let toa = [254, 8, 0xc9, 0x54, 192, 168, 88, 15];
    // From the client?, flags, offsets from the initial numbers, options before, options after, payload.
    type Step = (bool, u8, u32, u32, Vec<u8>, Vec<u8>, Vec<u8>);
    let clamped = [&[2, 4, 0x05, 0xac][..], &OPTIONS[4..]].concat();
    let with_toa = [&toa[..], &OPTIONS].concat();
    let none = Vec::new;
    let steps: [Step; 10] = [
        (true, SYN, 0, 0, OPTIONS.to_vec(), with_toa, none()),
        (false, SYN | ACK, 0, 1, OPTIONS.to_vec(), clamped, none()),
        (true, ACK, 1, 1, none(), toa.to_vec(), none()),
        (true, ACK | PSH, 1, 1, none(), toa.to_vec(), request),
        (false, ACK, 1, 79, none(), none(), none()),
        (false, ACK | PSH, 1, 79, none(), none(), answer),
        (true, ACK, 79, 273, none(), none(), none()),
        (true, ACK | FIN, 79, 273, none(), none(), none()),
        (false, ACK | FIN, 273, 80, none(), none(), none()),
        (true, ACK, 80, 274, none(), none(), none()),
    ];
    for (number, (from_client, flags, own, other, options, expected_options, payload)) in
        steps.into_iter().enumerate()
    {
        let acknowledgment = |base: u32| {
            if flags & ACK == 0 {
                0
            } else {
                base.wrapping_add(other)
            }
        };
        let segment = |base: u32, acknowledged: u32, options: Vec<u8>| Segment {
            flags,
            sequence: base.wrapping_add(own),
            acknowledgment: acknowledgment(acknowledged),
            options,
            payload: payload.clone(),
        };
        let (found, expected) = if from_client {
            let found = there(&net, &sequence, &segment(client, server, options));
            (
                found,
                segment(gateway, server, expected_options).frame(net.local, net.server),
            )
        } else {
            let found = back(&net, &mut sequence, &segment(server, gateway, options));
            (
                found,
                segment(server, client, expected_options).frame(net.service, net.client),
            )
        };
        assert_eq!(found.len(), expected.len(), "segment {number}");
        assert_same(&found, &expected);
    }
    assert_eq!(sequence.first_ack, server + 1);
}

#[test]
fn client_address_is_the_first_option_over_either_family() {
    for net in nets() {
        let sequence = sequence();
        let syn = |options: &[u8]| Segment {
            flags: SYN,
            sequence: 5,
            options: options.to_vec(),
            ..Segment::default()
        };
        let found = there(&net, &sequence, &syn(&OPTIONS));
        let expected = Segment {
            sequence: 5 + DELTA,
            ..syn(&[&toa(&net)[..], &OPTIONS].concat())
        };
        assert_same(&found, &expected.frame(net.local, net.server));
    }
}

#[test]
fn client_address_may_be_inserted_before_the_translation() {
    for net in nets() {
        let segment = Segment {
            flags: ACK,
            sequence: 9,
            acknowledgment: 10,
            payload: b"odd".to_vec(),
            ..Segment::default()
        };
        // A short frame has padding, which stays behind the packet.
        let mut bytes = [segment.frame(net.client, net.service), vec![0; 9]].concat();
        let mut view = look(&bytes);
        assert!(insert_toa(&mut bytes, &mut view, &net.ends(), MTU));
        assert_eq!(view, { look(&bytes) });
        assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
        let expected = Segment {
            sequence: 9 + DELTA,
            options: toa(&net),
            ..segment
        };
        assert_same(
            &bytes,
            &[expected.frame(net.local, net.server), vec![0; 9]].concat(),
        );
    }
}

#[test]
fn client_address_that_has_no_room_is_left_out() {
    for net in nets() {
        let len = toa_len(net.six());
        let segment = |options: usize| Segment {
            flags: ACK,
            options: vec![1; options],
            payload: vec![7; 100],
            ..Segment::default()
        };
        let attempt = |options: usize, mtu: usize| {
            let mut bytes = segment(options).frame(net.client, net.service);
            let before = bytes.clone();
            let mut view = look(&bytes);
            let done = insert_toa(&mut bytes, &mut view, &net.ends(), mtu as u16);
            assert_eq!(done, bytes != before);
            assert_eq!(view, look(&bytes));
            done
        };
        let room = 40 - usize::from(len);
        assert!(attempt(room, 1500) && !attempt(room + 4, 1500));
        let whole = if net.six() { 60 } else { 40 } + 100 + usize::from(len);
        assert!(attempt(0, whole) && !attempt(0, whole - 1));
    }
}

#[test]
fn only_what_answers_the_servers_syn_carries_the_address() {
    let net = net4();
    let mut sequence = Sequence::new(100, 200);
    let carries = |sequence: &Sequence, flags: u8, acknowledgment: u32| {
        let segment = Segment {
            flags,
            acknowledgment,
            ..Segment::default()
        };
        sequence.carries_address(&look(&segment.frame(net.client, net.service)))
    };
    assert!(carries(&sequence, SYN, 0) && !carries(&sequence, ACK, 501));
    let answer = |flags| {
        Segment {
            flags,
            sequence: 500,
            acknowledgment: 201,
            ..Segment::default()
        }
        .frame(net.server, net.local)
    };
    sequence.answered(&look(&answer(ACK)));
    sequence.answered(&look(&answer(SYN)));
    assert_eq!(sequence.first_ack, 0);
    sequence.answered(&look(&answer(SYN | ACK)));
    assert!(carries(&sequence, ACK, 501) && carries(&sequence, ACK | FIN, 501));
    assert!(
        !carries(&sequence, ACK, 502) && !carries(&sequence, RST | ACK, 501) && !carries(&sequence, RST, 501)
    );
    assert!(carries(&sequence, SYN, 0) && !carries(&sequence, SYN | ACK, 501));
}

#[test]
fn mss_is_lowered_wherever_it_is_and_never_below_64() {
    for net in nets() {
        let syn = |options: Vec<u8>| Segment {
            flags: SYN | ACK,
            options,
            ..Segment::default()
        };
        let clamped = |options: &[u8], by: u16| {
            let mut bytes = syn(options.to_vec()).frame(net.server, net.local);
            let view = look(&bytes);
            (clamp_mss(&mut bytes, &view, by), bytes)
        };
        for (mss, by, lowered) in [
            (1460u16, 8, 1452u16),
            (1440, 20, 1420),
            (70, 20, 64),
            (64, 8, 64),
            (40, 8, 40),
            (0, 8, 0),
            (0xffff, 8, 0xfff7),
        ] {
            let options = |mss: u16| {
                let [high, low] = mss.to_be_bytes();
                // At an even and at an odd place.
                [
                    vec![2, 4, high, low, 1, 3, 3, 7],
                    vec![1, 2, 4, high, low, 3, 3, 7],
                ]
            };
            for (before, after) in options(mss).into_iter().zip(options(lowered)) {
                assert_eq!(
                    clamped(&before, by),
                    (true, syn(after).frame(net.server, net.local))
                );
            }
        }
        // None, or none that is one.
        for options in [
            &[][..],
            &[1, 1, 4, 2],
            &[0, 2, 4, 0],
            &[2, 3, 5, 1],
            &[2, 4, 5, 0xb4][..],
            &[3, 0, 2, 4],
            &[8, 40, 2, 4],
        ] {
            let is_one = options == [2, 4, 5, 0xb4];
            let (done, bytes) = clamped(options, 8);
            assert_eq!(done, is_one);
            assert_eq!(
                bytes == syn(options.to_vec()).frame(net.server, net.local),
                !is_one
            );
        }
    }
}

#[test]
fn timestamps_go_out_of_a_syn_and_stay_elsewhere() {
    let net = net4();
    let stamps = [8, 10, 1, 2, 3, 4, 0, 0, 0, 0];
    let of = |flags, before: Vec<u8>| {
        let segment = move |options| Segment {
            flags,
            options,
            ..Segment::default()
        };
        let mut bytes = segment(before).frame(net.client, net.service);
        let view = look(&bytes);
        let done = remove_timestamps(&mut bytes, &view);
        (done, bytes, segment)
    };
    // As Linux orders them: mss, sackOK, timestamps, nop, wscale; and at an odd place.
    for (head, tail) in [(&[2, 4, 0x05, 0xb4, 4, 2][..], &[1, 3, 3, 7][..]), (&[1], &[1])] {
        let options = |middle: &[u8]| [head, middle, tail].concat();
        let (done, bytes, segment) = of(SYN, options(&stamps));
        assert!(done);
        assert_same(&bytes, &segment(options(&[1; 10])).frame(net.client, net.service));
        for flags in [SYN | ACK, ACK] {
            let (done, bytes, segment) = of(flags, options(&stamps));
            assert!(!done);
            assert_same(&bytes, &segment(options(&stamps)).frame(net.client, net.service));
        }
    }
    assert!(!of(SYN, OPTIONS.to_vec()).0);
}

#[test]
fn sack_of_the_server_is_of_the_clients_numbers() {
    let edges = |shift: u32| {
        [0xffff_fff0u32, 16, 0x1000, 0x2000]
            .into_iter()
            .flat_map(move |edge| edge.wrapping_add(shift).to_be_bytes())
    };
    let stamps = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    for net in nets() {
        // At an even place behind timestamps, and at an odd one.
        let layouts: [(&[u8], &[u8]); 2] = [(&[&[1, 1][..], &stamps, &[1, 1]].concat(), &[]), (&[1], &[1])];
        for (head, tail) in layouts {
            let segment = |acknowledgment, shift| Segment {
                flags: ACK,
                sequence: 7,
                acknowledgment,
                options: head
                    .iter()
                    .copied()
                    .chain([5, 18])
                    .chain(edges(shift))
                    .chain(tail.iter().copied())
                    .collect(),
                payload: b"data".to_vec(),
            };
            let found = back(&net, &mut sequence(), &segment(3 + DELTA, DELTA));
            assert_same(&found, &segment(3, 0).frame(net.service, net.client));
            // A client's are of the server's numbers, which are not changed.
            let mut bytes = segment(3, 0).frame(net.client, net.service);
            let view = look(&bytes);
            assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
            let expected = Segment {
                sequence: 7 + DELTA,
                ..segment(3, 0)
            };
            assert_same(&bytes, &expected.frame(net.local, net.server));
        }
    }
}

#[test]
fn broken_options_of_a_server_are_left_as_they_are() {
    let net = net4();
    for options in [
        [5, 0, 1, 1],
        [5, 1, 1, 1],
        [5, 4, 1, 1],
        [5, 8, 1, 1],
        [1, 1, 1, 5],
        [0, 5, 10, 1],
    ] {
        let segment = |acknowledgment| Segment {
            flags: ACK,
            acknowledgment,
            options: options.to_vec(),
            ..Segment::default()
        };
        let found = back(&net, &mut sequence(), &segment(DELTA));
        assert_same(&found, &segment(0).frame(net.service, net.client));
    }
}

#[test]
fn number_that_acknowledges_nothing_stays() {
    let net = net4();
    let segment = Segment {
        flags: RST,
        sequence: 5,
        acknowledgment: 0,
        ..Segment::default()
    };
    assert_same(
        &back(&net, &mut sequence(), &segment),
        &segment.frame(net.service, net.client),
    );
}

#[test]
fn udp_gets_its_ends_and_a_checksum_that_is_none_stays_none() {
    for net in nets() {
        for len in [0, 1, 18, 19] {
            let payload = vec![0xa5; len];
            let mut bytes = frame(&udp(net.client, net.service, &payload));
            let view = look(&bytes);
            assert_eq!(view.what, What::Datagram);
            assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
            assert_same(&bytes, &frame(&udp(net.local, net.server, &payload)));
            let mut bytes = frame(&udp(net.server, net.local, &payload));
            let view = look(&bytes);
            assert!(to_client(&mut bytes, &view, &net.ends(), &sequence()));
            assert_same(&bytes, &frame(&udp(net.service, net.client, &payload)));
        }
        let at = if net.six() { 14 + 46 } else { 14 + 26 };
        let without = |from, to| {
            let mut bytes = frame(&udp(from, to, b"x"));
            bytes[at..at + 2].fill(0);
            bytes
        };
        let mut bytes = without(net.client, net.service);
        let view = look(&bytes);
        assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
        assert_same(&bytes, &without(net.local, net.server));
    }
}

#[test]
fn udp_checksum_that_comes_out_as_zero_is_written_as_all_ones() {
    let net = net4();
    // The word that makes the sum of the translated datagram all ones.
    let zero = datagram(net.local, net.server, &[0, 0]);
    let word = u16::from_be_bytes([zero[6], zero[7]]).to_be_bytes();
    let mut bytes = frame(&udp(net.client, net.service, &word));
    let view = look(&bytes);
    assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
    assert_eq!(bytes[40..42], [0xff, 0xff]);
    assert_same(&bytes, &frame(&udp(net.local, net.server, &word)));
}

#[test]
fn options_extension_headers_tags_and_padding_are_passed_over() {
    let options: (u8, &[u8]) = (0, &[148, 4, 0, 0]);
    let extensions: (u8, &[u8]) = (0, &[6, 0, 1, 4, 0, 0, 0, 0]);
    for (net, between) in [(net4(), options), (net6(), extensions)] {
        let segment = Segment {
            flags: ACK,
            sequence: 1,
            acknowledgment: 2,
            payload: b"abc".to_vec(),
            ..Segment::default()
        };
        let shifted = Segment {
            sequence: 1 + DELTA,
            ..segment.clone()
        };
        let of = |segment: &Segment, from: End, to: End| {
            packet_with(from.0, to.0, TCP, between, &segment.bytes(from, to))
        };
        for tags in [&[][..], &[101], &[7, 101]] {
            let mut bytes = [
                tagged(tags, &of(&segment, net.client, net.service)),
                vec![0xee; 5],
            ]
            .concat();
            let view = look(&bytes);
            assert!(!view.plain);
            assert!(to_server(&mut bytes, &view, &net.ends(), &sequence()));
            let expected = [tagged(tags, &of(&shifted, net.local, net.server)), vec![0xee; 5]].concat();
            assert_same(&bytes, &expected);
        }
    }
}
