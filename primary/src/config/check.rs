//! What sections say of each other: names that must exist, things that may be there once, subnets that must not overlap.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use control::message::RouteTarget;
use ipnet::Ipv4Net;

use super::Limits;
use super::document::{At, Document};
use super::problem::Place;
use super::sections::{RawInterface, RawNeighbor, RawRoute, no_such_interface};

/// An address of the gateway and the interface that has it.
struct Owned<'a> {
    interface: &'a str,
    address: Ipv4Net,
    place: Place,
}

/// The gateway's addresses and the subnets that they connect it to.
pub(super) struct Network<'a> {
    names: Vec<&'a str>,
    owned: Vec<Owned<'a>>,
    own: HashMap<Ipv4Addr, &'a str>,
    /// Interfaces by connected prefix, prefixes of /32 left out: nobody else is there.
    subnets: HashMap<Ipv4Net, &'a str>,
    lengths: BTreeSet<u8>,
}

impl<'a> Network<'a> {
    pub(super) fn of(interfaces: &'a [RawInterface]) -> Self {
        let mut network = Self {
            names: interfaces
                .iter()
                .filter_map(|raw| Some(raw.name.as_ref()?.value.as_str()))
                .collect(),
            owned: Vec::new(),
            own: HashMap::new(),
            subnets: HashMap::new(),
            lengths: BTreeSet::new(),
        };
        for raw in interfaces {
            let interface = raw.name.as_ref().map_or("?", |name| &name.value);
            for at in &raw.addresses {
                network.owned.push(Owned {
                    interface,
                    address: at.value,
                    place: at.place,
                });
                network.own.entry(at.value.addr()).or_insert(interface);
                if at.value.prefix_len() < 32 {
                    network.subnets.entry(at.value.trunc()).or_insert(interface);
                    network.lengths.insert(at.value.prefix_len());
                }
            }
        }
        network
    }

    /// The connected subnet that holds an address, and its interface.
    fn subnet_of(&self, address: Ipv4Addr) -> Option<(Ipv4Net, &'a str)> {
        self.lengths.iter().rev().find_map(|length| {
            let subnet = Ipv4Net::new(address, *length).ok()?.trunc();
            self.subnets.get(&subnet).map(|interface| (subnet, *interface))
        })
    }

