//! What services there are, and what went through them.

use std::ops::Bound;

use control::client::MAX_FRAME;
use control::message::{
    ControlError, LocalInfo, ServerInfo, ServiceId, ServiceInfo, ServicePage, TrafficCounts,
};
use lb::{Count, Refused};

use super::super::Tables;
use super::{OwnServer, OwnService, Traffic};
use crate::adjacency;
use crate::balancer::drop_reason;

/// Bytes of a frame that services may fill: what else is in it takes less than the rest.
const PAGE: usize = MAX_FRAME - 64;

impl Traffic {
    fn counts(&self) -> TrafficCounts {
        TrafficCounts {
            connections: self.since(Count::Connections),
            in_packets: self.since(Count::InPackets),
            out_packets: self.since(Count::OutPackets),
            in_bytes: self.since(Count::InBytes),
            out_bytes: self.since(Count::OutBytes),
            errors_in: self.since(Count::ErrorsIn),
            errors_out: self.since(Count::ErrorsOut),
        }
    }

    /// Packets dropped, by what tables call the reason.
    fn dropped(&self) -> Vec<(String, u64)> {
        let mut drops: Vec<(String, u64)> = Vec::new();
        for reason in Refused::ALL {
            let packets = self.drops(*reason);
            let name = drop_reason(*reason).name();
            match drops.iter_mut().find(|(known, _)| known == name) {
                _ if packets == 0 => {}
                Some((_, sum)) => *sum += packets,
                None => drops.push((name.to_owned(), packets)),
            }
        }
        drops
    }
}

impl OwnServer {
    fn info(&self) -> ServerInfo {
        ServerInfo {
            server: self.server.clone(),
            active: self.traffic.now(Count::Active),
            inactive: self.traffic.now(Count::Inactive),
            counts: self.traffic.counts(),
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// The services behind `after`, or from the first on, as many as one answer has room for.
    pub fn service_page(&self, after: Option<ServiceId>) -> ServicePage {
        let mut services = Vec::new();
        let mut left = PAGE;
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (id, own) in self.services.services.range((first, Bound::Unbounded)) {
            let info = self.service_info(*id, own);
            // What cannot be encoded is not sent, and there is nothing that cannot.
            let bytes = postcard::to_stdvec(&info).map_or(0, |bytes| bytes.len());
            if bytes > left && !services.is_empty() {
                return ServicePage { services, more: true };
            }
            left = left.saturating_sub(bytes);
            services.push(info);
        }
        ServicePage {
            services,
            more: false,
        }
    }

    fn service_info(&self, id: ServiceId, own: &OwnService) -> ServiceInfo {
        let ports = lb::ports_towards(own.servers.iter().map(|server| server.server.at()));
        let locals = own.locals.iter().filter_map(|address| {
            let traffic = &self.services.locals.get(address)?.traffic;
            let ports_used = traffic.now(Count::PortsUsed);
            Some(LocalInfo {
                local: self.local_of(*address)?,
                connections: traffic.now(Count::Active) + traffic.now(Count::Inactive),
                ports_used,
                ports_free: ports.saturating_sub(ports_used),
                misses: traffic.since(Count::Misses),
            })
        });
        ServiceInfo {
            id,
            options: own.options.clone(),
            servers: own.servers.iter().map(OwnServer::info).collect(),
            locals: locals.collect(),
            counts: own.traffic.counts(),
            drops: own.traffic.dropped(),
        }
    }

    /// Connections of all services by now.
    pub fn connections(&self) -> usize {
        let services = self.services.services.values().map(|own| &own.traffic);
        let both = |traffic: &Traffic| traffic.now(Count::Active) + traffic.now(Count::Inactive);
        usize::try_from(services.map(both).sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Has the counters of a service begin at zero, those of its servers and local addresses with them, or those of all services.
    pub fn service_zero(&mut self, id: Option<ServiceId>) -> Result<(), ControlError> {
        if let Some(id) = id
            && !self.services.services.contains_key(&id)
        {
            return Err(self.no_service(id));
        }
        let set = &mut self.services;
        let chosen = set.services.iter_mut();
        for (_, own) in chosen.filter(|(known, _)| id.is_none_or(|id| id == **known)) {
            own.traffic.zero();
            own.servers.iter_mut().for_each(|server| server.traffic.zero());
            for address in &own.locals {
                if let Some(local) = set.locals.get_mut(address) {
                    local.traffic.zero();
                }
            }
        }
        Ok(())
    }
}
