//! The kernel beside the gateway: what its taps are like, and what runs on them.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{
    Family, Listener, Namespace, Primary, PrimaryBuilder, Privilege, TwoHosts, both_families, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);
/// The taps of ports a0 and b0.
const TAPS: [&str; 2] = ["k-a0", "k-b0"];

both_families! {
    tcp_to_the_gateway_ends_at_the_kernel,
    nobody_listens_and_the_kernel_says_so,
    fragments_come_to_the_kernel_as_one_packet,
    the_kernel_finds_its_neighbours_by_itself,
    pings_and_questions_are_answered_once_and_by_the_gateway,
}

fn hosts() -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap()
}

fn with_taps(hosts: &TwoHosts) -> PrimaryBuilder {
    let interfaces = hosts.interfaces().into_iter().zip(TAPS);
    interfaces.fold(hosts.portless("gw"), |builder, (interface, tap)| {
        builder.interface(interface.tap(tap))
    })
}

/// A link as `ip -json address` has it; null when there is none of that name.
fn link(namespace: &Namespace, name: &str) -> Value {
    let links = namespace.run("looks at links", &["ip", "-json", "-details", "address"]);
    let links = links.unwrap().json().unwrap();
    let found = links
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["ifname"] == name);
    found.cloned().unwrap_or_default()
}

/// Addresses of a link, as `ADDRESS/LENGTH`, sorted.
fn addresses(link: &Value) -> Vec<String> {
    let all = link["addr_info"].as_array().unwrap().iter();
    let mut all: Vec<_> = all
        .map(|info| {
            format!(
                "{}/{}",
                info["local"].as_str().unwrap(),
                info["prefixlen"].as_u64().unwrap()
            )
        })
        .collect();
    all.sort();
    all
}

