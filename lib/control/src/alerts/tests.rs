//! What is published is what is listed, and what cannot be is refused.

use std::path::PathBuf;

use proptest::prelude::*;
use router_alert::handler::Handler;
use shm::records::ALERT_RULES;
use shm::{Capacity, TableWriter};

use super::*;

const CAPACITY: Capacity = Capacity {
    interfaces: 1,
    addresses: 1,
    routes4: 1,
    routes6: 1,
    neighbors: 1,
    next_hops: 1,
    workers: 1,
    pools: 1,
    sas: 4,
};

fn region() -> (tempfile::TempDir, PathBuf, TableWriter) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables");
    let writer = TableWriter::create(&path, None, &CAPACITY).unwrap();
    writer.publish();
    (folder, path, writer)
}

fn rule(name: &str) -> AlertRule {
    AlertRule::new(Rule::new(name, ValueSet::any()), Handler::Log)
}

#[test]
fn req_ra_15_what_cannot_be_a_rule_is_refused_with_what_to_write() {
    let with = |change: &dyn Fn(&mut AlertRule)| {
        let mut rule = rule("demo");
        change(&mut rule);
        rule
    };
    let net = |text: &str| Some(text.parse().unwrap());
    let many: Vec<_> = (0..17).map(|value| (2 * value).to_string()).collect();
    for (refused, said) in [
        (
            rule("two words"),
            "'two words' is no name of a rule: use 1 to 31 letters, digits, '_', '.' and '-'",
        ),
        (
            with(&|rule| rule.rule.values = many.join(",").parse().unwrap()),
            "the rule demo has 17 ranges of values and 16 have room: make several rules of it",
        ),
        (
            with(&|rule| rule.rule.interface = Some("a b".into())),
            "\"a b\" is no interface: the rule demo needs one that 'tollgate-ctl link' lists",
        ),
        (
            with(&|rule| rule.rule.source = net("10.0.0.1/8")),
            "10.0.0.1/8 has bits behind its length: write 10.0.0.0/8 in the rule demo",
        ),
        (
            with(&|rule| rule.rule.destination = net("::ffff:0:0/96")),
            "::ffff:0.0.0.0/96 is of addresses that no packet has: write it as IPv4 in the rule demo",
        ),
        (
            with(&|rule| {
                rule.rule.family = Some(Family::Six);
                rule.rule.source = net("10.0.0.0/8");
            }),
            "the rule demo is for ipv6 and 10.0.0.0/8 is not: leave one of them out",
        ),
        (
            with(&|rule| {
                rule.rule.source = net("10.0.0.0/8");
                rule.rule.destination = net("2001:db8::/32");
            }),
            "the rule demo is for ipv4 and 2001:db8::/32 is not: leave one of them out",
        ),
        (
            with(&|rule| rule.rate = Some(AlertRate { rate: 0, burst: 1 })),
            "the rule demo lets no packet through: give its rate and burst 1 or more, or leave them out",
        ),
        (
            with(&|rule| rule.handler = Handler::Mirror("x".repeat(58))),
            "has 65 bytes and 64 have room: give the rule demo a shorter one",
        ),
    ] {
        let sentence = check(&refused).unwrap_err().to_string();
        assert!(sentence.contains(said), "{sentence}");
    }
}

#[test]
fn req_ra_17_a_tool_sees_changes_when_there_are_some() {
    let (_folder, path, writer) = region();
    let mut table = writer.alert_rules().unwrap();
    let mut seen = RuleTable::new(TableReader::open(&path).unwrap());
    assert!(seen.rules().is_empty() && !seen.refresh());
    for (id, name, priority, order) in [(7, "late", 0, 2), (3, "early", 0, 1), (9, "first", 5, 3)] {
        let mut rule = rule(name);
        rule.rule.priority = priority;
        table.set(id, &record(&rule, AlertOrigin::Operator, order));
    }
    table.changed();
    assert!(seen.refresh() && !seen.refresh());
    let names: Vec<_> = seen
        .rules()
        .iter()
        .map(|listed| (listed.id, listed.rule.rule.name.as_str()))
        .collect();
    assert_eq!(names, [(9, "first"), (3, "early"), (7, "late")]);
    table.clear(3);
    table.changed();
    assert!(seen.refresh());
    assert_eq!(seen.rules().len(), 2);
}

