//! Routing as a look through lists: what the tables must amount to.

use std::collections::{BTreeMap, BTreeSet};

use shm::records::AddressState;

use super::link6::LINK_LOCALS;
use super::*;
use crate::tables::forwarding::is_link_local;

/// What there is, told by what was asked for and what was answered.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Model {
    /// Those that were given.
    pub(super) addresses: Vec<(u16, IpNet)>,
    pub(super) routes: BTreeMap<IpNet, RouteTarget>,
    /// Interfaces without a carrier.
    pub(super) down: BTreeSet<u16>,
}

/// How far duplicate address detection got with the addresses, as tools see it.
pub(super) type States = BTreeMap<(u16, IpAddr), AddressState>;

/// Where a packet goes, by the model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Way {
    Plain(Adjacency),
    /// Through the neighbour of this address.
    Neighbor(u16, IpAddr),
}

fn index(name: &str) -> u16 {
    u16::from(name == "wan")
}

/// Whether the address is the first or last of an IPv4 subnet, which no host has.
fn is_end(net: &IpNet, address: IpAddr) -> bool {
    net.addr().is_ipv4() && net.prefix_len() < 31 && [net.network(), net.broadcast()].contains(&address)
}

impl Model {
    /// All addresses: those that were given and the link-local ones that come with them.
    pub(super) fn all(&self) -> BTreeSet<(u16, IpNet)> {
        let on = |interface| {
            let own = self.addresses.iter().filter(move |own| own.0 == interface);
            own.map(|(_, net)| net.addr()).filter(IpAddr::is_ipv6)
        };
        let automatic = [LAN, WAN]
            .into_iter()
            .filter(|interface| on(*interface).next().is_some() && !on(*interface).any(is_link_local))
            .map(|interface| {
                let address = LINK_LOCALS[usize::from(interface)].parse().unwrap();
                (interface, IpNet::new(address, 64).unwrap())
            });
        self.addresses.iter().copied().chain(automatic).collect()
    }

    fn link_local(&self, interface: u16) -> Option<IpAddr> {
        let all = self.all().into_iter();
        all.filter(|(on, net)| *on == interface && is_link_local(net.addr()))
            .map(|(_, net)| net.addr())
            .next()
    }

    /// The addresses that bring routes.
    fn routed(&self) -> impl Iterator<Item = &(u16, IpNet)> {
        self.addresses
            .iter()
            .filter(|(_, net)| !is_link_local(net.addr()))
    }

    fn subnet(&self, address: IpAddr) -> Option<(u16, IpNet)> {
        let holding = self.routed().filter(|(_, net)| net.contains(&address));
        holding.max_by_key(|(_, net)| net.prefix_len()).copied()
    }

    /// The routes of the gateway's own addresses.
    fn own(&self, prefix: IpNet, states: &States) -> Option<Way> {
        let is_whole = prefix.prefix_len() == prefix.max_prefix_len();
        let find = |holds: &dyn Fn(&IpNet) -> bool| self.routed().find(|(_, net)| holds(net)).copied();
        if let Some((interface, net)) = find(&|net| is_whole && net.addr() == prefix.addr()) {
            match states[&(interface, net.addr())] {
                AddressState::Preferred => Some(Way::Plain(Adjacency::Local { interface })),
                AddressState::Tentative => Some(Way::Plain(Adjacency::Blackhole)),
                AddressState::Duplicate => None,
            }
        } else if let Some((interface, _)) = find(&|net| net.trunc() == prefix) {
            Some(Way::Plain(Adjacency::Glean { interface }))
        } else if find(&|net| is_whole && is_end(net, prefix.addr())).is_some() {
            Some(Way::Plain(Adjacency::Broadcast))
        } else {
            None
        }
    }

    fn given(&self, prefix: IpNet) -> Option<Way> {
        Some(match self.routes.get(&prefix)? {
            RouteTarget::Blackhole => Way::Plain(Adjacency::Blackhole),
            RouteTarget::Interface(name) => Way::Plain(Adjacency::Glean {
                interface: index(name),
            }),
            RouteTarget::Via {
                next_hop,
                interface: Some(name),
            } if is_link_local(*next_hop) => Way::Neighbor(index(name), *next_hop),
            RouteTarget::Via { next_hop, .. } => Way::Neighbor(self.subnet(*next_hop)?.0, *next_hop),
        })
    }

    /// Whether packets can go there: the interface that they would leave by is up.
    fn counts(&self, way: Way) -> bool {
        match way {
            Way::Neighbor(interface, _) | Way::Plain(Adjacency::Glean { interface }) => {
                !self.down.contains(&interface)
            }
            Way::Plain(_) => true,
        }
    }

