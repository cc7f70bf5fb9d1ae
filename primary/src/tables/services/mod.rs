//! Services of the load balancer: added, changed and deleted at run time, all that one request says or nothing of it.
//!
//! ```text
//!   request ─► the service as it is to be ─► checked ─► local addresses ─┬─► ServiceSet ─► news: workers get all services anew
//!                                                      taken in use      │
//!                                            addresses that nothing uses ◄┘ any more are taken away
//! ```
//!
//! What workers share of a service that stays, stays: its number, those of its servers, and what they have counted. So do connections.
//! A local address is one thing, whatever services use it, since they share its ports.

mod change;
mod locals;
mod show;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use control::message::{
    LocalAddress, RealServer, Scheduler, Service, ServiceId, ServiceOptions, ServiceProtocol,
};
use lb::{Count, Counts, Policy, Refused, Timeouts};

use super::Tables;
use crate::adjacency;

/// All services.
pub(super) struct ServiceSet {
    services: BTreeMap<ServiceId, OwnService>,
    /// The local addresses of all services.
    locals: BTreeMap<IpAddr, OwnLocal>,
    /// Of the next service or server.
    next_number: u32,
    workers: usize,
    timeouts: Timeouts,
    policy: Policy,
    /// Since somebody has asked.
    changed: bool,
}

/// A service.
struct OwnService {
    options: ServiceOptions,
    servers: Vec<OwnServer>,
    locals: Vec<IpAddr>,
    traffic: Traffic,
    /// As workers have it.
    made: Arc<lb::Service>,
}

/// A real server.
struct OwnServer {
    server: RealServer,
    traffic: Traffic,
    /// As workers have it.
    made: Arc<lb::Server>,
}

/// A local address.
struct OwnLocal {
    interface: u16,
    /// Services that have it.
    users: usize,
    traffic: Traffic,
    /// As workers have it.
    made: Arc<lb::Local>,
}

/// What workers have counted, and what of it was there when it was set to zero.
struct Traffic {
    counts: Arc<Counts>,
    before: Vec<u64>,
}

impl Traffic {
    fn new(workers: usize) -> Self {
        Self {
            counts: Arc::new(Counts::new(workers)),
            before: vec![0; Count::ALL.len() + Refused::ALL.len()],
        }
    }

    fn sums(&self) -> impl Iterator<Item = u64> {
        let counts = Count::ALL.iter().map(|what| self.counts.sum(*what));
        counts.chain(Refused::ALL.iter().map(|reason| self.counts.drops(*reason)))
    }

    /// What was counted since it was set to zero.
    fn since(&self, what: Count) -> u64 {
        self.counts.sum(what).wrapping_sub(self.at_zero(what as usize))
    }

    /// Packets dropped for a reason since it was set to zero.
    fn drops(&self, reason: Refused) -> u64 {
        let before = self.at_zero(Count::ALL.len() + reason as usize);
        self.counts.drops(reason).wrapping_sub(before)
    }

    /// How much there is of what goes up and down. Workers add and subtract while it is summed.
    fn now(&self, what: Count) -> u64 {
        u64::try_from(self.counts.sum(what).cast_signed()).unwrap_or(0)
    }

    fn at_zero(&self, cell: usize) -> u64 {
        self.before.get(cell).copied().unwrap_or(0)
    }

    fn zero(&mut self) {
        self.before = self.sums().collect();
    }

    /// The same counters, for what takes the place of what had them.
    fn again(&self) -> Self {
        Self {
            counts: self.counts.clone(),
            before: self.before.clone(),
        }
    }
}

