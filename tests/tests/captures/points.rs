//! What is known of packets at each point, and captures that take a part of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use control::capture::{Counts, Way};
use control::message::{
    Budget, CapturePoint, CaptureRequest, FilterInstruction, SNAPLEN_MAX, Sample, SampleBy,
};
use tests::watch::{Watched, take};
use tests::{Primary, PrimaryBuilder, Receiver, TwoHosts};

use crate::{LIMIT, capture, datagrams, finish, hosts, is_udp, report};

/// UDP over IPv4, as libpcap compiles it.
fn udp() -> Vec<FilterInstruction> {
    let instruction = |code, jt, jf, k| FilterInstruction { code, jt, jf, k };
    vec![
        instruction(0x28, 0, 0, 12),
        instruction(0x15, 0, 3, 0x0800),
        instruction(0x30, 0, 0, 23),
        instruction(0x15, 0, 1, 17),
        instruction(0x06, 0, 0, SNAPLEN_MAX),
        instruction(0x06, 0, 0, 0),
    ]
}

pub(crate) fn at(points: &[CapturePoint]) -> CaptureRequest {
    CaptureRequest {
        points: points.to_vec(),
        ..CaptureRequest::default()
    }
}

/// Received UDP at `a0`, of whose packets a part is to be taken.
fn part(budget: Budget) -> CaptureRequest {
    CaptureRequest {
        interfaces: vec!["a0".to_owned()],
        filter: udp(),
        budget,
        ..at(&[CapturePoint::Rx])
    }
}

/// Ends; nothing that was seen is unaccounted for.
#[track_caller]
pub(crate) fn accounted(packets: &[Watched], counts: Counts) {
    assert_eq!(
        packets.len() as u64,
        counts.matched - counts.lost - counts.unsampled,
        "{counts:?}"
    );
}

/// The frame that host-a would send to an address; `rest` is what follows the IP header.
pub(crate) fn frame(hosts: &TwoHosts, to: &str, more: &str, rest: &str) -> String {
    let (to_mac, from_mac) = (
        hosts.gateway.mac("a0").unwrap(),
        hosts.host_a.mac("eth0").unwrap(),
    );
    let from = TwoHosts::ADDRESS_A;
    format!("Ether(dst='{to_mac}', src='{from_mac}')/IP(src='{from}', dst='{to}'{more})/{rest}")
}

pub(crate) fn sent(hosts: &TwoHosts, frames: &[(String, usize)]) {
    let frames: Vec<_> = frames
        .iter()
        .flat_map(|(frame, count)| std::iter::repeat_n(frame.clone(), *count))
        .collect();
    hosts.host_a.send_frames("eth0", &frames).unwrap();
}

/// A primary that knows its neighbours.
fn primary(hosts: &TwoHosts) -> Primary {
    warm(hosts.primary("gw").toml("[limits]\nattachments = 10"), hosts)
}

/// Starts one and has it find them.
pub(crate) fn warm(builder: PrimaryBuilder, hosts: &TwoHosts) -> Primary {
    let primary = builder.start().unwrap();
    let words = ["-c", "3", "-i", "0.1", "-W", "2"];
    hosts
        .host_a
        .ping(TwoHosts::ADDRESS_B, &words, LIMIT)
        .unwrap()
        .assert_all_answered();
    primary
}

#[test]
fn a_packet_has_one_number_from_the_port_that_it_comes_in_by_to_the_one_that_it_leaves_by() {
    const COUNT: u32 = 500;
    let hosts = hosts();
    let primary = primary(&hosts);
    let watch = primary.watch(CaptureRequest {
        filter: udp(),
        ..at(&[CapturePoint::Rx, CapturePoint::Tx])
    });
    let watch = watch.unwrap();
    datagrams(&hosts, COUNT, 2000);
    let (packets, counts) = watch.finish().unwrap();
    accounted(&packets, counts);
    let of = |way| packets.iter().filter(move |packet| packet.way == way);
    let came: BTreeMap<u64, &Watched> = of(Way::Rx).map(|packet| (packet.id, packet)).collect();
    assert_eq!(came.len(), COUNT as usize, "numbers differ");
    let mut left = 0;
    for packet in of(Way::Tx) {
        left += 1;
        let came = came[&packet.id];
        assert_eq!((came.interface.as_str(), packet.interface.as_str()), ("a0", "b0"));
        assert_eq!(
            came.data[34..],
            packet.data[34..],
            "another packet has its number"
        );
        assert_eq!((came.queue, packet.queue), (Some(0), Some(0)));
        assert!(came.time <= packet.time);
    }
    assert_eq!(left, COUNT);
}

