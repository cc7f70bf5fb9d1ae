//! Neighbour discovery: what is heard and what is asked, RFC 4861 section 7.2.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use packet::nd::{NeighborAdvertisement, NeighborMessage, NeighborSolicitation};
use packet::{MacAddress, ipv6};
use shm::records::AddressState;

use super::forwarding::is_link_local;
use super::interfaces::Interface;
use super::neighbor_set::NeighborId;
use super::timers::Timer;
use super::{Action, Tables};
use crate::adjacency;

/// Of RFC 4861 section 10.
const MAX_ANYCAST_DELAY_TIME: Duration = Duration::from_secs(1);
/// Answers that are delayed at a time: more are asked for only in a flood.
const MOST_DELAYED_ANSWERS: usize = 256;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Takes a message that came in by `interface`, perhaps `to_group`, and passed the checks of RFC 4861 section 7.1.
    pub fn nd_received(
        &mut self,
        interface: u16,
        ethernet_source: MacAddress,
        source: Ipv6Addr,
        message: &NeighborMessage,
        to_group: bool,
        now: Duration,
    ) {
        if self.is_own_mac(ethernet_source) {
            // What the gateway itself sent, seen again.
            return;
        }
        match message {
            NeighborMessage::Solicitation(solicitation) => {
                self.solicited(interface, ethernet_source, source, solicitation, to_group, now);
            }
            NeighborMessage::Advertisement(advertisement) => {
                self.advertised(interface, ethernet_source, advertisement, now);
            }
        }
    }

    /// Section 7.2.3 and 7.2.4.
    fn solicited(
        &mut self,
        interface: u16,
        ethernet_source: MacAddress,
        source: Ipv6Addr,
        solicitation: &NeighborSolicitation,
        to_group: bool,
        now: Duration,
    ) {
        let target = solicitation.target;
        let source_link_layer = solicitation.source_link_layer.filter(|mac| self.is_station(*mac));
        let own = self.own(interface, target.into()).map(|own| own.state);
        let anycast = own.is_none() && self.is_anycast(interface, target.into());
        match (own, source.is_unspecified()) {
            (None, _) if anycast => {}
            (Some(AddressState::Tentative), true) => {
                // RFC 4862 section 5.4.3: somebody else wants it as well.
                return self.duplicated(interface, target, ethernet_source);
            }
            (None | Some(AddressState::Tentative | AddressState::Duplicate), _) => return,
            (Some(AddressState::Preferred), _) => {}
        }
        if self.is_claimed(interface, source.into()) {
            return self.defend(interface, source.into(), ethernet_source, now);
        }
        if let Some(mac) = source_link_layer.filter(|_| !source.is_unspecified()) {
            self.seen(interface, source, mac, now);
        }
        if anycast {
            return self.answer_anycast(interface, (target, source), ethernet_source, to_group, now);
        }
        let Some(own) = self.interfaces.get(usize::from(interface)) else {
            return;
        };
        let answer = |solicited| {
            NeighborMessage::Advertisement(NeighborAdvertisement {
                target,
                router: true,
                solicited,
                overrides: true,
                target_link_layer: Some(own.mac),
            })
        };
        let (mac, destination, message) = if source.is_unspecified() {
            (
                ipv6::multicast_mac(ipv6::ALL_NODES),
                ipv6::ALL_NODES,
                answer(false),
            )
        } else {
            // Where it came from reaches it, whatever is known of it.
            (ethernet_source, source, answer(true))
        };
        self.send_nd(interface, mac, target, destination, message);
    }

    /// Answers for the address of all routers of a subnet, section 7.2.7: other routers do so as well. What everybody was asked is
    /// answered within a second.
    fn answer_anycast(
        &mut self,
        interface: u16,
        (target, asker): (Ipv6Addr, Ipv6Addr),
        mac: MacAddress,
        to_group: bool,
        now: Duration,
    ) {
        if !to_group {
            return self.send_anycast_answer(interface, target, asker, mac);
        }
        // Who is not answered asks again.
        if self.delayed_answers < MOST_DELAYED_ANSWERS {
            self.delayed_answers += 1;
            let delay = self.jitter.around(MAX_ANYCAST_DELAY_TIME) - MAX_ANYCAST_DELAY_TIME / 2;
            let answer = Timer::AnycastAnswer {
                interface,
                target,
                asker,
                mac,
            };
            self.timers.set(now + delay, answer);
        }
    }

    /// Sends what was delayed.
    pub(super) fn anycast_answer_due(
        &mut self,
        interface: u16,
        target: Ipv6Addr,
        asker: Ipv6Addr,
        mac: MacAddress,
    ) {
        self.delayed_answers = self.delayed_answers.saturating_sub(1);
        if self.is_anycast(interface, target.into()) {
            self.send_anycast_answer(interface, target, asker, mac);
        }
    }

    /// From an address that is the gateway's alone, and without the override flag.
    fn send_anycast_answer(&mut self, interface: u16, target: Ipv6Addr, asker: Ipv6Addr, mac: MacAddress) {
        let solicited = !asker.is_unspecified();
        let (mac, destination) = if solicited {
            (mac, asker)
        } else {
            (ipv6::multicast_mac(ipv6::ALL_NODES), ipv6::ALL_NODES)
        };
        let source = if solicited {
            self.source_towards(interface, asker.into())
        } else {
            self.link_local(interface)
                .filter(|own| own.is_preferred())
                .map(|own| own.net.addr())
        };
        let own = self.interfaces.get(usize::from(interface)).map(|own| own.mac);
        if let (Some(IpAddr::V6(source)), Some(own)) = (source, own) {
            let message = NeighborMessage::Advertisement(NeighborAdvertisement {
                target,
                router: true,
                solicited,
                overrides: false,
                target_link_layer: Some(own),
            });
            self.send_nd(interface, mac, source, destination, message);
        }
    }

    /// Section 7.2.5.
    fn advertised(
        &mut self,
        interface: u16,
        ethernet_source: MacAddress,
        advertisement: &NeighborAdvertisement,
        now: Duration,
    ) {
        let target = advertisement.target;
        match self.own(interface, target.into()).map(|own| own.state) {
            Some(AddressState::Tentative) => return self.duplicated(interface, target, ethernet_source),
            Some(AddressState::Preferred) => {
                return self.defend(interface, target.into(), ethernet_source, now);
            }
            // A duplicate is another host's, a neighbour like any other.
            Some(AddressState::Duplicate) | None => {}
        }
        let Some(id) = self.neighbors.find(interface, target.into()) else {
            return;
        };
        let Some(neighbor) = self.neighbors.get(id) else {
            return;
        };
        let known = neighbor.mac;
        let said = advertisement
            .target_link_layer
            .filter(|mac| self.is_station(*mac));
        match (known, said) {
            // It is being asked, and does not say where it is.
            (None, None) => {}
            (None, Some(mac)) if advertisement.solicited => self.heard(id, mac, now),
            (None, Some(mac)) => self.seen_at(id, mac, now),
            (Some(known), mac) => {
                let moved = mac.filter(|mac| *mac != known);
                match moved {
                    Some(_) if !advertisement.overrides => {
                        // Another one answers as well: what is known stays in use, and is asked soon.
                        self.doubted(id, now);
                    }
                    Some(mac) if advertisement.solicited => self.heard(id, mac, now),
                    Some(mac) => self.seen_at(id, mac, now),
                    None if advertisement.solicited => self.heard(id, known, now),
                    None => {}
                }
            }
        }
    }

    /// Somebody is at `mac`, without having been asked. New ones only when they belong to the link.
    fn seen(&mut self, interface: u16, address: Ipv6Addr, mac: MacAddress, now: Duration) {
        let address = IpAddr::V6(address);
        let known = match self.neighbors.find(interface, address) {
            Some(id) => Some(id),
            None if self.is_neighbor_of(interface, address)
                || (is_link_local(address) && self.link_local(interface).is_some()) =>
            {
                self.find_or_create(interface, address, now)
                    .map_err(|reason| self.report_refusal(interface, address, reason, now))
                    .ok()
            }
            None => None,
        };
        if let Some(id) = known {
            self.seen_at(id, mac, now);
        }
    }

    fn seen_at(&mut self, id: NeighborId, mac: MacAddress, now: Duration) {
        let Some(neighbor) = self
            .neighbors
            .get_mut(id)
            .filter(|neighbor| !neighbor.reachability.is_permanent())
        else {
            return;
        };
        let moved = neighbor.mac.replace(mac) != Some(mac);
        neighbor.reachability.seen(now, moved);
        self.settle(id, now);
        if moved {
            self.tell_state(id, "stale");
        }
    }

    fn doubted(&mut self, id: NeighborId, now: Duration) {
        if let Some(neighbor) = self
            .neighbors
            .get_mut(id)
            .filter(|neighbor| neighbor.shown == shm::records::NeighborState::Reachable)
        {
            neighbor.reachability.seen(now, true);
            self.settle(id, now);
        }
    }

    /// Another host has an address that the gateway was about to use.
    fn duplicated(&mut self, interface: u16, address: Ipv6Addr, mac: MacAddress) {
        self.actions.push(Action::Conflict {
            interface,
            address: address.into(),
            mac,
        });
        self.set_state(interface, address.into(), AddressState::Duplicate);
    }

    /// Asks on the link whether anybody has an address that the gateway wants, RFC 4862 section 5.4.2.
    pub(super) fn solicit_own(&mut self, interface: u16, address: Ipv6Addr) {
        let destination = ipv6::solicited_node(address);
        let message = NeighborMessage::Solicitation(NeighborSolicitation {
            target: address,
            source_link_layer: None,
        });
        let mac = ipv6::multicast_mac(destination);
        self.send_nd(interface, mac, Ipv6Addr::UNSPECIFIED, destination, message);
    }

    /// Asks for a neighbour's MAC address: everyone who might have it, or the neighbour itself at `mac`. Without an address in use
    /// there is nobody to ask; it is asked again in a second.
    pub(super) fn ask_by_nd(&mut self, interface: u16, target: Ipv6Addr, mac: Option<MacAddress>) {
        let source = self.source_towards(interface, target.into());
        if let (Some(IpAddr::V6(source)), Some(own)) = (source, self.interfaces.get(usize::from(interface))) {
            let message = NeighborMessage::Solicitation(NeighborSolicitation {
                target,
                source_link_layer: Some(own.mac),
            });
            let destination = mac.map_or_else(|| ipv6::solicited_node(target), |_| target);
            let mac = mac.unwrap_or_else(|| ipv6::multicast_mac(destination));
            self.send_nd(interface, mac, source, destination, message);
        }
    }

    /// Announces an address, section 7.2.6.
    pub(super) fn announce_by_nd(&mut self, interface: u16, address: Ipv6Addr) {
        if let Some(own) = self.interfaces.get(usize::from(interface)) {
            let message = NeighborMessage::Advertisement(NeighborAdvertisement {
                target: address,
                router: true,
                solicited: false,
                overrides: true,
                target_link_layer: Some(own.mac),
            });
            let mac = ipv6::multicast_mac(ipv6::ALL_NODES);
            self.send_nd(interface, mac, address, ipv6::ALL_NODES, message);
        }
    }

    fn send_nd(
        &mut self,
        interface: u16,
        mac: MacAddress,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: NeighborMessage,
    ) {
        if self
            .interfaces
            .get(usize::from(interface))
            .is_some_and(Interface::is_admin_up)
        {
            self.actions.push(Action::SendNd {
                interface,
                mac,
                source,
                destination,
                message,
            });
        }
    }

    /// Whether another host can be there.
    fn is_station(&self, mac: MacAddress) -> bool {
        mac.is_unicast() && mac != MacAddress::ZERO && !self.is_own_mac(mac)
    }

    fn is_own_mac(&self, mac: MacAddress) -> bool {
        self.interfaces.iter().any(|interface| interface.mac == mac)
    }
}
