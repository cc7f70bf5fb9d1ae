//! What sections say of each other: names that must exist, things that may be there once, subnets that must not overlap.
//!
//! Both families go one way. Link-local addresses are apart: each is one interface's, and all interfaces have their subnet.

mod neighbors;
mod services;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use packet::{MacAddress, ipv6};

use super::Limits;
use super::address::{is_link_local, not_a_host_of};
use super::interfaces::MIN_MTU6;
use super::network::{RawInterface, no_such, no_such_interface};
use super::route::{RawNextHop, RawRoute};
use super::service::RawService;
use super::tunnel::RawTunnel;
use document::Place;
use document::{At, Document};

/// An address of the gateway and the interface that has it.
struct Owned<'a> {
    interface: &'a str,
    address: IpNet,
    place: Place,
}

/// An address, and the interface that it is on if it could be on any.
type Scoped<'a> = (IpAddr, Option<&'a str>);

fn scoped(address: IpAddr, interface: &str) -> Scoped<'_> {
    (address, is_link_local(address).then_some(interface))
}

/// Whether it is made of a MAC address, RFC 4291 section 2.5.6 and appendix A.
fn is_of_mac(address: IpAddr) -> bool {
    let IpAddr::V6(address) = address else {
        return false;
    };
    let [.., a, b, c, _, _, d, e, f] = address.octets();
    ipv6::link_local(MacAddress([a ^ 0x02, b, c, d, e, f])) == address
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The gateway's addresses and the subnets that they connect it to.
pub(super) struct Network<'a> {
    names: Vec<&'a str>,
    /// Those of them that are tunnels.
    tunnels: HashSet<&'a str>,
    owned: Vec<Owned<'a>>,
    own: HashMap<Scoped<'a>, &'a str>,
    /// Which interface has addresses of which family.
    families: HashSet<(&'a str, &'static str)>,
    /// Interfaces by connected prefix, those of a single address left out: nobody else is there.
    subnets: HashMap<IpNet, &'a str>,
    lengths: BTreeSet<u8>,
    /// Local addresses of services.
    locals: HashSet<IpAddr>,
}

impl<'a> Network<'a> {
    pub(super) fn of(
        interfaces: &'a [RawInterface],
        tunnels: &'a [RawTunnel],
        services: &'a [RawService],
    ) -> Self {
        let named = interfaces.iter().map(|raw| &raw.name);
        let named = named.chain(tunnels.iter().map(|raw| &raw.name));
        let mut network = Self {
            names: named
                .filter_map(|name| Some(name.as_ref()?.value.as_str()))
                .collect(),
            tunnels: tunnels.iter().map(RawTunnel::label).collect(),
            owned: Vec::new(),
            own: HashMap::new(),
            families: HashSet::new(),
            subnets: HashMap::new(),
            lengths: BTreeSet::new(),
            locals: HashSet::new(),
        };
        for local in services.iter().flat_map(|raw| &raw.locals) {
            let address = local.address.value;
            network.families.insert((&local.interface.value, family(address)));
            network.locals.insert(address);
        }
        let interfaces = interfaces.iter().map(|raw| (raw.label(), &raw.addresses));
        let tunnels = tunnels.iter().map(|raw| (raw.label(), &raw.addresses));
        for (interface, addresses) in interfaces.chain(tunnels) {
            for at in addresses {
                network.own(interface, at);
            }
        }
        network
    }

    fn own(&mut self, interface: &'a str, at: &At<IpNet>) {
        let (net, address) = (at.value, at.value.addr());
        self.owned.push(Owned {
            interface,
            address: net,
            place: at.place,
        });
        self.own.entry(scoped(address, interface)).or_insert(interface);
        self.families.insert((interface, family(address)));
        if net.prefix_len() < net.max_prefix_len() && !is_link_local(address) {
            self.subnets.entry(net.trunc()).or_insert(interface);
            self.lengths.insert(net.prefix_len());
        }
    }

    /// The connected subnet that holds an address, and its interface.
    fn subnet_of(&self, address: IpAddr) -> Option<(IpNet, &'a str)> {
        self.lengths.iter().rev().find_map(|length| {
            let subnet = IpNet::new(address, *length).ok()?.trunc();
            self.subnets.get(&subnet).map(|interface| (subnet, *interface))
        })
    }

