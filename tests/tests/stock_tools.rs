//! DPDK's own tools on a running primary: what they show, and what they leave.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    Captured, HostState, Interface, InterfaceCounters, Pinger, Pings, Primary, Privilege, Process,
    ProcessBuilder, Receiver, Recorded, RunId, TwoHosts, Wait, read_pcap, read_pcapng, run, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);
/// Numbered datagrams of a capture, and how many a second: few enough for `dpdk-pdump` and a worker on two CPUs.
const DATAGRAMS: u32 = 1000;
const RATE: u32 = 2000;
/// Captures that end at full speed: on a host that is busy, a primary that does not wait seldom survives ten.
const CAPTURES: usize = 60;
const FILTER: &str = "icmp or udp dst port 9000";

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

/// A primary that receives nothing.
fn alone() -> Primary {
    let port = Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24");
    let builder = Primary::builder(Privilege::detect(), "alone").interface(port);
    builder.start().unwrap()
}

/// What the socket of a file prefix answers to questions, one after the other.
fn telemetry(file_prefix: &str, questions: &[&str]) -> Captured {
    let mut command = Privilege::detect().command("sh");
    command
        .arg("-c")
        .arg("printf '%s\\n' \"$@\" | dpdk-telemetry.py -f \"$0\"")
        .arg(file_prefix)
        .args(questions);
    run(command, Wait::Interruptible(LIMIT))
        .unwrap()
        .success()
        .unwrap()
}

fn answers(primary: &Primary, questions: &[&str]) -> Vec<Value> {
    let captured = telemetry(primary.instance(), questions);
    let lines = captured.stdout.lines();
    let answers: Vec<_> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), questions.len(), "{captured:?}");
    answers
}

fn pings(hosts: &TwoHosts) {
    let words = ["-c", "20", "-i", "0.01", "-W", "2"];
    let pings: Pings = hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap();
    pings.assert_all_answered();
}

fn is_datagram(packet: &&Recorded) -> bool {
    let data = &packet.data;
    data.len() > 37 && data[12..14] == [8, 0] && data[23] == 17 && data[36..38] == 9000_u16.to_be_bytes()
}

/// Numbered datagrams through the primary, each of which must arrive.
fn datagrams(hosts: &TwoHosts) {
    let address = format!("{}:9000", TwoHosts::ADDRESS_B);
    let receiver = Receiver::start(&hosts.host_b, &address, 1, DATAGRAMS).unwrap();
    receiver.send_from(&hosts.host_a, 100, RATE).unwrap();
    let report = receiver.report(LIMIT).unwrap();
    assert_eq!(report.total.received, DATAGRAMS, "{report:?}");
}

fn stock_tool(name: &str, primary: &Primary) -> ProcessBuilder {
    ProcessBuilder::new(Privilege::detect(), "runs a tool of DPDK's own", name)
        .arg(format!("--file-prefix={}", primary.instance()))
}

fn dumpcap(primary: &Primary, file: &Path) -> Process {
    // In the primary's namespace its interface may have the name of another one out here: -p leaves both alone.
    stock_tool("dpdk-dumpcap", primary)
        .args(["-q", "-p", "-i", "net_af_packet0", "-f", FILTER, "-w"])
        .arg(file)
        .start()
        .unwrap()
}

/// Lets a capture see datagrams, and gives those that it wrote.
fn captured(
    hosts: &TwoHosts,
    mut tool: Process,
    file: &Path,
    read: fn(&Path) -> Result<Vec<Recorded>, tests::Error>,
) -> Vec<Recorded> {
    // It does not say when it captures, so it is given packets until it has one.
    let words = ["-i", "0.01", "-W", "2"];
    let pinger = Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, &words).unwrap();
    wait_until("a first packet in the file", LIMIT, || {
        let ended = tool.ended();
        assert_eq!(ended, None, "{}{}", tool.stdout(), tool.stderr());
        let bytes = fs::metadata(file).map_or(0, |file| file.len());
        Ok((bytes > 1000).then_some(()))
    })
    .unwrap();
    pinger.interrupt(LIMIT).unwrap().assert_all_answered();
    datagrams(hosts);
    tool.signal(Signal::SIGINT);
    let status = tool.wait(LIMIT).unwrap();
    assert!(status.success(), "{status}: {}{}", tool.stdout(), tool.stderr());
    let packets = read(file).unwrap();
    packets.iter().filter(is_datagram).cloned().collect()
}

