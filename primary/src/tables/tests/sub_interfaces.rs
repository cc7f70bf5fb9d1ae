//! Sub-interfaces come and go, with all that is on them.

use std::sync::atomic::Ordering;

use control::message::{ErrorCode, VlanProtocol};
use packet::EtherType;
use packet::ethernet::{VlanTag, VlanTags};

use super::*;
use crate::tables::NewSubInterface;

fn new(link: &str, protocol: VlanProtocol, id: u16) -> NewSubInterface {
    NewSubInterface {
        name: None,
        link: link.to_owned(),
        protocol,
        id,
        mtu: None,
    }
}

impl Gateway {
    fn link(&mut self, link: &str, id: u16) -> u16 {
        let new = new(link, VlanProtocol::Dot1q, id);
        self.tables.add_sub_interface(&new).unwrap()
    }

    fn refused(&mut self, new: &NewSubInterface) -> (ErrorCode, String) {
        let error = self.tables.add_sub_interface(new).unwrap_err();
        (error.code, error.message)
    }

    fn delete_link(&mut self, name: &str) -> Vec<u16> {
        let deleted = self.tables.delete_sub_interface(name, self.now).unwrap();
        self.tables.free_indices();
        deleted
    }
}

#[test]
fn one_is_of_its_port_and_has_its_tags() {
    let mut gateway = Gateway::new();
    let outer = gateway
        .tables
        .add_sub_interface(&new("wan", VlanProtocol::Dot1ad, 200))
        .unwrap();
    let inner = gateway.link("wan.200", 7);
    assert_eq!((outer, inner), (2, 3));
    assert_eq!(gateway.tables.interface_name(inner), "wan.200.7");
    assert_eq!(gateway.tables.interface_mac(inner), Some(MACS[usize::from(WAN)]));
    let sub = gateway.tables.sub_interface(inner).unwrap();
    let tag = |tpid, tci| VlanTag { tpid, tci };
    let tags = VlanTags::two(tag(EtherType::SERVICE_VLAN, 200), tag(EtherType::VLAN, 7));
    assert_eq!((sub.port, sub.parent, sub.tags), (WAN, outer, tags));
    assert_eq!(gateway.tables.sub_interface(WAN), None);
    let (index, record) = gateway.reader.interfaces().pop().unwrap();
    assert_eq!(
        (
            index,
            record.parent,
            record.vlan_protocol,
            record.vlan_id,
            record.mtu
        ),
        (u32::from(inner), outer, 0x8100, 7, 1500)
    );
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let mut gateway = Gateway::new();
    gateway.link("wan", 100);
    let on_wan = |id| new("wan", VlanProtocol::Dot1q, id);
    for (asked, code, reason) in [
        (on_wan(100), ErrorCode::Exists, "it is wan.100"),
        (on_wan(0), ErrorCode::Invalid, "1 to 4094"),
        (on_wan(4095), ErrorCode::Invalid, "1 to 4094"),
        (
            new("dmz", VlanProtocol::Dot1q, 1),
            ErrorCode::UnknownInterface,
            "there are lan, wan",
        ),
        (
            NewSubInterface {
                name: Some("lan".into()),
                ..on_wan(5)
            },
            ErrorCode::Exists,
            "'lan' already",
        ),
        (
            NewSubInterface {
                name: Some("a name".into()),
                ..on_wan(5)
            },
            ErrorCode::Invalid,
            "use letters",
        ),
        (
            NewSubInterface {
                name: Some("a-name-of-sixteen".into()),
                ..on_wan(5)
            },
            ErrorCode::Invalid,
            "1 to 15",
        ),
        (
            NewSubInterface {
                mtu: Some(1501),
                ..on_wan(5)
            },
            ErrorCode::Invalid,
            "68 to 1500, which is that of wan",
        ),
    ] {
        let (found, message) = gateway.refused(&asked);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(reason), "{message}");
    }
    gateway.link("wan.100", 7);
    let (_, message) = gateway.refused(&new("wan.100.7", VlanProtocol::Dot1q, 8));
    assert!(message.contains("two tags already"), "{message}");
    // The region of these tests has four interfaces.
    let (code, message) = gateway.refused(&on_wan(5));
    assert_eq!(code, ErrorCode::LimitReached);
    assert!(message.contains("raise sub_interfaces in [limits]"), "{message}");
    // Another protocol is another VLAN.
    gateway.delete_link("wan.100.7");
    gateway
        .tables
        .add_sub_interface(&NewSubInterface {
            name: Some("other".into()),
            ..new("wan", VlanProtocol::Dot1ad, 100)
        })
        .unwrap();
}

