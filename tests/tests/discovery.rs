//! Neighbour discovery: addresses that others have, neighbours that are seen, used and lost, link-local next hops.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use serde_json::Value;
use tests::{Family, Namespace, Pings, Primary, Privilege, Process, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
const IP6: Family = Family::Ip6;

fn hosts() -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &[IP6]).unwrap()
}

fn ping(host: &Namespace, to: &str) -> Pings {
    host.ping(to, &["-c", "5", "-i", "0.01", "-W", "1"], LIMIT)
        .unwrap()
}

/// `monitor`, from where it misses nothing.
fn monitor(primary: &Primary) -> Process {
    let mut monitor = primary.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("`subscribed`", LIMIT, |line| line.contains("subscribed"))
        .unwrap();
    monitor
}

/// Waits for the event `name` of which `is_it` holds.
fn wait_for_event(monitor: &mut Process, name: &str, is_it: impl Fn(&Value) -> bool) {
    monitor
        .wait_for_stdout(name, LIMIT, |line| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["event"] == name && is_it(&event)
        })
        .unwrap();
}

/// What `addr show` has of an address.
fn state(primary: &Primary, address: &str) -> Value {
    let all = primary.ctl_json(&["addr", "show"]).unwrap();
    let all = all.as_array().unwrap();
    let found = all.iter().find(|own| {
        let net = own["address"].as_str().unwrap();
        net.split_once('/').unwrap().0 == address
    });
    found.unwrap()["state"].clone()
}

/// The link-local address of a port of the gateway.
fn link_local(primary: &Primary, port: &str) -> String {
    let all = primary.ctl_json(&["addr", "show"]).unwrap();
    let mut nets = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|own| own["interface"] == port)
        .map(|own| own["address"].as_str().unwrap());
    let net = nets.find(|net| net.starts_with("fe80:")).unwrap();
    net.split_once('/').unwrap().0.to_owned()
}

#[test]
fn an_address_that_another_host_has_is_a_duplicate_and_stays_that_hosts() {
    let hosts = hosts();
    let spare = IP6.spare_a();
    hosts.host_a.add_address("eth0", &IP6.in_subnet(spare)).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let mut monitor = monitor(&primary);
    let with_length = IP6.in_subnet(spare);
    let add = ["addr", "add", &with_length, "dev", TwoHosts::PORT_A];
    primary.ctl(&add).unwrap().success().unwrap();
    wait_for_event(&mut monitor, "address_state", |event| {
        event["address"] == with_length.as_str() && event["state"] == "duplicate"
    });
    assert_eq!(state(&primary, spare), "duplicate");
    let mac = hosts.host_a.mac("eth0").unwrap();
    primary
        .process()
        .wait_for_stderr("who has it", LIMIT, |line| {
            line.contains("warning") && line.contains(&mac) && line.contains(spare)
        })
        .unwrap();

    // It is forwarded to, as any other host of the subnet.
    let before = primary.counters_at_rest().unwrap();
    ping(&hosts.host_b, spare).assert_all_answered();
    let counters = primary.counters_at_rest().unwrap();
    let replies = |counters: &tests::Counters| counters.sum(|interface| interface.echo_replies);
    assert_eq!(replies(&counters), replies(&before));
    counters.assert_balanced();
}

#[test]
fn a_configured_address_that_another_host_has_is_not_used_until_its_link_returns_without_it() {
    let hosts = hosts();
    // Host-a has taken the gateway's address, and asks nobody for leave.
    let gateway = IP6.in_subnet(IP6.gateway_a());
    hosts.host_a.add_address("eth0", &gateway).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    assert_eq!(state(&primary, IP6.gateway_a()), "duplicate");
    assert_eq!(state(&primary, IP6.gateway_b()), "preferred");

    hosts.host_a.delete_address("eth0", &gateway).unwrap();
    hosts.gateway.set_up(TwoHosts::PORT_A, false).unwrap();
    wait_for_link(&primary, TwoHosts::PORT_A, "down");
    hosts.gateway.set_up(TwoHosts::PORT_A, true).unwrap();
    wait_until("an address that is in use", LIMIT, || {
        Ok((state(&primary, IP6.gateway_a()) == "preferred").then_some(()))
    })
    .unwrap();
    ping(&hosts.host_a, IP6.gateway_a()).assert_all_answered();
}

