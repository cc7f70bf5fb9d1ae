//! ARP as it comes in: what is answered, what is learnt, what is refused.

use super::*;
use std::net::Ipv4Addr;

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn asks(sender: [u8; 4], last: u8, target: Ipv4Addr) -> Arp {
    Arp::request(host_mac(last), sender.into(), target)
}

#[test]
fn a_request_for_an_own_address_is_answered_and_its_sender_learnt() {
    let mut gateway = Gateway::with_addresses();
    let question = asks([10, 0, 0, 7], 7, US);
    assert_eq!(gateway.hear(LAN, question), ArpVerdict::Taken);
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 7));
    assert_eq!(gateway.sent(), [(LAN, host_mac(7), question.reply(MACS[0]))]);
}

#[test]
fn who_asks_is_answered_before_the_link_is_known_to_be_up() {
    let mut gateway = Gateway::with_addresses();
    let question = asks([10, 0, 0, 7], 7, US);
    gateway.tables.set_link(LAN, false, 0, gateway.now);
    gateway.hear(LAN, question);
    assert_eq!(gateway.sent().len(), 1);
    gateway.tables.set_admin(LAN, false, gateway.now);
    gateway.hear(LAN, question);
    assert_eq!(gateway.sent(), []);
}

#[test]
fn a_probe_is_answered_and_nothing_learnt() {
    let mut gateway = Gateway::with_addresses();
    let probe = asks([0, 0, 0, 0], 7, US);
    assert_eq!(gateway.hear(LAN, probe), ArpVerdict::Taken);
    assert_eq!(gateway.sent(), [(LAN, host_mac(7), probe.reply(MACS[0]))]);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn requests_for_others_and_for_another_interface_are_left_alone() {
    let mut gateway = Gateway::with_addresses();
    gateway.hear(LAN, asks([10, 0, 0, 7], 7, [10, 0, 0, 8].into()));
    gateway.hear(LAN, asks([10, 0, 0, 7], 7, [192, 0, 2, 1].into()));
    assert_eq!(gateway.sent(), []);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn a_sender_from_elsewhere_is_answered_and_not_learnt() {
    let mut gateway = Gateway::with_addresses();
    for sender in [[172, 16, 0, 7], [192, 0, 2, 7], [10, 0, 0, 255]] {
        gateway.hear(LAN, asks(sender, 7, US));
    }
    assert_eq!(gateway.sent().len(), 3);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn a_gratuitous_arp_moves_a_known_neighbor_and_makes_no_new_one() {
    let mut gateway = Gateway::with_addresses();
    gateway.hear(LAN, asks([10, 0, 0, 7], 7, US));
    gateway.hear(LAN, Arp::announcement(host_mac(70), [10, 0, 0, 7].into()));
    gateway.hear(LAN, Arp::announcement(host_mac(8), [10, 0, 0, 8].into()));
    assert_eq!(gateway.lookup("10.0.0.7"), forward(LAN, 70));
    assert_eq!(gateway.lookup("10.0.0.8"), Adjacency::Glean { interface: LAN });
}

#[test]
fn what_no_host_sends_is_malformed() {
    let mut gateway = Gateway::with_addresses();
    let good = asks([10, 0, 0, 7], 7, US);
    let group = Arp {
        sender_mac: MacAddress([1, 0, 0x5e, 0, 0, 1]),
        ..good
    };
    let zero = Arp {
        sender_mac: MacAddress::ZERO,
        ..good
    };
    let senders = [[224, 0, 0, 1], [127, 0, 0, 1], [255, 255, 255, 255], [0, 0, 0, 9]]
        .map(|sender| asks(sender, 7, US));
    for wrong in [group, zero].into_iter().chain(senders) {
        assert_eq!(gateway.hear(LAN, wrong), ArpVerdict::Malformed, "{wrong:?}");
    }
    assert_eq!(gateway.tables.take_actions(), []);
    assert_eq!(gateway.tables.usage().neighbors, 0);
}

#[test]
fn an_own_address_in_foreign_hands_is_reported_and_defended_once_in_ten_seconds() {
    let mut gateway = Gateway::with_addresses();
    let claim = Arp::announcement(host_mac(66), US);
    for _ in 0..3 {
        assert_eq!(gateway.hear(LAN, claim), ArpVerdict::Taken);
    }
    let conflict = Action::Conflict {
        interface: LAN,
        address: US.into(),
        mac: host_mac(66),
    };
    let defence = Action::SendArp {
        interface: LAN,
        destination: MacAddress::BROADCAST,
        arp: Arp::announcement(MACS[0], US),
    };
    assert_eq!(gateway.tables.take_actions(), [conflict.clone(), defence]);
    assert_eq!(gateway.lookup("10.0.0.1"), Adjacency::Local { interface: LAN });
    gateway.pass(10);
    gateway.hear(LAN, claim);
    assert!(gateway.tables.take_actions().contains(&conflict));
}

#[test]
fn what_the_gateway_sent_itself_is_no_conflict() {
    let mut gateway = Gateway::with_addresses();
    assert_eq!(
        gateway.hear(LAN, Arp::announcement(MACS[0], US)),
        ArpVerdict::Taken
    );
    assert_eq!(
        gateway.hear(WAN, Arp::announcement(MACS[0], US)),
        ArpVerdict::Taken
    );
    assert_eq!(gateway.tables.take_actions(), []);
}
