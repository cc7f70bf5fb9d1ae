//! Configurations applied to a primary that runs, by SIGHUP and by `tollgate-ctl config`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Captured, Family, Pinger, Primary, Privilege, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
/// Pings that go on until they are interrupted.
const PINGS: &[&str] = &["-i", "0.01"];

/// What is behind host-b, and its second address.
const BEHIND: &str = "10.9.9.9";
const SECOND: &str = "192.168.2.3";

fn hosts() -> TwoHosts {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[Family::Ip4, Family::Ip6]).unwrap();
    hosts.host_b.add_address("eth0", &format!("{SECOND}/24")).unwrap();
    hosts.host_b.add_address("lo", &format!("{BEHIND}/32")).unwrap();
    hosts
}

fn via(next_hop: &str) -> String {
    format!("\n[[route]]\nprefix = \"10.9.0.0/16\"\nvia = \"{next_hop}\"\n")
}

/// The file of a primary, and one beside it.
fn text_of(primary: &Primary) -> String {
    fs::read_to_string(primary.config_path()).unwrap()
}

fn beside(primary: &Primary, name: &str, text: &[u8]) -> PathBuf {
    let path = primary.config_path().with_file_name(name);
    fs::write(&path, text).unwrap();
    path
}

fn try_apply(primary: &Primary, path: &Path, words: &[&str]) -> Captured {
    let mut all = vec!["config", "apply", path.to_str().unwrap()];
    all.extend(words);
    primary.ctl(&all).unwrap()
}

#[track_caller]
fn apply(primary: &Primary, path: &Path, words: &[&str]) -> String {
    try_apply(primary, path, words).success().unwrap().stdout
}

fn show(primary: &Primary) -> String {
    primary
        .ctl(&["config", "show"])
        .unwrap()
        .success()
        .unwrap()
        .stdout
}

/// The link-local address of an interface.
fn link_local_of(primary: &Primary, interface: &str) -> String {
    let all = primary.ctl_json(&["addr", "show"]).unwrap();
    let mut all = all.as_array().unwrap().iter();
    let is_it = |address: &&Value| {
        let text = address["address"].as_str().unwrap();
        address["interface"] == interface && text.starts_with("fe80:")
    };
    let found = all.find(is_it).unwrap()["address"].as_str().unwrap();
    found.split('/').next().unwrap().to_owned()
}

fn last_reload(primary: &Primary) -> Value {
    primary.ctl_json(&["instance", "show"]).unwrap()[0]["last_reload"].clone()
}

/// SIGHUP, and what came of it.
fn reload(primary: &mut Primary) -> Value {
    let before = last_reload(primary);
    primary.reload();
    wait_until("the outcome of a reload", LIMIT, || {
        let last = last_reload(primary);
        Ok((last != before).then_some(last))
    })
    .unwrap()
}