    /// The subnet whose network or broadcast address it is. One subnet may lie in another, so all that hold it are asked.
    fn subnet_ended_by(&self, address: IpAddr) -> Option<(IpNet, &'a str)> {
        let holding = self.lengths.iter().filter_map(|length| {
            let subnet = IpNet::new(address, *length).ok()?.trunc();
            self.subnets.get(&subnet).map(|interface| (subnet, *interface))
        });
        let ends = |(subnet, _): &(IpNet, &str)| {
            subnet.prefix_len() < 31 && (subnet.network() == address || subnet.broadcast() == address)
        };
        holding.filter(|(subnet, _)| subnet.addr().is_ipv4()).find(ends)
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
        self.check_overlaps(document);
        let mut seen: HashMap<(IpAddr, &str), Place> = HashMap::new();
        let mut link_local: HashMap<&str, &Owned<'_>> = HashMap::new();
        for owned in &self.owned {
            let (interface, address) = (owned.interface, owned.address.addr());
            let sentence = if let Some(first) = seen.insert((address, interface), owned.place) {
                format!("{interface} has {address} already ({first}): remove one")
            } else if is_link_local(address)
                && let Some(first) = link_local.insert(interface, owned)
            {
                format!(
                    "{interface} has the link-local address {} already ({}): remove one",
                    first.address.addr(),
                    first.place
                )
            } else {
                continue;
            };
            document.report(owned.place, sentence);
        }
    }

    fn check_overlaps(&self, document: &Document<'_>) {
        let everywhere = |owned: &&Owned<'_>| is_link_local(owned.address.addr());
        let mut sorted: Vec<&Owned<'_>> = self.owned.iter().filter(|owned| !everywhere(owned)).collect();
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
    }

    pub(super) fn check_routes(&self, document: &Document<'_>, routes: &[RawRoute], limits: &Limits) {
        let prefixes = || routes.iter().filter_map(|raw| raw.prefix.as_ref());
        for (name, key, limit) in [
            ("IPv4", "routes4", limits.routes4),
            ("IPv6", "routes6", limits.routes6),
        ] {
            let of_family = || prefixes().filter(|at| family(at.value.addr()) == name);
            if let Some(first) = of_family().nth(limit as usize) {
                let sentence = format!(
                    "there are {} {name} routes and [limits] has room for {limit}: raise {key} there",
                    of_family().count()
                );
                document.report(first.place, sentence);
            }
        }
        let mut seen: HashMap<(IpNet, u32), Place> = HashMap::new();
        for (prefix, metric) in routes.iter().filter_map(RawRoute::key) {
            self.check_destination(document, &prefix);
            if let Some(first) = seen.insert((prefix.value, metric), prefix.place) {
                let sentence = format!(
                    "there is a route to {} already ({first}): remove one, or give them different metrics",
                    prefix.value
                );
                document.report(prefix.place, sentence);
            }
        }
        for raw in routes {
            self.check_target(document, raw);
        }
    }

    fn check_destination(&self, document: &Document<'_>, prefix: &At<IpNet>) {
        let (net, single) = (prefix.value, prefix.value.max_prefix_len());
        if let Some(interface) = self.subnets.get(&net) {
            let sentence = format!(
                "{net} is the subnet of {interface}, to which there is a route of its own: remove this one"
            );
            document.report(prefix.place, sentence);
        } else if let (true, Some(interface)) =
            (net.prefix_len() == single, self.own.get(&(net.addr(), None)))
        {
            let sentence = format!("{net} is the gateway's own address on {interface}: remove this route");
            document.report(prefix.place, sentence);
        } else if net.prefix_len() == single && self.locals.contains(&net.addr()) {
            let sentence = format!("{net} is a local address of services: remove this route");
            document.report(prefix.place, sentence);
        } else if let (true, Some((subnet, interface))) =
            (net.prefix_len() == single, self.subnet_ended_by(net.addr()))
        {
            let sentence = format!(
                "{net} is the network or broadcast address of {subnet} on {interface}, to which there is a route of its own: \
                 remove this one"
            );
            document.report(prefix.place, sentence);
        }
    }

    /// Where a route leads, and what it says of that.
    fn check_target(&self, document: &Document<'_>, raw: &RawRoute) {
        let prefix = raw.prefix.as_ref().map(|at| at.value);
        for next_hop in &raw.next_hops {
            self.check_next_hop(document, prefix, next_hop);
        }
        // Link-local addresses are on every link; others have one subnet, whatever is named beside them.
        let mut seen: HashSet<Scoped<'_>> = HashSet::new();
        for next_hop in &raw.next_hops {
            let At { place, value } = next_hop.address;
            let interface = next_hop.interface.as_ref().map_or("", |at| &at.value);
            if !seen.insert(scoped(value, interface)) {
                let sentence =
                    format!("the next hop {value} is named twice: give it the sum of both weights");
                document.report(place, sentence);
            }
        }
        if let Some(at) = &raw.interface
            && self.check_interface(document, at, raw.names_tunnel)
            // Who is there is asked from an address, but on a tunnel.
            && let Some(prefix) = prefix
            && !self.tunnels.contains(at.value.as_str())
            && !self.families.contains(&(&at.value, family(prefix.addr())))
        {
            let sentence = format!(
                "the route to {prefix} leads out of {0}, which has no {1} address: give {0} one",
                at.value,
                family(prefix.addr())
            );
            document.report(at.place, sentence);
        }
        if let Some(at) = &raw.source {
            let source = at.value;
            let other = prefix.filter(|prefix| family(prefix.addr()) != family(source));
            if let Some(prefix) = other {
                let sentence = format!("src = '{source}' is not of the family of {prefix}: name one that is");
                document.report(at.place, sentence);
            } else if !self.owned.iter().any(|owned| owned.address.addr() == source) && !self.may_make(source)
            {
                let sentence = format!("src = '{source}' is no address of an [[interface]]: name one");
                document.report(at.place, sentence);
            }
        }
        let (Some(at), Some(prefix)) = (&raw.mtu, prefix) else {
            return;
        };
        if raw.next_hops.is_empty() {
            let why = if raw.leads_somewhere() {
                "leads out of an interface, whose mtu counts"
            } else {
                "leads nowhere"
            };
            document.report(at.place, format!("the route to {prefix} {why}: remove its mtu"));
        } else if prefix.addr().is_ipv6() && at.value < MIN_MTU6 {
            let sentence = format!(
                "mtu = {} is too short for IPv6: give it at least {MIN_MTU6}",
                at.value
            );
            document.report(at.place, sentence);
        }
    }

