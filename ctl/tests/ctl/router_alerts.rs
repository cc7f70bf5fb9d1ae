//! Router alerts: rules, listeners and counters as the tool shows them, and what it asks for.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use control::alerts;
use control::message::{AlertOrigin, AlertRate, AlertRule, FailMode, Request};
use router_alert::handler::Handler;
use router_alert::matching::Rule;
use serde_json::{Value, json};
use shm::{AlertCounter, DropReason, InterfaceCounter};

use crate::fake_primary::FakePrimary;
use crate::run::{run, tool};

/// Two rules of one priority and one that is asked before them.
fn with_rules() -> (tempfile::TempDir, FakePrimary) {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let mut table = primary.alert_rules();
    let rule = |name: &str, values: &str, handler: &str| {
        AlertRule::new(Rule::new(name, values.parse().unwrap()), handler.parse().unwrap())
    };
    let mut first = rule("rsvp", "1,4-35", "strip pad");
    first.rule.priority = 10;
    first.rule.family = Some(router_alert::Family::Six);
    first.rule.protocol = Some(46);
    first.rule.interface = Some("wan".into());
    first.rule.source = Some("2001:db8::/32".parse().unwrap());
    first.fail = Some(FailMode::Closed);
    first.see_expired = true;
    first.rate = Some(AlertRate { rate: 100, burst: 20 });
    for (id, order, origin, rule) in [
        (5, 2, AlertOrigin::Operator, rule("rest", "any", "log")),
        (9, 1, AlertOrigin::Tool, rule("demo", "65503", "relay")),
        (2, 7, AlertOrigin::Tool, first),
    ] {
        table.set(id, &alerts::record(&rule, origin, order));
    }
    table.changed();
    let counters = &primary.worker;
    for (counter, packets) in [
        (AlertCounter::Matched, 10),
        (AlertCounter::Punted, 8),
        (AlertCounter::BypassFull, 2),
        (AlertCounter::Relayed, 8),
    ] {
        counters.alert(2, counter, packets);
    }
    for bucket in [43, 43, 43, 59] {
        counters.punt_took(bucket);
    }
    counters.add(0, InterfaceCounter::AlertsSeen, 12);
    counters.add(0, InterfaceCounter::AlertsUnmatched, 2);
    counters.drop(0, DropReason::Ip4Options, 3);
    (place, primary)
}

#[test]
fn req_ra_17_rules_are_shown_in_the_order_in_which_they_are_asked() {
    let (_place, primary) = with_rules();
    let shown = run(&primary.run_dir, "ra rule show").good();
    let expected = "\
PRIO  NAME  FAMILY  VALUES  PROTO  DEV  FROM           TO  FAIL    HANDLER    BY        REMARKS                         MATCHED
  10  rsvp  ipv6    1,4-35  rsvp   wan  2001:db8::/32  -   closed  strip pad  tool      rate 100 burst 20, see-expired       10
   0  demo  -       65503   -      -    -              -   -       relay      tool      -                                     0
   0  rest  -       any     -      -    -              -   -       log        operator  -                                     0
";
    assert_eq!(shown, expected);
    let rules = run(&primary.run_dir, "--json ra rule").json();
    assert_eq!(
        rules[0],
        json!({
            "id": 2, "name": "rsvp", "priority": 10, "family": "ipv6", "values": "1,4-35", "protocol": 46, "interface": "wan",
            "source": "2001:db8::/32", "destination": null, "fail": "closed", "see_expired": true, "rate": 100, "burst": 20,
            "handler": "strip pad", "origin": "tool", "matched": 10, "punted": 8,
        })
    );
    assert_eq!(rules.len(), 3);
    assert_eq!(primary.asked(), [], "they are read from shared memory");
}

