//! `trace` and `stage show`: which way packets went, one by one and in sums.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Family, Primary, Privilege, Receiver, TwoHosts, both_families, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// Where packets come from, and where they end.
const ENDS: [&str; 9] = [
    "rx",
    "released",
    "from_tool",
    "tx",
    "waiting",
    "control",
    "tool",
    "kernel",
    "drop",
];

fn hosts(family: Family) -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &[family]).unwrap()
}

both_families! {
    each_trace_ends_where_its_packet_went,
    fragments_are_followed_until_they_are_whole,
    filter_interface_and_number_are_kept_to,
    a_trace_under_load_takes_what_it_was_asked_for_and_no_packet_suffers,
    what_goes_into_a_stage_comes_out_of_it,
}

fn start(primary: &Primary, words: &[&str]) {
    primary
        .ctl(&[&["trace", "start"], words].concat())
        .unwrap()
        .success()
        .unwrap();
}

fn traces(primary: &Primary) -> Vec<Value> {
    primary
        .ctl_json(&["trace", "show"])
        .unwrap()
        .as_array()
        .unwrap()
        .clone()
}

/// The traces, once there are so many.
fn wait_for(primary: &Primary, count: usize) -> Vec<Value> {
    let enough = || Ok(Some(traces(primary)).filter(|traces| traces.len() >= count));
    wait_until("the packets are traced", LIMIT, enough).unwrap()
}

fn stages(trace: &Value) -> Vec<&str> {
    let stages = trace["stages"].as_array().unwrap().iter();
    stages.map(|stage| stage["stage"].as_str().unwrap()).collect()
}

fn last(trace: &Value) -> &Value {
    trace["stages"].as_array().unwrap().last().unwrap()
}

/// One ping of which nothing need come back.
fn ping(hosts: &TwoHosts, to: &str, words: &[&str]) {
    let mut all = vec!["ping", "-n", "-c", "1", "-W", "1"];
    all.extend(words);
    all.push(to);
    drop(hosts.host_a.run_within(LIMIT, "pings", &all).unwrap());
}

fn each_trace_ends_where_its_packet_went(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts, family.address_b(), &[]);
    let [first, second] = [TwoHosts::PORT_A, TwoHosts::PORT_B].map(str::to_owned);
    let (input, local) = family.choose(("ip4_input", "local4"), ("ip6_input", "local6"));
    let filter = family.choose("icmp[icmptype] == icmp-echo", "icmp6 and ip6[40] == 128");
    start(&primary, &["-n", "20", "-i", &first, "-f", filter]);

    ping(&hosts, family.address_b(), &[]);
    ping(&hosts, family.gateway_a(), &[]);
    ping(&hosts, family.address_b(), &["-t", "1"]);
    ping(&hosts, family.nowhere(), &[]);
    ping(&hosts, family.nobody(), &[]);
    let traced = wait_for(&primary, 5);
    let [through, here, expired, no_route, waits] = [0, 1, 2, 3, 4].map(|number| &traced[number]);
    assert_eq!(
        stages(through),
        ["rx", "ethernet", input, "lookup", "rewrite", "tx"],
        "{through}"
    );
    assert_eq!(last(through)["interface"], *second);
    assert_eq!(through["interface"], *first);
    let rewritten = &through["stages"][4];
    let left = family.choose("ttl", "hop_limit");
    assert_eq!(rewritten[left], 63, "{through}");
    assert_eq!(through["stages"][2][left], 64, "{through}");
    assert_eq!(through["stages"][3]["next_hop"], family.address_b(), "{through}");

    assert_eq!(
        stages(here),
        ["rx", "ethernet", input, "lookup", local, "tx"],
        "{here}"
    );
    assert_eq!(last(here)["interface"], *first);
    assert_eq!(
        stages(expired),
        ["rx", "ethernet", input, "lookup", "rewrite", "errors", "tx"],
        "{expired}"
    );
    assert_eq!(last(expired)["dropped"], "ttl_expired");
    assert_eq!(last(expired)["interface"], *first);
    assert_eq!(
        stages(no_route),
        ["rx", "ethernet", input, "lookup", "errors", "tx"],
        "{no_route}"
    );
    assert_eq!(last(no_route)["dropped"], "no_route");
    assert_eq!(
        stages(waits),
        ["rx", "ethernet", input, "lookup", "waiting"],
        "{waits}"
    );
    assert_eq!(
        (&last(waits)["for"], &last(waits)["on"]),
        (&family.nobody().into(), &second.as_str().into()),
        "{waits}"
    );
    for trace in &traced {
        let offsets = trace["stages"].as_array().unwrap().iter();
        let offsets: Vec<_> = offsets
            .map(|stage| stage["offset_ns"].as_u64().unwrap())
            .collect();
        assert!(offsets.is_sorted() && offsets[0] == 0, "{trace}");
    }
    let text = primary.ctl(&["trace"]).unwrap().success().unwrap().stdout;
    assert!(text.contains("dropped ttl_expired, icmp error sent"), "{text}");
    assert!(text.contains("of 20 packets"), "{text}");
    let cleared = primary.ctl(&["trace", "clear"]).unwrap();
    cleared.success().unwrap();
    assert_eq!(traces(&primary), Vec::<Value>::new());
}

