use control::message::FailMode;
use packet::{MacAddress, PacketBuilder};

use super::*;
use crate::attachments::ClassPolicy;

const HZ: u64 = 1_000_000;
/// When all buckets have been full for long.
const START: u64 = 1000 * HZ;

fn limit(rate: u32, burst: u32) -> AlertRate {
    AlertRate { rate, burst }
}

fn policies(global: AlertRate, interface: Option<AlertRate>, source: Option<AlertRate>) -> Policies {
    let class = ClassPolicy {
        fail: FailMode::Open,
        rate: global.rate,
        burst: global.burst,
        deadline_ms: 1000,
    };
    Policies {
        classes: [class; PuntClass::COUNT],
        alerts: AlertPolicy {
            interface,
            source,
            ..AlertPolicy::DEFAULT
        },
    }
}

fn limits(global: AlertRate, interface: Option<AlertRate>, source: Option<AlertRate>) -> AlertLimits {
    AlertLimits::new(&policies(global, interface, source), 1, HZ, START)
}

/// From host `host` of 10.0.0.0/16.
fn from4(host: u16) -> Vec<u8> {
    let [high, low] = host.to_be_bytes();
    ethernet()
        .ipv4([10, 0, high, low].into(), [192, 0, 2, 1].into())
        .udp(1, 2, b"")
}

fn from6(source: &str) -> Vec<u8> {
    let destination = "2001:db8:ffff::1".parse().unwrap();
    ethernet()
        .ipv6(source.parse().unwrap(), destination)
        .udp(1, 2, b"")
}

fn ethernet() -> packet::builder::EthernetBuilder {
    PacketBuilder::ethernet(MacAddress([2; 6]), MacAddress([4; 6]))
}

/// How many of a packet offered `per_second` times a second are let through in ten seconds.
fn in_ten_seconds(limits: &mut AlertLimits, per_second: u64, ingress: u16, rule: Option<u16>) -> u64 {
    let frame = from4(1);
    let times = (0..10 * per_second).map(|number| START + number * HZ / per_second);
    times
        .filter(|now| limits.admit(ingress, rule, &frame, *now).is_ok())
        .count() as u64
}

#[test]
fn req_ra_31_each_rate_holds_within_five_percent_over_ten_seconds() {
    let much = limit(10_000_000, 1_000_000);
    for rate in [50, 1000, 7000] {
        let spent = limit(rate, rate / 50);
        let mut of_rule = limits(much, None, None);
        of_rule.set_rule(7, Some(spent), START);
        for (mut limits, rule) in [
            (limits(spent, None, None), None),
            (limits(much, Some(spent), None), None),
            (limits(much, None, Some(spent)), None),
            (of_rule, Some(7)),
        ] {
            let passed = in_ten_seconds(&mut limits, 100_000, 3, rule);
            let expected = 10 * u64::from(rate);
            let error = passed.abs_diff(expected) * 100;
            assert!(error <= 5 * expected, "{passed} of {expected}");
        }
    }
}

#[test]
fn req_ra_31_a_flood_on_one_interface_leaves_the_budget_of_another_alone() {
    let mut limits = limits(limit(1000, 100), Some(limit(500, 50)), None);
    let (mut flood, mut other) = (0, 0);
    let frames = [from4(1), from4(2)];
    for tick in (0..10 * HZ).step_by(20) {
        // 50,000 a second on one, 500 on the other.
        flood += u64::from(limits.admit(0, None, &frames[0], START + tick).is_ok());
        if tick % 2000 == 0 {
            other += u64::from(limits.admit(1, None, &frames[1], START + tick).is_ok());
        }
    }
    assert_eq!(other, 5000, "all of them");
    assert!((4750..=5250).contains(&flood), "{flood}");
}

