//! Tunnels.

use control::message::{Df, Dscp, Tunnel as Wrapped, TunnelMode};

use super::*;

const TUNNELS: &str = r#"
[[tunnel]]
name = "tun0"
mode = "ipip"
local = "192.168.10.1"
remote = "198.51.100.1"
unnumbered = "wan"

[[tunnel]]
name = "tun1"
mode = "gre"
local = "2001:db8::1"
remote = "2001:db8:9::1"
key = 7
protected = true
mtu = 1400
ttl = 9
dscp = 46
addresses = ["10.255.0.1/30", "2001:db8:255::1/64"]
up = false

[[route]]
prefix = "10.9.0.0/16"
tunnel = "tun0"

[[route]]
prefix = "2001:db8:9::/48"
interface = "tun0"

[[route]]
prefix = "10.10.0.0/16"
via = "10.255.0.2"
"#;

#[test]
fn what_is_written_is_taken_and_the_rest_has_its_default() {
    let config = parse(&format!("{GOOD}{TUNNELS}")).unwrap();
    let [tun0, tun1] = &config.tunnels[..] else {
        panic!("{:?}", config.tunnels);
    };
    let ends = |local: &str, remote: &str| (local.parse().unwrap(), remote.parse().unwrap());
    let (local, remote) = ends("192.168.10.1", "198.51.100.1");
    let expected = Wrapped {
        unnumbered: Some("wan".into()),
        ..Wrapped::new("tun0", TunnelMode::Ipip, local, remote)
    };
    assert_eq!(
        (&tun0.tunnel, tun0.up, &tun0.addresses[..]),
        (&expected, true, &[][..])
    );
    let (local, remote) = ends("2001:db8::1", "2001:db8:9::1");
    let expected = Wrapped {
        key: Some(7),
        protected: true,
        mtu: Some(1400),
        ttl: 9,
        dscp: Dscp::Fixed(46),
        df: Df::Copy,
        ..Wrapped::new("tun1", TunnelMode::Gre, local, remote)
    };
    assert_eq!(
        (&tun1.tunnel, tun1.up, tun1.addresses.len()),
        (&expected, false, 2)
    );
    let leads_to = |prefix: &str| {
        let is_it = |route: &&Route| route.prefix == prefix.parse().unwrap();
        config.routes.iter().find(is_it).unwrap().target.clone()
    };
    for prefix in ["10.9.0.0/16", "2001:db8:9::/48"] {
        assert_eq!(leads_to(prefix), RouteTarget::Interface("tun0".into()));
    }
}

#[test]
fn dev_is_another_word_for_unnumbered() {
    let config = parse(&format!("{GOOD}{TUNNELS}")).unwrap();
    for keys in ["dev = \"wan\"", "dev = \"wan\"\nunnumbered = \"wan\""] {
        let text = TUNNELS.replacen("unnumbered = \"wan\"", keys, 1);
        let same = parse(&format!("{GOOD}{text}")).unwrap();
        assert_eq!(same.tunnels, config.tunnels, "{keys}");
    }
    let text = config.render(&Overrides::default());
    assert!(text.contains("unnumbered = \"wan\"\n"), "{text}");
}

#[test]
fn what_runs_is_written_so_that_it_reads_as_the_same() {
    let config = parse(&format!("{GOOD}{TUNNELS}")).unwrap();
    let text = config.render(&Overrides::default());
    let again = parse(&text).unwrap();
    assert_eq!(again.tunnels, config.tunnels);
    assert_eq!(again.routes, config.routes);
    assert_eq!(text.matches("tunnel = \"tun0\"").count(), 2, "{text}");
}

