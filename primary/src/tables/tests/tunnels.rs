//! Tunnels come, change and go, with all that is on them.

mod refused;

use std::sync::atomic::Ordering;

use control::message::{Df, Dscp, Tunnel, TunnelChange, TunnelMode, VlanProtocol};
use shm::records::{NO_INTERFACE, TUNNEL_DRIVER, from_text};

use super::*;
use crate::tables::NewSubInterface;

fn tunnel(name: &str, local: &str, remote: &str) -> Tunnel {
    Tunnel::new(
        name,
        TunnelMode::Gre,
        local.parse().unwrap(),
        remote.parse().unwrap(),
    )
}

/// From an address that `wan` gets in these tests.
fn tun0() -> Tunnel {
    tunnel("tun0", "192.0.2.1", "198.51.100.1")
}

fn through(interface: u16) -> Adjacency {
    Adjacency::Forward {
        interface,
        mac: MacAddress::ZERO,
    }
}

impl Gateway {
    fn tunnel(&mut self, new: &Tunnel) -> u16 {
        self.tables.add_tunnel(new).unwrap()
    }

    fn set_tunnel(&mut self, name: &str, change: TunnelChange) -> Result<u16, ControlError> {
        self.tables.set_tunnel(name, &change, self.now)
    }

    fn delete_tunnel(&mut self, name: &str) -> u16 {
        let deleted = self.tables.delete_tunnel(name, self.now).unwrap();
        self.tables.free_indices();
        deleted
    }

    /// Whether it is set up, whether it can work, and what workers see of that.
    fn tunnel_state(&self, index: u16) -> (bool, bool, bool) {
        let (admin, link) = self.tables.link_state(index).unwrap();
        let seen = self.tables.up_flag(index).unwrap().load(Ordering::Relaxed);
        let record = self.interface_record(index);
        assert_eq!((record.admin_up != 0, record.link_up != 0), (admin, link));
        (admin, link, seen)
    }

    fn interface_record(&self, index: u16) -> Interface {
        let records = self.reader.interfaces();
        let of_index = |(slot, _): &&(u32, Interface)| *slot == u32::from(index);
        records.iter().find(of_index).unwrap().1
    }

    fn link_events(&mut self) -> Vec<(String, bool, bool)> {
        let events = self.events().into_iter();
        let of_links = events.filter_map(|event| match event {
            Event::Link {
                interface,
                admin_up,
                link_up,
            } => Some((interface, admin_up, link_up)),
            _ => None,
        });
        of_links.collect()
    }
}

#[test]
fn one_is_an_interface_on_no_port_and_is_shown_as_it_is() {
    let mut gateway = Gateway::with_addresses();
    let new = Tunnel {
        key: Some(7),
        ttl: 9,
        df: Df::Set,
        dscp: Dscp::Fixed(46),
        unnumbered: Some("lan".into()),
        ..tun0()
    };
    let index = gateway.tunnel(&new);
    assert_eq!(gateway.tables.interface_name(index), "tun0");
    assert_eq!(gateway.tables.sub_interface(index), None);
    assert_eq!(gateway.tables.tunnel(index), Some(&new));
    assert_eq!(gateway.tables.unnumbered(index), Some(LAN));
    assert_eq!(gateway.tables.tunnels(), [(new.clone(), true)]);
    let record = gateway.interface_record(index);
    assert_eq!(
        (record.port, record.vlan_id, record.parent, record.mtu, record.mac),
        (u16::MAX, 0, u16::MAX, 1472, [0; 6])
    );
    assert_eq!(from_text(&record.driver), TUNNEL_DRIVER);
    assert_eq!(
        from_text(&record.device),
        "gre local 192.0.2.1 remote 198.51.100.1 key 7"
    );
    let [(_, shown)] = gateway.reader.tunnels()[..] else {
        panic!("not one tunnel is shown")
    };
    assert_eq!(
        (from_ip_field(shown.local), from_ip_field(shown.remote)),
        (new.local, new.remote)
    );
    assert_eq!(
        (
            shown.interface,
            shown.unnumbered,
            shown.key,
            shown.has_key,
            shown.has_mtu
        ),
        (index, LAN, 7, 1, 0)
    );
    assert_eq!(
        (shown.mode, shown.ttl, shown.df, shown.dscp),
        (TunnelMode::Gre.number(), 9, Df::Set.number(), 46)
    );
    let events = gateway.events();
    assert_eq!(events.first(), Some(&Event::Tunnel { tunnel: new }));
}

