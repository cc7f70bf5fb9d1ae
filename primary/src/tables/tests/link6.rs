//! The IPv6 side of the test gateway: what hosts on its links say to it, and what it says to them.

use packet::ipv6::{ALL_NODES, multicast_mac, solicited_node};
use packet::nd::{NeighborAdvertisement, NeighborMessage, NeighborSolicitation};
use shm::records::AddressState;
use std::net::Ipv6Addr;

use super::*;

/// The link-local addresses that `lan` and `wan` make themselves of [`MACS`].
pub(super) const LINK_LOCALS: [&str; 2] = ["fe80::ff:fe00:1", "fe80::ff:fe00:2"];

/// An advertisement before a test changes it: from a host, solicited, to replace what is known.
pub(super) fn advertisement(target: &str, last: u8) -> NeighborAdvertisement {
    NeighborAdvertisement {
        target: six(target),
        router: false,
        solicited: true,
        overrides: true,
        target_link_layer: Some(host_mac(last)),
    }
}

pub(super) fn six(address: &str) -> Ipv6Addr {
    address.parse().unwrap()
}

impl Gateway {
    /// `lan` has 2001:db8::1/64, `wan` 2001:db8:1::1/64; they and the link-local ones are in use, and what that made to
    /// do is done.
    pub(super) fn with_addresses6() -> Self {
        let mut gateway = Self::new();
        gateway.address(LAN, "2001:db8::1/64").unwrap();
        gateway.address(WAN, "2001:db8:1::1/64").unwrap();
        gateway.pass(10);
        gateway.tables.take_actions();
        gateway
    }

    pub(super) fn hear_nd(
        &mut self,
        interface: u16,
        mac: MacAddress,
        source: &str,
        message: NeighborMessage,
    ) {
        self.tables
            .nd_received(interface, mac, six(source), &message, false, self.now);
    }

    /// The host asks everybody for `target`.
    pub(super) fn hear_question_to_all(&mut self, interface: u16, source: &str, last: u8, target: &str) {
        let question = NeighborMessage::Solicitation(NeighborSolicitation {
            target: six(target),
            source_link_layer: Some(host_mac(last)).filter(|_| source != "::"),
        });
        self.tables
            .nd_received(interface, host_mac(last), six(source), &question, true, self.now);
    }

    /// The host asks for `target`, and says that it is at its MAC address.
    pub(super) fn hear_question(&mut self, interface: u16, source: &str, last: u8, target: &str) {
        let question = NeighborSolicitation {
            target: six(target),
            source_link_layer: Some(host_mac(last)),
        };
        self.hear_nd(
            interface,
            host_mac(last),
            source,
            NeighborMessage::Solicitation(question),
        );
    }

    /// Somebody looks whether `target` is free.
    pub(super) fn hear_detection(&mut self, interface: u16, last: u8, target: &str) {
        let question = NeighborSolicitation {
            target: six(target),
            source_link_layer: None,
        };
        self.hear_nd(
            interface,
            host_mac(last),
            "::",
            NeighborMessage::Solicitation(question),
        );
    }

    /// The host of the target says this.
    pub(super) fn hear_advertisement(&mut self, interface: u16, last: u8, message: NeighborAdvertisement) {
        let source = message.target.to_string();
        self.hear_nd(
            interface,
            host_mac(last),
            &source,
            NeighborMessage::Advertisement(message),
        );
    }

    /// The host answers a solicitation of the gateway.
    pub(super) fn answer6(&mut self, interface: u16, address: &str, last: u8) {
        self.hear_advertisement(interface, last, advertisement(address, last));
    }

    /// The neighbour discovery to send since the last call.
    pub(super) fn sent_nd(&mut self) -> Vec<Action> {
        let actions = self.tables.take_actions().into_iter();
        actions
            .filter(|action| matches!(action, Action::SendNd { .. }))
            .collect()
    }

    /// What tools see of an address of the gateway.
    pub(super) fn address_state(&self, interface: u16, address: &str) -> Option<AddressState> {
        let address: IpAddr = address.parse().unwrap();
        let records = self.reader.addresses();
        let (_, record) = records
            .iter()
            .find(|(_, record)| record.interface == interface && from_ip_field(record.address) == address)?;
        AddressState::from_raw(record.state)
    }

    /// What tools see of a neighbour on one of several interfaces.
    pub(super) fn shown_on(&self, interface: u16, address: &str) -> Option<(NeighborState, MacAddress)> {
        let address: IpAddr = address.parse().unwrap();
        let records = self.reader.neighbors();
        let (_, record) = records
            .iter()
            .find(|(_, record)| record.interface == interface && from_ip_field(record.address) == address)?;
        Some((
            NeighborState::from_raw(record.state).unwrap(),
            MacAddress(record.mac),
        ))
    }
}

/// The gateway asks everyone who might have `target`.
pub(super) fn asks_all(interface: u16, source: &str, target: &str) -> Action {
    let group = solicited_node(six(target));
    asks(interface, multicast_mac(group), source, group, target)
}

/// The gateway asks the host itself.
pub(super) fn asks_it(interface: u16, source: &str, target: &str, last: u8) -> Action {
    asks(interface, host_mac(last), source, six(target), target)
}

fn asks(interface: u16, mac: MacAddress, source: &str, destination: Ipv6Addr, target: &str) -> Action {
    Action::SendNd {
        interface,
        mac,
        source: six(source),
        destination,
        message: NeighborMessage::Solicitation(NeighborSolicitation {
            target: six(target),
            source_link_layer: Some(MACS[usize::from(interface)]),
        }),
    }
}

/// The gateway looks whether anybody has `address`.
pub(super) fn looks_for(interface: u16, address: &str) -> Action {
    let group = solicited_node(six(address));
    Action::SendNd {
        interface,
        mac: multicast_mac(group),
        source: Ipv6Addr::UNSPECIFIED,
        destination: group,
        message: NeighborMessage::Solicitation(NeighborSolicitation {
            target: six(address),
            source_link_layer: None,
        }),
    }
}

/// The gateway tells `destination` at `mac` that it has `address`.
pub(super) fn replies(interface: u16, address: &str, mac: MacAddress, destination: &str) -> Action {
    tells(interface, address, mac, six(destination), true)
}

/// The gateway tells everyone that it has `address`.
pub(super) fn announces(interface: u16, address: &str) -> Action {
    tells(interface, address, multicast_mac(ALL_NODES), ALL_NODES, false)
}

fn tells(interface: u16, address: &str, mac: MacAddress, destination: Ipv6Addr, solicited: bool) -> Action {
    Action::SendNd {
        interface,
        mac,
        source: six(address),
        destination,
        message: NeighborMessage::Advertisement(NeighborAdvertisement {
            target: six(address),
            router: true,
            solicited,
            overrides: true,
            target_link_layer: Some(MACS[usize::from(interface)]),
        }),
    }
}
