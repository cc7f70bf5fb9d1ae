//! Why a destination goes where it goes.

use std::net::IpAddr;

use control::message::RouteExplanation;
use ipnet::IpNet;
use shm::records::NeighborState;

use super::Tables;
use super::candidates::{Candidate, Target};
use super::forwarding::is_link_local;
use super::neighbor_set::Neighbor;
use crate::adjacency::{self, Adjacency};

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Looks `destination` up as a worker would, and says what it found and what a packet would meet.
    pub fn route_get(&self, destination: IpAddr) -> RouteExplanation {
        let route = self.longest(destination);
        let neighbor = route
            .and_then(|(_, route)| self.neighbor_towards(route.target, destination))
            .and_then(|id| self.neighbors.get(id));
        let next_hop = route.and_then(|(_, route)| match route.target {
            Target::Via(_) => neighbor.map(|neighbor| neighbor.address),
            Target::Glean(_) => Some(destination),
            Target::Local(_) | Target::Broadcast(_) | Target::Blackhole => None,
        });
        let interface = route.and_then(|(_, route)| {
            route
                .target
                .interface()
                .or_else(|| neighbor.map(|neighbor| neighbor.interface))
        });
        RouteExplanation {
            destination,
            prefix: route.map(|(prefix, _)| prefix),
            kind: route.map(|(_, route)| route.target.kind().name().to_owned()),
            next_hop,
            interface: interface.map(|interface| self.interface_name(interface).to_owned()),
            neighbor_state: neighbor.map(|neighbor| neighbor.shown.name().to_owned()),
            mac: neighbor.and_then(|neighbor| neighbor.mac),
            outcome: self.outcome(destination, route, neighbor),
        }
    }

    fn outcome(
        &self,
        destination: IpAddr,
        route: Option<(IpNet, Candidate)>,
        neighbor: Option<&Neighbor<IpAddr>>,
    ) -> String {
        // What the workers go by, whatever the tables beside it say.
        let adjacency = self.adjacencies.get(self.fib.lookup(destination));
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
            Adjacency::Local { interface } => {
                format!("an address of the gateway itself, on {}", name(interface))
            }
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
