//! Two hosts talk IPv4 through a primary on net_af_packet over veth.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Pings, Primary, Privilege, Receiver, TwoHosts};

const LIMIT: Duration = Duration::from_secs(120);

/// Whether the tests run at full length.
fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

#[test]
fn pings_of_all_sizes_are_answered_each_once() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let sizes = [
        56, 57, 63, 64, 100, 255, 256, 400, 511, 777, 900, 1000, 1023, 1024, 1399, 1400,
    ];
    let count = if is_soak() { 625 } else { 125 };
    for size in sizes.map(|size: u32| size.to_string()) {
        let words = ["-i", "0.002", "-c", &count.to_string(), "-s", &size, "-W", "2"];
        let pings = hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap();
        let all = Pings {
            sent: count,
            answered: count,
            odd: 0,
        };
        assert_eq!(pings, all, "pings of {size} bytes");
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [].into(), "{counters:?}");
}

#[test]
fn datagrams_of_sixteen_flows_arrive_once_and_in_order() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    // Host-a knows its gateway before: its kernel lets packets overtake those that it kept for ARP.
    let first = hosts
        .host_a
        .ping(TwoHosts::GATEWAY_A, &["-c", "1", "-W", "2"], LIMIT);
    assert!(first.unwrap().all_answered());
    let (flows, count) = (16, 200_000);
    let address = format!("{}:4789", TwoHosts::ADDRESS_B);
    let receiver = Receiver::start(&hosts.host_b, &address, flows, count).unwrap();
    let backlog = backlog_drops();
    let sent = receiver.send_from(&hosts.host_a, 64, 20_000).unwrap();
    let report = receiver.report(LIMIT).unwrap();
    assert_eq!((sent.sent, sent.errors), (count, 0));
    let counters = primary.counters_at_rest().unwrap();
    let total = report.total;
    let faults = (total.lost, total.duplicates, total.out_of_order, report.foreign);
    assert_eq!(
        (total.received, faults),
        (count, (0, 0, 0, 0)),
        "of {sent:?}; dropped by the primary: {:?}, by the kernel between veth and it: {}",
        counters.drops(),
        backlog_drops() - backlog
    );
    assert!(
        f64::from(count) / sent.seconds > 15_000.0,
        "this was no load of 20 kpps: {sent:?}"
    );
}

/// Packets that the kernel dropped because the CPU did not get round to them: the second column, in hex.
fn backlog_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let dropped = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
    text.lines().map(dropped).sum()
}

