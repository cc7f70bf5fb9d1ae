//! Given IPv6 routes: what is accepted, which one counts, what goes with an address, and next hops that are link-local.

use super::link6::*;
use super::*;
use control::message::ErrorCode;

#[test]
fn routes_by_one_next_hop_follow_it_in_one_store() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/48", "2001:db8::7").unwrap();
    gateway.add("::/0", "2001:db8::7").unwrap();
    let shared = gateway.next_hop("2001:db8:5::1");
    for other in ["2606::1", "2001:db8::7"] {
        assert_eq!(gateway.next_hop(other), shared);
    }
    assert_eq!(
        gateway.adjacencies.next_hop(shared),
        IpAddr::V6(six("2001:db8::7"))
    );
    assert_eq!(gateway.sent_nd(), [], "nobody asked yet");
    gateway.resolve(LAN, "2001:db8::7");
    gateway.answer6(LAN, "2001:db8::7", 7);
    assert_eq!(gateway.lookup("2001:db8:5::1"), forward(LAN, 7));
    assert_eq!(gateway.lookup("2606::1"), forward(LAN, 7));
    assert_eq!(gateway.lookup("8.8.8.8"), Adjacency::NoRoute);
}

#[test]
fn link_local_next_hops_of_two_links_are_two_neighbors() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/48", "fe80::9%lan").unwrap();
    gateway.add("2001:db8:6::/48", "fe80::9%wan").unwrap();
    gateway.add("::/0", "fe80::9%wan").unwrap();
    assert_eq!(gateway.tables.usage().neighbors, 2);
    assert!(
        gateway
            .shown_routes()
            .contains(&"2001:db8:5::/48 via fe80::9 lan".to_owned())
    );
    gateway.resolve(LAN, "fe80::9");
    gateway.resolve(WAN, "fe80::9");
    assert_eq!(
        gateway.sent_nd(),
        [
            asks_all(LAN, LINK_LOCALS[0], "fe80::9"),
            asks_all(WAN, LINK_LOCALS[1], "fe80::9")
        ]
    );
    gateway.answer6(LAN, "fe80::9", 3);
    assert_eq!(
        gateway.lookup("2001:db8:6::1"),
        Adjacency::Incomplete { interface: WAN }
    );
    gateway.answer6(WAN, "fe80::9", 4);
    assert_eq!(gateway.lookup("2001:db8:5::1"), forward(LAN, 3));
    assert_eq!(gateway.lookup("2001:db8:6::1"), forward(WAN, 4));
    assert_eq!(gateway.lookup("2606::1"), forward(WAN, 4));
}

#[test]
fn link_local_neighbors_are_in_no_fib() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_question(LAN, "fe80::7", 7, LINK_LOCALS[0]);
    gateway.add("2001:db8:5::/48", "fe80::7%lan").unwrap();
    gateway.add("::/0", "lan").unwrap();
    assert_eq!(gateway.lookup("fe80::7"), Adjacency::Glean { interface: LAN });
    // Two connected, two local, two anycast, two given.
    assert_eq!(gateway.tables.usage().fib_routes6, 8);
    // Nor do packets make them neighbours, the gateway's own address least of all.
    for address in ["fe80::8", LINK_LOCALS[0]] {
        gateway.resolve(LAN, address);
        assert_eq!(gateway.shown(address), None);
    }
    gateway.delete("::/0").unwrap();
    assert_eq!(gateway.lookup("fe80::7"), Adjacency::NoRoute);
    assert_eq!(gateway.lookup("2001:db8:5::1"), forward(LAN, 7));
}

#[test]
fn a_next_hop_goes_with_its_last_route_when_nothing_is_known_of_it() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/48", "2001:db8::7").unwrap();
    gateway.replace("2001:db8:5::/48", "fe80::8%wan").unwrap();
    assert_eq!(gateway.shown("2001:db8::7"), None);
    assert!(gateway.shown_on(WAN, "fe80::8").is_some());
    gateway.delete("2001:db8:5::/48").unwrap();
    assert_eq!(gateway.tables.usage().neighbors, 0);
    gateway.reclaim();
    assert_eq!(gateway.tables.usage().adjacencies, FIXED);
}