/// The addresses that the gateway has on an interface, sorted.
fn gateways(primary: &Primary, interface: &str) -> Vec<String> {
    let shown = primary.ctl_json(&["addr", "show"]).unwrap();
    let mut all: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .filter(|address| address["interface"] == interface)
        .map(|address| address["address"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    all
}

fn has_flag(link: &Value, flag: &str) -> bool {
    link["flags"].as_array().unwrap().iter().any(|set| set == flag)
}

fn wait_for_tap(hosts: &TwoHosts, expected: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_until(expected, LIMIT, || {
        let tap = link(&hosts.gateway, TAPS[0]);
        Ok(is_so(&tap).then_some(tap))
    })
    .unwrap()
}

fn sum_of(primary: &Primary, counter: &str) -> u64 {
    let shown = primary.ctl_json(&["counter", "show"]).unwrap();
    let interfaces = shown.as_array().unwrap().iter();
    interfaces.map(|of| of[counter].as_u64().unwrap()).sum()
}

fn parameter(namespace: &Namespace, path: &str) -> String {
    let read = namespace.run(
        "reads a kernel parameter",
        &["cat", &format!("/proc/sys/net/{path}")],
    );
    read.unwrap().stdout.trim().to_owned()
}

#[test]
fn a_tap_is_like_its_interface_and_follows_it() {
    let hosts = hosts();
    let primary = with_taps(&hosts).start().unwrap();
    let port = link(&hosts.gateway, TwoHosts::PORT_A);
    let tap = link(&hosts.gateway, TAPS[0]);
    assert_eq!((&tap["address"], &tap["mtu"]), (&port["address"], &port["mtu"]));
    assert!(has_flag(&tap, "UP") && has_flag(&tap, "LOWER_UP"), "{tap}");
    let before = addresses(&tap);
    assert_eq!(before, gateways(&primary, TwoHosts::PORT_A));
    assert_eq!(before.len(), 3, "{before:?}");
    let shown = primary.ctl_json(&["link", "show", TwoHosts::PORT_A]).unwrap();
    assert_eq!(shown[0]["tap"], TAPS[0]);

    for address in ["192.168.7.1/24", "2001:db8:7::1/64"] {
        let words = |verb| ["addr", verb, address, "dev", TwoHosts::PORT_A];
        primary.ctl(&words("add")).unwrap().success().unwrap();
        wait_for_tap(&hosts, "the new address", |tap| {
            addresses(tap).iter().any(|has| has == address)
        });
        primary.ctl(&words("del")).unwrap().success().unwrap();
        wait_for_tap(&hosts, "the end of the address", |tap| addresses(tap) == before);
    }

    let set = |state| {
        primary
            .ctl(&["link", "set", TwoHosts::PORT_A, state])
            .unwrap()
            .success()
            .unwrap()
    };
    set("down");
    wait_for_tap(&hosts, "that it is down", |tap| !has_flag(tap, "UP"));
    set("up");
    wait_for_tap(&hosts, "that it is up with its addresses", |tap| {
        has_flag(tap, "UP") && addresses(tap) == before
    });
    hosts.host_a.set_up("eth0", false).unwrap();
    wait_for_tap(&hosts, "that it has no carrier", |tap| {
        has_flag(tap, "NO-CARRIER")
    });
    hosts.host_a.set_up("eth0", true).unwrap();
    wait_for_tap(&hosts, "that it has a carrier", |tap| has_flag(tap, "LOWER_UP"));
}

#[test]
fn taps_go_with_the_primary_however_it_ends() {
    let hosts = hosts();
    let silent = format!("ipv4/conf/{}/arp_ignore", TwoHosts::PORT_A);
    let mut primary = with_taps(&hosts).start().unwrap();
    assert_eq!(parameter(&hosts.gateway, &silent), "8");
    primary.terminate().unwrap();
    assert_eq!(link(&hosts.gateway, TAPS[0]), Value::Null);
    assert_eq!(parameter(&hosts.gateway, &silent), "0", "the device is as it was");
    let mut primary = with_taps(&hosts).start().unwrap();
    assert_ne!(link(&hosts.gateway, TAPS[0]), Value::Null);
    primary.kill();
    wait_for_tap(&hosts, "that it is gone", Value::is_null);
    let cleaned = primary.hugepage_setup(&["clean"]).unwrap();
    cleaned.success().unwrap();
}

#[test]
fn the_thread_of_the_taps_keeps_to_the_cpus_of_the_control_thread() {
    let hosts = hosts();
    let mut primary = with_taps(&hosts).start().unwrap();
    let tasks = format!("/proc/{}/task", primary.process().pid());
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = |name: &str| {
        let mut tasks = std::fs::read_dir(&tasks)
            .unwrap()
            .map(|task| task.unwrap().path());
        let task = tasks.find(|task| read(task.join("comm")).trim() == name).unwrap();
        let status = read(task.join("status"));
        let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
        line.unwrap().to_owned()
    };
    // The control thread is the main one, which has the name of the program.
    assert_eq!(cpus("taps"), cpus("tollgate-primar"));
}

#[test]
fn a_name_that_is_taken_is_refused_with_the_way_out() {
    let hosts = hosts();
    let words = ["ip", "link", "add", TAPS[0], "type", "veth"];
    hosts.gateway.run("takes the name", &words).unwrap();
    let refused = with_taps(&hosts).run_to_end().unwrap();
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("set tap_name"), "{}", refused.stderr);
}

fn tcp_to_the_gateway_ends_at_the_kernel(family: Family) {
    let hosts = hosts();
    let primary = with_taps(&hosts).start().unwrap();
    // From the link itself. For hosts farther away the kernel needs routes of its own.
    let mut server = hosts
        .gateway
        .process("receives TCP", "iperf3")
        .args(["-s", "--forceflush"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();
    for direction in [None, Some("-R")] {
        let mut words = vec!["iperf3", "-c", family.gateway_a(), "-n", "16M", "--json"];
        words.extend(direction);
        let sent = hosts.host_a.run_within(LIMIT, "sends TCP", &words).unwrap();
        let report = sent.success().unwrap().json().unwrap();
        // What was still under way when the sender was done is not in it.
        let received = report["end"]["sum_received"]["bytes"].as_u64().unwrap();
        assert!(received >= 8_000_000, "{report}");
    }
    assert!(sum_of(&primary, "tap_rx_packets") > 5000 && sum_of(&primary, "tap_tx_packets") > 5000);
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.dropped("local_unhandled"), 0);
}

fn nobody_listens_and_the_kernel_says_so(family: Family) {
    let hosts = hosts();
    let primary = with_taps(&hosts).start().unwrap();
    let connect = format!("exec 3<>/dev/tcp/{}/9", family.gateway_a());
    let refused = hosts
        .host_a
        .run_within(LIMIT, "knocks", &["timeout", "10", "bash", "-c", &connect])
        .unwrap();
    assert!(refused.stderr.contains("Connection refused"), "{refused:?}");
    let words = ["traceroute", "-n", "-q", "1", "-w", "2", family.gateway_a()];
    let traced = hosts.host_a.run("traces", &words).unwrap().stdout;
    let hops: Vec<_> = traced.lines().skip(1).collect();
    assert!(
        matches!(hops[..], [hop] if hop.contains(family.gateway_a())),
        "{traced}"
    );
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.sum(|interface| interface.icmp_errors), 0, "{counters:?}");
    counters.assert_balanced();
}

fn fragments_come_to_the_kernel_as_one_packet(family: Family) {
    let hosts = hosts();
    let primary = with_taps(&hosts).start().unwrap();
    let mut tap = Listener::start(&hosts.gateway, TAPS[0]).unwrap();
    let script = "import socket, sys\n\
                  to = socket.getaddrinfo(sys.argv[1], 9, type=socket.SOCK_DGRAM)[0]\n\
                  socket.socket(to[0], socket.SOCK_DGRAM).sendto(b'x' * 5000, to[4])";
    let words = ["python3", "-c", script, family.gateway_a()];
    let sent = hosts.host_a.run_within(LIMIT, "sends UDP", &words).unwrap();
    sent.success().unwrap();
    let headers = 14 + family.choose(20, 40) + 8;
    tap.wait_for("the whole packet", LIMIT, |frame| {
        frame.len() == headers + 5000 && frame.ends_with(&[b'x'; 5000])
    })
    .unwrap();
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.sum(|interface| interface.reassembled), 1);
    assert_eq!(counters.dropped("local_unhandled"), 0, "{counters:?}");
    assert_eq!(counters.sum(|interface| interface.icmp_errors), 0);
}

