//! Hosts on the links: asked for, late, dead, moved to another card, set by hand.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Namespace, Pings, Primary, Privilege, Receiver, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// An address of host-b's link that nobody has.
const NOBODY: &str = "192.168.2.77";

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

/// Whether the kernel of `host` answers ARP requests for its addresses.
fn answer_arp(host: &Namespace, answers: bool) {
    // 8: for no local address.
    let value = if answers { "0" } else { "8" };
    host.set_sysctls(&[("net/ipv4/conf/all/arp_ignore", value)])
        .unwrap();
}

/// What `neigh show` has of an address; `None` when it has nothing.
fn neighbor(primary: &Primary, address: &str) -> Option<Value> {
    let all = primary.ctl_json(&["neigh", "show"]).unwrap();
    let all = all.as_array().unwrap();
    all.iter()
        .find(|neighbor| neighbor["address"] == address)
        .cloned()
}

fn wait_for_state(primary: &Primary, address: &str, state: &str) -> Value {
    wait_until(&format!("{address} {state}"), LIMIT, || {
        Ok(neighbor(primary, address).filter(|neighbor| neighbor["state"] == state))
    })
    .unwrap()
}

fn ping(host: &Namespace, to: &str) -> Pings {
    host.ping(to, &["-c", "5", "-i", "0.01", "-W", "1"], LIMIT)
        .unwrap()
}

/// tcpdump in `host`, once it listens: prints ARP packets with their Ethernet addresses.
fn arp_packets(host: &Namespace) -> tests::Process {
    let mut tcpdump = host
        .process("listens to ARP", "tcpdump")
        .args(["-l", "--immediate-mode", "-n", "-e", "-i", "eth0", "arp"])
        .start()
        .unwrap();
    tcpdump
        .wait_for_stderr("that it listens", LIMIT, |line| line.contains("listening on"))
        .unwrap();
    tcpdump
}

/// Whether tcpdump printed a gratuitous ARP packet of `mac` for `address`: RFC 5227 calls it an announcement.
fn announces(line: &str, mac: &str, address: &str) -> bool {
    let from_it = line.contains(&format!("{mac} > ff:ff:ff:ff:ff:ff"));
    let older = format!("who-has {address} tell {address},");
    from_it && (line.contains(&format!("Announcement {address},")) || line.contains(&older))
}

fn port_mac(primary: &Primary, port: &str) -> String {
    let link = primary.ctl_json(&["link", "show", port]).unwrap();
    link[0]["mac"].as_str().unwrap().to_owned()
}

#[test]
fn packets_wait_for_a_late_neighbor_and_arrive_in_order() {
    let hosts = hosts();
    answer_arp(&hosts.host_b, false);
    let primary = hosts.primary("gw").start().unwrap();
    // Host-a's own kernel has nothing to wait for.
    ping(&hosts.host_a, TwoHosts::GATEWAY_A).assert_all_answered();
    let address = format!("{}:4789", TwoHosts::ADDRESS_B);
    let receiver = Receiver::start(&hosts.host_b, &address, 1, 20).unwrap();
    receiver.send_from(&hosts.host_a, 64, 1000).unwrap();
    wait_until("20 packets that wait", LIMIT, || {
        let waiting = primary.counters()?.sum(|interface| interface.waiting);
        Ok((waiting == 20).then_some(()))
    })
    .unwrap();
    assert_eq!(
        neighbor(&primary, TwoHosts::ADDRESS_B).unwrap()["state"],
        "incomplete"
    );

    answer_arp(&hosts.host_b, true);
    let total = receiver.report(LIMIT).unwrap().total;
    assert_eq!(
        (total.received, total.lost, total.duplicates, total.out_of_order),
        (20, 0, 0, 0)
    );
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(
        (counters.sum(|interface| interface.waiting), counters.drops()),
        (0, [].into())
    );
    assert_eq!(
        neighbor(&primary, TwoHosts::ADDRESS_B).unwrap()["state"],
        "reachable"
    );
}

