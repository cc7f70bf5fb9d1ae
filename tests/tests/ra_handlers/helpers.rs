//! Programs of the operator's that decide about packets.

use std::time::Duration;

use tests::{Privilege, Process, ProcessBuilder, binaries, wait_until};

use crate::{LIMIT, Stage, TEXT, alert, of_rule, report, rule};

const PYTHON: &str = "/usr/bin/python3";
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/python");

/// A helper that is a child, with these words.
fn exec(name: &str, words: &[&str], more: &str) -> String {
    format!("[[helper]]\nname = \"{name}\"\nexec = {words:?}\n{more}\n")
}

/// A helper that is a script; `helper` is its connection.
fn script(name: &str, text: &str, more: &str) -> String {
    let text = format!(
        "import sys, time; sys.dont_write_bytecode = True; sys.path.insert(0, '{CLIENTS}')\nimport tollgate_ra\n\
         helper = tollgate_ra.Helper.stdio()\n{text}"
    );
    exec(name, &[PYTHON, "-c", &text], more)
}

fn wait_for(relay: &mut Process, said: &str) -> String {
    let is_it = |line: &str| line.contains(said);
    relay.wait_for_stderr(said, LIMIT, is_it).unwrap()
}

#[test]
fn req_ra_38_a_child_in_either_language_reads_what_packets_say_and_sends_them_on() {
    let mut stage = Stage::set(1000);
    let rust = binaries::find("examples/ra_policy").unwrap();
    let python = format!("{CLIENTS}/ra_policy.py");
    for (language, words) in [
        ("rust", vec![rust.to_str().unwrap()]),
        ("python", vec![PYTHON, "-B", &python]),
    ] {
        let rules = [
            rule("ask", "5", "\"helper\"\nhelper = \"policy\""),
            exec("policy", &words, ""),
        ];
        let mut relay = stage.relay(&rules.concat(), &["--json"]);
        wait_for(&mut relay, "the helper 'policy' is there");
        // It has no connection yet where its program has not come so far; questions wait for it.
        let text = format!("{TEXT}{language}\n");
        let sent = stage.send(&[alert(5, &text)]);
        let arrived = stage.arrives(text.as_bytes());
        let mut expected = sent.frames[0][crate::ETHERNET..].to_vec();
        expected[7] -= 1;
        assert_eq!(arrived, expected, "{language}");
        for line in text.lines() {
            wait_for(&mut relay, line);
        }
        let report = report(relay);
        assert_eq!(of_rule(&report, "ask")["relayed"], 1, "{report}");
        assert_eq!(report["helpers"][0]["answered"], 1, "{report}");
    }
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_38_a_program_that_connects_reads_what_packets_say_and_sends_them_on() {
    let mut stage = Stage::set(1000);
    let socket = stage.file().with_file_name("policy.sock");
    let helper = format!(
        "[[helper]]\nname = \"policy\"\nsocket = \"{}\"\n",
        socket.display()
    );
    let rules = [rule("ask", "5", "\"helper policy\""), helper];
    let relay = stage.relay(&rules.concat(), &["--json"]);
    // Nobody is connected: the class says what becomes of it.
    stage.send(&[alert(5, "undecided")]);
    stage.arrives(b"undecided");
    let rust = binaries::find("examples/ra_policy").unwrap();
    let python = format!("{CLIENTS}/ra_policy.py");
    for (round, words) in [vec![rust.to_str().unwrap()], vec![PYTHON, "-B", &python]]
        .into_iter()
        .enumerate()
    {
        let mut policy = ProcessBuilder::new(Privilege::detect(), "decides", words[0])
            .args(&words[1..])
            .arg(&socket)
            .start()
            .unwrap();
        let is_there = || {
            let said = relay.stderr();
            Ok((said.matches("is connected").count() > round).then_some(()))
        };
        wait_until("that it is connected", LIMIT, is_there).unwrap();
        let text = format!("{TEXT}{}\n", words[0]);
        stage.send(&[alert(5, &text)]);
        stage.arrives(text.as_bytes());
        for line in text.lines() {
            policy
                .wait_for_stderr(line, LIMIT, |said| said.contains(line))
                .unwrap();
        }
        // The next one may connect now.
        policy.kill();
    }
    let report = report(relay);
    assert_eq!(of_rule(&report, "ask")["helper_dropped"], 1, "{report}");
    assert_eq!(report["helpers"][0]["answered"], 2, "{report}");
    assert!(!socket.exists());
}

#[test]
fn req_ra_29_what_a_helper_changes_arrives_with_right_lengths_and_checksums() {
    let mut stage = Stage::set(1000);
    let change = "
for packet in helper:
    if packet.payload.startswith(b'drop'):
        helper.drop(packet)
    elif packet.payload.startswith(b'no'):
        helper.prohibit(packet)
    elif packet.payload.startswith(b'hold'):
        helper.hold(packet, 50)
    else:
        helper.change_payload(packet, b'a longer text: ' + packet.payload)
";
    let rules = [
        rule("ask", "any", "\"helper policy\""),
        script("policy", change, ""),
    ];
    let mut relay = stage.relay(&rules.concat(), &["--json"]);
    wait_for(&mut relay, "is there");
    let four = "IP(src='192.168.1.2', dst='192.168.2.2', ttl=9, options=[IPOption_Router_Alert()])/UDP(dport=7)/b'short4'";
    stage.send(&[
        alert(5, "short6"),
        four.to_owned(),
        alert(5, "drop"),
        alert(5, "not this"),
        alert(5, "hold it"),
    ]);
    let six = stage.arrives(b"a longer text: short6");
    let four = stage.arrives(b"a longer text: short4");
    stage.arrives(b"hold it");
    // scapy computes what it finds missing: the same packet with lengths and checksums of its own.
    let made = stage.send(&[alert(5, "a longer text: short6").replace("hlim=9", "hlim=8"), format!(
        "IP(src='192.168.1.2', dst='192.168.2.2', ttl=8, options=[IPOption_Router_Alert()])/UDP(dport=7)/b'{}'",
        "a longer text: short4"
    )]);
    assert_eq!(six, made.frames[0][crate::ETHERNET..]);
    assert_eq!(four, made.frames[1][crate::ETHERNET..]);
    stage.drops("punt_dropped", 1);
    stage.drops("punt_refused", 1);
    // A fragment's payload is not changed: it goes on as it came.
    let fragment = "IPv6(src='2001:db8:1::2', dst='2001:db8:2::2')/IPv6ExtHdrHopByHop(options=[RouterAlert(value=5)])\
                    /IPv6ExtHdrFragment(id=7, nh=17, offset=8, m=1)/Raw(b'fragment')";
    stage.send(&[fragment.to_owned()]);
    stage.arrives(b"fragment");
    let report = report(relay);
    let ask = of_rule(&report, "ask");
    assert_eq!(
        (&ask["rewrite_fragment"], &ask["refused"]),
        (&1.into(), &1.into()),
        "{report}"
    );
    assert_eq!(ask["held"], 1, "{report}");
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_33_and_38_a_helper_that_does_not_answer_costs_its_packets_their_time_and_others_nothing() {
    let mut stage = Stage::set(1000);
    let rules = [
        rule("open", "5", "\"helper policy\"\nfail = \"open\""),
        rule("closed", "6", "\"helper policy\"\nfail = \"closed\""),
        rule("other", "7", "\"relay\""),
        script("policy", "time.sleep(3600)", "timeout_ms = 300\nqueue = 10"),
    ];
    let mut relay = stage.relay(&rules.concat(), &["--json"]);
    wait_for(&mut relay, "is there");
    let mut packets: Vec<_> = (0..30)
        .map(|number| alert(5 + number % 2, &format!("{number:02} waits")))
        .collect();
    packets.push(alert(7, "does not wait"));
    stage.send(&packets);
    stage.arrives(b"does not wait");
    let all = || Ok((stage.arrived(b" waits") == 15).then_some(()));
    wait_until("those of the rule that fails open", LIMIT, all).unwrap();
    stage.drops("punt_dropped", 15);
    let report = report(relay);
    let helper = &report["helpers"][0];
    let (late, dropped) = (
        helper["late"].as_u64().unwrap(),
        helper["dropped"].as_u64().unwrap(),
    );
    assert!(late >= 10 && late + dropped == 30, "{report}");
    for (name, end) in [("open", "relayed"), ("closed", "dropped")] {
        let rule = of_rule(&report, name);
        assert_eq!(rule[end], 15, "{report}");
        let undecided = rule["helper_late"].as_u64().unwrap() + rule["helper_dropped"].as_u64().unwrap();
        assert_eq!(undecided, 15, "{report}");
    }
    // The primary waited for none of them for longer than its deadline.
    let punts = stage.primary.ctl_json(&["punt", "show"]).unwrap();
    assert_eq!(punts[0]["late"], 0, "{punts}");
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_38_a_killed_helper_is_started_again_and_what_it_had_goes_the_way_of_fail_at_once() {
    let mut stage = Stage::set(5000);
    let policy = "
for packet in helper:
    if packet.payload == b'never':
        print('has it', file=sys.stderr, flush=True)
        time.sleep(3600)
    helper.forward(packet)
";
    let rules = [
        rule("ask", "5", "\"helper policy\"\nfail = \"open\""),
        script("policy", policy, "timeout_ms = 4500"),
    ];
    let relay = stage.relay(&rules.concat(), &["--json"]);
    for round in 0..3 {
        let said = format!("round {round}");
        let is_there = |line: &str| line.contains("is there");
        let there =
            || Ok((relay.stderr().lines().filter(|line| is_there(line)).count() > round).then_some(()));
        wait_until("the helper", LIMIT, there).unwrap();
        stage.send(&[alert(5, &said)]);
        stage.arrives(said.as_bytes());
        let before = stage.arrived(b"never");
        stage.send(&[alert(5, "never")]);
        let has_it = || Ok((relay.stderr().matches("has it").count() > round).then_some(()));
        wait_until("that the helper has it", LIMIT, has_it).unwrap();
        let line = relay.stderr();
        let pid = line.lines().rfind(|line| is_there(line)).unwrap();
        let pid = pid.rsplit("process ").next().unwrap();
        let pid: String = pid.chars().take_while(char::is_ascii_digit).collect();
        let kill = Privilege::detect();
        kill.run("kills the helper", &["kill", "-KILL", &pid]).unwrap();
        let killed = std::time::Instant::now();
        let gone = || Ok((stage.arrived(b"never") > before).then_some(()));
        wait_until("what it had", LIMIT, gone).unwrap();
        assert!(
            killed.elapsed() < Duration::from_secs(3),
            "{:?}",
            killed.elapsed()
        );
    }
    let report = report(relay);
    assert_eq!(report["helpers"][0]["ended"], 3, "{report}");
    assert_eq!(of_rule(&report, "ask")["relayed"], 6, "{report}");
    assert_eq!(of_rule(&report, "ask")["helper_dropped"], 3, "{report}");
}

#[test]
fn req_ra_38_a_helper_runs_as_the_user_that_the_file_names() {
    let mut stage = Stage::set(1000);
    let who = "
import os
names = [os.path.realpath(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd')]
of_relay = [name for name in names if 'socket:' in name or 'memfd:' in name or 'tables' in name]
print('user', os.getuid(), 'groups', os.getgroups(), 'of the relay', of_relay, file=sys.stderr, flush=True)
for packet in helper:
    helper.forward(packet)
";
    // Where nobody may read, it has the client in its own text.
    let client = std::fs::read_to_string(format!("{CLIENTS}/tollgate_ra.py")).unwrap();
    let text = format!(
        "import sys, types\ntollgate_ra = types.ModuleType('tollgate_ra')\nsys.modules['tollgate_ra'] = tollgate_ra\n\
         exec({client:?}, tollgate_ra.__dict__)\nhelper = tollgate_ra.Helper.stdio()\n{who}"
    );
    let rules = [
        rule("ask", "5", "\"helper policy\""),
        exec("policy", &[PYTHON, "-c", &text], "user = \"nobody\""),
    ];
    let mut relay = stage.relay(&rules.concat(), &["--json"]);
    let said = wait_for(&mut relay, "user ");
    // It has neither the primary's memory nor its socket.
    assert_eq!(said, "user 65534 groups [] of the relay []");
    stage.send(&[alert(5, "decided by nobody")]);
    stage.arrives(b"decided by nobody");
    assert_eq!(report(relay)["helpers"][0]["answered"], 1);
}
