//! A [`Config`] with all tables that a worker looks things up in: made where memory may be taken, handed to the worker.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::{Config, Kind, Service};
use crate::counts::Counts;
use crate::lookup::Lookup;
use crate::ports::{self, Pool, SHARES};
use crate::schedule::{Candidate, Choice};
use crate::table::{Belongs, Connection};
use crate::verdict::{Refused, State};

/// No pool.
const NONE: u32 = u32::MAX;

/// What one worker works by. Each worker gets one of its own.
#[derive(Clone, Debug)]
pub struct Prepared {
    config: Arc<Config>,
    /// What each address is.
    addresses: Arc<Lookup>,
    /// Services by address, port and kind; by number; servers by number; local addresses by address and service.
    by_address: Arc<Lookup>,
    by_number: Arc<Lookup>,
    servers_by_number: Arc<Lookup>,
    locals_by_address: Arc<Lookup>,
    pools_by_address: Arc<Lookup>,
    pub(crate) services: Vec<ServiceEntry>,
    servers: Vec<ServerEntry>,
    candidates: Vec<Candidate>,
    locals: Vec<LocalEntry>,
    pub(crate) pools: Vec<Pool>,
}

/// A service, as a worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) address: u128,
    /// 0 for queries.
    pub(crate) port: u16,
    pub(crate) number: u32,
    pub(crate) toa: bool,
    pub(crate) fast_xmit: bool,
    /// Seconds, by state.
    pub(crate) timeouts: [u32; State::ALL.len()],
    pub(crate) counts: Arc<Counts>,
    allow: Arc<[Prefix]>,
    deny: Arc<[Prefix]>,
    /// Its first server and local address, and how many it has.
    servers: (u32, u32),
    locals: (u32, u32),
    /// The local address whose turn is next.
    next_local: u32,
    choice: Choice,
}

/// A server, as a worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct ServerEntry {
    pub(crate) address: u128,
    pub(crate) port: u16,
    pub(crate) number: u32,
    pub(crate) share: u32,
    pub(crate) counts: Arc<Counts>,
}

/// A local address of a service, as a worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct LocalEntry {
    pub(crate) address: u128,
    pub(crate) counts: Arc<Counts>,
    /// The pool of each share of the servers.
    pools: [u32; SHARES as usize],
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    network: u128,
    mask: u128,
}

impl Prefix {
    fn new(prefix: &IpNet) -> Self {
        let above = if prefix.addr().is_ipv4() { 96 } else { 0 };
        let bits = 128 - above - u32::from(prefix.prefix_len()).min(128 - above);
        let mask = u128::MAX.checked_shl(bits).unwrap_or(0);
        Self {
            network: number(prefix.addr()) & mask,
            mask,
        }
    }

    fn holds(&self, address: u128) -> bool {
        address & self.mask == self.network
    }
}

/// An address as the tables have it: IPv4 mapped into IPv6.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// What an address is, for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role(u32);

impl Role {
    const fn service(kind: Kind) -> u32 {
        1 << kind as u32
    }

    const fn local(kind: Kind) -> u32 {
        8 << kind as u32
    }

    /// Services of this kind are reached at it.
    #[inline]
    pub(crate) fn serves(self, kind: Kind) -> bool {
        self.0 & Role::service(kind) != 0
    }

    /// Services of this kind reach their servers by it.
    #[inline]
    pub(crate) fn is_local(self, kind: Kind) -> bool {
        self.0 & Role::local(kind) != 0
    }
}

fn service_key(port: u16, kind: Kind) -> u32 {
    u32::from(port) << 2 | kind as u32
}

fn pool_key(kind: Kind, share: u32) -> u32 {
    share << 2 | kind as u32
}

fn timeouts(config: &Config, service: &Service) -> [u32; State::ALL.len()] {
    let all = &config.timeouts;
    State::ALL.map(|state| match state {
        State::Normal if service.kind == Kind::Icmp => service.timeout.unwrap_or(all.icmp),
        State::Normal => service.timeout.unwrap_or(all.udp),
        State::Established => service.timeout.unwrap_or(all.tcp_established),
        State::SynRecv => all.tcp_syn_recv,
        State::FinWait => all.tcp_fin_wait,
        State::TimeWait => all.tcp_time_wait,
        State::Close => all.tcp_close,
        State::CloseWait => all.tcp_close_wait,
        State::LastAck => all.tcp_last_ack,
    })
}