    /// Each address once, and no subnet on two interfaces: an address would be on both.
    pub(super) fn check_addresses(&self, document: &Document<'_>, limits: &Limits) {
        if self.owned.len() > limits.addresses as usize
            && let Some(first) = self.owned.get(limits.addresses as usize)
        {
            let sentence = format!(
                "there are {} addresses and [limits] has room for {}: raise addresses there",
                self.owned.len(),
                limits.addresses
            );
            document.report(first.place, sentence);
        }
        let mut sorted: Vec<&Owned<'_>> = self.owned.iter().collect();
        sorted.sort_by_key(|owned| (owned.address.network(), owned.address.prefix_len(), owned.place));
        // Two prefixes are apart or one holds the other, so those that hold the next one lie on a stack.
        let mut enclosing: Vec<&Owned<'_>> = Vec::new();
        for owned in sorted {
            while enclosing
                .pop_if(|outer| !outer.address.contains(&owned.address.network()))
                .is_some()
            {}
            if let Some(other) = enclosing.iter().find(|outer| outer.interface != owned.interface) {
                let (later, earlier) = if owned.place > other.place {
                    (owned, *other)
                } else {
                    (*other, owned)
                };
                let sentence = format!(
                    "{} on {} overlaps {} on {} ({}): give them different subnets",
                    later.address, later.interface, earlier.address, earlier.interface, earlier.place
                );
                document.report(later.place, sentence);
            }
            let known = |outer: &&Owned<'_>| {
                outer.interface == owned.interface && outer.address.trunc() == owned.address.trunc()
            };
            if !enclosing.iter().any(known) {
                enclosing.push(owned);
            }
        }
        let mut seen: HashMap<(Ipv4Addr, &str), Place> = HashMap::new();
        for owned in &self.owned {
            if let Some(first) = seen.insert((owned.address.addr(), owned.interface), owned.place) {
                let sentence = format!(
                    "{} has {} already ({first}): remove one",
                    owned.interface,
                    owned.address.addr()
                );
                document.report(owned.place, sentence);
            }
        }
    }

    pub(super) fn check_routes(&self, document: &Document<'_>, routes: &[RawRoute], limits: &Limits) {
        if let Some(prefix) = routes
            .get(limits.routes4 as usize)
            .and_then(|raw| raw.prefix.as_ref())
        {
            let sentence = format!(
                "there are {} routes and [limits] has room for {}: raise routes4 there",
                routes.len(),
                limits.routes4
            );
            document.report(prefix.place, sentence);
        }
        let mut seen: HashMap<Ipv4Net, Place> = HashMap::new();
        for raw in routes {
            if let Some(prefix) = &raw.prefix {
                self.check_destination(document, prefix);
                if let Some(first) = seen.insert(prefix.value, prefix.place) {
                    let sentence = format!(
                        "there is a route to {} already ({first}): remove one",
                        prefix.value
                    );
                    document.report(prefix.place, sentence);
                }
            }
            match raw.target.as_ref().map(|at| (at.place, &at.value)) {
                Some((place, RouteTarget::Via(via))) => self.check_next_hop(document, place, *via),
                Some((place, RouteTarget::Interface(name))) => {
                    self.check_interface(document, place, name);
                }
                Some((_, RouteTarget::Blackhole)) | None => {}
            }
        }
    }

    fn check_destination(&self, document: &Document<'_>, prefix: &At<Ipv4Net>) {
        if let Some(interface) = self.subnets.get(&prefix.value) {
            let sentence = format!(
                "{} is the subnet of {interface}, to which there is a route of its own: remove this one",
                prefix.value
            );
            document.report(prefix.place, sentence);
        } else if let (32, Some(interface)) = (prefix.value.prefix_len(), self.own.get(&prefix.value.addr()))
        {
            let sentence = format!(
                "{} is the gateway's own address on {interface}: remove this route",
                prefix.value
            );
            document.report(prefix.place, sentence);
        }
    }

    fn check_next_hop(&self, document: &Document<'_>, place: Place, via: Ipv4Addr) {
        let sentence = if let Some(interface) = self.own.get(&via) {
            format!("the next hop {via} is the gateway's own address on {interface}: name the other router's")
        } else {
            match self.subnet_of(via) {
                None => format!(
                    "the next hop {via} is on no connected subnet: give an interface an address of its subnet, or name \
                     another next hop"
                ),
                Some((subnet, interface)) if is_no_host(subnet, via) => {
                    format!(
                        "the next hop {via} is the network or broadcast address of {subnet} on {interface}: name a host's"
                    )
                }
                Some(_) => return,
            }
        };
        document.report(place, sentence);
    }

    fn check_interface(&self, document: &Document<'_>, place: Place, name: &str) -> bool {
        let known = self.names.contains(&name);
        if !known {
            document.report(place, no_such_interface(name, &self.names));
        }
        known
    }

    pub(super) fn check_neighbors(
        &self,
        document: &Document<'_>,
        neighbors: &[RawNeighbor],
        limits: &Limits,
    ) {
        if let Some(address) = neighbors
            .get(limits.neighbors as usize)
            .and_then(|raw| raw.address.as_ref())
        {
            let sentence = format!(
                "there are {} neighbors and [limits] has room for {}: raise neighbors there",
                neighbors.len(),
                limits.neighbors
            );
            document.report(address.place, sentence);
        }
        let mut seen: HashMap<Ipv4Addr, Place> = HashMap::new();
        for raw in neighbors {
            let known = raw
                .interface
                .as_ref()
                .filter(|at| self.check_interface(document, at.place, &at.value));
            let Some(At {
                place,
                value: address,
            }) = raw.address
            else {
                continue;
            };
            if let Some(first) = seen.insert(address, place) {
                document.report(
                    place,
                    format!("the neighbor {address} is there already ({first}): remove one"),
                );
            }
            if let Some(owner) = self.own.get(&address) {
                document.report(
                    place,
                    format!("the neighbor {address} is the gateway itself, on {owner}: remove it"),
                );
            } else if let Some(interface) = known {
                self.check_neighbor_subnet(document, place, address, &interface.value);
            }
        }
    }

    fn check_neighbor_subnet(
        &self,
        document: &Document<'_>,
        place: Place,
        address: Ipv4Addr,
        interface: &str,
    ) {
        let sentence = match self.subnet_of(address) {
            Some((_, there)) if there == interface => return,
            Some((subnet, there)) => {
                format!(
                    "the neighbor {address} is in {subnet}, which is on {there} and not on {interface}: name {there}"
                )
            }
            None => format!(
                "the neighbor {address} is on no subnet of {interface}: give {interface} an address there"
            ),
        };
        document.report(place, sentence);
    }
}

/// Whether an address stands for the subnet or for all its hosts. A /31 has two hosts and neither (RFC 3021).
fn is_no_host(subnet: Ipv4Net, address: Ipv4Addr) -> bool {
    subnet.prefix_len() < 31 && (address == subnet.network() || address == subnet.broadcast())
}

/// Each name once, and each device once.
pub(super) fn check_interfaces(document: &Document<'_>, interfaces: &[RawInterface]) {
    if interfaces.is_empty() {
        document.report_missing("there is no [[interface]]: add one for each port");
    }
    let mut names: HashMap<&str, Place> = HashMap::new();
    let mut devices: HashMap<String, (&str, Place)> = HashMap::new();
    for raw in interfaces {
        let name = raw.name.as_ref().map_or("?", |at| at.value.as_str());
        if let Some(At { place, .. }) = raw.name
            && let Some(first) = names.insert(name, place)
        {
            document.report(
                place,
                format!("there is an interface '{name}' already ({first}): give this one another name"),
            );
        }
        let Some(At { place, value: device }) = &raw.device else {
            continue;
        };
        let mut keys = vec![device.pci().map_or_else(
            || format!("device {}", device.name()),
            |pci| format!("PCI device {pci}"),
        )];
        keys.extend(
            device
                .kernel_interface()
                .map(|interface| format!("kernel interface {interface}")),
        );
        for key in keys {
            if let Some((other, first)) = devices.insert(key.clone(), (name, *place)) {
                let sentence = format!("the {key} is '{other}' already ({first}): give '{name}' another");
                document.report(*place, sentence);
                break;
            }
        }
    }
}