#[test]
fn what_is_wrong_with_a_tunnel_is_said_with_its_place() {
    let changed = |from: &str, to: &str| {
        assert!(TUNNELS.contains(from), "{from}");
        format!("{GOOD}{}", TUNNELS.replacen(from, to, 1))
    };
    for (from, to, needle, said) in [
        ("\"ipip\"", "\"ah\"", "\"ah\"", "use ipip, gre or esp"),
        ("\"ipip\"", "\"sit\"", "\"sit\"", "no mode of tunnels"),
        (
            "\"tun1\"",
            "\"lan\"",
            "\"lan\"\nmode",
            "an interface 'lan' already (line 11)",
        ),
        ("\"tun1\"", "\"tun 1\"", "\"tun 1\"", "not an interface name"),
        (
            "\"192.168.10.1\"",
            "\"192.168.10.1/24\"",
            "\"192.168.10.1/24\"\nremote",
            "without a length",
        ),
        (
            "\"192.168.10.1\"",
            "\"wan\"",
            "\"wan\"\nremote",
            "is not an IP address",
        ),
        (
            "\"192.168.10.1\"",
            "\"224.0.0.1\"",
            "\"224.0.0.1\"",
            "cannot be the local end of tun0",
        ),
        (
            "\"198.51.100.1\"",
            "\"192.168.10.1\"",
            "\"192.168.10.1\"\nunnumbered",
            "both ends of tun0",
        ),
        (
            "\"198.51.100.1\"",
            "\"2001:db8::7\"",
            "\"2001:db8::7\"",
            "of two families",
        ),
        ("\"2001:db8:9::1\"", "\"fe80::1\"", "\"fe80::1\"", "on every link"),
        (
            "unnumbered",
            "key = 1\nunnumbered",
            "1\nunnumbered",
            "only gre has a key",
        ),
        (
            "\"gre\"\nlocal = \"2001:db8::1\"\nremote = \"2001:db8:9::1\"\nkey = 7",
            "\"esp\"\nlocal = \"2001:db8::1\"\nremote = \"2001:db8:9::1\"",
            "true",
            "always protected",
        ),
        ("key = 7", "key = 4294967296", "4294967296", "use 0 to 4294967295"),
        ("mtu = 1400", "mtu = 67", "67", "use 68 to 9000"),
        (
            "mtu = 1400",
            "mtu = 1279",
            "1279",
            "too short for IPv6, and tun1 has 2001:db8:255::1/64",
        ),
        ("ttl = 9", "ttl = 0", "0\ndscp", "use 1 to 255"),
        ("ttl = 9", "ttl = 256", "256", "use 1 to 255"),
        ("dscp = 46", "dscp = 64", "64\naddresses", "use 0 to 63"),
        ("dscp = 46", "dscp = \"ef\"", "\"ef\"", "use copy or a number"),
        (
            "dscp = 46",
            "df = \"clear\"",
            "\"clear\"",
            "those of tun1 are IPv6",
        ),
        ("dscp = 46", "df = \"no\"", "\"no\"", "use copy, set or clear"),
        (
            "unnumbered = \"wan\"",
            "unnumbered = \"van\"",
            "\"van\"",
            "did you mean 'wan'?",
        ),
        (
            "unnumbered = \"wan\"",
            "unnumbered = \"tun1\"",
            "\"tun1\"\n\n",
            "'tun1' is a tunnel",
        ),
        (
            "unnumbered = \"wan\"",
            "unnumbered = \"wan\"\naddresses = []",
            "\"wan\"\naddresses = []",
            "remove unnumbered or addresses",
        ),
        (
            "unnumbered = \"wan\"",
            "dev = \"wan\"\naddresses = []",
            "\"wan\"\naddresses = []",
            "remove dev or addresses",
        ),
        (
            "unnumbered = \"wan\"",
            "dev = \"van\"",
            "\"van\"",
            "did you mean 'wan'?",
        ),
        (
            "unnumbered = \"wan\"",
            "dev = \"lan\"\nunnumbered = \"wan\"",
            "\"lan\"\nunnumbered",
            "unnumbered says 'wan' (line 21): remove one",
        ),
        (
            "up = false",
            "device = \"net_null0\"",
            "device",
            "unknown key 'device' in [[tunnel]]",
        ),
        (
            "tunnel = \"tun0\"",
            "tunnel = \"tun9\"",
            "\"tun9\"",
            "no [[tunnel]] named 'tun9'",
        ),
        (
            "tunnel = \"tun0\"",
            "tunnel = \"wan\"",
            "\"wan\"\n\n[[route]]",
            "write interface = \"wan\"",
        ),
        (
            "tunnel = \"tun0\"",
            "tunnel = \"tun0\"\ninterface = \"tun0\"",
            "\"10.9.0.0/16\"",
            "must lead to one thing",
        ),
    ] {
        assert_problem(&changed(from, to), needle, &[said]);
    }
    for (key, needle) in [
        ("name = \"tun0\"\n", "has no name"),
        ("mode = \"ipip\"\n", "has no mode"),
        ("local = \"192.168.10.1\"\n", "has no local"),
        ("remote = \"198.51.100.1\"\n", "has no remote"),
    ] {
        let found = problems(&changed(key, ""));
        assert!(found.iter().any(|problem| problem.contains(needle)), "{found:?}");
    }
}

#[test]
fn tunnels_share_their_room_with_sub_interfaces_and_are_told_apart_by_their_ends() {
    let second = "\n[[tunnel]]\nname = \"again\"\nmode = \"ipip\"\nlocal = \"192.168.10.1\"\nremote = \"198.51.100.1\"\n";
    assert_problem(
        &format!("{GOOD}{TUNNELS}{second}"),
        "\"198.51.100.1\"",
        &[
            "'tun0' goes from 192.168.10.1 to 198.51.100.1 already (line 19)",
            "give 'again' another end",
        ],
    );
    let keyed = second.replace("ipip", "gre");
    let room = |limit: u32, more: &str| {
        let link = "[[interface]]\nname = \"wan.5\"\nlink = \"wan\"\nid = 5\n";
        format!("{GOOD}{link}{TUNNELS}{keyed}{more}\n[limits]\nsub_interfaces = {limit}\n")
    };
    assert!(parse(&room(4, "")).is_ok());
    assert_problem(
        &room(3, ""),
        "\"again\"",
        &["1 sub-interfaces and 3 tunnels, and [limits] has room for 3"],
    );
    assert_problem(
        &room(
            4,
            "[[neighbor]]\naddress = \"10.255.0.2\"\nmac = \"02:00:00:00:00:09\"\ninterface = \"tun1\"",
        ),
        "\"tun1\"",
        &["tun1 is a tunnel, at whose end nobody has a MAC address"],
    );
}
