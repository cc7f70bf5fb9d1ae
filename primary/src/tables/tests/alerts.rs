//! Rules for router alerts: all that a request says or nothing of it.

use control::alerts::{ListedRule, listed};
use control::event::Event;
use control::message::{ALERT_RULES, AlertOrigin, AlertRule, ErrorCode, VlanProtocol};
use proptest::prelude::*;
use router_alert::handler::Handler;
use router_alert::matching::Rule;

use super::{Action, Gateway};
use crate::tables::NewSubInterface;

fn rule(name: &str, values: &str, priority: u32) -> AlertRule {
    let rule = Rule {
        priority,
        ..Rule::new(name, values.parse().unwrap())
    };
    AlertRule::new(rule, Handler::Relay)
}

fn on(name: &str, interface: &str) -> AlertRule {
    let mut rule = rule(name, "any", 0);
    rule.rule.interface = Some(interface.to_owned());
    rule
}

fn names(gateway: &Gateway) -> Vec<String> {
    let rules = gateway.tables.alert_rules();
    rules.map(|listed| listed.rule.rule.name.clone()).collect()
}

fn id(gateway: &Gateway, name: &str) -> u16 {
    let mut rules = gateway.tables.alert_rules();
    rules
        .find(|listed| listed.rule.rule.name == name)
        .map(|listed| listed.id)
        .unwrap()
}

/// Readers see the rules that there are, and in the same order.
fn assert_published(gateway: &Gateway) {
    let rules: Vec<ListedRule> = gateway.tables.alert_rules().cloned().collect();
    assert_eq!(listed(&gateway.reader), rules);
}

fn events(gateway: &mut Gateway) -> Vec<Event> {
    let actions = gateway.tables.take_actions().into_iter();
    let event = |action| match action {
        Action::Event(event @ Event::AlertRules { .. }) => Some(event),
        _ => None,
    };
    actions.filter_map(event).collect()
}

#[test]
fn req_ra_17_rules_are_asked_by_priority_and_then_in_the_order_in_which_they_were_made() {
    let mut gateway = Gateway::new();
    for (name, priority) in [("a", 0), ("b", 7), ("c", 0), ("d", 7)] {
        gateway.tables.alert_rule_add(rule(name, "1", priority)).unwrap();
    }
    assert_eq!(names(&gateway), ["b", "d", "a", "c"]);
    assert_published(&gateway);
    let tools = ["e", "f"].map(|name| rule(name, "1", 0)).to_vec();
    gateway.tables.replace_alert_rules(tools).unwrap();
    assert_eq!(names(&gateway), ["b", "d", "a", "c", "e", "f"]);
    gateway.tables.alert_rule_delete("c").unwrap();
    let tools = ["f", "e"].map(|name| rule(name, "1", 0)).to_vec();
    gateway.tables.replace_alert_rules(tools).unwrap();
    assert_eq!(names(&gateway), ["b", "d", "a", "f", "e"]);
    assert_published(&gateway);
}

#[test]
fn req_ra_17_a_tools_rules_are_replaced_and_those_of_an_operator_stay() {
    let mut gateway = Gateway::new();
    gateway.tables.alert_rule_add(rule("mine", "9", 0)).unwrap();
    let first = vec![
        rule("stays", "1", 0),
        rule("changes", "2", 0),
        rule("goes", "3", 0),
    ];
    gateway.tables.replace_alert_rules(first).unwrap();
    let before = ["stays", "changes", "goes", "mine"].map(|name| id(&gateway, name));
    let mut new = gateway.tables.take_alert_news().unwrap();
    new.sort_unstable();
    let mut all = before;
    all.sort_unstable();
    assert_eq!(new, all);
    assert_eq!(gateway.tables.take_alert_news(), None);
    drop(events(&mut gateway));

    let second = vec![
        rule("changes", "2,4", 3),
        rule("stays", "1", 0),
        rule("comes", "3", 0),
    ];
    gateway.tables.replace_alert_rules(second.clone()).unwrap();
    assert_eq!(names(&gateway), ["changes", "mine", "stays", "comes"]);
    let after = ["stays", "changes", "mine"].map(|name| id(&gateway, name));
    assert_eq!(
        after,
        [before[0], before[1], before[3]],
        "a name keeps its number"
    );
    assert_ne!(
        id(&gateway, "comes"),
        before[2],
        "a number rests before it is used again"
    );
    assert_eq!(
        gateway.tables.take_alert_news(),
        Some(vec![id(&gateway, "comes")])
    );
    assert_published(&gateway);
    assert_eq!(
        events(&mut gateway),
        [Event::AlertRules {
            origin: AlertOrigin::Tool,
            added: vec!["changes".into(), "comes".into()],
            deleted: vec!["goes".into()],
        }]
    );
    // The same once more is no change.
    let generation = gateway.reader.alert_generation();
    gateway.tables.replace_alert_rules(second).unwrap();
    assert_eq!(gateway.tables.take_alert_news(), None);
    assert_eq!(gateway.reader.alert_generation(), generation);
    assert_eq!(events(&mut gateway), []);
    gateway.tables.replace_alert_rules(Vec::new()).unwrap();
    assert_eq!(names(&gateway), ["mine"]);
    assert_eq!(
        gateway.tables.take_alert_news(),
        Some(Vec::new()),
        "they are others"
    );
    assert_published(&gateway);
}

