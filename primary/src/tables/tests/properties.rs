//! Random histories against a model that knows nothing but lists, and looks through all of them each time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use shm::records::from_text;

use super::model::{Model, Way};
use super::*;
use crate::tables::candidates::Target;

const SUBNETS: [(u16, &str); 7] = [
    (LAN, "10.0.0.1/24"),
    (LAN, "10.0.0.2/24"),
    (LAN, "10.0.0.66/26"),
    (WAN, "10.0.0.193/30"),
    (WAN, "10.0.1.0/31"),
    (WAN, "10.0.2.1/29"),
    (LAN, "10.0.3.3/32"),
];
const PREFIXES: [&str; 10] = [
    "10.0.0.0/9",
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.0.64/26",
    "10.0.0.128/25",
    "10.0.0.7/32",
    "10.0.0.70/32",
    "10.0.2.2/32",
    "10.0.3.0/24",
    "10.0.9.0/30",
];
const TARGETS: [&str; 8] = [
    "blackhole",
    "lan",
    "wan",
    "10.0.0.7",
    "10.0.0.70",
    "10.0.1.1",
    "10.0.2.2",
    "10.0.0.194",
];
/// Hosts that are heard, needed and looked up, own addresses and broadcast addresses among them.
const HOSTS: [&str; 16] = [
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.7",
    "10.0.0.66",
    "10.0.0.70",
    "10.0.0.127",
    "10.0.0.194",
    "10.0.0.200",
    "10.0.0.255",
    "10.0.1.0",
    "10.0.1.1",
    "10.0.2.2",
    "10.0.3.3",
    "10.0.3.9",
    "10.0.9.1",
];

#[derive(Clone, Debug)]
enum Step {
    AddressAdd(usize),
    AddressDelete(usize),
    RoutesAdd(Vec<(usize, usize)>, bool),
    RoutesDelete(Vec<usize>),
    Resolve(u16, usize),
    Hear {
        interface: u16,
        sender: usize,
        mac: u8,
        target: usize,
        reply: bool,
    },
    NeighborAdd(u16, usize, u8),
    NeighborDelete(u16, usize),
    Use(usize),
    Link(u16, bool),
    Pass(u64),
    Reclaim,
}

fn step() -> impl Strategy<Value = Step> {
    let (interface, host) = (0..2u16, 0..HOSTS.len());
    let (prefix, target) = (0..PREFIXES.len(), 0..TARGETS.len());
    prop_oneof![
        3 => (0..SUBNETS.len()).prop_map(Step::AddressAdd),
        1 => (0..SUBNETS.len()).prop_map(Step::AddressDelete),
        4 => (prop::collection::vec((prefix.clone(), target), 1..4), any::<bool>())
            .prop_map(|(routes, replace)| Step::RoutesAdd(routes, replace)),
        2 => prop::collection::vec(prefix, 1..3).prop_map(Step::RoutesDelete),
        4 => (interface.clone(), host.clone()).prop_map(|(interface, host)| Step::Resolve(interface, host)),
        5 => (interface.clone(), host.clone(), 1..4u8, host.clone(), any::<bool>()).prop_map(
            |(interface, sender, mac, target, reply)| Step::Hear { interface, sender, mac, target, reply }),
        1 => (interface.clone(), host.clone(), 1..4u8).prop_map(|(interface, host, mac)| Step::NeighborAdd(interface, host, mac)),
        1 => (interface.clone(), host.clone()).prop_map(|(interface, host)| Step::NeighborDelete(interface, host)),
        2 => host.prop_map(Step::Use),
        1 => (interface, any::<bool>()).prop_map(|(interface, up)| Step::Link(interface, up)),
        3 => (0..100u64).prop_map(Step::Pass),
        1 => Just(Step::Reclaim),
    ]
}

