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
    /// By prefix and metric.
    pub(super) routes: BTreeMap<(IpNet, u32), Route>,
}

/// What the model must be told of neighbours and links.
pub(super) struct World<'a> {
    pub(super) states: &'a States,
    /// Whether the address is a known neighbour on the interface.
    pub(super) is_neighbor: &'a dyn Fn(u16, IpAddr) -> bool,
    /// Whether packets that may go elsewhere go to this neighbour.
    pub(super) serves: &'a dyn Fn(u16, IpAddr) -> bool,
    pub(super) is_up: &'a dyn Fn(u16) -> bool,
}

/// How far duplicate address detection got with the addresses, as tools see it.
pub(super) type States = BTreeMap<(u16, IpAddr), AddressState>;

/// Where a packet goes, by the model.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Way {
    Plain(Adjacency),
    /// Through the neighbour of this address.
    Neighbor(u16, IpAddr),
    /// Through one of these neighbours, and packets may be so long.
    Neighbors(Vec<(u16, IpAddr)>, u16),
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
        // In IPv6: of the gateway, or of all routers of a subnet.
        let in_state = |state: AddressState, holds: &dyn Fn(&IpNet) -> bool| {
            let mut all = self.routed();
            all.find(|(interface, net)| is_whole && states[&(*interface, net.addr())] == state && holds(net))
                .copied()
        };
        let is_it = |net: &IpNet| net.addr() == prefix.addr();
        let is_anycast =
            |net: &IpNet| net.addr().is_ipv6() && net.prefix_len() < 127 && net.network() == prefix.addr();
        if let Some((interface, _)) = in_state(AddressState::Preferred, &is_it) {
            Some(Way::Plain(Adjacency::Local { interface }))
        } else if let Some((interface, _)) = in_state(AddressState::Preferred, &is_anycast) {
            Some(Way::Plain(Adjacency::Anycast { interface }))
        } else if in_state(AddressState::Tentative, &|net| is_it(net) || is_anycast(net)).is_some() {
            Some(Way::Plain(Adjacency::Blackhole))
        } else if find(&|net| is_whole && is_it(net)).is_some() {
            None
        } else if let Some((interface, _)) = find(&|net| net.trunc() == prefix) {
            Some(Way::Plain(Adjacency::Glean { interface }))
        } else if find(&|net| is_whole && is_end(net, prefix.addr())).is_some() {
            Some(Way::Plain(Adjacency::Broadcast))
        } else {
            None
        }
    }

    /// The next hops of a route with their interfaces.
    fn next_hops(&self, route: &Route) -> Vec<(u16, IpAddr)> {
        let place = |next_hop: IpAddr, interface: &Option<String>| match interface {
            Some(name) if is_link_local(next_hop) => (index(name), next_hop),
            _ => (self.subnet(next_hop).unwrap().0, next_hop),
        };
        match &route.target {
            RouteTarget::Via { next_hop, interface } => vec![place(*next_hop, interface)],
            RouteTarget::Multipath(several) => several
                .iter()
                .map(|next_hop| place(next_hop.next_hop, &next_hop.interface))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The routes to a prefix.
    fn routes_to(&self, prefix: IpNet) -> impl Iterator<Item = &Route> {
        self.routes
            .range((prefix, 0)..=(prefix, u32::MAX))
            .map(|(_, route)| route)
    }

    fn given(&self, prefix: IpNet, world: &World<'_>) -> Option<Way> {
        let serving = |next_hop: &(u16, IpAddr)| (world.serves)(next_hop.0, next_hop.1);
        let is_usable = |route: &Route| match &route.target {
            RouteTarget::Interface(name) => (world.is_up)(index(name)),
            RouteTarget::Via { .. } | RouteTarget::Multipath(_) => self.next_hops(route).iter().any(serving),
            _ => true,
        };
        let route = self
            .routes_to(prefix)
            .filter(|route| Self::counts(route, &self.next_hops(route), world))
            .min_by_key(|route| (!is_usable(route), route.metric()))?;
        let mut next_hops = self.next_hops(route);
        Some(match &route.target {
            RouteTarget::Blackhole => Way::Plain(Adjacency::Blackhole),
            RouteTarget::Unreachable => Way::Plain(Adjacency::Unreachable),
            RouteTarget::Prohibit => Way::Plain(Adjacency::Prohibit),
            RouteTarget::Interface(name) => Way::Plain(Adjacency::Glean {
                interface: index(name),
            }),
            RouteTarget::Via { .. } if route.mtu.is_none() => Way::Neighbor(next_hops[0].0, next_hops[0].1),
            RouteTarget::Via { .. } | RouteTarget::Multipath(_) => {
                if next_hops.iter().any(serving) {
                    next_hops.retain(serving);
                }
                Way::Neighbors(next_hops, route.mtu.unwrap_or(u16::MAX))
            }
        })
    }

    /// Whether packets can go there: the interface that they would leave by is up.
    fn counts(route: &Route, next_hops: &[(u16, IpAddr)], world: &World<'_>) -> bool {
        match &route.target {
            RouteTarget::Interface(name) => (world.is_up)(index(name)),
            RouteTarget::Via { .. } | RouteTarget::Multipath(_) => {
                next_hops.iter().any(|(interface, _)| (world.is_up)(*interface))
            }
            _ => true,
        }
    }

    pub(super) fn way(&self, destination: IpAddr, world: &World<'_>) -> Way {
        let prefixes = self.routes.keys().map(|(prefix, _)| *prefix);
        let subnets = self.addresses.iter().map(|(_, net)| *net);
        let lengths: BTreeSet<u8> = prefixes
            .chain(subnets)
            .flat_map(|net| [net.prefix_len(), net.max_prefix_len()])
            .collect();
        let found = lengths.into_iter().rev().find_map(|length| {
            let prefix = IpNet::new(destination, length).ok()?.trunc();
            let connected = |way: &Way| match way {
                Way::Plain(Adjacency::Glean { interface }) => (world.is_up)(*interface),
                _ => true,
            };
            let own = self.own(prefix, world.states).filter(connected);
            own.or_else(|| self.given(prefix, world))
        });
        match found {
            Some(Way::Plain(Adjacency::Glean { interface }))
                if (world.is_neighbor)(interface, destination) && !is_link_local(destination) =>
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
            Way::Plain(Adjacency::Anycast { interface }) => {
                format!("{prefix} anycast {}", ["lan", "wan"][usize::from(interface)])
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
            Way::Plain(_) | Way::Neighbors(..) => format!("{prefix} blackhole"),
        };
        let own = prefixes
            .iter()
            .filter_map(|prefix| Some(text(*prefix, self.own(*prefix, states)?)));
        let given = self.routes.iter().map(|((prefix, _), route)| {
            let kind = match &route.target {
                RouteTarget::Blackhole => "blackhole",
                RouteTarget::Unreachable => "unreachable",
                RouteTarget::Prohibit => "prohibit",
                RouteTarget::Interface(name) => return format!("{prefix} connected {name}"),
                RouteTarget::Via { .. } => {
                    let (interface, address) = self.next_hops(route)[0];
                    return text(*prefix, Way::Neighbor(interface, address));
                }
                RouteTarget::Multipath(_) => "multipath",
            };
            format!("{prefix} {kind}")
        });
        let mut listing: Vec<String> = own.chain(given).collect();
        listing.sort();
        listing
    }

    /// Whether the gateway must take these routes when nothing is full.
    pub(super) fn accepts(&self, routes: &[Route], replace: bool, states: &States) -> bool {
        routes.iter().enumerate().all(|(index, route)| {
            let key = (route.prefix, route.metric());
            let is_first = routes[..index]
                .iter()
                .all(|earlier| (earlier.prefix, earlier.metric()) != key);
            let is_link_local = is_link_local(route.prefix.addr()) && route.prefix.prefix_len() >= 10;
            let is_free =
                self.own(route.prefix, states).is_none() && (replace || !self.routes.contains_key(&key));
            is_first
                && is_free
                && !is_link_local
                && self.reaches(route.prefix, &route.target)
                && self.suits(route)
        })
    }

    /// Whether a route can have its source and its MTU.
    fn suits(&self, route: &Route) -> bool {
        let has_next_hop = matches!(route.target, RouteTarget::Via { .. } | RouteTarget::Multipath(_));
        self.has_source(route)
            && route
                .source
                .is_none_or(|source| source.is_ipv4() == route.prefix.addr().is_ipv4())
            && (route.mtu.is_none() || has_next_hop)
    }

    /// Whether the source of a route is the gateway's.
    fn has_source(&self, route: &Route) -> bool {
        let all = self.all();
        let has = |address| all.iter().any(|(_, net)| net.addr() == address);
        route.source.is_none_or(has)
    }

    /// The route that a key means, by prefix and metric.
    pub(super) fn find(&self, key: &RouteKey) -> Option<(IpNet, u32)> {
        self.routes_to(key.prefix)
            .map(|route| (key.prefix, route.metric()))
            .find(|(_, metric)| key.metric.is_none_or(|wanted| wanted == *metric))
    }

    /// Whether a route to `prefix` can have this target.
    fn reaches(&self, prefix: IpNet, target: &RouteTarget) -> bool {
        let of4 = prefix.addr().is_ipv4();
        let own = |address| self.addresses.iter().any(|(_, net)| net.addr() == address);
        match target {
            RouteTarget::Blackhole | RouteTarget::Unreachable | RouteTarget::Prohibit => true,
            RouteTarget::Multipath(several) => several.iter().all(|one| {
                let (next_hop, interface) = (one.next_hop, one.interface.clone());
                self.reaches(prefix, &RouteTarget::Via { next_hop, interface })
            }),
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
        // What was taken stays, whatever its next hop has become since, as long as it is on a subnet.
        let stays = |prefix: IpNet, next_hop: IpAddr, interface: &Option<String>| {
            let interface = interface.clone();
            if is_link_local(next_hop) {
                rest.reaches(prefix, &RouteTarget::Via { next_hop, interface })
            } else {
                rest.subnet(next_hop).is_some()
            }
        };
        self.routes.retain(|(prefix, _), route| {
            let reached = match &route.target {
                RouteTarget::Via { next_hop, interface } => stays(*prefix, *next_hop, interface),
                RouteTarget::Multipath(several) => several
                    .iter()
                    .all(|one| stays(*prefix, one.next_hop, &one.interface)),
                target => rest.reaches(*prefix, target),
            };
            reached && rest.has_source(route)
        });
    }
}
