//! Routing as a look through lists: what the tables must amount to.

use std::collections::BTreeMap;

use super::*;

/// What there is, told by what was asked for and what was answered.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Model {
    pub(super) addresses: Vec<(u16, Ipv4Net)>,
    pub(super) routes: BTreeMap<Ipv4Net, RouteTarget>,
}

/// Where a packet goes, by the model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Way {
    Plain(Adjacency),
    /// Through the neighbour of this address.
    Neighbor(u16, Ipv4Addr),
}

impl Model {
    fn subnet(&self, address: Ipv4Addr) -> Option<(u16, Ipv4Net)> {
        let holding = self.addresses.iter().filter(|(_, net)| net.contains(&address));
        holding.max_by_key(|(_, net)| net.prefix_len()).copied()
    }

    /// The routes of the gateway's own addresses.
    fn own(&self, prefix: Ipv4Net) -> Option<Way> {
        let is_local = |net: &Ipv4Net| prefix.prefix_len() == 32 && net.addr() == prefix.addr();
        let ends = |net: &Ipv4Net| {
            net.prefix_len() < 31 && [net.network(), net.broadcast()].contains(&prefix.addr())
        };
        let find =
            |holds: &dyn Fn(&Ipv4Net) -> bool| self.addresses.iter().find(|(_, net)| holds(net)).copied();
        if let Some((interface, _)) = find(&is_local) {
            Some(Way::Plain(Adjacency::Local { interface }))
        } else if let Some((interface, _)) = find(&|net| net.trunc() == prefix) {
            Some(Way::Plain(Adjacency::Glean { interface }))
        } else if find(&|net| prefix.prefix_len() == 32 && ends(net)).is_some() {
            Some(Way::Plain(Adjacency::Broadcast))
        } else {
            None
        }
    }

    fn given(&self, prefix: Ipv4Net) -> Option<Way> {
        Some(match self.routes.get(&prefix)? {
            RouteTarget::Blackhole => Way::Plain(Adjacency::Blackhole),
            RouteTarget::Interface(name) => Way::Plain(Adjacency::Glean {
                interface: u16::from(name == "wan"),
            }),
            RouteTarget::Via(next_hop) => Way::Neighbor(self.subnet(*next_hop)?.0, *next_hop),
        })
    }

    pub(super) fn way(&self, destination: Ipv4Addr, is_neighbor: impl Fn(u16, Ipv4Addr) -> bool) -> Way {
        let found = (0..=32u8).rev().find_map(|length| {
            let prefix = Ipv4Net::new(destination, length).unwrap().trunc();
            self.own(prefix).or_else(|| self.given(prefix))
        });
        match found {
            Some(Way::Plain(Adjacency::Glean { interface })) if is_neighbor(interface, destination) => {
                Way::Neighbor(interface, destination)
            }
            Some(way) => way,
            None => Way::Plain(Adjacency::NoRoute),
        }
    }

    /// Whether the gateway must take these routes when nothing is full.
    pub(super) fn accepts(&self, routes: &[Route], replace: bool) -> bool {
        let own = |address| self.addresses.iter().any(|(_, net)| net.addr() == address);
        routes.iter().enumerate().all(|(index, route)| {
            let is_first = routes[..index]
                .iter()
                .all(|earlier| earlier.prefix != route.prefix);
            let target = match &route.target {
                RouteTarget::Blackhole => true,
                RouteTarget::Interface(name) => self
                    .addresses
                    .iter()
                    .any(|(interface, _)| *interface == u16::from(name == "wan")),
                RouteTarget::Via(next_hop) => self.subnet(*next_hop).is_some_and(|(_, net)| {
                    let end = net.prefix_len() < 31 && [net.network(), net.broadcast()].contains(next_hop);
                    !own(*next_hop) && !end
                }),
            };
            let is_free =
                self.own(route.prefix).is_none() && (replace || !self.routes.contains_key(&route.prefix));
            is_first && is_free && target
        })
    }
}
