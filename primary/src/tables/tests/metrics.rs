//! Several routes to a prefix, and what routes say beside where they lead.

use shm::records::Route4;

use super::link6::LINK_LOCALS;
use super::*;

impl Gateway {
    /// Knows 10.0.0.7 on `lan` and 192.0.2.2 on `wan`.
    pub(super) fn with_neighbors() -> Self {
        let mut gateway = Self::with_addresses();
        for (interface, address, last) in [(LAN, "10.0.0.7", 7), (LAN, "10.0.0.8", 8), (WAN, "192.0.2.2", 2)]
        {
            gateway.resolve(interface, address);
            gateway.answer(interface, address, last);
        }
        gateway.tables.take_actions();
        gateway
    }

    /// The neighbour is used, asked, and does not answer; all others do.
    pub(super) fn lose(&mut self, lost: &str) {
        self.lose_beside(lost, &[]);
    }

    /// The same while some others do not answer either.
    fn lose_beside(&mut self, lost: &str, silent: &[&str]) {
        let lost: IpAddr = lost.parse().unwrap();
        let silent: Vec<IpAddr> = silent.iter().map(|address| address.parse().unwrap()).collect();
        let id = |gateway: &Self| {
            let found = [LAN, WAN].map(|interface| gateway.tables.neighbors.find(interface, lost));
            found.into_iter().flatten().next().unwrap()
        };
        for _ in 0..100 {
            let neighbor = self.tables.neighbors.get(id(self)).unwrap();
            if neighbor.shown == NeighborState::Failed {
                return;
            }
            let adjacency = neighbor.adjacency;
            self.adjacencies.mark_used(adjacency);
            self.pass(1);
            self.answer_all_but(&[&silent[..], &[lost]].concat());
        }
        panic!("{lost} did not fail");
    }

    /// Hosts answer what they are asked, but for these.
    fn answer_all_but(&mut self, silent: &[IpAddr]) {
        for (interface, _, arp) in self.sent() {
            let target = IpAddr::V4(arp.target_address);
            if !silent.contains(&target) && !self.tables.addresses.iter().any(|own| own.net.addr() == target)
            {
                let last = arp.target_address.octets()[3];
                self.hear(interface, arp.reply(host_mac(last)));
            }
        }
    }

    fn record(&self, prefix: &str, metric: u32) -> Route4 {
        let prefix: IpNet = prefix.parse().unwrap();
        let records = self.reader.routes4();
        let mut records = records.into_iter().map(|(_, record)| record);
        records
            .find(|record| (IpAddr::from(record.network()), record.metric) == (prefix.addr(), metric))
            .unwrap()
    }
}

#[test]
fn the_route_with_the_lowest_metric_counts_and_the_next_one_when_it_goes() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", "192.0.2.2 metric 20").unwrap();
    gateway.add("172.16.0.0/16", "10.0.0.7 metric 10").unwrap();
    gateway.add("172.16.0.0/16", "blackhole metric 30").unwrap();
    gateway.add("172.16.0.0/16", "10.0.0.8 metric 10").unwrap_err();
    assert_eq!(gateway.lookup("172.16.0.1"), forward(LAN, 7));
    let active =
        |gateway: &Gateway| [10, 20, 30].map(|metric| gateway.record("172.16.0.0/16", metric).active);
    assert_eq!(active(&gateway), [1, 0, 0]);
    assert_eq!(gateway.tables.usage().routes4, 3);
    gateway.delete("172.16.0.0/16").unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), forward(WAN, 2));
    assert_eq!(gateway.record("172.16.0.0/16", 20).active, 1);
    gateway.delete("172.16.0.0/16").unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::Blackhole);
    gateway.delete("172.16.0.0/16").unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::NoRoute);
    gateway.delete("172.16.0.0/16").unwrap_err();
}

