//! Neighbour discovery, RFC 4861 section 7.2: a test for each rule of who is answered, learnt, asked and believed.

use super::link6::*;
use super::*;
use packet::nd::{NeighborAdvertisement, NeighborMessage, NeighborSolicitation};

const HOST: &str = "2001:db8::7";
const US: &str = "2001:db8::1";

/// A gateway that knows the host as 7, and is asked nothing of what led there.
fn knowing() -> Gateway {
    let mut gateway = Gateway::with_addresses6();
    gateway.resolve(LAN, HOST);
    gateway.answer6(LAN, HOST, 7);
    gateway.tables.take_actions();
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(7))));
    gateway
}

fn unsolicited(last: u8) -> NeighborAdvertisement {
    NeighborAdvertisement {
        solicited: false,
        ..advertisement(HOST, last)
    }
}

/// States of neighbours that subscribers were told since the last call.
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
fn a_solicitation_is_answered_where_it_came_from_as_router_solicited_and_overriding() {
    let mut gateway = Gateway::with_addresses6();
    let question = NeighborMessage::Solicitation(NeighborSolicitation {
        target: six(US),
        source_link_layer: Some(host_mac(70)),
    });
    // The frame is another host's than the option: 7.2.4 leaves it to the sender how it is reached.
    gateway.hear_nd(LAN, host_mac(7), HOST, question);
    assert_eq!(gateway.sent_nd(), [replies(LAN, US, host_mac(7), HOST)]);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(70))));
}

#[test]
fn a_link_local_host_is_answered_for_the_link_local_address() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_question(WAN, "fe80::7", 7, LINK_LOCALS[1]);
    assert_eq!(
        gateway.sent_nd(),
        [replies(WAN, LINK_LOCALS[1], host_mac(7), "fe80::7")]
    );
    assert_eq!(gateway.shown_on(LAN, "fe80::7"), None);
    assert_eq!(
        gateway.shown_on(WAN, "fe80::7"),
        Some((NeighborState::Stale, host_mac(7)))
    );
}

#[test]
fn who_looks_whether_an_own_address_is_free_is_told_before_everyone_and_not_learnt() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_detection(LAN, 7, US);
    assert_eq!(gateway.tables.take_actions(), [announces(LAN, US)]);
    assert_eq!(gateway.tables.usage().neighbors, 0);
    assert_eq!(gateway.lookup(US), Adjacency::Local { interface: LAN });
}

#[test]
fn questions_for_others_and_for_another_interface_are_left_alone() {
    let mut gateway = Gateway::with_addresses6();
    for target in ["2001:db8::8", "2001:db8:1::1", LINK_LOCALS[1]] {
        gateway.hear_question(LAN, HOST, 7, target);
    }
    assert_eq!(gateway.tables.take_actions(), []);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn who_asks_is_answered_before_the_link_is_known_to_be_up_and_not_when_it_was_set_down() {
    let mut gateway = Gateway::with_addresses6();
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.hear_question(LAN, HOST, 7, US);
    assert_eq!(gateway.sent_nd().len(), 1);
    gateway.tables.set_admin(LAN, false, gateway.now);
    gateway.hear_question(LAN, HOST, 7, US);
    assert_eq!(gateway.sent_nd(), []);
}

#[test]
fn who_asks_is_learnt_as_stale_and_probed_when_used() {
    let mut gateway = Gateway::with_addresses6();
    gateway.hear_question(LAN, HOST, 7, US);
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(7))));
    assert_eq!(told(&mut gateway), [("stale".to_owned(), Some(host_mac(7)))]);
    gateway.use_route(HOST);
    gateway.pass(5);
    assert_eq!(gateway.sent_nd(), [asks_it(LAN, US, HOST, 7)]);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Probe, host_mac(7))));
}

#[test]
fn a_known_one_that_asks_is_changed_only_if_its_mac_address_is_new() {
    let mut gateway = knowing();
    gateway.hear_question(LAN, HOST, 7, US);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(7))));
    assert_eq!(told(&mut gateway), []);
    gateway.hear_question(LAN, HOST, 8, US);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(8))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 8));
    assert_eq!(told(&mut gateway), [("stale".to_owned(), Some(host_mac(8)))]);
}

