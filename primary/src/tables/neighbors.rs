//! How neighbours come and go, and how a change of one reaches workers and tools.

use std::net::IpAddr;
use std::time::Duration;

use control::event::Event;

use super::neighbor_set::{Neighbor, NeighborId};
use super::publish::neighbor_record;
use super::refusal::NeighborRefusal;
use super::timers::Timer;
use super::{Action, REPORT_INTERVAL, Tables};
use crate::adjacency::{self, Adjacency};

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// The neighbour, which is new and not asked for if there was none. Another one may have to go for it.
    pub(super) fn find_or_create(
        &mut self,
        interface: u16,
        address: IpAddr,
        now: Duration,
    ) -> Result<NeighborId, NeighborRefusal> {
        if let Some(id) = self.neighbors.find(interface, address) {
            return Ok(id);
        }
        if self.neighbors.len() >= self.limits.neighbors {
            let limit = self.limits.neighbors;
            let id = self
                .neighbors
                .most_expendable()
                .ok_or(NeighborRefusal::Limit { limit })?;
            self.remove_neighbor(id);
        }
        let on_tunnel = self.is_tunnel(interface);
        let unknown = Adjacency::Incomplete { interface };
        let adjacency = self
            .adjacencies
            .allocate(unknown, address)
            .ok_or(NeighborRefusal::Adjacencies)?;
        let mut neighbor = Neighbor::new(interface, address, adjacency, now);
        if on_tunnel {
            neighbor.be_beyond_tunnel();
            self.adjacencies.set(adjacency, neighbor.forwarding());
        }
        let Some(slot) = self.published.neighbors.insert(&neighbor_record(&neighbor)) else {
            self.adjacencies.retire(adjacency);
            return Err(NeighborRefusal::Limit {
                limit: self.limits.neighbors,
            });
        };
        neighbor.slot = slot;
        let id = self.neighbors.insert(neighbor);
        self.refresh_entry(address.into())
            .inspect_err(|_| self.remove_neighbor(id))?;
        Ok(id)
    }

    /// Forgets a neighbour that no route names.
    pub(super) fn remove_neighbor(&mut self, id: NeighborId) {
        let Some(neighbor) = self.neighbors.remove(id) else {
            return;
        };
        // Cannot fail: without the neighbour there is no more in the FIB than before.
        let _ = self.refresh_entry(neighbor.address.into());
        // A packet that is on its way by it still leaves as it would have; one that would wait would wait for ever.
        if !neighbor.reachability.forwards() {
            self.adjacencies.set(
                neighbor.adjacency,
                Adjacency::Failed {
                    interface: neighbor.interface,
                },
            );
        }
        self.adjacencies.retire(neighbor.adjacency);
        self.published.neighbors.remove(neighbor.slot);
        if let Some(at) = neighbor.timer {
            self.timers.cancel(at, Timer::Neighbor(id));
        }
        if neighbor.told {
            self.tell_neighbor(neighbor.interface, neighbor.address, None, "deleted");
        }
    }

    /// Carries a change of a neighbour to workers, tools and timers.
    pub(super) fn settle(&mut self, id: NeighborId, now: Duration) {
        let Some(neighbor) = self.neighbors.get_mut(id) else {
            return;
        };
        if !neighbor.reachability.forwards() {
            neighbor.mac = None;
            neighbor.proven = false;
        }
        let state = neighbor.reachability.state();
        if neighbor.shown != state {
            neighbor.shown = state;
            neighbor.changed = now;
        }
        let deadline = neighbor.reachability.deadline();
        let before = std::mem::replace(&mut neighbor.timer, deadline);
        if before != deadline {
            if let Some(at) = before {
                self.timers.cancel(at, Timer::Neighbor(id));
            }
            if let Some(at) = deadline {
                self.timers.set(at, Timer::Neighbor(id));
            }
        }
        // One store moves all routes by this neighbour.
        self.adjacencies.set(neighbor.adjacency, neighbor.forwarding());
        self.published
            .neighbors
            .update(neighbor.slot, &neighbor_record(neighbor));
        let serves = neighbor.reachability.serves(neighbor.serves);
        // No route has to be looked through for one that none names.
        let service_changed =
            std::mem::replace(&mut neighbor.serves, serves) != serves && neighbor.routes > 0;
        self.neighbors.weigh(id);
        if service_changed {
            self.neighbor_service_changed(id);
        }
    }

    /// One more route names the neighbour.
    pub(super) fn hold(&mut self, id: NeighborId) {
        if let Some(neighbor) = self.neighbors.get_mut(id) {
            neighbor.routes += 1;
            self.neighbors.weigh(id);
        }
    }

    /// One route less names it. The last one takes it along, unless something is known of it.
    pub(super) fn release(&mut self, id: NeighborId) {
        let Some(neighbor) = self.neighbors.get_mut(id) else {
            return;
        };
        neighbor.routes -= 1;
        let forgotten = neighbor.reachability.is_idle() || neighbor.is_beyond_tunnel();
        if neighbor.routes == 0 && forgotten {
            self.remove_neighbor(id);
        } else {
            self.neighbors.weigh(id);
        }
    }

    /// Tells subscribers of a neighbour's new state.
    pub(super) fn tell_state(&mut self, id: NeighborId, state: &str) {
        let Some(neighbor) = self.neighbors.get_mut(id) else {
            return;
        };
        neighbor.told = state != "deleted";
        let (interface, address, mac) = (neighbor.interface, neighbor.address, neighbor.mac);
        self.tell_neighbor(interface, address, mac, state);
    }

    fn tell_neighbor(
        &mut self,
        interface: u16,
        address: IpAddr,
        mac: Option<packet::MacAddress>,
        state: &str,
    ) {
        let interface = self.interface_name(interface).to_owned();
        self.tell(Event::Neighbor {
            interface,
            address,
            mac,
            state: state.to_owned(),
        });
    }

    /// Says that a neighbour was needed and could not be had, unless that was said lately.
    pub(super) fn report_refusal(
        &mut self,
        interface: u16,
        address: IpAddr,
        reason: NeighborRefusal,
        now: Duration,
    ) {
        if self.refusal_reported.is_none_or(|at| now >= at + REPORT_INTERVAL) {
            self.refusal_reported = Some(now);
            self.actions.push(Action::NeighborRefused {
                interface,
                address,
                reason,
            });
        }
    }
}
