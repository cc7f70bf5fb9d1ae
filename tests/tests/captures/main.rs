//! Captures: what they see, and that no tool that takes packets can harm the primary, however it ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod beside_tcpdump;
mod drops;
mod endings;
mod files;
mod hostile;
mod points;
mod refusals;
mod sight;
mod sub_interfaces;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tests::{Pinger, Primary, Privilege, Process, Receiver, Recorded, TwoHosts, read_pcapng};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

pub(crate) fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

/// Starts a capture into a file and waits until it sees packets.
pub(crate) fn capture(primary: &Primary, folder: &Path, name: &str, words: &[&str]) -> (Process, PathBuf) {
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
pub(crate) fn report(process: &Process) -> [u64; 4] {
    let text = process.stderr();
    let line = text.lines().find(|line| line.contains(" seen,")).unwrap();
    ["seen", "filtered", "written", "lost"].map(|name| {
        let before = line.split(name).next().unwrap();
        let number = before.split_whitespace().last().unwrap();
        number.parse().unwrap()
    })
}

/// Ends a capture as Ctrl-C does and gives its packets; nothing of what it saw is unaccounted for.
pub(crate) fn finish(mut process: Process, file: &Path) -> Vec<Recorded> {
    let status = process.terminate().unwrap();
    assert!(status.success(), "{status}: {}", process.stderr());
    let [seen, filtered, written, lost] = report(&process);
    assert_eq!(seen, filtered + written + lost);
    let packets = read_pcapng(file).unwrap();
    assert_eq!(packets.len() as u64, written);
    packets
}

pub(crate) fn is_icmp(packet: &Recorded) -> bool {
    packet.data[12..14] == [8, 0] && packet.data[23] == 1
}

pub(crate) fn is_udp(packet: &Recorded) -> bool {
    packet.data[12..14] == [8, 0] && packet.data[23] == 17
}

/// Numbered datagrams through the primary, each of which must arrive.
pub(crate) fn datagrams(hosts: &TwoHosts, count: u32, rate: u32) {
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

pub(crate) fn pings<'a>(hosts: &'a TwoHosts, seconds: u64) -> Pinger<'a> {
    let count = (seconds * 200).to_string();
    let words = ["-i", "0.005", "-W", "2", "-c", &count];
    Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, &words).unwrap()
}
