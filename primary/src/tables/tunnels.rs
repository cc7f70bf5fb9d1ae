//! Tunnels come, change and go: interfaces of their own, on no port.
//!
//! ```text
//!   local is an address of the gateway ─┐
//!   mode esp: SAs for both directions ──┴► link up ──┐
//!   set up by the operator ──────────────────────────┴──► its routes count, and lead to `Forward` without a MAC address
//! ```
//!
//! Routes by a tunnel that lacks SAs and nothing else count as well: what goes there is dropped, and leaves in clear by no other way.
//!
//! Nobody is asked for on a tunnel: all that its routes lead to is at its other end. So its addresses are in use at once, and
//! a next hop that is on its subnet is known from the start.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode, Tunnel, TunnelChange, TunnelMode};
use packet::ipv6;
use shm::records::{self, NO_INTERFACE, TUNNEL_DRIVER, TunnelLack, ip_field, text};
use zerocopy::FromZeros;

use super::Tables;
use super::interfaces::Interface;
use super::refusal::{list, refuse};
use super::sub_interfaces::name_fault;
use crate::adjacency;

/// What makes an interface a tunnel.
pub(super) struct OwnTunnel {
    pub(super) tunnel: Tunnel,
    /// The interface whose addresses it uses.
    unnumbered: Option<u16>,
    /// What it lacks to carry packets: bits of [`TunnelLack`].
    pub(super) lacks: u8,
    /// Of its record; `None` until it is shown.
    slot: Option<u32>,
}

impl OwnTunnel {
    /// Whether ESP protects it.
    pub(super) fn is_protected(&self) -> bool {
        self.tunnel.is_protected()
    }

    /// Whether it lacks SAs and nothing else.
    pub(super) fn waits_for_sas(&self) -> bool {
        self.lacks != 0 && !TunnelLack::LocalAddress.is_in(self.lacks)
    }
}

