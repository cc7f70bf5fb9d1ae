//! From routes and neighbours to what the FIB says.
//!
//! Each prefix's entry is computed from what there is and stored over the old one, so that an address that has a
//! route before and after a change has one all the time.
//!
//! A neighbour's host route counts only where the route of its address leads to its link anyway: neither ARP nor neighbour
//! discovery must pull an address out of a route that an operator has put over part of a subnet.
//!
//! A route counts only while the interface that it leads out of is up: set up, with a carrier. Until then packets go the way
//! of the next one. The gateway's own addresses answer all the same. A tunnel that ESP protects keeps its routes while it lacks
//! SAs: packets that belong in it are dropped, and do not leave in clear by the next one.
//!
//! Link-local addresses are on every link and so in no FIB: packets for them never leave theirs.

use std::net::IpAddr;

use fib::NextHop;
use ipnet::IpNet;

use super::Tables;
use super::candidates::{Candidate, Target};
use super::fibs::FibRefusal;
use super::interfaces::Interface;
use super::own_address::OwnAddress;
use super::tunnels::OwnTunnel;
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Brings the FIB in line with the routes for `prefix`, and with the neighbours in it. Fails only where something
    /// is to be added.
    pub(super) fn refresh(&mut self, prefix: IpNet) -> Result<(), FibRefusal> {
        if self.best(prefix).is_some() {
            self.refresh_entry(prefix)?;
            self.refresh_hosts(prefix);
            Ok(())
        } else {
            // Neighbours first: they come to light before what hid them goes.
            self.refresh_hosts(prefix);
            self.refresh_entry(prefix)
        }
    }

    /// The same for one FIB entry.
    pub(super) fn refresh_entry(&mut self, prefix: IpNet) -> Result<(), FibRefusal> {
        match (self.wanted_entry(prefix), self.fib.get(prefix)) {
            (wanted, present) if wanted == present => {}
            (Some(next_hop), _) => {
                self.fib.insert(prefix, next_hop)?;
            }
            (None, _) => {
                self.fib.remove(prefix);
            }
        }
        Ok(())
    }

    /// The same for the neighbours in `prefix`.
    fn refresh_hosts(&mut self, prefix: IpNet) {
        if prefix.prefix_len() == prefix.max_prefix_len() {
            return;
        }
        let hosts: Vec<IpAddr> = self
            .neighbors
            .within(prefix.network(), prefix.broadcast())
            .filter_map(|id| Some(self.neighbors.get(id)?.address))
            .collect();
        for host in hosts {
            // When no tbl8 group is free, packets for it stay with the route of its subnet, and each request of a
            // worker for it tries again.
            let _ = self.refresh_entry(host.into());
        }
    }

    fn wanted_entry(&self, prefix: IpNet) -> Option<NextHop> {
        if prefix.prefix_len() < prefix.max_prefix_len() {
            return self.best(prefix).and_then(|route| self.next_hop(route.target));
        }
        let (covering, route) = self.longest(prefix.addr())?;
        if let Target::Glean(interface) = route.target
            && !is_link_local(prefix.addr())
            && let Some(id) = self.neighbors.find(interface, prefix.addr())
        {
            return self.next_hop(Target::Via(id));
        }
        if covering == prefix {
            self.next_hop(route.target)
        } else {
            None
        }
    }

    /// The route that counts for exactly this prefix.
    fn best(&self, prefix: IpNet) -> Option<Candidate> {
        self.candidates.best(prefix, |target| self.counts(target))
    }

    /// The route that counts of the longest prefix that holds `address`.
    pub(super) fn longest(&self, address: IpAddr) -> Option<(IpNet, Candidate)> {
        self.candidates.longest(address, |target| self.counts(target))
    }

    /// Whether routes that lead there count: an interface that packets would leave by is up, or a tunnel that lacks SAs and
    /// nothing else.
    pub(super) fn counts(&self, target: Target) -> bool {
        let mut interfaces = self.leaves_by(target).peekable();
        let leads = |index| {
            let interface = self.interfaces.get(usize::from(index));
            interface.is_some_and(Interface::leads)
        };
        interfaces.peek().is_none() || interfaces.any(leads)
    }

    /// Whether packets leave by nothing but tunnels that ESP protects.
    pub(super) fn is_protected(&self, target: Target) -> bool {
        let mut interfaces = self.leaves_by(target).peekable();
        let is_protected = |index| {
            let interface = self.interfaces.get(usize::from(index));
            let tunnel = interface.and_then(|interface| interface.tunnel.as_ref());
            tunnel.is_some_and(OwnTunnel::is_protected)
        };
        interfaces.peek().is_some() && interfaces.all(is_protected)
    }

    /// The interfaces that packets leave by which go there.
    fn leaves_by(&self, target: Target) -> impl Iterator<Item = u16> {
        let (glean, via) = match target {
            Target::Glean(interface) => (Some(interface), None),
            Target::Via(id) => (None, Some(id)),
            _ => (None, None),
        };
        let group = match target {
            Target::Group(id) => self.groups.get(id),
            _ => None,
        };
        let members = group
            .into_iter()
            .flat_map(|group| group.members.iter().map(|member| member.id));
        let neighbors = via.into_iter().chain(members);
        let interfaces = neighbors.filter_map(|id| Some(self.neighbors.get(id)?.interface));
        glean.into_iter().chain(interfaces)
    }

    /// The given routes by which packets leave by an interface, be it only some of them.
    pub(super) fn given_out_of(&self, interface: u16) -> Vec<(IpNet, Candidate)> {
        let by_it = |target| self.leaves_by(target).any(|by| by == interface);
        self.candidates.given_where(|_, route| by_it(route.target))
    }

    /// Takes the routes that lead out of an interface into service or out of it, as it is up or not. Gives how many found no room
    /// in the FIB.
    pub(super) fn refresh_interface(&mut self, interface: u16) -> usize {
        let by_it = |target| self.leaves_by(target).any(|by| by == interface);
        let mut prefixes = self.candidates.own_where(by_it);
        let given = self.candidates.given_where(|_, route| by_it(route.target));
        prefixes.extend(given.into_iter().map(|(prefix, _)| prefix));
        let refused = prefixes
            .into_iter()
            .filter(|prefix| self.refresh(*prefix).is_err());
        refused.count()
    }

    fn next_hop(&self, target: Target) -> Option<NextHop> {
        Some(match target {
            Target::Local(interface) => self.interfaces.get(usize::from(interface))?.local,
            Target::Anycast(interface) => self.interfaces.get(usize::from(interface))?.anycast,
            Target::Glean(interface) => self.interfaces.get(usize::from(interface))?.glean,
            Target::Broadcast(_) => self.broadcast,
            Target::Blackhole => self.blackhole,
            Target::Unreachable => self.unreachable,
            Target::Prohibit => self.prohibit,
            Target::Group(id) => self.groups.get(id)?.next_hop,
            Target::Via(id) => self.neighbors.get(id)?.adjacency,
        })
    }

    /// The address of the gateway whose subnet holds `address`: the one with the smallest subnet. Link-local subnets are
    /// not asked.
    pub(super) fn subnet_of(&self, address: IpAddr) -> Option<&OwnAddress> {
        self.addresses
            .iter()
            .filter(|own| !own.is_link_local() && own.net.contains(&address))
            .max_by_key(|own| own.net.prefix_len())
    }

    /// Whether a host at `address` would be a neighbour on `interface`.
    pub(super) fn is_on_link(&self, interface: u16, address: IpAddr) -> bool {
        if is_link_local(address) {
            return self.link_local(interface).is_some();
        }
        let connected = self
            .subnet_of(address)
            .is_some_and(|own| own.interface == interface && own.is_host(address));
        connected || self.leads_to_link(interface, address)
    }

    /// Whether packets for `address` leave by `interface` to the destination itself.
    pub(super) fn leads_to_link(&self, interface: u16, address: IpAddr) -> bool {
        self.candidates
            .longest(address, |_| true)
            .is_some_and(|(_, route)| route.target == Target::Glean(interface))
    }
}

/// Whether an IPv6 address is link-local, fe80::/10. IPv4's, RFC 3927, are ordinary addresses of a subnet to a router.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