#[test]
fn tcp_keeps_its_pace_in_every_second() {
    let hosts = hosts();
    let _primary = hosts.primary("gw").start().unwrap();
    let mut server = hosts
        .host_b
        .process("receives TCP", "iperf3")
        .args(["-s", "-1", "--forceflush"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();
    let words = [
        "iperf3",
        "-c",
        TwoHosts::ADDRESS_B,
        "-t",
        "10",
        "-i",
        "1",
        "--json",
    ];
    let captured = hosts.host_a.run_within(LIMIT, "sends TCP", &words).unwrap();
    let report = captured.success().unwrap().json().unwrap();
    let mut rates: Vec<f64> = report["intervals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interval| &interval["sum"])
        // What is left over behind the tenth second is a few milliseconds long.
        .filter(|sum| sum["seconds"].as_f64() > Some(0.5))
        .map(|sum| sum["bits_per_second"].as_f64().unwrap())
        .collect();
    assert_eq!(rates.len(), 10, "{report}");
    rates.sort_by(f64::total_cmp);
    let median = (rates[4] + rates[5]) / 2.0;
    assert!(
        rates[0] >= median / 2.0 && median > 0.0,
        "bits per second: {rates:?}"
    );
}

#[test]
fn the_gateway_answers_pings_to_its_own_addresses_from_either_side() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    for host in [&hosts.host_a, &hosts.host_b] {
        for address in [TwoHosts::GATEWAY_A, TwoHosts::GATEWAY_B] {
            for size in ["0", "56", "1400"] {
                let words = ["-i", "0.002", "-c", "20", "-s", size, "-W", "2"];
                let pings = host.ping(address, &words, LIMIT).unwrap();
                assert!(pings.all_answered(), "{address}, {size} bytes: {pings:?}");
            }
        }
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.sum(|interface| interface.echo_replies), 4 * 3 * 20);
    assert_eq!(counters.drops(), [].into(), "{counters:?}");
}

/// Packets that the kernel has sent to and received from a link of a namespace.
fn kernel_counts(hosts: &TwoHosts) -> [(u64, u64); 2] {
    [&hosts.host_a, &hosts.host_b].map(|host| {
        let words = ["ip", "-json", "-statistics", "link", "show", "eth0"];
        let links = host.run("reads counters", &words).unwrap().json().unwrap();
        let count = |direction: &str| links[0]["stats64"][direction]["packets"].as_u64().unwrap();
        (count("tx"), count("rx"))
    })
}

#[test]
fn every_packet_is_accounted_for() {
    let hosts = hosts();
    let before = kernel_counts(&hosts);
    let primary = hosts.primary("gw").start().unwrap();
    // Some of everything: forwarded, answered, without a route, out of time, for nobody, not for a router.
    let pings = |to: &str, words: &[&str]| {
        let mut all = vec!["-i", "0.002", "-c", "100", "-W", "0.2"];
        all.extend(words);
        hosts.host_a.ping(to, &all, LIMIT).unwrap()
    };
    pings(TwoHosts::ADDRESS_B, &[]).assert_all_answered();
    pings(TwoHosts::GATEWAY_B, &[]).assert_all_answered();
    assert_eq!(pings("203.0.113.1", &[]).answered, 0);
    assert_eq!(pings(TwoHosts::ADDRESS_B, &["-t", "1"]).answered, 0);
    assert_eq!(pings("192.168.2.255", &["-b"]).answered, 0);
    assert_eq!(pings("192.168.2.77", &[]).answered, 0);
    let counters = tests::wait_until("the end of what waits for a dead neighbour", LIMIT, || {
        let counters = primary.counters_at_rest()?;
        Ok((counters.sum(|interface| interface.waiting) == 0).then_some(counters))
    })
    .unwrap();
    assert_eq!(counters.came(), counters.went(), "{counters:?}");
    let drops = counters.drops();
    for (reason, packets) in [
        ("no_route", 100),
        ("ttl_expired", 100),
        ("ip4_directed_broadcast", 100),
    ] {
        assert_eq!(drops.get(reason), Some(&packets), "{reason} of {drops:?}");
    }
    let to_nobody = counters.dropped("neighbor_failed") + counters.dropped("neighbor_queue_full");
    assert_eq!(to_nobody, 100, "{drops:?}");
    // What the primary says must be what the hosts' kernels saw.
    let after = kernel_counts(&hosts);
    for (name, (before, after)) in ["a0", "b0"].into_iter().zip(before.into_iter().zip(after)) {
        let interface = counters
            .0
            .iter()
            .find(|interface| interface.interface == name)
            .unwrap();
        let seen = (interface.rx_packets, interface.tx_packets);
        assert_eq!(seen, (after.0 - before.0, after.1 - before.1), "{name}");
    }
}

#[test]
fn link_and_counter_tables_show_the_same_numbers() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let pings = hosts
        .host_a
        .ping(TwoHosts::ADDRESS_B, &["-i", "0.01", "-c", "10"], LIMIT);
    assert!(pings.unwrap().all_answered());
    let counters = primary.counters_at_rest().unwrap();
    let links = primary.ctl_json(&["link", "show"]).unwrap();
    for (interface, link) in counters.0.iter().zip(links.as_array().unwrap()) {
        assert_eq!(link["name"], Value::from(interface.interface.as_str()));
        assert_eq!(link["rx_packets"], interface.rx_packets);
        assert_eq!(link["tx_packets"], interface.tx_packets);
        assert_eq!(link["driver"], "net_af_packet");
        let table = table_row(&primary, &interface.interface);
        assert!(
            table.contains(&interface.rx_packets.to_string())
                && table.contains(&interface.tx_packets.to_string()),
            "{table:?} of {interface:?}"
        );
    }
}

/// The cells of an interface in `link show`.
fn table_row(primary: &Primary, name: &str) -> Vec<String> {
    let table = primary.ctl(&["link", "show"]).unwrap().success().unwrap().stdout;
    let row = table
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name))
        .unwrap();
    row.split_whitespace().map(str::to_owned).collect()
}
