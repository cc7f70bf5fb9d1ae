//! What happens when something is full.

use super::link6::*;
use super::*;
use control::message::ErrorCode;
use std::net::Ipv4Addr;

const HOST: &str = "2001:db8::7";
const US: &str = "2001:db8::1";

const FEW: Limits = Limits {
    routes4: 3,
    routes6: 3,
    neighbors: 3,
    addresses: 2,
    groups: 16,
    sas: 2,
};

fn few(tbl8_groups: usize) -> Gateway {
    with_lan(FEW, tbl8_groups)
}

fn with_lan(limits: Limits, tbl8_groups: usize) -> Gateway {
    let mut gateway = Gateway::with(limits, tbl8_groups);
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.pass(10);
    gateway.tables.take_actions();
    gateway
}

#[test]
fn more_routes_than_the_limit_are_refused_in_whole() {
    let mut gateway = few(8);
    gateway.add("172.16.0.0/16", "blackhole").unwrap();
    let routes = ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"].map(|prefix| route(prefix, "blackhole"));
    let error = gateway
        .tables
        .routes_add(&routes, false, RouteProtocol::BOOT, gateway.now)
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.contains("routes4"), "{error}");
    assert_eq!(gateway.tables.usage().routes4, 1);
    gateway
        .tables
        .routes_add(&routes[..2], false, RouteProtocol::BOOT, gateway.now)
        .unwrap();
    gateway.replace("172.16.0.0/16", "10.0.0.7").unwrap();
}

#[test]
fn the_longest_stale_or_failed_neighbor_makes_room_and_one_in_use_never() {
    let mut gateway = few(8);
    for last in [2, 3, 4] {
        let address = format!("10.0.0.{last}");
        gateway.resolve(LAN, &address);
        gateway.answer(LAN, &address, last);
    }
    gateway.resolve(LAN, "10.0.0.5");
    assert_eq!(gateway.shown("10.0.0.5"), None);
    let refused = |gateway: &mut Gateway| {
        let actions = gateway.tables.take_actions();
        actions
            .iter()
            .filter(|action| matches!(action, Action::NeighborRefused { .. }))
            .count()
    };
    assert_eq!(refused(&mut gateway), 1);
    gateway.resolve(LAN, "10.0.0.6");
    assert_eq!(refused(&mut gateway), 0, "said lately");
    gateway.pass(50);
    gateway.answer(LAN, "10.0.0.2", 2);
    gateway.resolve(LAN, "10.0.0.5");
    gateway.reclaim();
    assert!(gateway.shown("10.0.0.5").is_some() && gateway.shown("10.0.0.2").is_some());
    assert_eq!(gateway.tables.usage().neighbors, 3);
    gateway.resolve(LAN, "10.0.0.6");
    gateway.resolve(LAN, "10.0.0.7");
    assert_eq!(
        gateway.shown("10.0.0.2"),
        Some((NeighborState::Reachable, host_mac(2)))
    );
    assert!(gateway.shown("10.0.0.6").is_some());
    assert_eq!(gateway.shown("10.0.0.7"), None);
}

#[test]
fn next_hops_and_permanent_neighbors_do_not_make_room() {
    let mut gateway = few(8);
    for last in [2, 3] {
        gateway
            .add(&format!("172.{last}.0.0/16"), &format!("10.0.0.{last}"))
            .unwrap();
    }
    gateway
        .tables
        .neighbor_add(LAN, "10.0.0.4".parse().unwrap(), host_mac(4), gateway.now)
        .unwrap();
    gateway.resolve(LAN, "10.0.0.2");
    gateway.pass(4);
    let error = gateway.add("172.5.0.0/16", "10.0.0.5").unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.contains("neighbors in [limits]"), "{error}");
    assert_eq!(gateway.lookup("172.5.0.1"), Adjacency::NoRoute);
}

