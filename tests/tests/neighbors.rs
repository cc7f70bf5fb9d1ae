//! Hosts on the links: asked for, late, dead, moved to another card, set by hand.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Family, Namespace, Pings, Primary, Privilege, Receiver, TwoHosts, both_families, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

fn hosts(family: Family) -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &[family]).unwrap()
}

both_families! {
    packets_wait_for_a_late_neighbor_and_arrive_in_order,
    packets_behind_those_that_wait_do_not_overtake_them,
    packets_for_a_dead_neighbor_are_dropped_and_counted,
    more_packets_than_are_kept_for_a_neighbor_are_counted,
    a_flood_of_unknown_neighbors_holds_up_nobody_who_is_known,
    a_flood_of_unknown_neighbors_takes_no_place_of_another_ports_new_ones,
    a_neighbor_that_changes_its_mac_is_followed,
    addresses_are_announced_when_the_primary_starts_and_when_they_come,
    a_permanent_neighbor_is_never_asked_and_never_changed,
    details_show_the_link_header_and_the_routes_that_rest_on_it,
}

/// Whether host-b answers who asks for its address. It has the address in any case.
fn answer(hosts: &TwoHosts, family: Family, answers: bool) {
    let host = &hosts.host_b;
    match family {
        // 8: for no local address.
        Family::Ip4 => {
            let value = if answers { "0" } else { "8" };
            host.set_sysctls(&[("net/ipv4/conf/all/arp_ignore", value)])
                .unwrap();
        }
        // One that is another link's is answered for there alone.
        Family::Ip6 => {
            let (address, alone) = (
                family.in_subnet(family.address_b()),
                family.alone(family.address_b()),
            );
            if answers {
                host.add_address("eth0", &address).unwrap();
                host.delete_address("lo", &alone).unwrap();
            } else {
                host.add_address("lo", &alone).unwrap();
                host.delete_address("eth0", &address).unwrap();
            }
        }
    }
}

