//! What the gateway reaches with the addresses that it has at one moment of a reload.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use control::message::{Route, RouteTarget};
use ipnet::IpNet;

use super::routes::next_hops;

/// An address and the interface that has it.
pub(super) type Given<'a> = (&'a str, IpNet);

/// The gateway's addresses and their subnets.
pub(super) struct Reach<'a> {
    hosts: HashSet<IpAddr>,
    /// All of them, link-local ones included.
    sources: HashSet<IpAddr>,
    /// Interfaces by subnet.
    subnets: HashMap<IpNet, &'a str>,
    lengths: BTreeSet<u8>,
    /// Prefixes that addresses bring routes for.
    own: HashSet<IpNet>,
    /// Which interface has addresses of IPv4, and of IPv6.
    families: HashSet<(&'a str, bool)>,
    /// Which interface is given a link-local address.
    link_local: HashSet<&'a str>,
    /// Tunnels, out of which routes lead without an address.
    tunnels: HashSet<&'a str>,
}

impl<'a> Reach<'a> {
    pub(super) fn of(addresses: impl IntoIterator<Item = Given<'a>>) -> Self {
        let mut reach = Self {
            hosts: HashSet::new(),
            sources: HashSet::new(),
            subnets: HashMap::new(),
            lengths: BTreeSet::new(),
            own: HashSet::new(),
            families: HashSet::new(),
            link_local: HashSet::new(),
            tunnels: HashSet::new(),
        };
        for (interface, net) in addresses {
            reach.families.insert((interface, net.addr().is_ipv4()));
            reach.sources.insert(net.addr());
            if is_link_local(net.addr()) {
                reach.link_local.insert(interface);
                continue;
            }
            reach.hosts.insert(net.addr());
            reach.subnets.insert(net.trunc(), interface);
            reach.lengths.insert(net.prefix_len());
            reach.own.extend(own_prefixes(net));
        }
        reach
    }

    /// With the link-local addresses that interfaces make themselves where they have addresses of IPv6 and are given none.
    pub(super) fn making(mut self, made: &HashMap<&'a str, IpAddr>) -> Self {
        let make = made.iter().filter(|(interface, _)| {
            self.has_family(interface, false) && !self.link_local.contains(*interface)
        });
        let addresses: Vec<IpAddr> = make.map(|(_, address)| *address).collect();
        self.sources.extend(addresses);
        self
    }

    /// With these tunnels.
    pub(super) fn by_tunnels(mut self, tunnels: impl Iterator<Item = &'a str>) -> Self {
        self.tunnels.extend(tunnels);
        self
    }

    /// Whether it is an address of the gateway, link-local ones included.
    pub(super) fn is_source(&self, address: IpAddr) -> bool {
        self.sources.contains(&address)
    }

    /// The interface whose subnet holds the address. A link-local one is on the interface that is named with it.
    pub(super) fn interface_of(&self, address: IpAddr, named: Option<&'a str>) -> Option<&'a str> {
        if is_link_local(address) {
            return named.filter(|name| self.has_family(name, false));
        }
        self.lengths.iter().rev().find_map(|length| {
            let subnet = IpNet::new(address, *length).ok()?.trunc();
            self.subnets.get(&subnet).copied()
        })
    }

    /// Whether the interface has an address of the family.
    pub(super) fn has_family(&self, interface: &str, ipv4: bool) -> bool {
        self.families.contains(&(interface, ipv4))
    }

    /// Whether it is an address of the gateway.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.hosts.contains(&address)
    }

    /// Whether an address brings a route of its own to the prefix.
    pub(super) fn is_own_prefix(&self, prefix: IpNet) -> bool {
        self.own.contains(&prefix)
    }

    /// The interfaces that a route leads out of, one for each next hop; `None` where it cannot be.
    pub(super) fn leads_by(&self, route: &'a Route) -> Option<Vec<&'a str>> {
        let ipv4 = route.prefix.addr().is_ipv4();
        if route.source.is_some_and(|source| !self.is_source(source)) {
            return None;
        }
        if let RouteTarget::Interface(interface) = &route.target {
            let leads = self.tunnels.contains(interface.as_str()) || self.has_family(interface, ipv4);
            return leads.then(|| vec![interface.as_str()]);
        }
        next_hops(route)
            .map(|(next_hop, interface)| {
                self.interface_of(next_hop, interface)
                    .filter(|_| !self.is_own(next_hop))
            })
            .collect()
    }
}

/// Whether an address is on every link, fe80::/10.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The prefixes that an address brings routes for: itself, its subnet, and that subnet's ends where those are no hosts.
pub(super) fn own_prefixes(net: IpNet) -> impl Iterator<Item = IpNet> {
    let local = is_link_local(net.addr());
    // The first address is all routers' in IPv6, RFC 4291 section 2.6.1.
    let first = net.prefix_len() + 1 < net.max_prefix_len();
    let last = first && net.addr().is_ipv4();
    [
        (true, IpNet::from(net.addr())),
        (true, net.trunc()),
        (first, net.network().into()),
        (last, net.broadcast().into()),
    ]
    .into_iter()
    .filter_map(move |(there, prefix)| (there && !local).then_some(prefix))
}
