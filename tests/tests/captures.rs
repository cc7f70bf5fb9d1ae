//! Captures: what they see, and that no tool that takes packets can harm the primary, however it ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use control::{
    client::Client,
    instance::RunDir,
    message::{CaptureRequest, Direction, Request},
};
use nix::sys::signal::Signal;
use tests::{
    Pinger, Primary, Privilege, Process, ProcessBuilder, Receiver, Recorded, TwoHosts, apart,
    datagrams::stay_on_one_cpu, read_pcap, read_pcapng, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

/// Starts a capture into a file and waits until it sees packets.
fn capture(primary: &Primary, folder: &Path, name: &str, words: &[&str]) -> (Process, PathBuf) {
    let file = folder.join(name);
    let mut process = primary
        .pdump(words)
        .unwrap()
        .arg("-w")
        .arg(&file)
        .start()
        .unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    (process, file)
}

/// The numbers of the end report: seen, filtered, written, lost.
fn report(process: &Process) -> [u64; 4] {
    let text = process.stderr();
    let line = text.lines().find(|line| line.contains(" seen,")).unwrap();
    ["seen", "filtered", "written", "lost"].map(|name| {
        let before = line.split(name).next().unwrap();
        let number = before.split_whitespace().last().unwrap();
        number.parse().unwrap()
    })
}

/// Ends a capture as Ctrl-C does and gives its packets; nothing of what it saw is unaccounted for.
fn finish(mut process: Process, file: &Path) -> Vec<Recorded> {
    let status = process.terminate().unwrap();
    assert!(status.success(), "{status}: {}", process.stderr());
    let [seen, filtered, written, lost] = report(&process);
    assert_eq!(seen, filtered + written + lost);
    let packets = read_pcapng(file).unwrap();
    assert_eq!(packets.len() as u64, written);
    packets
}

fn is_icmp(packet: &Recorded) -> bool {
    packet.data[12..14] == [8, 0] && packet.data[23] == 1
}

fn is_udp(packet: &Recorded) -> bool {
    packet.data[12..14] == [8, 0] && packet.data[23] == 17
}

/// Numbered datagrams through the primary, each of which must arrive.
fn datagrams(hosts: &TwoHosts, count: u32, rate: u32) {
    let address = format!("{}:9000", TwoHosts::ADDRESS_B);
    let receiver = Receiver::start(&hosts.host_b, &address, 1, count).unwrap();
    receiver.send_from(&hosts.host_a, 100, rate).unwrap();
    let report = receiver.report(LIMIT).unwrap();
    let total = &report.total;
    assert_eq!(
        (total.received, total.duplicates, total.out_of_order),
        (count, 0, 0),
        "{report:?}"
    );
}

fn pings<'a>(hosts: &'a TwoHosts, seconds: u64) -> Pinger<'a> {
    let count = (seconds * 200).to_string();
    let words = ["-i", "0.005", "-W", "2", "-c", &count];
    Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, &words).unwrap()
}

/// How long the workers of a primary were ready to run while their CPU ran something else, since their start: proc(5),
/// schedstat.
fn kept_waiting(primary: &mut Primary) -> Duration {
    let pid = primary.process().pid();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let nanoseconds = tasks
        .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.contains("worker")))
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}

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
    let (begin, waited) = (Instant::now(), kept_waiting(&mut primary));
    let pinger = pings(&hosts, 2);
    datagrams(&hosts, 10_000, 5_000);
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    let waited = (kept_waiting(&mut primary) - waited).as_secs_f64() / begin.elapsed().as_secs_f64();
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
        assert!(at(0.5) < Duration::from_millis(1), "{:?}", at(0.5));
    }
}

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

