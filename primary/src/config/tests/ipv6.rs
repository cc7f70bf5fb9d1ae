//! What IPv6 has of its own: link-local addresses, families side by side, an MTU that it needs.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};
use proptest::prelude::*;

use super::*;

/// The good configuration with both families on both interfaces.
fn dual() -> String {
    GOOD.replace(
        "\"192.168.10.1/24\"",
        "\"192.168.10.1/24\", \"2001:db8:10::1/64\"",
    )
    .replace("\"10.0.0.1/16\"", "\"2001:db8:20::1/64\", \"10.0.0.1/16\"")
}

/// [`assert_problem`] for what is added to both families.
#[track_caller]
fn assert_dual(more: &str, needle: &str, parts: &[&str]) {
    assert_problem(&format!("{}{more}\n", dual()), needle, parts);
}

/// What addresses of wan are taken, or what is said of them.
fn wan(addresses: &str) -> (String, Vec<String>) {
    let text = GOOD.replace("\"192.168.10.1/24\"", addresses);
    let found = problems(&text);
    (text, found)
}

#[test]
fn both_families_are_taken_side_by_side() {
    let text = format!(
        "{}\n{}",
        dual(),
        r#"
[[route]]
prefix = "default"
via = "192.168.10.2"
[[route]]
prefix = "default"
via = "2001:DB8:10:0::2"
[[route]]
prefix = "2001:db8:30::/48"
via = "fe80::2"
interface = "lan"
[[route]]
prefix = "2001:db8:40::/48"
interface = "wan"
[[route]]
prefix = "2001:db8::/32"
blackhole = true
[[neighbor]]
address = "fe80::2"
mac = "02:00:00:00:20:02"
interface = "lan"
[[neighbor]]
address = "fe80::2"
mac = "02:00:00:00:10:02"
interface = "wan"
"#
    );
    let config = parse(&text).unwrap();
    let addresses: Vec<_> = config.interfaces[0]
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["192.168.10.1/24", "2001:db8:10::1/64"]);
    let routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| (route.prefix.to_string(), route.target.clone()))
        .collect();
    let via = |next_hop: &str, interface: Option<&str>| RouteTarget::Via {
        next_hop: next_hop.parse().unwrap(),
        interface: interface.map(str::to_owned),
    };
    assert_eq!(
        routes,
        [
            ("0.0.0.0/0".to_owned(), via("192.168.10.2", None)),
            ("::/0".to_owned(), via("2001:db8:10::2", None)),
            ("2001:db8:30::/48".to_owned(), via("fe80::2", Some("lan"))),
            (
                "2001:db8:40::/48".to_owned(),
                RouteTarget::Interface("wan".into())
            ),
            ("2001:db8::/32".to_owned(), RouteTarget::Blackhole),
        ]
    );
    assert_eq!(config.neighbors[0].address.to_string(), "fe80::2");
    assert_eq!(config.neighbors[1].interface, "wan");
}

#[test]
fn addresses_that_no_host_has_are_refused() {
    for (address, part) in [
        ("2001:db8::/64", "router anycast address"),
        ("::1/128", "not a unicast address"),
        ("ff02::1/64", "not a unicast address"),
        ("::ffff:192.168.10.1/120", "stands for an IPv4 address"),
        ("2001:db8::1", "write 2001:db8::1/64"),
        ("fe80::1/10", "fe80::/64"),
    ] {
        let (text, _) = wan(&format!("\"{address}\""));
        assert_problem(&text, &format!("\"{address}"), &[part]);
    }
}

#[test]
fn an_interface_has_one_link_local_address_and_each_may_have_the_same() {
    let text = dual()
        .replace("\"192.168.10.1/24\"", "\"192.168.10.1/24\", \"fe80::1/64\"")
        .replace("\"10.0.0.1/16\"", "\"10.0.0.1/16\", \"fe80::1/64\"");
    assert_eq!(problems(&text), [""; 0]);
    let (text, _) = wan("\"fe80::1/64\", \"fe80::2/64\"");
    assert_problem(
        &text,
        "\"fe80::2",
        &["wan has the link-local address fe80::1 already (line 8)"],
    );
    let (text, _) = wan("\"fe80::1/64\", \"fe80::1/64\"");
    assert_problem(&text, "\"fe80::1", &["wan has fe80::1 already"]);
}

