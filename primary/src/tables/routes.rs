//! Routes of configuration and operators, many at a time, all or none.
//!
//! A request is checked in whole first; what only shows when it is carried out (no tbl8 group, no room for a next hop)
//! puts everything back as it was.

use std::net::IpAddr;
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode, Route, RouteTarget};
use ipnet::IpNet;
use shm::records::RouteProtocol;

use super::Tables;
use super::candidates::{Candidate, Target};
use super::forwarding::is_link_local;
use super::neighbor_set::NeighborId;
use super::refusal::{fib_refusal, refuse};
use crate::adjacency;

/// A checked target. The next hop need not be known as a neighbour yet.
#[derive(Clone, Copy)]
enum Planned {
    Via { interface: u16, next_hop: IpAddr },
    Glean(u16),
    Blackhole,
}

/// A route that was set, and what was there before.
struct Done {
    prefix: IpNet,
    before: Option<Candidate>,
    after: Candidate,
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Adds routes, all or none. With `replace`, one that exists is changed and otherwise refused.
    pub fn routes_add(
        &mut self,
        routes: &[Route],
        replace: bool,
        protocol: RouteProtocol,
        now: Duration,
    ) -> Result<(), ControlError> {
        each_once(routes.iter().map(|route| route.prefix))?;
        let planned = routes
            .iter()
            .map(|route| self.plan(route, replace))
            .collect::<Result<Vec<Planned>, ControlError>>()?;
        self.check_room_for(routes)?;
        let mut journal = Vec::with_capacity(routes.len());
        for (route, planned) in routes.iter().zip(planned) {
            match self.install(route.prefix, planned, protocol, now) {
                Ok(done) => journal.push(done),
                Err(error) => {
                    // Backwards, so that each finds what it found before.
                    journal.into_iter().rev().for_each(|done| self.undo(done));
                    return Err(error);
                }
            }
        }
        for (done, route) in journal.into_iter().zip(routes) {
            if let Some(Candidate {
                target: Target::Via(id),
                ..
            }) = done.before
            {
                self.release(id);
            }
            self.tell(Event::RouteAdded { route: route.clone() });
        }
        Ok(())
    }

    /// Deletes routes, all or none.
    pub fn routes_delete(&mut self, prefixes: &[IpNet]) -> Result<(), ControlError> {
        each_once(prefixes.iter().copied())?;
        for prefix in prefixes {
            check_host_bits(*prefix)?;
            if self.candidates.given(*prefix).is_none() {
                return Err(self.no_such_route(*prefix));
            }
        }
        for prefix in prefixes {
            self.withdraw(*prefix);
        }
        Ok(())
    }

    /// Takes a given route out of everything, and its next hop with it where nothing is known of that.
    pub(super) fn withdraw(&mut self, prefix: IpNet) {
        let Some(route) = self.candidates.set_given(prefix, None) else {
            return;
        };
        // Cannot fail: whatever takes its place is in the FIB's place already.
        let _ = self.refresh(prefix);
        self.published.remove_route(prefix, route.slot);
        self.tell(Event::RouteDeleted { prefix });
        if let Target::Via(id) = route.target {
            self.release(id);
        }
    }

    /// Takes out the given routes by way of a neighbour.
    pub(super) fn withdraw_by(&mut self, id: NeighborId) {
        if self.neighbors.get(id).is_none_or(|neighbor| neighbor.routes == 0) {
            return;
        }
        let by_it = self.candidates.given_where(|_, target| target == Target::Via(id));
        for prefix in by_it {
            self.withdraw(prefix);
        }
    }

    fn check_room_for(&self, routes: &[Route]) -> Result<(), ControlError> {
        let limits = [
            ("routes4", self.limits.routes4, true),
            ("routes6", self.limits.routes6, false),
        ];
        for ((key, limit, of4), there) in limits.into_iter().zip(self.candidates.given_len()) {
            let new = routes
                .iter()
                .filter(|route| route.prefix.addr().is_ipv4() == of4)
                .filter(|route| self.candidates.given(route.prefix).is_none())
                .count();
            if there + new > limit {
                let sentence = format!(
                    "there are {there} routes, and with {new} more there would be over {limit}: raise {key} in [limits]"
                );
                return Err(refuse(ErrorCode::LimitReached, sentence));
            }
        }
        Ok(())
    }

