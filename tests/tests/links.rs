//! A link that goes takes the routes by it out of service, and brings them back.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::{Duration, Instant};

use tests::{Family, Interface, Namespace, Privilege, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(20);
/// A link is looked at each 100 ms; the rest is `tollgate-ctl` being started, on a busy machine.
const NOTICED: Duration = Duration::from_millis(600);

/// Host-b behind two links: `b0` with the longer prefixes, and `c0` with a way round over a second gateway's place, which is
/// host-b's own other leg.
#[test]
fn packets_take_the_other_link_while_one_is_down_and_the_first_again_when_it_returns() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap();
    hosts.host_b.connect("eth1", &hosts.gateway, "c0").unwrap();
    hosts.host_b.add_address("eth1", "192.168.3.2/24").unwrap();
    hosts.host_b.add_address("eth1", "2001:db8:3::2/64").unwrap();
    // Where the pings go: addresses of the host that are on neither link.
    hosts
        .host_b
        .run("adds an address", &["ip", "link", "set", "lo", "up"])
        .unwrap();
    for address in ["10.9.0.9/32", "2001:db8:9::9/128"] {
        hosts.host_b.add_address("lo", address).unwrap();
    }
    let primary = hosts
        .primary("gw")
        .interface(
            Interface::af_packet("c0")
                .address("192.168.3.1/24")
                .address("2001:db8:3::1/64"),
        )
        .route("10.9.0.9/32", "192.168.2.2")
        .route("10.9.0.0/16", "192.168.3.2")
        .route("2001:db8:9::9/128", "2001:db8:2::2")
        .route("2001:db8:9::/48", "2001:db8:3::2")
        .start()
        .unwrap();
    let pings = |host: &Namespace| {
        for address in ["10.9.0.9", "2001:db8:9::9"] {
            let words = ["-c", "5", "-i", "0.02", "-W", "2"];
            host.ping(address, &words, LIMIT).unwrap().assert_all_answered();
        }
    };
    let by = |link: &str| {
        let began = Instant::now();
        wait_until(&format!("routes by {link}"), LIMIT, || {
            let both =
                ["10.9.0.9", "2001:db8:9::9"].map(|address| primary.ctl_json(&["route", "get", address]));
            let [four, six] = both.map(|answer| answer.map(|answer| answer[0]["interface"] == link));
            Ok((four? && six?).then_some(()))
        })
        .unwrap();
        began.elapsed()
    };
    // Where host-b has one link less, its answers have to take the other as well: both lead to host-a's.
    pings(&hosts.host_a);
    by("b0");
    // The other end of the link goes, and with it the carrier of this one.
    hosts.host_b.set_up("eth0", false).unwrap();
    let took = by("c0");
    assert!(took < NOTICED, "{took:?}");
    hosts.host_b.add_route("192.168.1.0/24", "192.168.3.1").unwrap();
    hosts
        .host_b
        .add_route("2001:db8:1::/64", "2001:db8:3::1")
        .unwrap();
    pings(&hosts.host_a);
    // An address of the gateway on the link that is down answers all the same.
    for address in [TwoHosts::GATEWAY_B, "2001:db8:2::1"] {
        let words = ["-c", "3", "-i", "0.02", "-W", "2"];
        hosts
            .host_a
            .ping(address, &words, LIMIT)
            .unwrap()
            .assert_all_answered();
    }
    // Without the other way there is none.
    let words = ["link", "set", "c0", "down"];
    primary.ctl(&words).unwrap().success().unwrap();
    let explained = primary.ctl_json(&["route", "get", "10.9.0.9"]).unwrap()[0].clone();
    assert!(explained["interface"].is_null(), "{explained}");
    let outcome = explained["outcome"].as_str().unwrap();
    assert!(outcome.contains("is down"), "{explained}");
    let before = primary.counters().unwrap().dropped("no_route");
    let words = ["-c", "5", "-i", "0.02", "-W", "1"];
    assert_eq!(hosts.host_a.ping("10.9.0.9", &words, LIMIT).unwrap().answered, 0);
    assert_eq!(
        primary.counters_at_rest().unwrap().dropped("no_route"),
        before + 5
    );

    hosts.host_b.set_up("eth0", true).unwrap();
    let took = by("b0");
    assert!(took < NOTICED, "{took:?}");
    primary.counters_at_rest().unwrap().assert_balanced();
}
