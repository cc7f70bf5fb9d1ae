//! Local addresses of services: addresses of the gateway, which it has anyway or has for services alone.

use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use control::message::{ControlError, ErrorCode, LocalAddress};
use ipnet::IpNet;

use super::super::Tables;
use super::super::own_address::OwnAddress;
use super::super::refusal::{list, refuse};
use super::{OwnLocal, Traffic};
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// One more service uses the address, which is added to its interface if the gateway has it not.
    pub(super) fn use_local(&mut self, local: &LocalAddress, now: Duration) -> Result<(), ControlError> {
        let (interface, address) = (self.interface_index(&local.interface)?, local.address);
        self.check_interface_of(local)?;
        if !self.services.is_local(address) && self.own(interface, address).is_none() {
            self.give_service_address(interface, address, now)?;
        }
        let workers = self.services.workers;
        match self.services.locals.entry(address) {
            Entry::Occupied(mut local) => local.get_mut().users += 1,
            Entry::Vacant(local) => {
                let traffic = Traffic::new(workers);
                local.insert(OwnLocal {
                    interface,
                    users: 1,
                    made: Arc::new(lb::Local {
                        address,
                        counts: traffic.counts.clone(),
                    }),
                    traffic,
                });
            }
        }
        Ok(())
    }

    /// Fails when the address is on another interface than the one that is named.
    pub(super) fn check_interface_of(&self, local: &LocalAddress) -> Result<(), ControlError> {
        let interface = self.interface_index(&local.interface)?;
        if self.is_tunnel(interface) {
            let sentence = format!(
                "{} is a tunnel, where nobody asks who has {}: name the port or sub-interface to which servers send replies",
                local.interface, local.address
            );
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        let same = |own: &&OwnAddress| own.net.addr() == local.address;
        match self.addresses.iter().find(same) {
            Some(own) if own.interface != interface => {
                let sentence = format!(
                    "{} is an address of {}: name that interface, or use another local address",
                    local.address,
                    self.interface_name(own.interface)
                );
                Err(refuse(ErrorCode::Invalid, sentence))
            }
            _ => Ok(()),
        }
    }

    /// One service less uses the address, which goes with the last one if it is there for services alone.
    pub(super) fn free_local(&mut self, address: IpAddr, now: Duration) {
        let Entry::Occupied(mut local) = self.services.locals.entry(address) else {
            return;
        };
        local.get_mut().users -= 1;
        if local.get().users > 0 {
            return;
        }
        let interface = local.remove().interface;
        let own = self.own(interface, address).filter(|own| own.for_services);
        if let Some(own) = own.cloned() {
            // The interface's link-local address, which may come again for that, has had its place.
            let _ = self.remove_address(&own, now);
        }
    }

    /// Gives the interface an address that is there for services alone.
    pub(in super::super) fn give_service_address(
        &mut self,
        interface: u16,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), ControlError> {
        self.address_add(interface, IpNet::from(address), now)?;
        if let Some(own) = self.own_mut(interface, address) {
            own.for_services = true;
        }
        Ok(())
    }

    /// The operator gives an interface an address that it has for services: it stays when they go.
    pub(in super::super) fn take_over_address(
        &mut self,
        own: &OwnAddress,
        address: IpNet,
        now: Duration,
    ) -> Result<(), ControlError> {
        let (interface, host) = (own.interface, address.addr());
        if own.net == address {
            if let Some(own) = self.own_mut(interface, host) {
                own.for_services = false;
            }
            return Ok(());
        }
        self.remove_address(own, now)?;
        self.address_add(interface, address, now).inspect_err(|_| {
            // It was there before, and nothing has taken its room.
            let _ = self.give_service_address(interface, host, now);
        })
    }

    /// Fails if a service has a local address on the interface.
    pub(in super::super) fn check_no_locals(&self, interface: u16) -> Result<(), ControlError> {
        let locals = self.services.locals.iter();
        let here: Vec<_> = locals
            .filter(|(_, local)| local.interface == interface)
            .map(|(address, _)| address)
            .collect();
        if here.is_empty() {
            return Ok(());
        }
        let sentence = format!(
            "{} cannot go while services have local addresses on it, which are {}: take them from the services first",
            self.interface_name(interface),
            list(here.into_iter())
        );
        Err(refuse(ErrorCode::Invalid, sentence))
    }
}