#[test]
fn packets_behind_those_that_wait_do_not_overtake_them() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let address = format!("{}:4789", TwoHosts::ADDRESS_B);
    ping(&hosts.host_a, TwoHosts::ADDRESS_B).assert_all_answered();
    let mut full = 0;
    for round in 0..10 {
        let delete = ["neigh", "del", TwoHosts::ADDRESS_B, "dev", TwoHosts::PORT_B];
        primary.ctl(&delete).unwrap().success().unwrap();
        let receiver = Receiver::start(&hosts.host_b, &address, 16, 1000).unwrap();
        // Packets keep coming while the neighbour is asked, and while those that waited leave.
        receiver.send_from(&hosts.host_a, 64, 20_000).unwrap();
        let total = receiver.report(LIMIT).unwrap().total;
        let counters = primary.counters_at_rest().unwrap();
        // A busy host answers late, and finds more packets waiting than are kept.
        let lost = u64::from(total.lost) + full;
        full = counters.dropped("neighbor_queue_full");
        assert_eq!(
            (total.out_of_order, total.duplicates, lost),
            (0, 0, full),
            "in round {round}: {total:?}; drops: {:?}",
            counters.drops()
        );
        assert!(total.received > 0, "in round {round}");
    }
}

#[test]
fn packets_for_a_dead_neighbor_are_dropped_and_counted() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    assert_eq!(ping(&hosts.host_a, NOBODY).answered, 0);
    wait_for_state(&primary, NOBODY, "failed");
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("neighbor_failed"), 5, "{:?}", counters.drops());
    assert_eq!(counters.sum(|interface| interface.waiting), 0);
    // One that lives is not held up by one that does not.
    ping(&hosts.host_a, TwoHosts::ADDRESS_B).assert_all_answered();

    // It comes to life: asked again, it is found.
    hosts.host_b.add_address("eth0", &format!("{NOBODY}/24")).unwrap();
    wait_until("an answer of one that was dead", LIMIT, || {
        Ok(ping(&hosts.host_a, NOBODY).all_answered().then_some(()))
    })
    .unwrap();
}

#[test]
fn more_packets_than_are_kept_for_a_neighbor_are_counted() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let words = ["-c", "200", "-i", "0.002", "-W", "0.1"];
    assert_eq!(hosts.host_a.ping(NOBODY, &words, LIMIT).unwrap().answered, 0);
    wait_for_state(&primary, NOBODY, "failed");
    let counters = primary.counters_at_rest().unwrap();
    let (full, failed) = (
        counters.dropped("neighbor_queue_full"),
        counters.dropped("neighbor_failed"),
    );
    assert_eq!(full + failed, 200, "{:?}", counters.drops());
    assert!((1..=64).contains(&failed), "{:?}", counters.drops());
}

#[test]
fn a_neighbor_that_changes_its_mac_is_followed() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts.host_a, TwoHosts::ADDRESS_B).assert_all_answered();
    let before = hosts.host_b.mac("eth0").unwrap();
    assert_eq!(
        wait_for_state(&primary, TwoHosts::ADDRESS_B, "reachable")["mac"],
        before
    );

    // The kernel of host-b announces the change.
    hosts
        .host_b
        .set_sysctls(&[("net/ipv4/conf/eth0/arp_notify", "1")])
        .unwrap();
    let after = "02:00:00:00:02:99";
    hosts.host_b.set_mac("eth0", after).unwrap();
    wait_until("the new MAC address", Duration::from_secs(2), || {
        let neighbor = neighbor(&primary, TwoHosts::ADDRESS_B);
        Ok(neighbor.filter(|neighbor| neighbor["mac"] == after))
    })
    .unwrap();
    ping(&hosts.host_a, TwoHosts::ADDRESS_B).assert_all_answered();
}

