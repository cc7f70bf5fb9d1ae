//! Addresses and what comes and goes with them.

use super::*;
use control::message::ErrorCode;

#[test]
fn an_address_brings_its_routes_and_takes_them_along() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    let lan = LAN;
    assert_eq!(gateway.lookup("10.0.0.1"), Adjacency::Local { interface: lan });
    assert_eq!(gateway.lookup("10.0.0.9"), Adjacency::Glean { interface: lan });
    assert_eq!(gateway.lookup("10.0.0.0"), Adjacency::Broadcast);
    assert_eq!(gateway.lookup("10.0.0.255"), Adjacency::Broadcast);
    assert_eq!(gateway.lookup("10.0.1.0"), Adjacency::NoRoute);
    assert_eq!(
        gateway.shown_routes(),
        [
            "10.0.0.0/24 connected lan",
            "10.0.0.0/32 broadcast lan",
            "10.0.0.1/32 local lan",
            "10.0.0.255/32 broadcast lan"
        ]
    );
    assert_eq!(gateway.reader.addresses().len(), 1);

    gateway.drop_address(LAN, "10.0.0.1/24").unwrap();
    assert_eq!(gateway.lookup("10.0.0.1"), Adjacency::NoRoute);
    assert!(gateway.shown_routes().is_empty());
    assert!(gateway.reader.addresses().is_empty());
    assert_eq!(gateway.tables.usage().fib_routes4, 0);
}

#[test]
fn both_addresses_of_a_31_are_hosts_and_a_32_is_alone() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "10.0.0.0/31").unwrap();
    gateway.address(WAN, "10.9.9.9/32").unwrap();
    assert_eq!(gateway.lookup("10.0.0.0"), Adjacency::Local { interface: LAN });
    assert_eq!(gateway.lookup("10.0.0.1"), Adjacency::Glean { interface: LAN });
    assert_eq!(
        gateway.shown_routes(),
        [
            "10.0.0.0/31 connected lan",
            "10.0.0.0/32 local lan",
            "10.9.9.9/32 local wan"
        ]
    );
}

#[test]
fn a_second_address_of_a_subnet_keeps_the_subnet_when_the_first_goes() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.address(LAN, "10.0.0.2/24").unwrap();
    gateway.add("10.5.0.0/16", "10.0.0.7").unwrap();
    gateway.drop_address(LAN, "10.0.0.1/24").unwrap();
    assert_eq!(gateway.lookup("10.0.0.1"), Adjacency::Glean { interface: LAN });
    assert_eq!(gateway.lookup("10.0.0.2"), Adjacency::Local { interface: LAN });
    assert_eq!(gateway.lookup("10.0.0.255"), Adjacency::Broadcast);
    assert_eq!(
        gateway.lookup("10.5.0.1"),
        Adjacency::Incomplete { interface: LAN }
    );
}

#[test]
fn unusable_addresses_are_refused_with_a_reason() {
    let mut gateway = Gateway::with_addresses();
    for (net, code, says) in [
        ("224.0.0.1/24", ErrorCode::Invalid, "unicast"),
        ("127.0.0.1/8", ErrorCode::Invalid, "unicast"),
        ("0.0.0.1/24", ErrorCode::Invalid, "unicast"),
        ("240.0.0.1/24", ErrorCode::Invalid, "unicast"),
        ("10.7.0.0/24", ErrorCode::Invalid, "network or broadcast"),
        ("10.7.0.255/24", ErrorCode::Invalid, "network or broadcast"),
        ("10.7.0.1/0", ErrorCode::Invalid, "longer prefix"),
        ("10.0.0.1/24", ErrorCode::Exists, "lan has 10.0.0.1/24 already"),
        ("192.0.2.1/30", ErrorCode::Exists, "wan has 192.0.2.1/28 already"),
        (
            "192.0.2.5/28",
            ErrorCode::Invalid,
            "192.0.2.5/28 on lan overlaps 192.0.2.1/28 on wan",
        ),
        ("192.0.0.1/16", ErrorCode::Invalid, "overlaps"),
        ("192.0.2.5/32", ErrorCode::Invalid, "overlaps"),
    ] {
        let error = gateway.address(LAN, net).unwrap_err();
        assert_eq!(error.code, code, "{net}: {error}");
        assert!(error.message.contains(says), "{net}: {error}");
    }
    assert_eq!(gateway.tables.usage().addresses, 2);
    assert_eq!(
        gateway.address(9, "10.7.0.1/24").unwrap_err().code,
        ErrorCode::UnknownInterface
    );
    let error = gateway.drop_address(LAN, "10.0.0.2/24").unwrap_err();
    assert_eq!(
        (error.code, error.message.contains("it has 10.0.0.1/24")),
        (ErrorCode::NotFound, true),
        "{error}"
    );
}

