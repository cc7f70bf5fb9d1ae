//! ARP: what is heard (RFC 826), what is asked, and what is announced and defended (RFC 5227).

use std::net::Ipv4Addr;
use std::time::Duration;

use packet::arp::Operation;
use packet::{Arp, MacAddress};

use super::interfaces::Interface;
use super::neighbor_set::NeighborId;
use super::timers::Timer;
use super::{Action, REPORT_INTERVAL, Tables};
use crate::adjacency;

/// Between the two announcements of a new address: `ANNOUNCE_INTERVAL`.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// What became of an ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpVerdict {
    /// It was acted on, or there was nothing to do.
    Taken,
    /// No host sends such a packet.
    Malformed,
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Takes an ARP packet that came in by `interface`.
    pub fn arp_received(
        &mut self,
        interface: u16,
        ethernet_source: MacAddress,
        arp: &Arp,
        now: Duration,
    ) -> ArpVerdict {
        let (mac, sender) = (arp.sender_mac, arp.sender_address);
        if mac != ethernet_source || !mac.is_unicast() || mac == MacAddress::ZERO || is_no_sender(sender) {
            return ArpVerdict::Malformed;
        }
        if self.interfaces.iter().any(|interface| interface.mac == mac) {
            // What the gateway itself sent, seen again.
            return ArpVerdict::Taken;
        }
        if self.is_own(sender) {
            self.defend(interface, sender, mac, now);
            return ArpVerdict::Taken;
        }
        let asks_for_us = self.has_address(interface, arp.target_address);
        self.learn(interface, arp, asks_for_us, now);
        if asks_for_us
            && arp.operation == Operation::Request
            && let Some(own) = self.interfaces.get(usize::from(interface))
        {
            let reply = arp.reply(own.mac);
            self.send(interface, mac, reply);
        }
        ArpVerdict::Taken
    }

    /// RFC 826's merge: known senders always, new ones only when they talk to the gateway and belong to the link.
    fn learn(&mut self, interface: u16, arp: &Arp, asks_for_us: bool, now: Duration) {
        let sender = arp.sender_address;
        if arp.is_probe() {
            return;
        }
        let known = match self.neighbors.find(interface, sender) {
            Some(id) => Some(id),
            None if asks_for_us && self.is_neighbor_of(interface, sender) => self
                .find_or_create(interface, sender, now)
                .map_err(|reason| self.report_refusal(interface, sender, reason, now))
                .ok(),
            None => None,
        };
        if let Some(id) = known {
            self.heard(id, arp.sender_mac, now);
        }
    }

    /// Whether a host of that address belongs to a connected subnet of the interface.
    fn is_neighbor_of(&self, interface: u16, address: Ipv4Addr) -> bool {
        self.subnet_of(address)
            .is_some_and(|own| own.interface == interface && own.is_host(address))
    }

    /// Somebody else claims an address of the gateway: reported, and answered by an announcement, no more often than
    /// RFC 5227 section 2.4 (c) allows.
    fn defend(&mut self, interface: u16, address: Ipv4Addr, mac: MacAddress, now: Duration) {
        let Some(own) = self.addresses.iter_mut().find(|own| own.net.addr() == address) else {
            return;
        };
        if own.disputed.is_some_and(|at| now < at + REPORT_INTERVAL) {
            return;
        }
        own.disputed = Some(now);
        self.actions.push(Action::Conflict {
            interface,
            address,
            mac,
        });
        self.announce(interface, address);
    }

    /// Asks for a neighbour's MAC address: everyone, or the neighbour itself.
    pub(super) fn ask(&mut self, id: NeighborId, destination: MacAddress) {
        let Some(neighbor) = self.neighbors.get(id) else {
            return;
        };
        let (interface, target) = (neighbor.interface, neighbor.address);
        // Where a route leads out of the interface without a subnet, any of its addresses must do.
        let mine = || self.addresses.iter().filter(|own| own.interface == interface);
        let in_subnet = mine()
            .filter(|own| own.net.contains(&target))
            .max_by_key(|own| own.net.prefix_len());
        let source = in_subnet.or_else(|| mine().next()).map(|own| own.net.addr());
        if let (Some(source), Some(own)) = (source, self.interfaces.get(usize::from(interface))) {
            let request = Arp::request(own.mac, source, target);
            self.send(interface, destination, request);
        }
    }

    /// Announces a new address now and once more.
    pub(super) fn announce_new(&mut self, interface: u16, address: Ipv4Addr, now: Duration) {
        self.announce(interface, address);
        self.timers.set(
            now + ANNOUNCE_INTERVAL,
            Timer::Announcement { interface, address },
        );
    }

    /// Announces all addresses of an interface whose link came up.
    pub(super) fn announce_all(&mut self, interface: u16, now: Duration) {
        let mine = self.addresses.iter().filter(|own| own.interface == interface);
        for address in mine.map(|own| own.net.addr()).collect::<Vec<_>>() {
            self.announce_new(interface, address, now);
        }
    }

    /// Announces an address, if the interface still has it and carries packets; when it does again, all are announced.
    pub(super) fn announce(&mut self, interface: u16, address: Ipv4Addr) {
        if self.has_address(interface, address)
            && let Some(own) = self.interfaces.get(usize::from(interface))
            && own.is_up()
        {
            let announcement = Arp::announcement(own.mac, address);
            self.send(interface, MacAddress::BROADCAST, announcement);
        }
    }

    fn send(&mut self, interface: u16, destination: MacAddress, arp: Arp) {
        if self
            .interfaces
            .get(usize::from(interface))
            .is_some_and(Interface::is_admin_up)
        {
            self.actions.push(Action::SendArp {
                interface,
                destination,
                arp,
            });
        }
    }
}

/// Whether no host can have the address. A probe's is unspecified.
fn is_no_sender(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    !address.is_unspecified() && (first == 0 || address.is_loopback() || first >= 224)
}
