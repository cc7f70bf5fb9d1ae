//! Interfaces: their names, MAC addresses, and whether they are up. A down interface keeps its addresses, routes and
//! neighbours; its routes do not count until it is up again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode};
use fib::NextHop;
use packet::MacAddress;
use shm::records::{self, OffloadHint, from_text};

use super::refusal::{list, refuse};
use super::tunnels::OwnTunnel;
use super::{Action, Tables};
use crate::adjacency::{self, Adjacency, MAX_INTERFACES};
use crate::sources::SourceAddresses;

/// A port with an IP side, a sub-interface of one, or a tunnel.
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) mac: MacAddress,
    record: records::Interface,
    slot: u32,
    /// Where the routes of its own addresses lead.
    pub(super) local: NextHop,
    /// Where the routes of its subnets lead: to nobody yet who is on the link, or to the other end of a tunnel.
    pub(super) glean: NextHop,
    /// Where the anycast addresses of its subnets lead.
    pub(super) anycast: NextHop,
    /// What workers see of its addresses.
    pub(super) sources: Arc<SourceAddresses>,
    /// What workers look at: whether it is set up, and what it was made on is; of a tunnel, whether it can work as well.
    up: Arc<AtomicBool>,
    /// What makes it a tunnel, if it is one.
    pub(super) tunnel: Option<OwnTunnel>,
}

impl Interface {
    /// Whether the operator has it up, and what it was made on. The word of a link that comes up is late, so nothing waits for
    /// that to be sent.
    pub(super) fn is_admin_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// What tools see of it.
    pub(super) fn record(&self) -> &records::Interface {
        &self.record
    }

    /// Of its record.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// Longest IP packet, bytes.
    pub(super) fn mtu(&self) -> u16 {
        self.record.mtu
    }

    /// Whether it carries packets.
    pub(super) fn is_up(&self) -> bool {
        self.record.admin_up != 0 && self.record.link_up != 0
    }