impl Gateway {
    fn run(&mut self, model: &mut Model, step: &Step) -> TestCaseResult {
        let before = (
            model.clone(),
            self.shown_routes(),
            self.tables.usage().fib_routes4,
        );
        let host = |index: usize| HOSTS[index].parse::<Ipv4Addr>().unwrap();
        match step {
            Step::AddressAdd(index) => {
                let (interface, net) = SUBNETS[*index];
                if self.address(interface, net).is_ok() {
                    model.addresses.push((interface, net.parse().unwrap()));
                }
            }
            Step::AddressDelete(index) => {
                let (interface, net) = SUBNETS[*index];
                let known = model.addresses.contains(&(interface, net.parse().unwrap()));
                let result = self.tables.address_delete(interface, net.parse().unwrap());
                prop_assert_eq!(result.is_ok(), known);
                model
                    .addresses
                    .retain(|own| *own != (interface, net.parse().unwrap()));
                let addresses = &model.addresses;
                model.routes.retain(|_, target| match target {
                    RouteTarget::Blackhole => true,
                    RouteTarget::Interface(name) => addresses
                        .iter()
                        .any(|(interface, _)| *interface == u16::from(name == "wan")),
                    RouteTarget::Via(next_hop) => addresses.iter().any(|(_, net)| net.contains(&*next_hop)),
                });
            }
            Step::RoutesAdd(routes, replace) => {
                let routes: Vec<Route> = routes
                    .iter()
                    .map(|(prefix, target)| route(PREFIXES[*prefix], TARGETS[*target]))
                    .collect();
                let result = self
                    .tables
                    .routes_add(&routes, *replace, RouteProtocol::Control, self.now);
                let full = result
                    .as_ref()
                    .is_err_and(|error| error.code == control::message::ErrorCode::LimitReached);
                prop_assert_eq!(
                    result.is_ok() || full,
                    model.accepts(&routes, *replace),
                    "{:?}",
                    result
                );
                if result.is_ok() {
                    model
                        .routes
                        .extend(routes.into_iter().map(|route| (route.prefix, route.target)));
                } else {
                    // Neighbours that had to make room may have gone.
                    prop_assert!(self.tables.usage().fib_routes4 <= before.2);
                }
            }
            Step::RoutesDelete(prefixes) => {
                let prefixes: Vec<Ipv4Net> = prefixes
                    .iter()
                    .map(|index| PREFIXES[*index].parse().unwrap())
                    .collect();
                let once = prefixes.windows(2).all(|pair| pair[0] != pair[1]);
                let known = once && prefixes.iter().all(|prefix| model.routes.contains_key(prefix));
                prop_assert_eq!(self.tables.routes_delete(&prefixes).is_ok(), known);
                if known {
                    model.routes.retain(|prefix, _| !prefixes.contains(prefix));
                }
            }
            Step::Resolve(interface, index) => self.tables.resolve(*interface, host(*index), self.now),
            Step::Hear {
                interface,
                sender,
                mac,
                target,
                reply,
            } => {
                let request = Arp::request(host_mac(*mac), host(*sender), host(*target));
                let operation = if *reply {
                    packet::arp::Operation::Reply
                } else {
                    request.operation
                };
                self.hear(*interface, Arp { operation, ..request });
            }
            Step::NeighborAdd(interface, index, mac) => {
                let address = IpAddr::V4(host(*index));
                // Refused where it is no neighbour; what is taken shows in the records.
                let _ = self
                    .tables
                    .neighbor_add(*interface, address, host_mac(*mac), self.now);
            }
            Step::NeighborDelete(interface, index) => {
                let _ = self
                    .tables
                    .neighbor_delete(*interface, IpAddr::V4(host(*index)), self.now);
            }
            Step::Use(index) => self.use_route(HOSTS[*index]),
            Step::Link(interface, up) => {
                self.tables.set_link(*interface, *up, 0, self.now);
            }
            Step::Pass(seconds) => self.pass(*seconds),
            Step::Reclaim => self.reclaim(),
        }
        if *model == before.0 {
            prop_assert_eq!(self.shown_routes(), before.1, "routes changed by {:?}", step);
        }
        Ok(())
    }

    /// Every lookup is the model's. With `starved`, a neighbour's /32 may be missing for want of a tbl8 group.
    fn check_lookups(&self, model: &Model, starved: bool) -> TestCaseResult {
        let mut neighbors = BTreeMap::new();
        for (_, record) in self.reader.neighbors() {
            let IpAddr::V4(address) = from_ip_field(record.address) else {
                panic!("an IPv6 neighbour")
            };
            let state = NeighborState::from_raw(record.state).unwrap();
            let before = neighbors.insert((record.interface, address), (state, MacAddress(record.mac)));
            prop_assert!(before.is_none(), "{} is there twice", address);
        }
        for destination in HOSTS.into_iter().chain(["8.8.8.8", "10.0.0.100", "10.0.1.9"]) {
            let found = self.lookup(destination);
            let destination: Ipv4Addr = destination.parse().unwrap();
            let is_neighbor = |interface, address| neighbors.contains_key(&(interface, address));
            match model.way(destination, is_neighbor) {
                Way::Plain(adjacency) => prop_assert_eq!(found, adjacency, "{}", destination),
                Way::Neighbor(interface, _) if starved && found == (Adjacency::Glean { interface }) => {}
                Way::Neighbor(interface, address) => {
                    let Some((state, mac)) = neighbors.get(&(interface, address)).copied() else {
                        return Err(TestCaseError::fail(format!(
                            "the next hop {address} is not known"
                        )));
                    };
                    let may_be: &[Adjacency] = match state {
                        NeighborState::Incomplete => &[Adjacency::Incomplete { interface }],
                        NeighborState::Failed => &[
                            Adjacency::Failed { interface },
                            Adjacency::Incomplete { interface },
                        ],
                        _ => &[Adjacency::Forward { interface, mac }],
                    };
                    prop_assert!(
                        may_be.contains(&found),
                        "{}: {:?} is not in {:?}",
                        destination,
                        found,
                        may_be
                    );
                    let index = self.fib.lookup(destination.into());
                    prop_assert_eq!(self.adjacencies.next_hop(index), address);
                }
            }
            let explained = self.tables.route_get(destination);
            prop_assert_eq!(explained.prefix.is_none(), found == Adjacency::NoRoute);
        }
        Ok(())
    }