#[test]
fn a_route_is_deleted_by_its_metric_or_its_next_hop() {
    let mut gateway = Gateway::with_neighbors();
    for target in [
        "10.0.0.7 metric 10",
        "192.0.2.2 metric 20",
        "10.0.0.7,10.0.0.8 metric 30",
    ] {
        gateway.add("172.16.0.0/16", target).unwrap();
    }
    let prefix: IpNet = "172.16.0.0/16".parse().unwrap();
    let key = |metric, next_hop: Option<&str>| RouteKey {
        metric,
        next_hop: next_hop.map(|next_hop| next_hop.parse().unwrap()),
        ..prefix.into()
    };
    let delete = |gateway: &mut Gateway, key| gateway.tables.routes_delete(&[key]);
    delete(&mut gateway, key(Some(20), Some("10.0.0.7"))).unwrap_err();
    delete(&mut gateway, key(Some(40), None)).unwrap_err();
    delete(&mut gateway, key(Some(20), None)).unwrap();
    delete(&mut gateway, key(None, Some("10.0.0.8"))).unwrap();
    assert_eq!(
        gateway
            .shown_routes()
            .iter()
            .filter(|route| route.starts_with("172"))
            .count(),
        1
    );
    delete(&mut gateway, key(Some(10), Some("10.0.0.7"))).unwrap();
    assert_eq!(gateway.tables.usage().routes4, 0);
}

#[test]
fn a_route_whose_next_hop_fails_gives_way_to_the_next_metric_until_it_answers_again() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", "10.0.0.7 metric 10").unwrap();
    gateway.add("172.16.0.0/16", "192.0.2.2 metric 20").unwrap();
    gateway.lose("10.0.0.7");
    assert_eq!(gateway.lookup("172.16.0.1"), forward(WAN, 2));
    assert_eq!(gateway.record("172.16.0.0/16", 20).active, 1);
    // Nobody needs it, and yet it is asked, and stays out of service meanwhile.
    let silent: IpAddr = "10.0.0.7".parse().unwrap();
    let mut asked = 0;
    for _ in 0..60 {
        gateway.pass(1);
        let sent = gateway.sent();
        asked += sent
            .iter()
            .filter(|(_, _, arp)| IpAddr::V4(arp.target_address) == silent)
            .count();
        for (interface, _, arp) in sent {
            if IpAddr::V4(arp.target_address) != silent {
                gateway.hear(interface, arp.reply(host_mac(arp.target_address.octets()[3])));
            }
        }
        assert_eq!(gateway.lookup("172.16.0.1"), forward(WAN, 2));
    }
    assert!((6..=30).contains(&asked), "asked {asked} times in a minute");
    gateway.answer(LAN, "10.0.0.7", 7);
    assert_eq!(gateway.lookup("172.16.0.1"), forward(LAN, 7));
    assert_eq!(gateway.record("172.16.0.0/16", 10).active, 1);
}

#[test]
fn where_nothing_else_is_in_service_the_lowest_metric_is_answered_for() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", "10.0.0.7 metric 10").unwrap();
    gateway.add("172.16.0.0/16", "192.0.2.2 metric 20").unwrap();
    gateway.lose("10.0.0.7");
    gateway.lose_beside("192.0.2.2", &["10.0.0.7"]);
    assert!(matches!(
        gateway.lookup("172.16.0.1"),
        Adjacency::Failed { interface: LAN } | Adjacency::Incomplete { interface: LAN }
    ));
}

#[test]
fn a_route_by_an_interface_that_is_down_gives_way_to_the_next_metric() {
    let mut gateway = Gateway::with_neighbors();
    gateway.add("172.16.0.0/16", "lan metric 10").unwrap();
    gateway.add("172.16.0.0/16", "192.0.2.2 metric 20").unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::Glean { interface: LAN });
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    assert!(!gateway.tables.interface_usable(LAN));
    assert_eq!(gateway.lookup("172.16.0.1"), forward(WAN, 2));
    gateway.tables.set_link(LAN, true, 0, gateway.now);
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::Glean { interface: LAN });
}