#[test]
fn a_capture_that_is_killed_at_any_moment_leaves_nothing_in_the_primary() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let kills: u32 = if is_soak() { 1000 } else { 40 };
    let before = held(&mut primary);
    let pinger = pings(&hosts, if is_soak() { 120 } else { 6 });
    for number in 0..kills {
        let mut process = primary
            .pdump(&["-w", "/dev/null", "-q"])
            .unwrap()
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

/// A generator of numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn a_tool_that_writes_nonsense_into_its_memory_is_cut_off_and_the_primary_forwards_on() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
    let rounds: u64 = if is_soak() { 200 } else { 20 };
    let pinger = pings(&hosts, if is_soak() { 60 } else { 8 });
    let mut cut_off = 0;
    for round in 1..=rounds {
        let mut numbers = Numbers(round * 0x9e37_79b9_7f4a_7c15);
        let mut client = Client::connect(&directory, "hostile").unwrap();
        let request = CaptureRequest {
            interfaces: Vec::new(),
            direction: Direction::Both,
            filter: Vec::new(),
            expression: String::new(),
            snaplen: 128,
        };
        let mut descriptors = Vec::new();
        client
            .call_with(Request::CaptureStart(request), &mut descriptors)
            .unwrap();
        let files: Vec<_> = descriptors.into_iter().map(fs::File::from).collect();
        assert!(
            files[0].write_at(&[1; 64], 0).is_err(),
            "packets are the primary's"
        );
        let length = files[1].metadata().unwrap().len();
        let begin = Instant::now();
        // Until the primary has had enough.
        while begin.elapsed() < Duration::from_millis(300) {
            for _ in 0..5000 {
                let value = match numbers.next() % 3 {
                    0 => numbers.next() as u32,
                    1 => numbers.next() as u32 % 64,
                    _ => u32::MAX - numbers.next() as u32 % 64,
                };
                let place = numbers.next() % (length / 4) * 4;
                files[1].write_at(&value.to_ne_bytes(), place).unwrap();
            }
            if client.call(Request::CaptureShow).is_err() {
                cut_off += 1;
                break;
            }
        }
    }
    pinger.finish(LIMIT * 2).unwrap().assert_all_answered();
    assert!(cut_off > rounds / 2, "{cut_off} of {rounds} were cut off");
    let workers = primary.ctl_json(&["worker", "show"]).unwrap();
    assert!(
        workers[0]["bad_verdicts"].as_u64().unwrap() >= cut_off,
        "{workers}"
    );
    assert_eq!(
        primary.ctl_json(&["capture", "show"]).unwrap(),
        serde_json::json!([])
    );
    // An honest tool finds memory for itself.
    let mut client = Client::connect(&directory, "honest").unwrap();
    let answer = client.call(Request::CaptureStop).unwrap_err();
    assert!(answer.message.contains("no capture"), "{answer}");
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

#[test]
fn what_cannot_be_captured_is_said_in_a_sentence() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let run = |words: &[&str]| {
        let mut process = primary.pdump(words).unwrap().start().unwrap();
        let status = process.wait(LIMIT).unwrap();
        (status.code(), process.stderr())
    };
    let (status, said) = run(&["-f", "udp port 53 and froom 1.2.3.4", "-w", "/dev/null"]);
    assert_eq!(status, Some(2), "{said}");
    let lines: Vec<_> = said.lines().collect();
    let caret = lines.iter().position(|line| line.trim() == "^").unwrap();
    assert_eq!(lines[caret].find('^'), lines[caret - 1].find("froom"), "{said}");
    for (words, part, expected) in [
        (vec!["-i", "nowhere"], "there are a0, b0", 1),
        (vec!["-w", "/proc/nowhere/x"], "/proc/nowhere/x", 1),
        (vec!["-w", "/"], "/", 1),
    ] {
        let (status, said) = run(&words);
        assert_eq!(status, Some(expected), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
    // As many as [limits] has, and one more.
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut process = primary.pdump(&["-w", "/dev/null"]).unwrap().start().unwrap();
            process
                .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
                .unwrap();
            process
        })
        .collect();
    let (status, said) = run(&["-w", "/dev/null"]);
    assert_eq!(status, Some(1));
    let pid = running[0].pid().to_string();
    assert!(
        said.contains("attachments in [limits]") && said.contains(&pid),
        "{said}"
    );
}