#[test]
fn wrong_routes_are_refused_with_a_reason() {
    use ErrorCode::{Exists, Invalid, NotFound, UnknownInterface};
    let mut gateway = Gateway::with_addresses6();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.add("2001:db8:5::/48", "2001:db8::7").unwrap();
    let own_of_lan = format!("{}%lan", LINK_LOCALS[0]);
    for (prefix, target, code, says) in [
        ("2001:db8:5::/48", "blackhole", Exists, "2001:db8:5::/48 already"),
        (
            "2001:db8:6::1/48",
            "blackhole",
            Invalid,
            "did you mean 2001:db8:6::/48",
        ),
        ("2001:db8:6::/48", "dmz", UnknownInterface, "there are lan, wan"),
        (
            "2001:db8:6::/48",
            "fe80::9%dmz",
            UnknownInterface,
            "there are lan, wan",
        ),
        (
            "2001:db8:6::/48",
            "2001:db8:9::1",
            Invalid,
            "there are 10.0.0.0/24 (lan), 2001:db8::/64 (lan), 2001:db8:1::/64 (wan)",
        ),
        ("2001:db8:6::/48", "2001:db8:1::1", Invalid, "own address on wan"),
        ("2001:db8:6::/48", &own_of_lan, Invalid, "own address on lan"),
        (
            "2001:db8:6::/48",
            "fe80::9",
            Invalid,
            "name the interface as well",
        ),
        (
            "2001:db8:6::/48",
            "2001:db8::9%wan",
            Invalid,
            "is on lan, by 2001:db8::/64",
        ),
        ("2001:db8:6::/48", "10.0.0.7", Invalid, "other address family"),
        ("172.16.0.0/16", "2001:db8::7", Invalid, "other address family"),
        ("172.16.0.0/16", "wan", Invalid, "wan, which has no IPv4 address"),
        ("ff00::/8", "blackhole", Invalid, "multicast"),
        ("ff02::1/128", "2001:db8::7", Invalid, "multicast"),
        ("fe80::/10", "blackhole", Invalid, "link-local"),
        ("fe80::/64", "lan", Invalid, "link-local"),
        (
            "2001:db8::/64",
            "2001:db8:1::7",
            Exists,
            "connected subnet of lan",
        ),
        ("2001:db8::1/128", "2001:db8:1::7", Exists, "own address of lan"),
    ] {
        let error = gateway.add(prefix, target).unwrap_err();
        assert_eq!(error.code, code, "{prefix} {target}: {error}");
        assert!(error.message.contains(says), "{prefix} {target}: {error}");
    }
    for (prefix, code) in [
        ("2001:db8:9::/48", NotFound),
        ("2001:db8:5::1/48", Invalid),
        ("2001:db8::/64", Invalid),
    ] {
        assert_eq!(gateway.delete(prefix).unwrap_err().code, code, "{prefix}");
    }
    gateway.add("2001:db8:7::/48", "2001:db8::9%lan").unwrap();
    let mut only4 = Gateway::with_addresses();
    for (target, says) in [
        ("lan", "has no IPv6 address"),
        ("fe80::9%lan", "lan has no IPv6 address"),
        ("2001:db8::7", "no connected subnet"),
    ] {
        let error = only4.add("2001:db8:5::/48", target).unwrap_err();
        assert!(error.message.contains(says), "{target}: {error}");
    }
}

#[test]
fn a_tentative_address_is_no_next_hop_but_the_gateways_own() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "2001:db8::1/64").unwrap();
    let error = gateway.add("2001:db8:5::/48", "2001:db8::1").unwrap_err();
    assert!(error.message.contains("own address on lan"), "{error}");
    let error = gateway.add("2001:db8::1/128", "blackhole").unwrap_err();
    assert_eq!(error.code, ErrorCode::Exists, "{error}");
}

#[test]
fn the_limits_of_the_families_are_their_own() {
    let limits = Limits {
        routes4: 1,
        routes6: 2,
        ..ROOMY
    };
    let mut gateway = Gateway::with(limits, 8);
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.address(LAN, "2001:db8::1/64").unwrap();
    for (prefix, key) in [
        ("172.16.0.0/16", None),
        ("172.17.0.0/16", Some("routes4")),
        ("2001:db8:5::/48", None),
        ("2001:db8:6::/48", None),
        ("2001:db8:7::/48", Some("routes6")),
        ("172.18.0.0/16", Some("routes4")),
    ] {
        match (gateway.add(prefix, "blackhole"), key) {
            (Ok(()), None) => {}
            (Err(error), Some(key)) => {
                assert_eq!(error.code, ErrorCode::LimitReached);
                assert!(error.message.contains(key), "{prefix}: {error}");
            }
            other => panic!("{prefix}: {other:?}"),
        }
    }
    gateway.delete("172.16.0.0/16").unwrap();
    // Both families in one request, which is refused in whole when one of them is full.
    let both = [
        route("172.16.0.0/16", "blackhole"),
        route("2001:db8:7::/48", "blackhole"),
    ];
    let add = |gateway: &mut Gateway| {
        gateway
            .tables
            .routes_add(&both, false, RouteProtocol::BOOT, gateway.now)
    };
    assert_eq!(add(&mut gateway).unwrap_err().code, ErrorCode::LimitReached);
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::NoRoute);
    gateway.delete("2001:db8:5::/48").unwrap();
    add(&mut gateway).unwrap();
    let usage = gateway.tables.usage();
    assert_eq!((usage.routes4, usage.routes6), (1, 2));
}