#[test]
fn it_is_up_while_it_is_set_up_and_ends_at_an_address_of_the_gateway() {
    let mut gateway = Gateway::new();
    let index = gateway.tunnel(&tun0());
    assert_eq!(gateway.tunnel_state(index), (true, false, false));
    gateway.add("10.9.0.0/16", "tun0").unwrap();
    assert_eq!(gateway.lookup("10.9.1.1"), Adjacency::NoRoute);
    gateway.events();

    gateway.address(WAN, "192.0.2.1/28").unwrap();
    assert_eq!(gateway.tunnel_state(index), (true, true, true));
    assert_eq!(gateway.lookup("10.9.1.1"), through(index));
    assert_eq!(gateway.link_events(), [("tun0".into(), true, true)]);
    gateway.tables.set_admin(index, false, gateway.now);
    assert_eq!(gateway.tunnel_state(index), (false, true, false));
    assert_eq!(gateway.lookup("10.9.1.1"), Adjacency::NoRoute);
    gateway.tables.set_admin(index, true, gateway.now);
    // The gateway answers by its addresses whatever becomes of their interfaces.
    gateway.tables.set_link(WAN, false, 0, gateway.now);
    assert_eq!(gateway.tunnel_state(index), (true, true, true));
    gateway.tables.set_link(WAN, true, 0, gateway.now);
    gateway.events();

    gateway.drop_address(WAN, "192.0.2.1/28").unwrap();
    assert_eq!(gateway.tunnel_state(index), (true, false, false));
    assert_eq!(gateway.lookup("10.9.1.1"), Adjacency::NoRoute);
    assert_eq!(gateway.link_events(), [("tun0".into(), true, false)]);
    // Set otherwise, to an address that is there.
    gateway.address(LAN, "10.0.0.1/24").unwrap();
    let local = Some("10.0.0.1".parse().unwrap());
    let change = TunnelChange {
        local,
        ..TunnelChange::default()
    };
    gateway.set_tunnel("tun0", change).unwrap();
    assert_eq!(gateway.tunnel_state(index), (true, true, true));
}

#[test]
fn an_ipv6_end_counts_once_nobody_else_has_it() {
    let mut gateway = Gateway::new();
    let index = gateway.tunnel(&tunnel("tun0", "2001:db8::1", "2001:db8:9::1"));
    assert_eq!(gateway.interface_record(index).mtu, 1456);
    gateway.address(WAN, "2001:db8::1/64").unwrap();
    assert_eq!(gateway.tunnel_state(index), (true, false, false));
    gateway.pass(2);
    assert_eq!(gateway.tunnel_state(index), (true, true, true));
    gateway.tables.delete_tunnel("tun0", gateway.now).unwrap();
    gateway.tables.free_indices();
    // Made later, it is up at once.
    let index = gateway.tunnel(&tunnel("tun1", "2001:db8::1", "2001:db8:9::1"));
    assert_eq!(gateway.tunnel_state(index), (true, true, true));
}

#[test]
fn all_that_its_routes_lead_to_is_at_its_other_end() {
    let mut gateway = Gateway::with_addresses();
    let index = gateway.tunnel(&tun0());
    // Without an address.
    gateway.add("10.9.0.0/16", "tun0").unwrap();
    gateway.add("2001:db8:9::/48", "tun0").unwrap();
    // By its own.
    gateway.address(index, "10.255.0.1/30").unwrap();
    gateway.address(index, "2001:db8:255::1/64").unwrap();
    gateway.add("10.10.0.0/16", "10.255.0.2").unwrap();
    gateway
        .add("10.11.0.0/16", "10.255.0.2*3,10.255.0.2%tun0")
        .unwrap_err();
    gateway.add("2001:db8:10::/48", "2001:db8:255::2").unwrap();
    gateway.add("2001:db8:11::/48", "fe80::2%tun0").unwrap();
    gateway.add("10.12.0.0/16", "10.255.0.2 mtu 1300").unwrap();
    gateway.answer(LAN, "10.0.0.9", 9);
    gateway.add("10.13.0.0/16", "10.255.0.2*200,10.0.0.9").unwrap();
    for destination in [
        "10.9.1.1",
        "2001:db8:9::1",
        "10.255.0.2",
        "2001:db8:255::2",
        "10.10.1.1",
        "2001:db8:10::1",
        "2001:db8:11::1",
        "10.12.1.1",
    ] {
        assert_eq!(gateway.lookup(destination), through(index), "{destination}");
    }
    let group = gateway.adjacencies.group(gateway.entry("10.13.1.1")).unwrap();
    let members: Vec<_> = group
        .buckets()
        .map(|member| gateway.adjacencies.load(member))
        .collect();
    assert!(members.contains(&through(index)) && members.contains(&forward(LAN, 9)));
    // Nobody is asked for, and nothing announced.
    gateway.resolve(index, "10.255.0.2");
    gateway.pass(60);
    let actions = gateway.tables.take_actions();
    let on_it = |action: &Action| match action {
        Action::SendArp { interface, .. } | Action::SendNd { interface, .. } => *interface == index,
        _ => false,
    };
    assert!(!actions.iter().any(on_it), "{actions:?}");
    assert_eq!(
        gateway.tables.addresses_in_use(index).count(),
        3,
        "its own and the link-local one"
    );

    let found = gateway.tables.route_get(&Flow::to("10.9.1.1".parse().unwrap()));
    assert_eq!(
        (found.next_hop, found.interface.as_deref(), found.mtu, found.mac),
        (None, Some("tun0"), Some(1476), None)
    );
    assert_eq!(
        found.outcome,
        "packets go through the tunnel tun0 to 198.51.100.1"
    );
    // With the address go those that need it, and no others.
    gateway.drop_address(index, "10.255.0.1/30").unwrap();
    assert_eq!(gateway.lookup("10.10.1.1"), Adjacency::NoRoute);
    assert_eq!(gateway.lookup("10.9.1.1"), through(index));
    assert_eq!(gateway.shown("10.255.0.2"), None);
}

