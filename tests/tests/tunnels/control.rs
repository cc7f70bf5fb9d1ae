//! Tunnels are made, shown, changed and deleted by tools and configurations. No packet is needed for that.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tests::{Interface, Primary, PrimaryBuilder, Privilege, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Wrong usage or configuration.
const USAGE: i32 = 2;
pub(crate) const FAILED: i32 = 1;

/// Two ports that need nothing of the host.
pub(crate) fn primary() -> PrimaryBuilder {
    Primary::builder(Privilege::detect(), "gw")
        .interface(Interface::device("wan", "net_null0,no-rx=1").address("192.0.2.1/24"))
        .interface(Interface::device("lan", "net_null1,no-rx=1").address("10.0.0.1/24"))
}

/// Runs the tool, which must be refused with a sentence.
#[track_caller]
pub(crate) fn refused(primary: &Primary, words: &str, status: i32, sentence: &str) {
    let split: Vec<_> = words.split_whitespace().collect();
    let captured = primary.ctl(&split).unwrap();
    assert_eq!(captured.status.code(), Some(status), "{words}: {captured:?}");
    assert!(captured.stderr.contains(sentence), "{words}: {captured:?}");
}

pub(crate) fn tunnels(primary: &Primary) -> Vec<Value> {
    let shown = primary.ctl_json(&["tunnel", "show"]).unwrap();
    shown.as_array().unwrap().clone()
}

pub(crate) fn tunnel(primary: &Primary, name: &str) -> Value {
    primary.ctl_json(&["tunnel", "show", name]).unwrap()[0].clone()
}

/// Those of the keys.
pub(crate) fn part(of: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| of[*key].clone()).collect()
}