#[test]
fn it_goes_with_its_addresses_routes_neighbors_and_what_is_on_it() {
    let mut gateway = Gateway::with_addresses();
    let before = gateway.tables.usage();
    let routes = gateway.shown_routes();
    let outer = gateway.link("wan", 100);
    let inner = gateway.link("wan.100", 7);
    for (interface, net) in [
        (outer, "10.100.0.1/24"),
        (inner, "10.7.0.1/24"),
        (inner, "2001:db8:7::1/64"),
    ] {
        gateway.address(interface, net).unwrap();
    }
    gateway.add("10.200.0.0/16", "10.100.0.2").unwrap();
    gateway.add("10.201.0.0/16", "10.7.0.2").unwrap();
    gateway.add("2001:db8:ffff::/48", "2001:db8:7::2").unwrap();
    gateway
        .tables
        .neighbor_add(inner, "10.7.0.9".parse().unwrap(), host_mac(9), gateway.now)
        .unwrap();
    assert_eq!(gateway.lookup("10.7.0.9"), forward(inner, 9));
    gateway.events();

    assert_eq!(gateway.delete_link("wan.100"), [inner, outer]);
    gateway.reclaim();
    assert_eq!(gateway.shown_routes(), routes);
    assert_eq!(gateway.tables.usage(), before);
    assert_eq!(gateway.reader.interfaces().len(), 2);
    assert_eq!(gateway.lookup("10.7.0.9"), Adjacency::NoRoute);
    let deleted: Vec<_> = gateway
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::LinkDeleted { interface } => Some(interface),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["wan.100.7", "wan.100"]);
    // Its timers are still there, and find nothing to do.
    gateway.pass(30);
    assert_eq!(gateway.sent(), []);
}

#[test]
fn a_port_cannot_be_deleted() {
    let mut gateway = Gateway::new();
    let error = gateway
        .tables
        .delete_sub_interface("wan", gateway.now)
        .unwrap_err();
    assert!(error.message.contains("wan is a port"), "{}", error.message);
}

#[test]
fn an_index_is_used_again_only_once_it_was_let_go() {
    let mut gateway = Gateway::new();
    let first = gateway.link("wan", 100);
    gateway
        .tables
        .delete_sub_interface("wan.100", gateway.now)
        .unwrap();
    assert!(gateway.tables.has_deleted_interfaces());
    let second = gateway.link("wan", 101);
    assert_ne!(first, second);
    gateway.tables.free_indices();
    assert_eq!(gateway.link("wan", 102), first);
}

#[test]
fn it_is_up_while_it_and_all_below_it_are() {
    let mut gateway = Gateway::new();
    let outer = gateway.link("wan", 100);
    let inner = gateway.link("wan.100", 7);
    let state = |gateway: &Gateway| {
        let seen_by_workers = gateway.tables.up_flag(inner).unwrap().load(Ordering::Relaxed);
        let record = gateway.reader.interfaces()[3].1;
        (seen_by_workers, record.admin_up, record.link_up)
    };
    assert_eq!(state(&gateway), (true, 1, 1));
    for below in [WAN, outer] {
        gateway.tables.set_admin(below, false, gateway.now);
        assert_eq!(state(&gateway), (false, 1, 0));
        gateway.tables.set_admin(below, true, gateway.now);
        assert_eq!(state(&gateway), (true, 1, 1));
    }
    gateway.tables.set_link(WAN, false, 0, gateway.now);
    // Whether the port has a carrier is for routes to know, not for workers.
    assert_eq!(state(&gateway), (true, 1, 0));
    // A port without a carrier that is set down as well takes all that is on it along.
    gateway.tables.set_admin(WAN, false, gateway.now);
    assert_eq!(state(&gateway), (false, 1, 0));
    gateway.tables.set_admin(WAN, true, gateway.now);
    gateway.tables.set_link(WAN, true, 0, gateway.now);
    gateway.tables.set_admin(inner, false, gateway.now);
    assert_eq!(state(&gateway), (false, 0, 1));
}

#[test]
fn its_neighbors_are_its_own() {
    let mut gateway = Gateway::with_addresses();
    let vlan = gateway.link("wan", 100);
    gateway.address(vlan, "10.100.0.1/24").unwrap();
    gateway.pass(10);
    gateway.sent();
    gateway.resolve(vlan, "10.100.0.2");
    let (interface, _, request) = gateway.sent().pop().unwrap();
    assert_eq!(interface, vlan);
    let heard = request.reply(host_mac(2));
    // On the port itself nobody has asked.
    gateway.hear(WAN, heard);
    assert_eq!(
        gateway.lookup("10.100.0.2"),
        Adjacency::Incomplete { interface: vlan }
    );
    gateway.hear(vlan, heard);
    assert_eq!(gateway.lookup("10.100.0.2"), forward(vlan, 2));
}