#[test]
fn a_sample_and_a_budget_take_their_part_evenly_and_count_the_rest() {
    let hosts = hosts();
    let primary = primary(&hosts);
    let sample = |every, by| Budget {
        sample: Some(Sample { every, by }),
        ..Budget::default()
    };
    let one_in_ten = primary.watch(part(sample(10, SampleBy::Packet))).unwrap();
    let flows = primary.watch(part(sample(4, SampleBy::Flow))).unwrap();
    let few = primary.watch(part(Budget {
        max_pps: Some(100),
        ..Budget::default()
    }));
    let few = few.unwrap();
    // Two seconds.
    let address = format!("{}:9000", TwoHosts::ADDRESS_B);
    let receiver = Receiver::start(&hosts.host_b, &address, 40, 4000).unwrap();
    receiver.send_from(&hosts.host_a, 100, 2000).unwrap();
    assert_eq!(receiver.report(LIMIT).unwrap().total.received, 4000);

    let (packets, counts) = one_in_ten.finish().unwrap();
    accounted(&packets, counts);
    assert_eq!(
        (counts.matched, counts.unsampled, packets.len()),
        (4000, 3600, 400)
    );

    let (packets, counts) = flows.finish().unwrap();
    accounted(&packets, counts);
    let mut by_flow = BTreeMap::new();
    for packet in &packets {
        *by_flow.entry(packet.data[34..36].to_vec()).or_insert(0) += 1;
    }
    assert!(by_flow.len() < 40, "some flows are left out: {}", by_flow.len());
    assert!(
        by_flow.values().all(|count| *count == 100),
        "a flow is whole: {by_flow:?}"
    );

    let (packets, counts) = few.finish().unwrap();
    accounted(&packets, counts);
    assert_eq!((counts.matched, counts.lost), (4000, 0), "{counts:?}");
    assert!(
        (120..=230).contains(&packets.len()),
        "{} in two seconds",
        packets.len()
    );
    let half = (packets[0].time + packets[packets.len() - 1].time) / 2;
    let first = packets.iter().filter(|packet| packet.time < half).count();
    let share = first as f64 / packets.len() as f64;
    assert!(
        (0.3..=0.7).contains(&share),
        "{first} of {} in the first half",
        packets.len()
    );
}

#[test]
fn errors_that_quote_what_matches_are_taken_on_request() {
    let hosts = hosts();
    let primary = primary(&hosts);
    let folder = tempfile::tempdir().unwrap();
    let words = ["-i", "a0", "-f", "udp dst port 7007"];
    let alone = capture(&primary, folder.path(), "alone.pcapng", &words);
    let related = [&words[..], &["--related"]].concat();
    let related = capture(&primary, folder.path(), "related.pcapng", &related);
    let late = |port: u16| {
        frame(
            &hosts,
            TwoHosts::ADDRESS_B,
            ", ttl=1",
            &format!("UDP(dport={port})/b'late'"),
        )
    };
    sent(&hosts, &[(late(7007), 5), (late(7008), 5)]);
    let counters = primary.counters_at_rest().unwrap();
    let errors = counters.of("a0").unwrap().icmp_errors;
    assert!(errors >= 6, "{errors} senders were told");
    let packets = finish(alone.0, &alone.1);
    assert!(packets.len() == 5 && packets.iter().all(is_udp));
    let packets = finish(related.0, &related.1);
    let (udp, others): (Vec<_>, Vec<_>) = packets.iter().partition(|packet| is_udp(packet));
    assert_eq!(udp.len(), 5);
    assert!(!others.is_empty(), "{packets:?}");
    for error in others {
        // Ethernet, IP, ICMP, IP, ports.
        assert_eq!((error.data[23], error.data[34]), (1, 11), "time exceeded");
        assert_eq!(error.data[64..66], 7007u16.to_be_bytes(), "{error:?}");
    }
}

#[test]
fn a_queue_that_nothing_comes_by_shows_nothing() {
    let hosts = hosts();
    let primary = primary(&hosts);
    let of_queue = |queue| CaptureRequest {
        queue: Some(queue),
        ..part(Budget::default())
    };
    let [first, second] = [0, 1].map(|queue| primary.watch(of_queue(queue)).unwrap());
    datagrams(&hosts, 200, 2000);
    assert_eq!(first.finish().unwrap().0.len(), 200);
    let (packets, counts) = second.finish().unwrap();
    assert_eq!((packets.len(), counts.seen), (0, 0));
}

