//! Why a destination goes where it goes.

use std::net::IpAddr;

use control::message::{Flow, RouteExplanation};
use fib::NextHop;
use ipnet::IpNet;
use shm::records::NeighborState;

use super::Tables;
use super::candidates::{Candidate, Target};
use super::forwarding::is_link_local;
use super::neighbor_set::{Neighbor, NeighborId};
use crate::adjacency::{self, Adjacency};
use crate::flow;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Looks the destination of a flow up as a worker would, and says what it found and what a packet would meet.
    pub fn route_get(&self, flow: &Flow) -> RouteExplanation {
        let destination = flow.destination;
        let route = self.longest(destination);
        let neighbor = route
            .and_then(|(_, route)| self.neighbor_towards(route.target, flow))
            .and_then(|id| self.neighbors.get(id));
        let next_hop = route.and_then(|(_, route)| match route.target {
            Target::Via(_) | Target::Group(_) => neighbor.map(|neighbor| neighbor.address),
            Target::Glean(interface) => (!self.is_tunnel(interface)).then_some(destination),
            _ => None,
        });
        let interface = route.and_then(|(_, route)| {
            route
                .target
                .interface()
                .or_else(|| neighbor.map(|neighbor| neighbor.interface))
        });
        let attributes = route.map(|(_, route)| self.attributes.get(route.attributes));
        let link_mtu =
            interface.and_then(|interface| Some(self.interfaces.get(usize::from(interface))?.mtu()));
        let route_mtu = attributes.and_then(|attributes| attributes.mtu);
        RouteExplanation {
            destination,
            prefix: route.map(|(prefix, _)| prefix),
            kind: route.map(|(_, route)| self.kind(route.target).name().to_owned()),
            next_hop,
            interface: interface.map(|interface| self.interface_name(interface).to_owned()),
            neighbor_state: neighbor.map(|neighbor| neighbor.shown.name().to_owned()),
            mac: neighbor
                .filter(|neighbor| !neighbor.is_beyond_tunnel())
                .and_then(|neighbor| neighbor.mac),
            protocol: route.map(|(_, route)| route.protocol.to_string()),
            metric: attributes.map(|attributes| attributes.metric),
            source: attributes.and_then(|attributes| attributes.source),
            mtu: link_mtu.map(|link| route_mtu.map_or(link, |route| route.min(link))),
            next_hops: route.and_then(|(_, route)| self.service_of(route.target)),
            outcome: self.outcome(flow, route, neighbor),
        }
    }

    /// How many next hops there are and how many are in service, where there are several.
    fn service_of(&self, target: Target) -> Option<(u16, u16)> {
        let Target::Group(id) = target else {
            return None;
        };
        let members = &self.groups.get(id)?.members;
        let serving = members.iter().filter(|member| self.in_service(member.id)).count();
        // No more than 32.
        (members.len() > 1).then_some((members.len() as u16, serving as u16))
    }

    /// What workers find for a flow, its place in a group of next hops included.
    fn adjacency_towards(&self, flow: &Flow) -> NextHop {
        let next_hop = self.fib.lookup(flow.destination);
        let reader = self.adjacencies.reader();
        reader
            .group(next_hop)
            .map_or(next_hop, |group| group.adjacency(|seed| flow::hash(seed, flow)))
    }

    /// The neighbour that packets of a flow go to by the route of `target`.
    fn neighbor_towards(&self, target: Target, flow: &Flow) -> Option<NeighborId> {
        match target {
            Target::Glean(interface) => self.neighbors.find(interface, flow.destination),
            Target::Group(id) => {
                let adjacency = self.adjacency_towards(flow);
                let members = &self.groups.get(id)?.members;
                let is_it = |id: NeighborId| {
                    self.neighbors
                        .get(id)
                        .is_some_and(|neighbor| neighbor.adjacency == adjacency)
                };
                members.iter().map(|member| member.id).find(|id| is_it(*id))
            }
            Target::Via(id) => Some(id),
            _ => None,
        }
    }

    fn outcome(
        &self,
        flow: &Flow,
        route: Option<(IpNet, Candidate)>,
        neighbor: Option<&Neighbor<IpAddr>>,
    ) -> String {
        let destination = flow.destination;
        // What the workers go by, whatever the tables beside it say.
        let adjacency = self.adjacencies.get(self.adjacency_towards(flow));
        let next_hop = neighbor.map_or(destination, |neighbor| neighbor.address);
        let name = |interface: u16| self.interface_name(interface);
        match adjacency {
            _ if is_link_local(destination) => {
                "a link-local address: packets for it never leave the link that they are on".to_owned()
            }
            Adjacency::NoRoute => match self.candidates.longest(destination, |_| true) {
                None => "no route leads there: packets are dropped".to_owned(),
                Some((prefix, _)) => {
                    format!(
                        "the interface of the route to {prefix} is down, and no other leads there: packets are dropped"
                    )
                }
            },
            Adjacency::Blackhole => "the route is a blackhole: packets are dropped".to_owned(),
            Adjacency::Unreachable => {
                "the route says unreachable: packets are dropped, and their senders told so".to_owned()
            }
            Adjacency::Prohibit => {
                "the route says prohibit: packets are dropped, and their senders told so".to_owned()
            }
            Adjacency::Local { interface } => {
                format!("an address of the gateway itself, on {}", name(interface))
            }
            Adjacency::Anycast { interface } => format!(
                "the anycast address of all routers of a subnet of {}, of which the gateway is one",
                name(interface)
            ),
            Adjacency::Broadcast => {
                let interface = route
                    .and_then(|(_, route)| route.target.interface())
                    .map_or("", name);
                format!("the network or broadcast address of a subnet of {interface}: packets are dropped")
            }
            Adjacency::Glean { interface } => format!(
                "on the link of {}: the first packet waits while {destination} is asked for its MAC address",
                name(interface)
            ),
            Adjacency::Incomplete { interface } => {
                format!(
                    "packets wait until {next_hop} on {} has told its MAC address",
                    name(interface)
                )
            }
            Adjacency::Failed { interface } => format!(
                "{next_hop} on {} does not answer: packets are dropped until it is asked again",
                name(interface)
            ),
            Adjacency::Forward { interface, mac } => {
                if let Some(tunnel) = self.tunnel(interface) {
                    return format!(
                        "packets go through the tunnel {} to {}",
                        tunnel.name, tunnel.remote
                    );
                }
                let probing = neighbor.is_some_and(|neighbor| neighbor.shown == NeighborState::Probe);
                let doubt = if probing {
                    ", which is being asked whether it is still there"
                } else {
                    ""
                };
                format!(
                    "packets leave by {} to {next_hop} at {mac}{doubt}",
                    name(interface)
                )
            }
        }
    }
}