#[test]
fn one_that_does_not_answer_and_then_asks_is_known_from_then_on() {
    let mut gateway = Gateway::with_addresses6();
    gateway.resolve(LAN, HOST);
    gateway.pass(3);
    assert_eq!(gateway.lookup(HOST), Adjacency::Failed { interface: LAN });
    gateway.hear_question(LAN, HOST, 7, US);
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(7))));
}

#[test]
fn a_question_without_link_layer_address_is_answered_and_teaches_nothing() {
    let mut gateway = Gateway::with_addresses6();
    let question = NeighborMessage::Solicitation(NeighborSolicitation {
        target: six(US),
        source_link_layer: None,
    });
    gateway.hear_nd(LAN, host_mac(7), HOST, question);
    assert_eq!(gateway.sent_nd(), [replies(LAN, US, host_mac(7), HOST)]);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn who_asks_from_elsewhere_is_answered_and_not_learnt() {
    let mut gateway = Gateway::with_addresses6();
    for source in ["2001:db8:9::7", "2001:db8:1::7"] {
        gateway.hear_question(LAN, source, 7, US);
        assert_eq!(gateway.sent_nd(), [replies(LAN, US, host_mac(7), source)]);
    }
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn one_that_is_asked_and_does_not_say_where_it_is_stays_asked() {
    let mut gateway = Gateway::with_addresses6();
    gateway.resolve(LAN, HOST);
    let silent = NeighborAdvertisement {
        target_link_layer: None,
        ..advertisement(HOST, 7)
    };
    gateway.hear_advertisement(LAN, 7, silent);
    assert_eq!(gateway.lookup(HOST), Adjacency::Incomplete { interface: LAN });
    gateway.answer6(LAN, HOST, 7);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(7))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    assert_eq!(told(&mut gateway), [("reachable".to_owned(), Some(host_mac(7)))]);
}

#[test]
fn one_that_is_asked_and_announces_itself_is_stale() {
    let mut gateway = Gateway::with_addresses6();
    gateway.resolve(LAN, HOST);
    // Nothing is known that could be overridden: the flag does not count.
    let announced = NeighborAdvertisement {
        overrides: false,
        ..unsolicited(7)
    };
    gateway.hear_advertisement(LAN, 7, announced);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(7))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
}

#[test]
fn without_override_another_mac_address_only_makes_doubtful() {
    let mut gateway = knowing();
    let other = NeighborAdvertisement {
        overrides: false,
        ..advertisement(HOST, 8)
    };
    gateway.hear_advertisement(LAN, 8, other);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(7))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    // A doubtful one is left alone: it is being asked when used.
    gateway.use_route(HOST);
    gateway.pass(5);
    assert_eq!(gateway.sent_nd(), [asks_it(LAN, US, HOST, 7)]);
    gateway.hear_advertisement(LAN, 8, other);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Probe, host_mac(7))));
}

#[test]
fn with_override_a_solicited_one_moves_and_is_reachable() {
    let mut gateway = knowing();
    gateway.answer6(LAN, HOST, 8);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(8))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 8));
}

#[test]
fn with_override_an_unsolicited_one_moves_and_is_stale() {
    let mut gateway = knowing();
    gateway.hear_advertisement(LAN, 8, unsolicited(8));
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Stale, host_mac(8))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 8));
    assert_eq!(told(&mut gateway), [("stale".to_owned(), Some(host_mac(8)))]);
}

#[test]
fn unsolicited_news_of_what_is_known_changes_nothing() {
    let mut gateway = knowing();
    let deadline = gateway.tables.next_deadline();
    gateway.now += Duration::from_secs(1);
    let silent = NeighborAdvertisement {
        target_link_layer: None,
        ..unsolicited(7)
    };
    for same in [unsolicited(7), silent] {
        gateway.hear_advertisement(LAN, 7, same);
    }
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(7))));
    assert_eq!(gateway.tables.next_deadline(), deadline);
    // Nor does it confirm what is doubtful: only an answer says that both directions work (7.3.1).
    gateway.pass(60);
    assert_eq!(gateway.shown(HOST).unwrap().0, NeighborState::Stale);
    gateway.hear_advertisement(LAN, 7, unsolicited(7));
    assert_eq!(gateway.shown(HOST).unwrap().0, NeighborState::Stale);
}

