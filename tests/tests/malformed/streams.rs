//! Streams of frames: cut at every byte, and mutated at random.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use packet::{Arp, EtherType, MacAddress, PacketBuilder, VlanTag};
use tests::{Random, memory::resident};

use crate::{
    gateway::{FAR, FAR6, GATEWAY_A, HOST_A, HOST_A_MAC, HOST_A6, is_chatter},
    mutation::Mutation,
    replay::{Replay, buffers},
    router::{ETHERNET, sum, sum6, without_times},
};

/// Frames of which a longer one lies in more than one buffer.
const ONE_BUFFER: usize = 2048;

fn mutations() -> u64 {
    let soak = std::env::var_os("TOLLGATE_SOAK").is_some();
    if soak { 10_000_000 } else { 300_000 }
}

#[test]
fn frames_of_every_length_are_dropped_for_what_is_cut_off() {
    let replay = Replay::start();
    let frame = || PacketBuilder::ethernet(replay.mac(), HOST_A_MAC);
    let tag = VlanTag {
        tpid: EtherType::VLAN,
        tci: 0xe000,
    };
    let four = frame().ipv4(HOST_A, FAR).udp(1, 2, &[7; 40]);
    let six = frame().ipv6(HOST_A6, FAR6).udp(1, 2, &[7; 40]);
    let tagged = frame().tag(tag).ipv4(HOST_A, FAR).udp(1, 2, &[7; 40]);
    let options = frame()
        .ipv4(HOST_A, FAR)
        .options(&[148, 4, 0, 0])
        .udp(1, 2, &[7; 40]);
    let arp = PacketBuilder::ethernet(MacAddress::BROADCAST, HOST_A_MAC)
        .arp(&Arp::request(HOST_A_MAC, HOST_A, GATEWAY_A));
    // Up to which length which reason counts.
    let cut: [(_, &[(usize, &str)]); 5] = [
        (
            &four,
            &[
                (14, "ethernet_truncated"),
                (34, "ip4_truncated"),
                (82, "ip4_total_length"),
            ],
        ),
        (
            &six,
            &[
                (14, "ethernet_truncated"),
                (54, "ip6_truncated"),
                (102, "ip6_payload_length"),
            ],
        ),
        (
            &tagged,
            &[
                (18, "ethernet_truncated"),
                (38, "ip4_truncated"),
                (86, "ip4_total_length"),
            ],
        ),
        (
            &options,
            &[
                (14, "ethernet_truncated"),
                (34, "ip4_truncated"),
                (86, "ip4_total_length"),
            ],
        ),
        (&arp, &[(14, "ethernet_truncated"), (42, "arp_malformed")]),
    ];
    let (mut expected, mut frames) = (BTreeMap::new(), Vec::new());
    for (whole, reasons) in cut {
        for length in 0..whole.len() {
            let (_, reason) = reasons.iter().find(|(end, _)| length < *end).unwrap();
            *expected.entry(*reason).or_insert(0) += 1;
            frames.push(whole[..length].to_vec());
        }
        frames.push(whole.clone());
    }
    // What is behind a packet does not leave, in however many buffers it lies.
    for length in [ONE_BUFFER + 1, 3000, 9000] {
        frames.push([&four[..], &vec![7; length - four.len()]].concat());
    }
    let router = replay.router();
    let leaving = [&four, &six, &tagged, &options, &four, &four, &four];
    let whole = leaving.map(|frame| router.forward(frame).unwrap());
    let mut sent = Vec::new();
    replay.run(
        |send, _| frames.iter().for_each(|frame| send(frame)),
        |frame| {
            if !is_chatter(frame) {
                sent.push(frame.to_vec());
            }
        },
        |_| {},
        |primary| {
            let counters = primary.counters_at_rest().unwrap();
            assert_eq!(counters.drops(), expected);
            counters.assert_balanced();
        },
    );
    assert_eq!(sent, whole);
}

