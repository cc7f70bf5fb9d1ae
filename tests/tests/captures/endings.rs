//! Captures that are killed or stopped, and primaries that end under them.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tests::{Primary, TwoHosts, read_pcapng, wait_until};

use crate::{LIMIT, capture, datagrams, finish, hosts, is_soak, is_udp, pings};

/// What a primary has that a tool which is gone must not keep.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    mappings: usize,
    attached: u64,
    free_hugepages: String,
}

fn held(primary: &mut Primary) -> Held {
    let attached = primary.ctl_json(&["memory", "show"]).unwrap();
    let attachments = attached
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["part"] == "attachments")
        .unwrap();
    let pid = primary.process().pid();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    Held {
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        mappings: maps.lines().filter(|line| line.contains("tollgate-")).count(),
        attached: attachments["used"].as_u64().unwrap(),
        free_hugepages: fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
            .unwrap(),
    }
}

/// Where captures are.
const POINTS: [&[&str]; 4] = [
    &[],
    &["--point", "rx", "--point", "tx", "--point", "drop"],
    &["--point", "punt", "--point", "reinject"],
    &[
        "--point",
        "pre-encrypt",
        "--point",
        "post-decrypt",
        "--sample",
        "1/2",
        "--max-pps",
        "10",
    ],
];

#[test]
fn a_capture_that_is_killed_at_any_moment_leaves_nothing_in_the_primary() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let kills: u32 = if is_soak() { 1000 } else { 50 };
    let before = held(&mut primary);
    let pinger = pings(&hosts, if is_soak() { 120 } else { 6 });
    for number in 0..kills {
        let mut process = primary
            .pdump(POINTS[number as usize % POINTS.len()])
            .unwrap()
            .args(["-w", "/dev/null", "-q"])
            .start()
            .unwrap();
        // From before it has connected to when it has been writing for some time.
        thread::sleep(Duration::from_micros(u64::from(number) * 7919 % 30_000));
        process.kill();
        wait_until("that the primary has back what it had", LIMIT, || {
            let now = held(&mut primary);
            Ok((now == before).then_some(()))
        })
        .unwrap_or_else(|error| panic!("kill {number}: {error}: {:?} was {before:?}", held(&mut primary)));
    }
    let (process, file) = capture(&primary, folder.path(), "after.pcapng", &["-f", "icmp"]);
    thread::sleep(Duration::from_millis(300));
    assert!(finish(process, &file).len() > 10);
    pinger
        .finish(Duration::from_secs(300))
        .unwrap()
        .assert_all_answered();
}

#[test]
fn a_stopped_capture_loses_its_own_packets_and_nobody_elses() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    pings(&hosts, 1).finish(LIMIT).unwrap().assert_all_answered();
    let (mut stopped, stopped_file) = capture(&primary, folder.path(), "stopped.pcapng", &["-i", "a0"]);
    let (other, other_file) = capture(
        &primary,
        folder.path(),
        "other.pcapng",
        &["-i", "a0", "-f", "udp"],
    );
    stopped.signal(Signal::SIGSTOP);
    let count = if is_soak() { 300_000 } else { 30_000 };
    let asked = thread::scope(|scope| {
        let load = scope.spawn(|| datagrams(&hosts, count, 10_000));
        let mut slowest = Duration::ZERO;
        while !load.is_finished() {
            let begin = Instant::now();
            let captures = primary.ctl_json(&["capture", "show"]).unwrap();
            assert_eq!(captures.as_array().unwrap().len(), 2);
            slowest = slowest.max(begin.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
        load.join().unwrap();
        slowest
    });
    assert!(asked < Duration::from_secs(1), "ctl took {asked:?}");
    stopped.signal(Signal::SIGCONT);
    let others = finish(other, &other_file);
    assert_eq!(
        others.iter().filter(|packet| is_udp(packet)).count(),
        count as usize
    );
    // It goes on with what is sent from now on.
    wait_until("that the stopped capture has caught up", LIMIT, || {
        let captures = primary.ctl_json(&["capture", "show"])?;
        Ok((captures.as_array().unwrap().len() == 1).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_millis(300));
    datagrams(&hosts, 500, 1000);
    let packets = finish(stopped, &stopped_file);
    assert!(
        packets
            .iter()
            .rev()
            .take(500)
            .filter(|packet| is_udp(packet))
            .count()
            >= 490
    );
}

#[test]
fn the_end_of_the_primary_ends_a_capture_with_a_whole_file() {
    for kill in [true, false] {
        let hosts = hosts();
        let folder = tempfile::tempdir().unwrap();
        let mut primary = hosts.primary("gw").start().unwrap();
        let (mut process, file) = capture(&primary, folder.path(), "all.pcapng", &["-f", "icmp"]);
        let words = ["-c", "100", "-i", "0.002", "-W", "1"];
        let answered = hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap();
        answered.assert_all_answered();
        if kill {
            primary.kill();
        } else {
            primary.terminate().unwrap();
        }
        let begin = Instant::now();
        let status = process.wait(LIMIT).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        assert_eq!(status.code(), Some(1), "{}", process.stderr());
        assert!(process.stderr().contains("ended"), "{}", process.stderr());
        // Each of 100 requests and 100 answers came in and left.
        assert_eq!(read_pcapng(&file).unwrap().len(), 400);
        // What a killed primary leaves.
        primary.hugepage_setup(&["clean"]).unwrap().success().unwrap();
    }
}