#[test]
fn a_link_local_next_hop_needs_its_interface() {
    let route = |rest: &str| format!("[[route]]\nprefix = \"default\"\nvia = \"fe80::2\"\n{rest}");
    assert_dual(
        &route(""),
        "\"fe80::2\"",
        &["fe80::2 is link-local", "interface = \"wan\""],
    );
    assert_dual(&route("interface = \"dmz\""), "\"dmz\"", &["'dmz'"]);
    let one_family = format!("{GOOD}{}", route("interface = \"wan\""));
    assert_problem(&one_family, "\"fe80::2\"", &["wan, which has no IPv6 address"]);
    let own = dual().replace("\"192.168.10.1/24\"", "\"192.168.10.1/24\", \"fe80::2/64\"");
    assert_problem(
        &format!("{own}{}", route("interface = \"wan\"")),
        "\"fe80::2\"",
        &["own address on wan"],
    );
    let elsewhere = format!("{own}{}", route("interface = \"lan\""));
    assert_eq!(problems(&elsewhere), [""; 0], "the one on lan is another host's");
}

#[test]
fn a_next_hop_is_of_the_family_of_its_prefix() {
    let route = |prefix: &str, via: &str| format!("[[route]]\nprefix = \"{prefix}\"\nvia = \"{via}\"");
    assert_dual(
        &route("2001:db8:30::/48", "192.168.10.2"),
        "\"192.168.10.2\"",
        &["not of the family of 2001:db8:30::/48", "IPv6 address"],
    );
    assert_dual(
        &route("172.16.0.0/12", "2001:db8:10::2"),
        "\"2001:db8:10::2\"",
        &["not of the family of 172.16.0.0/12", "IPv4 address"],
    );
    assert_dual(
        &route("default", "2001:db8:77::2"),
        "\"2001:db8:77::2\"",
        &["no connected subnet"],
    );
    assert_dual(
        &route("default", "2001:db8:10::"),
        "\"2001:db8:10::\"",
        &["router anycast address", "name a host's"],
    );
    assert_dual(
        &route("default", "2001:db8::g"),
        "\"2001:db8::g\"",
        &["'2001:db8::g' is not an IP address"],
    );
}

#[test]
fn what_no_router_forwards_has_no_route() {
    for prefix in ["fe80::/64", "ff02::/16", "::1"] {
        let route = format!("[[route]]\nprefix = \"{prefix}\"\nblackhole = true");
        assert_dual(&route, &format!("\"{prefix}\""), &["cannot be routed"]);
    }
    let route = |prefix: &str| format!("[[route]]\nprefix = \"{prefix}\"\nblackhole = true");
    assert_dual(&route("2001:db8:10::/64"), "\"2001", &["the subnet of wan"]);
    assert_dual(&route("2001:db8:20::1"), "\"2001", &["own address on lan"]);
    let text = format!("{GOOD}[[route]]\nprefix = \"::/0\"\ninterface = \"lan\"\n");
    assert_problem(&text, "\"lan\"", &["lan, which has no IPv6 address"]);
}

#[test]
fn a_neighbor_is_on_a_subnet_of_its_interface_in_both_families() {
    let neighbor = |address: &str, interface: &str| {
        format!(
            "[[neighbor]]\naddress = \"{address}\"\nmac = \"02:00:00:00:10:02\"\ninterface = \"{interface}\"\n"
        )
    };
    assert_dual(
        &neighbor("2001:db8:20::2", "wan"),
        "\"2001",
        &["2001:db8:20::/64", "on lan and not on wan"],
    );
    assert_dual(
        &neighbor("2001:db8:10::1", "wan"),
        "\"2001",
        &["own address on wan"],
    );
    assert_dual(
        &neighbor("fe80::2", "wan").repeat(2),
        "\"fe80",
        &["neighbor fe80::2 is there already"],
    );
    assert_added(
        &neighbor("fe80::2", "wan"),
        "\"fe80",
        &["wan, which has no IPv6 address"],
    );
    assert_added(
        &neighbor("10.0.255.255", "lan"),
        "\"10.0.255.255",
        &["broadcast address"],
    );
}

