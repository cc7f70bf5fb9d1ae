//! What sections say of each other: addresses, routes, neighbours.

use std::net::Ipv4Addr;

use control::message::{Route, WeightedNextHop};
use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;

#[test]
fn overlapping_addresses_name_both_interfaces() {
    let text = GOOD.replace("10.0.0.1/16\", \"10.0.0.2/16", "192.168.0.1/16");
    assert_problem(
        &text,
        "\"192.168.0.1/16",
        &["192.168.0.1/16 on lan", "192.168.10.1/24 on wan", "line 8"],
    );
    let text = GOOD.replace("10.0.0.2/16", "10.0.0.1/16");
    assert_problem(&text, "\"10.0.0.1/16\"]", &["lan has 10.0.0.1 already"]);
    let text = GOOD.replace("10.0.0.2/16", "10.0.7.7/24");
    assert_eq!(
        problems(&text),
        [""; 0],
        "an interface may have subnets of its subnet"
    );
}

#[test]
fn what_can_be_there_once_is_refused_the_second_time() {
    assert_problem(
        &GOOD.replace("\"lan\"", "\"wan\""),
        "\"wan\"",
        &["an interface 'wan' already (line 6)"],
    );
    assert_problem(
        &GOOD.replace("lan0", "wan0"),
        "\"net_af",
        &["kernel interface wan0 is 'wan' already (line 7)"],
    );
    assert_problem(
        &GOOD.replace("packet1", "packet0"),
        "\"net_af",
        &["device net_af_packet0 is 'wan' already"],
    );
    let pci = GOOD
        .replace("net_af_packet0,iface=wan0", "01:00.0")
        .replace("net_af_packet1,iface=lan0", "0000:01:00.0");
    assert_problem(&pci, "\"0000:01", &["PCI device 0000:01:00.0"]);
    let route = "[[route]]\nprefix = \"172.16.0.0/12\"\nblackhole = true\n".repeat(2);
    assert_added(&route, "\"172", &["route to 172.16.0.0/12 already (line 15)"]);
    let neighbor =
        "[[neighbor]]\naddress = \"10.0.0.9\"\nmac = \"02:00:00:00:00:01\"\ninterface = \"lan\"\n".repeat(2);
    assert_added(
        &neighbor,
        "\"10.0.0.9\"",
        &["neighbor 10.0.0.9 is there already (line 15)"],
    );
}

#[test]
fn a_next_hop_is_a_host_on_a_connected_subnet() {
    let route = |via: &str| format!("[[route]]\nprefix = \"default\"\nvia = \"{via}\"");
    assert_added(
        &route("192.168.11.1"),
        "\"192.168.11.1\"",
        &["192.168.11.1", "no connected subnet"],
    );
    assert_added(
        &route("192.168.10.1"),
        "\"192.168.10.1\"",
        &["gateway's own address on wan"],
    );
    assert_added(
        &route("192.168.10.255"),
        "\"192.168.10.255\"",
        &["cannot be a host of 192.168.10.0/24 on wan", "broadcast address"],
    );
    assert_added(&route("10.0.1"), "\"10.0.1\"", &["'10.0.1' is not an IP address"]);
    assert!(parse(&format!("{GOOD}{}", route("10.0.255.254"))).is_ok());
}

#[test]
fn the_interface_beside_via_is_that_of_the_next_hop() {
    let route = |interface: &str| {
        format!("[[route]]\nprefix = \"default\"\nvia = \"192.168.10.2\"\ninterface = \"{interface}\"")
    };
    let config = parse(&format!("{GOOD}{}", route("wan"))).unwrap();
    let expected = RouteTarget::Via {
        next_hop: "192.168.10.2".parse().unwrap(),
        interface: Some("wan".into()),
    };
    assert_eq!(config.routes[0].target, expected);
    assert_added(
        &route("lan"),
        "\"192.168.10.2\"",
        &["192.168.10.0/24", "on wan and not on lan"],
    );
    assert_added(&route("wam"), "\"wam\"", &["did you mean 'wan'?"]);
}

#[test]
fn a_route_out_of_an_interface_needs_an_address_to_ask_from() {
    let text = GOOD.replace("\"10.0.0.1/16\", \"10.0.0.2/16\"", "");
    let text = format!("{text}[[route]]\nprefix = \"172.16.0.0/12\"\ninterface = \"lan\"\n");
    assert_problem(&text, "\"lan\"", &["lan, which has no IPv4 address"]);
}