fn filter_interface_and_number_are_kept_to(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let [_, second] = [TwoHosts::PORT_A, TwoHosts::PORT_B].map(str::to_owned);
    ping(&hosts, family.address_b(), &[]);
    start(
        &primary,
        &[
            "-n",
            "3",
            "-i",
            &second,
            "-f",
            family.choose("icmp", "icmp6[0] == 129"),
        ],
    );
    let words = ["-i", "0.01", "-c", "20", "-W", "2"];
    let pings = hosts.host_a.ping(family.address_b(), &words, LIMIT).unwrap();
    pings.assert_all_answered();
    let traced = wait_for(&primary, 3);
    assert_eq!(traced.len(), 3);
    for (number, trace) in (1..).zip(&traced) {
        assert_eq!(
            (&trace["packet"], &trace["interface"]),
            (&Value::from(number), &second.as_str().into())
        );
        assert!(
            trace["summary"].as_str().unwrap().contains("echo reply"),
            "{trace}"
        );
    }
    let text = primary.ctl(&["trace"]).unwrap().success().unwrap().stdout;
    assert!(text.contains("the trace is over"), "{text}");

    // What is wrong is refused and leaves what there is alone.
    for words in [
        &["-i", "nowhere"][..],
        &["-n", "0"],
        &["-n", "1001"],
        &["-f", "tcp prot"],
    ] {
        let refused = primary.ctl(&[&["trace", "start"], words].concat()).unwrap();
        assert!(!refused.status.success(), "{words:?}");
    }
    assert_eq!(traces(&primary), traced);
    // A trace that nothing matches can be stopped.
    start(&primary, &["-f", "tcp port 9"]);
    primary.ctl(&["trace", "stop"]).unwrap().success().unwrap();
    let text = primary.ctl(&["trace"]).unwrap().success().unwrap().stdout;
    assert!(
        text.contains("0 of 50 packets") && text.contains("is over"),
        "{text}"
    );
}

fn a_trace_under_load_takes_what_it_was_asked_for_and_no_packet_suffers(family: Family) {
    let hosts = hosts(family);
    let mut primary = hosts.primary("gw").start().unwrap();
    ping(&hosts, family.address_b(), &[]);
    let before = buffers_in_use(&primary);
    let waited = primary.workers_kept_waiting().unwrap();
    let (count, rate) = (240_000, 20_000);
    let address = family.socket(family.address_b(), 4789);
    let receiver = Receiver::start(&hosts.host_b, &address, 16, count).unwrap();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| receiver.send_from(&hosts.host_a, 64, rate).unwrap());
        for _ in 0..4 {
            start(&primary, &["-n", "200", "-f", "udp port 4789"]);
            assert_eq!(wait_for(&primary, 200).len(), 200);
        }
        // One that is not over when its packets end.
        start(&primary, &["-n", "1000", "-f", "udp port 9"]);
        load.join().unwrap();
    });
    let total = receiver.report(LIMIT).unwrap().total;
    let counters = primary.counters_at_rest().unwrap();
    // What the kernel drops in front of the port, while the worker does not get its CPU, no primary can save. The sender makes up for
    // waits of its own, so more may come in that time than its rate says.
    let waited = primary.workers_kept_waiting().unwrap() - waited;
    let came_meanwhile = 3.0 * waited.as_secs_f64() * f64::from(rate);
    assert!(
        f64::from(total.lost) <= came_meanwhile,
        "{total:?}, the worker waited {waited:?}"
    );
    let (_, came) = hosts.gateway.packets(TwoHosts::PORT_A).unwrap();
    let missed = came - counters.of(TwoHosts::PORT_A).unwrap().rx_packets;
    assert!(u64::from(total.lost) <= missed, "{total:?}, {missed} missed");
    assert_eq!(
        (total.received + total.lost, total.duplicates, total.out_of_order),
        (count, 0, 0)
    );
    counters.assert_balanced();
    assert_eq!(counters.drops(), [].into());
    // A leak of traced packets would be 800.
    let after = buffers_in_use(&primary);
    assert!(
        after <= before + 256,
        "{before} packet buffers were in use, now {after}"
    );
}

