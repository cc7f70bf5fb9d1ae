//! IPv6 addresses of the gateway: looked for before use (RFC 4862 section 5.4), announced, defended, refused; and the
//! link-local ones that it makes itself.

use super::link6::*;
use super::*;
use control::message::ErrorCode;
use shm::records::AddressState;

const NET: &str = "2001:db8::1/64";
const US: &str = "2001:db8::1";

fn state_events(gateway: &mut Gateway) -> Vec<(String, String)> {
    let events = gateway.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::AddressState { address, state, .. } => Some((address.to_string(), state)),
            _ => None,
        })
        .collect()
}

fn conflicts(actions: &[Action]) -> Vec<(u16, IpAddr, MacAddress)> {
    let conflicts = actions.iter();
    conflicts
        .filter_map(|action| match action {
            Action::Conflict {
                interface,
                address,
                mac,
            } => Some((*interface, *address, *mac)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_new_address_is_used_after_a_second_of_silence_and_announced_twice() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, NET).unwrap();
    assert_eq!(
        gateway.sent_nd(),
        [looks_for(LAN, US), looks_for(LAN, LINK_LOCALS[0])]
    );
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
    assert_eq!(gateway.lookup(US), Adjacency::Blackhole);
    assert_eq!(gateway.lookup("2001:db8::9"), Adjacency::Glean { interface: LAN });
    let start = gateway.now;
    gateway.now += Duration::from_millis(999);
    gateway.tables.tick(gateway.now);
    assert_eq!(gateway.tables.take_actions(), []);
    gateway.now = start + Duration::from_secs(1);
    gateway.tables.tick(gateway.now);
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Preferred));
    assert_eq!(gateway.lookup(US), Adjacency::Local { interface: LAN });
    let announced = [announces(LAN, LINK_LOCALS[0]), announces(LAN, US)];
    let mut sent = gateway.sent_nd();
    sent.sort_by_key(|action| *action != announced[0]);
    assert_eq!(sent, announced);
    gateway.pass(60);
    let mut sent = gateway.sent_nd();
    sent.sort_by_key(|action| *action != announced[0]);
    assert_eq!(sent, announced);
    assert_eq!(gateway.tables.next_deadline(), None);
}

#[test]
fn an_address_brings_its_routes_by_its_state_and_takes_them_along() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, NET).unwrap();
    gateway.address(WAN, "2001:db8:1::9/128").unwrap();
    gateway.address(WAN, "2001:db8:2::/127").unwrap();
    assert_eq!(
        gateway.shown_routes(),
        [
            "2001:db8::/64 connected lan",
            "2001:db8::/128 blackhole",
            "2001:db8::1/128 blackhole",
            "2001:db8:1::9/128 blackhole",
            "2001:db8:2::/127 connected wan",
            "2001:db8:2::/128 blackhole",
        ]
    );
    gateway.tables.take_actions();
    gateway.pass(1);
    assert_eq!(
        gateway.shown_routes(),
        [
            "2001:db8::/64 connected lan",
            "2001:db8::/128 anycast lan",
            "2001:db8::1/128 local lan",
            "2001:db8:1::9/128 local wan",
            "2001:db8:2::/127 connected wan",
            "2001:db8:2::/128 local wan",
        ]
    );
    assert_eq!(gateway.tables.usage().own_routes6, 6);
    for (interface, net) in [(LAN, NET), (WAN, "2001:db8:1::9/128"), (WAN, "2001:db8:2::/127")] {
        gateway.drop_address(interface, net).unwrap();
    }
    assert_eq!(gateway.tables.usage().fib_routes6, 0);
    assert!(gateway.shown_routes().is_empty() && gateway.reader.addresses().is_empty());
}

#[test]
fn another_that_looks_for_the_address_or_has_it_makes_it_a_duplicate() {
    for has_it in [false, true] {
        let mut gateway = Gateway::new();
        gateway.address(LAN, NET).unwrap();
        gateway.tables.take_actions();
        let hear = |gateway: &mut Gateway, interface| match has_it {
            false => gateway.hear_detection(interface, 66, US),
            true => gateway.answer6(interface, US, 66),
        };
        hear(&mut gateway, WAN);
        assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
        hear(&mut gateway, LAN);
        let actions = gateway.tables.take_actions();
        assert_eq!(conflicts(&actions), [(LAN, US.parse().unwrap(), host_mac(66))]);
        let event = Event::AddressState {
            interface: "lan".into(),
            address: NET.parse().unwrap(),
            state: "duplicate".into(),
        };
        assert!(actions.contains(&Action::Event(event)), "{actions:?}");
        gateway.pass(60);
        assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Duplicate));
        // The other host's, as far as packets go.
        assert_eq!(gateway.lookup(US), Adjacency::Glean { interface: LAN });
        assert_eq!(
            gateway.tables.sources(LAN).unwrap().towards6(six("2001:db8::9")),
            Some(six(LINK_LOCALS[0]))
        );
        assert!(!gateway.sent_nd().contains(&announces(LAN, US)));
    }
}

