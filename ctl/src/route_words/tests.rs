//! Words in; routes, or what is wrong with which word.

use super::*;
use proptest::prelude::*;

fn read(text: &str, printed: bool) -> Result<Meaning, Fault> {
    let words: Vec<_> = text.split_whitespace().collect();
    let reader = Reader {
        family: None,
        printed,
        interface: &|name| (name != "eth9").then(|| name.to_owned()),
    };
    reader.read(&words)
}

fn route(text: &str) -> Route {
    match read(text, false) {
        Ok(Meaning::Route(route)) => route,
        other => panic!("{text}: {other:?}"),
    }
}

fn via(next_hop: &str, interface: Option<&str>) -> RouteTarget {
    RouteTarget::Via {
        next_hop: next_hop.parse().unwrap(),
        interface: interface.map(str::to_owned),
    }
}

#[test]
fn routes_read_as_in_ip() {
    for (text, prefix, target) in [
        (
            "10.1.0.0/16 via 192.168.10.2",
            "10.1.0.0/16",
            via("192.168.10.2", None),
        ),
        ("default via 192.168.10.2", "0.0.0.0/0", via("192.168.10.2", None)),
        (
            "10.1.2.3 via 192.168.10.2 dev wan",
            "10.1.2.3/32",
            via("192.168.10.2", Some("wan")),
        ),
        (
            "10.1.0.0/16 interface wan",
            "10.1.0.0/16",
            RouteTarget::Interface("wan".into()),
        ),
        ("10.1.0.0/16 blackhole", "10.1.0.0/16", RouteTarget::Blackhole),
        ("unreachable 10.1.0.0/16", "10.1.0.0/16", RouteTarget::Unreachable),
        ("prohibit 2001:db8::/32", "2001:db8::/32", RouteTarget::Prohibit),
        (
            "2001:db8:1::/48 via 2001:DB8::2",
            "2001:db8:1::/48",
            via("2001:db8::2", None),
        ),
        ("default via fe80::2 dev wan", "::/0", via("fe80::2", Some("wan"))),
        (
            "default dev wan",
            "0.0.0.0/0",
            RouteTarget::Interface("wan".into()),
        ),
    ] {
        assert_eq!(route(text), Route::new(prefix.parse().unwrap(), target), "{text}");
    }
}

#[test]
fn attributes_stand_in_any_order() {
    let expected = Route {
        metric: Some(100),
        source: Some("10.0.0.1".parse().unwrap()),
        mtu: Some(1400),
        protocol: Some(12),
        ..Route::new("10.1.0.0/16".parse().unwrap(), via("10.0.0.2", Some("wan")))
    };
    for text in [
        "10.1.0.0/16 via 10.0.0.2 dev wan metric 100 src 10.0.0.1 mtu 1400 proto bird",
        "10.1.0.0/16 proto 12 mtu lock 1400 src 10.0.0.1 dev wan via 10.0.0.2 metric 100",
    ] {
        assert_eq!(route(text), expected);
    }
}

#[test]
fn several_next_hops_have_weights_and_interfaces_of_their_own() {
    let text = "default metric 5 nexthop via fe80::2 dev wan weight 3 nexthop via 2001:db8::2";
    let one = |next_hop: &str, interface: Option<&str>, weight| WeightedNextHop {
        next_hop: next_hop.parse().unwrap(),
        interface: interface.map(str::to_owned),
        weight,
    };
    let expected = Route {
        metric: Some(5),
        ..Route::new(
            "::/0".parse().unwrap(),
            RouteTarget::Multipath(vec![one("fe80::2", Some("wan"), 3), one("2001:db8::2", None, 1)]),
        )
    };
    assert_eq!(route(text), expected);
}

#[test]
fn what_is_wrong_is_named_with_its_word() {
    for (wrong, word, named) in [
        ("", 0, "the prefix is missing"),
        ("10.1.0.0/16", 1, "where the route leads is missing"),
        ("10.1.0.0/33 blackhole", 0, "'10.1.0.0/33' is not a prefix"),
        ("10.1.0.1/16 blackhole", 0, "10.1.0.0/16 has not"),
        ("10.1.0.0/16 via", 2, "the next hop is missing"),
        ("10.1.0.0/16 via wan", 2, "'wan' is not an IP address"),
        (
            "10.1.0.0/16 via 192.168.10.2 dev",
            4,
            "the interface after 'dev' is missing",
        ),
        ("10.1.0.0/16 via 192.168.10.2 wan", 3, "'wan' stands where"),
        (
            "10.1.0.0/16 via 192.168.10.2 via 192.168.10.3",
            4,
            "a second next hop",
        ),
        ("10.1.0.0/16 via 192.168.10.2 onlink", 3, "'onlink' stands where"),
        (
            "10.1.0.0/16 via 2001:db8::2",
            0,
            "next hop of 10.1.0.0/16 is not an IPv4 address",
        ),
        ("default via fe80::2", 3, "'dev IFACE' must say"),
        ("10.1.0.0/16 dev eth9", 2, "there is no interface 'eth9'"),
        ("10.1.0.0/16 blackhole via 10.0.0.2", 4, "more than one thing"),
        ("10.1.0.0/16 nexthop dev wan", 4, "has no 'via'"),
        (
            "10.1.0.0/16 nexthop via 10.0.0.2 weight 257",
            5,
            "'257' is not a weight",
        ),
        ("10.1.0.0/16 via 10.0.0.2 weight 2", 4, "behind no 'nexthop'"),
        ("10.1.0.0/16 dev wan metric x", 4, "'x' is not a metric"),
        ("10.1.0.0/16 dev wan proto x", 4, "'x' is no routing protocol"),
    ] {
        let fault = read(wrong, false).unwrap_err();
        assert!(fault.message.contains(named), "{wrong}: {}", fault.message);
        assert_eq!(fault.word, word, "{wrong}: {}", fault.message);
    }
}

#[test]
fn what_ip_prints_is_understood_and_what_cannot_apply_passed_over() {
    for printed in [
        "10.9.0.0/16 via 10.0.0.2 dev wan proto bird scope link metric 32 onlink linkdown",
        "2001:db8:9::/48 via fe80::2 dev wan proto ra metric 1024 expires 1700sec hoplimit 64 pref medium",
        "unreachable 10.9.0.0/16 dev eth9 metric 4278198272 error -113 pref medium",
    ] {
        assert!(matches!(read(printed, true), Ok(Meaning::Route(_))), "{printed}");
    }
    for ignored in [
        "10.0.0.0/24 dev wan proto kernel scope link src 10.0.0.1",
        "local 10.0.0.1 dev wan table local proto kernel scope host src 10.0.0.1",
        "broadcast 10.0.0.255 dev eth9",
        "10.9.0.0/16 via 10.0.0.2 dev wan table 100",
        "fe80::/64 dev wan metric 256",
        "multicast ff00::/8 dev wan table local metric 256 pref medium",
    ] {
        assert_eq!(read(ignored, true), Ok(Meaning::Ignored), "{ignored}");
    }
}

proptest! {
    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec("\\PC{0,12}", 0..6), printed: bool) {
        drop(read(&words.join(" "), printed));
    }
}