#[test]
fn req_ra_39_counters_are_shown_by_rule_and_by_interface_and_latency_with_its_percentiles() {
    let (_place, primary) = with_rules();
    let parts = run(&primary.run_dir, "--json ra").json();
    let kinds: Vec<_> = parts.iter().map(|part| part["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["rule", "rule", "rule", "interface", "interface", "latency"]
    );
    let [rule, lan, latency] = [0, 3, 5].map(|index| &parts[index]);
    assert_eq!((&rule["rule"], &rule["id"]), (&json!("rsvp"), &json!(2)));
    for counter in AlertCounter::ALL {
        assert!(rule[counter.name()].is_u64(), "{counter}: {rule}");
    }
    assert_eq!(
        [&rule["matched"], &rule["punted"], &rule["bypass_full"]],
        [10, 8, 2]
    );
    assert_eq!(
        (&lan["interface"], &lan["alerts_seen"]),
        (&json!("wan"), &json!(12))
    );
    assert_eq!(
        (&lan["alerts_unmatched"], &lan["drops"]["ip4_options"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(
        *latency,
        json!({
            "kind": "latency", "packets": 4, "p50_ns": 4096, "p99_ns": 65536,
            "buckets": [
                { "from_ns": 3584, "below_ns": 4096, "packets": 3 },
                { "from_ns": 57344, "below_ns": 65536, "packets": 1 },
            ],
        })
    );
    let shown = run(&primary.run_dir, "ra show").good();
    for line in [
        "rule       rsvp  bypass_full             2",
        "interface  wan   alerts_seen            12",
        "interface  lan   alerts_seen             0",
        "latency    -     below 4.1 us            3",
        "half of the packets within 4.1 us, 99 of 100 within 65.5 us",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(primary.asked(), [], "they are read from shared memory");
}

#[test]
fn req_ra_17_watched_rules_have_rates() {
    let (_place, primary) = with_rules();
    let mut command = tool(&primary.run_dir, "--json --watch 0.2 ra rule show");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let listing: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        listing[0].clone()
    };
    assert_eq!(next()["matched_per_second"], Value::Null);
    primary.worker.alert(2, AlertCounter::Matched, 5);
    let second = next();
    assert_eq!(
        (&second["name"], &second["matched"]),
        (&json!("rsvp"), &json!(15))
    );
    assert!(second["matched_per_second"].as_f64().unwrap() > 0.0, "{second}");
    assert_eq!(second["punted_per_second"], 0.0);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn req_ra_17_rules_are_asked_for_in_words() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    run(
        &primary.run_dir,
        "ra rule add demo values 65503 family ipv6 handler drop prohibited",
    )
    .good();
    run(&primary.run_dir, "ra rule del demo").good();
    let mut rule = AlertRule::new(
        Rule::new("demo", "65503".parse().unwrap()),
        Handler::DropProhibited,
    );
    rule.rule.family = Some(router_alert::Family::Six);
    assert_eq!(
        primary.asked(),
        [
            Request::AlertRuleAdd(Box::new(rule)),
            Request::AlertRuleDelete { name: "demo".into() }
        ]
    );
    let (status, code, message) = run(&primary.run_dir, "--json ra rule add demo values 1").error();
    assert_eq!((status, code.as_str()), (2, "usage"));
    assert!(
        message.starts_with("'handler' is missing: write NAME values V"),
        "{message}"
    );
    assert_eq!(primary.asked(), []);
}

#[test]
fn req_ra_14_known_values_have_names() {
    let place = tempfile::tempdir().unwrap();
    let values = run(place.path(), "--json ra values").json();
    let known = |family: &str, first: u64| {
        let found = values
            .iter()
            .find(|value| value["family"] == family && value["first"] == first);
        found.map_or(Value::Null, |value| value["name"].clone())
    };
    assert_eq!(known("ipv4", 0), "router shall examine packet");
    assert_eq!(known("ipv6", 1), "RSVP");
    assert_eq!(known("ipv6", 70), Value::Null);
    let table = run(place.path(), "ra values").good();
    let line = "ipv6    4-35         aggregated reservation nesting level  RFC 3175";
    assert!(table.contains(line), "{table}");
}