#[test]
fn req_ra_17_what_cannot_be_is_refused_with_a_sentence_and_changes_nothing() {
    let mut gateway = Gateway::new();
    gateway.tables.alert_rule_add(rule("mine", "1", 0)).unwrap();
    gateway
        .tables
        .replace_alert_rules(vec![rule("tool", "1", 0)])
        .unwrap();
    drop(gateway.tables.take_alert_news());
    drop(events(&mut gateway));
    let mut mirror = rule("copy", "1", 0);
    mirror.handler = Handler::Mirror("dmz".into());
    for (refused, code, said) in [
        (
            gateway.tables.alert_rule_add(rule("mine", "2", 0)),
            ErrorCode::Exists,
            "an operator has made a rule mine: give this one another name",
        ),
        (
            gateway.tables.alert_rule_add(rule("tool", "2", 0)),
            ErrorCode::Exists,
            "a tool has made a rule tool: give this one another name, or delete that with 'tollgate-ctl ra rule del tool'",
        ),
        (
            gateway.tables.alert_rule_add(rule("two words", "2", 0)),
            ErrorCode::Invalid,
            "'two words' is no name of a rule",
        ),
        (
            gateway.tables.alert_rule_add(on("there", "dmz")),
            ErrorCode::UnknownInterface,
            "dmz is no interface: the rule there can name one of lan, wan",
        ),
        (
            gateway.tables.alert_rule_add(mirror),
            ErrorCode::UnknownInterface,
            "dmz is no interface: the rule copy can name one of lan, wan",
        ),
        (
            gateway.tables.alert_rule_delete("none"),
            ErrorCode::NotFound,
            "there is no rule 'none': there are mine, tool",
        ),
        (
            gateway
                .tables
                .replace_alert_rules(vec![rule("new", "1", 0), rule("mine", "1", 0)]),
            ErrorCode::Exists,
            "an operator has made a rule mine: give this one another name",
        ),
        (
            gateway
                .tables
                .replace_alert_rules(vec![rule("new", "1", 0), rule("new", "2", 0)]),
            ErrorCode::Invalid,
            "two of the rules are called new",
        ),
        (
            gateway
                .tables
                .replace_alert_rules(vec![rule("new", "1", 0), on("there", "dmz")]),
            ErrorCode::UnknownInterface,
            "dmz is no interface",
        ),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, code, "{refused}");
        assert!(refused.message.contains(said), "{refused}");
    }
    assert_eq!(names(&gateway), ["mine", "tool"]);
    assert_eq!(gateway.tables.take_alert_news(), None);
    assert_eq!(events(&mut gateway), []);
    assert_published(&gateway);
}

#[test]
fn req_ra_17_a_rule_stays_when_its_interface_goes() {
    let mut gateway = Gateway::new();
    let sub_interface = NewSubInterface {
        name: Some("dmz".into()),
        link: "lan".into(),
        protocol: VlanProtocol::Dot1q,
        id: 7,
        mtu: None,
    };
    gateway.tables.add_sub_interface(&sub_interface).unwrap();
    gateway.tables.alert_rule_add(on("demo", "dmz")).unwrap();
    let now = gateway.now;
    gateway.tables.delete_sub_interface("dmz", now).unwrap();
    assert_eq!(names(&gateway), ["demo"]);
    assert_published(&gateway);
}

