//! Which next hops are in service: a neighbour that did not answer leaves its groups, and its routes give way to those of a
//! higher metric, until it answers again. It is asked by itself, as no packet asks for it meanwhile.
//!
//! Where nothing else is in service, packets go where they would: they wait or are answered as for any neighbour.

use std::time::Duration;

use ipnet::IpNet;

use super::Tables;
use super::candidates::{Candidate, Target};
use super::groups::GroupId;
use super::neighbor_set::NeighborId;
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Whether packets can leave by the interface.
    pub fn interface_usable(&self, interface: u16) -> bool {
        self.interfaces
            .get(usize::from(interface))
            .is_some_and(|interface| interface.is_up())
    }

    /// Whether packets that may go elsewhere go to the neighbour.
    pub(super) fn in_service(&self, id: NeighborId) -> bool {
        self.neighbors
            .get(id)
            .is_some_and(|neighbor| neighbor.serves && self.interface_usable(neighbor.interface))
    }

    fn is_usable(&self, target: Target) -> bool {
        match target {
            Target::Via(id) => self.in_service(id),
            Target::Group(id) => self
                .groups
                .get(id)
                .is_some_and(|group| group.members.iter().any(|member| self.in_service(member.id))),
            Target::Glean(interface) => self.interface_usable(interface),
            Target::Local(_)
            | Target::Anycast(_)
            | Target::Broadcast(_)
            | Target::Blackhole
            | Target::Unreachable
            | Target::Prohibit => true,
        }
    }

    /// Whether the target is the neighbour, or a group that has it.
    pub(super) fn names(&self, target: Target, id: NeighborId) -> bool {
        match target {
            Target::Via(via) => via == id,
            Target::Group(group) => self.groups.get(group).is_some_and(|group| group.has(id)),
            _ => false,
        }
    }

    /// Whether packets could go elsewhere than to the neighbour.
    fn has_alternative(&self, id: NeighborId) -> bool {
        let shared = self
            .groups
            .all()
            .any(|(_, group)| group.members.len() > 1 && group.has(id));
        shared
            || self.candidates.contested().any(|prefix| {
                let mut routes = self.candidates.given_each(prefix);
                routes.any(|route| self.names(route.target, id))
            })
    }

    /// The neighbour has come into service or left it.
    pub(super) fn neighbor_service_changed(&mut self, id: NeighborId) {
        let groups: Vec<GroupId> = self
            .groups
            .all()
            .filter(|(_, group)| group.has(id))
            .map(|(group, _)| group)
            .collect();
        let prefixes: Vec<IpNet> = self
            .candidates
            .contested()
            .filter(|prefix| {
                let mut routes = self.candidates.given_each(*prefix);
                routes.any(|route| self.names(route.target, id))
            })
            .collect();
        self.serve_otherwise(groups, prefixes);
    }

    /// An interface has come into service or left it.
    pub(super) fn interface_service_changed(&mut self) {
        let groups = self.groups.all().map(|(group, _)| group).collect();
        let prefixes = self.candidates.contested().collect();
        self.serve_otherwise(groups, prefixes);
    }

    fn serve_otherwise(&mut self, groups: Vec<GroupId>, prefixes: Vec<IpNet>) {
        for group in groups {
            self.regroup(group);
        }
        for prefix in prefixes {
            if self.choose_route(prefix) {
                // Fails only for a prefix that was out of service with its interface, which is told with that.
                let _ = self.refresh(prefix);
            }
        }
    }

    /// Makes the best of the routes to `prefix` the one that counts: of those in service, or else of all, the one with the
    /// lowest metric. One by protected tunnels alone gives way to others such only while it lacks SAs. Gives whether that is another one than before; the FIB is as it was.
    pub(super) fn choose_route(&mut self, prefix: IpNet) -> bool {
        if !self.candidates.is_contested(prefix) {
            return false;
        }
        let waits = |target| self.is_protected(target) && self.counts(target) && !self.is_usable(target);
        let rank = |route: &Candidate| {
            let target = route.target;
            let serves = self.is_usable(target) || waits(target);
            (!self.counts(target), !serves, self.metric(route))
        };
        let mut best = self.candidates.given_each(prefix).min_by_key(rank);
        if best.is_some_and(|best| waits(best.target)) {
            let routes = self.candidates.given_each(prefix);
            let protected =
                routes.filter(|route| self.is_protected(route.target) && self.is_usable(route.target));
            best = protected.min_by_key(|route| self.metric(route)).or(best);
        }
        let (Some(best), Some(active)) = (best, self.candidates.given(prefix)) else {
            return false;
        };
        if best.slot == active.slot {
            return false;
        }
        self.candidates.promote(prefix, best);
        for route in [best, active] {
            self.publish_route(prefix, &route);
        }
        true
    }

    /// A neighbour that failed and is held no longer is asked by itself where packets go elsewhere.
    pub(super) fn asks_itself(&self, id: NeighborId) -> bool {
        self.neighbors.get(id).is_some_and(|neighbor| {
            !neighbor.serves
                && neighbor.routes > 0
                && neighbor.reachability.may_be_asked()
                && self.has_alternative(id)
        })
    }

    /// Asks for a neighbour that no packet asks for.
    pub(super) fn ask_itself(&mut self, id: NeighborId, now: Duration) {
        if let Some(neighbor) = self.neighbors.get_mut(id) {
            let step = neighbor.reachability.wanted(now);
            self.take_step(id, step, now);
        }
    }
}