impl Prepared {
    /// For one of so many workers. Clones of it, for the others, share its larger tables.
    pub fn new(config: Arc<Config>, workers: usize) -> Self {
        let servers: usize = config.services.iter().map(|service| service.servers.len()).sum();
        let locals: usize = config.services.iter().map(|service| service.locals.len()).sum();
        let services = config.services.len();
        let mut addresses = Lookup::with_room(services + locals);
        let mut by_address = Lookup::with_room(services);
        let mut by_number = Lookup::with_room(services);
        let mut servers_by_number = Lookup::with_room(servers);
        let mut locals_by_address = Lookup::with_room(locals);
        let mut all = Tables::new(locals);
        for (at, service) in config.services.iter().enumerate() {
            let at = at as u32;
            let address = number(service.address);
            addresses.mark(address, Role::service(service.kind));
            by_address.entry(address, service_key(service.port, service.kind), at);
            by_number.entry(u128::from(service.number), 0, at);
            for (more, server) in service.servers.iter().enumerate() {
                servers_by_number.entry(u128::from(server.number), 0, (all.servers.len() + more) as u32);
            }
            for (more, local) in service.locals.iter().enumerate() {
                addresses.mark(number(local.address), Role::local(service.kind));
                locals_by_address.entry(number(local.address), at, (all.locals.len() + more) as u32);
            }
            all.add(&config, service, workers);
        }
        Self {
            config,
            addresses: Arc::new(addresses),
            by_address: Arc::new(by_address),
            by_number: Arc::new(by_number),
            servers_by_number: Arc::new(servers_by_number),
            locals_by_address: Arc::new(locals_by_address),
            pools_by_address: Arc::new(all.pools_by_address),
            services: all.services,
            servers: all.servers,
            candidates: all.candidates,
            locals: all.locals,
            pools: all.pools,
        }
    }

    /// What it was made of.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What an address is; `None`: nothing.
    #[inline]
    pub(crate) fn role(&self, address: u128) -> Option<Role> {
        self.addresses.get(address, 0).map(Role)
    }

    /// The number of the service at an address.
    #[inline]
    pub(crate) fn service_at(&self, address: u128, port: u16, kind: Kind) -> Option<u32> {
        self.by_address.get(address, service_key(port, kind))
    }

    pub(crate) fn service_numbered(&self, number: u32) -> Option<u32> {
        self.by_number.get(u128::from(number), 0)
    }

    pub(crate) fn server_numbered(&self, number: u32) -> Option<u32> {
        self.servers_by_number.get(u128::from(number), 0)
    }

    pub(crate) fn local_at(&self, address: u128, service: u32) -> Option<u32> {
        self.locals_by_address.get(address, service)
    }

    #[inline]
    pub(crate) fn service(&self, at: u32) -> Option<&ServiceEntry> {
        self.services.get(at as usize)
    }

    #[inline]
    pub(crate) fn server(&self, at: u32) -> Option<&ServerEntry> {
        self.servers.get(at as usize)
    }

    #[inline]
    pub(crate) fn local(&self, at: u32) -> Option<&LocalEntry> {
        self.locals.get(at as usize)
    }

    /// What a connection of any configuration belongs to in this one.
    pub(crate) fn belongs(&self, connection: &Connection) -> Option<Belongs> {
        let ends = connection.ends();
        let service = self.service_numbered(connection.cold.service)?;
        let server = self.server_numbered(connection.cold.server)?;
        self.local_at(ends.local, service)?;
        let at = self.service(service).map(|entry| (entry.address, entry.port));
        let by = self.server(server).map(|entry| (entry.address, entry.port));
        let is_same =
            at == Some((ends.service, ends.service_port)) && by == Some((ends.server, ends.server_port));
        is_same.then_some(Belongs { service, server })
    }

    /// The pool that its port is from, if it is there.
    pub(crate) fn pool_of(&mut self, connection: &Connection) -> Option<&mut Pool> {
        let ends = connection.ends();
        let share = ports::share(ends.server, ends.server_port);
        let pool = self.pool_mut(ends.local, connection.hot.kind, share)?;
        (pool.identity == connection.cold.pool).then_some(pool)
    }

    /// The counters of its service and its server, as far as they are there.
    pub(crate) fn counts_of(&self, connection: &Connection) -> [Option<&Counts>; 2] {
        let service = self.service_numbered(connection.cold.service);
        let server = self.server_numbered(connection.cold.server);
        [
            service
                .and_then(|at| self.service(at))
                .map(|entry| &*entry.counts),
            server.and_then(|at| self.server(at)).map(|entry| &*entry.counts),
        ]
    }

    /// The pool of ports of an address.
    fn pool_mut(&mut self, address: u128, kind: Kind, share: u32) -> Option<&mut Pool> {
        let at = self.pool_at(address, kind, share)?;
        self.pools.get_mut(at as usize)
    }

    fn pool_at(&self, address: u128, kind: Kind, share: u32) -> Option<u32> {
        self.pools_by_address.get(address, pool_key(kind, share))
    }

    /// Chooses a server for a client of a service; its number among all.
    pub(crate) fn choose(&mut self, service: u32, worker: usize, client: u128) -> Result<u32, Refused> {
        let entry = self.services.get_mut(service as usize).ok_or(Refused::NoServer)?;
        let (first, count) = entry.servers;
        let servers = (self.candidates)
            .get(first as usize..(first + count) as usize)
            .unwrap_or_default();
        let chosen = entry.choice.choose(servers, worker, client)?;
        Ok(first + chosen as u32)
    }

