//! Which services come, go and change, and their lines in what `--dry-run` prints.
//!
//! A service changes as a whole, in one step: workers never see a part of it. Local addresses that are in the way of something new are
//! taken from their services before; what is to be theirs instead comes when that which goes is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use control::message::{LocalAddress, RealServer, SERVICES, Service, ServiceId, ServiceOptions};
use ipnet::IpNet;

use super::change::Change;
use super::plan::clash;
use super::reach::Given;
use super::routes::next_hops;
use crate::config::Config;

/// Different local addresses of all services.
pub(super) fn local_addresses(config: &Config) -> usize {
    let locals = config.services.iter().flat_map(|service| &service.locals);
    locals.map(|local| local.address).collect::<HashSet<_>>().len()
}

/// What becomes of services before anything else, and after: `added` are the addresses that interfaces get, and `stay` are those that
/// stay.
pub(super) fn plan_services(
    running: &Config,
    wanted: &Config,
    added: &[Given<'_>],
    stay: &HashSet<&str>,
) -> (Vec<Change>, Vec<Change>) {
    let before: BTreeMap<ServiceId, &Service> = by_id(running);
    let asked: BTreeMap<ServiceId, &Service> = by_id(wanted);
    let way = Way::of(wanted, added, stay);
    let new = asked.keys().filter(|id| !before.contains_key(*id)).count();
    let full = before.len() + new > SERVICES;
    let (mut early, mut late, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let mut becomes: BTreeMap<ServiceId, Service> = BTreeMap::new();
    for (id, service) in &before {
        let mut left = (*service).clone();
        left.locals.retain(|local| !way.holds(local));
        let is_in_the_way = left.locals.len() < service.locals.len();
        match asked.get(id) {
            None if is_in_the_way || full || way.locals.contains_key(&id.address) => {
                early.push(Change::ServiceDelete(Box::new((*service).clone())));
            }
            None => gone.push(Change::ServiceDelete(Box::new((*service).clone()))),
            Some(_) => {
                if is_in_the_way {
                    early.push(set(service, &left));
                }
                becomes.insert(*id, left);
            }
        }
    }
    for (id, after) in asked {
        match becomes.get(&id) {
            None => late.push(Change::ServiceAdd(Box::new(after.clone()))),
            Some(left) if left == after => {}
            Some(left) => late.push(set(left, after)),
        }
    }
    // One that gets what another has frees nothing by itself.
    late.extend(gone);
    (early, late)
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
    added: &'a [Given<'a>],
    stay: &'a HashSet<&'a str>,
    /// Addresses of other hosts, and of services.
    others: HashSet<IpAddr>,
    /// Local addresses, and the interfaces that they are to be on.
    locals: HashMap<IpAddr, &'a str>,
}

impl<'a> Way<'a> {
    fn of(wanted: &'a Config, added: &'a [Given<'a>], stay: &'a HashSet<&'a str>) -> Self {
        let hops = wanted.routes.iter().flat_map(next_hops);
        let neighbors = wanted.neighbors.iter().map(|neighbor| neighbor.address);
        let services = wanted.services.iter().map(|service| service.id.address);
        let hops = hops.map(|(next_hop, _)| next_hop);
        let locals = wanted.services.iter().flat_map(|service| &service.locals);
        Self {
            added,
            stay,
            others: hops.chain(neighbors).chain(services).collect(),
            locals: locals
                .map(|local| (local.address, local.interface.as_str()))
                .collect(),
        }
    }

    /// Whether the local address is in the way.
    fn holds(&self, local: &LocalAddress) -> bool {
        let (address, interface) = (local.address, local.interface.as_str());
        let old = (interface, IpNet::from(address));
        // An interface may be given what it has for services.
        let clashes = |new: &Given<'_>| (new.0, new.1.addr()) != (interface, address) && clash(old, *new);
        !self.stay.contains(interface)
            || self.others.contains(&address)
            || self.locals.get(&address).is_some_and(|there| *there != interface)
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