#[test]
fn req_ra_17_there_is_room_for_so_many_rules_and_all_can_be_replaced_at_once() {
    let mut gateway = Gateway::new();
    let many = |prefix: &str, count: usize| -> Vec<_> {
        (0..count)
            .map(|number| rule(&format!("{prefix}{number}"), "1", 0))
            .collect()
    };
    gateway
        .tables
        .replace_alert_rules(many("a", ALERT_RULES - 1))
        .unwrap();
    gateway.tables.alert_rule_add(rule("mine", "1", 0)).unwrap();
    let refused = gateway.tables.alert_rule_add(rule("more", "1", 0)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::LimitReached);
    assert!(
        refused
            .message
            .contains("there would be 257 rules for router alerts and 256 have room"),
        "{refused}"
    );
    gateway
        .tables
        .replace_alert_rules(many("b", ALERT_RULES))
        .unwrap_err();
    gateway
        .tables
        .replace_alert_rules(many("b", ALERT_RULES - 1))
        .unwrap();
    assert_eq!(names(&gateway).len(), ALERT_RULES);
    assert_published(&gateway);
}

#[test]
fn req_ra_17_a_number_is_used_again_only_after_all_others() {
    let mut gateway = Gateway::new();
    let mut used = Vec::new();
    for _ in 0..=ALERT_RULES {
        gateway.tables.alert_rule_add(rule("demo", "1", 0)).unwrap();
        used.push(id(&gateway, "demo"));
        gateway.tables.alert_rule_delete("demo").unwrap();
    }
    assert_eq!(used.first(), used.last());
    used.pop();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), ALERT_RULES);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u32),
    Delete(u8),
    Replace(Vec<(u8, u32)>),
}

fn step() -> impl Strategy<Value = Step> {
    let named = || (0..8u8, 0..3u32);
    prop_oneof![
        named().prop_map(|(name, priority)| Step::Add(name, priority)),
        (0..8u8).prop_map(Step::Delete),
        prop::collection::vec(named(), 0..5).prop_map(Step::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn req_ra_17_the_table_is_what_a_list_would_be(steps in prop::collection::vec(step(), 1..25)) {
        let mut gateway = Gateway::new();
        // Name, priority, origin, in the order in which they were made.
        let mut model: Vec<(String, u32, AlertOrigin)> = Vec::new();
        for step in steps {
            let name = |name: u8| format!("rule{name}");
            let is_there = |model: &[(String, u32, AlertOrigin)], name: &str| model.iter().any(|(there, ..)| there == name);
            match step {
                Step::Add(number, priority) => {
                    let added = gateway.tables.alert_rule_add(rule(&name(number), "1", priority));
                    prop_assert_eq!(added.is_ok(), !is_there(&model, &name(number)));
                    if added.is_ok() {
                        model.push((name(number), priority, AlertOrigin::Operator));
                    }
                }
                Step::Delete(number) => {
                    let deleted = gateway.tables.alert_rule_delete(&name(number));
                    prop_assert_eq!(deleted.is_ok(), is_there(&model, &name(number)));
                    model.retain(|(there, ..)| *there != name(number));
                }
                Step::Replace(rules) => {
                    let given: Vec<_> = rules.iter().map(|(number, priority)| rule(&name(*number), "1", *priority)).collect();
                    let of_tools: Vec<_> = model.iter().filter(|(.., origin)| *origin == AlertOrigin::Tool).cloned().collect();
                    let wanted: Vec<_> = rules.iter().map(|(number, priority)| (name(*number), *priority, AlertOrigin::Tool)).collect();
                    if gateway.tables.replace_alert_rules(given).is_ok() && wanted != of_tools {
                        model.retain(|(.., origin)| *origin == AlertOrigin::Operator);
                        model.extend(wanted);
                    }
                }
            }
            let mut asked = model.clone();
            asked.sort_by_key(|(_, priority, _)| std::cmp::Reverse(*priority));
            let found: Vec<_> = gateway.tables.alert_rules()
                .map(|listed| (listed.rule.rule.name.clone(), listed.rule.rule.priority, listed.origin))
                .collect();
            prop_assert_eq!(found, asked);
            assert_published(&gateway);
            let mut ids: Vec<_> = gateway.tables.alert_rules().map(|listed| listed.id).collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), model.len());
        }
    }
}