    /// References, timers and records are as many as there must be.
    fn check_books(&mut self, model: &Model) -> TestCaseResult {
        let tables = &self.tables;
        prop_assert_eq!(tables.usage().routes4, model.routes.len());
        prop_assert_eq!(
            self.reader.routes4().len(),
            model.routes.len() + tables.usage().own_routes4
        );
        prop_assert_eq!(self.reader.neighbors().len(), tables.neighbors.len());
        let mut indices = std::collections::BTreeSet::new();
        for id in tables.neighbors.all() {
            let neighbor = tables.neighbors.get(id).unwrap();
            let named = tables
                .candidates
                .given_where(|target| target == Target::Via(id))
                .len();
            prop_assert_eq!(neighbor.routes as usize, named, "{}", neighbor.address);
            prop_assert_eq!(neighbor.timer, neighbor.reachability.deadline());
            prop_assert!(
                indices.insert(neighbor.adjacency),
                "two neighbours share an adjacency"
            );
            prop_assert!(
                neighbor.timer.is_none_or(|at| at > self.now),
                "{} is overdue",
                neighbor.address
            );
            let idle = neighbor.reachability.is_idle();
            prop_assert!(!idle || neighbor.routes > 0, "nobody needs {}", neighbor.address);
        }
        prop_assert!(tables.usage().adjacencies >= FIXED + tables.neighbors.len());
        Ok(())
    }

    /// Deletes all there is; afterwards there is nothing.
    fn clear(&mut self, model: &mut Model) -> TestCaseResult {
        let prefixes: Vec<_> = std::mem::take(&mut model.routes).into_keys().collect();
        self.tables.routes_delete(&prefixes).unwrap();
        for (interface, net) in model.addresses.drain(..) {
            self.tables.address_delete(interface, net.into()).unwrap();
        }
        self.reclaim();
        self.pass(10);
        let usage = self.tables.usage();
        prop_assert_eq!(usage.adjacencies, FIXED);
        prop_assert_eq!(
            (
                usage.fib_routes4,
                usage.own_routes4,
                usage.neighbors,
                usage.addresses
            ),
            (0, 0, 0, 0)
        );
        prop_assert_eq!(self.tables.next_deadline(), None);
        prop_assert!(self.reader.routes4().is_empty() && self.reader.neighbors().is_empty());
        prop_assert_eq!(self.tables.neighbors.most_expendable(), None);
        prop_assert_eq!(self.reader.interfaces().len(), 2);
        prop_assert_eq!(from_text(&self.reader.interfaces()[1].1.name), "wan");
        for interface in [LAN, WAN] {
            self.tables.set_link(interface, true, 0, self.now);
        }
        self.tables.take_actions();
        Ok(())
    }
}

/// Random histories; the gateway is used for one after the other, since nothing of one may stay.
fn histories(limits: Limits, tbl8_groups: usize, starved: bool) {
    let gateway = RefCell::new(None);
    let mut runner = TestRunner::new(Config {
        cases: 200,
        ..Config::default()
    });
    let result = runner.run(&prop::collection::vec(step(), 1..60), |steps| {
        // One in which a history failed does not come back.
        let mut running = gateway
            .take()
            .unwrap_or_else(|| Gateway::with(limits, tbl8_groups));
        let mut model = Model::default();
        for step in &steps {
            running.run(&mut model, step)?;
            running.check_lookups(&model, starved)?;
            running.check_books(&model)?;
        }
        let groups = running.tables.usage().tbl8_groups_free;
        prop_assert!(groups <= tbl8_groups);
        running.clear(&mut model)?;
        prop_assert_eq!(running.tables.usage().tbl8_groups_free, tbl8_groups);
        gateway.replace(Some(running));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn every_history_forwards_as_the_lists_say() {
    histories(ROOMY, 64, false);
}

#[test]
fn every_history_does_so_with_few_neighbors_routes_and_addresses() {
    histories(
        Limits {
            routes4: 4,
            neighbors: 3,
            addresses: 3,
        },
        64,
        false,
    );
}

#[test]
fn every_history_does_so_with_few_tbl8_groups() {
    histories(ROOMY, 2, true);
}