#[test]
fn a_request_with_one_wrong_route_changes_nothing() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/48", "fe80::9%lan").unwrap();
    let before = gateway.shown_routes();
    gateway.tables.take_actions();
    let wrong = [
        route("2001:db8:5::/48", "blackhole"),
        route("2001:db8:6::/48", "2001:db8::8"),
        route("2001:db8:7::/48", "fe80::9"),
    ];
    let twice = [
        route("2001:db8:6::/48", "blackhole"),
        route("2001:db8:6::/48", "2001:db8::8"),
    ];
    for routes in [&wrong[..], &twice[..]] {
        gateway
            .tables
            .routes_add(routes, true, RouteProtocol::BOOT, gateway.now)
            .unwrap_err();
    }
    let prefixes =
        ["2001:db8:5::/48", "2001:db8:6::/48"].map(|prefix| prefix.parse::<IpNet>().unwrap().into());
    gateway.tables.routes_delete(&prefixes).unwrap_err();
    assert_eq!(gateway.shown_routes(), before);
    assert_eq!(
        gateway.lookup("2001:db8:5::1"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(gateway.tables.take_actions(), []);
}

#[test]
fn a_request_without_room_for_a_next_hop_puts_everything_back() {
    let limits = Limits {
        neighbors: 2,
        ..ROOMY
    };
    let mut gateway = Gateway::with(limits, 8);
    gateway.address(LAN, "2001:db8::1/64").unwrap();
    gateway.add("2001:db8:5::/48", "fe80::9%lan").unwrap();
    let before = gateway.shown_routes();
    gateway.tables.take_actions();
    let routes = [
        route("2001:db8:5::/48", "2001:db8::8"),
        route("2001:db8:6::/48", "blackhole"),
        route("2001:db8:7::/48", "2001:db8::a"),
    ];
    let error = gateway
        .tables
        .routes_add(&routes, true, RouteProtocol::BOOT, gateway.now)
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert_eq!(gateway.shown_routes(), before);
    assert_eq!(gateway.tables.usage().neighbors, 1);
    assert_eq!(gateway.lookup("2001:db8:6::1"), Adjacency::NoRoute);
    assert_eq!(gateway.tables.take_actions(), []);
}

#[test]
fn a_route_within_a_subnet_is_not_bypassed_by_neighbor_discovery() {
    let mut gateway = Gateway::with_addresses6();
    for last in [0x10, 0x90] {
        let host = format!("2001:db8::{last:x}");
        gateway.hear_question(LAN, &host, last, "2001:db8::1");
        assert_eq!(gateway.lookup(&host), forward(LAN, last));
    }
    gateway.add("2001:db8::80/121", "blackhole").unwrap();
    assert_eq!(gateway.lookup("2001:db8::90"), Adjacency::Blackhole);
    assert_eq!(gateway.lookup("2001:db8::10"), forward(LAN, 0x10));
    gateway.add("2001:db8::90/128", "2001:db8:1::2").unwrap();
    assert_eq!(
        gateway.lookup("2001:db8::90"),
        Adjacency::Incomplete { interface: WAN }
    );
    gateway.delete("2001:db8::90/128").unwrap();
    gateway.delete("2001:db8::80/121").unwrap();
    assert_eq!(gateway.lookup("2001:db8::90"), forward(LAN, 0x90));
}

#[test]
fn a_route_out_of_an_interface_makes_every_destination_a_neighbor() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/64", "lan").unwrap();
    gateway.resolve(LAN, "2001:db8:5::9");
    assert_eq!(gateway.sent_nd(), [asks_all(LAN, "2001:db8::1", "2001:db8:5::9")]);
    gateway.answer6(LAN, "2001:db8:5::9", 9);
    assert_eq!(gateway.lookup("2001:db8:5::9"), forward(LAN, 9));
    gateway.delete("2001:db8:5::/64").unwrap();
    assert_eq!(gateway.lookup("2001:db8:5::9"), Adjacency::NoRoute);
}

#[test]
fn a_given_route_comes_back_when_the_own_one_that_hid_it_goes() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/64", "2001:db8:1::2").unwrap();
    gateway.add("2001:db8:5::1/128", "fe80::9%wan").unwrap();
    gateway.address(LAN, "2001:db8:5::1/64").unwrap();
    assert_eq!(
        gateway.lookup("2001:db8:5::9"),
        Adjacency::Glean { interface: LAN }
    );
    assert_eq!(gateway.lookup("2001:db8:5::1"), Adjacency::Blackhole);
    gateway.drop_address(LAN, "2001:db8:5::1/64").unwrap();
    for (destination, next_hop) in [("2001:db8:5::9", "2001:db8:1::2"), ("2001:db8:5::1", "fe80::9")] {
        let index = gateway.next_hop(destination);
        assert_eq!(gateway.adjacencies.next_hop(index), IpAddr::V6(six(next_hop)));
    }
}