/// What a tunnel lacks of addresses of the gateway.
fn lacks_address(is_here: bool) -> u8 {
    if is_here {
        0
    } else {
        TunnelLack::LocalAddress as u8
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Makes a tunnel, set up; gives the index of its interface.
    pub fn add_tunnel(&mut self, new: &Tunnel) -> Result<u16, ControlError> {
        let name = &new.name;
        if let Some(fault) = name_fault(name) {
            let sentence = format!("'{name}' cannot be the name of an interface: {fault}");
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        let unnumbered = self.check_tunnel(new, None)?;
        let mut lacks = lacks_address(self.ends_here().contains(&new.local));
        if new.is_protected() {
            // It waits for its SAs.
            lacks |= TunnelLack::InboundSa as u8 | TunnelLack::OutboundSa as u8;
        }
        let record = records::Interface {
            name: text(name),
            device: text(&device(new)),
            driver: text(TUNNEL_DRIVER),
            mtu: new.mtu(),
            port: u16::MAX,
            parent: u16::MAX,
            admin_up: 1,
            link_up: u8::from(lacks == 0),
            ..records::Interface::new_zeroed()
        };
        let own = OwnTunnel {
            tunnel: new.clone(),
            unnumbered,
            lacks,
            slot: None,
        };
        let index = self.insert_interface(record, Some(own))?;
        self.show_tunnel(index);
        self.refresh_up(index);
        self.refresh_sources();
        self.tell(Event::Tunnel { tunnel: new.clone() });
        self.tell_link(index);
        Ok(index)
    }

    /// Changes a tunnel; gives the index of its interface. Its addresses and routes stay.
    pub fn set_tunnel(
        &mut self,
        name: &str,
        change: &TunnelChange,
        now: Duration,
    ) -> Result<u16, ControlError> {
        let index = self.tunnel_index(name)?;
        let Some(own) = self.own_tunnel(index) else {
            return Ok(index);
        };
        let after = change.apply(&own.tunnel);
        if after == own.tunnel {
            return Ok(index);
        }
        let others_end = after.ends() != own.tunnel.ends() || after.protected != own.tunnel.protected;
        let unnumbered = self.check_tunnel(&after, Some(index))?;
        if others_end {
            // They are between the ends that it had, or of another mode.
            self.delete_sas_of(name, now);
        }
        if let Some(own) = self.own_tunnel_mut(index) {
            own.unnumbered = unnumbered;
            own.tunnel = after.clone();
        }
        self.change_record(index, |record| {
            record.mtu = after.mtu();
            record.device = text(&device(&after));
        });
        self.show_tunnel(index);
        // Told apart by the end here, the link-local address that it made itself is another one now.
        let made = self.link_local(index).filter(|own| own.automatic);
        if let Some(made) = made.filter(|own| own.net.addr() != after.link_local()).cloned() {
            self.remake_link_local(&made, now)?;
        }
        self.tell(Event::Tunnel { tunnel: after });
        self.addresses_changed = true;
        self.settle_tunnels(now);
        Ok(index)
    }

    /// Deletes a tunnel with its addresses and routes; gives the index of its interface, which stays taken until
    /// [`free_indices`](Self::free_indices).
    pub fn delete_tunnel(&mut self, name: &str, now: Duration) -> Result<u16, ControlError> {
        let index = self.tunnel_index(name)?;
        // Those that need no address of it.
        for (prefix, route) in self.given_out_of(index) {
            self.withdraw(prefix, route);
        }
        if let Some(slot) = self.own_tunnel_mut(index).and_then(|own| own.slot.take()) {
            self.published.tunnels.remove(slot);
        }
        self.delete_interface(index, now);
        Ok(index)
    }

    /// All tunnels as they could be made anew, by name, and whether they are set up.
    pub fn tunnels(&self) -> Vec<(Tunnel, bool)> {
        let mut found: Vec<_> = self
            .interfaces
            .iter()
            .filter_map(|interface| {
                let own = interface.tunnel.as_ref()?;
                Some((own.tunnel.clone(), interface.record().admin_up != 0))
            })
            .collect();
        found.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        found
    }

    /// What makes an interface a tunnel, if it is one.
    pub fn tunnel(&self, index: u16) -> Option<&Tunnel> {
        self.own_tunnel(index).map(|own| &own.tunnel)
    }

    /// The interface whose addresses a tunnel uses that has none of its own.
    pub fn unnumbered(&self, index: u16) -> Option<u16> {
        self.own_tunnel(index)?.unnumbered
    }

    /// Whether the interface is a tunnel.
    pub(super) fn is_tunnel(&self, index: u16) -> bool {
        self.own_tunnel(index).is_some()
    }

    /// Fails if a tunnel uses the addresses of the interface.
    pub(super) fn check_unused(&self, index: u16) -> Result<(), ControlError> {
        let uses = |interface: &&Interface| {
            let own = interface.tunnel.as_ref();
            own.is_some_and(|own| own.unnumbered == Some(index))
        };
        let users: Vec<&String> = self
            .interfaces
            .iter()
            .filter(uses)
            .map(|user| &user.name)
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let sentence = format!(
            "{} cannot go while tunnels use its addresses, which are {}: delete them or have them use another's first",
            self.interface_name(index),
            list(users.into_iter())
        );
        Err(refuse(ErrorCode::Invalid, sentence))
    }

    /// Brings whether tunnels can work in line with the addresses that the gateway has by now.
    pub(super) fn settle_tunnels(&mut self, now: Duration) {
        if !std::mem::take(&mut self.addresses_changed) {
            return;
        }
        let here = self.ends_here();
        let differing: Vec<(u16, u8)> = self
            .interfaces
            .indexed()
            .filter_map(|(index, interface)| {
                let own = interface.tunnel.as_ref()?;
                let sas = if own.is_protected() {
                    self.sas.lacks(index)
                } else {
                    0
                };
                let lacks = sas | lacks_address(here.contains(&own.tunnel.local));
                (lacks != own.lacks).then_some((index, lacks))
            })
            .collect();
        for (index, lacks) in differing {
            self.set_lacks(index, lacks, now);
            self.show_tunnel(index);
        }
    }

    /// The addresses by which packets may leave, and come.
    fn ends_here(&self) -> HashSet<IpAddr> {
        let in_use = self.addresses.iter().filter(|own| own.is_preferred());
        in_use.map(|own| own.net.addr()).collect()
    }

    /// Fails unless the tunnel can be, in the place of `index` where that is one; gives the interface whose addresses it is to use.
    fn check_tunnel(&self, new: &Tunnel, index: Option<u16>) -> Result<Option<u16>, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let name = &new.name;
        new.check()
            .map_err(|fault| refuse(ErrorCode::Invalid, fault.sentence))?;
        let others = self
            .interfaces
            .indexed()
            .filter(|(other, _)| Some(*other) != index);
        let mut others = others.filter_map(|(_, interface)| interface.tunnel.as_ref());
        if let Some(other) = others.find(|other| other.tunnel.ends() == new.ends()) {
            let sentence = format!(
                "{} goes from {} to {} already, and packets of two such tunnels could not be told apart: change that, or give \
                 {name} another end{}",
                other.tunnel.name,
                new.local,
                new.remote,
                if new.mode == TunnelMode::Gre {
                    " or key"
                } else {
                    ""
                }
            );
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        let mut given = index.into_iter().flat_map(|index| self.given_addresses(index));
        let unnumbered = match &new.unnumbered {
            None => None,
            Some(other) => {
                let found = self.interface_index(other)?;
                if self.is_tunnel(found) {
                    return invalid(format!(
                        "{other} is a tunnel, and {name} can use the addresses of a port's interface or a sub-interface only: name one"
                    ));
                }
                if let Some(own) = given.next() {
                    return invalid(format!(
                        "{name} has an address of its own, {own}: delete that before it uses those of {other}"
                    ));
                }
                Some(found)
            }
        };
        if usize::from(new.mtu()) < ipv6::MIN_MTU
            && let Some(six) = given.find(|net| net.addr().is_ipv6())
        {
            return invalid(format!(
                "{name} has the address {six}, and IPv6 needs an MTU of {}: give it that, or delete the address first",
                ipv6::MIN_MTU
            ));
        }
        Ok(unnumbered)
    }

    /// The index of the tunnel of this name.
    fn tunnel_index(&self, name: &str) -> Result<u16, ControlError> {
        let named = |(index, interface): (u16, &Interface)| {
            (interface.tunnel.is_some() && interface.name == name).then_some(index)
        };
        if let Some(index) = self.interfaces.indexed().find_map(named) {
            return Ok(index);
        }
        let tunnels = self
            .interfaces
            .iter()
            .filter(|interface| interface.tunnel.is_some());
        let there = list(tunnels.map(|interface| &interface.name));
        Err(refuse(
            ErrorCode::UnknownInterface,
            format!("there is no tunnel '{name}': there are {there}"),
        ))
    }

    pub(super) fn own_tunnel(&self, index: u16) -> Option<&OwnTunnel> {
        self.interfaces.get(usize::from(index))?.tunnel.as_ref()
    }

    fn own_tunnel_mut(&mut self, index: u16) -> Option<&mut OwnTunnel> {
        self.interfaces.get_mut(usize::from(index))?.tunnel.as_mut()
    }

    /// Shows a tunnel as it is now. There is room: each is an interface.
    fn show_tunnel(&mut self, index: u16) {
        let Some(own) = self
            .interfaces
            .get_mut(usize::from(index))
            .and_then(|interface| interface.tunnel.as_mut())
        else {
            return;
        };
        let record = record(index, own);
        match own.slot {
            Some(slot) => self.published.tunnels.update(slot, &record),
            None => own.slot = self.published.tunnels.insert(&record),
        }
    }
}

/// What stands in the place of its device.
fn device(tunnel: &Tunnel) -> String {
    let key = tunnel.key.map_or(String::new(), |key| format!(" key {key}"));
    let (mode, local, remote) = (tunnel.mode.name(), tunnel.local, tunnel.remote);
    let esp = if tunnel.protected { " protected" } else { "" };
    format!("{mode} local {local} remote {remote}{key}{esp}")
}

fn record(interface: u16, own: &OwnTunnel) -> records::Tunnel {
    let tunnel = &own.tunnel;
    records::Tunnel {
        local: ip_field(tunnel.local),
        remote: ip_field(tunnel.remote),
        key: tunnel.key.unwrap_or(0),
        interface,
        unnumbered: own.unnumbered.unwrap_or(NO_INTERFACE),
        mode: tunnel.mode.number(),
        has_key: u8::from(tunnel.key.is_some()),
        has_mtu: u8::from(tunnel.mtu.is_some()),
        ttl: tunnel.ttl,
        df: tunnel.df.number(),
        dscp: tunnel.dscp.number(),
        protected: u8::from(tunnel.protected),
        lacks: own.lacks,
    }
}
