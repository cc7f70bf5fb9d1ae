//! Which services come, go and change, and their lines in what `--dry-run` prints.
//!
//! A service changes as a whole, in one step: workers never see a part of it. Its local addresses come and go as addresses do, since routes
//! may rest on them: those that are in the way of something new leave it before, new ones come with new addresses, and others leave it
//! with old ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use control::message::{
    LocalAddress, RealServer, SERVERS_PER_SERVICE, SERVICES, Service, ServiceId, ServiceOptions,
};
use ipnet::IpNet;

use super::change::Change;
use super::links::Links;
use super::plan::{clash, given};
use super::reach::Given;
use super::routes::next_hops;
use crate::config::Config;

/// The local addresses of all services, as often as services have them.
pub(super) fn locals(config: &Config) -> impl Iterator<Item = Given<'_>> {
    config
        .services
        .iter()
        .flat_map(|service| service.locals.iter().map(given_of))
}

fn given_of(local: &LocalAddress) -> Given<'_> {
    (local.interface.as_str(), IpNet::from(local.address))
}

/// Addresses that interfaces get from a configuration, and that the gateway has for its services.
pub(super) fn all_addresses(config: &Config) -> impl Iterator<Item = Given<'_>> {
    given(config).chain(locals(config))
}

/// Whether there is no room for old and new addresses at a time.
pub(super) fn is_full(running: &Config, wanted: &Config, added: usize) -> bool {
    let of_services: HashSet<Given<'_>> = locals(running).chain(locals(wanted)).collect();
    given(running).count() + of_services.len() + added > wanted.limits.addresses as usize
}

/// What becomes of services, and when.
pub(super) struct Services<'a> {
    /// What is in the way of something new.
    pub(super) early: Vec<Change>,
    /// What is new.
    pub(super) new: Vec<Change>,
    /// What goes.
    pub(super) late: Vec<Change>,
    /// The local addresses that there are when what was in the way is gone.
    pub(super) left: HashSet<Given<'a>>,
}

impl<'a> Services<'a> {
    pub(super) fn of(running: &'a Config, wanted: &'a Config, links: &Links<'_>) -> Self {
        let before: BTreeMap<ServiceId, &Service> = by_id(running);
        let asked: BTreeMap<ServiceId, &Service> = by_id(wanted);
        let way = Way::of(running, wanted, links);
        let new = asked.keys().filter(|id| !before.contains_key(*id)).count();
        let full = before.len() + new > SERVICES;
        let mut plan = Self {
            early: Vec::new(),
            new: Vec::new(),
            late: Vec::new(),
            left: HashSet::new(),
        };
        for (id, service) in &before {
            let mut left = (*service).clone();
            left.locals.retain(|local| !way.holds(local));
            let is_in_the_way = left.locals.len() < service.locals.len();
            let delete = || Change::ServiceDelete(Box::new((*service).clone()));
            let after = asked.get(id);
            if after.is_none() && (is_in_the_way || full || way.locals.contains_key(&id.address)) {
                plan.early.push(delete());
                continue;
            }
            let stay = service.locals.iter().filter(|local| left.locals.contains(local));
            plan.left.extend(stay.map(given_of));
            let Some(after) = after else {
                plan.late.push(delete());
                continue;
            };
            if is_in_the_way {
                plan.early.push(set(service, &left));
            }
            plan.become_like(&left, after);
        }
        let new = asked.iter().filter(|(id, _)| !before.contains_key(*id));
        let new = new.map(|(_, service)| Change::ServiceAdd(Box::new((*service).clone())));
        plan.new.extend(new);
        plan
    }

    /// Has a service get what is new, and lose what is old later.
    fn become_like(&mut self, left: &Service, after: &Service) {
        let mut both = after.clone();
        let gone = left.locals.iter().filter(|local| !after.locals.contains(local));
        both.locals.extend(gone.cloned());
        if both.locals.len() > SERVERS_PER_SERVICE {
            both = after.clone();
        }
        // In another order alone, it can change in the end.
        let has_new = both.options != left.options
            || both.servers != left.servers
            || both.locals.iter().any(|local| !left.locals.contains(local))
            || both == *after;
        let both = if has_new { both } else { left.clone() };
        if both != *left {
            self.new.push(set(left, &both));
        }
        if both != *after {
            self.late.push(set(&both, after));
        }
    }
}

fn set(before: &Service, after: &Service) -> Change {
    Change::ServiceSet {
        before: Box::new(before.clone()),
        after: Box::new(after.clone()),
    }
}

fn by_id(config: &Config) -> BTreeMap<ServiceId, &Service> {
    let services = config.services.iter();
    services.map(|service| (service.id, service)).collect()
}

/// What local addresses may be in the way of.
struct Way<'a> {
    /// Addresses that interfaces get.
    added: Vec<Given<'a>>,
    links: &'a Links<'a>,
    /// Addresses of other hosts, and of services.
    others: HashSet<IpAddr>,
    /// Local addresses, and the interfaces that they are to be on.
    locals: HashMap<IpAddr, &'a str>,
    /// Whether all that goes has to make room.
    full: bool,
}

