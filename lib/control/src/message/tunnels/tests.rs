use super::*;

fn tunnel(mode: TunnelMode, local: &str, remote: &str) -> Tunnel {
    Tunnel::new("t0", mode, local.parse().unwrap(), remote.parse().unwrap())
}

#[test]
fn the_mtu_is_what_the_outer_headers_leave_of_1500_bytes() {
    let four = tunnel(TunnelMode::Ipip, "192.0.2.1", "192.0.2.2");
    let six = tunnel(TunnelMode::Gre, "2001:db8::1", "2001:db8::2");
    let keyed = Tunnel {
        key: Some(7),
        ..six.clone()
    };
    let set = Tunnel {
        mtu: Some(1400),
        ..keyed.clone()
    };
    let protected = Tunnel {
        protected: true,
        ..keyed.clone()
    };
    let esp = tunnel(TunnelMode::Esp, "2001:db8::1", "2001:db8::2");
    let all = [&four, &six, &keyed, &set, &esp, &protected];
    assert_eq!(all.map(Tunnel::mtu), [1480, 1456, 1452, 1400, 1379, 1371]);
    assert_eq!(
        all.map(Tunnel::is_protected),
        [false, false, false, false, true, true]
    );
}

#[test]
fn the_ends_have_different_link_local_addresses() {
    for (local, remote, made) in [
        ("192.0.2.1", "192.0.2.2", "fe80::c000:201"),
        ("2001:db8::7:1", "2001:db8::", "fe80::7:1"),
        ("2001:db8::", "2001:db8::7:1", "fe80::1"),
    ] {
        let one = tunnel(TunnelMode::Ipip, local, remote);
        let other = tunnel(TunnelMode::Ipip, remote, local);
        assert_eq!(one.link_local(), made.parse::<IpAddr>().unwrap());
        assert_ne!(one.link_local(), other.link_local());
    }
}

#[test]
fn what_cannot_be_is_named_by_its_key() {
    let good = tunnel(TunnelMode::Gre, "192.0.2.1", "198.51.100.1");
    assert_eq!(good.check(), Ok(()));
    let six = tunnel(TunnelMode::Gre, "2001:db8::1", "2001:db8::2");
    let wrong = [
        (
            Tunnel {
                local: "224.0.0.1".parse().unwrap(),
                ..good.clone()
            },
            "local",
        ),
        (
            Tunnel {
                remote: "0.0.0.0".parse().unwrap(),
                ..good.clone()
            },
            "remote",
        ),
        (
            Tunnel {
                remote: good.local,
                ..good.clone()
            },
            "remote",
        ),
        (
            Tunnel {
                remote: six.remote,
                ..good.clone()
            },
            "remote",
        ),
        (
            Tunnel {
                local: "fe80::1".parse().unwrap(),
                ..six.clone()
            },
            "local",
        ),
        (
            Tunnel {
                remote: "::ffff:192.0.2.1".parse().unwrap(),
                ..six.clone()
            },
            "remote",
        ),
        (
            Tunnel {
                mode: TunnelMode::Ipip,
                key: Some(0),
                ..good.clone()
            },
            "key",
        ),
        (
            Tunnel {
                ttl: 0,
                ..good.clone()
            },
            "ttl",
        ),
        (
            Tunnel {
                df: Df::Set,
                ..six.clone()
            },
            "df",
        ),
        (
            Tunnel {
                dscp: Dscp::Fixed(64),
                ..good.clone()
            },
            "dscp",
        ),
        (
            Tunnel {
                mtu: Some(67),
                ..good.clone()
            },
            "mtu",
        ),
        (
            Tunnel {
                mtu: Some(9001),
                ..good.clone()
            },
            "mtu",
        ),
        (
            Tunnel {
                mode: TunnelMode::Esp,
                protected: true,
                ..good
            },
            "protected",
        ),
    ];
    for (tunnel, key) in wrong {
        assert_eq!(tunnel.check().unwrap_err().key, key, "{tunnel:?}");
    }
    assert_eq!(six.check(), Ok(()));
}

#[test]
fn a_change_changes_what_it_says() {
    let before = Tunnel {
        key: Some(7),
        unnumbered: Some("wan".into()),
        ..tunnel(TunnelMode::Gre, "192.0.2.1", "198.51.100.1")
    };
    assert_eq!(TunnelChange::default().apply(&before), before);
    let change = TunnelChange {
        mode: Some(TunnelMode::Ipip),
        key: Some(None),
        protected: Some(true),
        mtu: Some(Some(1300)),
        unnumbered: Some(None),
        ..TunnelChange::default()
    };
    let after = Tunnel {
        mode: TunnelMode::Ipip,
        key: None,
        protected: true,
        mtu: Some(1300),
        unnumbered: None,
        ..before.clone()
    };
    assert_eq!(change.apply(&before), after);
    assert_eq!(TunnelChange::from(&after).apply(&before), after);
    assert_eq!(
        after.to_string(),
        "t0 mode ipip local 192.0.2.1 remote 198.51.100.1 protected mtu 1300 ttl 64 df copy dscp copy"
    );
}
