//! Rules for router alerts while the gateway forwards: made, deleted, refused, seen in shared memory, and of one instance only.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod packets;

use std::{fs, time::Duration};

use control::{
    client::Client,
    instance::{InstanceDir, RunDir},
    message::{AlertRule, ErrorCode, PuntClass, PuntRequest, Request},
    punt::Punts,
};
use nix::sys::signal::Signal;
use router_alert::{handler::Handler, matching::Rule};
use serde_json::Value;
use tests::{Pinger, Primary, PrimaryBuilder, Privilege, Process, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

fn hosts() -> TwoHosts {
    TwoHosts::create(Privilege::detect()).unwrap()
}

fn primary(hosts: &TwoHosts) -> PrimaryBuilder {
    hosts
        .primary("gw")
        .toml("[[punt]]\nclass = \"router_alert\"\nfail = \"open\"\n")
}

fn directory(primary: &Primary) -> InstanceDir {
    RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap())
}

/// Name and origin of each rule, in the order in which they are asked.
fn rules(primary: &Primary) -> Vec<(String, String)> {
    let shown = primary.ctl_json(&["ra", "rule", "show"]).unwrap();
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    let rules = shown.as_array().unwrap().iter();
    rules
        .map(|rule| (text(rule, "name"), text(rule, "origin")))
        .collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs
        .map(|(name, origin)| (name.to_owned(), origin.to_owned()))
        .into()
}

fn rule(name: &str, values: &str) -> AlertRule {
    AlertRule::new(Rule::new(name, values.parse().unwrap()), Handler::Relay)
}

fn request(rules: Option<Vec<AlertRule>>) -> PuntRequest {
    PuntRequest {
        classes: vec![PuntClass::RouterAlert],
        observe: false,
        rules,
    }
}

/// `monitor`, from where it misses nothing.
fn monitor(primary: &Primary) -> Process {
    let mut monitor = primary.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("that it subscribed", LIMIT, |line| {
            line.contains("\"subscribed\"")
        })
        .unwrap();
    monitor
}

/// Waits for an event with these fields.
fn told(monitor: &mut Process, event: &Value) {
    let what = format!("the event {event}");
    monitor
        .wait_for_stdout(&what, LIMIT, |line| {
            serde_json::from_str::<Value>(line).is_ok_and(|seen| {
                let mut fields = event.as_object().unwrap().iter();
                fields.all(|(key, value)| seen[key] == *value)
            })
        })
        .unwrap();
}

#[test]
fn req_ra_17_rules_are_made_and_deleted_while_other_traffic_loses_nothing() {
    let hosts = hosts();
    let primary = primary(&hosts).start().unwrap();
    let mut monitor = monitor(&primary);
    let pinger = Pinger::start(
        &hosts.host_a,
        TwoHosts::ADDRESS_B,
        &["-i", "0.01", "-c", "300", "-W", "2"],
    )
    .unwrap();
    assert_eq!(rules(&primary), []);
    primary.tell("ra rule add rest values any handler log");
    primary.tell("ra rule add rsvp values 1,4-35 family ipv6 proto rsvp dev a0 prio 10 handler strip pad");
    assert_eq!(
        rules(&primary),
        pairs([("rsvp", "operator"), ("rest", "operator")])
    );
    told(
        &mut monitor,
        &serde_json::json!({ "event": "alert_rules", "origin": "operator", "added": ["rsvp"], "deleted": [] }),
    );
    primary.tell("ra rule del rest");
    assert_eq!(rules(&primary), pairs([("rsvp", "operator")]));
    told(
        &mut monitor,
        &serde_json::json!({ "event": "alert_rules", "origin": "operator", "added": [], "deleted": ["rest"] }),
    );
    for _ in 0..5 {
        for name in ["a", "b", "c"] {
            primary.tell(&format!("ra rule add {name} values 7,9-11 handler relay"));
        }
        for name in ["c", "a", "b"] {
            primary.tell(&format!("ra rule del {name}"));
        }
    }
    pinger.finish(LIMIT).unwrap().assert_all_answered();
}