#[test]
fn a_request_without_a_tbl8_group_changes_nothing_and_says_what_to_do() {
    let mut gateway = with_lan(Limits { routes4: 4, ..FEW }, 2);
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    // A prefix that is alone in its /16 takes no group.
    gateway.add("1.1.128.0/24", "blackhole").unwrap();
    let before = gateway.shown_routes();
    gateway.tables.take_actions();
    let routes = [
        route("172.16.0.0/16", "10.0.0.8"),
        route("1.1.1.0/30", "blackhole"),
        route("1.1.2.0/30", "blackhole"),
    ];
    let add = |gateway: &mut Gateway| {
        gateway
            .tables
            .routes_add(&routes, true, RouteProtocol::BOOT, gateway.now)
    };
    let error = add(&mut gateway).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.contains("raise tbl8_groups4"), "{error}");
    assert_eq!(gateway.shown_routes(), before);
    assert_eq!(gateway.lookup("1.1.1.1"), Adjacency::NoRoute);
    assert_eq!(
        gateway.lookup("172.16.0.1"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(gateway.shown("10.0.0.8"), None);
    assert_eq!(gateway.tables.take_actions(), []);
    let error = gateway.add("1.1.3.0/30", "blackhole").unwrap_err();
    assert!(error.message.contains("try again"), "{error}");
    gateway.reclaim();
    gateway.add("1.1.3.0/30", "blackhole").unwrap();
    assert_eq!(gateway.lookup("1.1.3.1"), Adjacency::Blackhole);
}

#[test]
fn an_address_without_a_tbl8_group_is_refused_in_whole() {
    let mut gateway = few(1);
    let error = gateway.address(WAN, "192.0.2.1/24").unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert_eq!(gateway.lookup("192.0.2.9"), Adjacency::NoRoute);
    assert_eq!(gateway.shown_routes().len(), 4);
    assert_eq!(gateway.reader.addresses().len(), 1);
    assert_eq!(gateway.tables.take_actions(), []);
}

#[test]
fn a_hundred_thousand_routes_come_and_go_in_requests_of_a_thousand() {
    const ROUTES: usize = 100_000;
    let mut gateway = Gateway::with(
        Limits {
            routes4: ROUTES,
            ..FEW
        },
        8,
    );
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    let all: Vec<Route> = (0..ROUTES as u32)
        .map(|index| {
            let network = Ipv4Addr::from(0x1400_0000 + (index << 8));
            Route {
                prefix: IpNet::new(network.into(), 24).unwrap(),
                ..route("0.0.0.0/0", "10.0.0.7")
            }
        })
        .collect();
    let start = std::time::Instant::now();
    for routes in all.chunks(1000) {
        gateway
            .tables
            .routes_add(routes, false, RouteProtocol::STATIC, gateway.now)
            .unwrap();
        gateway.tables.take_actions();
    }
    let took = start.elapsed();
    assert!(
        cfg!(debug_assertions) || took < Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!(gateway.tables.usage().routes4, ROUTES);
    assert_eq!(gateway.reader.routes4().len(), ROUTES + 4);
    let keys: Vec<_> = all.iter().map(|route| route.prefix.into()).collect();
    gateway.tables.routes_delete(&keys).unwrap();
    assert_eq!(gateway.tables.usage().fib_routes4, 4);
}

#[test]
fn a_flood_of_questions_is_answered_and_takes_no_more_than_the_limit() {
    const FLOOD: u32 = 1000;
    let mut gateway = Gateway::with_addresses6();
    gateway.resolve(LAN, HOST);
    gateway.answer6(LAN, HOST, 7);
    gateway.add("2001:db8:5::/48", "2001:db8::5").unwrap();
    gateway.tables.take_actions();
    for host in 0x1000..0x1000 + FLOOD {
        let source = format!("2001:db8::{host:x}");
        gateway.hear_question(LAN, &source, 9, US);
        assert_eq!(gateway.sent_nd().len(), 1, "{source} was not answered");
        gateway.reclaim();
    }
    let usage = gateway.tables.usage();
    assert_eq!(usage.neighbors, ROOMY.neighbors);
    assert_eq!(usage.adjacencies, FIXED + ROOMY.neighbors);
    // Two connected, two local, two anycast ones, the given one, and a neighbour's each.
    assert_eq!(usage.fib_routes6, 7 + ROOMY.neighbors);
    // The one that answered and the next hop stay, of the others the last ones.
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(7))));
    assert!(gateway.shown("2001:db8::5").is_some());
    assert_eq!(gateway.shown("2001:db8::1000"), None);
    assert_eq!(gateway.lookup("2001:db8::13e7"), forward(LAN, 9));
}

#[test]
fn strangers_that_ask_take_the_places_of_strangers() {
    let mut gateway = few(8);
    gateway.resolve(LAN, "10.0.0.2");
    gateway.answer(LAN, "10.0.0.2", 2);
    gateway.pass(50);
    assert_eq!(
        gateway.shown("10.0.0.2"),
        Some((NeighborState::Stale, host_mac(2)))
    );
    for last in 100..200 {
        let us = Ipv4Addr::new(10, 0, 0, 1);
        gateway.hear(LAN, Arp::request(host_mac(last), [10, 0, 0, last].into(), us));
        gateway.reclaim();
    }
    assert_eq!(gateway.tables.usage().neighbors, FEW.neighbors);
    assert_eq!(
        gateway.shown("10.0.0.2"),
        Some((NeighborState::Stale, host_mac(2)))
    );
    // Nor do they keep out who is looked for.
    for last in [3, 4] {
        let address = format!("10.0.0.{last}");
        gateway.resolve(LAN, &address);
        gateway.answer(LAN, &address, last);
        gateway.reclaim();
    }
    for last in [3, 4] {
        assert_eq!(
            gateway.shown(&format!("10.0.0.{last}")),
            Some((NeighborState::Reachable, host_mac(last)))
        );
    }
    assert!(gateway.shown("10.0.0.199").is_none());
}

#[test]
fn when_no_neighbor_may_go_who_asks_is_answered_and_the_refusal_told_once() {
    let mut gateway = Gateway::with(
        Limits {
            neighbors: 1,
            ..ROOMY
        },
        8,
    );
    gateway.address(LAN, "2001:db8::1/64").unwrap();
    gateway.pass(10);
    gateway.resolve(LAN, HOST);
    gateway.answer6(LAN, HOST, 7);
    gateway.tables.take_actions();
    for last in [8, 9] {
        gateway.hear_question(LAN, &format!("2001:db8::{last}"), last, US);
    }
    let actions = gateway.tables.take_actions();
    assert!(
        matches!(&actions[0], Action::NeighborRefused { address, .. } if *address == IpAddr::V6(six("2001:db8::8"))),
        "{actions:?}"
    );
    assert_eq!(
        actions[1..],
        [
            replies(LAN, US, host_mac(8), "2001:db8::8"),
            replies(LAN, US, host_mac(9), "2001:db8::9")
        ]
    );
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    assert_eq!(gateway.lookup("2001:db8::8"), Adjacency::Glean { interface: LAN });
}