#[test]
fn an_interface_with_ipv6_has_the_mtu_that_it_needs() {
    let mtu = |text: &str, mtu: u16| {
        text.replacen(
            "device = \"net_af_packet0",
            &format!("mtu = {mtu}\ndevice = \"net_af_packet0"),
            1,
        )
    };
    assert_problem(
        &mtu(&dual(), 1279),
        "1279",
        &["1279", "2001:db8:10::1/64 (line 9)", "at least 1280"],
    );
    assert_eq!(problems(&mtu(&dual(), 1280)), [""; 0]);
    assert_eq!(problems(&mtu(GOOD, 68)), [""; 0]);
}

#[test]
fn each_family_has_a_limit_of_its_own() {
    let text = format!(
        "{GOOD}[limits]\nroutes4 = 1\nroutes6 = 1\n{}",
        ["172.16.0.0/12", "2001:db8:30::/48", "2001:db8:31::/48"]
            .map(|prefix| format!("[[route]]\nprefix = \"{prefix}\"\nblackhole = true\n"))
            .concat()
    );
    assert_problem(
        &text,
        "\"2001:db8:31::/48\"",
        &["2 IPv6 routes", "room for 1", "raise routes6"],
    );
}

proptest! {
    #[test]
    fn overlaps_are_found_exactly_where_there_are_any(
        subnets in proptest::collection::vec((0..4u16, 1..5u16, 40..=64u8, 0..3usize), 1..6),
    ) {
        // Subnets of a few /40 with hosts of a few numbers, over three interfaces.
        let nets: Vec<(Ipv6Net, usize)> = subnets
            .iter()
            .map(|(third, host, length, interface)| {
                let address = Ipv6Addr::new(0x2001, 0xdb8, third << 8, third & 1, 0, 0, 0, *host);
                (Ipv6Net::new(address, *length).unwrap(), *interface)
            })
            .collect();
        let mut text = String::from("[instance]\nname = \"blue\"\n");
        for interface in 0..3 {
            let list: Vec<_> =
                nets.iter().filter(|(_, at)| *at == interface).map(|(net, _)| format!("\"{net}\"")).collect();
            text += &format!(
                "[[interface]]\nname = \"if{interface}\"\ndevice = \"net_null{interface}\"\naddresses = [\"fe80::1/64\", {}]\n",
                list.join(",")
            );
        }
        let mut expected = false;
        for (index, (net, interface)) in nets.iter().enumerate() {
            for (other, other_interface) in &nets[..index] {
                let overlap = net.contains(&other.trunc()) || other.contains(&net.trunc());
                expected |= (overlap && interface != other_interface)
                    || (net.addr() == other.addr() && interface == other_interface);
            }
        }
        prop_assert_eq!(parse(&text).is_err(), expected, "{}\n{:?}", text, problems(&text));
    }

    #[test]
    fn addresses_come_back_as_rfc_5952_writes_them(bits: u128, length in 1..=128u8) {
        let net = IpNet::from(Ipv6Net::new(Ipv6Addr::from(bits), length).unwrap());
        let full = format!("\"{:032x}/{length}\"", bits);
        let colons: Vec<_> = (1..33).step_by(4).map(|at| &full[at..at + 4]).collect();
        let (text, found) = wan(&format!("\"{}/{length}\"", colons.join(":").to_uppercase()));
        if found.is_empty() {
            prop_assert_eq!(&parse(&text).unwrap().interfaces[0].addresses, &[net]);
        } else {
            prop_assert!(found.iter().all(|problem| problem.contains(&net.to_string())), "{:?}", found);
        }
    }
}
