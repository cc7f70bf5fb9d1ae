//! The configuration is one that the primary takes, whatever the kernel's interface has.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::network::Address;
use super::super::nic::{Interface, Nic, Pci};
use super::*;

fn interface(name: &str, mtu: u32) -> Nic {
    Nic {
        interface: Some(Interface {
            name: name.to_owned(),
            mtu,
            up: true,
            ethernet: true,
        }),
        pci: None,
        driver: None,
        numa_node: None,
    }
}

fn address(text: &str) -> Address {
    let net: ipnet::IpNet = text.parse().unwrap();
    Address {
        interface: "eth1".into(),
        address: net.addr(),
        length: net.prefix_len(),
    }
}

fn route(prefix: &str, via: Option<&str>, metric: u32) -> Route {
    Route {
        interface: "eth1".into(),
        prefix: prefix.parse().unwrap(),
        via: via.map(|via| via.parse().unwrap()),
        metric,
    }
}

fn text(nic: &Nic, addresses: &[&str], routes: Vec<Route>) -> String {
    let network = Network::new(addresses.iter().map(|text| address(text)).collect(), routes);
    let proposal = Proposal {
        nic,
        way: Way::Kernel,
        pmd: None,
        need: None,
        lacks_iommu: false,
    };
    configuration(&proposal, &Cpus::default(), &network)
}

fn parsed(text: &str) -> ::toml::Table {
    text.parse().unwrap()
}

fn addresses(config: &::toml::Table) -> Vec<&str> {
    let list = config["interface"][0]["addresses"].as_array().unwrap();
    list.iter().map(|address| address.as_str().unwrap()).collect()
}