#[test]
fn random_mutations_leave_as_a_router_sends_them_or_end_under_a_name() {
    let count = mutations();
    let random = Random::printed("mutations");
    let replay = Replay::start();
    let (mac, router) = (replay.mac(), replay.router());
    let mutation = || Mutation::new(random.clone(), mac);
    // What leaves is compared with what a router has to send, in order and to the last frame.
    let (mut inputs, mut left, mut input) = (mutation(), count, Vec::new());
    let mut next_expected = move || {
        while left > 0 {
            left -= 1;
            inputs.frame(&mut input);
            if let Some(expected) = router.forward(&input) {
                return Some(expected);
            }
        }
        None
    };
    let (mut forwarded, mut answers) = (0, 0);
    let mut at_rest = None;
    let (mut early, mut late) = (0, 0);
    let began = Instant::now();
    replay.run(
        |send, primary| {
            let (mut mutation, mut frame) = (mutation(), Vec::new());
            for number in 0..count {
                if number == count / 5 {
                    early = resident(primary.process().pid()).unwrap();
                }
                mutation.frame(&mut frame);
                send(&frame);
            }
            late = resident(primary.process().pid()).unwrap();
        },
        |frame| {
            if !is_chatter(frame) {
                assert_eq!(Some(without_times(frame)), next_expected(), "frame {forwarded}");
                forwarded += 1;
            }
        },
        |frame| {
            assert_sound(frame, mac);
            answers += 1;
        },
        |primary| {
            assert_eq!(buffers(primary), 0, "packet buffers in use");
            at_rest = Some(primary.counters_at_rest().unwrap());
        },
    );
    let (counters, seconds) = (at_rest.unwrap(), began.elapsed().as_secs_f32());
    let drops = counters.drops();
    println!(
        "{count} frames in {seconds:.1} s: {forwarded} forwarded, {answers} came back; memory {early} kB, then {late} kB; {drops:?}"
    );
    assert_eq!(next_expected(), None, "not forwarded");
    let [a, b] = [&counters.0[0], &counters.0[1]];
    assert_eq!((a.rx_packets, b.tx_packets - b.originated), (count, forwarded));
    counters.assert_balanced();
    assert!(late <= early + 4096, "it grew from {early} to {late} kB");
    assert!(
        forwarded > count / 10 && drops.len() >= 30,
        "{} reasons",
        drops.len()
    );
}

/// Asserts what holds for every frame that goes back to where the mutations come from: replies, errors, and what is routed there.
fn assert_sound(frame: &[u8], mac: MacAddress) {
    assert!(
        frame.len() >= ETHERNET && frame[6..12] == mac.octets(),
        "{frame:02x?}"
    );
    let packet = &frame[ETHERNET..];
    let (is_error, quote) = match frame[12..14] {
        [0x08, 0x06] => return,
        [0x08, 0x00] => {
            let header = usize::from(packet[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            let address = |at: usize| Ipv4Addr::from(*packet[at..].first_chunk::<4>().unwrap());
            assert_eq!(
                (packet[0] >> 4, total, sum(&packet[..header])),
                (4, packet.len(), 0xffff)
            );
            assert!(header >= 20 && packet[8] > 0, "{frame:02x?}");
            for address in [address(12), address(16)] {
                let first = address.octets()[0];
                assert!(first != 0 && first != 127 && first < 224, "{frame:02x?}");
            }
            let own = address(12).octets()[..3] == [192, 168, 1] && address(12).octets()[3] == 1;
            if !own || packet[9] != 1 {
                return;
            }
            assert_eq!(sum(&packet[header..]), 0xffff, "{frame:02x?}");
            let is_error = |message: &[u8]| matches!(message.first(), Some(3 | 5 | 11 | 12));
            let quote = packet.get(header + 8..).unwrap_or_default();
            let quoted = quote.first().map_or(0, |first| usize::from(first & 15) * 4);
            let quotes_error = quote.get(9) == Some(&1) && is_error(quote.get(quoted..).unwrap_or_default());
            (is_error(&packet[header..]), quotes_error)
        }
        [0x86, 0xdd] => {
            let total = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            assert_eq!((packet[0] >> 4, total), (6, packet.len()), "{frame:02x?}");
            assert!(packet[7] > 0, "{frame:02x?}");
            let address = |at: usize| Ipv6Addr::from(*packet[at..].first_chunk::<16>().unwrap());
            assert!(
                !address(8).is_multicast() && !address(8).is_loopback(),
                "{frame:02x?}"
            );
            assert!(
                !address(24).is_unspecified() && !address(24).is_loopback(),
                "{frame:02x?}"
            );
            if address(8) != crate::gateway::GATEWAY_A6 || packet[6] != 58 {
                return;
            }
            assert_eq!(sum6(packet), 0xffff, "{frame:02x?}");
            let quote = packet.get(48..).unwrap_or_default();
            let quotes_error = quote.get(6) == Some(&58) && quote.get(40).is_some_and(|kind| *kind < 128);
            (packet[40] < 128, quotes_error)
        }
        _ => panic!("of no EtherType that the gateway speaks: {frame:02x?}"),
    };
    assert!(!(is_error && quote), "an error about an error: {frame:02x?}");
}
