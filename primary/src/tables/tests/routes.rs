//! Given routes: what is accepted, which one counts, and what a lookup is explained with.

use super::*;
use control::message::ErrorCode;

#[test]
fn routes_by_one_next_hop_follow_it_in_one_store() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    gateway.add("0.0.0.0/0", "10.0.0.7").unwrap();
    assert_eq!(
        gateway.lookup("172.16.1.1"),
        Adjacency::Incomplete { interface: LAN }
    );
    let shared = gateway.next_hop("172.16.1.1");
    for other in ["8.8.8.8", "10.0.0.7"] {
        assert_eq!(gateway.next_hop(other), shared);
    }
    assert_eq!(gateway.adjacencies.next_hop(shared), IpAddr::from([10, 0, 0, 7]));
    assert_eq!(gateway.sent(), [], "nobody asked yet");
    gateway.resolve(LAN, "10.0.0.7");
    gateway.answer(LAN, "10.0.0.7", 7);
    assert_eq!(gateway.lookup("172.16.1.1"), forward(LAN, 7));
    assert_eq!(gateway.lookup("8.8.8.8"), forward(LAN, 7));
}

#[test]
fn a_next_hop_goes_with_its_last_route_when_nothing_is_known_of_it() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    gateway.replace("172.16.0.0/16", "10.0.0.8").unwrap();
    assert_eq!(gateway.shown("10.0.0.7"), None);
    assert!(gateway.shown("10.0.0.8").is_some());
    gateway.delete("172.16.0.0/16").unwrap();
    assert_eq!(gateway.tables.usage().neighbors, 0);
    gateway.reclaim();
    assert_eq!(gateway.tables.usage().adjacencies, FIXED);
}

#[test]
fn wrong_routes_are_refused_with_a_reason() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    for (prefix, target, code, says) in [
        (
            "172.16.0.0/16",
            "blackhole",
            ErrorCode::Exists,
            "172.16.0.0/16 already",
        ),
        (
            "172.17.0.1/16",
            "blackhole",
            ErrorCode::Invalid,
            "did you mean 172.17.0.0/16",
        ),
        (
            "172.17.0.0/16",
            "dmz",
            ErrorCode::UnknownInterface,
            "there are lan, wan",
        ),
        (
            "172.17.0.0/16",
            "10.9.0.1",
            ErrorCode::Invalid,
            "there are 10.0.0.0/24 (lan), 192.0.2.0/28 (wan)",
        ),
        (
            "172.17.0.0/16",
            "192.0.2.1",
            ErrorCode::Invalid,
            "own address on wan",
        ),
        (
            "172.17.0.0/16",
            "10.0.0.255",
            ErrorCode::Invalid,
            "broadcast address of 10.0.0.0/24",
        ),
        (
            "10.0.0.0/24",
            "192.0.2.2",
            ErrorCode::Exists,
            "connected subnet of lan",
        ),
        (
            "10.0.0.1/32",
            "192.0.2.2",
            ErrorCode::Exists,
            "own address of lan",
        ),
    ] {
        let error = gateway.add(prefix, target).unwrap_err();
        assert_eq!(error.code, code, "{prefix} {target}: {error}");
        assert!(error.message.contains(says), "{prefix} {target}: {error}");
    }
    for (prefix, code) in [
        ("172.99.0.0/16", ErrorCode::NotFound),
        ("172.16.0.1/16", ErrorCode::Invalid),
        ("10.0.0.0/24", ErrorCode::Invalid),
    ] {
        assert_eq!(gateway.delete(prefix).unwrap_err().code, code, "{prefix}");
    }
    let mut gateway = Gateway::new();
    assert_eq!(
        gateway.add("172.16.0.0/16", "lan").unwrap_err().code,
        ErrorCode::Invalid
    );
    assert!(
        gateway
            .add("172.16.0.0/16", "10.0.0.1")
            .unwrap_err()
            .message
            .contains("there are none")
    );
}

