//! Routes count only while the interface that they lead out of is up.

use super::*;

/// `lan` and `wan` with a host each, and routes by both: the more specific by `wan`.
fn gateway() -> Gateway {
    let mut gateway = Gateway::with_addresses();
    gateway.address(WAN, "2001:db8:2::1/64").unwrap();
    gateway.address(LAN, "2001:db8:1::1/64").unwrap();
    for (prefix, via) in [
        ("0.0.0.0/0", "10.0.0.2"),
        ("172.16.0.0/12", "192.0.2.2"),
        ("::/0", "2001:db8:1::2"),
        ("2001:db8:ffff::/48", "2001:db8:2::2"),
        ("198.51.100.0/24", "wan"),
    ] {
        gateway.add(prefix, via).unwrap();
    }
    for (interface, address, last) in [
        (LAN, "10.0.0.2", 1),
        (LAN, "2001:db8:1::2", 1),
        (WAN, "192.0.2.2", 2),
        (WAN, "2001:db8:2::2", 2),
        (WAN, "198.51.100.9", 3),
    ] {
        let address = address.parse().unwrap();
        gateway
            .tables
            .neighbor_add(interface, address, host_mac(last), gateway.now)
            .unwrap();
    }
    gateway.pass(10);
    gateway.tables.take_actions();
    gateway
}

#[test]
fn packets_go_the_next_way_while_a_link_is_down_and_back_when_it_returns() {
    let mut gateway = gateway();
    let by_wan = [
        "172.16.0.1",
        "192.0.2.2",
        "2001:db8:ffff::1",
        "2001:db8:2::2",
        "198.51.100.9",
    ];
    let usual: Vec<_> = by_wan.map(|address| gateway.lookup(address)).into();
    assert_eq!(usual[..4], [forward(WAN, 2); 4]);
    let set: [fn(&mut Gateway, bool); 2] = [
        |gateway, up| assert!(gateway.tables.set_link(WAN, up, 0, gateway.now)),
        |gateway, up| assert!(gateway.tables.set_admin(WAN, up, gateway.now)),
    ];
    for set in set {
        let shown = gateway.shown_routes();
        set(&mut gateway, false);
        for address in by_wan {
            assert_eq!(gateway.lookup(address), forward(LAN, 1), "{address}");
        }
        // They are there still, and answer for themselves.
        assert_eq!(gateway.shown_routes(), shown);
        assert_eq!(gateway.lookup("192.0.2.1"), Adjacency::Local { interface: WAN });
        assert_eq!(
            gateway.lookup("2001:db8:2::1"),
            Adjacency::Local { interface: WAN }
        );
        set(&mut gateway, true);
        let back: Vec<_> = by_wan.map(|address| gateway.lookup(address)).into();
        assert_eq!(back, usual);
    }
}

#[test]
fn without_another_way_there_is_none_and_the_explanation_says_why() {
    let mut gateway = gateway();
    for prefix in ["0.0.0.0/0", "::/0"] {
        gateway.delete(prefix).unwrap();
    }
    gateway.tables.set_link(WAN, false, 0, gateway.now);
    for address in ["172.16.0.1", "192.0.2.9", "2001:db8:ffff::1", "2001:db8:2::9"] {
        assert_eq!(gateway.lookup(address), Adjacency::NoRoute, "{address}");
        let explained = gateway
            .tables
            .route_get(&control::message::Flow::to(address.parse().unwrap()));
        assert_eq!(explained.prefix, None);
        assert!(explained.outcome.contains("is down"), "{}", explained.outcome);
    }
}

#[test]
fn what_is_added_while_a_link_is_down_counts_when_it_returns() {
    let mut gateway = gateway();
    gateway.tables.set_link(WAN, false, 0, gateway.now);
    gateway.add("203.0.113.0/24", "192.0.2.2").unwrap();
    gateway.address(WAN, "192.0.2.33/28").unwrap();
    gateway
        .tables
        .neighbor_add(WAN, "192.0.2.34".parse().unwrap(), host_mac(4), gateway.now)
        .unwrap();
    assert_eq!(gateway.lookup("203.0.113.1"), forward(LAN, 1));
    assert_eq!(gateway.lookup("192.0.2.34"), forward(LAN, 1));
    gateway.tables.set_link(WAN, true, 0, gateway.now);
    assert_eq!(gateway.lookup("203.0.113.1"), forward(WAN, 2));
    assert_eq!(gateway.lookup("192.0.2.34"), forward(WAN, 4));
    // And what goes meanwhile is gone.
    gateway.tables.set_link(WAN, false, 0, gateway.now);
    gateway.delete("203.0.113.0/24").unwrap();
    gateway.drop_address(WAN, "192.0.2.33/28").unwrap();
    gateway.tables.set_link(WAN, true, 0, gateway.now);
    assert_eq!(gateway.lookup("203.0.113.1"), forward(LAN, 1));
    assert_eq!(gateway.lookup("192.0.2.34"), forward(LAN, 1));
}

#[test]
fn routes_that_find_no_room_when_a_link_returns_are_told_of() {
    // One group of 256 addresses is left beside those of the addresses.
    let mut gateway = Gateway::with(ROOMY, 3);
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.address(WAN, "192.0.2.1/24").unwrap();
    // A prefix that is alone in its /16 takes none.
    gateway.add("172.16.128.0/24", "lan").unwrap();
    gateway.add("172.16.0.0/25", "wan").unwrap();
    gateway.tables.set_link(WAN, false, 0, gateway.now);
    gateway.reclaim();
    gateway.add("172.16.1.0/25", "lan").unwrap();
    gateway.tables.take_actions();
    gateway.tables.set_link(WAN, true, 0, gateway.now);
    let refused = gateway
        .tables
        .take_actions()
        .into_iter()
        .find_map(|action| match action {
            Action::RoutesRefused { interface, routes } => Some((interface, routes)),
            _ => None,
        });
    assert_eq!(refused, Some((WAN, 1)));
    assert_eq!(gateway.lookup("192.0.2.9"), Adjacency::Glean { interface: WAN });
}
