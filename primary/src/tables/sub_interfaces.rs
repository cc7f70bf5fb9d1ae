//! Sub-interfaces come and go: 802.1Q and 802.1ad, on a port's interface or on one another.
//!
//! One has the MAC address of its port, and is up while it is set up itself and what it was made on is up.

use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode, VlanProtocol};
use packet::EtherType;
use packet::ethernet::{VlanTag, VlanTags};
use shm::records::{self, text};

use super::Tables;
use super::refusal::refuse;
use crate::adjacency;
use crate::path::SubInterface;

/// The longest name that a record has room for, which is that of the kernel's interfaces as well.
const MAX_NAME: usize = 15;

/// A sub-interface to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubInterface {
    /// Its name; by default that of `link`, a dot and `id`.
    pub name: Option<String>,
    /// The interface to make it on.
    pub link: String,
    /// The EtherType of its tag.
    pub protocol: VlanProtocol,
    /// Its VLAN identifier, 1 to 4094.
    pub id: u16,
    /// Longest IP packet, at most that of `link`, which is the default.
    pub mtu: Option<u16>,
}

impl NewSubInterface {
    /// The name that it will have.
    pub fn name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("{}.{}", self.link, self.id))
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Makes a sub-interface, set up; gives its index.
    pub fn add_sub_interface(&mut self, new: &NewSubInterface) -> Result<u16, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let name = new.name();
        if let Some(fault) = name_fault(&name) {
            return invalid(format!("'{name}' cannot be the name of an interface: {fault}"));
        }
        if !(1..=4094).contains(&new.id) {
            return invalid(format!("{} is no VLAN identifier: use 1 to 4094", new.id));
        }
        let parent = self.interface_index(&new.link)?;
        if self.is_tunnel(parent) {
            return invalid(format!(
                "{} is a tunnel, whose packets have no tags: make the sub-interface on a port's interface",
                new.link
            ));
        }
        if let Some((_, other)) = self
            .children(parent)
            .find(|(_, record)| (record.vlan_protocol, record.vlan_id) == (ethertype(new.protocol), new.id))
        {
            let sentence = format!(
                "{} has VLAN {} of {} already: it is {}",
                new.link,
                new.id,
                new.protocol.name(),
                records::from_text(&other.name)
            );
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        if self
            .sub_interface(parent)
            .is_some_and(|sub| sub.tags.count() == 2)
        {
            return invalid(format!(
                "{} has two tags already, and no more are read: make the sub-interface on another",
                new.link
            ));
        }
        let on = self.known_interface(parent)?;
        let mtu = new.mtu.unwrap_or(on.mtu());
        if mtu > on.mtu() || mtu < 68 {
            return invalid(format!(
                "the MTU of {name} cannot be {mtu}: use 68 to {}, which is that of {}",
                on.mtu(),
                new.link
            ));
        }
        let record = records::Interface {
            name: text(&name),
            device: text(""),
            netdev: text(""),
            tap: text(""),
            mtu,
            admin_up: 1,
            link_up: u8::from(on.is_up()),
            parent,
            vlan_protocol: ethertype(new.protocol),
            vlan_id: new.id,
            offload_hint: 0,
            ..*on.record()
        };
        let index = self.add_interface(record)?;
        self.refresh_up(index);
        self.refresh_sources();
        self.tell_link(index);
        Ok(index)
    }

    /// Deletes a sub-interface with its addresses and routes, and those made on it; gives the indices of them all, the
    /// innermost first. They stay taken until [`free_indices`](Self::free_indices).
    pub fn delete_sub_interface(&mut self, name: &str, now: Duration) -> Result<Vec<u16>, ControlError> {
        let index = self.interface_index(name)?;
        if self.sub_interface(index).is_none() {
            let sentence = if self.is_tunnel(index) {
                format!("{name} is a tunnel: delete it as one, with 'tunnel del {name}'")
            } else {
                format!("{name} is a port, which stays while the primary runs: set it down instead")
            };
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        let mut all = vec![index];
        let mut at = 0;
        while let Some(parent) = all.get(at).copied() {
            all.extend(self.children(parent).map(|(child, _)| child));
            at += 1;
        }
        all.reverse();
        for index in &all {
            self.check_unused(*index)?;
            self.check_no_locals(*index)?;
        }
        for index in &all {
            self.delete_interface(*index, now);
        }
        Ok(all)
    }

    pub(super) fn delete_interface(&mut self, index: u16, now: Duration) {
        let given = |own: &super::OwnAddress| own.interface == index && !own.automatic;
        while let Some(own) = self.addresses.iter().find(|own| given(own)).cloned() {
            // The link-local address that may take the place of one may find no room, and goes with the next anyway.
            let _ = self.remove_address(&own, now);
        }
        let Some(interface) = self.interfaces.remove(index) else {
            return;
        };
        self.delete_sas_of(&interface.name, now);
        self.adjacencies.retire(interface.local);
        self.adjacencies.retire(interface.glean);
        self.adjacencies.retire(interface.anycast);
        self.deleted_interfaces.push(interface.slot());
        self.published.interfaces.hide(interface.slot());
        self.refresh_sources();
        self.tell(Event::LinkDeleted {
            interface: interface.name,
        });
    }

    /// Makes the indices of deleted interfaces free: no worker knows of them any more.
    pub fn free_indices(&mut self) {
        for slot in self.deleted_interfaces.drain(..) {
            self.published.interfaces.remove(slot);
        }
    }

    /// Whether deleted interfaces still have their indices.
    pub fn has_deleted_interfaces(&self) -> bool {
        !self.deleted_interfaces.is_empty()
    }

    /// Shows the name of the interface's tap.
    pub fn set_tap(&mut self, interface: u16, name: &str) {
        self.change_record(interface, |record| record.tap = text(name));
    }

    /// All sub-interfaces as they could be made anew, each after the one that it is on, and whether they are set up.
    pub fn sub_interfaces(&self) -> Vec<(NewSubInterface, bool)> {
        let mut found: Vec<_> = self
            .interfaces
            .indexed()
            .filter_map(|(index, interface)| {
                let (record, sub) = (interface.record(), self.sub_interface(index)?);
                let new = NewSubInterface {
                    name: Some(interface.name.clone()),
                    link: self.interface_name(record.parent).to_owned(),
                    protocol: VlanProtocol::of_ethertype(record.vlan_protocol)?,
                    id: record.vlan_id,
                    mtu: Some(record.mtu),
                };
                Some((sub.tags.count(), new, record.admin_up != 0))
            })
            .collect();
        found.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
        found.into_iter().map(|(_, new, up)| (new, up)).collect()
    }

    /// What makes an interface a sub-interface.
    pub fn sub_interface(&self, index: u16) -> Option<SubInterface> {
        let record = self.known_interface(index).ok()?.record();
        if record.vlan_id == 0 {
            return None;
        }
        let tag = VlanTag {
            tpid: EtherType(record.vlan_protocol),
            tci: record.vlan_id,
        };
        let parent = record.parent;
        Some(match self.sub_interface(parent) {
            None => SubInterface {
                port: parent,
                parent,
                tags: VlanTags::one(tag),
            },
            Some(on) => SubInterface {
                port: on.port,
                parent,
                tags: on.tags.with_inner(tag)?,
            },
        })
    }

    /// The sub-interfaces made on an interface.
    pub(super) fn children(&self, parent: u16) -> impl Iterator<Item = (u16, &records::Interface)> {
        self.interfaces
            .indexed()
            .map(|(index, interface)| (index, interface.record()))
            .filter(move |(_, record)| record.vlan_id != 0 && record.parent == parent)
    }
}

fn ethertype(protocol: VlanProtocol) -> u16 {
    match protocol {
        VlanProtocol::Dot1q => EtherType::VLAN.0,
        VlanProtocol::Dot1ad => EtherType::SERVICE_VLAN.0,
    }
}

/// Why no interface can have that name, if so.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME {
        Some("give one of 1 to 15 characters")
    } else if !name.chars().all(plain) {
        Some("use letters, digits, '.', '_' and '-'")
    } else {
        None
    }
}