/// What `neigh show` has of an address; `None` when it has nothing.
fn neighbor(primary: &Primary, address: &str) -> Option<Value> {
    let all = primary.ctl_json(&["neigh", "show"]).unwrap();
    let mut all = all.as_array().unwrap().iter();
    all.find(|neighbor| neighbor["address"] == address).cloned()
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

/// tcpdump in `host`, once it listens: prints ARP and neighbour discovery packets with their Ethernet addresses.
fn discovery_packets(host: &Namespace) -> tests::Process {
    let filter = "arp or (icmp6 and (ip6[40] == 135 or ip6[40] == 136))";
    let mut tcpdump = host
        .process("listens to neighbour discovery", "tcpdump")
        .args(["-l", "--immediate-mode", "-n", "-e", "-i", "eth0", filter])
        .start()
        .unwrap();
    tcpdump
        .wait_for_stderr("that it listens", LIMIT, |line| line.contains("listening on"))
        .unwrap();
    tcpdump
}

/// Whether tcpdump printed that `mac` says unasked and to everybody that it has `address`: by gratuitous ARP, which RFC 5227
/// calls an announcement, or by an advertisement.
fn announces(line: &str, mac: &str, address: &str) -> bool {
    let to_all = |group: &str| line.contains(&format!("{mac} > {group}"));
    let older = format!("who-has {address} tell {address},");
    let by_arp = line.contains(&format!("Announcement {address},")) || line.contains(&older);
    let by_nd = line.contains(&format!(
        " > ff02::1: ICMP6, neighbor advertisement, tgt is {address},"
    ));
    (by_arp && to_all("ff:ff:ff:ff:ff:ff")) || (by_nd && to_all("33:33:00:00:00:01"))
}

/// Whether tcpdump printed that somebody asked for `address`.
fn asks(line: &str, address: &str) -> bool {
    line.contains(&format!("who-has {address} tell"))
        || line.contains(&format!("neighbor solicitation, who has {address},"))
}

/// Packets that were dropped, by reason, without those with which the kernel of a host whose addresses change says which groups
/// it is in.
fn drops(counters: &tests::Counters, family: Family) -> std::collections::BTreeMap<&str, u64> {
    let mut drops = counters.drops();
    if family == Family::Ip6 {
        drops.remove("ip6_multicast");
    }
    drops
}

fn port_mac(primary: &Primary, port: &str) -> String {
    let link = primary.ctl_json(&["link", "show", port]).unwrap();
    link[0]["mac"].as_str().unwrap().to_owned()
}

fn packets_wait_for_a_late_neighbor_and_arrive_in_order(family: Family) {
    let hosts = hosts(family);
    answer(&hosts, family, false);
    let primary = hosts.primary("gw").start().unwrap();
    // Host-a's own kernel has nothing to wait for.
    ping(&hosts.host_a, family.gateway_a()).assert_all_answered();
    let address = family.socket(family.address_b(), 4789);
    let receiver = Receiver::start(&hosts.host_b, &address, 1, 20).unwrap();
    receiver.send_from(&hosts.host_a, 64, 1000).unwrap();
    wait_until("20 packets that wait", LIMIT, || {
        let waiting = primary.counters()?.sum(|interface| interface.waiting);
        Ok((waiting == 20).then_some(()))
    })
    .unwrap();
    assert_eq!(
        neighbor(&primary, family.address_b()).unwrap()["state"],
        "incomplete"
    );

    answer(&hosts, family, true);
    let total = receiver.report(LIMIT).unwrap().total;
    assert_eq!(
        (total.received, total.lost, total.duplicates, total.out_of_order),
        (20, 0, 0, 0)
    );
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(
        (
            counters.sum(|interface| interface.waiting),
            drops(&counters, family)
        ),
        (0, [].into())
    );
    counters.assert_balanced();
    assert_eq!(
        neighbor(&primary, family.address_b()).unwrap()["state"],
        "reachable"
    );
}

fn packets_behind_those_that_wait_do_not_overtake_them(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let address = family.socket(family.address_b(), 4789);
    ping(&hosts.host_a, family.address_b()).assert_all_answered();
    let mut full = 0;
    for round in 0..10 {
        let delete = ["neigh", "del", family.address_b(), "dev", TwoHosts::PORT_B];
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

fn packets_for_a_dead_neighbor_are_dropped_and_counted(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    assert_eq!(ping(&hosts.host_a, family.nobody()).answered, 0);
    wait_for_state(&primary, family.nobody(), "failed");
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("neighbor_failed"), 5, "{:?}", counters.drops());
    assert_eq!(counters.sum(|interface| interface.waiting), 0);
    // One that lives is not held up by one that does not.
    ping(&hosts.host_a, family.address_b()).assert_all_answered();

    // It comes to life: asked again, it is found.
    hosts
        .host_b
        .add_address("eth0", &family.in_subnet(family.nobody()))
        .unwrap();
    wait_until("an answer of one that was dead", LIMIT, || {
        Ok(ping(&hosts.host_a, family.nobody()).all_answered().then_some(()))
    })
    .unwrap();
}

fn more_packets_than_are_kept_for_a_neighbor_are_counted(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let words = ["-c", "200", "-i", "0.002", "-W", "0.1"];
    assert_eq!(
        hosts
            .host_a
            .ping(family.nobody(), &words, LIMIT)
            .unwrap()
            .answered,
        0
    );
    wait_for_state(&primary, family.nobody(), "failed");
    let counters = primary.counters_at_rest().unwrap();
    let (full, failed) = (
        counters.dropped("neighbor_queue_full"),
        counters.dropped("neighbor_failed"),
    );
    assert_eq!(full + failed, 200, "{:?}", counters.drops());
    assert!((1..=64).contains(&failed), "{:?}", counters.drops());
    counters.assert_balanced();
}

/// Packets from host-a for so many hosts of host-b's subnet that are not there that a worker cannot wait for all.
fn flood(hosts: &TwoHosts, primary: &Primary, family: Family) {
    let a = hosts.host_a.mac("eth0").unwrap();
    let gateway = port_mac(primary, TwoHosts::PORT_A);
    let (header, subnet) = family.choose(("IP", "192.168.2."), ("IPv6", "2001:db8:2::1:"));
    let flood = format!(
        "[Ether(src='{a}', dst='{gateway}')/{header}(src='{}', dst=f'{subnet}{{10 + n % 200}}')/UDP(dport=9) for n in range(2000)]",
        family.address_a()
    );
    hosts.host_a.send_frames("eth0", &[flood]).unwrap();
}

/// Waits until nobody is waited for any more; every packet of the flood is dropped then, and nothing else.
fn assert_flood_is_dropped(primary: &Primary) {
    let counters = wait_until("the end of what waits", LIMIT, || {
        let counters = primary.counters_at_rest()?;
        Ok((counters.sum(|interface| interface.waiting) == 0).then_some(counters))
    })
    .unwrap();
    let unknown = counters.dropped("neighbor_failed") + counters.dropped("neighbor_queue_full");
    assert_eq!(unknown, 2000, "{:?}", counters.drops());
    counters.assert_balanced();
}

fn a_flood_of_unknown_neighbors_holds_up_nobody_who_is_known(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts.host_a, family.address_b()).assert_all_answered();
    let known = wait_for_state(&primary, family.address_b(), "reachable");

    let words = ["-i", "0.005", "-c", "400", "-W", "2"];
    let pings = tests::Pinger::start(&hosts.host_a, family.address_b(), &words).unwrap();
    flood(&hosts, &primary, family);
    pings.finish(LIMIT).unwrap().assert_all_answered();
    assert_flood_is_dropped(&primary);
    let still_known = neighbor(&primary, family.address_b()).unwrap();
    assert_eq!(still_known["mac"], known["mac"]);
}

fn a_flood_of_unknown_neighbors_takes_no_place_of_another_ports_new_ones(family: Family) {
    let (hosts, new) = (hosts(family), family.in_subnet(family.spare_a()));
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts.host_b, family.gateway_b()).assert_all_answered();
    hosts.host_a.add_address("eth0", &new).unwrap();
    flood(&hosts, &primary, family);
    wait_until("that all places are taken", LIMIT, || {
        Ok((primary.counters()?.dropped("neighbor_queue_full") > 0).then_some(()))
    })
    .unwrap();
    // They stay so for seconds, as nobody answers.
    assert_eq!(neighbor(&primary, family.spare_a()), None);
    ping(&hosts.host_b, family.spare_a()).assert_all_answered();
    assert_flood_is_dropped(&primary);
}

