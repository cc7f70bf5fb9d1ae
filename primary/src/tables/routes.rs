//! Routes of configuration and operators, many at a time, all or none.
//!
//! A request is checked in whole first, see `route_plan`; what only shows when it is carried out (no tbl8 group, no room
//! for a next hop) puts everything back as it was.

use std::net::IpAddr;
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode, Route, RouteKey, default_metric};
use ipnet::IpNet;
use shm::records::RouteProtocol;

use super::Tables;
use super::attributes::{AttributeSets, Attributes};
use super::candidates::{Candidate, Target};
use super::neighbor_set::NeighborId;
use super::refusal::{fib_refusal, refuse};
use super::route_plan::{Planned, check_host_bits};
use crate::adjacency;

/// A route that was set, and what was there before.
struct Done {
    prefix: IpNet,
    before: Option<Candidate>,
    after: Candidate,
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Adds routes, all or none. With `replace`, one that exists, to the same prefix and with the same metric, is changed and
    /// otherwise refused. `protocol` is that of routes that name none.
    pub fn routes_add(
        &mut self,
        routes: &[Route],
        replace: bool,
        protocol: RouteProtocol,
        now: Duration,
    ) -> Result<(), ControlError> {
        each_once(routes.iter().map(|route| (route.prefix, route.metric())))?;
        let planned = routes
            .iter()
            .map(|route| self.plan(route, replace))
            .collect::<Result<Vec<Planned>, ControlError>>()?;
        self.check_room_for(routes)?;
        let mut journal = Vec::with_capacity(routes.len());
        for (route, planned) in routes.iter().zip(planned) {
            match self.install(route, planned, protocol, now) {
                Ok(done) => journal.push(done),
                Err(error) => {
                    // Backwards, so that each finds what it found before.
                    journal.into_iter().rev().for_each(|done| self.undo(done));
                    return Err(error);
                }
            }
        }
        for (done, route) in journal.into_iter().zip(routes) {
            if let Some(before) = done.before {
                self.release_target(before.target);
                self.attributes.release(before.attributes);
            }
            self.tell(Event::RouteAdded { route: route.clone() });
        }
        Ok(())
    }

    /// Deletes routes, all or none: of those that a key matches, the one with the lowest metric.
    pub fn routes_delete(&mut self, keys: &[RouteKey]) -> Result<(), ControlError> {
        let mut found: Vec<(IpNet, Candidate)> = Vec::with_capacity(keys.len());
        for key in keys {
            check_host_bits(key.prefix)?;
            let matching = self
                .candidates
                .given_each(key.prefix)
                .filter(|route| key.metric.is_none_or(|metric| metric == self.metric(route)))
                .filter(|route| {
                    key.next_hop
                        .is_none_or(|next_hop| self.leads_by(route.target, next_hop))
                });
            match matching.min_by_key(|route| self.metric(route)) {
                Some(route) => found.push((key.prefix, route)),
                None => return Err(self.no_such_route(key)),
            }
        }
        each_once(found.iter().map(|(prefix, route)| (*prefix, self.metric(route))))?;
        for (prefix, route) in found {
            self.withdraw(prefix, route);
        }
        Ok(())
    }

    /// Whether one of the next hops is this one.
    fn leads_by(&self, target: Target, next_hop: IpAddr) -> bool {
        let is_it = |id: NeighborId| {
            self.neighbors
                .get(id)
                .is_some_and(|neighbor| neighbor.address == next_hop)
        };
        match target {
            Target::Via(id) => is_it(id),
            Target::Group(id) => self
                .groups
                .get(id)
                .is_some_and(|group| group.members.iter().any(|member| is_it(member.id))),
            _ => false,
        }
    }

    /// Takes a given route out of everything, and its next hops with it where nothing is known of those.
    pub(super) fn withdraw(&mut self, prefix: IpNet, route: Candidate) {
        let metric = self.metric(&route);
        self.take_given(prefix, &route);
        self.published.remove_route(prefix, route.slot);
        self.tell(Event::RouteDeleted { prefix, metric });
        self.release_target(route.target);
        self.attributes.release(route.attributes);
    }

    /// Takes a given route out of the routes and the FIB.
    fn take_given(&mut self, prefix: IpNet, route: &Candidate) {
        self.candidates.remove_given(prefix, *route);
        self.choose_route(prefix);
        if let Some(active) = self.candidates.given(prefix) {
            self.publish_route(prefix, &active);
        }
        // Cannot fail: whatever takes its place is in the FIB's place already.
        let _ = self.refresh(prefix);
    }

    /// Takes out the given routes by way of a neighbour.
    pub(super) fn withdraw_by(&mut self, id: NeighborId) {
        if self.neighbors.get(id).is_none_or(|neighbor| neighbor.routes == 0) {
            return;
        }
        let by_it = self
            .candidates
            .given_where(|_, route| self.names(route.target, id));
        for (prefix, route) in by_it {
            self.withdraw(prefix, route);
        }
    }

    /// Its metric: of the routes to a prefix, the usable one with the lowest counts.
    pub(super) fn metric(&self, route: &Candidate) -> u32 {
        self.attributes.get(route.attributes).metric
    }

