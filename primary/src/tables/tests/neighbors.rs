//! Neighbours in virtual time: asked, heard, aged, forgotten.

use super::*;
use control::message::ErrorCode;

fn request(target: &str) -> (u16, MacAddress, Arp) {
    (
        LAN,
        MacAddress::BROADCAST,
        Arp::request(MACS[0], [10, 0, 0, 1].into(), target.parse().unwrap()),
    )
}

/// A neighbour's events since the last call: state and MAC address.
fn told(gateway: &mut Gateway) -> Vec<(String, Option<MacAddress>)> {
    let events = gateway.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Neighbor { state, mac, .. } => Some((state, mac)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_needed_neighbor_is_asked_for_and_packets_go_there_once_it_answers() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.resolve(LAN, "10.0.0.7");
    assert_eq!(
        gateway.lookup("10.0.0.7"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(
        gateway.shown("10.0.0.7"),
        Some((NeighborState::Incomplete, MacAddress::ZERO))
    );
    assert_eq!(gateway.sent(), [request("10.0.0.7")]);
    gateway.answer(LAN, "10.0.0.7", 7);
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 7));
    assert_eq!(
        gateway.shown("10.0.0.7"),
        Some((NeighborState::Reachable, host_mac(7)))
    );
    assert_eq!(told(&mut gateway), [("reachable".to_owned(), Some(host_mac(7)))]);
    gateway.answer(LAN, "10.0.0.7", 7);
    assert_eq!(told(&mut gateway), [], "no news");
    gateway.answer(LAN, "10.0.0.7", 9);
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 9));
    assert_eq!(told(&mut gateway), [("reachable".to_owned(), Some(host_mac(9)))]);
}

#[test]
fn one_that_does_not_answer_fails_and_may_be_asked_again_after_a_second() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.pass(2);
    assert_eq!(
        gateway.lookup("10.0.0.7"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(gateway.sent().len(), 3);
    gateway.pass(1);
    assert_eq!(gateway.lookup("10.0.0.7"), Adjacency::Failed { interface: LAN });
    gateway.resolve(LAN, "10.0.0.7");
    assert_eq!(told(&mut gateway), [("failed".to_owned(), None)]);
    gateway.pass(1);
    assert_eq!(
        gateway.lookup("10.0.0.7"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(gateway.shown("10.0.0.7").unwrap().0, NeighborState::Failed);
    gateway.resolve(LAN, "10.0.0.7");
    assert_eq!(gateway.sent(), [request("10.0.0.7")]);
    assert_eq!(gateway.shown("10.0.0.7").unwrap().0, NeighborState::Incomplete);
    gateway.pass(3 + 2 + 60);
    assert_eq!(
        told(&mut gateway),
        [("failed".to_owned(), None), ("deleted".to_owned(), None)]
    );
    assert_eq!(gateway.lookup("10.0.0.7"), Adjacency::Glean { interface: LAN });
}

#[test]
fn packets_flow_while_a_used_neighbor_is_asked_again() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.answer(LAN, "10.0.0.7", 7);
    gateway.use_route("10.0.0.7");
    gateway.sent();
    let asked_at = gateway.tables.next_deadline().unwrap();
    let reachable_for = asked_at - gateway.now;
    assert!((15..=45).contains(&reachable_for.as_secs()), "{reachable_for:?}");
    gateway.now = asked_at;
    gateway.tables.tick(gateway.now);
    assert_eq!(gateway.shown("10.0.0.7").unwrap().0, NeighborState::Probe);
    gateway.pass(2);
    let (interface, _, question) = request("10.0.0.7");
    let unicast = (interface, host_mac(7), question);
    assert_eq!(gateway.sent(), [unicast; 3]);
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 7));
    gateway.pass(3);
    assert_eq!(gateway.sent(), [request("10.0.0.7"); 3]);
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 7));
    gateway.pass(1);
    assert_eq!(gateway.lookup("10.0.0.7"), Adjacency::Failed { interface: LAN });
    assert_eq!(
        gateway.shown("10.0.0.7"),
        Some((NeighborState::Failed, MacAddress::ZERO))
    );
}

#[test]
fn an_unused_neighbor_ages_and_goes() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.answer(LAN, "10.0.0.7", 7);
    gateway.tables.take_actions();
    gateway.pass(45);
    assert_eq!(
        gateway.shown("10.0.0.7"),
        Some((NeighborState::Stale, host_mac(7)))
    );
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 7));
    gateway.pass(300);
    assert_eq!(gateway.shown("10.0.0.7"), None);
    assert_eq!(gateway.lookup("10.0.0.7"), Adjacency::Glean { interface: LAN });
    assert_eq!(told(&mut gateway), [("deleted".to_owned(), None)]);
    gateway.reclaim();
    assert_eq!(gateway.tables.usage().adjacencies, FIXED);
    assert_eq!(gateway.tables.next_deadline(), None);
}