impl<'a> Way<'a> {
    fn of(running: &'a Config, wanted: &'a Config, links: &'a Links<'a>) -> Self {
        let there: HashSet<Given<'_>> = given(running)
            .filter(|(name, _)| links.stay.contains(name))
            .collect();
        let added: Vec<Given<'_>> = given(wanted).filter(|each| !there.contains(each)).collect();
        let hops = wanted.routes.iter().flat_map(next_hops);
        let neighbors = wanted.neighbors.iter().map(|neighbor| neighbor.address);
        let services = wanted.services.iter().map(|service| service.id.address);
        let hops = hops.map(|(next_hop, _)| next_hop);
        Self {
            full: is_full(running, wanted, added.len()),
            added,
            links,
            others: hops.chain(neighbors).chain(services).collect(),
            locals: locals(wanted).map(|(name, net)| (net.addr(), name)).collect(),
        }
    }

    /// Whether the local address is in the way.
    fn holds(&self, local: &LocalAddress) -> bool {
        let (address, interface) = (local.address, local.interface.as_str());
        // An interface may be given what it has for services.
        let clashes =
            |new: &Given<'_>| (new.0, new.1.addr()) != (interface, address) && clash(given_of(local), *new);
        let is_elsewhere = match self.locals.get(&address) {
            Some(there) => *there != interface,
            None => self.full,
        };
        is_elsewhere
            || !self.links.stay.contains(interface)
            || self.others.contains(&address)
            || self.added.iter().any(clashes)
    }
}

/// A service with all that it has.
pub(super) struct Said<'a>(pub(super) &'a Service);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Service {
            id,
            options,
            servers,
            locals,
        } = self.0;
        write!(f, "{id}")?;
        for (key, value) in words(options) {
            if let Some(value) = value {
                write!(f, " {key} {value}")?;
            }
        }
        for server in servers {
            write!(f, " server {}", SaidServer(server))?;
        }
        for local in locals {
            write!(f, " laddr {} dev {}", local.address, local.interface)?;
        }
        Ok(())
    }
}

struct SaidServer<'a>(&'a RealServer);

impl fmt::Display for SaidServer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RealServer {
            weight,
            max_connections,
            ..
        } = self.0;
        write!(f, "{} weight {weight}", self.0.at())?;
        if *max_connections > 0 {
            write!(f, " max_connections {max_connections}")?;
        }
        Ok(())
    }
}

/// The options with their values; those that have their defaults have none.
fn words(options: &ServiceOptions) -> [(&'static str, Option<String>); 6] {
    let prefixes = |prefixes: &[IpNet]| {
        let words: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
        (!words.is_empty()).then(|| words.join(","))
    };
    [
        ("scheduler", Some(options.scheduler.to_string())),
        ("toa", options.toa.then(|| "true".to_owned())),
        ("fast_xmit", (!options.fast_xmit).then(|| "false".to_owned())),
        ("allow", prefixes(&options.allow)),
        ("deny", prefixes(&options.deny)),
        ("timeout", options.timeout.map(|timeout| timeout.to_string())),
    ]
}

/// What differs between a service and what it is to be.
pub(super) struct Differences<'a>(pub(super) &'a Service, pub(super) &'a Service);

impl fmt::Display for Differences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.0, self.1);
        write!(f, "{}", after.id)?;
        let default = |value: Option<String>| value.unwrap_or_else(|| "default".to_owned());
        for ((key, old), (_, new)) in words(&before.options).into_iter().zip(words(&after.options)) {
            if old != new {
                write!(f, " {key} {} (was {})", default(new), default(old))?;
            }
        }
        let old = |server: &RealServer| before.servers.iter().find(|old| old.at() == server.at());
        for server in &after.servers {
            match old(server) {
                None => write!(f, " +server {}", SaidServer(server))?,
                Some(old) if old != server => {
                    write!(f, " server {} (was {})", SaidServer(server), SaidServer(old))?;
                }
                Some(_) => {}
            }
        }
        let there: BTreeSet<_> = after.servers.iter().map(RealServer::at).collect();
        for server in before
            .servers
            .iter()
            .filter(|server| !there.contains(&server.at()))
        {
            write!(f, " -server {}", server.at())?;
        }
        for local in after.locals.iter().filter(|local| !before.locals.contains(local)) {
            write!(f, " +laddr {} dev {}", local.address, local.interface)?;
        }
        for local in before.locals.iter().filter(|local| !after.locals.contains(local)) {
            write!(f, " -laddr {} dev {}", local.address, local.interface)?;
        }
        if before.servers != after.servers && is_same_set(&before.servers, &after.servers) {
            f.write_str(" servers in another order")?;
        }
        if before.locals != after.locals && is_same_set(&before.locals, &after.locals) {
            f.write_str(" local addresses in another order")?;
        }
        Ok(())
    }
}

fn is_same_set<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().all(|each| other.contains(each))
}