#[test]
fn req_ra_31_who_is_refused_by_one_bucket_takes_nothing_from_the_others() {
    let one = Some(limit(1, 1));
    let mut limits = limits(limit(1, 3), Some(limit(1, 2)), one);
    limits.set_rule(5, one, START);
    let mut admit = |interface, rule, host| limits.admit(interface, rule, &from4(host), START);
    assert_eq!(admit(0, Some(5), 1), Ok(()));
    for _ in 0..10 {
        assert_eq!(admit(0, None, 1), Err(Spent::Source));
        assert_eq!(admit(0, Some(5), 2), Err(Spent::Rule));
    }
    assert_eq!(admit(0, None, 2), Ok(()));
    for host in 3..10 {
        assert_eq!(admit(0, None, host), Err(Spent::Interface));
    }
    assert_eq!(admit(1, Some(6), 3), Ok(()));
    assert_eq!(admit(1, None, 4), Err(Spent::Global));
}

#[test]
fn req_ra_31_a_source_is_an_address_of_ipv4_or_a_64_of_ipv6() {
    let mut limits = limits(limit(1000, 1000), None, Some(limit(1, 1)));
    let mut admit = |frame: &[u8]| limits.admit(0, None, frame, START).is_ok();
    assert!(admit(&from4(1)) && admit(&from4(2)) && !admit(&from4(1)));
    assert!(admit(&from6("2001:db8::1")) && !admit(&from6("2001:db8::ffff:0:0:2")));
    assert!(admit(&from6("2001:db8:0:1::1")));
    // 10.0.0.3 at its end, which is not the host of IPv4.
    assert!(admit(&from6("0:0:a00:3::1")) && admit(&from4(3)));
}

#[test]
fn req_ra_31_a_source_that_floods_stays_known_among_more_strangers_than_there_are_places() {
    let burst = 4;
    let mut limits = limits(limit(1_000_000, 1_000_000), None, Some(limit(1, burst)));
    let mut passed = 0;
    for number in 0..3 * sources::SOURCES as u64 {
        let now = START + number;
        passed += u32::from(limits.admit(0, None, &from4(0xffff), now).is_ok());
        let stranger = from6(&format!("2001:db8:{number:x}::1"));
        assert_eq!(limits.admit(0, None, &stranger, now), Ok(()));
    }
    assert_eq!(passed, burst);
}

#[test]
fn req_ra_31_strangers_that_are_refused_push_nobody_out() {
    let mut limits = limits(limit(1_000_000, 1_000_000), Some(limit(1, 10)), Some(limit(1, 1)));
    assert_eq!(limits.admit(1, None, &from4(1), START), Ok(()));
    for number in 0..3 * sources::SOURCES {
        let stranger = from6(&format!("2001:db8:{number:x}::1"));
        assert_eq!(limits.admit(0, None, &stranger, START).is_ok(), number < 10);
    }
    assert_eq!(limits.admit(1, None, &from4(1), START), Err(Spent::Source));
}

#[test]
fn workers_share_the_rates_out() {
    let policies = policies(limit(1000, 10), None, None);
    let mut of_four = AlertLimits::new(&policies, 4, HZ, START);
    let passed = in_ten_seconds(&mut of_four, 100_000, 0, None);
    assert!((2500..=2520).contains(&passed), "{passed}");
}

#[test]
fn other_policies_count_from_now_on_and_rules_keep_their_buckets() {
    let much = limit(1000, 1000);
    let mut limits = limits(limit(1, 1), None, None);
    limits.set_rule(0, Some(limit(1, 2)), START);
    let frame = from4(1);
    assert_eq!(limits.admit(0, Some(0), &frame, START), Ok(()));
    assert_eq!(limits.admit(0, Some(0), &frame, START), Err(Spent::Global));
    limits.set(&policies(much, None, None), START);
    limits.set_rule(0, Some(limit(1, 2)), START);
    assert_eq!(limits.admit(0, Some(0), &frame, START), Ok(()));
    assert_eq!(limits.admit(0, Some(0), &frame, START), Err(Spent::Rule));
    limits.set_rule(0, None, START);
    assert_eq!(limits.admit(0, Some(0), &frame, START), Ok(()));
}
