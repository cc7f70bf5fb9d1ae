//! Router alerts with a number each, from the kernel of a host to that of another.

use tests::{Family, Namespace, Primary, Process, TwoHosts};

use crate::LIMIT;

const PYTHON: &str = "/usr/bin/python3";
const SEND: &str = include_str!("../../frames/alerts.py");
const RECEIVE: &str = include_str!("../../frames/numbers.py");

/// Receives them at a host, until none has come for two seconds.
pub(crate) fn receive(host: &Namespace) -> Process {
    let mut receiver = host
        .process("receives numbers", PYTHON)
        .args(["-I", "-c", RECEIVE, "4000"])
        .start()
        .unwrap();
    receiver
        .wait_for_stderr("`ready`", LIMIT, |line| line == "ready")
        .unwrap();
    receiver
}

/// How many came, how many of them twice, and how many behind a later one.
pub(crate) fn received(mut receiver: Process) -> [usize; 3] {
    assert!(
        receiver.wait(LIMIT * 10).unwrap().success(),
        "{}",
        receiver.stderr()
    );
    let said = receiver.stdout();
    let numbers: Vec<usize> = said
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

/// Checks that what was received of `sent` came once and in order, and that the gateway lost none of it. The kernel may lose some
/// before the gateway has it, where others use the CPU.
pub(crate) fn assert_whole(primary: &Primary, received: [usize; 3], sent: usize) {
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.sum(|interface| interface.waiting), 0, "{counters:?}");
    let [count, twice, behind] = received;
    let said = format!(
        "{count} of {sent}, {twice} twice, {behind} out of order, dropped {:?}",
        counters.drops()
    );
    assert!(
        (sent / 2..=sent).contains(&count) && twice == 0 && behind == 0,
        "{said}"
    );
    for reason in [
        "punt_ring_full",
        "punt_policed",
        "punt_closed",
        "neighbor_queue_full",
        "tx_full",
        "no_buffer",
    ] {
        assert_eq!(counters.dropped(reason), 0, "{said}");
    }
}

/// Sends `count`, so many a second.
pub(crate) fn send(hosts: &TwoHosts, count: usize, per_second: usize) -> Process {
    let words = words([Family::Ip6.address_b(), "4000"], count, per_second);
    let sender = hosts.host_a.process("sends alerts", PYTHON);
    sender.args(words).start().unwrap()
}

/// The same from host-b to host-a.
pub(crate) fn send_back(hosts: &TwoHosts, count: usize, per_second: usize) -> Process {
    let words = words([Family::Ip6.address_a(), "4000"], count, per_second);
    let sender = hosts.host_b.process("sends alerts back", PYTHON);
    sender.args(words).start().unwrap()
}

fn words(to: [&str; 2], count: usize, per_second: usize) -> Vec<String> {
    let [count, per_second] = [count, per_second].map(|number| number.to_string());
    let [address, port] = to;
    ["-I", "-c", SEND, address, port, "65503", &count, &per_second]
        .map(str::to_owned)
        .to_vec()
}

/// Waits until all are sent.
pub(crate) fn sent(mut sender: Process) {
    assert!(sender.wait(LIMIT * 10).unwrap().success(), "{}", sender.stderr());
}