#[test]
fn it_goes_with_its_addresses_and_routes() {
    let mut gateway = Gateway::with_addresses();
    let before = gateway.tables.usage();
    let routes = gateway.shown_routes();
    let index = gateway.tunnel(&tun0());
    gateway.address(index, "10.255.0.1/30").unwrap();
    gateway.address(index, "2001:db8:255::1/64").unwrap();
    gateway.add("10.9.0.0/16", "tun0").unwrap();
    gateway.add("10.10.0.0/16", "10.255.0.2").unwrap();
    gateway.add("2001:db8:11::/48", "fe80::2%tun0").unwrap();
    gateway.add("10.9.0.0/16", "tun0 metric 5").unwrap();
    gateway.events();

    assert_eq!(gateway.delete_tunnel("tun0"), index);
    gateway.reclaim();
    assert_eq!(gateway.shown_routes(), routes);
    assert_eq!(gateway.tables.usage(), before);
    assert_eq!(gateway.reader.interfaces().len(), 2);
    assert_eq!(gateway.reader.tunnels(), []);
    assert_eq!(gateway.tables.tunnels(), []);
    let events = gateway.events();
    let deleted = Event::LinkDeleted {
        interface: "tun0".into(),
    };
    assert!(events.contains(&deleted), "{events:?}");
    // Its place is free for another, of either kind.
    let link = NewSubInterface {
        name: None,
        link: "wan".into(),
        protocol: VlanProtocol::Dot1q,
        id: 5,
        mtu: None,
    };
    assert_eq!(gateway.tables.add_sub_interface(&link).unwrap(), index);
    gateway.tunnel(&tun0());
}

#[test]
fn a_change_leaves_its_routes_where_they_are() {
    let mut gateway = Gateway::with_addresses();
    let index = gateway.tunnel(&tun0());
    gateway.address(index, "2001:db8:255::1/64").unwrap();
    gateway.add("10.9.0.0/16", "tun0").unwrap();
    let link_local = |gateway: &Gateway| {
        let mut addresses = gateway.tables.addresses_in_use(index);
        addresses.find(|net| net.addr() != "2001:db8:255::1".parse::<IpAddr>().unwrap())
    };
    assert_eq!(link_local(&gateway), "fe80::c000:201/64".parse().ok());
    gateway.events();
    let change = TunnelChange {
        local: Some("10.0.0.1".parse().unwrap()),
        mtu: Some(Some(1300)),
        key: Some(Some(9)),
        dscp: Some(Dscp::Fixed(8)),
        ..TunnelChange::default()
    };
    assert_eq!(gateway.set_tunnel("tun0", change.clone()).unwrap(), index);
    let after = change.apply(&tun0());
    assert_eq!(gateway.tables.tunnel(index), Some(&after));
    assert_eq!(gateway.lookup("10.9.1.1"), through(index));
    assert_eq!(link_local(&gateway), "fe80::a00:1/64".parse().ok());
    let record = gateway.interface_record(index);
    assert_eq!(
        (record.mtu, from_text(&record.device).as_str()),
        (1300, "gre local 10.0.0.1 remote 198.51.100.1 key 9")
    );
    let [(_, shown)] = gateway.reader.tunnels()[..] else {
        panic!("not one tunnel is shown")
    };
    assert_eq!(
        (shown.key, shown.has_mtu, shown.dscp, shown.unnumbered),
        (9, 1, 8, NO_INTERFACE)
    );
    assert!(gateway.events().contains(&Event::Tunnel { tunnel: after }));
    // The same again is no news.
    gateway.set_tunnel("tun0", change).unwrap();
    assert_eq!(gateway.events(), []);
}
