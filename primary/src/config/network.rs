//! The sections of the network, `[[interface]]`, `[[route]]` and `[[neighbor]]`, each parsed by itself: keys, types, ranges.
//! What one section says of another is looked at in [`super::check`].

use std::net::IpAddr;

use control::message::{Route, RouteTarget};
use ipnet::IpNet;
use packet::MacAddress;

use super::address::{InterfaceAddress, NeighborAddress, Prefix};
use super::document::{At, Section, suggestion};
use super::{Device, Interface, Neighbor};

/// `[[interface]]` as far as it could be read.
pub(super) struct RawInterface {
    pub(super) name: Option<At<String>>,
    pub(super) device: Option<At<Device>>,
    pub(super) addresses: Vec<At<IpNet>>,
    pub(super) mtu: Option<At<u16>>,
    rx_descriptors: u16,
    tx_descriptors: u16,
    /// The name of its tap.
    pub(super) tap: Option<At<String>>,
}

impl RawInterface {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let name = section.string("name").and_then(|text| {
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
        });
        section.missing("name", "\"wan\"");
        let device = section.parsed("device");
        section.missing("device", "\"net_af_packet0,iface=eth1\"");
        let addresses = section.strings("addresses").unwrap_or_default();
        let addresses = addresses
            .iter()
            .filter_map(|text| section.parse::<InterfaceAddress>(text))
            .map(|at| at.map(|address| address.0))
            .collect();
        // RFC 791 section 3.2: every network forwards packets of 68 bytes whole.
        let mtu = section.integer("mtu", 68..=9000);
        let rx_descriptors = section
            .integer("rx_descriptors", 32..=32_768)
            .map_or(1024, |at| at.value);
        let tx_descriptors = section
            .integer("tx_descriptors", 32..=32_768)
            .map_or(1024, |at| at.value);
        let tap = tap(&section, name.as_ref());
        section.finish();
        Self {
            name,
            device,
            addresses,
            mtu,
            rx_descriptors,
            tx_descriptors,
            tap,
        }
    }

    /// What messages call it.
    pub(super) fn label(&self) -> &str {
        self.name.as_ref().map_or("?", |at| &at.value)
    }

    /// The interface, when nothing was wrong with it.
    pub(super) fn into_interface(self) -> Option<Interface> {
        Some(Interface {
            name: self.name?.value,
            device: self.device?.value,
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
            mtu: self.mtu.map_or(1500, |at| at.value),
            rx_descriptors: self.rx_descriptors,
            tx_descriptors: self.tx_descriptors,
            tap: self.tap.map(|at| at.value),
        })
    }

    /// Mbufs that its queues can hold when every worker has one in each direction.
    pub(super) fn descriptors(&self) -> u32 {
        u32::from(self.rx_descriptors) + u32::from(self.tx_descriptors)
    }
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

/// `[[route]]` as far as it could be read.
pub(super) struct RawRoute {
    pub(super) prefix: Option<At<IpNet>>,
    pub(super) via: Option<At<IpAddr>>,
    /// That of the next hop where there is one, and else what the route leads to.
    pub(super) interface: Option<At<String>>,
}

impl RawRoute {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let prefix = section.parsed::<Prefix>("prefix");
        section.missing("prefix", "\"192.168.3.0/24\"");
        let via_text = section.string("via");
        let via = via_text
            .as_ref()
            .and_then(|text| section.parse::<NeighborAddress>(text))
            .map(|at| at.map(|via| via.0));
        let next_hop = via.as_ref().map(|at| at.value);
        // Of which family the default is cannot be said when the next hop cannot be read.
        let prefix = prefix
            .filter(|at| via_text.is_none() || via.is_some() || at.value != Prefix::Default)
            .map(|at| at.map(|prefix| prefix.of_route(next_hop)));
        let interface = section.string("interface").map(|at| at.map(str::to_owned));
        let blackhole = section.boolean("blackhole");
        let tunnel = section.string("tunnel");
        if let Some(tunnel) = &tunnel {
            section.document.report(
                tunnel.place,
                "tunnels are not in this build yet: remove this route",
            );
        }
        if let Some(at) = blackhole.as_ref().filter(|at| !at.value) {
            section
                .document
                .report(at.place, "blackhole = false says nothing: remove it");
        }
        let named = [
            via_text.is_some() || interface.is_some(),
            blackhole.is_some(),
            tunnel.is_some(),
        ];
        if named.iter().filter(|there| **there).count() != 1 {
            let which = prefix.as_ref().map_or_else(
                || "this route".to_owned(),
                |at| format!("the route to {}", at.value),
            );
            let sentence =
                format!("{which} must lead to one thing: give it one of via, interface, blackhole = true");
            section
                .document
                .report(prefix.as_ref().map_or(section.place, |at| at.place), sentence);
        }
        section.finish();
        Self {
            prefix,
            via,
            interface,
        }
    }

    /// The route, when nothing was wrong with it.
    pub(super) fn into_route(self) -> Option<Route> {
        let interface = self.interface.map(|at| at.value);
        let target = match (self.via, interface) {
            (Some(next_hop), interface) => RouteTarget::Via {
                next_hop: next_hop.value,
                interface,
            },
            (None, Some(interface)) => RouteTarget::Interface(interface),
            (None, None) => RouteTarget::Blackhole,
        };
        Some(Route {
            prefix: self.prefix?.value,
            target,
        })
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
    let hint = if interfaces.is_empty() {
        "there is none".to_owned()
    } else {
        suggestion(name, interfaces)
    };
    format!("there is no [[interface]] named '{name}': {hint}")
}
