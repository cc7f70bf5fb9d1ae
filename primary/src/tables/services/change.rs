//! Requests that change services. Each makes the service as it is to be, which takes the place of what it was.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use control::message::{
    ControlError, ErrorCode, LocalAddress, RealServer, SERVICES, ServerChange, Service, ServiceChange,
    ServiceId, ServiceProtocol,
};

use super::super::Tables;
use super::super::refusal::{list, refuse};
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Adds a service with its servers and local addresses.
    pub fn service_add(&mut self, new: Service, now: Duration) -> Result<(), ControlError> {
        let id = new.id;
        if self.services.services.contains_key(&id) {
            let sentence = format!("there is a service {id} already: change it, or delete it first");
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        if self.services.services.len() >= SERVICES {
            let sentence = format!("there are {SERVICES} services and no room for more: delete one first");
            return Err(refuse(ErrorCode::LimitReached, sentence));
        }
        self.service_put(new, now)
    }

    /// Adds services, all of them or none.
    pub fn services_add(&mut self, new: Vec<Service>, now: Duration) -> Result<(), ControlError> {
        let changed = self.services.changed;
        let mut added = Vec::with_capacity(new.len());
        for service in new {
            let id = service.id;
            if let Err(error) = self.service_add(service, now) {
                for id in added.into_iter().rev() {
                    self.service_delete(id, now)?;
                }
                self.services.changed = changed;
                return Err(error);
            }
            added.push(id);
        }
        Ok(())
    }

    /// Makes a service be like that, which may be there. Connections to servers that stay, by local addresses that stay, are not touched.
    pub fn service_put(&mut self, new: Service, now: Duration) -> Result<(), ControlError> {
        let new = Service {
            options: new.options.normal(),
            ..new
        };
        new.check()
            .map_err(|fault| refuse(ErrorCode::Invalid, fault.sentence))?;
        self.check_addresses_of(&new)?;
        let before = self.services.services.get(&new.id);
        let old: Vec<IpAddr> = before.map_or_else(Vec::new, |own| own.locals.clone());
        let is_new = |local: &&LocalAddress| !old.contains(&local.address);
        for local in new.locals.iter().filter(|local| !is_new(local)) {
            self.check_interface_of(local)?;
        }
        let mut taken = Vec::new();
        for local in new.locals.iter().filter(is_new) {
            if let Err(error) = self.use_local(local, now) {
                taken
                    .into_iter()
                    .for_each(|address| self.free_local(address, now));
                return Err(error);
            }
            taken.push(local.address);
        }
        let before = self.services.services.remove(&new.id);
        let own = self.services.make(&new, before.as_ref());
        for address in old.into_iter().filter(|address| !own.locals.contains(address)) {
            self.free_local(address, now);
        }
        self.services.services.insert(new.id, own);
        self.services.changed = true;
        Ok(())
    }

    /// An address is that of a service or a local address, never both: packets for it could not be told apart.
    fn check_addresses_of(&self, new: &Service) -> Result<(), ControlError> {
        let id = new.id;
        if self.services.is_local(id.address) {
            let sentence = format!(
                "{id}: {} is a local address of services: give the service another address",
                id.address
            );
            return Err(refuse(ErrorCode::Invalid, sentence));
        }
        let is_service = |address| {
            let at = |protocol, port| ServiceId {
                protocol,
                address,
                port,
            };
            let of = |protocol: &ServiceProtocol| at(*protocol, 0)..=at(*protocol, u16::MAX);
            let mut protocols = ServiceProtocol::ALL.iter();
            protocols.find_map(|protocol| self.services.services.range(of(protocol)).next())
        };
        for local in &new.locals {
            if let Some((other, _)) = is_service(local.address) {
                let sentence = format!(
                    "{id}: {} is the address of the service {other}: use another local address",
                    local.address
                );
                return Err(refuse(ErrorCode::Invalid, sentence));
            }
        }
        Ok(())
    }

    /// The service as it is.
    fn service(&self, id: ServiceId) -> Result<Service, ControlError> {
        let found = self.services.services.get(&id);
        found
            .map(|own| self.shown_service(id, own))
            .ok_or_else(|| self.no_service(id))
    }

    pub(super) fn no_service(&self, id: ServiceId) -> ControlError {
        let known = list(self.services.services.keys());
        let sentence = format!("there is no service {id}: there are {known}");
        refuse(ErrorCode::NotFound, sentence)
    }

    /// Changes a service; its connections stay.
    pub fn service_set(
        &mut self,
        id: ServiceId,
        change: &ServiceChange,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut service = self.service(id)?;
        service.options = change.apply(&service.options);
        self.service_put(service, now)
    }

    /// Deletes a service, with its servers, local addresses and connections.
    pub fn service_delete(&mut self, id: ServiceId, now: Duration) -> Result<(), ControlError> {
        let Some(own) = self.services.services.remove(&id) else {
            return Err(self.no_service(id));
        };
        self.services.changed = true;
        own.locals
            .into_iter()
            .for_each(|address| self.free_local(address, now));
        Ok(())
    }

    /// Deletes services, all of them or none.
    pub fn services_delete(&mut self, ids: &[ServiceId], now: Duration) -> Result<(), ControlError> {
        let is_unknown = |id: &&ServiceId| !self.services.services.contains_key(id);
        if let Some(id) = ids.iter().find(is_unknown) {
            return Err(self.no_service(*id));
        }
        for id in ids {
            // One that is named twice is gone the second time.
            if self.services.services.contains_key(id) {
                self.service_delete(*id, now)?;
            }
        }
        Ok(())
    }

    /// Deletes all services.
    pub fn service_flush(&mut self, now: Duration) {
        while let Some((_, own)) = self.services.services.pop_first() {
            self.services.changed = true;
            own.locals
                .into_iter()
                .for_each(|address| self.free_local(address, now));
        }
    }

    /// Adds a server to a service.
    pub fn server_add(
        &mut self,
        id: ServiceId,
        server: RealServer,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut service = self.service(id)?;
        if service.servers.iter().any(|old| old.at() == server.at()) {
            let sentence = format!(
                "{id} has the server {} already: change it, or delete it first",
                server.at()
            );
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        self.check_room_of(id, "servers", service.servers.len())?;
        service.servers.push(server);
        self.service_put(service, now)
    }

    fn check_room_of(&self, id: ServiceId, what: &str, count: usize) -> Result<(), ControlError> {
        if count < control::message::SERVERS_PER_SERVICE {
            return Ok(());
        }
        let sentence = format!("{id} has {count} {what} and no room for more: delete one first");
        Err(refuse(ErrorCode::LimitReached, sentence))
    }

    /// Changes a server; its connections stay.
    pub fn server_set(
        &mut self,
        id: ServiceId,
        server: SocketAddr,
        change: ServerChange,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut service = self.service(id)?;
        let Some(old) = service.servers.iter_mut().find(|old| old.at() == server) else {
            return Err(no_server(&service, server));
        };
        old.weight = change.weight.unwrap_or(old.weight);
        old.max_connections = change.max_connections.unwrap_or(old.max_connections);
        self.service_put(service, now)
    }

    /// Deletes a server, with its connections.
    pub fn server_delete(
        &mut self,
        id: ServiceId,
        server: SocketAddr,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut service = self.service(id)?;
        let Some(place) = service.servers.iter().position(|old| old.at() == server) else {
            return Err(no_server(&service, server));
        };
        service.servers.remove(place);
        self.service_put(service, now)
    }

    /// Adds a local address to a service.
    pub fn local_add(
        &mut self,
        id: ServiceId,
        local: LocalAddress,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut service = self.service(id)?;
        if service.locals.iter().any(|old| old.address == local.address) {
            let sentence = format!("{id} has the local address {} already", local.address);
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        self.check_room_of(id, "local addresses", service.locals.len())?;
        service.locals.push(local);
        self.service_put(service, now)
    }

    /// Takes a local address from a service. Connections by it end.
    pub fn local_delete(
        &mut self,
        id: ServiceId,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut service = self.service(id)?;
        let Some(place) = service.locals.iter().position(|old| old.address == address) else {
            let known = list(service.locals.iter().map(|old| old.address));
            let sentence = format!("{id} has no local address {address}: it has {known}");
            return Err(refuse(ErrorCode::NotFound, sentence));
        };
        service.locals.remove(place);
        self.service_put(service, now)
    }
}

fn no_server(service: &Service, server: SocketAddr) -> ControlError {
    let known = list(service.servers.iter().map(RealServer::at));
    let sentence = format!("{} has no server {server}: it has {known}", service.id);
    refuse(ErrorCode::NotFound, sentence)
}