#[test]
fn with_an_address_go_the_neighbors_and_routes_that_need_it() {
    let mut gateway = Gateway::with_addresses6();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.address(LAN, "2001:db8:2::1/64").unwrap();
    gateway.pass(10);
    for (prefix, target) in [
        ("2001:db8:a::/48", "2001:db8::7"),
        ("2001:db8:b::/48", "2001:db8:2::7"),
        ("2001:db8:c::/48", "fe80::7%lan"),
        ("2001:db8:d::/48", "fe80::7%wan"),
        ("2001:db8:e::/48", "lan"),
        ("2001:db8:f::/48", "blackhole"),
        ("172.16.0.0/16", "lan"),
    ] {
        gateway.add(prefix, target).unwrap();
    }
    gateway.hear_question(LAN, "2001:db8::8", 8, "2001:db8::1");
    gateway.hear_question(LAN, "fe80::8", 8, LINK_LOCALS[0]);
    gateway.tables.take_actions();
    let deleted = |gateway: &mut Gateway| -> Vec<String> {
        let events = gateway.events();
        events
            .iter()
            .filter_map(|event| match event {
                Event::RouteDeleted { prefix, .. } => Some(prefix.to_string()),
                Event::Neighbor { address, state, .. } if state == "deleted" => Some(address.to_string()),
                _ => None,
            })
            .collect()
    };
    gateway.drop_address(LAN, "2001:db8::1/64").unwrap();
    assert_eq!(deleted(&mut gateway), ["2001:db8:a::/48", "2001:db8::8"]);
    gateway.drop_address(LAN, "2001:db8:2::1/64").unwrap();
    assert_eq!(
        deleted(&mut gateway),
        ["2001:db8:b::/48", "2001:db8:c::/48", "2001:db8:e::/48", "fe80::8"]
    );
    assert_eq!(
        gateway.lookup("2001:db8:d::1"),
        Adjacency::Incomplete { interface: WAN }
    );
    assert_eq!(gateway.lookup("2001:db8:f::1"), Adjacency::Blackhole);
    assert_eq!(gateway.lookup("172.16.0.1"), Adjacency::Glean { interface: LAN });
    assert_eq!(gateway.tables.usage().neighbors, 1);
}

#[test]
fn what_is_reached_by_a_link_local_address_is_reached_by_the_one_that_takes_its_place() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/48", "fe80::7%lan").unwrap();
    gateway.resolve(LAN, "fe80::7");
    gateway.answer6(LAN, "fe80::7", 7);
    gateway.address(LAN, "fe80::1/64").unwrap();
    assert_eq!(gateway.lookup("2001:db8:5::1"), forward(LAN, 7));
    // The address that comes now was another router's as long as it was free.
    let freed = format!("{}%lan", LINK_LOCALS[0]);
    gateway.add("2001:db8:6::/48", &freed).unwrap();
    gateway.drop_address(LAN, "fe80::1/64").unwrap();
    assert_eq!(gateway.lookup("2001:db8:5::1"), forward(LAN, 7));
    assert_eq!(gateway.lookup("2001:db8:6::1"), Adjacency::NoRoute);
    assert_eq!(gateway.shown_on(LAN, LINK_LOCALS[0]), None);
    assert_eq!(gateway.tables.usage().routes6, 1);
}

#[test]
fn a_lookup_is_explained() {
    let mut gateway = Gateway::with_addresses6();
    gateway.add("2001:db8:5::/48", "fe80::7%lan").unwrap();
    gateway.resolve(LAN, "fe80::7");
    gateway.answer6(LAN, "fe80::7", 7);
    let explained = gateway
        .tables
        .route_get(&Flow::to("2001:db8:5::1".parse().unwrap()));
    assert_eq!(explained.prefix, Some("2001:db8:5::/48".parse().unwrap()));
    assert_eq!(explained.next_hop, Some("fe80::7".parse().unwrap()));
    assert_eq!(explained.interface.as_deref(), Some("lan"));
    assert_eq!(explained.mac, Some(host_mac(7)));
    for (address, says) in [
        ("2001:db8:5::1", "leave by lan to fe80::7 at 02:00:00:01:00:07"),
        ("2001:db8::1", "gateway itself, on lan"),
        ("2001:db8:1::9", "on the link of wan"),
        ("fe80::7", "never leave the link"),
        ("2606::1", "no route"),
    ] {
        let outcome = gateway
            .tables
            .route_get(&Flow::to(address.parse().unwrap()))
            .outcome;
        assert!(outcome.contains(says), "{address}: {outcome}");
    }
}