#[test]
fn req_ra_17_a_tools_rules_come_with_it_change_with_it_and_outlive_it() {
    let hosts = hosts();
    let primary = primary(&hosts).start().unwrap();
    let directory = directory(&primary);
    let mut monitor = monitor(&primary);
    primary.tell("ra rule add mine values 9 handler drop");
    let two = vec![rule("one", "1"), rule("two", "2")];
    let tool = Punts::start(&directory, "first", request(Some(two))).unwrap();
    let both = pairs([("mine", "operator"), ("one", "tool"), ("two", "tool")]);
    assert_eq!(rules(&primary), both);
    let came = serde_json::json!({
        "event": "listener", "tool": "first", "classes": ["router_alert"], "observes": false, "came": true,
    });
    told(&mut monitor, &came);
    let listeners = primary.ctl_json(&["ra", "listener", "show"]).unwrap();
    assert_eq!(
        (
            &listeners[0]["tool"],
            &listeners[0]["role"],
            listeners.as_array().unwrap().len()
        ),
        (&"first".into(), &"decides".into(), 1)
    );
    drop(tool);
    told(
        &mut monitor,
        &serde_json::json!({ "event": "listener", "tool": "first", "came": false }),
    );
    assert_eq!(rules(&primary), both, "they outlive their tool");

    // Who says nothing of rules leaves them as they are.
    let attach = |tool: &str, rules: Option<Vec<AlertRule>>| {
        wait_until("that it may attach", LIMIT, || {
            Ok(Punts::start(&directory, tool, request(rules.clone())).ok())
        })
        .unwrap()
    };
    let tool = attach("second", None);
    assert_eq!(rules(&primary), both);
    drop(tool);
    let tool = attach("third", Some(vec![rule("two", "2"), rule("three", "3")]));
    assert_eq!(
        rules(&primary),
        pairs([("mine", "operator"), ("two", "tool"), ("three", "tool")])
    );
    drop(tool);
    let tool = attach("fourth", Some(Vec::new()));
    assert_eq!(rules(&primary), pairs([("mine", "operator")]));
    drop(tool);
}

#[test]
fn req_ra_17_what_cannot_be_is_refused_with_a_sentence_and_nothing_changes() {
    let hosts = hosts();
    let primary = primary(&hosts).start().unwrap();
    let directory = directory(&primary);
    primary.tell("ra rule add mine values 9 handler drop");
    for (words, code, said) in [
        (
            "ra rule add mine values 1 handler log",
            "exists",
            "an operator has made a rule mine: give this one another name",
        ),
        (
            "ra rule add demo values 1 dev nowhere handler log",
            "unknown_interface",
            "nowhere is no interface: the rule demo can name one of ",
        ),
        (
            "ra rule add demo values 1 handler mirror nowhere",
            "unknown_interface",
            "nowhere is no interface",
        ),
        (
            "ra rule add demo values 1 handler dance",
            "usage",
            "'dance' is no handler: use relay, log",
        ),
        (
            "ra rule add demo values 9-4 handler log",
            "usage",
            "the range 9-4 is empty: write 4-9",
        ),
        (
            "ra rule del demo",
            "not_found",
            "there is no rule 'demo': there are mine",
        ),
    ] {
        let (found, message) = primary.refusal(words);
        assert_eq!(found, code, "{words}: {message}");
        assert!(message.contains(said), "{words}: {message}");
    }
    let of = |request| Punts::start(&directory, "test", request).err().unwrap();
    let clash = of(request(Some(vec![rule("new", "1"), rule("mine", "2")])));
    assert_eq!(clash.code, ErrorCode::Exists, "{clash}");
    let observer = of(PuntRequest {
        observe: true,
        ..request(Some(vec![rule("new", "1")]))
    });
    assert_eq!(observer.code, ErrorCode::Invalid, "{observer}");
    let mut stranger = Client::connect(&directory, "test").unwrap();
    let request = Request::AlertRules(vec![rule("new", "1")]);
    let refused = stranger.call(request).unwrap_err();
    assert!(
        refused
            .message
            .contains("this tool does not decide about router alerts"),
        "{refused}"
    );
    assert_eq!(rules(&primary), pairs([("mine", "operator")]));
}