fn the_kernel_finds_its_neighbours_by_itself(family: Family) {
    let hosts = hosts();
    // Each port has a worker of its own where there are two CPUs.
    let primary = with_taps(&hosts).workers(2).start().unwrap();
    for address in [family.address_a(), family.address_b()] {
        let words = ["-c", "5", "-i", "0.2", "-W", "2"];
        let pings = hosts.gateway.ping(address, &words, LIMIT).unwrap();
        assert!(pings.all_answered(), "{address}: {pings:?}");
    }
    primary.counters_at_rest().unwrap().assert_balanced();
    let shown = primary.ctl_json(&["punt", "show"]).unwrap();
    let name = family.choose("arp", "nd");
    let class = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|class| class["class"] == name)
        .unwrap();
    assert_eq!(class["tool"], "control thread");
    assert!(class["seen"].as_u64() >= Some(2) && class["lost"] == 0, "{shown}");
}

#[test]
fn a_tap_that_somebody_removes_is_told_of_and_the_gateway_forwards_on() {
    let hosts = hosts();
    let mut primary = with_taps(&hosts).start().unwrap();
    hosts
        .gateway
        .run("removes a tap", &["ip", "link", "delete", TAPS[0]])
        .unwrap();
    primary
        .process()
        .wait_for_stderr("that it is lost", LIMIT, |line| {
            line.contains("tap") && line.contains("is lost")
        })
        .unwrap();
    let words = ["-c", "20", "-i", "0.01", "-W", "2"];
    hosts
        .host_a
        .ping(TwoHosts::ADDRESS_B, &words, LIMIT)
        .unwrap()
        .assert_all_answered();
    let knock = format!("printf x > /dev/udp/{}/9", TwoHosts::GATEWAY_A);
    hosts.host_a.run("knocks", &["bash", "-c", &knock]).unwrap();
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("kernel_refused"), 1, "{:?}", counters.drops());
    counters.assert_balanced();
}