#[test]
fn fifty_reloads_lose_no_ping_that_both_files_forward() {
    let hosts = hosts();
    let mut primary = hosts.primary("gw").start().unwrap();
    let base = text_of(&primary);
    let one = format!("{base}{}", via(TwoHosts::ADDRESS_B));
    // Another next hop, one more address and sub-interface, other policers.
    let other = format!(
        "{}{}\n[[interface]]\nname = \"a0.7\"\nlink = \"a0\"\nid = 7\naddresses = [\"172.16.7.1/24\"]\n\
         [[route]]\nprefix = \"10.8.0.0/16\"\nblackhole = true\n\
         [[punt]]\nclass = \"arp\"\nrate = 2000\n",
        base.replace("\"192.168.2.1/24\"", "\"192.168.2.1/24\", \"192.168.7.1/24\""),
        via(SECOND)
    );
    assert!(other.contains("192.168.7.1"), "{other}");
    fs::write(primary.config_path(), &one).unwrap();
    assert_eq!(reload(&mut primary)["ok"], true);
    let (one_file, other_file) = (
        beside(&primary, "one.toml", one.as_bytes()),
        beside(&primary, "other.toml", other.as_bytes()),
    );
    for to in [TwoHosts::ADDRESS_B, Family::Ip6.address_b(), BEHIND] {
        let pings = hosts.host_a.ping(to, &["-c", "2", "-W", "2"], LIMIT).unwrap();
        pings.assert_all_answered();
    }

    let pingers = [TwoHosts::ADDRESS_B, Family::Ip6.address_b(), BEHIND]
        .map(|to| Pinger::start(&hosts.host_a, to, PINGS).unwrap());
    for round in 0..25 {
        // To the other by ctl, and back by SIGHUP; or the other way round.
        if round % 2 == 0 {
            assert_ne!(apply(&primary, &other_file, &[]), "nothing differs\n");
        } else {
            fs::write(primary.config_path(), &other).unwrap();
            assert_eq!(reload(&mut primary)["ok"], true);
        }
        let gateway = primary.ctl_json(&["route", "get", BEHIND]).unwrap();
        assert_eq!(gateway[0]["next_hop"].as_str(), Some(SECOND), "{gateway}");
        let answered = hosts
            .host_b
            .ping("192.168.7.1", &["-c", "1", "-W", "1"], LIMIT)
            .unwrap();
        answered.assert_all_answered();
        let punts = primary.ctl_json(&["punt", "show"]).unwrap();
        assert!(
            punts.as_array().unwrap().iter().any(|punt| punt["rate"] == 2000),
            "{punts}"
        );
        if round % 2 == 0 {
            fs::write(primary.config_path(), &one).unwrap();
            let outcome = reload(&mut primary);
            assert_eq!(outcome["ok"], true, "{outcome}");
        } else {
            assert_ne!(apply(&primary, &one_file, &[]), "nothing differs\n");
        }
        let gateway = primary.ctl_json(&["route", "get", BEHIND]).unwrap();
        assert_eq!(
            gateway[0]["next_hop"].as_str(),
            Some(TwoHosts::ADDRESS_B),
            "{gateway}"
        );
        primary
            .ctl(&["link", "show", "a0.7"])
            .unwrap()
            .success()
            .unwrap_err();
    }
    for pinger in pingers {
        pinger.interrupt(LIMIT).unwrap().assert_all_answered();
    }
    assert!(show(&primary).contains("192.168.2.1/24"));
}