/// The counters of both interfaces as `ctl` has them, and as another tool has them at the same time.
fn counted<T>(primary: &Primary, read: impl Fn() -> T) -> (Vec<InterfaceCounters>, T) {
    wait_until("counters that stand still", LIMIT, || {
        let before = primary.counters_at_rest()?;
        let read = read();
        let same = primary.counters()? == before;
        Ok(same.then_some((before.0, read)))
    })
    .unwrap()
}

#[test]
fn telemetry_has_the_counters_that_ctl_has() {
    let hosts = hosts();
    let mut primary = hosts.primary("gw").start().unwrap();
    pings(&hosts);
    let (counters, answers) = counted(&primary, || {
        answers(&primary, &["/ethdev/stats,0", "/ethdev/stats,1", "/info"])
    });
    for (ours, theirs) in counters.iter().zip(&answers) {
        let theirs = |key: &str| theirs["/ethdev/stats"][key].as_u64().unwrap();
        assert!(ours.rx_packets >= 20 && ours.tx_packets >= 20, "{ours:?}");
        assert_eq!(
            (ours.rx_packets, ours.tx_packets),
            (theirs("ipackets"), theirs("opackets")),
            "{ours:?}"
        );
    }
    assert_eq!(answers[2]["/info"]["pid"], primary.pid());
    let status = primary.terminate().unwrap();
    assert!(status.success(), "{status}: {}", primary.process().stderr());
}

#[test]
fn the_telemetry_of_a_killed_primary_is_taken_over_by_the_next_or_cleaned_up() {
    let mut first = alone();
    first.kill();
    let before = first.pid();
    let port = Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24");
    let builder = Primary::builder(Privilege::detect(), "alone").interface(port);
    let mut next = builder.start_after(first).unwrap();
    let answer = answers(&next, &["/info"]);
    assert_eq!(answer[0]["/info"]["pid"], next.pid());
    assert_ne!(before, next.pid());
    next.kill();
    let cleaned = next.hugepage_setup(&["clean"]).unwrap().success().unwrap();
    let directory = format!("/var/run/dpdk/{}", next.instance());
    assert!(cleaned.stdout.contains(&directory), "{}", cleaned.stdout);
}

#[test]
fn a_file_prefix_that_another_program_of_dpdk_has_is_refused() {
    let first = alone();
    let second = Primary::builder(Privilege::detect(), "second")
        .interface(Interface::device("n0", "net_null0,no-rx=1"));
    // Of another run directory, where nothing is known of the first.
    let config = second.config_text();
    let prefix = |name: &str| format!("file_prefix = \"{name}\"");
    let own = config
        .lines()
        .find(|line| line.starts_with("file_prefix"))
        .unwrap();
    let config = config.replace(own, &prefix(first.instance()));
    let captured = second.config(&config).run_to_end().unwrap();
    assert_eq!(captured.status.code(), Some(1), "{captured:?}");
    let socket = format!("/var/run/dpdk/{}/dpdk_telemetry.v2", first.instance());
    assert!(captured.stderr.contains(&socket), "{}", captured.stderr);
    assert_eq!(answers(&first, &["/info"])[0]["/info"]["pid"], first.pid());
}

#[test]
fn each_tool_of_dpdk_shows_the_traffic_and_leaves_nothing() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let before = HostState::take();
    let mut primary = hosts.primary("gw").stock_tools().start().unwrap();

    pings(&hosts);
    let (counters, captured) = counted(&primary, || proc_info(&primary));
    let lines: Vec<_> = captured.stdout.lines().map(str::trim).collect();
    for direction in ["RX", "TX"] {
        let told: Vec<_> = lines
            .iter()
            .filter_map(|line| line.strip_prefix(direction)?.strip_prefix("-packets:"))
            .map(|rest| rest.split_whitespace().next().unwrap().parse::<u64>().unwrap())
            .collect();
        let ours: Vec<_> = counters
            .iter()
            .map(|counters| match direction {
                "RX" => counters.rx_packets,
                _ => counters.tx_packets,
            })
            .collect();
        assert_eq!(told, ours, "{}", captured.stdout);
    }

    // The second time, so that the first has left no callback.
    for turn in 0..2 {
        let file = folder.path().join(format!("dumpcap{turn}.pcapng"));
        let tool = dumpcap(&primary, &file);
        assert_eq!(
            captured_count(&hosts, tool, &file, read_pcapng),
            DATAGRAMS as usize
        );
    }
    let file = folder.path().join("pdump.pcap");
    let tool = stock_tool("dpdk-pdump", &primary)
        .args(["--no-pci", "-l", "0", "--", "--pdump"])
        // Its packets would take 150 MB otherwise.
        .arg(format!(
            "port=0,queue=*,rx-dev={},total-num-mbufs=8191",
            file.display()
        ))
        .start()
        .unwrap();
    assert_eq!(captured_count(&hosts, tool, &file, read_pcap), DATAGRAMS as usize);

    pings(&hosts);
    let status = primary.terminate().unwrap();
    assert!(status.success(), "{status}: {}", primary.process().stderr());
    drop(primary);
    assert_eq!(
        before.differences(&HostState::take(), &RunId::current()),
        Vec::<String>::new()
    );
}