    /// Whether an interface may make the address itself, the link-local one of some MAC address. Which one is known once it runs.
    fn may_make(&self, address: IpAddr) -> bool {
        let is_given = |interface: &str| {
            let mut its = self.owned.iter().filter(|owned| owned.interface == interface);
            its.any(|owned| is_link_local(owned.address.addr()))
        };
        let makes = |(interface, of): &(&str, &str)| *of == "IPv6" && !is_given(interface);
        is_of_mac(address) && self.families.iter().any(makes)
    }

    fn check_next_hop(&self, document: &Document<'_>, prefix: Option<IpNet>, next_hop: &RawNextHop) {
        let interface = next_hop.interface.as_ref();
        if interface.is_some_and(|at| !self.check_interface(document, at, false)) {
            return;
        }
        let At {
            place,
            value: address,
        } = next_hop.address;
        let sentence = match prefix {
            Some(prefix) if family(prefix.addr()) != family(address) => Some(format!(
                "the next hop {address} is not of the family of {prefix}: name an {} address",
                family(prefix.addr())
            )),
            _ => self.host_fault("next hop", address, interface.map(|at| at.value.as_str())),
        };
        if let Some(sentence) = sentence {
            document.report(place, sentence);
        }
    }

    /// Why `address` is not another host's on a connected subnet, that of `interface` where one is named.
    fn host_fault(&self, what: &str, address: IpAddr, interface: Option<&str>) -> Option<String> {
        let own = match interface {
            Some(interface) => self.own.get(&scoped(address, interface)),
            None => self.own.get(&(address, None)),
        };
        if let Some(owner) = own {
            return Some(format!(
                "the {what} {address} is the gateway's own address on {owner}: name another host's"
            ));
        }
        if is_link_local(address) {
            return match interface {
                None => Some(format!(
                    "the {what} {address} is link-local, and every link may have it: say which one with interface = \"{}\"",
                    self.names.first().unwrap_or(&"wan")
                )),
                Some(interface) if !self.families.contains(&(interface, family(address))) => Some(format!(
                    "the {what} {address} is link-local on {interface}, which has no IPv6 address: give {interface} one"
                )),
                Some(_) => None,
            };
        }
        match (self.subnet_of(address), interface) {
            (None, None) => Some(format!(
                "the {what} {address} is on no connected subnet: give an interface an address of its subnet, or name \
                 another {what}"
            )),
            (None, Some(interface)) => Some(format!(
                "the {what} {address} is on no subnet of {interface}: give {interface} an address there"
            )),
            (Some((subnet, there)), Some(interface)) if there != interface => Some(format!(
                "the {what} {address} is in {subnet}, which is on {there} and not on {interface}: name {there}"
            )),
            (Some((subnet, there)), _) => not_a_host_of(subnet, address).map(|reason| {
                format!(
                    "the {what} {address} cannot be a host of {subnet} on {there}: {reason}; name a host's"
                )
            }),
        }
    }

    /// Whether there is an interface of that name, which must be a tunnel where that is asked for.
    fn check_interface(&self, document: &Document<'_>, at: &At<String>, tunnel: bool) -> bool {
        let name = at.value.as_str();
        let known = self.names.contains(&name);
        if tunnel && !self.tunnels.contains(name) {
            let sentence = if known {
                format!("'{name}' is no tunnel: write interface = \"{name}\"")
            } else {
                let mut tunnels: Vec<&str> = self.tunnels.iter().copied().collect();
                tunnels.sort_unstable();
                no_such("[[tunnel]]", name, &tunnels)
            };
            document.report(at.place, sentence);
            return false;
        }
        if !known {
            document.report(at.place, no_such_interface(name, &self.names));
        }
        known
    }
}
