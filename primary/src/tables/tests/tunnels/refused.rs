//! Tunnels that cannot be, and what cannot go or come while there are some.

use control::message::ErrorCode;

use super::*;

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let mut gateway = Gateway::with_addresses();
    let index = gateway.tunnel(&tun0());
    let other = tunnel("tun1", "192.0.2.1", "198.51.100.2");
    let unnumbered = |interface: &str| Some(interface.to_owned());
    use ErrorCode::{Exists, Invalid, UnknownInterface};
    for (asked, code, reason) in [
        (
            tunnel("tun1", "192.0.2.1", "198.51.100.1"),
            Exists,
            "tun0 goes from",
        ),
        (
            Tunnel {
                name: "wan".into(),
                ..other.clone()
            },
            Exists,
            "'wan' already",
        ),
        (
            Tunnel {
                name: "a-name-of-sixteen".into(),
                ..other.clone()
            },
            Invalid,
            "1 to 15",
        ),
        (
            Tunnel {
                name: String::new(),
                ..other.clone()
            },
            Invalid,
            "1 to 15",
        ),
        (
            Tunnel {
                remote: "2001:db8::1".parse().unwrap(),
                ..other.clone()
            },
            Invalid,
            "of two families",
        ),
        (
            Tunnel {
                mode: TunnelMode::Ipip,
                key: Some(1),
                ..other.clone()
            },
            Invalid,
            "only gre has a key",
        ),
        (
            Tunnel {
                unnumbered: unnumbered("dmz"),
                ..other.clone()
            },
            UnknownInterface,
            "there are lan, wan, tun0",
        ),
        (
            Tunnel {
                unnumbered: unnumbered("tun0"),
                ..other.clone()
            },
            Invalid,
            "tun0 is a tunnel",
        ),
    ] {
        let error = gateway.tables.add_tunnel(&asked).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(reason), "{error}");
    }
    // Another key or mode is another tunnel.
    gateway.tunnel(&Tunnel {
        key: Some(0),
        ..tunnel("tun1", "192.0.2.1", "198.51.100.1")
    });
    let error = gateway
        .set_tunnel(
            "tun1",
            TunnelChange {
                key: Some(None),
                ..TunnelChange::default()
            },
        )
        .unwrap_err();
    assert_eq!(error.code, Exists);
    assert!(error.message.contains("another end or key"), "{error}");
    // The region of these tests has four interfaces.
    let error = gateway
        .tables
        .add_tunnel(&tunnel("tun2", "192.0.2.1", "198.51.100.9"))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    let error = gateway.tables.delete_tunnel("wan", gateway.now).unwrap_err();
    assert!(error.message.contains("there are tun0, tun1"), "{error}");
    let error = gateway
        .tables
        .delete_sub_interface("tun0", gateway.now)
        .unwrap_err();
    assert!(error.message.contains("'tunnel del tun0'"), "{error}");
    let on_it = NewSubInterface {
        name: None,
        link: "tun0".into(),
        protocol: VlanProtocol::Dot1q,
        id: 5,
        mtu: None,
    };
    let error = gateway.tables.add_sub_interface(&on_it).unwrap_err();
    assert!(error.message.contains("have no tags"), "{error}");
    gateway.address(index, "10.255.0.1/30").unwrap();
    let host = "10.255.0.2".parse().unwrap();
    for error in [
        gateway
            .tables
            .neighbor_add(index, host, host_mac(2), gateway.now)
            .unwrap_err(),
        gateway
            .tables
            .neighbor_delete(index, host, gateway.now)
            .unwrap_err(),
    ] {
        assert!(error.message.contains("needs no neighbours"), "{error}");
    }
}

#[test]
fn one_without_addresses_may_use_those_of_another_interface_which_then_stays() {
    let mut gateway = Gateway::with_addresses();
    let link = NewSubInterface {
        name: None,
        link: "wan".into(),
        protocol: VlanProtocol::Dot1q,
        id: 5,
        mtu: None,
    };
    let vlan = gateway.tables.add_sub_interface(&link).unwrap();
    let index = gateway.tunnel(&Tunnel {
        unnumbered: Some("wan.5".into()),
        ..tun0()
    });
    assert_eq!(gateway.tables.unnumbered(index), Some(vlan));
    let error = gateway.address(index, "10.255.0.1/30").unwrap_err();
    assert!(error.message.contains("'tunnel set tun0 numbered'"), "{error}");
    let error = gateway
        .tables
        .delete_sub_interface("wan.5", gateway.now)
        .unwrap_err();
    assert!(error.message.contains("which are tun0"), "{error}");
    assert_eq!(gateway.tables.interface_name(vlan), "wan.5");
    let numbered = TunnelChange {
        unnumbered: Some(None),
        ..TunnelChange::default()
    };
    gateway.set_tunnel("tun0", numbered).unwrap();
    gateway.tables.delete_sub_interface("wan.5", gateway.now).unwrap();
    gateway.address(index, "10.255.0.1/30").unwrap();
    let wan = TunnelChange {
        unnumbered: Some(Some("wan".into())),
        ..TunnelChange::default()
    };
    let error = gateway.set_tunnel("tun0", wan.clone()).unwrap_err();
    assert!(
        error.message.contains("has an address of its own, 10.255.0.1/30"),
        "{error}"
    );
    gateway.drop_address(index, "10.255.0.1/30").unwrap();
    gateway.address(index, "2001:db8:255::1/64").unwrap();
    let short = TunnelChange {
        mtu: Some(Some(1279)),
        ..TunnelChange::default()
    };
    let error = gateway.set_tunnel("tun0", short).unwrap_err();
    assert!(error.message.contains("IPv6 needs an MTU of 1280"), "{error}");
    gateway.drop_address(index, "2001:db8:255::1/64").unwrap();
    gateway.set_tunnel("tun0", wan).unwrap();
    assert_eq!(gateway.tables.unnumbered(index), Some(WAN));
}