    fn plan(&self, route: &Route, replace: bool) -> Result<Planned, ControlError> {
        let prefix = route.prefix;
        check_host_bits(prefix)?;
        check_forwardable(prefix)?;
        if let Some(own) = self.candidates.own(prefix) {
            return Err(refuse(
                ErrorCode::Exists,
                self.own_route_sentence(prefix, own.target),
            ));
        }
        if !replace && self.candidates.given(prefix).is_some() {
            let sentence = format!("there is a route to {prefix} already: to change it, replace it");
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        match &route.target {
            RouteTarget::Via { next_hop, interface } => {
                self.plan_via(prefix, *next_hop, interface.as_deref())
            }
            RouteTarget::Interface(name) => {
                let interface = self.interface_index(name)?;
                // Neighbours must be asked from an address.
                let family = prefix.addr().is_ipv4();
                if !self
                    .addresses
                    .iter()
                    .any(|own| own.interface == interface && own.net.addr().is_ipv4() == family)
                {
                    let sentence = format!(
                        "the route to {prefix} leaves by {name}, which has no {} address: add one first",
                        if family { "IPv4" } else { "IPv6" }
                    );
                    return Err(refuse(ErrorCode::Invalid, sentence));
                }
                Ok(Planned::Glean(interface))
            }
            RouteTarget::Blackhole => Ok(Planned::Blackhole),
        }
    }

    fn plan_via(&self, prefix: IpNet, next_hop: IpAddr, on: Option<&str>) -> Result<Planned, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        if prefix.addr().is_ipv4() != next_hop.is_ipv4() {
            return invalid(format!(
                "the next hop {next_hop} of {prefix} is of the other address family: name one of its own"
            ));
        }
        let on = on.map(|name| self.interface_index(name)).transpose()?;
        if is_link_local(next_hop) {
            return self.plan_via_link_local(prefix, next_hop, on);
        }
        if let Some(own) = self.addresses.iter().find(|own| own.net.addr() == next_hop) {
            return invalid(format!(
                "the next hop {next_hop} of {prefix} is the gateway's own address on {}: name the other router's",
                self.interface_name(own.interface)
            ));
        }
        match self.subnet_of(next_hop) {
            None => invalid(format!(
                "the next hop {next_hop} of {prefix} is on no connected subnet: there are {}",
                self.subnets()
            )),
            Some(own) if !own.is_host(next_hop) => invalid(format!(
                "the next hop {next_hop} of {prefix} is the network, anycast or broadcast address of {}: name a host's",
                own.net.trunc()
            )),
            Some(own) if on.is_some_and(|on| on != own.interface) => invalid(format!(
                "the next hop {next_hop} of {prefix} is on {}, by {}: leave the interface out, or name that one",
                self.interface_name(own.interface),
                own.net.trunc()
            )),
            Some(own) => Ok(Planned::Via {
                interface: own.interface,
                next_hop,
            }),
        }
    }

