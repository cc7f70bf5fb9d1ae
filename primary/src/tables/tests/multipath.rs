//! Routes with several next hops.

use std::collections::BTreeSet;

use super::*;

impl Gateway {
    /// What the buckets of a destination's group lead to.
    fn buckets(&self, destination: &str) -> Vec<NextHop> {
        self.adjacencies
            .group(self.entry(destination))
            .unwrap()
            .buckets()
            .collect()
    }

    /// How many of a destination's buckets lead to a host.
    fn share(&self, destination: &str, host: &str) -> usize {
        let host: IpAddr = host.parse().unwrap();
        let buckets = self.buckets(destination).into_iter();
        buckets
            .filter(|adjacency| self.adjacencies.next_hop(*adjacency) == host)
            .count()
    }
}

const THREE: &str = "10.0.0.7*2,10.0.0.8,192.0.2.2";

#[test]
fn flows_are_shared_by_weight() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", THREE).unwrap();
    let share = |host| gateway.share("172.16.0.1", host);
    assert_eq!(
        (share("10.0.0.7"), share("10.0.0.8"), share("192.0.2.2")),
        (128, 64, 64)
    );
    let shown: Vec<_> = gateway
        .reader
        .next_hops()
        .into_iter()
        .map(|(_, record)| {
            (
                from_ip_field(record.address).to_string(),
                record.weight,
                record.in_service,
                record.buckets,
            )
        })
        .collect();
    for expected in [
        ("10.0.0.7", 2, 1, 128),
        ("10.0.0.8", 1, 1, 64),
        ("192.0.2.2", 1, 1, 64),
    ] {
        assert!(
            shown.contains(&(expected.0.to_owned(), expected.1, expected.2, expected.3)),
            "{shown:?}"
        );
    }
    let (_, route) = gateway
        .reader
        .routes4()
        .into_iter()
        .find(|(_, route)| route.prefix == [172, 16, 0, 0])
        .unwrap();
    assert_eq!(route.group(), Some(gateway.reader.next_hops()[0].1.group));
}

#[test]
fn only_the_flows_of_a_next_hop_that_fails_move_and_they_come_back() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", THREE).unwrap();
    let before = gateway.buckets("172.16.0.1");
    gateway.lose("10.0.0.8");
    let lost = gateway
        .tables
        .neighbors
        .find(LAN, "10.0.0.8".parse().unwrap())
        .unwrap();
    let lost = gateway.tables.neighbors.get(lost).unwrap().adjacency;
    let after = gateway.buckets("172.16.0.1");
    assert!(!after.contains(&lost));
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || *before == lost);
    }
    let serving: Vec<u8> = gateway
        .reader
        .next_hops()
        .iter()
        .map(|(_, record)| record.in_service)
        .collect();
    assert_eq!(serving.iter().filter(|serves| **serves == 1).count(), 2);
    let explained = gateway.tables.route_get(&Flow::to([172, 16, 0, 1].into()));
    assert_eq!(explained.next_hops, Some((3, 2)));
    // It is asked though no packet asks for it.
    let mut asked = false;
    for _ in 0..40 {
        gateway.pass(1);
        let sent = gateway.sent();
        asked |= sent
            .iter()
            .any(|(_, _, arp)| arp.target_address == std::net::Ipv4Addr::new(10, 0, 0, 8));
        for (interface, _, arp) in sent {
            if arp.target_address.octets()[3] != 8 {
                gateway.hear(interface, arp.reply(host_mac(arp.target_address.octets()[3])));
            }
        }
        assert!(!gateway.buckets("172.16.0.1").contains(&lost));
    }
    assert!(asked);
    gateway.answer(LAN, "10.0.0.8", 8);
    assert_eq!(gateway.buckets("172.16.0.1"), before);
}