fn captured_count(
    hosts: &TwoHosts,
    tool: Process,
    file: &Path,
    read: fn(&Path) -> Result<Vec<Recorded>, tests::Error>,
) -> usize {
    captured(hosts, tool, file, read).len()
}

fn proc_info(primary: &Primary) -> Captured {
    let mut command = Privilege::detect().command("dpdk-proc-info");
    command
        .arg(format!("--file-prefix={}", primary.instance()))
        .args(["--no-pci", "--", "--stats"]);
    run(command, Wait::Interruptible(LIMIT))
        .unwrap()
        .success()
        .unwrap()
}

/// What the operator's guide says of it: nothing of the primary breaks, and the next capture is refused.
#[test]
fn a_killed_dumpcap_costs_captures_until_the_primary_restarts_and_no_packet() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let before = HostState::take();
    let mut primary = hosts.primary("gw").stock_tools().start().unwrap();
    let mut killed = dumpcap(&primary, &file("killed.pcapng"));
    let words = ["-i", "0.01", "-W", "2"];
    let pinger = Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, &words).unwrap();
    wait_until("a first packet in the file", LIMIT, || {
        let bytes = fs::metadata(file("killed.pcapng")).map_or(0, |file| file.len());
        Ok((bytes > 1000).then_some(()))
    })
    .unwrap();
    killed.kill();
    datagrams(&hosts);
    let mut refused = dumpcap(&primary, &file("refused.pcapng"));
    let status = refused.wait(LIMIT).unwrap();
    assert!(
        !status.success() && refused.stderr().contains("Packet dump enable failed"),
        "{status}: {}",
        refused.stderr()
    );
    pinger.interrupt(LIMIT).unwrap().assert_all_answered();
    let own = file("own.pcapng");
    let mut pdump = primary
        .pdump(&["-i", "a0", "-f", "udp dst port 9000", "-w"])
        .unwrap()
        .arg(&own)
        .start()
        .unwrap();
    pdump
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    datagrams(&hosts);
    assert!(pdump.terminate().unwrap().success());
    let packets = read_pcapng(&own).unwrap();
    assert_eq!(packets.iter().filter(is_datagram).count(), DATAGRAMS as usize);
    let status = primary.terminate().unwrap();
    assert!(status.success(), "{status}: {}", primary.process().stderr());
    drop(primary);
    assert_eq!(
        before.differences(&HostState::take(), &RunId::current()),
        Vec::<String>::new()
    );
}

/// A capture that ends frees what workers copy to: that waits for workers.
#[test]
fn a_worker_at_full_speed_survives_captures_that_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcapng");
    let port = Interface::device("n0", "net_null0").address("192.0.2.1/24");
    let builder = Primary::builder(Privilege::detect(), "busy").interface(port);
    let mut primary = builder.busy().stock_tools().start().unwrap();
    for turn in 0..CAPTURES {
        let mut tool = stock_tool("dpdk-dumpcap", &primary)
            .args(["-q", "-p", "-i", "net_null0", "-s", "64", "-c", "5000", "-w"])
            .arg(&file)
            .start()
            .unwrap();
        let status = tool.wait(LIMIT).unwrap();
        let ended = primary.process().ended();
        assert_eq!(
            ended,
            None,
            "after {turn} captures: {}",
            primary.process().stderr()
        );
        assert!(status.success(), "{status}: {}", tool.stderr());
    }
    let status = primary.terminate().unwrap();
    assert!(status.success(), "{status}: {}", primary.process().stderr());
}
