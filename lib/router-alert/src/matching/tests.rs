use proptest::prelude::*;

use super::*;

const LAN: u16 = 3;
const WAN: u16 = 4;

fn index_of(name: &str) -> Option<u16> {
    match name {
        "lan" => Some(LAN),
        "wan" => Some(WAN),
        _ => None,
    }
}

fn compile(rules: impl IntoIterator<Item = Rule>) -> Rules {
    Rules::new(rules, index_of)
}

fn rule(name: &str, priority: u32, values: &str) -> Rule {
    Rule {
        priority,
        ..Rule::new(name, values.parse().unwrap())
    }
}

fn key4() -> Key {
    Key {
        family: Family::Four,
        value: 0,
        protocol: Protocol::RSVP,
        interface: LAN,
        source: [198, 51, 100, 1].into(),
        destination: [203, 0, 113, 77].into(),
    }
}

fn key6() -> Key {
    Key {
        family: Family::Six,
        value: 5,
        protocol: Protocol::TCP,
        interface: LAN,
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8:1::1".parse().unwrap(),
    }
}

#[test]
fn req_ra_15_each_part_of_a_rule_counts() {
    let any = rule("any", 0, "any");
    let net = |text: &str| Some(text.parse().unwrap());
    for (rule, four, six) in [
        (any.clone(), true, true),
        (rule("none", 0, "none"), false, false),
        (rule("value", 0, "1-4,6-65535"), false, false),
        (rule("value", 0, "0"), true, false),
        (rule("value", 0, "4-35"), false, true),
        (
            Rule {
                family: Some(Family::Four),
                ..any.clone()
            },
            true,
            false,
        ),
        (
            Rule {
                family: Some(Family::Six),
                ..any.clone()
            },
            false,
            true,
        ),
        (
            Rule {
                protocol: Some(46),
                ..any.clone()
            },
            true,
            false,
        ),
        (
            Rule {
                protocol: Some(6),
                ..any.clone()
            },
            false,
            true,
        ),
        (
            Rule {
                protocol: Some(7),
                ..any.clone()
            },
            false,
            false,
        ),
        (
            Rule {
                interface: Some("lan".to_owned()),
                ..any.clone()
            },
            true,
            true,
        ),
        (
            Rule {
                interface: Some("la".to_owned()),
                ..any.clone()
            },
            false,
            false,
        ),
        (
            Rule {
                source: net("198.51.100.0/24"),
                ..any.clone()
            },
            true,
            false,
        ),
        (
            Rule {
                source: net("198.51.100.2/32"),
                ..any.clone()
            },
            false,
            false,
        ),
        (
            Rule {
                source: net("0.0.0.0/0"),
                ..any.clone()
            },
            true,
            false,
        ),
        (
            Rule {
                source: net("::/0"),
                ..any.clone()
            },
            false,
            true,
        ),
        (
            Rule {
                source: net("2001:db8::/64"),
                ..any.clone()
            },
            false,
            true,
        ),
        (
            Rule {
                destination: net("203.0.113.77/32"),
                ..any.clone()
            },
            true,
            false,
        ),
        (
            Rule {
                destination: net("198.51.100.0/24"),
                ..any.clone()
            },
            false,
            false,
        ),
        (
            Rule {
                destination: net("2001:db8:1::/48"),
                ..any.clone()
            },
            false,
            true,
        ),
    ] {
        let fits = |key| compile([rule.clone()]).find(&key) == Some(0);
        assert_eq!((fits(key4()), fits(key6())), (four, six), "{rule}");
    }
    assert_eq!(compile([]).find(&key4()), None);
}

#[test]
fn req_ra_15_names_are_short_and_of_plain_characters() {
    for name in ["a", "rsvp", "RSVP-te_1.2", &"x".repeat(31)] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "two words", "ü", "a/b", "a\0", &"x".repeat(32)] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn req_ra_15_rules_are_the_same_after_json() {
    let rule = Rule {
        family: Some(Family::Six),
        source: Some("2001:db8::/32".parse().unwrap()),
        ..rule("demo", 7, "0,4-35")
    };
    let json = serde_json::to_string(&rule).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"name":"demo","priority":7,"family":"ipv6","values":"0,4-35","protocol":null,"interface":null,"#,
            r#""source":"2001:db8::/32","destination":null}"#
        )
    );
    assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
}

#[test]
fn req_ra_15_the_highest_priority_goes_first_and_then_the_order() {
    let rules = compile([
        rule("low", 0, "any"),
        rule("first of two", 10, "4-35"),
        rule("second of two", 10, "5"),
        rule("high, for another value", 20, "6"),
    ]);
    assert_eq!(rules.find(&key6()), Some(1));
    assert_eq!(rules.find(&Key { value: 6, ..key6() }), Some(3));
    assert_eq!(rules.find(&Key { value: 36, ..key6() }), Some(0));
}

