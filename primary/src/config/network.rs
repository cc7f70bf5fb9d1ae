//! The sections of the network, `[[interface]]` and `[[neighbor]]`, each parsed by itself: keys, types, ranges. Routes are in
//! [`super::route`].
//!
//! What one section says of another is looked at in [`super::check`].

use std::net::IpAddr;

use ipnet::IpNet;
use packet::MacAddress;

use super::address::{InterfaceAddress, NeighborAddress};
use super::places::Places;
use super::vlan::RawVlan;
use super::{Bond, BondMode, Device, HopByHop, Interface, Neighbor, bond};
use document::Place;
use document::{At, Section, suggestion};

/// `[[interface]]` as far as it could be read.
pub(super) struct RawInterface {
    /// Where it begins.
    place: Place,
    pub(super) name: Option<At<String>>,
    pub(super) device: Option<At<Device>>,
    pub(super) addresses: Vec<At<IpNet>>,
    pub(super) mtu: Option<At<u16>>,
    /// What is one in it, if it is a bond.
    pub(super) bond: Option<(BondMode, Vec<At<Device>>)>,
    /// What makes it a sub-interface, if it is one.
    pub(super) vlan: Option<RawVlan>,
    rx_descriptors: u16,
    tx_descriptors: u16,
    /// Whether it is to be set up.
    pub(super) up: bool,
    /// The name of its tap.
    pub(super) tap: Option<At<String>>,
    /// Whether redirects are sent.
    pub(super) redirects: bool,
    /// What becomes of hop-by-hop headers.
    pub(super) hop_by_hop: HopByHop,
}

impl RawInterface {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let name = interface_name(&section);
        section.missing("name", "\"wan\"");
        let vlan = RawVlan::parse(&section);
        let device: Option<At<Device>> = section.parsed("device");
        match (&vlan, &device) {
            (None, _) => section.missing("device", "\"net_af_packet0,iface=eth1\""),
            (Some(vlan), Some(device)) => {
                let sentence = format!(
                    "a sub-interface has no device of its own, it is on '{}': remove link or device",
                    vlan.link.value
                );
                section.document.report(device.place, sentence);
            }
            (Some(_), None) => {}
        }
        let is_bond = device.as_ref().is_some_and(|at| at.value.is_bond());
        let bond = bond::parse(&section, is_bond);
        let addresses = section.strings("addresses").unwrap_or_default();
        let addresses = addresses
            .iter()
            .filter_map(|text| section.parse::<InterfaceAddress>(text))
            .map(|at| at.map(|address| address.0))
            .collect();
        // RFC 791 section 3.2: every network forwards packets of 68 bytes whole.
        let mtu = section.integer("mtu", 68..=9000);
        let descriptors = |key| match &vlan {
            // Unknown there, as it has no queues.
            Some(_) => 0,
            None => section.integer(key, 32..=32_768).map_or(1024, |at| at.value),
        };
        let (rx_descriptors, tx_descriptors) = (descriptors("rx_descriptors"), descriptors("tx_descriptors"));
        let tap = tap(&section, name.as_ref());
        let on_unless_said = |key| section.boolean(key).is_none_or(|at| at.value);
        let (up, redirects) = (on_unless_said("up"), on_unless_said("redirects"));
        let hop_by_hop = HopByHop::parse(&section);
        let place = section.place;
        section.finish();
        Self {
            place,
            name,
            device,
            addresses,
            mtu,
            bond,
            vlan,
            rx_descriptors,
            tx_descriptors,
            up,
            tap,
            redirects,
            hop_by_hop,
        }
    }

    /// Notes where it begins.
    pub(super) fn note_place(&self, places: &mut Places) {
        if let Some(name) = &self.name {
            places.name_interface(&name.value, self.place);
        }
    }

    /// What messages call it.
    pub(super) fn label(&self) -> &str {
        self.name.as_ref().map_or("?", |at| &at.value)
    }

    /// The interface, when nothing was wrong with it and it is no sub-interface.
    pub(super) fn into_interface(self) -> Option<Interface> {
        Some(Interface {
            name: self.name?.value,
            device: self.device?.value,
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
            mtu: self.mtu.map_or(1500, |at| at.value),
            rx_descriptors: self.rx_descriptors,
            tx_descriptors: self.tx_descriptors,
            bond: self.bond.map(|(mode, members)| Bond {
                mode,
                members: members.into_iter().map(|at| at.value).collect(),
            }),
            up: self.up,
            tap: self.tap.map(|at| at.value),
            redirects: self.redirects,
            hop_by_hop: self.hop_by_hop,
        })
    }

    /// Mbufs that its queues can hold when every worker has one in each direction.
    pub(super) fn descriptors(&self) -> u32 {
        // Those of each member of a bond.
        let devices = self.bond.as_ref().map_or(1, |(_, members)| members.len()) as u32;
        devices * (u32::from(self.rx_descriptors) + u32::from(self.tx_descriptors))
    }
}

