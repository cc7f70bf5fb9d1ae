use std::sync::Arc;

use control::message::{AlertRate, AlertRule, FailMode};
use packet::{PacketBuilder, Protocol};
use router_alert::Family;
use router_alert::alert::{Alert, Settings, find};
use router_alert::handler::Handler;
use router_alert::matching::Rule;

use super::*;

/// For these values, and nothing else said.
pub(crate) fn rule(name: &str, values: &str) -> AlertRule {
    AlertRule::new(Rule::new(name, values.parse().unwrap()), Handler::Relay)
}

/// Those rules under these numbers, in a class that fails open, on interfaces 0 (`lan`) and 1 (`wan`).
pub(crate) fn set(rules: &[(u16, AlertRule)]) -> Arc<RuleSet> {
    let rules = rules.iter().map(|(id, rule)| (*id, rule));
    Arc::new(RuleSet::new(rules, FailMode::Open, index_of, Vec::new()))
}

fn index_of(name: &str) -> Option<u16> {
    match name {
        "lan" => Some(0),
        "wan" => Some(1),
        _ => None,
    }
}

fn packet4() -> Vec<u8> {
    PacketBuilder::ipv4([198, 51, 100, 1].into(), [203, 0, 113, 77].into())
        .options(&[148, 4, 0, 5])
        .udp(1, 2, b"rsvp")
}

fn packet6() -> Vec<u8> {
    let (host, peer) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
    PacketBuilder::ipv6(host, peer).router_alert(5).udp(1, 2, b"rsvp")
}

fn alert(packet: &[u8]) -> Alert {
    find(packet, &Settings::default()).unwrap().unwrap()
}

#[test]
fn req_ra_15_a_packet_belongs_to_the_first_rule_by_priority_that_fits_it() {
    let by = |name: &str, priority, change: &dyn Fn(&mut Rule)| {
        let mut made = rule(name, "any");
        made.rule.priority = priority;
        change(&mut made.rule);
        made
    };
    let set = set(&[
        (0, by("rest", 0, &|_| {})),
        (7, by("wan", 9, &|rule| rule.interface = Some("wan".to_owned()))),
        (3, by("gone", 9, &|rule| rule.interface = Some("gone".to_owned()))),
        (200, by("rsvp", 8, &|rule| rule.protocol = Some(Protocol::RSVP.0))),
        (
            4,
            by("from", 7, &|rule| {
                rule.source = Some("198.51.100.0/24".parse().unwrap());
            }),
        ),
        (
            6,
            by("to", 7, &|rule| {
                rule.destination = Some("2001:db8:1::/48".parse().unwrap());
            }),
        ),
        (5, by("six", 6, &|rule| rule.family = Some(Family::Six))),
    ]);
    let (four, six) = (packet4(), packet6());
    let alerts = [alert(&four), alert(&six)];
    let id = |packet: &[u8], change: &dyn Fn(&mut Alert), ingress| {
        let mut alert = alerts[usize::from(packet[0] >> 4 == 6)];
        change(&mut alert);
        set.find(&alert, ingress, packet).map(|terms| terms.id)
    };
    assert_eq!(id(&four, &|_| {}, 1), Some(7));
    assert_eq!(id(&six, &|_| {}, 1), Some(7));
    assert_eq!(id(&four, &|_| {}, 0), Some(4));
    assert_eq!(id(&six, &|_| {}, 0), Some(6));
    assert_eq!(id(&four, &|alert| alert.protocol = Protocol::RSVP, 0), Some(200));
    let mut elsewhere = six.clone();
    elsewhere[24..40].copy_from_slice(&[0x20; 16]);
    assert_eq!(id(&elsewhere, &|_| {}, 0), Some(5));
    let mut elsewhere = four.clone();
    elsewhere[12] = 9;
    assert_eq!(id(&elsewhere, &|_| {}, 0), Some(0));
    assert_eq!(
        id(&four[..19], &|_| {}, 0),
        None,
        "nothing is read beyond its end"
    );
}

#[test]
fn req_ra_33_a_rule_has_its_own_fail_mode_or_that_of_the_class() {
    for class in [FailMode::Open, FailMode::Closed] {
        let rules = [None, Some(FailMode::Open), Some(FailMode::Closed)].map(|fail| AlertRule {
            fail,
            ..rule("any", "any")
        });
        let set = RuleSet::new((0..).zip(&rules), class, index_of, Vec::new());
        let fail = |id| set.rule(id).map(|terms| terms.fail);
        assert_eq!(
            [fail(0), fail(1), fail(2), fail(3)],
            [Some(class), Some(FailMode::Open), Some(FailMode::Closed), None]
        );
    }
}

#[test]
fn what_else_a_rule_says_is_found_by_its_number() {
    let rate = AlertRate { rate: 100, burst: 7 };
    let set = set(&[
        (9, rule("plain", "1")),
        (
            2,
            AlertRule {
                see_expired: true,
                rate: Some(rate),
                ..rule("more", "2")
            },
        ),
    ]);
    let more = Terms {
        id: 2,
        fail: FailMode::Open,
        see_expired: true,
        rate: Some(rate),
    };
    assert_eq!(set.rule(2), Some(&more));
    assert_eq!(
        set.rule(9).map(|terms| (terms.see_expired, terms.rate)),
        Some((false, None))
    );
    assert_eq!(
        (set.rule(0), set.rule(10), set.rule(u16::MAX)),
        (None, None, None)
    );
    assert_eq!(set.iter().map(|terms| terms.id).collect::<Vec<_>>(), [9, 2]);
}

#[test]
fn req_ra_17_rules_that_are_new_are_told_once_however_often_they_change_before() {
    let mut told = Told::default();
    let rule = rule("any", "any");
    assert!(!told.is_due());
    told.change([3]);
    told.change([]);
    told.change([5]);
    assert!(told.is_due());
    let set = told
        .next([(3, &rule), (5, &rule)], FailMode::Open, index_of)
        .unwrap();
    assert_eq!((set.fresh(), told.is_due()), (&[3, 5][..], false));
    told.change([]);
    let set = told.next([(3, &rule)], FailMode::Open, index_of).unwrap();
    assert!(set.fresh().is_empty());
    assert!(told.next([], FailMode::Open, index_of).is_none());
}

#[test]
fn a_set_that_a_worker_has_is_not_freed_by_it() {
    let mut told = Told::default();
    let rule = rule("any", "any");
    let mut next = || told.next([(0, &rule)], FailMode::Open, index_of);
    let first = next().unwrap();
    let second = next().unwrap();
    assert_eq!(Arc::strong_count(&first), 2, "the control thread has it as well");
    let freed = Arc::downgrade(&first);
    drop(first);
    assert!(freed.upgrade().is_some(), "as it has when the worker lets go");
    drop(next());
    assert!(freed.upgrade().is_none());
    assert_eq!(Arc::strong_count(&second), 2);
}
