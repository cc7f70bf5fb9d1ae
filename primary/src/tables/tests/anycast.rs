//! The address of all routers of a subnet: RFC 4291 section 2.6.1, RFC 4861 section 7.2.7.

use packet::ipv6::{ALL_NODES, multicast_mac, solicited_node};
use packet::nd::{NeighborAdvertisement, NeighborMessage};
use std::net::Ipv6Addr;

use super::link6::*;
use super::*;

const ROUTERS: &str = "2001:db8::";
const HOST: &str = "2001:db8::7";

/// The gateway says from `source` where the anycast address is.
fn tells(source: &str, mac: MacAddress, destination: Ipv6Addr, solicited: bool) -> Action {
    Action::SendNd {
        interface: LAN,
        mac,
        source: six(source),
        destination,
        message: NeighborMessage::Advertisement(NeighborAdvertisement {
            target: six(ROUTERS),
            router: true,
            solicited,
            overrides: false,
            target_link_layer: Some(MACS[0]),
        }),
    }
}

#[test]
fn a_subnet_has_it_as_long_as_one_of_its_addresses_is_in_use() {
    let mut gateway = Gateway::new();
    let of_routers = Adjacency::Anycast { interface: LAN };
    gateway.address(LAN, "2001:db8::1/64").unwrap();
    assert_eq!(gateway.lookup(ROUTERS), Adjacency::Blackhole);
    gateway.pass(1);
    assert_eq!(gateway.lookup(ROUTERS), of_routers);
    // One that is looked for changes nothing, and one of two is enough.
    gateway.address(LAN, "2001:db8::2/64").unwrap();
    assert_eq!(gateway.lookup(ROUTERS), of_routers);
    gateway.pass(1);
    gateway.drop_address(LAN, "2001:db8::1/64").unwrap();
    assert_eq!(gateway.lookup(ROUTERS), of_routers);
    gateway.drop_address(LAN, "2001:db8::2/64").unwrap();
    assert_eq!(gateway.lookup(ROUTERS), Adjacency::NoRoute);
}

#[test]
fn links_of_two_and_single_addresses_have_none() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "2001:db8:1::1/127").unwrap();
    gateway.address(LAN, "2001:db8:2::1/128").unwrap();
    gateway.address(LAN, "2001:db8:3::1/126").unwrap();
    gateway.pass(1);
    let lan = LAN;
    assert_eq!(
        gateway.lookup("2001:db8:1::"),
        Adjacency::Glean { interface: lan }
    );
    assert_eq!(gateway.lookup("2001:db8:2::"), Adjacency::NoRoute);
    assert_eq!(
        gateway.lookup("2001:db8:3::"),
        Adjacency::Anycast { interface: lan }
    );
    gateway.pass(5);
    gateway.tables.take_actions();
    gateway.hear_question(LAN, "2001:db8:1::", 7, "2001:db8:1::");
    assert_eq!(gateway.sent_nd(), []);
}

#[test]
fn who_asks_for_it_is_told_without_the_override_flag() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_question(LAN, HOST, 7, ROUTERS);
    assert_eq!(
        gateway.sent_nd(),
        [tells("2001:db8::1", host_mac(7), six(HOST), true)]
    );
    // On the link of the subnet only.
    gateway.hear_question(WAN, "2001:db8:1::7", 8, ROUTERS);
    assert_eq!(gateway.sent_nd(), []);
    let groups = gateway.tables.sources(LAN).unwrap();
    assert!(groups.is_in(solicited_node(six(ROUTERS))));
}

#[test]
fn what_all_were_asked_is_answered_within_a_second() {
    let mut gateway = Gateway::with_addresses6();
    let mut delays = Vec::new();
    for _ in 0..20 {
        gateway.hear_question_to_all(LAN, HOST, 7, ROUTERS);
        let asked = gateway.now;
        assert_eq!(gateway.sent_nd(), []);
        let mut sent = Vec::new();
        while sent.is_empty() {
            // Other timers may be due before.
            gateway.now = gateway.tables.next_deadline().unwrap();
            gateway.tables.tick(gateway.now);
            sent = gateway.sent_nd();
        }
        assert_eq!(sent, [tells("2001:db8::1", host_mac(7), six(HOST), true)]);
        delays.push(gateway.now - asked);
        gateway.now = asked + Duration::from_secs(2);
    }
    assert!(
        delays.iter().all(|delay| *delay <= Duration::from_secs(1)),
        "{delays:?}"
    );
    delays.sort();
    delays.dedup();
    assert!(delays.len() > 10, "{delays:?}");
    // Who looks whether it is free has no address yet.
    gateway.hear_question_to_all(LAN, "::", 9, ROUTERS);
    gateway.pass(1);
    assert_eq!(
        gateway.sent_nd(),
        [tells(
            "fe80::ff:fe00:1",
            multicast_mac(ALL_NODES),
            ALL_NODES,
            false
        )]
    );
}

#[test]
fn a_flood_of_questions_waits_for_so_many_answers_and_no_more() {
    let mut gateway = Gateway::with_addresses6();
    for number in 0..2000_u32 {
        let source = format!("2001:db8::1:{number:x}");
        gateway.hear_question_to_all(LAN, &source, 7, ROUTERS);
    }
    assert_eq!(gateway.sent_nd(), []);
    gateway.pass(1);
    assert_eq!(gateway.sent_nd().len(), 256);
    gateway.hear_question_to_all(LAN, HOST, 7, ROUTERS);
    gateway.pass(1);
    assert_eq!(gateway.sent_nd().len(), 1);
}

#[test]
fn an_address_that_went_meanwhile_is_not_answered_for() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_question_to_all(LAN, HOST, 7, ROUTERS);
    gateway.drop_address(LAN, "2001:db8::1/64").unwrap();
    gateway.tables.take_actions();
    gateway.pass(1);
    assert_eq!(gateway.sent_nd(), []);
}
