//! Addresses of the gateway come and go, and with them their routes.
//!
//! What routes there are for a prefix is worked out from all addresses each time, so that two addresses of one subnet
//! can come and go in any order. An interface with an IPv6 address makes itself a link-local one, RFC 4291 section 2.8,
//! unless it is given one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use packet::ipv6;
use shm::records::{AddressState, RouteProtocol};

use super::Tables;
use super::attributes::AttributesId;
use super::candidates::{Candidate, Target};
use super::forwarding::is_link_local;
use super::own_address::{LINK_LOCAL, OwnAddress};
use super::publish::address_record;
use super::refusal::{fib_refusal, list, refuse};
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Gives the interface an address, connects its subnet and announces it; an IPv6 address is looked for on the link first.
    pub fn address_add(&mut self, interface: u16, address: IpNet, now: Duration) -> Result<(), ControlError> {
        let for_services = self.own(interface, address.addr()).filter(|own| own.for_services);
        if let Some(own) = for_services.cloned() {
            return self.take_over_address(&own, address, now);
        }
        let given = self.give_address(interface, address, now);
        self.settle_tunnels(now);
        given
    }

    fn give_address(&mut self, interface: u16, address: IpNet, now: Duration) -> Result<(), ControlError> {
        let name = self.known_interface(interface)?.name.clone();
        self.check_address(interface, &name, address)?;
        let automatic = self
            .link_local(interface)
            .filter(|own| own.automatic && is_link_local(address.addr()))
            .cloned();
        if let Some(automatic) = &automatic {
            // What is reached by it is reached by the new one, which takes its place and brings no routes: that cannot fail.
            self.take_out(automatic);
        }
        self.make_address(interface, address, false, now)?;
        if let Some(automatic) = automatic {
            self.withdraw_from(automatic.net.addr());
        }
        self.keep_link_local(interface, now)
            .inspect_err(|_| self.drop_found(interface, address.addr()))
    }

    /// Takes an address from an interface, and with it what cannot be without it: neighbours of its subnet, and routes
    /// by way of them. With the interface's last address go the routes that lead out of it, as nobody could be asked, unless it is
    /// a tunnel. An address that services use stays by itself, as long as they do.
    pub fn address_delete(
        &mut self,
        interface: u16,
        address: IpNet,
        now: Duration,
    ) -> Result<(), ControlError> {
        let name = self.known_interface(interface)?.name.clone();
        let found = self
            .addresses
            .iter()
            .find(|own| own.interface == interface && own.net == address);
        let Some(own) = found.cloned() else {
            let there = self
                .addresses
                .iter()
                .filter(|own| own.interface == interface)
                .map(|own| own.net);
            let sentence = format!("{name} has no address {address}: it has {}", list(there));
            return Err(refuse(ErrorCode::NotFound, sentence));
        };
        if own.automatic {
            let sentence = format!(
                "{address} on {name} is its own link-local address: it goes with the interface's last IPv6 address"
            );
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        if own.for_services {
            let sentence = format!(
                "{address} on {name} is a local address of services, and there for them: take it from the services"
            );
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        let host = address.addr();
        if !self.services.is_local(host) {
            return self.remove_address(&own, now);
        }
        if address.prefix_len() == address.max_prefix_len()
            && let Some(own) = self.own_mut(interface, host)
        {
            own.for_services = true;
            return Ok(());
        }
        self.remove_address(&own, now)?;
        self.give_service_address(interface, host, now)
    }

    /// Takes an address away, whatever it is there for.
    pub(super) fn remove_address(&mut self, own: &OwnAddress, now: Duration) -> Result<(), ControlError> {
        self.take_out(own);
        // Before anything is found stranded: another link-local address may take the place of this one.
        let kept = self.keep_link_local(own.interface, now);
        self.forget_stranded(own);
        self.settle_tunnels(now);
        kept
    }

    fn make_address(
        &mut self,
        interface: u16,
        net: IpNet,
        automatic: bool,
        now: Duration,
    ) -> Result<(), ControlError> {
        if let Some(id) = self.neighbors.find(interface, net.addr()) {
            // A host by that address was heard before; from now on it would be an address conflict.
            self.withdraw_by(id);
            self.remove_neighbor(id);
        }
        let mut own = OwnAddress {
            interface,
            net,
            slot: 0,
            state: match net {
                IpNet::V4(_) => AddressState::Preferred,
                // Nobody is asked on a tunnel.
                IpNet::V6(_) if self.is_tunnel(interface) => AddressState::Preferred,
                IpNet::V6(_) => AddressState::Tentative,
            },
            automatic,
            for_services: false,
            sought_until: None,
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
            interface: self.interface_name(interface).to_owned(),
            address: net,
            added: true,
        });
        self.refresh_sources();
        match net.addr() {
            _ if self.is_tunnel(interface) => {}
            IpAddr::V4(address) => self.announce_new(interface, address.into(), now),
            IpAddr::V6(address) => self.detect_duplicates(interface, address, now),
        }
        Ok(())
    }

    /// Makes or removes the link-local address that the gateway makes itself, as the interface's others ask for.
    fn keep_link_local(&mut self, interface: u16, now: Duration) -> Result<(), ControlError> {
        let needed = self
            .addresses
            .iter()
            .any(|own| own.interface == interface && own.net.addr().is_ipv6() && !own.automatic);
        match self.link_local(interface).cloned() {
            None if needed => {
                let address = match self.tunnel(interface) {
                    Some(tunnel) => tunnel.link_local(),
                    None => ipv6::link_local(self.known_interface(interface)?.mac).into(),
                };
                let net = IpNet::new_assert(address, LINK_LOCAL.prefix_len());
                self.make_address(interface, net, true, now)
            }
            Some(own) if own.automatic && !needed => {
                self.take_out(&own);
                self.withdraw_from(own.net.addr());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts the link-local address in the place of `made` that the interface makes itself by now.
    pub(super) fn remake_link_local(&mut self, made: &OwnAddress, now: Duration) -> Result<(), ControlError> {
        self.take_out(made);
        let kept = self.keep_link_local(made.interface, now);
        self.withdraw_from(made.net.addr());
        kept
    }

    /// Whether the gateway has the address, on any interface.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.net.addr() == address)
    }

    /// The addresses of an interface that are in use.
    pub fn addresses_in_use(&self, interface: u16) -> impl Iterator<Item = IpNet> {
        self.addresses
            .iter()
            .filter(move |own| own.interface == interface && own.is_preferred())
            .map(|own| own.net)
    }

    /// The addresses that an interface was given, in that order: those left out that it makes itself or has for services
    /// alone.
    pub fn given_addresses(&self, interface: u16) -> impl Iterator<Item = IpNet> {
        self.addresses
            .iter()
            .filter(move |own| own.interface == interface && !own.automatic && !own.for_services)
            .map(|own| own.net)
    }

    /// The interface's link-local address.
    pub(super) fn link_local(&self, interface: u16) -> Option<&OwnAddress> {
        self.addresses
            .iter()
            .find(|own| own.interface == interface && own.is_link_local())
    }

    fn drop_found(&mut self, interface: u16, address: IpAddr) {
        if let Some(own) = self.own(interface, address).cloned() {
            self.take_out(&own);
            self.forget_stranded(&own);
        }
    }

    /// Ends the use of an address. What it leaves stranded is still there.
    fn take_out(&mut self, own: &OwnAddress) {
        self.forget_address(own);
        self.tell(Event::Address {
            interface: self.interface_name(own.interface).to_owned(),
            address: own.net,
            added: false,
        });
        self.refresh_sources();
    }

    /// Whether the gateway has the address, on any interface; link-local ones are not asked, and a duplicate is another host's.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        let same = |own: &OwnAddress| own.net.addr() == address && own.state != AddressState::Duplicate;
        !is_link_local(address) && self.addresses.iter().any(same)
    }

    /// Whether the gateway has the address, or is about to have it, and a host of the interface's link therefore not.
    pub(super) fn is_claimed(&self, interface: u16, address: IpAddr) -> bool {
        let on_link = self
            .own(interface, address)
            .is_some_and(|own| own.state != AddressState::Duplicate);
        on_link || self.is_own(address)
    }

    /// The interface's address, if it has it.
    pub(super) fn own(&self, interface: u16, address: IpAddr) -> Option<&OwnAddress> {
        self.addresses
            .iter()
            .find(|own| own.interface == interface && own.net.addr() == address)
    }

    /// Whether it is the address of all routers of a subnet of the interface.
    pub(super) fn is_anycast(&self, interface: u16, address: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|own| own.interface == interface && own.is_preferred() && own.anycast() == Some(address))
    }

    /// The interface's address, to be changed.
    pub(super) fn own_mut(&mut self, interface: u16, address: IpAddr) -> Option<&mut OwnAddress> {
        self.addresses
            .iter_mut()
            .find(|own| own.interface == interface && own.net.addr() == address)
    }

    /// Which subnets there are, for a sentence.
    pub(super) fn subnets(&self) -> String {
        let subnets: BTreeSet<_> = self
            .addresses
            .iter()
            .filter(|own| !own.is_link_local())
            .map(|own| (own.net.trunc(), own.interface))
            .collect();
        list(
            subnets
                .iter()
                .map(|(net, interface)| format!("{net} ({})", self.interface_name(*interface))),
        )
    }

    /// Changes the state of an address, and what follows from it.
    pub(super) fn set_state(&mut self, interface: u16, address: IpAddr, state: AddressState) {
        let Some(own) = self.own_mut(interface, address) else {
            return;
        };
        own.state = state;
        let own = own.clone();
        self.published.addresses.update(own.slot, &address_record(&own));
        // Cannot fail: the prefixes that it has a route for have one already.
        let _ = self.refresh_own(&own);
        self.refresh_sources();
        self.tell(Event::AddressState {
            interface: self.interface_name(interface).to_owned(),
            address: own.net,
            state: state.name().to_owned(),
        });
    }

    /// Takes the address out of everything but neighbours and given routes.
    fn forget_address(&mut self, own: &OwnAddress) {
        self.addresses
            .retain(|other| (other.interface, other.net.addr()) != (own.interface, own.net.addr()));
        // Cannot fail: there are fewer routes than before.
        let _ = self.refresh_own(own);
        self.published.addresses.remove(own.slot);
    }

    /// Brings the routes that an address brings, or brought, in line with the addresses there are.
    fn refresh_own(&mut self, own: &OwnAddress) -> Result<(), ControlError> {
        for prefix in own.prefixes() {
            // When one address brings a local route and another a broadcast route, it is local; and one address of a subnet is
            // enough for that of all its routers.
            let targets = self.addresses.iter().filter_map(|own| own.target(prefix));
            let target = targets.min_by_key(|target| match target {
                Target::Local(_) => 0,
                Target::Anycast(_) => 1,
                _ => 2,
            });
            if self.candidates.own(prefix).map(|route| route.target) != target {
                self.set_own(prefix, target)?;
                self.refresh(prefix).map_err(fib_refusal)?;
            }
        }
        Ok(())
    }

    fn set_own(&mut self, prefix: IpNet, target: Option<Target>) -> Result<(), ControlError> {
        let before = self.candidates.own(prefix);
        let Some(target) = target else {
            self.candidates.set_own(prefix, None);
            if let Some(route) = before {
                self.published.remove_route(prefix, route.slot);
            }
            return Ok(());
        };
        let mut route = Candidate {
            target,
            protocol: RouteProtocol::KERNEL,
            attributes: AttributesId::NONE,
            slot: 0,
        };
        let record = self.route_record(prefix, &route);
        match before {
            Some(before) => {
                route.slot = before.slot;
                self.published.update_route(route.slot, &record);
            }
            None => {
                let Some(slot) = self.published.insert_route(&record) else {
                    return Err(self.no_room_for(prefix));
                };
                route.slot = slot;
            }
        }
        self.candidates.set_own(prefix, Some(route));
        Ok(())
    }

    /// Forgets the routes and neighbours that no address reaches any more.
    fn forget_stranded(&mut self, gone: &OwnAddress) {
        let interface = gone.interface;
        let family = gone.net.addr().is_ipv4();
        let was_last = !self
            .addresses
            .iter()
            .any(|own| own.interface == interface && own.net.addr().is_ipv4() == family);
        let range = match gone.net {
            net if !was_last => net,
            IpNet::V4(_) => Ipv4Net::default().into(),
            IpNet::V6(_) => Ipv6Net::default().into(),
        };
        let neighbors: BTreeSet<_> = self
            .neighbors
            .within(range.network(), range.broadcast())
            .filter(|id| {
                self.neighbors
                    .get(*id)
                    .is_some_and(|neighbor| neighbor.interface == interface)
            })
            .collect();
        let reaches = |address: IpAddr| {
            if is_link_local(address) {
                self.link_local(interface).is_some()
            } else {
                self.subnet_of(address)
                    .is_some_and(|own| own.interface == interface)
            }
        };
        let is_next_hop = |id| {
            self.neighbors
                .get(id)
                .is_some_and(|neighbor| neighbor.routes > 0 && !reaches(neighbor.address))
        };
        let next_hops: BTreeSet<_> = neighbors.iter().copied().filter(|id| is_next_hop(*id)).collect();
        if was_last || !next_hops.is_empty() {
            let stranded = self.candidates.given_where(|prefix, route| match route.target {
                Target::Glean(out) => {
                    let asks = was_last && !self.is_tunnel(interface);
                    asks && out == interface && prefix.addr().is_ipv4() == family
                }
                target => next_hops.iter().any(|id| self.names(target, *id)),
            });
            for (prefix, route) in stranded {
                self.withdraw(prefix, route);
            }
        }
        self.withdraw_from(gone.net.addr());
        for id in neighbors {
            // One that a route names may be the broadcast address of another subnet by now: it goes with the route.
            let stranded = self.neighbors.get(id).is_some_and(|neighbor| {
                neighbor.routes == 0 && !self.is_on_link(interface, neighbor.address)
            });
            if stranded {
                self.remove_neighbor(id);
            }
        }
    }

    /// Takes out the routes whose source the gateway has no more.
    fn withdraw_from(&mut self, gone: IpAddr) {
        if self.addresses.iter().any(|own| own.net.addr() == gone) || !self.attributes.has_source(gone) {
            return;
        }
        let from_it = self
            .candidates
            .given_where(|_, route| self.attributes.get(route.attributes).source == Some(gone));
        for (prefix, route) in from_it {
            self.withdraw(prefix, route);
        }
    }
}