/// A folder that others may enter, with a copy of pdump in it that they may run.
fn for_everybody() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("tollgate-pdump");
    fs::copy(tests::binaries::find("tollgate-pdump").unwrap(), &program).unwrap();
    (folder, program)
}

#[test]
fn a_member_of_the_group_captures_without_root_and_others_are_told_why_they_may_not() {
    let hosts = hosts();
    let (folder, program) = for_everybody();
    let run_dir = folder.path().join("run");
    let primary = hosts
        .primary("gw")
        .run_dir(&run_dir)
        .group("daemon")
        .start()
        .unwrap();
    let capture = |group: &str| {
        let words = ["--reuid=65534", "--clear-groups", group];
        let mut process = ProcessBuilder::new(Privilege::detect(), "captures as another user", "setpriv")
            .args(words)
            .arg(&program)
            .arg("--run-dir")
            .arg(&run_dir)
            .args([
                "--instance",
                primary.instance(),
                "-i",
                "a0",
                "-f",
                "icmp",
                "-c",
                "4",
            ])
            .start()
            .unwrap();
        let pinger = pings(&hosts, 1);
        let status = process.wait(LIMIT).unwrap();
        pinger.finish(LIMIT).unwrap().assert_all_answered();
        (status.code(), process.stdout(), process.stderr())
    };
    // Group 1 is daemon on every Debian.
    let (status, printed, said) = capture("--regid=1");
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(
        printed.lines().filter(|line| line.contains("icmp echo")).count(),
        4,
        "{printed}"
    );
    let (status, _, said) = capture("--regid=65534");
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("permission"), "{said}");
}

#[test]
fn a_full_disk_ends_a_capture_with_what_fits() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.pcapng");
    // A file system of 64 KB in a mount namespace of its own; what is in it is copied out at the end.
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -n -t tmpfs -o size=64k none {disk} && \"$@\"; status=$?; cp {disk}/full.pcapng {kept}; exit $status",
        disk = disk.display(),
        kept = kept.display()
    );
    let [program, words @ ..] = apart(&script);
    let mut process = ProcessBuilder::new(Privilege::detect(), "captures to a small disk", program)
        .args(words)
        .arg(tests::binaries::find("tollgate-pdump").unwrap())
        .arg("--run-dir")
        .arg(primary.run_dir())
        .args(["--instance", primary.instance(), "-f", "icmp", "-w"])
        .arg(disk.join("full.pcapng"))
        .start()
        .unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    let pinger = pings(&hosts, 3);
    let status = process.wait(LIMIT).unwrap();
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    assert_eq!(status.code(), Some(1), "{}", process.stderr());
    assert!(process.stderr().contains("full.pcapng"), "{}", process.stderr());
    assert!(
        process.stderr().to_lowercase().contains("no space"),
        "{}",
        process.stderr()
    );
    let packets = read_pcapng(&kept).unwrap();
    assert!((200..700).contains(&packets.len()), "{}", packets.len());
    assert_eq!(packets.len() as u64, report(&process)[2]);
}

#[test]
fn a_pipe_that_is_closed_ends_a_capture() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let program = tests::binaries::find("tollgate-pdump").unwrap();
    let script = format!(
        "{} --run-dir {} --instance {} -f icmp -w - | head -c 2000 > /dev/null; echo ended",
        program.display(),
        primary.run_dir().display(),
        primary.instance()
    );
    let mut process = ProcessBuilder::new(Privilege::detect(), "captures into a pipe", "sh")
        .args(["-c", &script])
        .start()
        .unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    let pinger = pings(&hosts, 3);
    assert!(process.wait(LIMIT).unwrap().success());
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    assert!(
        process.stderr().contains("has ended after"),
        "{}",
        process.stderr()
    );
    assert_eq!(
        primary.ctl_json(&["capture", "show"]).unwrap(),
        serde_json::json!([])
    );
}