#[test]
fn req_ra_37_a_record_that_is_no_rule_is_passed_over() {
    let (_folder, path, writer) = region();
    let mut table = writer.alert_rules().unwrap();
    let good = record(&rule("good"), AlertOrigin::Tool, 1);
    table.set(0, &good);
    let bad = [
        records::AlertRule {
            name: text("two words"),
            ..good
        },
        records::AlertRule {
            handler: text("dance"),
            ..good
        },
        records::AlertRule { family: 5, ..good },
        records::AlertRule { fail: 3, ..good },
        records::AlertRule { origin: 0, ..good },
        records::AlertRule {
            range_count: 17,
            ..good
        },
        records::AlertRule {
            source_length: 129,
            ..good
        },
        records::AlertRule {
            source: [1; 16],
            source_length: 3,
            ..good
        },
    ];
    for (id, record) in (1..).zip(bad) {
        table.set(id, &record);
    }
    let listed = listed(&TableReader::open(&path).unwrap());
    let ids: Vec<_> = listed.iter().map(|listed| listed.id).collect();
    assert_eq!(ids, [0]);
}

fn any_values() -> impl Strategy<Value = ValueSet> {
    prop::collection::vec((any::<u16>(), any::<u16>()), 0..ALERT_RANGES).prop_map(|ranges| {
        let mut set = ValueSet::default();
        for (one, other) in ranges {
            set.insert(one.min(other)..=one.max(other));
        }
        set
    })
}

fn any_net(six: bool) -> impl Strategy<Value = Option<IpNet>> {
    prop::option::of(any::<(u128, u8)>()).prop_map(move |given| {
        let (bits, length) = given?;
        let net = if six {
            let bits = bits | 1 << 127;
            IpNet::new(std::net::Ipv6Addr::from_bits(bits).into(), length % 129)
        } else {
            IpNet::new(std::net::Ipv4Addr::from_bits(bits as u32).into(), length % 33)
        };
        Some(net.unwrap().trunc())
    })
}

fn any_handler() -> impl Strategy<Value = Handler> {
    prop_oneof![
        Just(Handler::Relay),
        Just(Handler::DropProhibited),
        Just(Handler::Strip(router_alert::strip::How::Pad)),
        (0..=63u8).prop_map(Handler::Dscp),
        (1..=10_000u16).prop_map(Handler::Hold),
        "[a-z0-9.]{1,15}".prop_map(Handler::Mirror),
        "[A-Za-z0-9_.-]{1,31}".prop_map(Handler::Helper),
    ]
}

fn any_prefixes() -> impl Strategy<Value = (Option<Family>, Option<IpNet>, Option<IpNet>)> {
    any::<bool>().prop_flat_map(|six| {
        let family = if six { Family::Six } else { Family::Four };
        (prop::option::of(Just(family)), any_net(six), any_net(six))
    })
}

prop_compose! {
    fn any_alert_rule()(
        name in "[A-Za-z0-9_.-]{1,31}", priority: u32, values in any_values(), protocol: Option<u8>,
        interface in prop::option::of("[a-z0-9.]{1,16}"), (family, source, destination) in any_prefixes(),
        fail in prop::option::of(prop_oneof![Just(FailMode::Open), Just(FailMode::Closed)]),
        see_expired: bool, rate in prop::option::of((1..=u32::MAX, 1..=u32::MAX)), handler in any_handler(),
    ) -> AlertRule {
        AlertRule {
            rule: Rule { name, priority, family, values, protocol, interface, source, destination },
            fail, see_expired, rate: rate.map(|(rate, burst)| AlertRate { rate, burst }), handler,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn req_ra_15_a_rule_is_the_same_behind_the_region_and_behind_a_message(
        rule in any_alert_rule(), id in 0..ALERT_RULES as u16, operator: bool, order: u32,
    ) {
        let origin = if operator { AlertOrigin::Operator } else { AlertOrigin::Tool };
        prop_assert_eq!(check(&rule), Ok(()));
        prop_assert_eq!(parse(id, &record(&rule, origin, order)), Some(ListedRule { id, rule: rule.clone(), origin }));
        let bytes = postcard::to_stdvec(&rule).unwrap();
        prop_assert_eq!(postcard::from_bytes::<AlertRule>(&bytes).unwrap(), rule);
    }
}