fn a_neighbor_that_changes_its_mac_is_followed(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts.host_a, family.address_b()).assert_all_answered();
    let before = hosts.host_b.mac("eth0").unwrap();
    assert_eq!(
        wait_for_state(&primary, family.address_b(), "reachable")["mac"],
        before
    );

    // The kernel of host-b announces the change.
    hosts
        .host_b
        .set_sysctls(&[
            ("net/ipv4/conf/eth0/arp_notify", "1"),
            ("net/ipv6/conf/eth0/ndisc_notify", "1"),
        ])
        .unwrap();
    let after = "02:00:00:00:02:99";
    hosts.host_b.set_mac("eth0", after).unwrap();
    wait_until("the new MAC address", Duration::from_secs(2), || {
        let neighbor = neighbor(&primary, family.address_b());
        Ok(neighbor.filter(|neighbor| neighbor["mac"] == after))
    })
    .unwrap();
    ping(&hosts.host_a, family.address_b()).assert_all_answered();
}

fn addresses_are_announced_when_the_primary_starts_and_when_they_come(family: Family) {
    let hosts = hosts(family);
    let mut tcpdump = discovery_packets(&hosts.host_a);
    let primary = hosts.primary("gw").start().unwrap();
    let mac = port_mac(&primary, TwoHosts::PORT_A);
    assert_eq!(mac, hosts.gateway.mac(TwoHosts::PORT_A).unwrap());
    tcpdump
        .wait_for_stdout("the address of the configuration", LIMIT, |line| {
            announces(line, &mac, family.gateway_a())
        })
        .unwrap();

    // host-a has an old idea of who has the next one.
    let other = family.spare_a();
    let with_length = family.in_subnet(other);
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
    let add = ["addr", "add", &with_length, "dev", TwoHosts::PORT_A];
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

    let delete = ["addr", "del", &with_length, "dev", TwoHosts::PORT_A];
    primary.ctl(&delete).unwrap().success().unwrap();
    assert_eq!(ping(&hosts.host_a, other).answered, 0);
}