fn wait_for_link(primary: &Primary, port: &str, state: &str) {
    wait_until("a change of the link", LIMIT, || {
        let link = primary.ctl_json(&["link", "show", port])?;
        Ok((link[0]["link"] == state).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_host_that_looks_for_the_gateways_address_is_told_that_it_is_taken() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    hosts
        .host_a
        .set_sysctls(&[
            ("net/ipv6/conf/all/accept_dad", "1"),
            ("net/ipv6/conf/eth0/accept_dad", "1"),
            ("net/ipv6/conf/eth0/dad_transmits", "1"),
        ])
        .unwrap();
    let gateway = IP6.in_subnet(IP6.gateway_a());
    let add = ["ip", "address", "add", &gateway, "dev", "eth0"];
    hosts.host_a.run("wants an address", &add).unwrap();
    let show = ["ip", "address", "show", "dev", "eth0", "dadfailed"];
    wait_until("an address that the kernel gives up", LIMIT, || {
        let shown = hosts.host_a.run("reads addresses", &show)?.stdout;
        Ok(shown.contains(IP6.gateway_a()).then_some(()))
    })
    .unwrap();
    assert_eq!(state(&primary, IP6.gateway_a()), "preferred");
    hosts.host_a.delete_address("eth0", &gateway).unwrap();
    ping(&hosts.host_a, IP6.gateway_a()).assert_all_answered();
}

#[test]
fn neighbors_that_are_used_are_probed_and_confirmed_or_found_dead() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let (lives, dies) = (IP6.address_b(), IP6.nobody());
    hosts.host_b.add_address("eth0", &IP6.in_subnet(dies)).unwrap();
    ping(&hosts.host_a, lives).assert_all_answered();
    ping(&hosts.host_a, dies).assert_all_answered();
    for address in [lives, dies] {
        wait_for_state(&primary, address, "reachable");
    }

    // Somebody says where they are now, unasked: believed, and not taken for a proof.
    let mac = "02:00:00:00:02:99";
    hosts.host_b.set_mac("eth0", mac).unwrap();
    hosts.host_b.delete_address("eth0", &IP6.in_subnet(dies)).unwrap();
    let gateway_mac = hosts.gateway.mac(TwoHosts::PORT_B).unwrap();
    let advertisement = |target: &str| {
        format!(
            "Ether(src='{mac}', dst='{gateway_mac}')/IPv6(src='{target}', dst='ff02::1', hlim=255)\
             /ICMPv6ND_NA(R=0, S=0, O=1, tgt='{target}')/ICMPv6NDOptDstLLAddr(lladdr='{mac}')"
        )
    };
    let mut monitor = monitor(&primary);
    hosts
        .host_b
        .send_frames("eth0", &[lives, dies].map(advertisement))
        .unwrap();
    for address in [lives, dies] {
        wait_for_event(&mut monitor, "neighbor", |event| {
            event["address"] == address && event["state"] == "stale" && event["mac"] == mac
        });
    }
    // In use, they are asked: one answers, the other does not, and who sends to it is told.
    ping(&hosts.host_a, lives).assert_all_answered();
    assert_eq!(ping(&hosts.host_a, dies).answered, 0);
    assert_eq!(wait_for_state(&primary, lives, "reachable")["mac"], mac);
    assert_eq!(wait_for_state(&primary, dies, "probe")["mac"], mac);
    wait_for_state(&primary, dies, "failed");
    let words = ["ping", "-n", "-c", "1", "-W", "5", dies];
    let told = hosts.host_a.run_within(LIMIT, "pings", &words).unwrap().stdout;
    assert!(
        told.contains("Destination unreachable: Address unreachable"),
        "{told}"
    );
    primary.counters_at_rest().unwrap().assert_balanced();
}

fn wait_for_state(primary: &Primary, address: &str, state: &str) -> Value {
    wait_until(&format!("{address} {state}"), LIMIT, || {
        let all = primary.ctl_json(&["neigh", "show"])?;
        let mut all = all.as_array().unwrap().iter();
        let found = all.find(|neighbor| neighbor["address"] == address);
        Ok(found.filter(|neighbor| neighbor["state"] == state).cloned())
    })
    .unwrap()
}

#[test]
fn an_advertisement_that_does_not_override_moves_no_neighbor() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts.host_a, IP6.address_b()).assert_all_answered();
    let known = wait_for_state(&primary, IP6.address_b(), "reachable")["mac"].clone();
    let gateway_mac = hosts.gateway.mac(TwoHosts::PORT_B).unwrap();
    let target = IP6.address_b();
    let other = "02:00:00:00:02:99";
    let advertisement = format!(
        "Ether(src='{other}', dst='{gateway_mac}')/IPv6(src='{target}', dst='ff02::1', hlim=255)\
         /ICMPv6ND_NA(R=0, S=0, O=0, tgt='{target}')/ICMPv6NDOptDstLLAddr(lladdr='{other}')"
    );
    hosts.host_b.send_frames("eth0", &[advertisement]).unwrap();
    // RFC 4861 section 7.2.5: what is known stays, and is doubted.
    assert_eq!(wait_for_state(&primary, target, "stale")["mac"], known);
    ping(&hosts.host_a, target).assert_all_answered();
    assert_eq!(wait_for_state(&primary, target, "reachable")["mac"], known);
}