/// The routes out of an interface.
pub(crate) fn routes_by(primary: &Primary, interface: &str) -> Vec<String> {
    let shown = primary.ctl_json(&["route", "show"]).unwrap();
    let all = shown.as_array().unwrap().iter();
    let by_it = all.filter(|route| route["interface"] == interface);
    by_it
        .map(|route| route["prefix"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn config_show(primary: &Primary) -> String {
    primary.tell("config show")
}

pub(crate) fn beside(primary: &Primary, name: &str, text: &str) -> PathBuf {
    let path = primary.config_path().with_file_name(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn one_made_at_run_time_is_shown_changed_and_deleted() {
    let primary = primary().start().unwrap();
    assert_eq!(tunnels(&primary), [json!(null); 0]);
    let mut monitor = primary.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("the first event", LIMIT, |line| line.contains("subscribed"))
        .unwrap();
    primary.tell("tunnel add tun0 mode gre local 192.0.2.1 remote 198.51.100.1 key 7 unnumbered wan");
    assert_eq!(
        tunnel(&primary, "tun0"),
        json!({
            "name": "tun0", "mode": "gre", "local": "192.0.2.1", "remote": "198.51.100.1", "key": 7, "protected": false, "mtu": 1472,
            "mtu_set": false, "ttl": 64, "df": "copy", "dscp": "copy", "unnumbered": "wan", "admin": "up", "link": "up", "lacks": [],
            "rx_packets": 0, "rx_bytes": 0, "tx_packets": 0, "tx_bytes": 0, "drops": 0
        })
    );
    let link = &primary.ctl_json(&["link", "show", "tun0"]).unwrap()[0];
    assert_eq!(
        part(link, &["driver", "device", "mtu", "parent", "vlan_id", "netdev"]),
        json!([
            "tunnel",
            "gre local 192.0.2.1 remote 198.51.100.1 key 7",
            1472,
            null,
            null,
            null
        ])
    );
    // In shared memory, which is what tools read.
    let (index, record) = primary.tables().unwrap().tunnel("tun0").unwrap();
    assert_eq!((record.interface, record.key, record.has_key), (index, 7, 1));

    // Routes need no address of it, and lead to nobody who would have to be asked.
    primary.tell("route add 10.9.0.0/16 dev tun0");
    primary.tell("route add 2001:db8:9::/48 dev tun0");
    let found = &primary.ctl_json(&["route", "get", "10.9.1.2"]).unwrap()[0];
    assert_eq!(
        part(found, &["interface", "next_hop", "mac", "mtu", "outcome"]),
        json!([
            "tun0",
            null,
            null,
            1472,
            "packets go through the tunnel tun0 to 198.51.100.1"
        ])
    );
    primary.tell("tunnel set tun0 remote 198.51.100.2 key none mtu 1300 ttl 9 df set dscp 46 numbered");
    primary.tell("addr add 10.255.0.1/30 dev tun0");
    primary.tell("addr add 2001:db8:255::1/64 dev tun0");
    primary.tell("route add 10.10.0.0/16 via 10.255.0.2");
    let keys = [
        "remote",
        "key",
        "mtu",
        "mtu_set",
        "ttl",
        "df",
        "dscp",
        "unnumbered",
    ];
    assert_eq!(
        part(&tunnel(&primary, "tun0"), &keys),
        json!(["198.51.100.2", null, 1300, true, 9, "set", "46", null])
    );
    let mut routes = routes_by(&primary, "tun0");
    routes.sort();
    for prefix in ["10.10.0.0/16", "10.255.0.0/30", "10.9.0.0/16", "2001:db8:9::/48"] {
        assert!(routes.contains(&prefix.to_owned()), "{routes:?}");
    }
    // What runs is a configuration.
    let shown = config_show(&primary);
    let section = "[[tunnel]]\nname = \"tun0\"\nmode = \"gre\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.2\"\nmtu = 1300\n\
                   ttl = 9\ndf = \"set\"\ndscp = 46\naddresses = [\"10.255.0.1/30\", \"2001:db8:255::1/64\"]\n";
    assert!(shown.contains(section), "{shown}");
    assert!(
        shown.contains("prefix = \"10.9.0.0/16\"\ntunnel = \"tun0\"\n"),
        "{shown}"
    );
    let again = beside(&primary, "again.toml", &shown);
    assert_eq!(
        primary.tell(&format!("config apply {}", again.display())),
        "nothing differs\n"
    );

    primary.tell("tunnel del tun0");
    assert_eq!(tunnels(&primary), [json!(null); 0]);
    assert_eq!(routes_by(&primary, "tun0"), [""; 0]);
    refused(&primary, "link show tun0", FAILED, "there is no interface 'tun0'");
    assert!(!config_show(&primary).contains("tun0"));
    monitor
        .wait_for_stdout("that it was deleted", LIMIT, |line| line.contains("link_deleted"))
        .unwrap();
    let said = monitor.stdout();
    let events: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of_kind = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of_kind("tunnel"), of_kind("link_deleted")), (2, 1), "{said}");
    let made = events.iter().find(|event| event["event"] == "tunnel").unwrap();
    assert_eq!(
        part(&made["tunnel"], &["name", "mode", "local", "key", "df"]),
        json!(["tun0", "gre", "192.0.2.1", 7, "copy"])
    );

    // Hundreds of them take each other's places.
    for round in 0..3 {
        for number in 1..=20 {
            primary.tell(&format!(
                "tunnel add t{round}.{number} mode ipip local 192.0.2.1 remote 198.51.100.{number}"
            ));
        }
        assert_eq!(tunnels(&primary).len(), 20);
        for number in 1..=20 {
            primary.tell(&format!("tunnel del t{round}.{number}"));
        }
    }
    assert_eq!(tunnels(&primary), [json!(null); 0]);
}

#[test]
fn dev_says_whose_addresses_it_uses() {
    let written = "[[tunnel]]\nname = \"tun0\"\nmode = \"ipip\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\ndev = \"lan\"\n";
    let primary = primary().toml(written).start().unwrap();
    primary.tell("tunnel add ipsec0 mode esp local 192.0.2.1 remote 198.51.100.1 dev wan");
    primary.tell("tunnel add gre0 mode gre local 192.0.2.1 remote 198.51.100.1 key 7");
    let used = || ["tun0", "ipsec0", "gre0"].map(|name| tunnel(&primary, name)["unnumbered"].clone());
    assert_eq!(json!(used()), json!(["lan", "wan", null]));
    primary.tell("tunnel set gre0 dev lan");
    primary.tell("tunnel set tun0 dev wan");
    assert_eq!(json!(used()), json!(["wan", "wan", "lan"]));
    // Written as it is meant, and so taken again.
    let shown = config_show(&primary);
    assert_eq!(shown.matches("unnumbered = \"wan\"\n").count(), 2, "{shown}");
    let again = beside(&primary, "again.toml", &shown.replace("unnumbered", "dev"));
    assert_eq!(
        primary.tell(&format!("config apply {}", again.display())),
        "nothing differs\n"
    );
    primary.tell("tunnel set tun0 numbered");
    assert_eq!(used()[0], json!(null));
}

#[test]
fn one_is_up_while_its_local_end_is_an_address_of_the_gateway() {
    let primary = primary().start().unwrap();
    primary.tell("tunnel add four mode ipip local 192.0.2.7 remote 198.51.100.1");
    primary.tell("tunnel add six mode ipip local 2001:db8::1 remote 2001:db8:9::1");
    primary.tell("route add 10.9.0.0/16 dev four");
    let links = || ["four", "six"].map(|name| tunnel(&primary, name)["link"].clone());
    let way = || primary.ctl_json(&["route", "get", "10.9.1.2"]).unwrap()[0]["outcome"].clone();
    assert_eq!(links(), ["down", "down"]);
    let said = primary.tell("tunnel show four");
    assert!(said.contains("has no address 192.0.2.7 in use"), "{said}");
    assert!(way().as_str().unwrap().contains("is down"), "{}", way());

    primary.tell("addr add 192.0.2.7/24 dev wan");
    primary.tell("addr add 2001:db8::1/64 dev wan");
    assert_eq!(tunnel(&primary, "four")["link"], "up");
    assert_eq!(way(), "packets go through the tunnel four to 198.51.100.1");
    // Once nobody else has it, RFC 4862.
    wait_until("that both are up", LIMIT, || {
        Ok((links() == ["up", "up"]).then_some(()))
    })
    .unwrap();
    primary.tell("link set four down");
    assert_eq!(
        part(&tunnel(&primary, "four"), &["admin", "link"]),
        json!(["down", "up"])
    );
    assert!(way().as_str().unwrap().contains("is down"), "{}", way());
    assert!(config_show(&primary).contains("addresses = []\nup = false\n"));
    primary.tell("link set four up");
    primary.tell("addr del 192.0.2.7/24 dev wan");
    primary.tell("addr del 2001:db8::1/64 dev wan");
    assert_eq!(links(), ["down", "down"]);
    assert!(way().as_str().unwrap().contains("is down"), "{}", way());
    primary.tell("tunnel set four local 192.0.2.1");
    assert_eq!(links(), ["up", "down"]);
}

#[test]
fn wrong_requests_are_refused_with_sentences_and_change_nothing() {
    let primary = primary()
        .toml("[limits]\nsub_interfaces = 3")
        .toml("[[interface]]\nname = \"wan.5\"\nlink = \"wan\"\nid = 5")
        .start()
        .unwrap();
    let ends = "local 192.0.2.1 remote 198.51.100.1";
    primary.tell(&format!("tunnel add tun0 mode gre {ends} unnumbered wan.5"));
    let before = config_show(&primary);
    for (words, sentence) in [
        (
            format!("tunnel add tun0 mode ipip {ends}"),
            "an interface 'tun0' already",
        ),
        (
            format!("tunnel add wan mode ipip {ends}"),
            "an interface 'wan' already",
        ),
        (
            format!("tunnel add a-name-of-sixteen mode ipip {ends}"),
            "1 to 15 characters",
        ),
        (format!("tunnel add t$ mode ipip {ends}"), "use letters"),
        (
            format!("tunnel add tun1 mode gre {ends}"),
            "tun0 goes from 192.0.2.1 to 198.51.100.1 already",
        ),
        (
            format!("tunnel add tun1 mode ipip {ends} key 1"),
            "only gre has a key",
        ),
        (
            format!("tunnel add tun1 mode ipip {ends} mtu 67"),
            "use 68 to 9000",
        ),
        (format!("tunnel add tun1 mode ipip {ends} ttl 0"), "use 1 to 255"),
        (
            format!("tunnel add tun1 mode ipip {ends} unnumbered dmz"),
            "no interface 'dmz'",
        ),
        (
            format!("tunnel add tun1 mode ipip {ends} unnumbered tun0"),
            "tun0 is a tunnel",
        ),
        (
            format!("tunnel add tun1 mode ipip {ends} dev dmz"),
            "no interface 'dmz'",
        ),
        (
            "tunnel add tun1 mode ipip local 192.0.2.1 remote 192.0.2.1".into(),
            "both ends",
        ),
        (
            "tunnel add tun1 mode ipip local 192.0.2.1 remote 2001:db8::1".into(),
            "of two families",
        ),
        (
            "tunnel add tun1 mode ipip local 192.0.2.1 remote 224.0.0.1".into(),
            "not a unicast address",
        ),
        (
            "tunnel add tun1 mode ipip local fe80::1 remote 2001:db8::1".into(),
            "on every link",
        ),
        ("tunnel set tun0 mode ipip key 5".into(), "only gre has a key"),
        ("tunnel set tun0 unnumbered tun0".into(), "tun0 is a tunnel"),
        (
            "tunnel set tun9 ttl 5".into(),
            "there is no tunnel 'tun9': there are tun0",
        ),
        ("tunnel set wan ttl 5".into(), "there is no tunnel 'wan'"),
        ("tunnel del wan".into(), "there is no tunnel 'wan'"),
        (
            "tunnel show wan".into(),
            "there is no tunnel 'wan': this instance has tun0",
        ),
        ("link del tun0".into(), "'tunnel del tun0'"),
        ("link del wan.5".into(), "which are tun0"),
        ("link add link tun0 id 7".into(), "have no tags"),
        (
            "addr add 10.255.0.1/30 dev tun0".into(),
            "'tunnel set tun0 numbered'",
        ),
        (
            "neigh add 10.255.0.2 mac 02:00:00:00:00:09 dev tun0".into(),
            "needs no neighbours",
        ),
        (
            "route add 10.9.0.0/16 dev tun0 mtu 1300".into(),
            "whose MTU counts",
        ),
    ] {
        refused(&primary, &words, FAILED, sentence);
    }
    for (words, sentence) in [
        (format!("tunnel add tun1 mode ah {ends}"), "use ipip, gre or esp"),
        (
            format!("tunnel add tun1 {ends}"),
            "'mode ipip|gre|esp' is missing",
        ),
        (
            format!("tunnel add tun1 mode gre {ends} dev wan unnumbered lan"),
            "are those of wan and of lan: name one",
        ),
        (format!("tunnel add tun1 mode gre {ends} dscp 64"), "is no DSCP"),
        ("tunnel set tun0".into(), "nothing is said"),
        ("--watch 1 tunnel del tun0".into(), "--watch"),
    ] {
        refused(&primary, &words, USAGE, sentence);
    }
    assert_eq!(config_show(&primary), before);
    primary.tell("tunnel add tun1 mode gre local 192.0.2.1 remote 198.51.100.1 key 0");
    refused(
        &primary,
        "tunnel add tun2 mode gre local 192.0.2.1 remote 198.51.100.1 key 1",
        FAILED,
        "raise sub_interfaces in [limits]",
    );
    let help = primary.tell("tunnel --help");
    assert!(help.contains("tunnel add tun0 mode ipip"), "{help}");
    let man = primary.tell("man tunnel");
    assert!(man.contains("tunnel"), "{man}");
    assert!(primary.tell("completion bash").contains("tunnel"));
}
