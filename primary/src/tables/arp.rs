//! ARP: what is heard (RFC 826), what is asked, and how addresses are announced and defended (RFC 5227).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use packet::arp::Operation;
use packet::{Arp, MacAddress};

use super::interfaces::Interface;
use super::{Action, Tables};
use crate::adjacency;

/// What became of an ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpVerdict {
    /// It was acted on, or there was nothing to do.
    Taken,
    /// No host sends such a packet.
    Malformed,
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Takes an ARP packet that came in by `interface`. Where its sender is, it says itself (RFC 826): a station may send from
    /// another MAC address than it is reached by.
    pub fn arp_received(&mut self, interface: u16, arp: &Arp, now: Duration) -> ArpVerdict {
        let (mac, sender) = (arp.sender_mac, arp.sender_address);
        if !mac.is_unicast() || mac == MacAddress::ZERO || is_no_sender(sender) {
            return ArpVerdict::Malformed;
        }
        if self.interfaces.iter().any(|interface| interface.mac == mac) {
            // What the gateway itself sent, seen again.
            return ArpVerdict::Taken;
        }
        if self.is_own(sender.into()) {
            self.defend(interface, sender.into(), mac, now);
            return ArpVerdict::Taken;
        }
        let asks_for_us = self.own(interface, arp.target_address.into()).is_some();
        self.learn(interface, arp, asks_for_us, now);
        if asks_for_us
            && arp.operation == Operation::Request
            && let Some(own) = self.interfaces.get(usize::from(interface))
        {
            let reply = arp.reply(own.mac);
            self.send_arp(interface, mac, reply);
        }
        ArpVerdict::Taken
    }

    /// RFC 826's merge: known senders always, new ones only when they talk to the gateway and belong to the link.
    fn learn(&mut self, interface: u16, arp: &Arp, asks_for_us: bool, now: Duration) {
        let sender = IpAddr::V4(arp.sender_address);
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

    /// Asks for a neighbour's MAC address: everyone, or the neighbour itself.
    pub(super) fn ask_by_arp(&mut self, interface: u16, target: Ipv4Addr, destination: MacAddress) {
        let source = self.source_towards(interface, target.into());
        if let (Some(IpAddr::V4(source)), Some(own)) = (source, self.interfaces.get(usize::from(interface))) {
            let request = Arp::request(own.mac, source, target);
            self.send_arp(interface, destination, request);
        }
    }

    /// Announces an address, RFC 5227 section 2.3.
    pub(super) fn announce_by_arp(&mut self, interface: u16, address: Ipv4Addr) {
        if let Some(own) = self.interfaces.get(usize::from(interface)) {
            let announcement = Arp::announcement(own.mac, address);
            self.send_arp(interface, MacAddress::BROADCAST, announcement);
        }
    }

    fn send_arp(&mut self, interface: u16, destination: MacAddress, arp: Arp) {
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