    /// The given route to a prefix that has this metric.
    pub(super) fn given_of_metric(&self, prefix: IpNet, metric: u32) -> Option<Candidate> {
        self.candidates
            .given_each(prefix)
            .find(|route| self.metric(route) == metric)
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
                .filter(|route| self.given_of_metric(route.prefix, route.metric()).is_none())
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

    /// Sets one route. The next hops of the one before stay held.
    fn install(
        &mut self,
        route: &Route,
        planned: Planned,
        protocol: RouteProtocol,
        now: Duration,
    ) -> Result<Done, ControlError> {
        let (prefix, metric) = (route.prefix, route.metric());
        let before = self.given_of_metric(prefix, metric);
        let target = self.hold_target(planned, now)?;
        let attributes = Attributes {
            metric,
            source: route.source,
            mtu: route.mtu,
        };
        let Some(attributes) = self.attributes.hold(attributes) else {
            self.release_target(target);
            return Err(too_many_sets(prefix));
        };
        let mut after = Candidate {
            target,
            protocol: route.protocol.map_or(protocol, RouteProtocol),
            attributes,
            slot: 0,
        };
        let slot = match before {
            Some(before) => Some(before.slot),
            None => {
                let record = self.route_record(prefix, &after);
                self.published.insert_route(&record)
            }
        };
        let Some(slot) = slot else {
            self.release_target(target);
            self.attributes.release(attributes);
            return Err(self.no_room_for(prefix));
        };
        after.slot = slot;
        match before {
            Some(before) => self.candidates.replace_given(prefix, before, after),
            None => self.candidates.add_given(prefix, after),
        }
        self.choose_route(prefix);
        self.publish_route(prefix, &after);
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

    fn undo(&mut self, done: Done) {
        let (prefix, after) = (done.prefix, done.after);
        match done.before {
            Some(before) => {
                self.candidates.replace_given(prefix, after, before);
                self.choose_route(prefix);
                self.publish_route(prefix, &before);
                // Cannot fail: what was in the FIB a moment ago still has its place there.
                let _ = self.refresh(prefix);
            }
            None => {
                self.take_given(prefix, &after);
                self.published.remove_route(prefix, after.slot);
            }
        }
        self.release_target(after.target);
        self.attributes.release(after.attributes);
    }

    /// What a checked target stands for; one more route holds it.
    fn hold_target(&mut self, planned: Planned, now: Duration) -> Result<Target, ControlError> {
        Ok(match planned {
            Planned::Blackhole => Target::Blackhole,
            Planned::Unreachable => Target::Unreachable,
            Planned::Prohibit => Target::Prohibit,
            Planned::Glean(interface) => Target::Glean(interface),
            Planned::Via(member) => {
                let id = self.find_or_create(member.interface, member.next_hop, now)?;
                self.hold(id);
                Target::Via(id)
            }
            Planned::Group(members, mtu) => Target::Group(self.hold_group(&members, mtu, now)?),
        })
    }

    /// One route less holds it.
    fn release_target(&mut self, target: Target) {
        match target {
            Target::Via(id) => self.release(id),
            Target::Group(id) => self.release_group(id),
            _ => {}
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

    fn no_such_route(&self, key: &RouteKey) -> ControlError {
        let prefix = key.prefix;
        if self.candidates.given(prefix).is_none()
            && let Some(own) = self.candidates.own(prefix)
        {
            return refuse(ErrorCode::Invalid, self.own_route_sentence(prefix, own.target));
        }
        let metric = key
            .metric
            .map_or(String::new(), |metric| format!(" with metric {metric}"));
        let via = key
            .next_hop
            .map_or(String::new(), |next_hop| format!(" via {next_hop}"));
        refuse(
            ErrorCode::NotFound,
            format!("there is no route to {prefix}{via}{metric}"),
        )
    }

    pub(super) fn own_route_sentence(&self, prefix: IpNet, target: Target) -> String {
        let what = match target {
            Target::Local(_) => "the gateway's own address",
            Target::Broadcast(_) => "the network or broadcast address of a subnet",
            Target::Anycast(_) => "the anycast address of all routers of a subnet",
            _ => "the connected subnet",
        };
        let on = target
            .interface()
            .map_or("", |interface| self.interface_name(interface));
        format!("{prefix} is {what} of {on}: its route comes and goes with the address")
    }
}

fn too_many_sets(prefix: IpNet) -> ControlError {
    let sentence = format!(
        "the route to {prefix} would be the {}th with a combination of metric, src and mtu of its own: give it one that \
         another route has",
        AttributeSets::MOST
    );
    refuse(ErrorCode::LimitReached, sentence)
}

/// Fails when one request names a route twice.
fn each_once(routes: impl Iterator<Item = (IpNet, u32)>) -> Result<(), ControlError> {
    let mut sorted: Vec<(IpNet, u32)> = routes.collect();
    sorted.sort_unstable();
    let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) else {
        return Ok(());
    };
    let (prefix, metric) = pair[0];
    let with = if metric == default_metric(prefix) {
        String::new()
    } else {
        format!(" with metric {metric}")
    };
    let sentence = format!("{prefix}{with} is named twice in one request: name it once");
    Err(refuse(ErrorCode::Invalid, sentence))
}
