//! Two hosts talk through a primary on net_af_packet over veth, by IPv4 and by IPv6.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Family, Pings, Primary, Privilege, Receiver, TwoHosts, both_families};

const LIMIT: Duration = Duration::from_secs(120);

/// Whether the tests run at full length.
fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

fn hosts(family: Family) -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &[family]).unwrap()
}

both_families! {
    pings_of_all_sizes_are_answered_each_once,
    datagrams_of_sixteen_flows_arrive_once_and_in_order,
    tcp_keeps_its_pace_in_every_second,
    the_gateway_answers_pings_to_its_own_addresses_from_either_side,
    every_packet_is_accounted_for,
}

fn pings_of_all_sizes_are_answered_each_once(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let sizes = [
        56, 57, 63, 64, 100, 255, 256, 400, 511, 777, 900, 1000, 1023, 1024, 1399, 1400,
        // In fragments.
        4000,
    ];
    let count = if is_soak() { 625 } else { 125 };
    for size in sizes.map(|size: u32| size.to_string()) {
        let words = ["-i", "0.002", "-c", &count.to_string(), "-s", &size, "-W", "2"];
        let pings = hosts.host_a.ping(family.address_b(), &words, LIMIT).unwrap();
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

fn datagrams_of_sixteen_flows_arrive_once_and_in_order(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    // All know their next hops before: a kernel lets packets overtake those that it kept for one, and the gateway keeps 64,
    // which are the packets of 3 ms.
    let first = hosts
        .host_a
        .ping(family.address_b(), &["-c", "1", "-W", "2"], LIMIT);
    assert!(first.unwrap().all_answered());
    let (flows, count) = (16, 200_000);
    let address = family.socket(family.address_b(), 4789);
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

fn tcp_keeps_its_pace_in_every_second(family: Family) {
    let hosts = hosts(family);
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
    let words = ["iperf3", "-c", family.address_b(), "-t", "6", "-i", "1", "--json"];
    let captured = hosts.host_a.run_within(LIMIT, "sends TCP", &words).unwrap();
    let report = captured.success().unwrap().json().unwrap();
    let mut rates: Vec<f64> = report["intervals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interval| &interval["sum"])
        // What is left over behind the last second is a few milliseconds long.
        .filter(|sum| sum["seconds"].as_f64() > Some(0.5))
        .map(|sum| sum["bits_per_second"].as_f64().unwrap())
        .collect();
    assert_eq!(rates.len(), 6, "{report}");
    rates.sort_by(f64::total_cmp);
    let median = (rates[2] + rates[3]) / 2.0;
    assert!(
        rates[0] >= median / 2.0 && median > 0.0,
        "bits per second: {rates:?}"
    );
}

fn the_gateway_answers_pings_to_its_own_addresses_from_either_side(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    for host in [&hosts.host_a, &hosts.host_b] {
        for address in [family.gateway_a(), family.gateway_b()] {
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

fn every_packet_is_accounted_for(family: Family) {
    let hosts = hosts(family);
    let kernel_counts = || hosts.ends().map(|(host, _)| host.packets("eth0").unwrap());
    let before = kernel_counts();
    let primary = hosts.primary("gw").start().unwrap();
    // Some of everything: forwarded, answered, without a route, out of time, for nobody, not for a router.
    let pings = |to: &str, words: &[&str]| {
        let mut all = vec!["-i", "0.002", "-c", "100", "-W", "0.2"];
        all.extend(words);
        hosts.host_a.ping(to, &all, LIMIT).unwrap()
    };
    pings(family.address_b(), &[]).assert_all_answered();
    pings(family.gateway_b(), &[]).assert_all_answered();
    assert_eq!(pings(family.nowhere(), &[]).answered, 0);
    assert_eq!(pings(family.address_b(), &["-t", "1"]).answered, 0);
    let (group, group_reason) = family.choose(
        ("192.168.2.255", "ip4_directed_broadcast"),
        ("ff0e::77", "ip6_multicast"),
    );
    let to_group = family.choose(["-b", "-n"], ["-I", "eth0"]);
    assert_eq!(pings(group, &to_group).answered, 0);
    assert_eq!(pings(family.nobody(), &[]).answered, 0);
    let counters = tests::wait_until("the end of what waits for a dead neighbour", LIMIT, || {
        let counters = primary.counters_at_rest()?;
        Ok((counters.sum(|interface| interface.waiting) == 0).then_some(counters))
    })
    .unwrap();
    counters.assert_balanced();
    let drops = counters.drops();
    for (reason, packets) in [("no_route", 100), ("ttl_expired", 100), (group_reason, 100)] {
        assert_eq!(drops.get(reason), Some(&packets), "{reason} of {drops:?}");
    }
    let to_nobody = counters.dropped("neighbor_failed") + counters.dropped("neighbor_queue_full");
    assert_eq!(to_nobody, 100, "{drops:?}");
    // Whoever sent what had no way is told.
    let told = counters.sum(|interface| interface.icmp_errors + interface.icmp_errors_policed);
    assert_eq!(told, 200 + counters.dropped("neighbor_failed"), "{counters:?}");
    // What the primary says must be what the hosts' kernels saw.
    let after = kernel_counts();
    for (name, (before, after)) in ["a0", "b0"].into_iter().zip(before.into_iter().zip(after)) {
        let interface = counters.of(name).unwrap();
        let seen = (interface.rx_packets, interface.tx_packets);
        assert_eq!(seen, (after.0 - before.0, after.1 - before.1), "{name}");
    }
}

#[test]
fn link_and_counter_tables_show_the_same_numbers() {
    let hosts = hosts(Family::Ip4);
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
