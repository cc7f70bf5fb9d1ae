//! Addresses of the gateway on their links: looked for before they are used (RFC 4862 section 5.4), announced (RFC 5227
//! section 2.3, RFC 4861 section 7.2.6), and defended.
//!
//! ```text
//!   IPv6 address ──► tentative ── 1 s of silence ──► preferred ──► announced, and once more
//!                        └──────── heard of ───────► duplicate     until its link comes up again
//! ```
//!
//! One solicitation asks for an address, `DupAddrDetectTransmits` of RFC 4862.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use packet::MacAddress;
use shm::records::AddressState;

use super::neighbor_set::NeighborId;
use super::timers::Timer;
use super::{Action, REPORT_INTERVAL, Tables};
use crate::adjacency;

/// Between the two announcements of a new address: `ANNOUNCE_INTERVAL` of RFC 5227.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// How long others have to say that they have the address: `RetransTimer` of RFC 4861.
const DETECTION_TIME: Duration = Duration::from_secs(1);

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Looks on the link for whoever has the address already. A link that is down is asked when it comes up.
    pub(super) fn detect_duplicates(&mut self, interface: u16, address: Ipv6Addr, now: Duration) {
        let is_up = self
            .interfaces
            .get(usize::from(interface))
            .is_some_and(|interface| interface.is_up());
        if is_up {
            self.solicit_own(interface, address);
            let until = now + DETECTION_TIME;
            self.timers.set(until, Timer::Detection { interface, address });
            if let Some(own) = self.own_mut(interface, address.into()) {
                own.sought_until = Some(until);
            }
        }
    }

    /// Nobody spoke up while the address was looked for, unless that began anew in between: when the link came back, or
    /// the address did.
    pub(super) fn detected(&mut self, interface: u16, address: Ipv6Addr, now: Duration) {
        let tentative = self.own(interface, address.into()).is_some_and(|own| {
            own.state == AddressState::Tentative && own.sought_until.is_some_and(|until| until <= now)
        });
        let carried = self
            .interfaces
            .get(usize::from(interface))
            .is_some_and(|interface| interface.is_up());
        if tentative && carried {
            self.set_state(interface, address.into(), AddressState::Preferred);
            self.announce_new(interface, address.into(), now);
        }
    }

    /// Announces a new address now and once more.
    pub(super) fn announce_new(&mut self, interface: u16, address: IpAddr, now: Duration) {
        self.announce(interface, address);
        self.timers.set(
            now + ANNOUNCE_INTERVAL,
            Timer::Announcement { interface, address },
        );
    }

    /// Announces all addresses of an interface whose link came up, or looks for those that are not in use.
    pub(super) fn announce_all(&mut self, interface: u16, now: Duration) {
        if self.is_tunnel(interface) {
            return;
        }
        let mine = self.addresses.iter().filter(|own| own.interface == interface);
        let mine: Vec<_> = mine.map(|own| (own.net.addr(), own.state)).collect();
        for (address, state) in mine {
            match address {
                IpAddr::V6(v6) if state != AddressState::Preferred => {
                    if state == AddressState::Duplicate {
                        // The host that had it may be gone, and is not known by it any more if not; an error means that it never was.
                        let _ = self.neighbor_delete(interface, address, now);
                    }
                    self.set_state(interface, address, AddressState::Tentative);
                    self.detect_duplicates(interface, v6, now);
                }
                address => self.announce_new(interface, address, now),
            }
        }
    }

    /// Announces an address, if the interface still has it and carries packets; when it does again, all are announced.
    pub(super) fn announce(&mut self, interface: u16, address: IpAddr) {
        let in_use = self.own(interface, address).is_some_and(|own| own.is_preferred());
        let is_up = self
            .interfaces
            .get(usize::from(interface))
            .is_some_and(|interface| interface.is_up());
        if in_use && is_up && !self.is_tunnel(interface) {
            match address {
                IpAddr::V4(address) => self.announce_by_arp(interface, address),
                IpAddr::V6(address) => self.announce_by_nd(interface, address),
            }
        }
    }

    /// Somebody else claims an address of the gateway: reported, and answered by an announcement, no more often than
    /// RFC 5227 section 2.4 (c) allows.
    pub(super) fn defend(&mut self, interface: u16, address: IpAddr, mac: MacAddress, now: Duration) {
        let found = self
            .addresses
            .iter_mut()
            .find(|own| own.net.addr() == address && (own.interface == interface || !own.is_link_local()));
        let Some(own) = found else {
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

    /// Whether a host of that address belongs to a connected subnet of the interface.
    pub(super) fn is_neighbor_of(&self, interface: u16, address: IpAddr) -> bool {
        self.subnet_of(address)
            .is_some_and(|own| own.interface == interface && own.is_host(address))
    }

    /// The address from which a neighbour on the interface is asked: one of its subnet. Where a route leads out of the interface
    /// without a subnet, any of its addresses must do.
    pub(super) fn source_towards(&self, interface: u16, target: IpAddr) -> Option<IpAddr> {
        let mine = || {
            self.addresses.iter().filter(move |own| {
                own.interface == interface
                    && own.is_preferred()
                    && own.net.addr().is_ipv4() == target.is_ipv4()
            })
        };
        let in_subnet = mine()
            .filter(|own| own.net.contains(&target))
            .max_by_key(|own| own.net.prefix_len());
        in_subnet.or_else(|| mine().next()).map(|own| own.net.addr())
    }

    /// Asks for a neighbour's MAC address: everyone, or the neighbour itself at `mac`.
    pub(super) fn ask(&mut self, id: NeighborId, mac: Option<MacAddress>) {
        let Some(neighbor) = self.neighbors.get(id) else {
            return;
        };
        let interface = neighbor.interface;
        match neighbor.address {
            IpAddr::V4(target) => {
                self.ask_by_arp(interface, target, mac.unwrap_or(MacAddress::BROADCAST));
            }
            IpAddr::V6(target) => self.ask_by_nd(interface, target, mac),
        }
    }

    /// Brings what workers see of addresses in line with those in use. An interface that has none of a family uses those of
    /// the others.
    pub(super) fn refresh_sources(&mut self) {
        self.addresses_changed = true;
        let in_use = || {
            self.addresses
                .iter()
                .filter(|own| own.is_preferred() && !own.is_link_local())
        };
        for (index, interface) in self.interfaces.indexed() {
            let of = |own: bool| {
                in_use()
                    .filter(move |address| (address.interface == index) == own)
                    .map(|address| address.net)
            };
            let lacks = |net: &IpNet| !of(true).any(|own| own.addr().is_ipv4() == net.addr().is_ipv4());
            let link_local =
                self.link_local(index)
                    .filter(|own| own.is_preferred())
                    .and_then(|own| match own.net.addr() {
                        IpAddr::V6(address) => Some(address),
                        IpAddr::V4(_) => None,
                    });
            let all = self.addresses.iter().filter(|own| own.interface == index);
            let all = all.flat_map(|own| [Some(own.net.addr()), own.anycast()]);
            let all = all.flatten().filter_map(|address| match address {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            });
            interface
                .sources
                .set(link_local, of(true).chain(of(false).filter(lacks)), all);
        }
    }
}
