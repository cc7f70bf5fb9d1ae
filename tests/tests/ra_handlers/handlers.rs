//! Handlers that need no program, rules that operators make, and files that are read again.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::Listener;

use crate::{ETHERNET, LIMIT, Stage, alert, of_rule, report, rule};

#[test]
fn req_ra_30_a_mirrored_packet_goes_on_and_its_copy_leaves_as_it_came() {
    let mut stage = Stage::set(1000);
    let mut mirror = Listener::start(&stage.hosts.host_a, "eth0").unwrap();
    let relay = stage.relay(&rule("copies", "5", "\"mirror\"\nmirror = \"a0\""), &["--json"]);
    let sent = stage.send(&[alert(5, "copied")]);
    let arrived = stage.arrives(b"copied");
    let mut expected = sent.frames[0][ETHERNET..].to_vec();
    expected[7] -= 1;
    assert_eq!(arrived, expected);
    let copy = mirror.wait_for("the copy", LIMIT, |frame| frame.ends_with(b"copied"));
    assert_eq!(copy.unwrap(), sent.frames[0]);
    assert_eq!(stage.arrived(b"copied"), 1);
    let report = report(relay);
    let copies = of_rule(&report, "copies");
    assert_eq!((&copies["mirrored"], &copies["relayed"]), (&1.into(), &1.into()));
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_30_a_held_packet_goes_on_after_its_time_in_its_order_and_nothing_else_waits() {
    let mut stage = Stage::set(6000);
    let rules = [
        rule("late", "5", "\"hold\"\nhold = 3000"),
        rule("soon", "6", "\"relay\""),
    ];
    let relay = stage.relay(&rules.concat(), &["--json"]);
    // All within a millisecond.
    let mut packets: Vec<_> = (0..20)
        .map(|number| alert(5, &format!("held {number:02}")))
        .collect();
    packets.push(alert(6, "at once"));
    stage.send(&packets);
    stage.arrives(b"at once");
    let seen = Instant::now();
    assert_eq!(stage.arrived(b"held 00"), 0);
    stage.arrives(b"held 19");
    let waited = seen.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(5),
        "{waited:?} behind one that was not held"
    );
    let frames = stage.listener.frames();
    let texts = frames
        .iter()
        .filter_map(|frame| str::from_utf8(frame.get(frame.len() - 7..)?).ok());
    let held: Vec<_> = texts.filter(|text| text.starts_with("held")).collect();
    let expected: Vec<_> = (0..20).map(|number| format!("held {number:02}")).collect();
    assert_eq!(held, expected);
    let report = report(relay);
    assert_eq!(of_rule(&report, "late")["held"], 20, "{report}");
    assert_eq!(of_rule(&report, "late")["relayed"], 20, "{report}");
    let punts = stage.primary.ctl_json(&["punt", "show"]).unwrap();
    assert_eq!(punts[0]["late"], 0, "{punts}");
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_30_a_rule_that_holds_for_longer_than_the_primary_waits_is_refused() {
    let stage = Stage::set(300);
    stage.write(&rule("late", "5", "\"hold 300\""));
    let mut relay = stage
        .primary
        .tool("is refused", "tollgate-ra-relay", &["--config"])
        .unwrap()
        .arg(stage.file())
        .start()
        .unwrap();
    assert_eq!(relay.wait(LIMIT).unwrap().code(), Some(2));
    let said = relay.stderr();
    assert!(
        said.contains("the rule 'late' holds packets for 300 ms, and the primary waits 300 ms"),
        "{said}"
    );
}

#[test]
fn req_ra_30_a_packet_that_is_prohibited_is_dropped_and_its_sender_told() {
    let stage = Stage::set(1000);
    let mut sender = Listener::start(&stage.hosts.host_a, "eth0").unwrap();
    let relay = stage.relay(&rule("no", "any", "\"drop\"\ndrop = \"prohibited\""), &["--json"]);
    let four =
        "IP(src='192.168.1.2', dst='192.168.2.2', options=[IPOption_Router_Alert()])/UDP()/b'not four'";
    stage.send(&[alert(5, "not six"), four.to_owned()]);
    // Behind the Ethernet and IP headers: destination unreachable, administratively prohibited.
    let six = |frame: &[u8]| frame.get(20) == Some(&58) && frame.get(54..56) == Some(&[1, 1]);
    sender.wait_for("ICMPv6 1/1", LIMIT, six).unwrap();
    let four = |frame: &[u8]| frame.get(23) == Some(&1) && frame.get(34..36) == Some(&[3, 13]);
    sender.wait_for("ICMP 3/13", LIMIT, four).unwrap();
    stage.drops("punt_refused", 2);
    assert_eq!((stage.arrived(b"not six"), stage.arrived(b"not four")), (0, 0));
    assert_eq!(of_rule(&report(relay), "no")["prohibited"], 2);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_17_a_rule_that_an_operator_makes_works_at_once_and_until_it_is_deleted() {
    let mut stage = Stage::set(1000);
    let relay = stage.relay(&rule("file", "5", "\"log\""), &["--json"]);
    let ctl = |words: &[&str]| stage.primary.ctl(words).unwrap().success().unwrap();
    ctl(&["ra", "rule", "add", "op", "values", "7", "handler", "drop"]);
    stage.send(&[alert(7, "gone")]);
    stage.drops("punt_dropped", 1);
    ctl(&["ra", "rule", "del", "op"]);
    stage.send(&[alert(7, "here again"), alert(5, "of the file")]);
    stage.arrives(b"here again");
    stage.arrives(b"of the file");
    assert_eq!(stage.arrived(b"gone"), 0);
    // What the relay is not told to run it does not run.
    let ctl = |words: &[&str]| stage.primary.ctl(words).unwrap().success().unwrap();
    ctl(&[
        "ra", "rule", "add", "unknown", "values", "8", "fail", "closed", "handler", "helper", "sh",
    ]);
    stage.send(&[alert(8, "undecided")]);
    stage.drops("punt_dropped", 2);
    let report = report(relay);
    assert_eq!(of_rule(&report, "op")["dropped"], 1, "{report}");
    assert_eq!(of_rule(&report, "file")["relayed"], 1, "{report}");
    assert_eq!(of_rule(&report, "unknown")["helper_dropped"], 1, "{report}");
}

#[test]
fn req_ra_17_a_file_that_is_read_again_counts_as_a_whole_or_not_at_all() {
    let mut stage = Stage::set(1000);
    let mut relay = stage.relay(&rule("one", "5", "\"drop\""), &["--json"]);
    for (wrong, said) in [
        (rule("one", "5", "\"lgo\""), "did you mean 'log'?"),
        (rule("one", "5", "\"hold 5000\""), "holds packets for 5000 ms"),
        (rule("two", "5", "\"log\"\ninterface = \"nowhere\""), "nowhere"),
    ] {
        stage.write(&wrong);
        relay.signal(Signal::SIGHUP);
        let is_refusal = |line: &str| line.contains("nothing has changed") && line.contains(said);
        relay.wait_for_stderr("a refusal", LIMIT, is_refusal).unwrap();
    }
    stage.send(&[alert(5, "still dropped"), alert(6, "of no rule")]);
    stage.arrives(b"of no rule");
    stage.drops("punt_dropped", 1);
    stage.write(&[rule("two", "5", "\"log\""), rule("three", "6", "\"drop\"")].concat());
    relay.signal(Signal::SIGHUP);
    relay
        .wait_for_stderr("that it is read", LIMIT, |line| {
            line.contains("was read again: 2 rules")
        })
        .unwrap();
    stage.send(&[alert(6, "dropped now"), alert(5, "logged now")]);
    stage.arrives(b"logged now");
    stage.drops("punt_dropped", 2);
    assert_eq!(stage.arrived(b"still dropped") + stage.arrived(b"dropped now"), 0);
    let report = report(relay);
    assert_eq!(of_rule(&report, "two")["relayed"], 1, "{report}");
    assert_eq!(of_rule(&report, "three")["dropped"], 1, "{report}");
}

#[test]
fn req_ra_16_an_observer_prints_what_another_decides_about_and_changes_nothing() {
    let mut stage = Stage::set(1000);
    let mut observers: Vec<_> = (0..2)
        .map(|_| {
            let mut observer = stage
                .primary
                .tool("observes", "tollgate-ra-relay", &["--observe"])
                .unwrap()
                .start()
                .unwrap();
            observer
                .wait_for_stderr("that it observes", LIMIT, |line| line.starts_with("observing"))
                .unwrap();
            observer
        })
        .collect();
    let rules = [rule("stays", "5", "\"relay\""), rule("goes", "6", "\"drop\"")];
    let relay = stage.relay(&rules.concat(), &["--json"]);
    stage.send(&[alert(6, "dropped"), alert(5, "relayed")]);
    stage.arrives(b"relayed");
    stage.drops("punt_dropped", 1);
    for observer in &mut observers {
        for part in ["router alert 6, rule goes", "router alert 5, rule stays"] {
            observer
                .wait_for_stdout(part, LIMIT, |line| line.contains(part))
                .unwrap();
        }
        assert!(observer.terminate().unwrap().success(), "{}", observer.stderr());
    }
    assert_eq!((stage.arrived(b"relayed"), stage.arrived(b"dropped")), (1, 0));
    assert_eq!(report(relay)["seen"], 2);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_30_without_a_file_a_relay_does_what_operators_rules_say() {
    let mut stage = Stage::set(1000);
    let mut relay = stage
        .primary
        .tool("relays", "tollgate-ra-relay", &[])
        .unwrap()
        .start()
        .unwrap();
    relay
        .wait_for_stderr("that it relays", LIMIT, |line| line.starts_with("relaying"))
        .unwrap();
    stage.send(&[alert(5, "of no rule")]);
    stage.arrives(b"of no rule");
    let words = ["ra", "rule", "add", "op", "values", "5", "handler", "dscp", "46"];
    stage.primary.ctl(&words).unwrap().success().unwrap();
    stage.send(&[alert(5, "urgent")]);
    let packet = stage.arrives(b"urgent");
    assert_eq!(packet[..2], [0x6b, 0x80]);
    assert!(relay.terminate().unwrap().success());
}