#[test]
fn a_bad_file_changes_nothing_whatever_is_wrong_with_it() {
    let hosts = hosts();
    let mut primary = hosts
        .primary("gw")
        .toml("[limits]\ngroups = 1\n")
        .start()
        .unwrap();
    let good = text_of(&primary);
    let before = show(&primary);
    let route = via(TwoHosts::ADDRESS_B);
    let group = |prefix: &str, weight: u16| {
        format!(
            "[[route]]\nprefix = \"{prefix}\"\nnexthops = [{{ via = \"192.168.2.2\", weight = {weight} }}, {{ via = \"192.168.2.3\" }}]\n"
        )
    };
    let more = |text: &str| format!("{good}{route}{text}").into_bytes();
    let instead = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        format!("{}{route}", good.replace(from, to)).into_bytes()
    };
    let bad = [
        (more("[[route]"), "this is not TOML"),
        (
            more("[[route]]\nprefx = \"10.0.0.0/8\"\n"),
            "did you mean 'prefix'",
        ),
        (
            more("[[route]]\nprefix = \"10.1.0.0/16\"\nvia = \"203.0.113.1\"\n"),
            "on no connected subnet",
        ),
        (
            more("[[interface]]\nname = \"a0.1\"\nlink = \"a0\"\nid = 1\naddresses = [\"192.168.2.9/24\"]\n"),
            "overlaps",
        ),
        ([more("").as_slice(), &[0xff]].concat(), "not UTF-8"),
        (instead("groups = 1", "groups = 2"), "groups in [limits] ("),
        (
            instead("memory_mb = 256", "memory_mb = 300"),
            "memory_mb in [eal] (",
        ),
        (instead("name = \"a0\"", "name = \"a1\""), "the port a0 (not in "),
        (
            instead("target = \"stderr\"", "target = \"/nonexistent/log\""),
            "/nonexistent/log",
        ),
        (
            more(&format!("{}{}", group("10.1.0.0/16", 1), group("10.2.0.0/16", 2))),
            "what had been changed is undone",
        ),
    ];
    for (text, said) in &bad {
        let path = beside(&primary, "bad.toml", text);
        let refused = try_apply(&primary, &path, &[]);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(refused.stderr.contains(said), "{said} in {}", refused.stderr);
        assert_eq!(show(&primary), before, "{said}");
        let last = last_reload(&primary);
        assert_eq!(last["ok"], false, "{last}");
    }
    // By SIGHUP as well, with one line in the log.
    for (text, said) in &bad[..6] {
        fs::write(primary.config_path(), text).unwrap();
        let last = reload(&mut primary);
        assert_eq!(last["ok"], false, "{last}");
        primary
            .process()
            .wait_for_stderr("why it was refused", LIMIT, |line| {
                line.contains("is not applied") && line.contains(said)
            })
            .unwrap();
        assert_eq!(show(&primary), before, "{said}");
    }
    fs::write(primary.config_path(), &good).unwrap();
    let last = reload(&mut primary);
    assert!(
        last["outcome"].as_str().unwrap().ends_with("nothing differed"),
        "{last}"
    );
    let pings = hosts
        .host_a
        .ping(TwoHosts::ADDRESS_B, &["-c", "3", "-i", "0.1"], LIMIT);
    pings.unwrap().assert_all_answered();
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let before = show(&primary);
    let text = text_of(&primary).replace("\"192.168.1.1/24\", ", "\"192.168.1.1/24\", \"192.168.7.1/24\", ");
    let text = format!("{text}{}", via(TwoHosts::ADDRESS_B));
    let path = beside(&primary, "new.toml", text.as_bytes());
    let lines = "+ address 192.168.7.1/24 dev a0\n+ route 10.9.0.0/16 via 192.168.2.2\n";
    assert_eq!(apply(&primary, &path, &["--dry-run"]), lines);
    assert_eq!(apply(&primary, &path, &["--dry-run"]), lines);
    assert_eq!(show(&primary), before);
    assert_eq!(last_reload(&primary), Value::Null);
    let words = ["config", "apply", path.to_str().unwrap(), "-n"];
    let changes = primary.ctl_json(&words).unwrap();
    assert_eq!(changes[1]["action"], "add", "{changes}");
    assert_eq!(changes[1]["object"], "route", "{changes}");
    assert_eq!(changes[1]["text"], "10.9.0.0/16 via 192.168.2.2", "{changes}");
    assert_eq!(apply(&primary, &path, &[]), "2 changes\n");
    assert_eq!(apply(&primary, &path, &["--dry-run"]), "");
    assert_eq!(apply(&primary, &path, &[]), "nothing differs\n");
}