fn a_permanent_neighbor_is_never_asked_and_never_changed(family: Family) {
    let hosts = hosts(family);
    answer(&hosts, family, false);
    let mut tcpdump = discovery_packets(&hosts.host_b);
    let mac = hosts.host_b.mac("eth0").unwrap();
    let primary = hosts
        .primary("gw")
        .neighbor(family.address_b(), &mac, TwoHosts::PORT_B)
        .start()
        .unwrap();
    ping(&hosts.host_a, family.address_b()).assert_all_answered();
    let known = neighbor(&primary, family.address_b()).unwrap();
    assert_eq!(
        (&known["state"], &known["mac"]),
        (&"permanent".into(), &mac.as_str().into())
    );
    tcpdump.terminate().unwrap();
    let asked = |line: &str| asks(line, family.address_b());
    assert!(!tcpdump.stdout().lines().any(asked), "{}", tcpdump.stdout());

    // Set by an operator to a MAC address that nobody has: host-b's own requests do not change it.
    let nobody = "02:00:00:00:00:99";
    let add = [
        "neigh",
        "add",
        family.address_b(),
        "mac",
        nobody,
        "dev",
        TwoHosts::PORT_B,
    ];
    primary.ctl(&add).unwrap().success().unwrap();
    answer(&hosts, family, true);
    let forget = ["ip", "neighbor", "flush", "dev", "eth0"];
    hosts.host_b.run("forgets its neighbours", &forget).unwrap();
    assert_eq!(ping(&hosts.host_b, family.address_a()).answered, 0);
    assert_eq!(neighbor(&primary, family.address_b()).unwrap()["mac"], nobody);

    // Deleted, it is asked for as any other.
    let delete = ["neigh", "del", family.address_b(), "dev", TwoHosts::PORT_B];
    primary.ctl(&delete).unwrap().success().unwrap();
    ping(&hosts.host_a, family.address_b()).assert_all_answered();
    assert_eq!(
        wait_for_state(&primary, family.address_b(), "reachable")["mac"],
        mac
    );
}

fn details_show_the_link_header_and_the_routes_that_rest_on_it(family: Family) {
    let hosts = hosts(family);
    let (first, second) = family.choose(
        ("10.1.0.0/16", "10.2.0.0/16"),
        ("2001:db8:a1::/48", "2001:db8:a2::/48"),
    );
    let primary = hosts
        .primary("gw")
        .route(first, family.address_b())
        .route(second, family.address_b())
        .start()
        .unwrap();
    assert!(ping(&hosts.host_a, family.address_b()).all_answered());
    let words = ["neigh", "show", "--details", family.address_b()];
    let shown = primary.ctl_json(&words).unwrap();
    let details = &shown[0];
    let interfaces = primary.ctl_json(&["link", "show", TwoHosts::PORT_B]).unwrap();
    let own = interfaces[0]["mac"].as_str().unwrap();
    let digits = |mac: &str| mac.replace(':', "");
    let header = format!(
        "{}{}{}",
        digits(&hosts.host_b.mac("eth0").unwrap()),
        digits(own),
        family.choose("0800", "86dd")
    );
    assert_eq!(details["rewrite"], *header, "{details}");
    assert_eq!(
        (&details["mtu"], &details["interface"]),
        (&1500.into(), &TwoHosts::PORT_B.into())
    );
    assert_eq!(details["routes"], 2, "{details}");
    assert_eq!(
        details["prefixes"],
        serde_json::json!([first, second]),
        "{details}"
    );
    assert!(details["adjacency"].as_u64() > Some(0), "{details}");
}