#[test]
fn a_route_has_attributes_and_several_next_hops_as_in_ip() {
    let text = "[[route]]\nprefix = \"172.16.0.0/12\"\nmetric = 7\nmtu = 1400\nproto = \"bird\"\nsrc = \"10.0.0.1\"\n\
                nexthops = [{ via = \"192.168.10.2\", weight = 3 }, { via = \"192.168.10.3\", interface = \"wan\" }]\n\
                [[route]]\nprefix = \"172.16.0.0/12\"\nunreachable = true\n[[route]]\nprefix = \"172.32.0.0/16\"\nprohibit = true\n";
    let config = parse(&format!("{GOOD}{text}")).unwrap();
    let one = |next_hop: &str, interface: Option<&str>, weight| WeightedNextHop {
        next_hop: next_hop.parse().unwrap(),
        interface: interface.map(str::to_owned),
        weight,
    };
    let expected = Route {
        metric: Some(7),
        source: Some("10.0.0.1".parse().unwrap()),
        mtu: Some(1400),
        protocol: Some(12),
        ..Route::new(
            "172.16.0.0/12".parse().unwrap(),
            RouteTarget::Multipath(vec![
                one("192.168.10.2", None, 3),
                one("192.168.10.3", Some("wan"), 1),
            ]),
        )
    };
    let [.., first, second, third] = config.routes.as_slice() else {
        panic!("{:?}", config.routes);
    };
    assert_eq!(*first, expected);
    assert_eq!(
        (&second.target, &third.target),
        (&RouteTarget::Unreachable, &RouteTarget::Prohibit)
    );
}

#[test]
fn what_is_wrong_with_attributes_and_next_hops_is_named() {
    let route = |rest: &str| format!("[[route]]\nprefix = \"172.16.0.0/12\"\n{rest}");
    let via = |rest: &str| route(&format!("via = \"192.168.10.2\"\n{rest}"));
    for (text, at, says) in [
        (
            via("src = \"192.168.10.9\""),
            "\"192.168.10.9\"",
            "no address of an [[interface]]",
        ),
        (via("proto = \"birb\""), "\"birb\"", "no routing protocol"),
        (via("mtu = 60"), "60", "out of range"),
        (
            route("interface = \"lan\"\nmtu = 1400"),
            "1400",
            "whose mtu counts",
        ),
        (
            route("nexthops = [{ via = \"192.168.10.2\", weight = 0 }]"),
            "0 }",
            "out of range",
        ),
        (route("nexthops = [{ weight = 7 }]"), "{ weight", "has no via"),
        (
            route("nexthops = [{ via = \"10.77.0.1\" }]"),
            "\"10.77",
            "on no connected subnet",
        ),
        (route("nexthops = []"), "[[route]]", "0 nexthops"),
        (via("nexthops = 3"), "3", "a list of tables"),
    ] {
        assert_added(&text, at, &[says]);
    }
}

#[test]
fn a_route_leads_to_one_thing() {
    let route = |rest: &str| format!("[[route]]\nprefix = \"172.16.0.0/12\"\n{rest}");
    assert_added(
        &route(""),
        "\"172",
        &["one of via, nexthops, interface, tunnel, blackhole"],
    );
    assert_added(
        &route("via = \"10.0.0.9\"\nblackhole = true"),
        "\"172",
        &["one of via, nexthops, interface, tunnel, blackhole"],
    );
    assert_added(&route("blackhole = false"), "false", &["says nothing"]);
    assert_added(&route("interface = \"lam\""), "\"lam", &["did you mean 'lan'?"]);
    assert_added(
        "[[route]]\nprefix = \"10.0.0.0/16\"\nblackhole = true",
        "\"10",
        &["the subnet of lan"],
    );
    assert_added(
        "[[route]]\nprefix = \"10.0.0.1/32\"\nblackhole = true",
        "\"10",
        &["own address on lan"],
    );
}

#[test]
fn a_neighbor_is_a_station_on_its_interface() {
    let neighbor = |address: &str, mac: &str, interface: &str| {
        format!("[[neighbor]]\naddress = \"{address}\"\nmac = \"{mac}\"\ninterface = \"{interface}\"")
    };
    let mac = "02:00:00:00:10:02";
    assert_added(
        &neighbor("10.0.0.9", mac, "wan"),
        "\"10.0.0.9",
        &["10.0.0.0/16", "on lan and not on wan"],
    );
    assert_added(
        &neighbor("172.16.0.1", mac, "wan"),
        "\"172",
        &["no subnet of wan"],
    );
    assert_added(
        &neighbor("10.0.0.1", mac, "lan"),
        "\"10.0.0.1",
        &["gateway's own address on lan"],
    );
    assert_added(
        &neighbor("10.0.0.9", mac, "dmz"),
        "\"dmz",
        &["no [[interface]] named 'dmz'", "wan, lan"],
    );
    assert_added(
        &neighbor("10.0.0.9", "02:00:00", "lan"),
        "\"02",
        &["not a MAC address"],
    );
    assert_added(
        &neighbor("10.0.0.9", "ff:ff:ff:ff:ff:ff", "lan"),
        "\"ff",
        &["no station's MAC address"],
    );
}