#[test]
fn a_new_address_is_announced_twice_two_seconds_apart() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    let announcement = (
        LAN,
        MacAddress::BROADCAST,
        Arp::announcement(MACS[0], [10, 0, 0, 1].into()),
    );
    assert_eq!(gateway.sent(), [announcement]);
    assert_eq!(
        gateway.tables.next_deadline(),
        Some(gateway.now + Duration::from_secs(2))
    );
    gateway.pass(60);
    assert_eq!(gateway.sent(), [announcement]);
}

#[test]
fn nothing_is_announced_by_a_down_interface_and_all_when_it_comes_up() {
    let mut gateway = Gateway::new();
    assert!(gateway.tables.set_link(LAN, false, 0, gateway.now));
    assert!(!gateway.tables.set_link(LAN, false, 0, gateway.now));
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.pass(10);
    assert_eq!(gateway.sent(), []);
    gateway.tables.set_admin(LAN, false, gateway.now);
    gateway.tables.set_link(LAN, true, 10_000, gateway.now);
    assert_eq!(gateway.sent(), []);
    gateway.tables.set_admin(LAN, true, gateway.now);
    gateway.pass(10);
    assert_eq!(gateway.sent().len(), 2);
    let (_, record) = gateway.reader.interfaces()[0];
    assert_eq!(
        (record.link_up, record.admin_up, record.speed_mbps),
        (1, 1, 10_000)
    );
}

#[test]
fn with_an_address_go_the_neighbors_and_routes_that_need_it() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    gateway.add("172.17.0.0/16", "192.0.2.7").unwrap();
    gateway.add("172.18.0.0/16", "lan").unwrap();
    gateway.add("172.19.0.0/16", "blackhole").unwrap();
    gateway.resolve(LAN, "10.0.0.8");
    gateway.answer(LAN, "10.0.0.8", 8);
    gateway.tables.take_actions();
    gateway.drop_address(LAN, "10.0.0.1/24").unwrap();
    let events = gateway.events();
    assert!(
        matches!(&events[0], Event::Address { added: false, .. }),
        "{events:?}"
    );
    let deleted: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::RouteDeleted { prefix, .. } => Some(prefix.to_string()),
            Event::Neighbor { address, state, .. } if state == "deleted" => Some(address.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["172.16.0.0/16", "172.18.0.0/16", "10.0.0.8"]);
    for gone in ["172.16.0.1", "172.18.0.1", "10.0.0.8", "10.0.0.7"] {
        assert_eq!(gateway.lookup(gone), Adjacency::NoRoute, "{gone}");
    }
    assert_eq!(
        gateway.lookup("172.17.0.1"),
        Adjacency::Incomplete { interface: WAN }
    );
    assert_eq!(gateway.lookup("172.19.0.1"), Adjacency::Blackhole);
    assert_eq!(gateway.tables.usage().neighbors, 1);
}

#[test]
fn an_address_takes_the_place_of_a_neighbor_unless_routes_name_it() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.5");
    gateway.address(LAN, "10.0.0.5/24").unwrap();
    assert_eq!(gateway.lookup("10.0.0.5"), Adjacency::Local { interface: LAN });
    assert_eq!(gateway.shown("10.0.0.5"), None);
    gateway.add("172.16.0.0/16", "10.0.0.6").unwrap();
    assert!(
        gateway
            .address(LAN, "10.0.0.6/24")
            .unwrap_err()
            .message
            .contains("next hop of 1 routes")
    );
}

#[test]
fn a_next_hop_that_has_become_a_broadcast_address_stays_as_long_as_its_routes() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    gateway.add("172.16.0.0/12", "10.0.0.127").unwrap();
    gateway.add("172.17.0.0/16", "10.0.0.127,10.0.0.9").unwrap();
    gateway.address(LAN, "10.0.0.2/25").unwrap();
    gateway.drop_address(LAN, "10.0.0.1/24").unwrap();
    assert_eq!(gateway.tables.usage().neighbors, 2);
    gateway.delete("172.16.0.0/12").unwrap();
    gateway.delete("172.17.0.0/16").unwrap();
    assert_eq!(gateway.tables.usage().neighbors, 0);
}