#[test]
fn an_answer_without_link_layer_address_or_override_confirms_what_is_known() {
    for (link_layer, overrides) in [(None, true), (None, false), (Some(host_mac(7)), false)] {
        let mut gateway = knowing();
        gateway.pass(60);
        gateway.use_route(HOST);
        gateway.pass(5);
        assert_eq!(gateway.shown(HOST).unwrap().0, NeighborState::Probe);
        let answer = NeighborAdvertisement {
            target_link_layer: link_layer,
            overrides,
            ..advertisement(HOST, 7)
        };
        gateway.hear_advertisement(LAN, 7, answer);
        assert_eq!(gateway.shown(HOST), Some((NeighborState::Reachable, host_mac(7))));
    }
}

#[test]
fn advertisements_of_who_is_not_known_are_ignored() {
    let mut gateway = Gateway::with_addresses6();
    gateway.answer6(LAN, HOST, 7);
    gateway.hear_advertisement(LAN, 7, unsolicited(7));
    // Known on the other link only.
    gateway.resolve(LAN, HOST);
    gateway.answer6(WAN, HOST, 7);
    assert_eq!(gateway.lookup(HOST), Adjacency::Incomplete { interface: LAN });
    assert_eq!(gateway.tables.usage().neighbors, 1);
}

#[test]
fn link_layer_addresses_that_no_other_host_has_are_not_there() {
    let nobody = [
        MacAddress([0x33, 0x33, 0, 0, 0, 1]),
        MacAddress::BROADCAST,
        MacAddress::ZERO,
        MACS[0],
        MACS[1],
    ];
    for mac in nobody {
        let mut gateway = Gateway::with_addresses6();
        let question = NeighborMessage::Solicitation(NeighborSolicitation {
            target: six(US),
            source_link_layer: Some(mac),
        });
        gateway.hear_nd(LAN, host_mac(7), HOST, question);
        assert_eq!(gateway.tables.usage().neighbors, 0, "{mac}");
        gateway.resolve(LAN, HOST);
        let answer = NeighborAdvertisement {
            target_link_layer: Some(mac),
            ..advertisement(HOST, 7)
        };
        gateway.hear_advertisement(LAN, 7, answer);
        assert_eq!(
            gateway.lookup(HOST),
            Adjacency::Incomplete { interface: LAN },
            "{mac}"
        );
        gateway.answer6(LAN, HOST, 7);
        gateway.hear_advertisement(LAN, 7, answer);
        assert_eq!(gateway.lookup(HOST), forward(LAN, 7), "{mac}");
    }
}

#[test]
fn what_the_gateway_sent_itself_is_ignored_on_every_interface() {
    let mut gateway = Gateway::with_addresses6();
    let announced = NeighborMessage::Advertisement(NeighborAdvertisement {
        router: true,
        solicited: false,
        ..advertisement(US, 1)
    });
    let asked = NeighborMessage::Solicitation(NeighborSolicitation {
        target: six(US),
        source_link_layer: None,
    });
    for interface in [LAN, WAN] {
        gateway.hear_nd(interface, MACS[0], US, announced);
        gateway.hear_nd(interface, MACS[0], "::", asked);
    }
    assert_eq!(gateway.tables.take_actions(), []);
    // Neither does its own search for an address, seen again, tell it that somebody has it.
    gateway.address(LAN, "2001:db8::2/64").unwrap();
    gateway.hear_nd(
        LAN,
        MACS[0],
        "::",
        NeighborMessage::Solicitation(NeighborSolicitation {
            target: six("2001:db8::2"),
            source_link_layer: None,
        }),
    );
    gateway.pass(1);
    assert_eq!(gateway.lookup("2001:db8::2"), Adjacency::Local { interface: LAN });
}

#[test]
fn a_needed_one_is_asked_of_all_three_times_and_fails() {
    let mut gateway = Gateway::with_addresses6();
    gateway.resolve(LAN, HOST);
    gateway.resolve(LAN, HOST);
    assert_eq!(gateway.lookup(HOST), Adjacency::Incomplete { interface: LAN });
    gateway.pass(2);
    let [question] = [asks_all(LAN, US, HOST)];
    assert_eq!(
        gateway.sent_nd(),
        [question.clone(), question.clone(), question.clone()]
    );
    gateway.pass(1);
    assert_eq!(gateway.lookup(HOST), Adjacency::Failed { interface: LAN });
    assert_eq!(told(&mut gateway), [("failed".to_owned(), None)]);
    gateway.pass(1);
    gateway.resolve(LAN, HOST);
    assert_eq!(gateway.sent_nd(), [question]);
}

