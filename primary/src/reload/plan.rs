//! The changes that lead from what runs to what a configuration says, in the order in which they are made.
//!
//! What both have is left alone and works all the time, so what is new comes before what goes:
//!
//! ```text
//!   1  what is in the way of something new, and what would be lost with that: routes, neighbours, services, addresses, links
//!   2  links    addresses    services    neighbours    routes     the new ones, and those that change
//!   3  routes   neighbours   services    addresses     links      the old ones
//!   4  routes, neighbours                                 that had to wait for an old address to go
//!   5  links set down, policers, the log
//! ```
//!
//! An address is in the way of one of an overlapping subnet on another interface, or of itself with another length. What is
//! reached by it only goes with it: it is taken out by a change of its own if it is not to stay, and made again otherwise.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use control::message::{PuntClass, Route};
use ipnet::IpNet;
use packet::MacAddress;

use super::change::Change;
use super::hop_by_hop::hop_by_hop;
use super::link_local::made;
use super::links::Links;
use super::reach::{Given, Reach, is_link_local, own_prefixes};
use super::redirects::redirects;
use super::routes::{Key, key, next_hops, normal};
use super::services::{Services, all_addresses, is_full, locals};
use crate::config::{Config, Neighbor};

/// The changes from `running` to `wanted`, whose ports are the same and have these MAC addresses. Routes of `running` that are not
/// `ours`, of a routing protocol, stay as long as they can.
pub fn plan(
    running: &Config,
    wanted: &Config,
    macs: &[MacAddress],
    ours: impl Fn(&Route) -> bool,
) -> Vec<Change> {
    let links = Links::of(running, wanted);
    let services = Services::of(running, wanted, &links);
    let addresses = Addresses::of(running, wanted, macs, &links, &services);
    let mut steps = Steps::default();
    plan_routes(&mut steps, running, wanted, &addresses, ours);
    plan_neighbors(&mut steps, running, wanted, &addresses);
    for (early, (interface, address)) in &addresses.removed {
        let change = Change::AddressDelete {
            interface: (*interface).to_owned(),
            address: *address,
        };
        steps.of_removal(*early).addresses.push(change);
    }
    for (early, link) in &links.removed {
        let change = Change::LinkDelete((*link).clone());
        steps.of_removal(*early).links.push(change);
    }
    for link in &links.added {
        steps.links.push(Change::LinkAdd((*link).clone()));
    }
    for (early, tunnel) in &links.tunnels_removed {
        let change = Change::TunnelDelete(tunnel.tunnel.clone());
        steps.of_removal(*early).tunnels.push(change);
    }
    steps.links.extend(links.tunnel_changes());
    plan_admin(&mut steps, running, wanted, &links);
    steps.links.extend(redirects(running, wanted, &links.stay));
    steps.links.extend(hop_by_hop(running, wanted, &links.stay));
    steps.early.services = services.early;
    steps.services = services.new;
    steps.late.services = services.late;
    for (interface, address) in &addresses.added {
        steps.addresses.push(Change::AddressAdd {
            interface: (*interface).to_owned(),
            address: *address,
        });
    }
    for class in PuntClass::ALL {
        let (before, policy) = (running.punts[class as usize], wanted.punts[class as usize]);
        if before != policy {
            steps.last.push(Change::Punt { class, policy });
        }
    }
    if running.router_alert != wanted.router_alert {
        steps.last.push(Change::RouterAlert(wanted.router_alert));
    }
    if running.load_balancer != wanted.load_balancer {
        steps.last.push(Change::LoadBalancer {
            before: running.load_balancer,
            after: wanted.load_balancer,
        });
    }
    if running.log != wanted.log {
        steps.last.push(Change::Log(wanted.log.clone()));
    }
    steps.in_order()
}

/// The routes of what runs that a configuration says: `ours`, and none that the route of an address hides.
pub fn shown(mut routes: Vec<Route>, running: &Config, ours: impl Fn(&Route) -> bool) -> Vec<Route> {
    let reach = Reach::of(all_addresses(running));
    routes.retain(|route| ours(route) && !reach.is_own_prefix(route.prefix));
    routes
}