#[test]
fn packets_go_by_way_of_link_local_routers_in_both_directions() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let behind_b = "2001:db8:9:9::9";
    let router = "fe80::b";
    hosts.host_b.add_address("lo", &IP6.alone(behind_b)).unwrap();
    hosts.host_b.add_address("eth0", &IP6.in_subnet(router)).unwrap();
    let add = [
        "route",
        "add",
        "2001:db8:9::/48",
        "via",
        router,
        "dev",
        TwoHosts::PORT_B,
    ];
    primary.ctl(&add).unwrap().success().unwrap();
    // The hosts know the gateway by nothing but its link-local addresses.
    for (host, port) in hosts.ends() {
        let gateway = link_local(&primary, port);
        let change = [
            "ip", "-6", "route", "replace", "default", "via", &gateway, "dev", "eth0",
        ];
        host.run("changes its default route", &change).unwrap();
    }
    ping(&hosts.host_a, behind_b).assert_all_answered();
    let explained = primary.ctl_json(&["route", "get", behind_b]).unwrap();
    assert_eq!(
        (
            &explained[0]["next_hop"],
            &explained[0]["interface"],
            &explained[0]["neighbor_state"]
        ),
        (&router.into(), &TwoHosts::PORT_B.into(), &"reachable".into())
    );
    // What is for a link-local address stays on its link.
    for (host, port) in hosts.ends() {
        let own = format!("{}%eth0", link_local(&primary, port));
        ping(host, &own).assert_all_answered();
    }
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(
        counters.dropped("ip6_link_local") + counters.dropped("no_route"),
        0
    );
}

#[test]
fn a_link_that_returns_carries_packets_of_both_families_at_once() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let assert_carried = || {
        for family in Family::BOTH {
            ping(&hosts.host_b, family.address_a()).assert_all_answered();
            ping(&hosts.host_b, family.gateway_a()).assert_all_answered();
        }
    };
    assert_carried();
    hosts.gateway.set_up(TwoHosts::PORT_A, false).unwrap();
    wait_for_link(&primary, TwoHosts::PORT_A, "down");
    for family in Family::BOTH {
        assert_eq!(ping(&hosts.host_b, family.address_a()).answered, 0);
    }
    hosts.gateway.set_up(TwoHosts::PORT_A, true).unwrap();
    wait_for_link(&primary, TwoHosts::PORT_A, "up");
    assert_carried();
    primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn all_nodes_are_pinged_and_the_gateway_answers_from_its_own_address() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let words = ["ping", "-n", "-c", "1", "-W", "2", "-L", "-I", "eth0", "ff02::1"];
    let shown = hosts.host_a.run_within(LIMIT, "pings", &words).unwrap().stdout;
    let gateway = link_local(&primary, TwoHosts::PORT_A);
    assert!(shown.contains(&format!("from {gateway}%eth0")), "{shown}");
}