#[test]
fn packets_flow_while_a_used_one_is_asked_itself_and_then_all_are() {
    let mut gateway = knowing();
    gateway.use_route(HOST);
    let due = gateway.tables.next_deadline().unwrap();
    assert!((15..=45).contains(&(due - gateway.now).as_secs()), "{due:?}");
    gateway.now = due;
    gateway.tables.tick(due);
    gateway.pass(5);
    let (it, all) = (asks_it(LAN, US, HOST, 7), asks_all(LAN, US, HOST));
    assert_eq!(
        gateway.sent_nd(),
        [it.clone(), it.clone(), it, all.clone(), all.clone(), all]
    );
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    gateway.pass(1);
    assert_eq!(gateway.lookup(HOST), Adjacency::Failed { interface: LAN });
}

#[test]
fn who_is_asked_is_asked_from_the_address_of_its_subnet() {
    let mut gateway = Gateway::with_addresses6();
    gateway.address(LAN, "2001:db8:2::1/64").unwrap();
    gateway.address(LAN, "2001:db8::1:1/112").unwrap();
    gateway.pass(10);
    gateway.add("2001:db8:3::/64", "lan").unwrap();
    gateway.add("2001:db8:4::/64", "fe80::9%lan").unwrap();
    gateway.tables.take_actions();
    for (target, source) in [
        (HOST, US),
        ("2001:db8::1:7", "2001:db8::1:1"),
        ("2001:db8:2::7", "2001:db8:2::1"),
        // On no subnet: any address of the interface.
        ("2001:db8:3::7", US),
        ("fe80::9", LINK_LOCALS[0]),
    ] {
        gateway.resolve(LAN, target);
        assert_eq!(gateway.sent_nd(), [asks_all(LAN, source, target)]);
    }
}

#[test]
fn nobody_is_asked_from_an_address_that_is_still_looked_for() {
    let mut gateway = Gateway::new();
    gateway.address(LAN, "2001:db8::1/64").unwrap();
    gateway.tables.take_actions();
    gateway.now += Duration::from_millis(500);
    gateway.resolve(LAN, HOST);
    assert_eq!(gateway.tables.take_actions(), []);
    gateway.pass(1);
    let sent = gateway.sent_nd();
    assert_eq!(
        sent.iter()
            .filter(|action| **action == asks_all(LAN, US, HOST))
            .count(),
        1,
        "{sent:?}"
    );
}

#[test]
fn a_permanent_one_is_neither_asked_nor_moved() {
    let mut gateway = Gateway::with_addresses6();
    gateway
        .tables
        .neighbor_add(LAN, HOST.parse().unwrap(), host_mac(7), gateway.now)
        .unwrap();
    gateway.hear_question(LAN, HOST, 66, US);
    gateway.answer6(LAN, HOST, 66);
    gateway.hear_advertisement(LAN, 66, unsolicited(66));
    gateway.tables.take_actions();
    gateway.use_route(HOST);
    gateway.pass(1000);
    assert_eq!(gateway.shown(HOST), Some((NeighborState::Permanent, host_mac(7))));
    assert_eq!(gateway.lookup(HOST), forward(LAN, 7));
    assert_eq!(gateway.tables.take_actions(), []);
}

#[test]
fn permanent_ones_are_refused_where_no_other_host_can_be() {
    let mut gateway = Gateway::with_addresses6();
    for (address, says) in [
        (US, "the gateway itself"),
        (LINK_LOCALS[0], "the gateway itself"),
        ("2001:db8:1::7", "on no subnet of lan"),
        ("ff02::1", "on no subnet of lan"),
    ] {
        let error = gateway
            .tables
            .neighbor_add(LAN, address.parse().unwrap(), host_mac(7), gateway.now)
            .unwrap_err();
        assert!(error.message.contains(says), "{address}: {error}");
    }
    assert_eq!(gateway.tables.usage().neighbors, 0);
    // The link-local address of one link is free for a host of another one.
    let far = LINK_LOCALS[1].parse().unwrap();
    gateway
        .tables
        .neighbor_add(LAN, far, host_mac(7), gateway.now)
        .unwrap();
}