#[test]
fn what_does_not_fit_into_the_limits_is_refused() {
    let text = format!("[limits]\naddresses = 2\n{GOOD}");
    assert_problem(&text, "\"10.0.0.2/16", &["3 addresses", "room for 2"]);
    let routes = |prefix: &str| format!("[[route]]\nprefix = \"{prefix}\"\nblackhole = true\n");
    let text = format!(
        "{GOOD}[limits]\nroutes4 = 1\n{}{}",
        routes("172.16.0.0/12"),
        routes("172.17.0.0/16")
    );
    assert_problem(
        &text,
        "\"172.17",
        &["2 IPv4 routes", "room for 1", "raise routes4"],
    );
}

proptest! {
    #[test]
    fn overlaps_are_found_exactly_where_there_are_any(
        subnets in proptest::collection::vec((0..64u8, 24..31u8, 0..3usize), 1..6),
    ) {
        // Small subnets in 10.0.0.0/24 .. 10.0.63.0/24, over three interfaces.
        let nets: Vec<(Ipv4Net, usize)> = subnets
            .iter()
            .map(|(third, length, interface)| {
                let host = Ipv4Addr::new(10, 0, third % 4, third.wrapping_mul(4) | 1);
                (Ipv4Net::new(host, *length).unwrap(), *interface)
            })
            .collect();
        let mut text = String::from("[instance]\nname = \"blue\"\n");
        for interface in 0..3 {
            let list: Vec<_> =
                nets.iter().filter(|(_, at)| *at == interface).map(|(net, _)| format!("\"{net}\"")).collect();
            text += &format!(
                "[[interface]]\nname = \"if{interface}\"\ndevice = \"net_null{interface}\"\naddresses = [{}]\n",
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
}

#[test]
fn what_tables_would_refuse_is_refused_with_its_place() {
    assert_added(
        "[[route]]\nprefix = \"10.9.0.0/16\"\nblackhole = true\nsrc = \"2001:db8::1\"",
        "\"2001:db8::1\"",
        &["not of the family of 10.9.0.0/16"],
    );
    assert_added(
        "[[route]]\nprefix = \"10.0.255.255/32\"\nblackhole = true",
        "\"10.0.255.255/32\"",
        &["broadcast address of 10.0.0.0/16 on lan"],
    );
    assert_added(
        "[[route]]\nprefix = \"10.9.0.0/16\"\nnexthops = [{ via = \"10.0.0.9\" }, { via = \"10.0.0.9\", interface = \"lan\" }]",
        "\"10.0.0.9\"",
        &["named twice"],
    );
}

#[test]
fn a_neighbor_may_be_where_only_a_route_leads_out_of_its_interface() {
    let neighbor =
        "[[neighbor]]\naddress = \"172.16.0.9\"\nmac = \"02:00:00:00:00:09\"\ninterface = \"lan\"\n";
    let route = |prefix: &str, target: &str| format!("[[route]]\nprefix = \"{prefix}\"\n{target}\n");
    let out_of_lan = route("172.16.0.0/12", "interface = \"lan\"");
    parse(&format!("{GOOD}{out_of_lan}{neighbor}")).unwrap();
    assert_added(neighbor, "\"172.16.0.9\"", &["on no subnet of lan"]);
    // A longer prefix leads elsewhere.
    let longer = route("172.16.0.0/24", "blackhole = true");
    assert_added(
        &format!("{out_of_lan}{longer}{neighbor}"),
        "\"172.16.0.9\"",
        &["on no subnet of lan"],
    );
}

#[test]
fn an_interface_is_up_unless_it_says_otherwise() {
    let text = GOOD.replace("name = \"lan\"", "name = \"lan\"\nup = false");
    let config = parse(&text).unwrap();
    let states: Vec<_> = config.admin_states().collect();
    assert_eq!(states, [("wan", true), ("lan", false)]);
}

#[test]
fn redirects_are_sent_unless_the_interface_says_otherwise() {
    let with = |keys: &str| {
        let port = "[[interface]]\nname = \"wan\"\ndevice = \"net_null0\"\n";
        let link = "[[interface]]\nname = \"wan.2\"\nlink = \"wan\"\nid = 2\n";
        parse(&format!(
            "[instance]\nname = \"blue\"\n{port}{keys}\n{link}{keys}\n"
        ))
    };
    for (keys, on) in [
        ("", true),
        ("redirects = true", true),
        ("redirects = false", false),
    ] {
        let states = with(keys).unwrap();
        let states: Vec<_> = states.redirect_states().collect();
        assert_eq!(states, [("wan", on), ("wan.2", on)], "{keys}");
    }
    let message = with("redirects = 1").unwrap_err().to_string();
    assert!(message.contains("redirects"), "{message}");
}