/// What is removed at one time, in this order.
#[derive(Default)]
struct Removal {
    routes: Vec<Change>,
    neighbors: Vec<Change>,
    /// With their local addresses.
    services: Vec<Change>,
    addresses: Vec<Change>,
    /// Before the interfaces whose addresses they use.
    tunnels: Vec<Change>,
    links: Vec<Change>,
}

#[derive(Default)]
struct Steps {
    early: Removal,
    links: Vec<Change>,
    addresses: Vec<Change>,
    services: Vec<Change>,
    neighbors: Vec<Change>,
    routes: Vec<Change>,
    late: Removal,
    late_routes: Vec<Change>,
    late_neighbors: Vec<Change>,
    last: Vec<Change>,
}

impl Steps {
    fn of_removal(&mut self, early: bool) -> &mut Removal {
        if early { &mut self.early } else { &mut self.late }
    }

    fn in_order(self) -> Vec<Change> {
        let removal = |removal: Removal| {
            let (before, services, after) = (removal.routes, removal.services, removal.addresses);
            [
                before,
                removal.neighbors,
                services,
                after,
                removal.tunnels,
                removal.links,
            ]
            .concat()
        };
        [
            removal(self.early),
            self.links,
            self.addresses,
            self.services,
            self.neighbors,
            self.routes,
            removal(self.late),
            self.late_routes,
            self.late_neighbors,
            self.last,
        ]
        .concat()
    }
}

/// Interfaces that are set up or down. New ones are up.
fn plan_admin(steps: &mut Steps, running: &Config, wanted: &Config, links: &Links<'_>) {
    let before: HashMap<&str, bool> = running.admin_states().collect();
    for (name, up) in wanted.admin_states() {
        let was = before
            .get(name)
            .copied()
            .filter(|_| links.stay.contains(name))
            .unwrap_or(true);
        let change = Change::LinkSet {
            interface: name.to_owned(),
            up,
        };
        match (was, up) {
            (false, true) => steps.links.push(change),
            (true, false) => steps.last.push(change),
            _ => {}
        }
    }
}

/// The addresses that a configuration gives.
pub(super) fn given(config: &Config) -> impl Iterator<Item = Given<'_>> {
    let ports = config
        .interfaces
        .iter()
        .map(|port| (port.name.as_str(), &port.addresses));
    let links = config
        .sub_interfaces
        .iter()
        .map(|link| (link.name.as_str(), &link.addresses));
    let tunnels = config.tunnels.iter();
    let tunnels = tunnels.map(|tunnel| (tunnel.tunnel.name.as_str(), &tunnel.addresses));
    ports
        .chain(links)
        .chain(tunnels)
        .flat_map(|(name, addresses)| addresses.iter().map(move |address| (name, *address)))
}

/// Which addresses come and go, and what is reached at each moment.
struct Addresses<'a> {
    /// And whether before anything new.
    removed: Vec<(bool, Given<'a>)>,
    added: Vec<Given<'a>>,
    /// What is reached now.
    now: Reach<'a>,
    /// What is reached when what was in the way is gone, and nothing new there. Without the link-local addresses that new ones
    /// take the places of.
    between: Reach<'a>,
    /// What is reached when all that is new is there, and nothing more gone.
    with_new: Reach<'a>,
    /// What is reached in the end.
    after: Reach<'a>,
    /// Own prefixes of addresses that go late.
    late_prefixes: HashSet<IpNet>,
    /// Addresses of hosts that are new ones of the gateway.
    new_hosts: HashSet<IpAddr>,
}

