//! What a capture sees, when, and how soon.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::signal::Signal;
use tests::{Pinger, Recorded, TwoHosts, datagrams::stay_on_one_cpu, read_pcap, read_pcapng};

use crate::{LIMIT, capture, datagrams, finish, hosts, is_icmp, is_udp, pings};

#[test]
fn two_captures_with_different_filters_see_what_tcpdump_sees() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    // A packet has the time at which the worker sees it, so that has a CPU of its own and never sleeps.
    let mut primary = hosts.primary("gw").busy().start().unwrap();
    stay_on_one_cpu().unwrap();
    pings(&hosts, 1).finish(LIMIT).unwrap().assert_all_answered();

    let reference = folder.path().join("tcpdump.pcap");
    let mut tcpdump = hosts
        .host_a
        .process("captures at the other end of the link", "tcpdump")
        .args([
            "-i",
            "eth0",
            "-n",
            "-Z",
            "root",
            "-B",
            "65536",
            "--time-stamp-precision=nano",
            "-w",
        ])
        .arg(&reference)
        .arg("icmp or udp")
        .start()
        .unwrap();
    tcpdump
        .wait_for_stderr("that it listens", LIMIT, |line| line.contains("listening on"))
        .unwrap();
    let icmp = capture(
        &primary,
        folder.path(),
        "icmp.pcapng",
        &["-i", "a0", "-f", "icmp"],
    );
    let udp = capture(
        &primary,
        folder.path(),
        "udp.pcapng",
        &["-i", "a0", "-f", "udp dst port 9000"],
    );
    let (begin, waited) = (Instant::now(), primary.workers_kept_waiting().unwrap());
    let pinger = pings(&hosts, 2);
    datagrams(&hosts, 10_000, 5_000);
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    let waited =
        (primary.workers_kept_waiting().unwrap() - waited).as_secs_f64() / begin.elapsed().as_secs_f64();
    // tcpdump is handed what it has captured once a second.
    thread::sleep(Duration::from_millis(1500));
    tcpdump.signal(Signal::SIGINT);
    tcpdump.wait(LIMIT).unwrap();
    let expected = read_pcap(&reference).unwrap();
    assert!(tcpdump.stderr().contains("0 packets dropped by kernel"));

    for ((process, file), belongs) in [(icmp, is_icmp as fn(&Recorded) -> bool), (udp, is_udp)] {
        let captured = finish(process, &file);
        let mut differences = Vec::new();
        // Each way by itself: how a packet of one and a packet of the other follow each other depends on the end of the link.
        for from_host in [true, false] {
            let mac = expected.iter().find(|packet| is_udp(packet)).unwrap().data[6..12].to_vec();
            let of_way = |packets: &[Recorded]| -> Vec<Recorded> {
                let this_way = |packet: &&Recorded| (packet.data[6..12] == mac) == from_host;
                packets
                    .iter()
                    .filter(|packet| belongs(packet))
                    .filter(this_way)
                    .cloned()
                    .collect()
            };
            let (ours, theirs) = (of_way(&captured), of_way(&expected));
            assert_eq!(
                ours.len(),
                theirs.len(),
                "{}, from host-a: {from_host}",
                file.display()
            );
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.data, theirs.data);
                differences.push(ours.time.abs_diff(theirs.time));
            }
        }
        assert!(differences.len() >= 400, "{}", differences.len());
        differences.sort();
        let at = |part: f64| differences[(differences.len() as f64 * part) as usize];
        let late = differences
            .iter()
            .filter(|difference| **difference > Duration::from_millis(1));
        let late = late.count() as f64 / differences.len() as f64;
        println!(
            "{}: {} packets; clocks differ by {:?} (median), {:?} (99 of 100), {:?} (most); {late:.4} of them by more than 1 ms, \
             the worker was kept from its CPU for {waited:.4} of the time",
            file.display(),
            differences.len(),
            at(0.5),
            at(0.99),
            differences.last().unwrap()
        );
        // What comes while the host runs something else on the worker's CPU is late by that, and nothing else is.
        assert!(
            late <= 0.001 + 3.0 * waited,
            "{late} of the packets are late, the worker waited {waited}"
        );
    }
}

#[test]
fn a_capture_sees_packets_twenty_milliseconds_after_its_start() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let words = ["-i", "0.001", "-c", "4000", "-W", "1"];
    let pinger = Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, &words).unwrap();
    let mut delays: Vec<_> = (0..15)
        .map(|number| {
            let file = folder.path().join(format!("{number}.pcapng"));
            let begin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let mut process = primary
                .pdump(&["-c", "1", "-q"])
                .unwrap()
                .arg("-w")
                .arg(&file)
                .start()
                .unwrap();
            assert!(process.wait(LIMIT).unwrap().success(), "{}", process.stderr());
            read_pcapng(&file).unwrap()[0].time - begin
        })
        .collect();
    pinger.finish(LIMIT).unwrap();
    delays.sort();
    println!(
        "first packet after {:?} (median), {:?} (most)",
        delays[7], delays[14]
    );
    assert!(delays[7] <= Duration::from_millis(20), "{delays:?}");
}