#[test]
fn addresses_are_announced_when_the_primary_starts_and_when_they_come() {
    let hosts = hosts();
    let mut tcpdump = arp_packets(&hosts.host_a);
    let primary = hosts.primary("gw").start().unwrap();
    let mac = port_mac(&primary, TwoHosts::PORT_A);
    assert_eq!(mac, hosts.gateway.mac(TwoHosts::PORT_A).unwrap());
    tcpdump
        .wait_for_stdout("the address of the configuration", LIMIT, |line| {
            announces(line, &mac, TwoHosts::GATEWAY_A)
        })
        .unwrap();

    // host-a has an old idea of who has the next one.
    let other = "192.168.1.9";
    let stale = [
        "ip",
        "neighbor",
        "replace",
        other,
        "dev",
        "eth0",
        "lladdr",
        "02:00:00:00:00:99",
        "nud",
        "stale",
    ];
    hosts.host_a.run("remembers a neighbour", &stale).unwrap();
    let add = ["addr", "add", "192.168.1.9/24", "dev", TwoHosts::PORT_A];
    primary.ctl(&add).unwrap().success().unwrap();
    tcpdump
        .wait_for_stdout("the new address", LIMIT, |line| announces(line, &mac, other))
        .unwrap();
    ping(&hosts.host_a, other).assert_all_answered();
    let known = hosts
        .host_a
        .run("reads neighbours", &["ip", "neighbor", "show", other])
        .unwrap();
    assert!(known.stdout.contains(&mac), "{}", known.stdout);

    let delete = ["addr", "del", "192.168.1.9/24", "dev", TwoHosts::PORT_A];
    primary.ctl(&delete).unwrap().success().unwrap();
    assert_eq!(ping(&hosts.host_a, other).answered, 0);
}

#[test]
fn a_permanent_neighbor_is_never_asked_and_never_changed() {
    let hosts = hosts();
    answer_arp(&hosts.host_b, false);
    let mut tcpdump = arp_packets(&hosts.host_b);
    let mac = hosts.host_b.mac("eth0").unwrap();
    let primary = hosts
        .primary("gw")
        .neighbor(TwoHosts::ADDRESS_B, &mac, TwoHosts::PORT_B)
        .start()
        .unwrap();
    ping(&hosts.host_a, TwoHosts::ADDRESS_B).assert_all_answered();
    let known = neighbor(&primary, TwoHosts::ADDRESS_B).unwrap();
    assert_eq!(
        (&known["state"], &known["mac"]),
        (&"permanent".into(), &mac.as_str().into())
    );
    tcpdump.terminate().unwrap();
    let asked = format!("who-has {} tell", TwoHosts::ADDRESS_B);
    assert!(!tcpdump.stdout().contains(&asked), "{}", tcpdump.stdout());

    // Set by an operator to a MAC address that nobody has: host-b's own requests do not change it.
    let nobody = "02:00:00:00:00:99";
    let add = [
        "neigh",
        "add",
        TwoHosts::ADDRESS_B,
        "mac",
        nobody,
        "dev",
        TwoHosts::PORT_B,
    ];
    primary.ctl(&add).unwrap().success().unwrap();
    let forget = ["ip", "neighbor", "flush", "dev", "eth0"];
    hosts.host_b.run("forgets its neighbours", &forget).unwrap();
    assert_eq!(ping(&hosts.host_b, TwoHosts::ADDRESS_A).answered, 0);
    assert_eq!(neighbor(&primary, TwoHosts::ADDRESS_B).unwrap()["mac"], nobody);

    // Deleted, it is asked for as any other.
    let delete = ["neigh", "del", TwoHosts::ADDRESS_B, "dev", TwoHosts::PORT_B];
    primary.ctl(&delete).unwrap().success().unwrap();
    answer_arp(&hosts.host_b, true);
    ping(&hosts.host_a, TwoHosts::ADDRESS_B).assert_all_answered();
    assert_eq!(
        wait_for_state(&primary, TwoHosts::ADDRESS_B, "reachable")["mac"],
        mac
    );
}