    /// Whether routes by it count: it carries packets, or would if it were not that SAs are lacking that protect them. They are
    /// dropped then, since by other routes they might leave in clear.
    pub(super) fn leads(&self) -> bool {
        let waits = self.tunnel.as_ref().is_some_and(OwnTunnel::waits_for_sas);
        self.record.admin_up != 0 && (self.record.link_up != 0 || waits)
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Adds an interface; gives its index, which is that of its record. As long as none is deleted, they count from 0 in the
    /// order of adding. Name, MAC address and state are those of the record.
    pub fn add_interface(&mut self, record: records::Interface) -> Result<u16, ControlError> {
        self.insert_interface(record, None)
    }

    /// As [`add_interface`](Self::add_interface), of a tunnel if it is one.
    pub(super) fn insert_interface(
        &mut self,
        record: records::Interface,
        tunnel: Option<OwnTunnel>,
    ) -> Result<u16, ControlError> {
        let name = from_text(&record.name);
        if self.interfaces.iter().any(|interface| interface.name == name) {
            return Err(refuse(
                ErrorCode::Exists,
                format!("there is an interface '{name}' already"),
            ));
        }
        let full = || {
            refuse(
                ErrorCode::LimitReached,
                format!("there is no room for the interface '{name}': raise sub_interfaces in [limits]"),
            )
        };
        let slot = self.published.interfaces.insert(&record).ok_or_else(full)?;
        let interface = u16::try_from(slot).unwrap_or(u16::MAX);
        let mut fixed = |adjacency| {
            self.adjacencies
                .allocate(adjacency, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
                .filter(|_| usize::from(interface) < MAX_INTERFACES)
        };
        let on_link = match tunnel {
            None => Adjacency::Glean { interface },
            Some(_) => Adjacency::Forward {
                interface,
                mac: MacAddress::ZERO,
            },
        };
        let (local, glean, anycast) = (
            fixed(Adjacency::Local { interface }),
            fixed(on_link),
            fixed(Adjacency::Anycast { interface }),
        );
        let (Some(local), Some(glean), Some(anycast)) = (local, glean, anycast) else {
            self.published.interfaces.remove(slot);
            return Err(full());
        };
        let mac = MacAddress(record.mac);
        self.jitter.stir(mac);
        if self.seed == 0 {
            // Of the gateway, and the same whenever it starts.
            self.seed = (mac.to_bits() ^ mac.to_bits() >> 24) as u32 | 1;
        }
        let added = Interface {
            name,
            mac,
            record,
            slot,
            local,
            glean,
            anycast,
            sources: Arc::default(),
            up: Arc::new(AtomicBool::new(record.admin_up != 0)),
            tunnel,
        };
        self.interfaces.insert(interface, added);
        Ok(interface)
    }

    /// Notes whether the interface carries packets, and at how many megabit per second (0: unknown). Gives whether
    /// that is news.
    pub fn set_link(&mut self, interface: u16, up: bool, speed_mbps: u32, now: Duration) -> bool {
        let news = self.change_interface(interface, now, |interface| {
            interface.record.link_up = u8::from(up);
            interface.record.speed_mbps = speed_mbps;
        });
        self.settle_tunnels(now);
        news
    }

    /// Sets the interface up or down. Gives whether that is news.
    pub fn set_admin(&mut self, interface: u16, up: bool, now: Duration) -> bool {
        let news = self.change_interface(interface, now, |interface| {
            interface.record.admin_up = u8::from(up);
        });
        self.settle_tunnels(now);
        news
    }

    /// Notes what a tunnel lacks to carry packets.
    pub(super) fn set_lacks(&mut self, tunnel: u16, lacks: u8, now: Duration) {
        self.change_interface(tunnel, now, |interface| {
            interface.record.link_up = u8::from(lacks == 0);
            if let Some(own) = &mut interface.tunnel {
                own.lacks = lacks;
            }
        });
        self.settle_tunnels(now);
    }

    /// Notes which offloads seem to be left on at the other end of the interface.
    pub fn set_offload_hint(&mut self, interface: u16, hint: OffloadHint) {
        self.change_record(interface, |record| record.offload_hint = hint as u8);
    }

    /// The index of the interface of this name.
    pub fn interface_index(&self, name: &str) -> Result<u16, ControlError> {
        match self
            .interfaces
            .indexed()
            .find(|(_, interface)| interface.name == name)
        {
            Some((index, _)) => Ok(index),
            None => {
                let names = list(self.interfaces.iter().map(|interface| &interface.name));
                Err(refuse(
                    ErrorCode::UnknownInterface,
                    format!("there is no interface '{name}': there are {names}"),
                ))
            }
        }
    }

    /// The name of an interface; empty when there is none of that index.
    pub fn interface_name(&self, interface: u16) -> &str {
        self.interfaces
            .get(usize::from(interface))
            .map_or("", |interface| &interface.name)
    }

    /// The MAC address of an interface.
    pub fn interface_mac(&self, interface: u16) -> Option<MacAddress> {
        self.interfaces
            .get(usize::from(interface))
            .map(|interface| interface.mac)
    }

    /// Whether an operator has an interface up, and whether its link carries packets.
    pub fn link_state(&self, interface: u16) -> Option<(bool, bool)> {
        self.interfaces
            .get(usize::from(interface))
            .map(|interface| (interface.record.admin_up != 0, interface.record.link_up != 0))
    }

    /// A worker's view of an interface's addresses.
    pub fn sources(&self, interface: u16) -> Option<Arc<SourceAddresses>> {
        self.interfaces
            .get(usize::from(interface))
            .map(|interface| interface.sources.clone())
    }

    /// A worker's view of whether an interface is up.
    pub fn up_flag(&self, interface: u16) -> Option<Arc<AtomicBool>> {
        self.interfaces
            .get(usize::from(interface))
            .map(|interface| interface.up.clone())
    }

    /// Longest IP packet of an interface, bytes.
    pub fn interface_mtu(&self, interface: u16) -> Option<u16> {
        self.interfaces.get(usize::from(interface)).map(Interface::mtu)
    }

    /// Brings what workers see of whether an interface is up, and those made on it, in line with its record and with what it
    /// was made on.
    pub(super) fn refresh_up(&self, interface: u16) {
        let below = self.sub_interface(interface).map(|sub| sub.parent);
        let below = below.and_then(|parent| self.interfaces.get(usize::from(parent)));
        let carried = below.is_none_or(Interface::is_admin_up);
        if let Some(interface) = self.interfaces.get(usize::from(interface)) {
            let works = interface.tunnel.is_none() || interface.record.link_up != 0;
            let up = interface.record.admin_up != 0 && carried && works;
            interface.up.store(up, Ordering::Relaxed);
        }
        let above: Vec<u16> = self.children(interface).map(|(child, _)| child).collect();
        for child in above {
            self.refresh_up(child);
        }
    }

    /// Tells of an interface's state.
    pub(super) fn tell_link(&mut self, interface: u16) {
        let Some(interface) = self.interfaces.get(usize::from(interface)) else {
            return;
        };
        let event = Event::Link {
            interface: interface.name.clone(),
            admin_up: interface.record.admin_up != 0,
            link_up: interface.record.link_up != 0,
        };
        self.tell(event);
    }

    /// Fails unless there is an interface of that index.
    pub(super) fn known_interface(&self, interface: u16) -> Result<&Interface, ControlError> {
        self.interfaces.get(usize::from(interface)).ok_or_else(|| {
            refuse(
                ErrorCode::UnknownInterface,
                format!("there is no interface with the index {interface}"),
            )
        })
    }

    pub(super) fn change_record(
        &mut self,
        interface: u16,
        change: impl FnOnce(&mut records::Interface),
    ) -> bool {
        let Some(interface) = self.interfaces.get_mut(usize::from(interface)) else {
            return false;
        };
        let before = interface.record;
        change(&mut interface.record);
        if interface.record == before {
            return false;
        }
        self.published
            .interfaces
            .update(interface.slot, &interface.record);
        true
    }

    /// Changes an interface; tells of a change between up and down and acts on it. Gives whether its record is another now.
    fn change_interface(&mut self, index: u16, now: Duration, change: impl FnOnce(&mut Interface)) -> bool {
        let Some(interface) = self.interfaces.get_mut(usize::from(index)) else {
            return false;
        };
        let (before, was_up, led) = (interface.record, interface.is_up(), interface.leads());
        change(interface);
        let (record, is_up, leads) = (interface.record, interface.is_up(), interface.leads());
        if record == before && leads == led {
            return false;
        }
        self.published.interfaces.update(interface.slot, &record);
        self.refresh_up(index);
        if (before.admin_up, before.link_up) != (record.admin_up, record.link_up) {
            self.tell_link(index);
        }
        if (is_up, leads) != (was_up, led) {
            // Metrics and groups first: what they choose then comes into service or leaves it.
            self.interface_service_changed();
        }
        if leads != led {
            let refused = self.refresh_interface(index);
            if refused > 0 {
                self.actions.push(Action::RoutesRefused {
                    interface: index,
                    routes: refused,
                });
            }
        }
        if is_up && !was_up {
            self.announce_all(index, now);
            self.link_returned(index, now);
        }
        let above: Vec<u16> = self.children(index).map(|(child, _)| child).collect();
        for child in above {
            self.set_link(child, is_up, record.speed_mbps, now);
        }
        record != before
    }
}