impl<'a> Addresses<'a> {
    fn of(
        running: &'a Config,
        wanted: &'a Config,
        macs: &[MacAddress],
        links: &Links<'_>,
        services: &Services<'a>,
    ) -> Self {
        let (made, to_make) = (made(running, macs), made(wanted, macs));
        let there: HashSet<Given<'_>> = given(running)
            .filter(|(name, _)| links.stay.contains(name))
            .collect();
        let asked: HashSet<Given<'_>> = given(wanted).collect();
        let added: Vec<Given<'_>> = given(wanted).filter(|each| !there.contains(each)).collect();
        let early_links = links.removed_early();
        let full = is_full(running, wanted, added.len());
        let there_for_services: HashSet<Given<'_>> = locals(running).collect();
        let for_services: HashSet<Given<'_>> = locals(wanted).collect();
        let new_for_services = || {
            for_services
                .iter()
                .filter(|each| !there_for_services.contains(*each))
        };
        let removed: Vec<(bool, Given<'_>)> = given(running)
            .filter(|each| !(there.contains(each) && asked.contains(each)))
            .map(|each| {
                // A service uses what its interface has.
                let clashes =
                    |new: &Given<'_>| (each.0, each.1.addr()) != (new.0, new.1.addr()) && clash(each, *new);
                let in_the_way = added.iter().any(|new| clash(each, *new)) || new_for_services().any(clashes);
                (full || in_the_way || early_links.contains(each.0), each)
            })
            .collect();
        let early: HashSet<Given<'_>> = removed
            .iter()
            .filter(|(early, _)| *early)
            .map(|(_, each)| *each)
            .collect();
        let late = removed.iter().filter(|(early, _)| !early).map(|(_, each)| *each);
        let late = late.chain(services.left.difference(&for_services).copied());
        let left = || given(running).filter(|each| !early.contains(each));
        let left_tunnels = || names(running).filter(|name| !early_links.contains(name));
        let mut kept = made.clone();
        for (interface, _) in added.iter().filter(|(_, net)| is_link_local(net.addr())) {
            kept.remove(interface);
        }
        let mut both = made.clone();
        both.extend(&to_make);
        Self {
            now: Reach::of(all_addresses(running))
                .making(&made)
                .by_tunnels(names(running)),
            between: Reach::of(left().chain(services.left.iter().copied()))
                .making(&kept)
                .by_tunnels(left_tunnels()),
            with_new: Reach::of(
                left()
                    .chain(added.iter().copied())
                    .chain(services.left.union(&for_services).copied()),
            )
            .making(&both)
            .by_tunnels(left_tunnels().chain(names(wanted))),
            after: Reach::of(all_addresses(wanted))
                .making(&to_make)
                .by_tunnels(names(wanted)),
            late_prefixes: late.flat_map(|(_, net)| own_prefixes(net)).collect(),
            new_hosts: added
                .iter()
                .chain(new_for_services())
                .map(|(_, net)| net.addr())
                .collect(),
            removed,
            added,
        }
    }

    /// Whether the gateway will have a next hop's address, or goes on to have it.
    fn is_new_own(&self, route: &Route) -> bool {
        next_hops(route).any(|(next_hop, _)| self.new_hosts.contains(&next_hop))
    }

    /// Whether a route goes with an address that is in the way of another.
    fn is_lost_between(&self, route: &'a Route) -> bool {
        self.now.leads_by(route) != self.between.leads_by(route)
    }

    /// Whether a route can only be made once addresses have gone that go late.
    fn is_late(&self, route: &Route) -> bool {
        self.late_prefixes.contains(&route.prefix)
            || route
                .source
                .is_some_and(|source| !self.with_new.is_source(source))
            || next_hops(route).any(|(next_hop, _)| self.late_prefixes.contains(&next_hop.into()))
    }
}

/// The names of a configuration's tunnels.
fn names(config: &Config) -> impl Iterator<Item = &str> {
    config.tunnels.iter().map(|tunnel| tunnel.tunnel.name.as_str())
}

/// Whether an address cannot be given while another is there.
pub(super) fn clash((there, old): Given<'_>, (here, new): Given<'_>) -> bool {
    match (is_link_local(old.addr()), is_link_local(new.addr())) {
        // An interface has one.
        (true, true) => there == here,
        (false, false) => {
            old.addr() == new.addr()
                || there != here && (old.contains(&new.trunc()) || new.contains(&old.trunc()))
        }
        _ => false,
    }
}

fn plan_routes<'a>(
    steps: &mut Steps,
    running: &'a Config,
    wanted: &Config,
    addresses: &Addresses<'a>,
    ours: impl Fn(&Route) -> bool,
) {
    let mut asked: BTreeMap<Key, Route> = wanted
        .routes
        .iter()
        .map(|route| (key(route), normal(route)))
        .collect();
    let before: HashMap<Key, &Route> = running.routes.iter().map(|route| (key(route), route)).collect();
    for (key, route) in &before {
        // A route that an address hides does nothing; neither it nor one that a protocol made is the file's.
        let hidden = addresses.after.is_own_prefix(route.prefix);
        let stays = (hidden && !addresses.is_lost_between(route)) || (!hidden && !ours(route));
        let can_be = addresses.after.leads_by(route).is_some();
        if stays && can_be && !asked.contains_key(key) {
            asked.insert(*key, (*route).clone());
        }
    }
    let new = asked.keys().filter(|key| !before.contains_key(*key));
    let [mut room4, mut room6] = [wanted.limits.routes4, wanted.limits.routes6].map(|room| room as usize);
    for (prefix, _) in before.keys().chain(new) {
        let room = if prefix.addr().is_ipv4() {
            &mut room4
        } else {
            &mut room6
        };
        *room = room.saturating_sub(1);
    }
    // Where there is no room for both, the old ones go first.
    let full = |route: &Route| {
        (if route.prefix.addr().is_ipv4() {
            room4
        } else {
            room6
        }) == 0
    };
    let mut gone: Vec<&Route> = Vec::new();
    for route in &running.routes {
        let key = key(route);
        match asked.get(&key) {
            None => gone.push(route),
            Some(after) if normal(after) == normal(route) && !addresses.is_lost_between(route) => {
                asked.remove(&key);
            }
            Some(_) => {}
        }
    }
    for route in gone {
        let early = addresses.is_lost_between(route) || addresses.is_new_own(route) || full(route);
        let change = Change::RouteDelete(route.clone());
        steps.of_removal(early).routes.push(change);
    }
    for (key, after) in asked {
        let late = addresses.is_late(&after);
        let change = match before.get(&key) {
            Some(before) if addresses.is_new_own(before) => {
                steps.early.routes.push(Change::RouteDelete((*before).clone()));
                Change::RouteAdd(after)
            }
            Some(before) => Change::RouteReplace {
                before: (*before).clone(),
                after,
            },
            None => Change::RouteAdd(after),
        };
        if late {
            steps.late_routes.push(change);
        } else {
            steps.routes.push(change);
        }
    }
}