fn routes(config: &::toml::Table) -> Vec<(String, String)> {
    let list = config
        .get("route")
        .and_then(::toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let target = |route: &::toml::Value| {
        let target = route.get("via").or(route.get("interface")).unwrap();
        target.as_str().unwrap().to_owned()
    };
    list.iter()
        .map(|route| (route["prefix"].as_str().unwrap().to_owned(), target(route)))
        .collect()
}

#[test]
fn addresses_mtu_and_routes_are_those_of_the_kernel() {
    let text = text(
        &interface("eth1", 1400),
        &["10.0.1.20/24", "192.0.2.1/31"],
        vec![
            route("0.0.0.0/0", Some("10.0.1.1"), 0),
            route("10.0.1.0/24", None, 0),
            route("10.9.0.0/16", Some("192.0.2.0"), 5),
            route("10.8.0.0/16", None, 5),
        ],
    );
    let config = parsed(&text);
    assert_eq!(config["instance"]["name"].as_str(), Some("eth1"));
    assert_eq!(
        config["interface"][0]["device"].as_str(),
        Some("net_af_packet0,iface=eth1")
    );
    assert_eq!(config["interface"][0]["mtu"].as_integer(), Some(1400));
    assert_eq!(addresses(&config), ["10.0.1.20/24", "192.0.2.1/31"]);
    let pair = |prefix: &str, target: &str| (prefix.to_owned(), target.to_owned());
    assert_eq!(
        routes(&config),
        [
            pair("0.0.0.0/0", "10.0.1.1"),
            pair("10.9.0.0/16", "192.0.2.0"),
            pair("10.8.0.0/16", "eth1"),
        ]
    );
}

#[test]
fn what_the_primary_would_refuse_is_comment() {
    let text = text(
        &interface("eth1", 65_535),
        &["10.0.1.20/24", "10.0.1.20/32", "10.0.7.0/24", "2001:db8:7::/64"],
        vec![
            route("10.9.0.0/16", Some("172.16.0.1"), 0),
            route("10.8.0.0/16", Some("10.0.1.255"), 0),
            route("10.7.0.0/16", Some("10.0.1.20"), 0),
            route("10.0.1.20/32", None, 0),
            route("::/0", Some("fe80::1"), 0),
            route("2001:db8:9::/48", None, 0),
        ],
    );
    let config = parsed(&text);
    assert_eq!(addresses(&config), ["10.0.1.20/24"]);
    assert_eq!(routes(&config), []);
    assert_eq!(config["interface"][0]["mtu"].as_integer(), Some(9000));
    for part in [
        "below 1280): 10.0.7.0/24, 2001:db8:7::/64\n",
        "# The kernel's interface has an MTU of 65535.\n",
        "# The route to 10.9.0.0/16 goes by 172.16.0.1",
        "# The route to ::/0 goes by fe80::1",
        "# The route to 2001:db8:9::/48 leads out of this interface, which has no address of that family",
    ] {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}

#[test]
fn ipv6_is_taken_over_beside_ipv4() {
    let routes6 = || {
        vec![
            route("0.0.0.0/0", Some("10.0.1.1"), 0),
            route("::/0", Some("fe80::1"), 1024),
            route("2001:db8:1::/64", None, 256),
            route("2001:db8:8::/48", Some("2001:db8:1::2"), 1024),
            route("2001:db8:9::/48", None, 1024),
        ]
    };
    let host = ["10.0.1.20/24", "2001:db8:1::20/64", "fe80::20/64"];
    let config = parsed(&text(&interface("eth1", 1500), &host, routes6()));
    assert_eq!(addresses(&config), ["10.0.1.20/24", "2001:db8:1::20/64"]);
    let pair = |prefix: &str, target: &str| (prefix.to_owned(), target.to_owned());
    assert_eq!(
        routes(&config),
        [
            pair("0.0.0.0/0", "10.0.1.1"),
            pair("::/0", "fe80::1"),
            pair("2001:db8:8::/48", "2001:db8:1::2"),
            pair("2001:db8:9::/48", "eth1"),
        ]
    );
    let interface_of = |route: usize| config["route"][route].get("interface");
    assert_eq!(interface_of(0), None);
    assert_eq!(interface_of(1).and_then(::toml::Value::as_str), Some("eth1"));
    assert_eq!(interface_of(2), None);

    let short = text(&interface("eth1", 1279), &host, routes6());
    let config = parsed(&short);
    assert_eq!(addresses(&config), ["10.0.1.20/24"]);
    assert_eq!(routes(&config), [pair("0.0.0.0/0", "10.0.1.1")]);
    assert!(short.contains("below 1280): 2001:db8:1::20/64\n"), "{short}");
}

#[test]
fn of_two_routes_to_one_prefix_the_better_one_is_taken() {
    let two = vec![
        route("0.0.0.0/0", Some("10.0.1.9"), 200),
        route("0.0.0.0/0", Some("10.0.1.1"), 100),
        route("0.0.0.0/0", Some("10.0.1.8"), 100),
    ];
    let config = parsed(&text(&interface("eth1", 1500), &["10.0.1.20/24"], two));
    assert_eq!(routes(&config), [("0.0.0.0/0".to_owned(), "10.0.1.1".to_owned())]);
}

#[test]
fn names_are_such_as_the_primary_takes() {
    for (title, interface, instance) in [
        ("eth0.100", "eth0.100", "eth0-100"),
        ("br-LAN@7", "br-LAN-7", "br-lan-7"),
        ("-_x", "-_x", "x"),
        ("é", "-", "gateway"),
        ("0000:81:00.1", "81-00.1", "0000-81-00-1"),
        ("10000:e1:00.0", "10000-e1-00.0", "10000-e1-00-0"),
    ] {
        assert_eq!(
            (interface_name(title).as_str(), instance_name(title).as_str()),
            (interface, instance)
        );
        assert!(instance.parse::<control::instance::InstanceName>().is_ok());
    }
}

#[test]
fn a_pci_device_has_no_alternative_through_the_kernel() {
    let nic = Nic {
        interface: None,
        pci: Some(Pci {
            address: "0000:81:00.0".into(),
            vendor: 0x8086,
            device: 0x10fb,
            modalias: String::new(),
            iommu_group: Some(1),
        }),
        driver: None,
        numa_node: None,
    };
    let proposal = Proposal {
        nic: &nic,
        way: Way::Vfio,
        pmd: None,
        need: None,
        lacks_iommu: false,
    };
    let text = configuration(&proposal, &Cpus::default(), &Network::new(vec![], vec![]));
    assert_eq!(
        parsed(&text)["interface"][0]["device"].as_str(),
        Some("0000:81:00.0")
    );
    assert!(!text.contains("af_xdp"), "{text}");
}

proptest! {
    #[test]
    fn every_interface_gives_valid_toml(
        name in "\\PC{1,15}",
        mtu: u32,
        address: u128,
        length in 0..=128u8,
        via: u128,
    ) {
        let net4 = ipnet::Ipv4Net::new(Ipv4Addr::from(address as u32), length % 33).unwrap();
        let net6 = ipnet::Ipv6Net::new(Ipv6Addr::from(address), length).unwrap();
        let routes = vec![
            route(&net4.trunc().to_string(), Some(&Ipv4Addr::from(via as u32).to_string()), 0),
            route(&net6.trunc().to_string(), Some(&Ipv6Addr::from(via).to_string()), 0),
        ];
        let text = text(&interface(&name, mtu), &[&net4.to_string(), &net6.to_string()], routes);
        let config = parsed(&text);
        let mtu = config["interface"][0]["mtu"].as_integer().unwrap();
        prop_assert!((68..=9000).contains(&mtu));
        let instance = config["instance"]["name"].as_str().unwrap();
        prop_assert!(instance.parse::<control::instance::InstanceName>().is_ok(), "{}", instance);
        prop_assert_eq!(
            config["interface"][0]["device"].as_str().unwrap(),
            format!("net_af_packet0,iface={name}")
        );
    }

    #[test]
    fn any_text_comes_back_from_a_string(text in ".{0,40}") {
        let table: ::toml::Table = format!("x = {}\n", quoted(&text)).parse().unwrap();
        prop_assert_eq!(table["x"].as_str(), Some(text.as_str()));
    }
}