#[test]
fn questions_for_an_address_that_is_not_in_use_are_not_answered() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, NET).unwrap();
    gateway.tables.take_actions();
    gateway.hear_question(LAN, "2001:db8::7", 7, US);
    assert_eq!(gateway.tables.take_actions(), []);
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
    gateway.answer6(LAN, US, 66);
    gateway.tables.take_actions();
    gateway.hear_question(LAN, "2001:db8::7", 7, US);
    gateway.hear_detection(LAN, 7, US);
    assert_eq!(gateway.tables.take_actions(), []);
}

#[test]
fn the_host_that_has_a_duplicate_address_is_a_neighbor_like_any_other() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, NET).unwrap();
    gateway.answer6(LAN, US, 66);
    gateway.pass(10);
    gateway.tables.take_actions();
    gateway.hear_question(LAN, US, 66, LINK_LOCALS[0]);
    assert_eq!(
        gateway.sent_nd(),
        [replies(LAN, LINK_LOCALS[0], host_mac(66), US)]
    );
    assert_eq!(gateway.lookup(US), forward(LAN, 66));
    gateway.answer6(LAN, US, 66);
    assert_eq!(gateway.shown(US), Some((NeighborState::Reachable, host_mac(66))));
    // Until the gateway tries again to have it.
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.tables.set_link(LAN, true, 0, gateway.now);
    assert_eq!(gateway.shown(US), None);
    assert_eq!(gateway.lookup(US), Adjacency::Blackhole);
    gateway.pass(1);
    assert_eq!(gateway.lookup(US), Adjacency::Local { interface: LAN });
}

#[test]
fn an_address_is_looked_for_when_the_link_comes_up() {
    let mut gateway = Gateway::new();
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.address(LAN, NET).unwrap();
    gateway.pass(60);
    assert_eq!(gateway.sent_nd(), []);
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
    gateway.tables.set_link(LAN, true, 0, gateway.now);
    assert_eq!(
        gateway.sent_nd(),
        [looks_for(LAN, US), looks_for(LAN, LINK_LOCALS[0])]
    );
    gateway.pass(1);
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Preferred));
}

#[test]
fn silence_while_the_link_is_down_does_not_count() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, NET).unwrap();
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.pass(5);
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
}

#[test]
fn a_search_that_began_anew_takes_its_whole_second() {
    for by_link in [true, false] {
        let mut gateway = Gateway::new();
        gateway.address(LAN, NET).unwrap();
        gateway.now += Duration::from_millis(900);
        if by_link {
            gateway.tables.set_link(LAN, false, 0, gateway.now);
            gateway.tables.set_link(LAN, true, 0, gateway.now);
        } else {
            gateway.drop_address(LAN, NET).unwrap();
            gateway.address(LAN, NET).unwrap();
        }
        let start = gateway.now;
        gateway.now = start + Duration::from_millis(999);
        gateway.tables.tick(gateway.now);
        assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
        gateway.now = start + Duration::from_secs(1);
        gateway.tables.tick(gateway.now);
        assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Preferred));
    }
}

#[test]
fn a_duplicate_is_tried_again_when_the_link_comes_up_and_one_in_use_is_announced() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, NET).unwrap();
    gateway.hear_detection(LAN, 66, US);
    gateway.pass(10);
    gateway.tables.take_actions();
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.tables.set_link(LAN, true, 0, gateway.now);
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Tentative));
    assert_eq!(gateway.lookup(US), Adjacency::Blackhole);
    assert_eq!(
        gateway.sent_nd(),
        [looks_for(LAN, US), announces(LAN, LINK_LOCALS[0])]
    );
    gateway.pass(10);
    assert_eq!(
        state_events(&mut gateway),
        [(NET.to_owned(), "preferred".to_owned())]
    );
    assert_eq!(gateway.lookup(US), Adjacency::Local { interface: LAN });
}