#[test]
fn a_stale_neighbor_in_use_is_asked_within_five_seconds() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.answer(LAN, "10.0.0.7", 7);
    gateway.pass(60);
    gateway.sent();
    gateway.use_route("10.0.0.7");
    gateway.pass(5);
    assert_eq!(gateway.shown("10.0.0.7").unwrap().0, NeighborState::Probe);
    gateway.answer(LAN, "10.0.0.7", 7);
    assert_eq!(gateway.shown("10.0.0.7").unwrap().0, NeighborState::Reachable);
}

#[test]
fn a_next_hop_that_ages_stays_and_is_asked_when_needed() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.answer(LAN, "10.0.0.7", 7);
    gateway.pass(400);
    gateway.sent();
    assert_eq!(
        gateway.shown("10.0.0.7"),
        Some((NeighborState::Incomplete, MacAddress::ZERO))
    );
    assert_eq!(
        gateway.lookup("172.16.0.1"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(gateway.tables.next_deadline(), None);
    gateway.resolve(LAN, "10.0.0.7");
    assert_eq!(gateway.sent(), [request("10.0.0.7")]);
}

#[test]
fn a_permanent_neighbor_is_never_asked_and_never_learnt() {
    let mut gateway = Gateway::with_addresses();
    let address: IpAddr = "10.0.0.7".parse().unwrap();
    gateway
        .tables
        .neighbor_add(LAN, address, host_mac(7), gateway.now)
        .unwrap();
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 7));
    gateway.answer(LAN, "10.0.0.7", 66);
    gateway.use_route("10.0.0.7");
    gateway.pass(1000);
    assert_eq!(
        gateway.shown("10.0.0.7"),
        Some((NeighborState::Permanent, host_mac(7)))
    );
    assert_eq!(gateway.sent(), []);
    gateway.tables.neighbor_delete(LAN, address, gateway.now).unwrap();
    assert_eq!(gateway.lookup("10.0.0.7"), Adjacency::Glean { interface: LAN });
    assert_eq!(
        gateway
            .tables
            .neighbor_delete(LAN, address, gateway.now)
            .unwrap_err()
            .code,
        ErrorCode::NotFound
    );
}

#[test]
fn a_deleted_neighbor_that_a_route_names_is_asked_anew() {
    let mut gateway = Gateway::with_addresses();
    gateway.add("172.16.0.0/16", "10.0.0.7").unwrap();
    let address: IpAddr = "10.0.0.7".parse().unwrap();
    gateway
        .tables
        .neighbor_add(LAN, address, host_mac(7), gateway.now)
        .unwrap();
    assert_eq!(gateway.lookup("172.16.0.1"), forward(LAN, 7));
    gateway.tables.neighbor_delete(LAN, address, gateway.now).unwrap();
    assert_eq!(
        gateway.lookup("172.16.0.1"),
        Adjacency::Incomplete { interface: LAN }
    );
    assert_eq!(told(&mut gateway).last().unwrap().0, "deleted");
}

#[test]
fn wrong_permanent_neighbors_are_refused() {
    let mut gateway = Gateway::with_addresses();
    for (interface, address, mac, code) in [
        (LAN, "10.0.0.1", host_mac(1), ErrorCode::Invalid),
        (LAN, "10.0.0.255", host_mac(1), ErrorCode::Invalid),
        (LAN, "192.0.2.2", host_mac(1), ErrorCode::Invalid),
        (LAN, "fe80::1", host_mac(1), ErrorCode::Invalid),
        (LAN, "10.0.0.7", MacAddress::BROADCAST, ErrorCode::Invalid),
        (LAN, "10.0.0.7", MacAddress::ZERO, ErrorCode::Invalid),
        (7, "10.0.0.7", host_mac(1), ErrorCode::UnknownInterface),
    ] {
        let error = gateway
            .tables
            .neighbor_add(interface, address.parse().unwrap(), mac, gateway.now)
            .unwrap_err();
        assert_eq!(error.code, code, "{address}: {error}");
    }
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn a_failed_neighbor_is_asked_at_once_when_the_link_returns() {
    let mut gateway = Gateway::with_addresses();
    gateway.resolve(LAN, "10.0.0.7");
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.pass(3);
    assert_eq!(gateway.shown("10.0.0.7").unwrap().0, NeighborState::Failed);
    assert_eq!(gateway.lookup("10.0.0.7"), Adjacency::NoRoute);
    gateway.tables.set_link(LAN, true, 0, gateway.now);
    assert_eq!(
        gateway.lookup("10.0.0.7"),
        Adjacency::Incomplete { interface: LAN }
    );
    gateway.sent();
    gateway.resolve(LAN, "10.0.0.7");
    assert_eq!(gateway.sent(), [request("10.0.0.7")]);
}

#[test]
fn a_request_for_what_is_no_neighbor_is_ignored() {
    let mut gateway = Gateway::with_addresses();
    for (interface, address) in [
        (LAN, "192.0.2.7"),
        (LAN, "8.8.8.8"),
        (LAN, "10.0.0.1"),
        (LAN, "10.0.0.255"),
        (9, "10.0.0.7"),
    ] {
        gateway.resolve(interface, address);
    }
    assert_eq!(gateway.tables.take_actions(), []);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}