    pub(super) fn way(
        &self,
        destination: IpAddr,
        states: &States,
        is_neighbor: impl Fn(u16, IpAddr) -> bool,
    ) -> Way {
        let prefixes = self.routes.keys().copied();
        let subnets = self.addresses.iter().map(|(_, net)| *net);
        let lengths: BTreeSet<u8> = prefixes
            .chain(subnets)
            .flat_map(|net| [net.prefix_len(), net.max_prefix_len()])
            .collect();
        let found = lengths.into_iter().rev().find_map(|length| {
            let prefix = IpNet::new(destination, length).ok()?.trunc();
            let counts = |way: &Way| self.counts(*way);
            let own = self.own(prefix, states).filter(counts);
            own.or_else(|| self.given(prefix).filter(counts))
        });
        match found {
            Some(Way::Plain(Adjacency::Glean { interface }))
                if is_neighbor(interface, destination) && !is_link_local(destination) =>
            {
                Way::Neighbor(interface, destination)
            }
            Some(way) => way,
            None => Way::Plain(Adjacency::NoRoute),
        }
    }

    /// The routes that tools see, in order.
    pub(super) fn listing(&self, states: &States) -> Vec<String> {
        let nets = self.routed().map(|(_, net)| *net);
        let prefixes: BTreeSet<IpNet> = nets
            .flat_map(|net| {
                let hosts = [net.addr(), net.network(), net.broadcast()].map(IpNet::from);
                [net.trunc()].into_iter().chain(hosts)
            })
            .collect();
        let ends = |prefix: IpNet| self.routed().find(|(_, net)| is_end(net, prefix.addr()));
        let text = |prefix: IpNet, way| match way {
            Way::Plain(Adjacency::Local { interface }) => {
                format!("{prefix} local {}", ["lan", "wan"][usize::from(interface)])
            }
            Way::Plain(Adjacency::Glean { interface }) => {
                format!("{prefix} connected {}", ["lan", "wan"][usize::from(interface)])
            }
            Way::Plain(Adjacency::Broadcast) => {
                let (interface, _) = ends(prefix).unwrap();
                format!("{prefix} broadcast {}", ["lan", "wan"][usize::from(*interface)])
            }
            Way::Neighbor(interface, address) => {
                format!(
                    "{prefix} via {address} {}",
                    ["lan", "wan"][usize::from(interface)]
                )
            }
            Way::Plain(_) => format!("{prefix} blackhole"),
        };
        let own = prefixes
            .iter()
            .filter_map(|prefix| Some(text(*prefix, self.own(*prefix, states)?)));
        let given = self
            .routes
            .keys()
            .filter_map(|prefix| Some(text(*prefix, self.given(*prefix)?)));
        let mut listing: Vec<String> = own.chain(given).collect();
        listing.sort();
        listing
    }

    /// Whether the gateway must take these routes when nothing is full.
    pub(super) fn accepts(&self, routes: &[Route], replace: bool, states: &States) -> bool {
        routes.iter().enumerate().all(|(index, route)| {
            let is_first = routes[..index]
                .iter()
                .all(|earlier| earlier.prefix != route.prefix);
            let is_link_local = is_link_local(route.prefix.addr()) && route.prefix.prefix_len() >= 10;
            let is_free = self.own(route.prefix, states).is_none()
                && (replace || !self.routes.contains_key(&route.prefix));
            is_first && is_free && !is_link_local && self.reaches(route.prefix, &route.target)
        })
    }

    /// Whether a route to `prefix` can have this target.
    fn reaches(&self, prefix: IpNet, target: &RouteTarget) -> bool {
        let of4 = prefix.addr().is_ipv4();
        let own = |address| self.addresses.iter().any(|(_, net)| net.addr() == address);
        match target {
            RouteTarget::Blackhole => true,
            RouteTarget::Interface(name) => {
                let mut all = self.all().into_iter();
                all.any(|(interface, net)| interface == index(name) && net.addr().is_ipv4() == of4)
            }
            RouteTarget::Via { next_hop, .. } if next_hop.is_ipv4() != of4 => false,
            RouteTarget::Via { next_hop, interface } if is_link_local(*next_hop) => {
                let on = interface.as_deref().map(index);
                on.and_then(|on| self.link_local(on))
                    .is_some_and(|own| own != *next_hop)
            }
            RouteTarget::Via { next_hop, .. } => self
                .subnet(*next_hop)
                .is_some_and(|(_, net)| !own(*next_hop) && !is_end(&net, *next_hop)),
        }
    }

    /// An address goes, and what cannot be without it.
    pub(super) fn delete(&mut self, gone: (u16, IpNet)) {
        self.addresses.retain(|own| *own != gone);
        let rest = self.clone();
        self.routes.retain(|prefix, target| match target {
            // What was taken stays, whatever its next hop has become since, as long as it is on a subnet.
            RouteTarget::Via { next_hop, .. } if !is_link_local(*next_hop) => {
                rest.subnet(*next_hop).is_some()
            }
            target => rest.reaches(*prefix, target),
        });
    }
}