#[test]
fn an_address_in_use_is_defended_no_more_than_once_in_ten_seconds() {
    let mut gateway = Gateway::with_addresses6();
    let claim = |gateway: &mut Gateway| {
        gateway.answer6(LAN, US, 66);
        gateway.hear_question(LAN, US, 66, US);
    };
    for expected in [1, 0] {
        claim(&mut gateway);
        let actions = gateway.tables.take_actions();
        assert_eq!(conflicts(&actions).len(), expected);
        assert_eq!(actions.len(), 2 * expected);
        assert_eq!(actions.contains(&announces(LAN, US)), expected == 1);
    }
    assert_eq!(gateway.address_state(LAN, US), Some(AddressState::Preferred));
    assert_eq!(gateway.lookup(US), Adjacency::Local { interface: LAN });
    gateway.pass(10);
    claim(&mut gateway);
    assert_eq!(
        conflicts(&gateway.tables.take_actions()),
        [(LAN, US.parse().unwrap(), host_mac(66))]
    );
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn a_link_local_address_comes_with_the_first_ipv6_address_and_goes_with_the_last() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    assert_eq!(gateway.address_state(LAN, LINK_LOCALS[0]), None);
    gateway.address(LAN, NET).unwrap();
    gateway.address(LAN, "2001:db8:2::1/64").unwrap();
    gateway.pass(1);
    assert_eq!(
        gateway.address_state(LAN, LINK_LOCALS[0]),
        Some(AddressState::Preferred)
    );
    assert_eq!(gateway.address_state(WAN, LINK_LOCALS[1]), None);
    let error = gateway
        .drop_address(LAN, &format!("{}/64", LINK_LOCALS[0]))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("last IPv6 address"), "{error}");
    gateway.drop_address(LAN, NET).unwrap();
    assert!(gateway.address_state(LAN, LINK_LOCALS[0]).is_some());
    gateway.drop_address(LAN, "2001:db8:2::1/64").unwrap();
    assert_eq!(gateway.address_state(LAN, LINK_LOCALS[0]), None);
    assert_eq!(gateway.reader.addresses().len(), 1);
}

#[test]
fn a_link_local_address_given_by_hand_takes_the_place_of_the_automatic_one() {
    let mut gateway = Gateway::with_addresses6();
    gateway.address(LAN, "fe80::1/64").unwrap();
    assert_eq!(gateway.address_state(LAN, LINK_LOCALS[0]), None);
    assert_eq!(gateway.sent_nd(), [looks_for(LAN, "fe80::1")]);
    // The same on another link is another one.
    gateway.address(WAN, "fe80::1/64").unwrap();
    gateway.pass(1);
    for interface in [LAN, WAN] {
        assert_eq!(
            gateway.address_state(interface, "fe80::1"),
            Some(AddressState::Preferred)
        );
        assert_eq!(
            gateway.tables.sources(interface).unwrap().link_local(),
            Some(six("fe80::1"))
        );
    }
    let error = gateway.address(LAN, "fe80::2/64").unwrap_err();
    assert_eq!(error.code, ErrorCode::Exists);
    assert!(error.message.contains("fe80::1/64 already"), "{error}");
    gateway.drop_address(LAN, "fe80::1/64").unwrap();
    assert!(gateway.address_state(LAN, LINK_LOCALS[0]).is_some());
    // Given by hand, what would have been made is no longer automatic.
    let same = format!("{}/64", LINK_LOCALS[0]);
    gateway.address(LAN, &same).unwrap();
    gateway.drop_address(LAN, NET).unwrap();
    assert!(gateway.address_state(LAN, LINK_LOCALS[0]).is_some());
    gateway.drop_address(LAN, &same).unwrap();
    assert_eq!(gateway.address_state(LAN, LINK_LOCALS[0]), None);
}

#[test]
fn only_given_addresses_count() {
    let limits = Limits {
        addresses: 2,
        ..ROOMY
    };
    let mut gateway = Gateway::with(limits, 8);
    gateway.address(LAN, NET).unwrap();
    gateway.address(WAN, "2001:db8:1::1/64").unwrap();
    assert_eq!(gateway.reader.addresses().len(), 4);
    for net in ["2001:db8::2/64", "fe80::1/64"] {
        let error = gateway.address(LAN, net).unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitReached);
        assert!(error.message.contains("there are 2 addresses"), "{error}");
    }
    assert!(gateway.address_state(LAN, LINK_LOCALS[0]).is_some());
    gateway.drop_address(WAN, "2001:db8:1::1/64").unwrap();
    gateway.address(LAN, "fe80::1/64").unwrap();
    assert_eq!(gateway.reader.addresses().len(), 2);
}