/// `name`, of an interface.
pub(super) fn interface_name(section: &Section<'_>) -> Option<At<String>> {
    let text = section.string("name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let good = (1..=15).contains(&text.value.len()) && text.value.chars().all(plain);
    if !good {
        let sentence = format!(
            "'{}' is not an interface name: use 1 to 15 letters, digits, '.', '_' and '-'",
            text.value
        );
        section.document.report(text.place, sentence);
    }
    good.then(|| text.map(str::to_owned))
}

/// The name of the kernel interface that `tap = true` asks for: the interface's own, or `tap_name`.
fn tap(section: &Section<'_>, interface: Option<&At<String>>) -> Option<At<String>> {
    let wanted = section.boolean("tap");
    let given = section.string("tap_name");
    if let Some(at) = &given
        && !wanted.as_ref().is_some_and(|at| at.value)
    {
        section.document.report(
            at.place,
            "tap_name names the interface that tap = true makes: add tap = true, or remove it",
        );
        return None;
    }
    let wanted = wanted.filter(|at| at.value)?;
    let (name, place) = match &given {
        Some(at) => (at.value, at.place),
        None => (interface?.value.as_str(), wanted.place),
    };
    if let Some(reason) = kernel_name_fault(name) {
        let sentence = format!(
            "the tap cannot be named '{name}', {reason}: set tap_name to 1 to 15 letters, digits, '.', '_' and '-'"
        );
        section.document.report(place, sentence);
        return None;
    }
    Some(At {
        place,
        value: name.to_owned(),
    })
}

/// Why no interface of the kernel can have that name.
fn kernel_name_fault(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "." | ".." | "all" | "default" | "lo" => Some("a name that the kernel uses for something else"),
        _ if name.len() > 15 => Some("as the kernel's interfaces have names of at most 15 characters"),
        _ if name.is_empty() || !name.chars().all(plain) => Some("which has characters that are not allowed"),
        _ => None,
    }
}

/// `[[neighbor]]` as far as it could be read.
pub(super) struct RawNeighbor {
    pub(super) address: Option<At<IpAddr>>,
    mac: Option<At<MacAddress>>,
    pub(super) interface: Option<At<String>>,
}

impl RawNeighbor {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let address = section
            .parsed::<NeighborAddress>("address")
            .map(|at| at.map(|address| address.0));
        section.missing("address", "\"192.168.10.2\"");
        let mac = section.parsed::<MacAddress>("mac");
        if let Some(mac) = mac.as_ref().filter(|mac| !mac.value.is_unicast()) {
            let sentence = format!("{} is no station's MAC address: use a unicast address", mac.value);
            section.document.report(mac.place, sentence);
        }
        section.missing("mac", "\"02:00:00:00:10:02\"");
        let interface = section.string("interface").map(|at| at.map(str::to_owned));
        section.missing("interface", "\"wan\"");
        section.finish();
        Self {
            address,
            mac,
            interface,
        }
    }

    /// The neighbour, when nothing was wrong with it.
    pub(super) fn into_neighbor(self) -> Option<Neighbor> {
        Some(Neighbor {
            address: self.address?.value,
            mac: self.mac?.value,
            interface: self.interface?.value,
        })
    }
}

/// The sentence for a name that is no interface's.
pub(super) fn no_such_interface(name: &str, interfaces: &[&str]) -> String {
    no_such("[[interface]]", name, interfaces)
}

/// The sentence for a name that no section of a kind has.
pub(super) fn no_such(kind: &str, name: &str, names: &[&str]) -> String {
    let hint = if names.is_empty() {
        "there is none".to_owned()
    } else {
        suggestion(name, names)
    };
    format!("there is no {kind} named '{name}': {hint}")
}