#[test]
fn what_runs_is_shown_as_a_file_that_changes_nothing_and_starts_the_same() {
    let hosts = hosts();
    let mut primary = hosts.primary("gw").start().unwrap();
    for words in [
        "link add a0.7 link a0 proto 802.1q id 7",
        "link add deep link a0.7 id 8 proto 802.1q",
        "addr add 172.16.7.1/24 dev a0.7",
        "addr add 2001:db8:7::1/64 dev deep",
        "addr del 192.168.1.1/24 dev a0",
        "addr add 192.168.1.1/24 dev a0",
        "addr add 192.168.8.1/24 dev b0",
        "addr add fe80::77/64 dev b0",
        "route add 10.1.0.0/16 via 192.168.2.2",
        "route add 10.1.0.0/16 via 192.168.2.3 metric 7 mtu 1400 src 192.168.8.1",
        "route add 10.2.0.0/16 nexthop via 192.168.2.2 weight 3 nexthop via 192.168.2.3",
        "route add 10.3.0.0/16 dev b0",
        "route add blackhole 10.4.0.0/16",
        "route add unreachable 2001:db8:4::/48 metric 5",
        "route add default via fe80::9 dev b0",
        "route add 10.5.0.0/16 via 192.168.2.2 proto ospf",
        "neigh add 192.168.2.99 lladdr 02:00:00:00:00:63 dev b0",
        "neigh add 10.3.0.9 lladdr 02:00:00:00:00:64 dev b0",
        "neigh add fe80::9 lladdr 02:00:00:00:00:65 dev b0",
        "link set deep down",
        "log set arp debug",
    ] {
        let words: Vec<_> = words.split(' ').collect();
        primary.ctl(&words).unwrap().success().unwrap();
    }
    // From the address that a0 makes itself, which no file gives.
    let made = link_local_of(&primary, "a0");
    let words = [
        "route",
        "add",
        "2001:db8:6::/48",
        "via",
        "2001:db8:2::2",
        "src",
        &made,
    ];
    primary.ctl(&words).unwrap().success().unwrap();
    let shown = show(&primary);
    for part in [
        format!("src = \"{made}\"").as_str(),
        "up = false",
        "level = \"info,arp=debug\"",
        "proto = \"boot\"",
        "weight = 3",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    assert!(!shown.contains("ospf"), "{shown}");
    let path = beside(&primary, "shown.toml", shown.as_bytes());
    assert_eq!(apply(&primary, &path, &["--dry-run"]), "");
    assert_eq!(apply(&primary, &path, &[]), "nothing differs\n");
    assert_eq!(show(&primary), shown);

    // By its file it goes back to what it was; the route of another protocol stays.
    let original = primary.config_path();
    assert_ne!(apply(&primary, &original, &[]), "nothing differs\n");
    assert_eq!(apply(&primary, &original, &[]), "nothing differs\n");
    let routes = primary.ctl(&["route", "show"]).unwrap().stdout;
    assert!(
        routes.contains("10.5.0.0/16") && !routes.contains("10.1.0.0/16"),
        "{routes}"
    );

    // And the file that was shown starts a primary that is the same.
    primary.terminate().unwrap();
    let next = hosts.portless("gw").config(&shown).start_after(primary).unwrap();
    assert_eq!(show(&next), shown);
}

#[test]
fn sighup_lets_go_of_a_log_file_that_was_moved_away() {
    let hosts = hosts();
    let mut primary = hosts.primary("gw").start().unwrap();
    let log = primary.config_path().with_file_name("primary.log");
    let text = text_of(&primary).replace("target = \"stderr\"", &format!("target = {:?}", log));
    fs::write(primary.config_path(), text).unwrap();
    assert_eq!(reload(&mut primary)["ok"], true);
    let moved = log.with_extension("log.1");
    fs::rename(&log, &moved).unwrap();
    assert_eq!(reload(&mut primary)["ok"], true);
    let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&moved), lines(&log)), (1, 1));
}

#[test]
fn many_routes_are_applied_while_packets_flow_and_tools_are_answered() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let mut text = text_of(&primary);
    for number in 0..20_000u32 {
        let (second, third) = (16 + number / 256, number % 256);
        let _ = write!(
            text,
            "[[route]]\nprefix = \"10.{second}.{third}.0/24\"\nvia = \"192.168.2.2\"\n"
        );
    }
    let path = beside(&primary, "many.toml", text.as_bytes());
    let pinger = Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, PINGS).unwrap();
    let words = ["config", "apply", path.to_str().unwrap()];
    let mut applied = primary.ctl_process(&words).unwrap().start().unwrap();
    let (mut asked, mut longest) = (0, Duration::ZERO);
    while applied.ended().is_none() {
        let began = Instant::now();
        primary.ctl(&["counter", "show"]).unwrap().success().unwrap();
        primary
            .ctl(&["route", "get", "10.16.0.1"])
            .unwrap()
            .success()
            .unwrap();
        longest = longest.max(began.elapsed());
        asked += 1;
    }
    assert_eq!(applied.stdout(), "20000 changes\n", "{}", applied.stderr());
    assert!(
        asked > 1 && longest < Duration::from_secs(5),
        "{asked} {longest:?}"
    );
    let shown = show(&primary);
    assert_eq!(shown.matches("[[route]]").count(), 20_000);
    let path = beside(&primary, "shown.toml", shown.as_bytes());
    assert_eq!(apply(&primary, &path, &[]), "nothing differs\n");
    pinger.interrupt(LIMIT).unwrap().assert_all_answered();
}