    /// Every link has its own fe80::/64, so that only the interface tells which is meant.
    fn plan_via_link_local(
        &self,
        prefix: IpNet,
        next_hop: IpAddr,
        on: Option<u16>,
    ) -> Result<Planned, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let Some(interface) = on else {
            return invalid(format!(
                "the next hop {next_hop} of {prefix} is link-local, which is on every link: name the interface as well"
            ));
        };
        let name = self.interface_name(interface);
        match self.link_local(interface) {
            None => invalid(format!(
                "the next hop {next_hop} of {prefix} is link-local, and {name} has no IPv6 address: add one first"
            )),
            Some(own) if own.net.addr() == next_hop => invalid(format!(
                "the next hop {next_hop} of {prefix} is the gateway's own address on {name}: name the other router's"
            )),
            Some(_) => Ok(Planned::Via { interface, next_hop }),
        }
    }

    /// Sets one route. The next hop of the one before stays held.
    fn install(
        &mut self,
        prefix: IpNet,
        planned: Planned,
        protocol: RouteProtocol,
        now: Duration,
    ) -> Result<Done, ControlError> {
        let target = match planned {
            Planned::Blackhole => Target::Blackhole,
            Planned::Glean(interface) => Target::Glean(interface),
            Planned::Via { interface, next_hop } => {
                let id = self.find_or_create(interface, next_hop, now)?;
                self.hold(id);
                Target::Via(id)
            }
        };
        let before = self.candidates.given(prefix);
        let mut after = Candidate {
            target,
            protocol,
            slot: 0,
        };
        let record = self.route_record(prefix, &after);
        let slot = match before {
            Some(before) => Some(before.slot),
            None => self.published.insert_route(&record),
        };
        let Some(slot) = slot else {
            if let Target::Via(id) = target {
                self.release(id);
            }
            return Err(self.no_room_for(prefix));
        };
        after.slot = slot;
        self.published.update_route(slot, &record);
        self.candidates.set_given(prefix, Some(after));
        let done = Done {
            prefix,
            before,
            after,
        };
        match self.refresh(prefix) {
            Ok(()) => Ok(done),
            Err(error) => {
                self.undo(done);
                Err(fib_refusal(error))
            }
        }
    }

    fn undo(
        &mut self,
        Done {
            prefix,
            before,
            after,
        }: Done,
    ) {
        self.candidates.set_given(prefix, before);
        match before {
            Some(before) => {
                let record = self.route_record(prefix, &before);
                self.published.update_route(before.slot, &record);
            }
            None => self.published.remove_route(prefix, after.slot),
        }
        // Cannot fail: what was in the FIB a moment ago still has its place there.
        let _ = self.refresh(prefix);
        if let Target::Via(id) = after.target {
            self.release(id);
        }
    }

    /// The refusal of a route for which the region has no record left.
    pub(super) fn no_room_for(&self, prefix: IpNet) -> ControlError {
        let key = match prefix {
            IpNet::V4(_) => "routes4",
            IpNet::V6(_) => "routes6",
        };
        let sentence = format!("the table of routes has no room for {prefix}: raise {key} in [limits]");
        refuse(ErrorCode::LimitReached, sentence)
    }

    fn no_such_route(&self, prefix: IpNet) -> ControlError {
        match self.candidates.own(prefix) {
            Some(own) => refuse(ErrorCode::Invalid, self.own_route_sentence(prefix, own.target)),
            None => refuse(ErrorCode::NotFound, format!("there is no route to {prefix}")),
        }
    }

    fn own_route_sentence(&self, prefix: IpNet, target: Target) -> String {
        let what = match target {
            Target::Local(_) => "the gateway's own address",
            Target::Broadcast(_) => "the network or broadcast address of a subnet",
            Target::Glean(_) | Target::Via(_) | Target::Blackhole => "the connected subnet",
        };
        let on = target
            .interface()
            .map_or("", |interface| self.interface_name(interface));
        format!("{prefix} is {what} of {on}: its route comes and goes with the address")
    }
}

/// Fails when a prefix has bits beyond its length.
fn check_host_bits(prefix: IpNet) -> Result<(), ControlError> {
    if prefix == prefix.trunc() {
        return Ok(());
    }
    let sentence = format!("{prefix} has host bits set; did you mean {}?", prefix.trunc());
    Err(refuse(ErrorCode::Invalid, sentence))
}

/// Fails when no packet for the prefix is ever forwarded, whatever the routes.
fn check_forwardable(prefix: IpNet) -> Result<(), ControlError> {
    let IpNet::V6(net) = prefix else {
        return Ok(());
    };
    let reason = if net.addr().is_multicast() {
        "multicast, which is not forwarded"
    } else if net.prefix_len() >= 10 && net.addr().is_unicast_link_local() {
        "link-local, which never leaves its link"
    } else if prefix == IpNet::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST)) {
        "the loopback address, which never leaves its host"
    } else {
        return Ok(());
    };
    Err(refuse(
        ErrorCode::Invalid,
        format!("{prefix} is {reason}: leave the route out"),
    ))
}

/// Fails when one request names a prefix twice.
fn each_once(prefixes: impl Iterator<Item = IpNet>) -> Result<(), ControlError> {
    let mut sorted: Vec<IpNet> = prefixes.collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let sentence = format!("{} is named twice in one request: name it once", pair[0]);
            Err(refuse(ErrorCode::Invalid, sentence))
        }
    }
}
