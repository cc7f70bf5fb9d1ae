//! Addresses of the gateway and the routes that come with them.
//!
//! ```text
//!   10.0.0.1/24   10.0.0.1/32 local    10.0.0.0/24 connected    10.0.0.0/32, 10.0.0.255/32 broadcast
//!   10.0.0.1/31   10.0.0.1/32 local    10.0.0.0/31 connected                                 RFC 3021
//!   10.0.0.1/32   10.0.0.1/32 local
//! ```
//!
//! What routes there are for a prefix is worked out from all addresses each time, so that two addresses of one subnet
//! can come and go in any order.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode};
use ipnet::{IpNet, Ipv4Net};
use shm::records::RouteProtocol;

use super::Tables;
use super::candidates::{Candidate, Target};
use super::publish::address_record;
use super::refusal::{fib_refusal, list, refuse};
use crate::adjacency;

/// An address of the gateway.
#[derive(Clone, Debug)]
pub(super) struct OwnAddress {
    pub(super) interface: u16,
    /// The address itself, with the length of its subnet.
    pub(super) net: Ipv4Net,
    slot: u32,
    /// When somebody else was last seen to claim it.
    pub(super) disputed: Option<Duration>,
}

impl OwnAddress {
    /// Whether a host of the subnet can have `address`.
    pub(super) fn is_host(&self, address: Ipv4Addr) -> bool {
        self.net.contains(&address) && !self.is_broadcast(address)
    }

    fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.net.prefix_len() < 31 && (address == self.net.network() || address == self.net.broadcast())
    }

    /// Where the route for `prefix` leads that this address brings.
    fn target(&self, prefix: Ipv4Net) -> Option<Target> {
        if prefix == Ipv4Net::from(self.net.addr()) {
            Some(Target::Local(self.interface))
        } else if prefix == self.net.trunc() {
            Some(Target::Glean(self.interface))
        } else if prefix.prefix_len() == 32 && self.is_broadcast(prefix.addr()) {
            Some(Target::Broadcast(self.interface))
        } else {
            None
        }
    }

    /// The prefixes that it brings routes for.
    fn prefixes(&self) -> BTreeSet<Ipv4Net> {
        let hosts = [self.net.addr(), self.net.network(), self.net.broadcast()];
        let prefixes = hosts.into_iter().map(Ipv4Net::from).chain([self.net.trunc()]);
        prefixes.filter(|prefix| self.target(*prefix).is_some()).collect()
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Gives the interface an address, connects its subnet and announces it.
    pub fn address_add(&mut self, interface: u16, address: IpNet, now: Duration) -> Result<(), ControlError> {
        let name = self.known_interface(interface)?.name.clone();
        let net = self.check_address(interface, &name, address)?;
        if let Some(id) = self.neighbors.find(interface, net.addr()) {
            // A host by that address was heard before; from now on it would be an address conflict.
            self.remove_neighbor(id);
        }
        let mut own = OwnAddress {
            interface,
            net,
            slot: 0,
            disputed: None,
        };
        own.slot = self
            .published
            .addresses
            .insert(&address_record(&own))
            .ok_or_else(|| self.addresses_full())?;
        self.addresses.push(own.clone());
        if let Err(error) = self.refresh_own(&own) {
            self.forget_address(&own);
            return Err(error);
        }
        self.tell(Event::Address {
            interface: name,
            address,
            added: true,
        });
        self.announce_new(interface, net.addr(), now);
        Ok(())
    }

    /// Takes an address from an interface, and with it what cannot be without it: neighbours of its subnet, and routes
    /// by way of them. With the interface's last address go the routes that lead out of it, as nobody could be asked.
    pub fn address_delete(&mut self, interface: u16, address: IpNet) -> Result<(), ControlError> {
        let name = self.known_interface(interface)?.name.clone();
        let found = self
            .addresses
            .iter()
            .find(|own| own.interface == interface && IpNet::V4(own.net) == address);
        let Some(own) = found.cloned() else {
            let there = self
                .addresses
                .iter()
                .filter(|own| own.interface == interface)
                .map(|own| own.net);
            let sentence = format!("{name} has no address {address}: it has {}", list(there));
            return Err(refuse(ErrorCode::NotFound, sentence));
        };
        self.forget_address(&own);
        self.tell(Event::Address {
            interface: name,
            address,
            added: false,
        });
        let was_last = !self.addresses.iter().any(|own| own.interface == interface);
        self.forget_stranded(&own, was_last);
        Ok(())
    }

    fn check_address(&self, interface: u16, name: &str, address: IpNet) -> Result<Ipv4Net, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let IpNet::V4(net) = address else {
            return invalid(format!(
                "{address} is an IPv6 address, and this gateway forwards IPv4 only"
            ));
        };
        let host = net.addr();
        if host.is_multicast() || host.is_loopback() || host.octets()[0] == 0 || host.octets()[0] >= 240 {
            return invalid(format!(
                "{host} is no address that a host can have: give a unicast address"
            ));
        }
        if net.prefix_len() == 0 {
            return invalid(format!(
                "{net} would put every address on the link of {name}: give a longer prefix"
            ));
        }
        if net.prefix_len() < 31 && (host == net.network() || host == net.broadcast()) {
            let sentence = format!(
                "{host} is the network or broadcast address of {}: give a host's",
                net.trunc()
            );
            return invalid(sentence);
        }
        let interface_name = |own: &OwnAddress| self.interface_name(own.interface);
        if let Some(own) = self.addresses.iter().find(|own| own.net.addr() == host) {
            let sentence = format!(
                "{} has {} already: delete that first",
                interface_name(own),
                own.net
            );
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        let overlaps = |own: &&OwnAddress| own.net.contains(&net.trunc()) || net.contains(&own.net.trunc());
        if let Some(own) = self
            .addresses
            .iter()
            .filter(|own| own.interface != interface)
            .find(overlaps)
        {
            let sentence = format!(
                "{net} on {name} overlaps {} on {}: give them different subnets",
                own.net,
                interface_name(own)
            );
            return invalid(sentence);
        }
        let neighbor = self
            .neighbors
            .find(interface, host)
            .and_then(|id| self.neighbors.get(id));
        if let Some(neighbor) = neighbor.filter(|neighbor| neighbor.routes > 0) {
            let sentence = format!(
                "{host} is the next hop of {} routes: delete those first",
                neighbor.routes
            );
            return invalid(sentence);
        }
        if self.addresses.len() >= self.limits.addresses {
            return Err(self.addresses_full());
        }
        Ok(net)
    }

    fn addresses_full(&self) -> ControlError {
        let sentence = format!(
            "there are {} addresses and no room for more: raise addresses in [limits]",
            self.addresses.len()
        );
        refuse(ErrorCode::LimitReached, sentence)
    }

    /// Whether the gateway has the address, on any interface.
    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|own| own.net.addr() == address)
    }

    /// Whether the interface has the address.
    pub(super) fn has_address(&self, interface: u16, address: Ipv4Addr) -> bool {
        self.addresses
            .iter()
            .any(|own| own.interface == interface && own.net.addr() == address)
    }

    /// Which subnets there are, for a sentence.
    pub(super) fn subnets(&self) -> String {
        let subnets: BTreeSet<_> = self
            .addresses
            .iter()
            .map(|own| (own.net.trunc(), own.interface))
            .collect();
        list(
            subnets
                .iter()
                .map(|(net, interface)| format!("{net} ({})", self.interface_name(*interface))),
        )
    }

    /// Takes the address out of everything but neighbours and given routes.
    fn forget_address(&mut self, own: &OwnAddress) {
        self.addresses.retain(|other| other.net.addr() != own.net.addr());
        // Cannot fail: there are fewer routes than before.
        let _ = self.refresh_own(own);
        self.published.addresses.remove(own.slot);
    }

    /// Brings the routes that an address brings, or brought, in line with the addresses there are.
    fn refresh_own(&mut self, own: &OwnAddress) -> Result<(), ControlError> {
        for prefix in own.prefixes() {
            // When one address brings a local route and another a broadcast route, it is local.
            let targets = self.addresses.iter().filter_map(|own| own.target(prefix));
            let target = targets.min_by_key(|target| !matches!(target, Target::Local(_)));
            if self.candidates.own(prefix).map(|route| route.target) != target {
                self.set_own(prefix, target)?;
                self.refresh(prefix).map_err(fib_refusal)?;
            }
        }
        Ok(())
    }

    fn set_own(&mut self, prefix: Ipv4Net, target: Option<Target>) -> Result<(), ControlError> {
        let before = self.candidates.own(prefix);
        let Some(target) = target else {
            self.candidates.set_own(prefix, None);
            if let Some(route) = before {
                self.published.routes4.remove(route.slot);
            }
            return Ok(());
        };
        let mut route = Candidate {
            target,
            protocol: RouteProtocol::Kernel,
            slot: 0,
        };
        let record = self.route_record(prefix, &route);
        match before {
            Some(before) => {
                route.slot = before.slot;
                self.published.routes4.update(route.slot, &record);
            }
            None => {
                let Some(slot) = self.published.routes4.insert(&record) else {
                    let sentence =
                        format!("the table of routes has no room for {prefix}: raise routes4 in [limits]");
                    return Err(refuse(ErrorCode::LimitReached, sentence));
                };
                route.slot = slot;
            }
        }
        self.candidates.set_own(prefix, Some(route));
        Ok(())
    }

    /// Forgets the routes and neighbours that no address reaches any more.
    fn forget_stranded(&mut self, gone: &OwnAddress, was_last: bool) {
        let interface = gone.interface;
        let range = if was_last { Ipv4Net::default() } else { gone.net };
        let neighbors: BTreeSet<_> = self
            .neighbors
            .within(range.network(), range.broadcast())
            .filter(|id| {
                self.neighbors
                    .get(*id)
                    .is_some_and(|neighbor| neighbor.interface == interface)
            })
            .collect();
        let is_next_hop = |id| {
            self.neighbors.get(id).is_some_and(|neighbor| {
                neighbor.routes > 0
                    && self
                        .subnet_of(neighbor.address)
                        .is_none_or(|own| own.interface != interface)
            })
        };
        let next_hops: BTreeSet<_> = neighbors.iter().copied().filter(|id| is_next_hop(*id)).collect();
        if was_last || !next_hops.is_empty() {
            let stranded = self.candidates.given_where(|target| match target {
                Target::Via(id) => next_hops.contains(&id),
                Target::Glean(out) => was_last && out == interface,
                _ => false,
            });
            for prefix in stranded {
                self.withdraw(prefix);
            }
        }
        for id in neighbors {
            let stranded = self
                .neighbors
                .get(id)
                .is_some_and(|neighbor| !self.is_on_link(interface, neighbor.address));
            if stranded {
                self.remove_neighbor(id);
            }
        }
    }
}