#[test]
fn the_next_hops_of_an_interface_that_is_down_are_out_of_service() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", THREE).unwrap();
    let before = gateway.buckets("172.16.0.1");
    gateway.tables.set_admin(LAN, false, gateway.now);
    assert_eq!(gateway.share("172.16.0.1", "192.0.2.2"), 256);
    gateway.tables.set_admin(WAN, false, gateway.now);
    assert_eq!(
        gateway.entry("172.16.0.1"),
        NextHop::NONE,
        "no route by an interface that is up"
    );
    gateway.tables.set_admin(LAN, true, gateway.now);
    assert_eq!(gateway.share("172.16.0.1", "192.0.2.2"), 0);
    gateway.tables.set_admin(WAN, true, gateway.now);
    assert_eq!(gateway.buckets("172.16.0.1"), before);
}

#[test]
fn routes_with_the_same_next_hops_share_a_group_and_the_last_takes_it_along() {
    let mut gateway = Gateway::with_neighbors();
    let same = [
        "10.0.0.7,192.0.2.2",
        "192.0.2.2,10.0.0.7",
        "10.0.0.7,192.0.2.2 metric 9 proto bird",
    ];
    for (third, target) in (0..).zip(same) {
        gateway.add(&format!("172.16.{third}.0/24"), target).unwrap();
    }
    gateway.add("172.17.0.0/16", "10.0.0.7*2,192.0.2.2").unwrap();
    gateway
        .add("172.18.0.0/16", "10.0.0.7,192.0.2.2 mtu 1300")
        .unwrap();
    assert_eq!(gateway.tables.usage().groups, 3);
    let entries: BTreeSet<_> = (0..3)
        .map(|third| gateway.entry(&format!("172.16.{third}.1")))
        .collect();
    assert_eq!(entries.len(), 1);
    for prefix in ["172.16.0.0/24", "172.16.1.0/24", "172.17.0.0/16", "172.18.0.0/16"] {
        gateway.delete(prefix).unwrap();
    }
    gateway.reclaim();
    assert_eq!(gateway.tables.usage().groups, 1);
    gateway.delete("172.16.2.0/24").unwrap();
    gateway.reclaim();
    assert_eq!(gateway.tables.usage().groups, 0);
    assert!(gateway.reader.next_hops().is_empty());
}

#[test]
fn a_group_is_used_again_only_after_workers_have_passed() {
    let mut gateway = Gateway::with(Limits { groups: 1, ..ROOMY }, 64);
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.add("172.16.0.0/16", "10.0.0.7,10.0.0.8").unwrap();
    let error = gateway.add("172.17.0.0/16", "10.0.0.7,10.0.0.9").unwrap_err();
    assert_eq!(error.code, control::message::ErrorCode::LimitReached);
    assert_eq!(
        gateway.tables.neighbors.len(),
        2,
        "what was refused leaves nothing behind"
    );
    let first = gateway.entry("172.16.0.1");
    gateway.delete("172.16.0.0/16").unwrap();
    gateway.add("172.17.0.0/16", "10.0.0.7,10.0.0.9").unwrap();
    assert_ne!(gateway.entry("172.17.0.1"), first);
    gateway.delete("172.17.0.0/16").unwrap();
    gateway.reclaim();
    gateway.add("172.18.0.0/16", "10.0.0.7,10.0.0.9").unwrap();
}

#[test]
fn next_hops_that_cannot_be_are_refused() {
    let mut gateway = Gateway::with_neighbors();
    for (target, says) in [
        ("10.0.0.7,10.0.0.7", "named twice"),
        ("10.0.0.7,10.0.0.1", "gateway's own address"),
        ("10.0.0.7,10.9.0.1", "on no connected subnet"),
        ("10.0.0.7*0,10.0.0.8", "out of range"),
        ("10.0.0.7*257,10.0.0.8", "out of range"),
    ] {
        let error = gateway.add("172.16.0.0/16", target).unwrap_err();
        assert!(error.message.contains(says), "{target}: {error}");
    }
    let many: Vec<String> = (10..43).map(|last| format!("10.0.0.{last}")).collect();
    gateway.add("172.16.0.0/16", &many.join(",")).unwrap_err();
    gateway.add("172.16.0.0/16", &many[..32].join(",")).unwrap();
}

#[test]
fn routes_go_with_the_subnet_of_one_of_their_next_hops() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", THREE).unwrap();
    gateway.drop_address(WAN, "192.0.2.1/28").unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::NoRoute);
    assert_eq!(gateway.tables.usage().routes4, 0);
}