#[test]
fn req_ra_15_more_rules_than_a_word_has_bits_are_searched() {
    let rules = compile((0..200u16).map(|value| rule("one of many", 0, &value.to_string())));
    for value in [0, 63, 64, 127, 128, 199] {
        assert_eq!(rules.find(&Key { value, ..key6() }), Some(value.into()));
    }
    assert_eq!(rules.find(&Key { value: 200, ..key6() }), None);
}

#[test]
fn req_ra_15_a_rule_for_an_interface_that_is_not_there_fits_nothing_and_hides_none() {
    let by = |interface: &str| Rule {
        interface: Some(interface.to_owned()),
        ..rule("by", 9, "any")
    };
    let rules = compile([by("gone"), by("wan"), by("lan"), rule("rest", 0, "any")]);
    assert_eq!(rules.find(&key6()), Some(2));
    assert_eq!(
        rules.find(&Key {
            interface: WAN,
            ..key6()
        }),
        Some(1)
    );
    assert_eq!(
        rules.find(&Key {
            interface: 7,
            ..key6()
        }),
        Some(3)
    );
}

#[test]
fn a_rule_says_what_it_is_for() {
    assert_eq!(rule("rest", 0, "any").to_string(), "rest, priority 0, values any");
    let rule = Rule {
        family: Some(Family::Six),
        protocol: Some(46),
        interface: Some("lan".to_owned()),
        source: Some("2001:db8::/32".parse().unwrap()),
        destination: Some("2001:db8:1::/48".parse().unwrap()),
        ..rule("rsvp", 10, "1,4-35")
    };
    assert_eq!(
        rule.to_string(),
        "rsvp, priority 10, ipv6, values 1,4-35, protocol rsvp, by lan, from 2001:db8::/32, to 2001:db8:1::/48"
    );
}

/// What [`Rules::find`] does, without any of its tables.
fn slowly(rules: &[Rule], key: &Key) -> Option<usize> {
    let fits = |rule: &Rule| {
        rule.family.is_none_or(|family| family == key.family)
            && rule.values.contains(key.value)
            && rule.protocol.is_none_or(|protocol| protocol == key.protocol.0)
            && rule
                .interface
                .as_deref()
                .is_none_or(|name| index_of(name) == Some(key.interface))
            && rule.source.is_none_or(|prefix| prefix.contains(&key.source))
            && rule
                .destination
                .is_none_or(|prefix| prefix.contains(&key.destination))
    };
    let mut best: Option<usize> = None;
    for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| fits(rule)) {
        if best.is_none_or(|best| rules[best].priority < rule.priority) {
            best = Some(index);
        }
    }
    best
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let values = prop::collection::vec((0..12u16, 0..4u16), 0..4).prop_map(|ranges| {
        let mut values = ValueSet::default();
        for (first, more) in ranges {
            values.insert(first..=first + more);
        }
        values
    });
    let family = prop_oneof![Just(None), Just(Some(Family::Four)), Just(Some(Family::Six))];
    let interface = prop_oneof![
        Just(None),
        Just(Some("lan")),
        Just(Some("wan")),
        Just(Some("gone"))
    ];
    let prefix = || {
        let text = prop_oneof![
            Just("10.0.0.0/8"),
            Just("10.0.0.1/32"),
            Just("2001:db8::/32"),
            Just("::/0")
        ];
        prop::option::weighted(0.3, text.prop_map(|text| text.parse().unwrap()))
    };
    let protocol = prop::option::of(prop_oneof![Just(6u8), Just(46)]);
    (
        0..3u32,
        family,
        prop_oneof![3 => values, 1 => Just(ValueSet::any())],
        protocol,
        interface,
        prefix(),
        prefix(),
    )
        .prop_map(
            |(priority, family, values, protocol, interface, source, destination)| Rule {
                name: "any".to_owned(),
                priority,
                family,
                values,
                protocol,
                interface: interface.map(str::to_owned),
                source,
                destination,
            },
        )
}

proptest! {
    #[test]
    fn req_ra_15_the_tables_find_what_a_look_at_every_rule_finds(
        rules in prop::collection::vec(any_rule(), 0..80), value in prop_oneof![0..18u16, any::<u16>()],
        six: bool, tcp: bool, lan: bool, one: bool,
    ) {
        let (family, protocol) = (
            if six { Family::Six } else { Family::Four },
            if tcp { Protocol::TCP } else { Protocol::RSVP },
        );
        let address = match (six, one) {
            (false, true) => "10.0.0.1",
            (false, false) => "10.9.9.9",
            (true, true) => "2001:db8::1",
            (true, false) => "2001:db9::1",
        };
        let source: IpAddr = address.parse().unwrap();
        let key = Key {
            family,
            value,
            protocol,
            interface: if lan { LAN } else { WAN },
            source,
            destination: source,
        };
        prop_assert_eq!(compile(rules.clone()).find(&key), slowly(&rules, &key));
    }
}