fn plan_neighbors(steps: &mut Steps, running: &Config, wanted: &Config, addresses: &Addresses<'_>) {
    let by_key = |config: &'_ Config| -> BTreeMap<(String, IpAddr), Neighbor> {
        let all = config.neighbors.iter();
        all.map(|each| ((each.interface.clone(), each.address), each.clone()))
            .collect()
    };
    let (before, asked) = (by_key(running), by_key(wanted));
    let new = asked.keys().filter(|key| !before.contains_key(*key)).count();
    let full = before.len() + new > wanted.limits.neighbors as usize;
    // Those on no subnet are on a link by a route that leads out of it, as long as the interface has an address at all.
    let connected = |reach: &Reach<'_>, each: &Neighbor| {
        let interface = Some(each.interface.as_str());
        match is_link_local(each.address) {
            true => reach.has_family(&each.interface, false),
            false => reach.interface_of(each.address, None) == interface,
        }
    };
    let lost = |each: &Neighbor| match connected(&addresses.now, each) {
        true => !connected(&addresses.between, each),
        false => !addresses
            .between
            .has_family(&each.interface, each.address.is_ipv4()),
    };
    for (key, neighbor) in &before {
        if !asked.contains_key(key) {
            let early = full || lost(neighbor) || addresses.new_hosts.contains(&neighbor.address);
            let change = Change::NeighborDelete(neighbor.clone());
            steps.of_removal(early).neighbors.push(change);
        }
    }
    for (key, neighbor) in asked {
        let stays_connected = connected(&addresses.after, &neighbor) || !connected(&addresses.now, &neighbor);
        let is_late = addresses.late_prefixes.contains(&neighbor.address.into())
            || !connected(&addresses.after, &neighbor);
        let change = match before.get(&key) {
            Some(before) if *before == neighbor && !lost(before) && stays_connected => continue,
            Some(_) => Change::NeighborReplace(neighbor),
            None => Change::NeighborAdd(neighbor),
        };
        if is_late {
            steps.late_neighbors.push(change);
        } else {
            steps.neighbors.push(change);
        }
    }
}
