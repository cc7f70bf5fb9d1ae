//! Offloads left on: packets that only hardware could have finished are counted, and the command against them is named.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Family, Primary, Privilege, TwoHosts, both_families, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
const PING: [&str; 6] = ["-c", "5", "-i", "0.01", "-W", "2"];

both_families! {
    unfinished_checksums_are_counted_and_the_remedy_is_named_and_works,
    packets_longer_than_the_mtu_are_counted_and_the_remedy_is_named,
}

/// The interface as `link show` has it, once it hints at offloads.
fn hint(primary: &Primary, port: &str) -> Value {
    wait_until("a hint at offloads", LIMIT, || {
        let link = primary.ctl_json(&["link", "show", port])?[0].clone();
        Ok((!link["offload_hint"].is_null()).then_some(link))
    })
    .unwrap()
}

/// Asserts that log and `link show` name the command for `port`.
fn assert_advised(primary: &mut Primary, port: &str, hint_name: &str) {
    let link = hint(primary, port);
    let command = format!("ethtool -K {port} tx off");
    assert_eq!(link["offload_hint"], hint_name);
    assert!(
        link["offload_advice"].as_str().unwrap().contains(&command),
        "{link}"
    );
    let table = primary.ctl(&["link", "show"]).unwrap().success().unwrap().stdout;
    assert!(table.contains(&command), "{table}");
    primary
        .process()
        .wait_for_stderr("the command in the log", LIMIT, |line| {
            line.contains("warning") && line.contains(&command)
        })
        .unwrap();
}

fn unfinished_checksums_are_counted_and_the_remedy_is_named_and_works(family: Family) {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[family]).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let no_hint = primary.ctl_json(&["link", "show", TwoHosts::PORT_A]).unwrap();
    assert!(no_hint[0]["offload_hint"].is_null(), "{no_hint}");
    let ends = [(&hosts.host_a, "eth0"), (&hosts.gateway, TwoHosts::PORT_A)];
    for (namespace, link) in ends {
        namespace.set_offloads(link, true).unwrap();
    }
    let mut server = hosts
        .host_b
        .process("receives TCP", "iperf3")
        .args(["-s", "--forceflush"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();

    // Ping works, TCP does not.
    let pings = hosts.host_a.ping(family.address_b(), &PING, LIMIT);
    assert!(pings.unwrap().all_answered());
    let tcp = |timeout: &str| {
        let words = [
            "iperf3",
            "-c",
            family.address_b(),
            "-n",
            "1M",
            "--connect-timeout",
            timeout,
        ];
        let captured = hosts.host_a.run_within(LIMIT, "sends TCP", &words).unwrap();
        captured.status.success()
    };
    assert!(!tcp("2000"), "TCP got through with unfinished checksums");
    let counters = primary.counters_at_rest().unwrap();
    assert!(counters.dropped("partial_checksum") > 0, "{:?}", counters.drops());
    assert_advised(&mut primary, TwoHosts::PORT_A, "partial_checksum");
    let other = primary.ctl_json(&["link", "show", TwoHosts::PORT_B]).unwrap();
    assert!(other[0]["offload_hint"].is_null(), "{other}");

    // What is advised helps.
    for (namespace, link) in ends {
        namespace.set_offloads(link, false).unwrap();
    }
    assert!(tcp("5000"));
}

fn packets_longer_than_the_mtu_are_counted_and_the_remedy_is_named(family: Family) {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[family]).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    // As segmentation offload would make them: longer than the gateway's interface takes. A port's start sets the
    // MTU of its link, so this comes after it.
    hosts.host_a.set_mtu("eth0", 1900).unwrap();
    hosts.gateway.set_mtu(TwoHosts::PORT_A, 1900).unwrap();
    let pings = hosts.host_a.ping(family.address_b(), &PING, LIMIT);
    assert!(pings.unwrap().all_answered());
    let mut long = PING.to_vec();
    long.extend(["-M", "do", "-s", "1600"]);
    let pings = hosts.host_a.ping(family.address_b(), &long, LIMIT).unwrap();
    assert_eq!((pings.sent, pings.answered), (5, 0));
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [("oversize", 5)].into());
    assert_advised(&mut primary, TwoHosts::PORT_A, "oversize");
}