#[test]
fn what_routes_say_is_shown_and_explained() {
    let mut gateway = Gateway::with_neighbors();
    gateway
        .add(
            "172.16.0.0/16",
            "10.0.0.7 metric 7 mtu 1300 src 192.0.2.1 proto bird",
        )
        .unwrap();
    let record = gateway.record("172.16.0.0/16", 7);
    assert_eq!(
        (record.mtu, record.source, record.protocol),
        (1300, [192, 0, 2, 1], 12)
    );
    let explained = gateway.tables.route_get(&Flow::to([172, 16, 0, 1].into()));
    assert_eq!(
        (explained.kind.as_deref(), explained.metric, explained.mtu),
        (Some("via"), Some(7), Some(1300))
    );
    assert_eq!(explained.protocol.as_deref(), Some("bird"));
    assert_eq!(explained.source, Some([192, 0, 2, 1].into()));
    assert_eq!(explained.mac, Some(host_mac(7)));
    assert_eq!(
        gateway
            .adjacencies
            .group(gateway.entry("172.16.0.1"))
            .unwrap()
            .mtu(),
        1300
    );
}

#[test]
fn a_source_or_an_mtu_that_cannot_be_is_refused() {
    let mut gateway = Gateway::with_neighbors();
    for (target, says) in [
        ("10.0.0.7 src 10.0.0.9", "no address of the gateway"),
        ("10.0.0.7 src 2001:db8::1", "other address family"),
        ("10.0.0.7 mtu 67", "too low"),
        ("lan mtu 1300", "leads out of an interface"),
        ("blackhole mtu 1300", "leads nowhere"),
    ] {
        let error = gateway.add("172.16.0.0/16", target).unwrap_err();
        assert!(error.message.contains(says), "{target}: {error}");
    }
}

#[test]
fn a_route_goes_with_the_address_that_is_its_source() {
    let mut gateway = Gateway::with_neighbors();
    gateway.address(LAN, "10.0.0.9/24").unwrap();
    gateway.add("172.16.0.0/16", "10.0.0.7 src 10.0.0.9").unwrap();
    gateway.drop_address(LAN, "10.0.0.9/24").unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::NoRoute);
}

#[test]
fn a_route_goes_with_the_link_local_address_that_its_source_is() {
    let made = LINK_LOCALS[0];
    let from_made = || {
        let mut gateway = Gateway::with_addresses6();
        let target = format!("2001:db8:1::7 src {made}");
        gateway.add("2001:db8:7::/48", &target).unwrap();
        gateway
    };
    let mut gateway = from_made();
    gateway.address(LAN, "fe80::1/64").unwrap();
    assert_eq!(gateway.lookup("2001:db8:7::1"), Adjacency::NoRoute);
    let mut gateway = from_made();
    gateway.drop_address(LAN, "2001:db8::1/64").unwrap();
    assert_eq!(gateway.lookup("2001:db8:7::1"), Adjacency::NoRoute);
    // The same given by hand is the same.
    let mut gateway = from_made();
    gateway.address(LAN, &format!("{made}/64")).unwrap();
    assert_ne!(gateway.lookup("2001:db8:7::1"), Adjacency::NoRoute);
}

#[test]
fn unreachable_and_prohibit_lead_nowhere_each_in_its_way() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "unreachable").unwrap();
    gateway.add("172.17.0.0/16", "prohibit").unwrap();
    for (address, adjacency, kind) in [
        ("172.16.0.1", Adjacency::Unreachable, "unreachable"),
        ("172.17.0.1", Adjacency::Prohibit, "prohibit"),
    ] {
        assert_eq!(gateway.lookup(address), adjacency);
        let explained = gateway.tables.route_get(&Flow::to(address.parse().unwrap()));
        assert_eq!(explained.kind.as_deref(), Some(kind));
        assert!(explained.outcome.contains(kind), "{}", explained.outcome);
    }
}