#[test]
fn a_request_with_one_wrong_route_changes_nothing() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    let before = gateway.shown_routes();
    gateway.tables.take_actions();
    let routes = [
        route("172.16.0.0/16", "blackhole"),
        route("172.20.0.0/16", "10.0.0.8"),
        route("1.0.0.0/8", "10.9.9.9"),
    ];
    gateway
        .tables
        .routes_add(&routes, true, RouteProtocol::BOOT, gateway.now)
        .unwrap_err();
    let twice = [
        route("172.20.0.0/16", "blackhole"),
        route("172.20.0.0/16", "10.0.0.8"),
    ];
    gateway
        .tables
        .routes_add(&twice, true, RouteProtocol::BOOT, gateway.now)
        .unwrap_err();
    let prefixes = ["172.16.0.0/16", "9.0.0.0/8"].map(|prefix| prefix.parse::<IpNet>().unwrap().into());
    gateway.tables.routes_delete(&prefixes).unwrap_err();
    assert_eq!(gateway.shown_routes(), before);
    assert_eq!(
        gateway.lookup("172.16.0.1"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(gateway.tables.take_actions(), []);
}

#[test]
fn a_route_within_a_subnet_is_not_bypassed_by_arp() {
    let mut gateway = Gateway::with_addresses();
    for last in [100, 200] {
        let address = format!("10.0.0.{last}");
        gateway.resolve(LAN, &address);
        gateway.answer(LAN, &address, last);
        assert_eq!(gateway.lookup(&address), forward(LAN, last));
    }
    gateway.add("10.0.0.128/25", "blackhole").unwrap();
    assert_eq!(gateway.lookup("10.0.0.200"), Adjacency::Blackhole);
    assert_eq!(gateway.lookup("10.0.0.100"), forward(LAN, 100));
    gateway.add("10.0.0.200/32", "192.0.2.2").unwrap();
    assert_eq!(
        gateway.lookup("10.0.0.200"),
        Adjacency::Incomplete { interface: WAN }
    );
    gateway.delete("10.0.0.200/32").unwrap();
    gateway.delete("10.0.0.128/25").unwrap();
    assert_eq!(gateway.lookup("10.0.0.200"), forward(LAN, 200));
}

#[test]
fn a_route_out_of_an_interface_makes_every_destination_a_neighbor() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "lan").unwrap();
    gateway.add("203.0.113.9/32", "lan").unwrap();
    for (address, last) in [("172.16.3.4", 4), ("203.0.113.9", 9)] {
        assert_eq!(gateway.lookup(address), Adjacency::Glean { interface: LAN });
        gateway.resolve(LAN, address);
        let request = Arp::request(MACS[0], [10, 0, 0, 1].into(), address.parse().unwrap());
        assert_eq!(gateway.sent(), [(LAN, MacAddress::BROADCAST, request)]);
        gateway.hear(LAN, request.reply(host_mac(last)));
        assert_eq!(gateway.lookup(address), forward(LAN, last));
    }
    assert!(
        gateway
            .shown_routes()
            .contains(&"172.16.0.0/16 connected lan".to_owned())
    );
    gateway.delete("172.16.0.0/16").unwrap();
    assert_eq!(gateway.lookup("172.16.3.4"), Adjacency::NoRoute);
}

#[test]
fn a_given_route_comes_back_when_the_own_one_that_hid_it_goes() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("10.5.0.0/24", "192.0.2.2").unwrap();
    gateway.address(LAN, "10.5.0.1/24").unwrap();
    assert_eq!(gateway.lookup("10.5.0.9"), Adjacency::Glean { interface: LAN });
    gateway.drop_address(LAN, "10.5.0.1/24").unwrap();
    assert_eq!(
        gateway.lookup("10.5.0.9"),
        Adjacency::Incomplete { interface: WAN }
    );
}

#[test]
fn events_tell_of_routes_by_request() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    gateway.delete("172.16.0.0/16").unwrap();
    let prefix = "172.16.0.0/16".parse().unwrap();
    assert_eq!(
        gateway.events(),
        [
            Event::RouteAdded {
                route: route("172.16.0.0/16", "10.0.0.7")
            },
            Event::RouteDeleted { prefix, metric: 0 }
        ]
    );
}

#[test]
fn a_lookup_is_explained() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    let explain =
        |gateway: &Gateway, address: &str| gateway.tables.route_get(&Flow::to(address.parse().unwrap()));

    let waiting = explain(&gateway, "172.16.1.1");
    assert_eq!(waiting.prefix, Some("172.16.0.0/16".parse().unwrap()));
    assert_eq!(waiting.kind.as_deref(), Some("via"));
    assert_eq!(waiting.next_hop, Some([10, 0, 0, 7].into()));
    assert_eq!(waiting.neighbor_state.as_deref(), Some("incomplete"));
    assert_eq!(waiting.mac, None);
    assert!(
        waiting.outcome.contains("wait until 10.0.0.7 on lan"),
        "{}",
        waiting.outcome
    );

    gateway.resolve(LAN, "10.0.0.7");
    gateway.answer(LAN, "10.0.0.7", 7);
    let known = explain(&gateway, "172.16.1.1");
    assert_eq!(
        (known.mac, known.neighbor_state.as_deref()),
        (Some(host_mac(7)), Some("reachable"))
    );
    assert!(
        known
            .outcome
            .contains("leave by lan to 10.0.0.7 at 02:00:00:01:00:07"),
        "{}",
        known.outcome
    );
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    assert!(explain(&gateway, "172.16.1.1").outcome.contains("is down"));
    gateway.tables.set_link(LAN, true, 0, gateway.now);

    let direct = explain(&gateway, "10.0.0.7");
    assert_eq!(
        (direct.kind.as_deref(), direct.mac),
        (Some("connected"), Some(host_mac(7)))
    );
    assert_eq!(direct.prefix, Some("10.0.0.0/24".parse().unwrap()));
    let nothing = explain(&gateway, "8.8.8.8");
    assert_eq!((nothing.prefix, nothing.kind), (None, None));
    for (address, says) in [
        ("8.8.8.8", "no route"),
        ("10.0.0.1", "gateway itself, on lan"),
        ("192.0.2.15", "broadcast address of a subnet of wan"),
        ("10.0.0.99", "the first packet waits while 10.0.0.99 is asked"),
    ] {
        let outcome = explain(&gateway, address).outcome;
        assert!(outcome.contains(says), "{address}: {outcome}");
    }
}