impl ServiceSet {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            services: BTreeMap::new(),
            locals: BTreeMap::new(),
            next_number: 0,
            workers: 1,
            timeouts: Timeouts::default(),
            policy: Policy::default(),
            changed: false,
        }
    }

    /// Whether a service has it as a local address.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        self.locals.contains_key(&address)
    }

    fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        number
    }

    /// Makes of a service what workers get; what stays of one that was like `before` is taken from that. Its local addresses are there.
    fn make(&mut self, new: &Service, before: Option<&OwnService>) -> OwnService {
        let servers: Vec<OwnServer> = new
            .servers
            .iter()
            .map(|server| {
                let old =
                    before.and_then(|own| own.servers.iter().find(|old| old.server.at() == server.at()));
                self.make_server(server, old)
            })
            .collect();
        let traffic = before.map_or_else(|| Traffic::new(self.workers), |own| own.traffic.again());
        let locals: Vec<IpAddr> = new.locals.iter().map(|local| local.address).collect();
        let made_locals = locals.iter().filter_map(|address| self.locals.get(address));
        let (id, options) = (new.id, &new.options);
        let made = lb::Service {
            kind: kind(id.protocol),
            address: id.address,
            port: id.port,
            number: 0,
            scheduler: scheduler(options.scheduler),
            toa: options.toa,
            fast_xmit: options.fast_xmit,
            allow: options.allow.clone(),
            deny: options.deny.clone(),
            timeout: options.timeout,
            servers: servers.iter().map(|server| server.made.clone()).collect(),
            locals: made_locals.map(|local| local.made.clone()).collect(),
            counts: traffic.counts.clone(),
        };
        let number = before.map_or_else(|| self.number(), |own| own.made.number);
        OwnService {
            options: options.clone(),
            servers,
            locals,
            traffic,
            made: Arc::new(lb::Service { number, ..made }),
        }
    }

    fn make_server(&mut self, server: &RealServer, before: Option<&OwnServer>) -> OwnServer {
        if let Some(old) = before.filter(|old| old.server == *server) {
            return OwnServer {
                server: server.clone(),
                traffic: old.traffic.again(),
                made: old.made.clone(),
            };
        }
        let traffic = before.map_or_else(|| Traffic::new(self.workers), |old| old.traffic.again());
        let number = before.map_or_else(|| self.number(), |old| old.made.number);
        OwnServer {
            server: server.clone(),
            made: Arc::new(lb::Server {
                address: server.address,
                port: server.port,
                number,
                weight: server.weight,
                max_connections: server.max_connections,
                counts: traffic.counts.clone(),
            }),
            traffic,
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Counts for so many workers from now on. To be called before there is a service.
    pub fn set_workers(&mut self, workers: usize) {
        self.services.workers = workers;
    }

    /// When connections end and how ICMP is treated, of services that do not say it.
    pub fn balancing(&self) -> (Timeouts, Policy) {
        (self.services.timeouts, self.services.policy)
    }

    /// Sets when connections end and how ICMP is treated.
    pub fn set_balancing(&mut self, timeouts: Timeouts, policy: Policy) {
        let services = &mut self.services;
        services.changed |= (services.timeouts, services.policy) != (timeouts, policy);
        (services.timeouts, services.policy) = (timeouts, policy);
    }

    /// All services for workers, if anything has changed since the last call.
    pub fn take_service_news(&mut self) -> Option<lb::Config> {
        let services = &mut self.services;
        std::mem::take(&mut services.changed).then(|| lb::Config {
            services: services.services.values().map(|own| own.made.clone()).collect(),
            timeouts: services.timeouts,
            policy: services.policy,
        })
    }

    /// All services as they could be added anew, in the order of their protocols, addresses and ports.
    pub fn services(&self) -> Vec<Service> {
        let all = self.services.services.iter();
        all.map(|(id, own)| self.shown_service(*id, own)).collect()
    }

    fn shown_service(&self, id: ServiceId, own: &OwnService) -> Service {
        Service {
            id,
            options: own.options.clone(),
            servers: own.servers.iter().map(|server| server.server.clone()).collect(),
            locals: own
                .locals
                .iter()
                .filter_map(|address| self.local_of(*address))
                .collect(),
        }
    }

    fn local_of(&self, address: IpAddr) -> Option<LocalAddress> {
        let local = self.services.locals.get(&address)?;
        Some(LocalAddress {
            address,
            interface: self.interface_name(local.interface).to_owned(),
        })
    }
}

fn kind(protocol: ServiceProtocol) -> lb::Kind {
    match protocol {
        ServiceProtocol::Tcp => lb::Kind::Tcp,
        ServiceProtocol::Udp => lb::Kind::Udp,
        ServiceProtocol::Icmp | ServiceProtocol::Icmpv6 => lb::Kind::Icmp,
    }
}

fn scheduler(scheduler: Scheduler) -> lb::Scheduler {
    match scheduler {
        Scheduler::Rr => lb::Scheduler::Rr,
        Scheduler::Wrr => lb::Scheduler::Wrr,
        Scheduler::Wlc => lb::Scheduler::Wlc,
        Scheduler::Conhash => lb::Scheduler::Conhash,
        Scheduler::Mh => lb::Scheduler::Mh,
    }
}