    /// Takes a port of one of the service's local addresses, each in its turn, towards a server; the number of that local address
    /// among all, the pool's identity and the port.
    pub(crate) fn take_port(&mut self, service: u32, server: u32, worker: usize) -> Option<(u32, u32, u16)> {
        let share = self.servers.get(server as usize)?.share;
        let entry = self.services.get_mut(service as usize)?;
        let (first, count) = entry.locals;
        for turn in 0..count {
            let at = (entry.next_local + turn) % count;
            let local = self.locals.get(first as usize + at as usize)?;
            let pool = local.pools.get(share as usize).copied().unwrap_or(NONE);
            if let Some(pool) = self.pools.get_mut(pool as usize)
                && let Some(port) = pool.take(worker)
            {
                entry.next_local = (at + 1) % count;
                return Some((first + at, pool.identity, port));
            }
            local.counts.add(worker, crate::Count::Misses, 1);
        }
        None
    }

    /// Goes on where an earlier one was: whose turn it is, and which ports are in use. `identity` is the first that pools that are new
    /// get; gives the next.
    pub(crate) fn take_over(
        &mut self,
        earlier: &mut Prepared,
        worker: usize,
        workers: usize,
        seed: u64,
        identity: u32,
    ) -> u32 {
        for entry in &mut self.services {
            let was = earlier.by_number.get(u128::from(entry.number), 0);
            if let Some(was) = was.and_then(|at| earlier.services.get(at as usize)) {
                entry.next_local = was.next_local.checked_rem(entry.locals.1).unwrap_or(0);
                if let (Choice::Rr(next), Choice::Rr(turn)) = (&mut entry.choice, &was.choice) {
                    *next = *turn;
                }
            }
        }
        let mut identity = identity;
        for (at, pool) in self.pools.iter_mut().enumerate() {
            match earlier.pool_mut(pool.address, pool.kind, pool.share) {
                Some(was) if was.identity != 0 => pool.take_over(was),
                _ => {
                    pool.begin(identity, worker, workers, crate::hash::fixed(at as u128, seed));
                    identity = identity.wrapping_add(1).max(1);
                }
            }
        }
        for pool in &mut earlier.pools {
            pool.forget(worker);
        }
        identity
    }
}

impl ServiceEntry {
    /// The lists let this client in.
    #[inline]
    pub(crate) fn admits(&self, client: u128) -> bool {
        let holds = |list: &[Prefix]| list.iter().any(|prefix| prefix.holds(client));
        (self.allow.is_empty() || holds(&self.allow)) && !holds(&self.deny)
    }
}

/// Tables while they are made.
struct Tables {
    services: Vec<ServiceEntry>,
    servers: Vec<ServerEntry>,
    candidates: Vec<Candidate>,
    locals: Vec<LocalEntry>,
    pools: Vec<Pool>,
    pools_by_address: Lookup,
}

impl Tables {
    fn new(locals: usize) -> Self {
        Self {
            services: Vec::new(),
            servers: Vec::new(),
            candidates: Vec::new(),
            locals: Vec::new(),
            pools: Vec::new(),
            pools_by_address: Lookup::with_room(locals * SHARES as usize),
        }
    }

    fn add(&mut self, config: &Config, service: &Service, workers: usize) {
        let first_server = self.servers.len();
        let first_local = self.locals.len();
        for server in &service.servers {
            let address = number(server.address);
            let port = if service.kind == Kind::Icmp {
                0
            } else {
                server.port
            };
            self.servers.push(ServerEntry {
                address,
                port,
                number: server.number,
                share: ports::share(address, port),
                counts: Arc::clone(&server.counts),
            });
            self.candidates.push(Candidate {
                address,
                port,
                weight: server.weight,
                max_connections: server.max_connections,
                counts: Arc::clone(&server.counts),
            });
        }
        for local in &service.locals {
            let address = number(local.address);
            let mut pools = [NONE; SHARES as usize];
            for server in self.servers.iter().skip(first_server) {
                let (share, new) = (server.share, self.pools.len() as u32);
                let at = self
                    .pools_by_address
                    .entry(address, pool_key(service.kind, share), new);
                if at == new {
                    let counts = Arc::clone(&local.counts);
                    self.pools
                        .push(Pool::new(address, service.kind, share, counts, workers));
                }
                if let Some(pool) = pools.get_mut(share as usize) {
                    *pool = at;
                }
            }
            self.locals.push(LocalEntry {
                address,
                counts: Arc::clone(&local.counts),
                pools,
            });
        }
        let candidates = self.candidates.get(first_server..).unwrap_or_default();
        let is_icmp = service.kind == Kind::Icmp;
        self.services.push(ServiceEntry {
            address: number(service.address),
            port: if is_icmp { 0 } else { service.port },
            number: service.number,
            toa: service.toa,
            fast_xmit: service.fast_xmit && config.policy.fast_xmit,
            timeouts: timeouts(config, service),
            counts: Arc::clone(&service.counts),
            allow: service.allow.iter().map(Prefix::new).collect(),
            deny: service.deny.iter().map(Prefix::new).collect(),
            servers: (first_server as u32, service.servers.len() as u32),
            locals: (first_local as u32, service.locals.len() as u32),
            next_local: 0,
            choice: Choice::new(service.scheduler, candidates),
        });
    }
}