fn pings_and_questions_are_answered_once_and_by_the_gateway(family: Family) {
    let hosts = hosts();
    // The kernel would have IPv6 on the devices beneath, too.
    for port in [TwoHosts::PORT_A, TwoHosts::PORT_B] {
        let switch = format!("net/ipv6/conf/{port}/disable_ipv6");
        hosts.gateway.set_sysctls(&[(&switch, "0")]).unwrap();
    }
    let primary = with_taps(&hosts).start().unwrap();
    let words = ["-c", "50", "-i", "0.01", "-W", "2"];
    for address in [family.gateway_a(), family.gateway_b()] {
        let pings = hosts.host_a.ping(address, &words, LIMIT).unwrap();
        // Duplicates would be odd.
        assert!(pings.all_answered() && pings.odd == 0, "{address}: {pings:?}");
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.sum(|interface| interface.echo_replies), 100);
    let asked = hosts
        .gateway
        .run(
            "reads what the kernel counted",
            &["cat", "/proc/net/snmp", "/proc/net/snmp6"],
        )
        .unwrap()
        .stdout;
    let mut icmp = asked.lines().filter(|line| line.starts_with("Icmp:"));
    let (names, values) = (icmp.next().unwrap(), icmp.next().unwrap());
    let echos = names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "InEchos");
    assert_eq!(echos.unwrap().1, "0", "the kernel was asked as well");
    let echos = asked.lines().find(|line| line.starts_with("Icmp6InEchos "));
    assert!(
        echos.unwrap().ends_with(" 0") || echos.unwrap().ends_with("\t0"),
        "{echos:?}"
    );
    if family == Family::Ip4 {
        let words = ["arping", "-c", "3", "-w", "5", "-I", "eth0", TwoHosts::GATEWAY_A];
        let answers = hosts.host_a.run("asks by ARP", &words).unwrap().stdout;
        assert!(answers.contains("Received 3 response(s)"), "{answers}");
    }
}

#[test]
fn a_flood_for_the_kernel_is_policed_and_forwarding_goes_on() {
    let hosts = hosts();
    let limits = "[[punt]]\nclass = \"kernel\"\nrate = 100\nburst = 50\n";
    let primary = with_taps(&hosts).toml(limits).start().unwrap();
    // The neighbours are known before.
    let words = ["-c", "1", "-W", "2"];
    hosts
        .host_a
        .ping(TwoHosts::ADDRESS_B, &words, LIMIT)
        .unwrap()
        .assert_all_answered();
    let before = sum_of(&primary, "tap_rx_packets");
    let began = std::time::Instant::now();
    let flood = format!(
        "exec 3<>/dev/udp/{}/9; for i in $(seq 20000); do printf flood >&3; done; true",
        TwoHosts::GATEWAY_B
    );
    let pings = std::thread::scope(|scope| {
        let flood = scope.spawn(|| hosts.host_b.run("floods", &["bash", "-c", &flood]).unwrap());
        let words = ["-c", "50", "-i", "0.02", "-W", "2"];
        let pings = hosts.host_a.ping(TwoHosts::ADDRESS_B, &words, LIMIT).unwrap();
        flood.join().unwrap();
        pings
    });
    pings.assert_all_answered();
    let counters = primary.counters_at_rest().unwrap();
    let most = 50 + 100 * (began.elapsed().as_secs() + 1);
    let taken = sum_of(&primary, "tap_rx_packets") - before;
    assert!((50..=most).contains(&taken), "{taken} of at most {most}");
    assert!(
        counters.dropped("kernel_policed") > 10_000,
        "{:?}",
        counters.drops()
    );
    counters.assert_balanced();
    let shown = primary.ctl_json(&["punt", "show"]).unwrap();
    let class = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|class| class["class"] == "kernel");
    let class = class.unwrap();
    assert_eq!(class["tool"], "kernel");
    assert_eq!(class["lost"], counters.dropped("kernel_policed"), "{shown}");
}
