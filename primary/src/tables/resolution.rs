//! What happens to neighbours: packets need them, they are heard from, time passes, an operator sets them.

use std::net::IpAddr;
use std::time::Duration;

use control::message::{ControlError, ErrorCode};
use packet::MacAddress;

use super::Tables;
use super::forwarding::is_link_local;
use super::neighbor_set::NeighborId;
use super::reachability::{REACHABLE_TIME, Reachability, Step};
use super::refusal::refuse;
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// A worker has a packet for the neighbour and does not know its MAC address. Cheap while it is being asked.
    pub fn resolve(&mut self, interface: u16, address: IpAddr, now: Duration) {
        let id = match self.neighbors.find(interface, address) {
            Some(id) => {
                // The FIB may have had no room for its host route when it came to light.
                let _ = self.refresh_entry(address.into());
                id
            }
            // The request may have been on its way while the subnet went, or the route by a link-local next hop.
            None if is_link_local(address) || !self.leads_to_link(interface, address) => return,
            None => match self.find_or_create(interface, address, now) {
                Ok(id) => id,
                Err(reason) => return self.report_refusal(interface, address, reason, now),
            },
        };
        let Some(neighbor) = self.neighbors.get_mut(id) else {
            return;
        };
        let step = neighbor.reachability.wanted(now);
        self.take_step(id, step, now);
    }

    /// The neighbour's deadline has come.
    pub(super) fn neighbor_due(&mut self, id: NeighborId, now: Duration) {
        let Some(neighbor) = self.neighbors.get_mut(id) else {
            return;
        };
        neighbor.timer = None;
        let used = self.adjacencies.take_used(neighbor.adjacency);
        let step = neighbor.reachability.due(now, used, neighbor.routes > 0);
        self.take_step(id, step, now);
        if self.asks_itself(id) {
            self.ask_itself(id, now);
        }
    }

    pub(super) fn take_step(&mut self, id: NeighborId, step: Step, now: Duration) {
        if step == Step::Forget {
            return self.remove_neighbor(id);
        }
        self.settle(id, now);
        match step {
            Step::AskAll => self.ask(id, None),
            Step::AskIt => {
                let mac = self.neighbors.get(id).and_then(|neighbor| neighbor.mac);
                self.ask(id, mac);
            }
            Step::Fail => self.tell_state(id, "failed"),
            Step::Rest | Step::Forget => {}
        }
    }

    /// The neighbour said what its MAC address is.
    pub(super) fn heard(&mut self, id: NeighborId, mac: MacAddress, now: Duration) {
        let reachable = self.jitter.around(REACHABLE_TIME);
        let Some(neighbor) = self
            .neighbors
            .get_mut(id)
            .filter(|neighbor| !neighbor.reachability.is_permanent())
        else {
            return;
        };
        neighbor.proven |= neighbor.reachability.is_asked();
        neighbor.reachability.heard(now, reachable);
        let is_news = neighbor.mac.replace(mac) != Some(mac);
        self.settle(id, now);
        if is_news {
            self.tell_state(id, "reachable");
        }
    }

    /// The interface carries packets again: who failed there may be asked at once.
    pub(super) fn link_returned(&mut self, interface: u16, now: Duration) {
        let ids: Vec<_> = self.neighbors.all().collect();
        for id in ids {
            if let Some(neighbor) = self
                .neighbors
                .get_mut(id)
                .filter(|neighbor| neighbor.interface == interface)
            {
                neighbor.reachability.link_returned(now);
                self.settle(id, now);
                if self.asks_itself(id) {
                    self.ask_itself(id, now);
                }
            }
        }
    }

    /// Sets a permanent neighbour, over what was learnt.
    pub fn neighbor_add(
        &mut self,
        interface: u16,
        address: IpAddr,
        mac: MacAddress,
        now: Duration,
    ) -> Result<(), ControlError> {
        let name = self.known_interface(interface)?.name.clone();
        self.check_has_neighbors(interface)?;
        if !mac.is_unicast() || mac == MacAddress::ZERO {
            let sentence = format!("{mac} is no MAC address of a host: give a unicast address");
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        if self.is_own(address) || self.own(interface, address).is_some() {
            return Err(refuse(
                ErrorCode::Invalid,
                format!("the neighbour {address} is the gateway itself"),
            ));
        }
        if !self.is_on_link(interface, address) {
            let sentence = format!(
                "the neighbour {address} is on no subnet of {name}: there are {}",
                self.subnets()
            );
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        let id = self.find_or_create(interface, address, now)?;
        if let Some(neighbor) = self.neighbors.get_mut(id) {
            neighbor.reachability = Reachability::PERMANENT;
            neighbor.mac = Some(mac);
        }
        self.settle(id, now);
        self.tell_state(id, "permanent");
        Ok(())
    }

    /// Fails for a tunnel: all that is at its other end is reached without a MAC address.
    fn check_has_neighbors(&self, interface: u16) -> Result<(), ControlError> {
        if !self.is_tunnel(interface) {
            return Ok(());
        }
        let sentence = format!(
            "{} is a tunnel, at whose end nobody has a MAC address: it needs no neighbours",
            self.interface_name(interface)
        );
        Err(refuse(ErrorCode::Invalid, sentence))
    }

    /// Forgets what is known of a neighbour. One that routes name stays, to be asked when a packet needs it.
    pub fn neighbor_delete(
        &mut self,
        interface: u16,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), ControlError> {
        self.check_has_neighbors(interface)?;
        let name = &self.known_interface(interface)?.name;
        let Some(id) = self.neighbors.find(interface, address) else {
            return Err(refuse(
                ErrorCode::NotFound,
                format!("there is no neighbour {address} on {name}"),
            ));
        };
        match self.neighbors.get_mut(id) {
            Some(neighbor) if neighbor.routes > 0 => {
                let told = neighbor.told;
                neighbor.reachability = Reachability::IDLE;
                self.settle(id, now);
                if told {
                    self.tell_state(id, "deleted");
                }
            }
            _ => self.remove_neighbor(id),
        }
        Ok(())
    }
}