#[test]
fn eight_captures_at_once_with_eight_filters_are_all_exact() {
    let hosts = hosts();
    let primary = primary(&hosts);
    let folder = tempfile::tempdir().unwrap();
    // Port, and packets.
    let kinds: Vec<(u16, usize)> = (0..8)
        .map(|kind| (7001 + kind, 50 + 10 * usize::from(kind)))
        .collect();
    let captures: Vec<_> = kinds
        .iter()
        .map(|(port, _)| {
            let (name, filter) = (format!("{port}.pcapng"), format!("udp dst port {port}"));
            let words = ["-i", "a0", "--direction", "rx", "-f", &filter];
            capture(&primary, folder.path(), &name, &words)
        })
        .collect();
    let frames: Vec<_> = kinds
        .iter()
        .map(|(port, count)| {
            let rest = format!("UDP(dport={port})/b'{port}'");
            (frame(&hosts, TwoHosts::ADDRESS_B, "", &rest), *count)
        })
        .collect();
    sent(&hosts, &frames);
    primary.counters_at_rest().unwrap();
    let shown = primary.ctl_json(&["capture", "show"]).unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 8);
    for ((process, file), (port, count)) in captures.into_iter().zip(kinds) {
        let packets = finish(process, &file);
        assert_eq!(packets.len(), count, "{port}");
        let text = port.to_string();
        assert!(
            packets
                .iter()
                .all(|packet| packet.data[42..].starts_with(text.as_bytes()))
        );
    }
}

#[test]
fn a_small_ring_loses_what_does_not_fit_and_says_how_many_before_the_next_packet() {
    let hosts = hosts();
    let primary = primary(&hosts);
    let too_much = CaptureRequest {
        ring_kb: Some(1 << 20),
        ..part(Budget::default())
    };
    let refused = primary.capture(too_much).map(drop).unwrap_err().to_string();
    assert!(
        refused.contains("1048576 KB") && refused.contains("8192 KB"),
        "{refused}"
    );
    let small = CaptureRequest {
        ring_kb: Some(64),
        snaplen: 64,
        ..part(Budget::default())
    };
    let mut small = primary.capture(small).unwrap();
    let watch = primary.watch(part(Budget::default())).unwrap();
    datagrams(&hosts, 2000, 5000);
    let all: BTreeSet<_> = watch.finish().unwrap().0.iter().map(|packet| packet.id).collect();
    assert_eq!(all.len(), 2000, "the other loses none");
    let counts = small.counts();
    assert!((100..1999).contains(&counts.lost), "{counts:?}");
    let mut packets = Vec::new();
    while take(&mut small, Duration::from_millis(200), &mut packets).unwrap() > 0 {}
    assert_eq!(packets.len() as u64, 2000 - counts.lost);
    assert!(
        packets
            .iter()
            .all(|packet| packet.lost_before == 0 && packet.data.len() == 64)
    );
    datagrams(&hosts, 10, 1000);
    let mut after = Vec::new();
    while take(&mut small, Duration::from_millis(200), &mut after).unwrap() > 0 {}
    let lost: Vec<_> = after.iter().map(|packet| u64::from(packet.lost_before)).collect();
    assert_eq!((lost.len(), lost[0], lost[1]), (10, counts.lost, 0));
}

#[test]
fn the_end_report_and_the_table_of_captures_know_of_a_sample() {
    let hosts = hosts();
    let primary = primary(&hosts);
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "-i",
        "a0",
        "--direction",
        "rx",
        "-f",
        "udp",
        "--sample",
        "1/4",
        "--queue",
        "0",
    ];
    let (mut process, file) = capture(&primary, folder.path(), "some.pcapng", &words);
    datagrams(&hosts, 400, 2000);
    let shown = primary.ctl_json(&["capture", "show"]).unwrap();
    let shown = &shown[0];
    assert_eq!(
        (
            &shown["matched"],
            &shown["unsampled"],
            &shown["sample"]["every"],
            &shown["queue"]
        ),
        (&400.into(), &300.into(), &4.into(), &0.into()),
        "{shown}"
    );
    let status = process.terminate().unwrap();
    assert!(status.success(), "{}", process.stderr());
    let [seen, filtered, written, lost] = report(&process);
    assert_eq!(
        (written, lost, seen - filtered),
        (100, 0, 400),
        "{}",
        process.stderr()
    );
    assert_eq!(tests::read_pcapng(&file).unwrap().len(), 100);
}