fn buffers_in_use(primary: &Primary) -> u64 {
    let memory = primary.ctl_json(&["memory", "show"]).unwrap();
    let parts = memory.as_array().unwrap();
    let pool = parts.iter().find(|part| part["part"] == "pool_packets");
    pool.unwrap()["used"].as_u64().unwrap()
}

fn fragments_are_followed_until_they_are_whole(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts, family.gateway_a(), &[]);
    let filter = family.choose("icmp", "ip6[6] == 44");
    start(&primary, &["-n", "3", "-i", TwoHosts::PORT_A, "-f", filter]);
    ping(&hosts, family.gateway_a(), &["-s", "4000"]);
    let traced = wait_for(&primary, 3);
    let (input, local) = family.choose(("ip4_input", "local4"), ("ip6_input", "local6"));
    for (trace, end) in traced.iter().zip(["waiting", "waiting", "tx"]) {
        assert_eq!(
            stages(trace),
            ["rx", "ethernet", input, "lookup", local, "reassembly", end],
            "{trace}"
        );
    }
    assert_eq!(last(&traced[0])["for"], "other fragments");
    assert_eq!(last(&traced[2])["interface"], TwoHosts::PORT_A);
}

fn what_goes_into_a_stage_comes_out_of_it(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    for to in [
        family.address_b(),
        family.gateway_a(),
        family.nowhere(),
        family.nobody(),
    ] {
        ping(&hosts, to, &["-s", "1000"]);
    }
    ping(&hosts, family.address_b(), &["-t", "1"]);
    let words = ["-i", "0.002", "-c", "200", "-W", "2"];
    let pings = hosts.host_a.ping(family.address_b(), &words, LIMIT).unwrap();
    pings.assert_all_answered();
    let counters = primary.counters_at_rest().unwrap();
    let shown = primary.ctl_json(&["stage", "show"]).unwrap();
    let stages = shown.as_array().unwrap();
    let into = |name: &str| {
        let next = stages.iter().filter_map(|stage| stage["next"][name].as_u64());
        next.sum::<u64>()
    };
    let of = |name: &str| stages.iter().find(|stage| stage["stage"] == name);
    for stage in stages {
        let name = stage["stage"].as_str().unwrap();
        let out: u64 = stage["next"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum();
        let packets = stage["packets"].as_u64().unwrap();
        assert!(stage["bursts"].as_u64().unwrap() <= packets, "{stage}");
        assert_eq!(packets, into(name).max(out), "{stage}");
        if !ENDS.contains(&name) {
            assert_eq!(into(name), out, "{name}: {shown}");
        }
    }
    let packets = |name: &str| of(name).map_or(0, |stage| stage["packets"].as_u64().unwrap());
    assert_eq!(packets("rx"), counters.sum(|interface| interface.rx_packets));
    assert_eq!(packets("control"), counters.sum(|interface| interface.delivered));
    // What is answered by an error goes through errors to tx and is no drop of this listing.
    let dropped: u64 = counters.drops().values().sum();
    let answered = counters.sum(|interface| interface.icmp_errors);
    assert_eq!(packets("drop") + answered, dropped, "{shown}");
    assert!(packets("rewrite") >= 400, "{shown}");
    assert_eq!(into("errors"), of("errors").unwrap()["packets"].as_u64().unwrap());
}
