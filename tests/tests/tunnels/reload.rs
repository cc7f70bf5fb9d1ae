//! Tunnels of configurations: from the start, and by reload.

use std::fs;

use serde_json::json;
use tests::{Primary, wait_until};

use crate::control::{
    FAILED, LIMIT, beside, config_show, part, primary, refused, routes_by, tunnel, tunnels,
};

fn text_of(primary: &Primary) -> String {
    fs::read_to_string(primary.config_path()).unwrap()
}

#[test]
fn a_configuration_brings_changes_and_takes_tunnels_all_or_nothing() {
    let tunnel_of = |name: &str, remote: &str, more: &str| {
        format!(
            "\n[[tunnel]]\nname = \"{name}\"\nmode = \"ipip\"\nlocal = \"192.0.2.1\"\nremote = \"{remote}\"\n{more}\n"
        )
    };
    let route = "\n[[route]]\nprefix = \"10.9.0.0/16\"\ntunnel = \"a\"\n";
    let primary = primary()
        .toml("[limits]\ngroups = 1")
        .toml(&tunnel_of("a", "198.51.100.1", "unnumbered = \"lan\""))
        .toml(route)
        .start()
        .unwrap();
    // From the start.
    assert_eq!(
        part(&tunnel(&primary, "a"), &["remote", "unnumbered", "link"]),
        json!(["198.51.100.1", "lan", "up"])
    );
    assert_eq!(routes_by(&primary, "a"), ["10.9.0.0/16"]);
    let base = text_of(&primary);
    assert!(base.contains("[[tunnel]]"));
    let apply = |name: &str, text: &str| {
        let path = beside(&primary, name, text);
        primary.tell(&format!("config apply {}", path.display()))
    };
    // One more, and the first is another; its route stays.
    let (index, _) = primary.tables().unwrap().tunnel("a").unwrap();
    let more = base.replace(
        "remote = \"198.51.100.1\"\nunnumbered = \"lan\"",
        "remote = \"198.51.100.9\"\nmtu = 1300\naddresses = [\"10.255.0.1/30\"]",
    ) + &tunnel_of("b", "198.51.100.2", "addresses = [\"10.255.1.1/30\"]\nup = false")
        + "\n[[route]]\nprefix = \"10.10.0.0/16\"\nvia = \"10.255.1.2\"\n";
    assert_ne!(apply("more.toml", &more), "nothing differs\n");
    assert_eq!(
        part(&tunnel(&primary, "a"), &["remote", "unnumbered", "mtu", "link"]),
        json!(["198.51.100.9", null, 1300, "up"])
    );
    assert_eq!(primary.tables().unwrap().tunnel("a").unwrap().0, index);
    assert_eq!(
        part(&tunnel(&primary, "b"), &["admin", "link"]),
        json!(["down", "up"])
    );
    let mut by_b = routes_by(&primary, "b");
    by_b.retain(|prefix| !prefix.ends_with("/32"));
    assert_eq!(by_b, ["10.10.0.0/16", "10.255.1.0/30"]);

    // What a file says wrongly is said with its place, and nothing is changed.
    let before = config_show(&primary);
    let wrong = more.replace("198.51.100.9", "2001:db8::9");
    let path = beside(&primary, "wrong.toml", &wrong);
    let line = 1 + wrong
        .lines()
        .position(|line| line.contains("2001:db8::9"))
        .unwrap();
    refused(
        &primary,
        &format!("config apply {}", path.display()),
        FAILED,
        &format!("wrong.toml:{line}:10: the ends of a are of two families"),
    );
    // What only shows when it is done is undone: there is room for one group of next hops.
    let group = |prefix: &str, weight: u8| {
        format!(
            "\n[[route]]\nprefix = \"{prefix}\"\nnexthops = [{{ via = \"10.0.0.8\", weight = {weight} }}, {{ via = \"10.0.0.9\" }}]\n"
        )
    };
    let swapped = more
        .replace("198.51.100.9", "198.51.100.3")
        .replace("198.51.100.2", "198.51.100.9")
        .replace("\nmtu = 1300", "");
    let full = swapped
        + &tunnel_of("c", "198.51.100.2", "unnumbered = \"lan\"")
        + &group("10.1.0.0/16", 1)
        + &group("10.2.0.0/16", 2);
    let path = beside(&primary, "full.toml", &full);
    refused(
        &primary,
        &format!("config apply {}", path.display()),
        FAILED,
        "what had been changed is undone",
    );
    assert_eq!(config_show(&primary), before);
    assert_eq!(tunnels(&primary).len(), 2);
    // With room for it, all of it is made, and taken back by the file of before.
    let path = beside(&primary, "fits.toml", &full.replace(&group("10.2.0.0/16", 2), ""));
    let lines = primary.tell(&format!("config apply {} --dry-run", path.display()));
    assert!(
        lines.contains("+ tunnel c mode ipip local 192.0.2.1 remote 198.51.100.2 ttl 64 df copy dscp copy unnumbered lan\n"),
        "{lines}"
    );
    primary.tell(&format!("config apply {}", path.display()));
    assert_eq!(tunnels(&primary).len(), 3);
    assert_eq!(tunnel(&primary, "b")["remote"], "198.51.100.9");
    let path = beside(&primary, "before.toml", &before);
    primary.tell(&format!("config apply {}", path.display()));
    assert_eq!(config_show(&primary), before);

    // By SIGHUP back to the start: one goes, one is as it was.
    let mut primary = primary;
    primary.reload();
    wait_until("the end of the second tunnel", LIMIT, || {
        Ok((tunnels(&primary).len() == 1).then_some(()))
    })
    .unwrap();
    wait_until("what the file says", LIMIT, || {
        let shown = primary.ctl_json(&["tunnel", "show", "a"])?;
        let keys = ["remote", "unnumbered", "mtu"];
        Ok((part(&shown[0], &keys) == json!(["198.51.100.1", "lan", 1480])).then_some(()))
    })
    .unwrap();
    assert_eq!(routes_by(&primary, "a"), ["10.9.0.0/16"]);
}