#[test]
fn unfit_addresses_are_refused_with_a_reason() {
    let mut gateway = Gateway::with_addresses6();
    gateway.tables.take_actions();
    for (net, code, says) in [
        ("::/64", ErrorCode::Invalid, "unicast"),
        ("::1/128", ErrorCode::Invalid, "unicast"),
        ("ff02::1/64", ErrorCode::Invalid, "unicast"),
        ("::ffff:10.0.0.1/120", ErrorCode::Invalid, "unicast"),
        ("2001:db8:7::/64", ErrorCode::Invalid, "anycast"),
        ("2001:db8:7::1/0", ErrorCode::Invalid, "longer prefix"),
        ("fe80::1/10", ErrorCode::Invalid, "fe80::/64"),
        ("fe80::1/128", ErrorCode::Invalid, "fe80::/64"),
        ("fe80:0:0:1::1/64", ErrorCode::Invalid, "fe80::/64"),
        (NET, ErrorCode::Exists, "lan has 2001:db8::1/64 already"),
        (
            "2001:db8:1::1/48",
            ErrorCode::Exists,
            "wan has 2001:db8:1::1/64 already",
        ),
        (
            "2001:db8:1::2/64",
            ErrorCode::Invalid,
            "2001:db8:1::2/64 on lan overlaps 2001:db8:1::1/64 on wan",
        ),
        ("2001:db8::2/32", ErrorCode::Invalid, "overlaps"),
    ] {
        let error = gateway.address(LAN, net).unwrap_err();
        assert_eq!(error.code, code, "{net}: {error}");
        assert!(error.message.contains(says), "{net}: {error}");
    }
    assert_eq!(gateway.tables.take_actions(), []);
    assert_eq!(gateway.tables.usage().addresses, 4);
    gateway.address(LAN, "2001:db8:7::/127").unwrap();
    gateway.address(LAN, "2001:db8:8::/128").unwrap();
}

#[test]
fn an_interface_of_less_than_1280_bytes_gets_no_ipv6_address() {
    let mut narrow = Gateway::of_mtu(ROOMY, 8, 1279);
    let error = narrow.address(LAN, NET).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("MTU of 1279"), "{error}");
    narrow.address(LAN, "10.0.0.1/24").unwrap();
    Gateway::of_mtu(ROOMY, 8, 1280).address(LAN, NET).unwrap();
}

#[test]
fn an_address_takes_the_place_of_a_neighbor_unless_routes_name_it() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_question(LAN, "2001:db8::5", 5, US);
    gateway.address(LAN, "2001:db8::5/64").unwrap();
    assert_eq!(gateway.shown("2001:db8::5"), None);
    assert_eq!(gateway.lookup("2001:db8::5"), Adjacency::Blackhole);
    gateway.add("2001:db8:6::/48", "2001:db8::6").unwrap();
    gateway.add("2001:db8:7::/48", "fe80::7%lan").unwrap();
    for net in ["2001:db8::6/64", "fe80::7/64"] {
        let error = gateway.address(LAN, net).unwrap_err();
        assert!(error.message.contains("next hop of 1 routes"), "{error}");
    }
    gateway.address(WAN, "fe80::7/64").unwrap();
    assert_eq!(
        gateway.lookup("2001:db8:7::1"),
        Adjacency::Incomplete { interface: LAN }
    );
}

#[test]
fn workers_see_the_addresses_that_are_in_use() {
    let mut gateway = Gateway::new();
    let [lan, wan] = [LAN, WAN].map(|interface| gateway.tables.sources(interface).unwrap());
    let [far, near] = [six("2001:db8:9::9"), six("2001:db8:2::9")];
    gateway.address(LAN, NET).unwrap();
    gateway.address(LAN, "2001:db8:2::1/64").unwrap();
    assert_eq!((lan.towards6(far), lan.link_local()), (None, None));
    gateway.pass(1);
    assert_eq!(lan.link_local(), Some(six(LINK_LOCALS[0])));
    assert_eq!(lan.towards6(far), Some(six(US)));
    assert_eq!(lan.towards6(near), Some(six("2001:db8:2::1")));
    // One that has none uses the others', except for those on its link.
    assert_eq!((wan.towards6(far), wan.link_local()), (Some(six(US)), None));
    gateway.drop_address(LAN, NET).unwrap();
    assert_eq!(lan.towards6(far), Some(six("2001:db8:2::1")));
    assert_eq!(wan.towards6(far), Some(six("2001:db8:2::1")));
    gateway.drop_address(LAN, "2001:db8:2::1/64").unwrap();
    assert_eq!((lan.towards6(far), lan.link_local()), (None, None));
    assert_eq!(wan.towards6(far), None);
}