#[test]
fn req_ra_17_a_relay_brings_the_rules_of_its_file() {
    let hosts = hosts();
    let primary = primary(&hosts).start().unwrap();
    let file = primary.config_path().with_file_name("ra.toml");
    fs::write(
        &file,
        "[[rule]]\nname = \"demo\"\nvalues = \"5,65503-65534\"\nhandler = \"log\"\n",
    )
    .unwrap();
    let mut relay = primary
        .tool("relays", "tollgate-ra-relay", &[])
        .unwrap()
        .arg("--config")
        .arg(&file)
        .start()
        .unwrap();
    relay
        .wait_for_stderr("that it relays", LIMIT, |line| line.contains("relaying"))
        .unwrap();
    let shown = primary.ctl_json(&["ra", "rule"]).unwrap();
    assert_eq!(shown[0]["name"], "demo");
    assert_eq!(
        (&shown[0]["values"], &shown[0]["handler"], &shown[0]["origin"]),
        (&"5,65503-65534".into(), &"log".into(), &"tool".into())
    );
    assert!(relay.terminate().unwrap().success());
}

#[test]
fn req_ra_39_rules_and_counters_are_seen_while_the_primary_is_stopped() {
    let hosts = hosts();
    let mut primary = primary(&hosts).start().unwrap();
    primary.tell("ra rule add demo values 65503 handler relay");
    primary.process().signal(Signal::SIGSTOP);
    let shown = rules(&primary);
    let counts = primary.ctl_json(&["ra", "show"]).unwrap();
    primary.process().signal(Signal::SIGCONT);
    assert_eq!(shown, pairs([("demo", "operator")]));
    let parts = counts.as_array().unwrap();
    let kinds: Vec<_> = parts.iter().map(|part| part["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["rule", "interface", "interface", "latency"]);
    let [rule, interface, _, latency] = &parts[..] else {
        unreachable!("four were counted")
    };
    assert_eq!((&rule["rule"], &rule["matched"]), (&"demo".into(), &0.into()));
    assert_eq!(
        (&interface["alerts_seen"], interface["drops"].is_object()),
        (&0.into(), true)
    );
    assert_eq!(
        (&latency["packets"], &latency["p50_ns"]),
        (&0.into(), &Value::Null)
    );
}

#[test]
fn req_ra_18_two_instances_do_not_see_each_others_rules_and_listeners() {
    let run_dir = tempfile::tempdir().unwrap();
    let sites = [hosts(), hosts()];
    let [one, two] = sites
        .each_ref()
        .map(|hosts| primary(hosts).run_dir(run_dir.path()).start().unwrap());
    one.tell("ra rule add demo values 1 handler log");
    // Each has a tool that decides, and a rule of the same name.
    let tools = [(&one, "of-one"), (&two, "of-two")].map(|(primary, name)| {
        let rules = Some(vec![rule(name, "5")]);
        Punts::start(&directory(primary), name, request(rules)).unwrap()
    });
    assert_eq!(rules(&one), pairs([("demo", "operator"), ("of-one", "tool")]));
    assert_eq!(rules(&two), pairs([("of-two", "tool")]));
    two.tell("ra rule add demo values 2 handler drop");
    one.tell("ra rule del demo");
    assert_eq!(rules(&one), pairs([("of-one", "tool")]));
    assert_eq!(rules(&two), pairs([("of-two", "tool"), ("demo", "operator")]));
    for (primary, tool) in [(&one, "of-one"), (&two, "of-two")] {
        let listeners = primary.ctl_json(&["ra", "listener"]).unwrap();
        let listeners = listeners.as_array().unwrap();
        assert_eq!(listeners.len(), 1);
        assert_eq!(listeners[0]["tool"], tool);
    }
    drop(tools);
}
