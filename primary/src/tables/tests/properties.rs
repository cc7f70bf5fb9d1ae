//! Random histories against a model that knows nothing but lists, and looks through all of them each time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use shm::records::{AddressState, from_text};

use super::link6::six;
use super::model::{Model, States, Way, World};
use super::steps::{HOSTS4, HOSTS6, Pair, SUBNETS, Step, host, step};
use super::*;
use crate::tables::candidates::Target;
use crate::tables::forwarding::is_link_local;

impl Gateway {
    /// How far the addresses are, as tools see it.
    fn states(&self) -> States {
        let records = self.reader.addresses();
        let states = records.iter().map(|(_, record)| {
            let state = AddressState::from_raw(record.state).unwrap();
            ((record.interface, from_ip_field(record.address)), state)
        });
        states.collect()
    }

    fn run(&mut self, model: &mut Model, step: &Step) -> TestCaseResult {
        let before = self.tables.usage();
        let address = |index: usize| host(index).parse::<IpAddr>().unwrap();
        let address4 = |index: usize| HOSTS4[index].parse::<Ipv4Addr>().unwrap();
        match step {
            Step::AddressAdd(index) => {
                let (interface, net) = SUBNETS[*index];
                if self.address(interface, net).is_ok() {
                    model.addresses.push((interface, net.parse().unwrap()));
                }
            }
            Step::AddressDelete(index) => {
                let (interface, net) = SUBNETS[*index];
                let own = (interface, net.parse().unwrap());
                let known = model.addresses.contains(&own);
                prop_assert_eq!(self.drop_address(interface, net).is_ok(), known);
                if known {
                    model.delete(own);
                }
            }
            Step::RoutesAdd(pairs, replace) => {
                let routes: Vec<Route> = pairs.iter().map(|pair| route(pair.prefix, pair.target)).collect();
                let accepts = model.accepts(&routes, *replace, &self.states());
                let result = self
                    .tables
                    .routes_add(&routes, *replace, RouteProtocol::BOOT, self.now);
                let full = result
                    .as_ref()
                    .is_err_and(|error| error.code == control::message::ErrorCode::LimitReached);
                prop_assert_eq!(result.is_ok() || full, accepts, "{:?}", result);
                if result.is_ok() {
                    let routes = routes.into_iter();
                    model
                        .routes
                        .extend(routes.map(|route| ((route.prefix, route.metric()), route)));
                } else {
                    // Neighbours that had to make room may have gone.
                    let after = self.tables.usage();
                    prop_assert!(after.fib_routes4 <= before.fib_routes4);
                    prop_assert!(after.fib_routes6 <= before.fib_routes6);
                }
            }
            Step::RoutesDelete(pairs) => {
                let key = |pair: &Pair| RouteKey {
                    metric: route(pair.prefix, pair.target).metric,
                    ..pair.prefix.parse::<IpNet>().unwrap().into()
                };
                let keys: Vec<RouteKey> = pairs.iter().map(key).collect();
                let found: Vec<_> = keys.iter().filter_map(|key| model.find(key)).collect();
                let once: BTreeSet<_> = found.iter().collect();
                let known = once.len() == keys.len();
                prop_assert_eq!(self.tables.routes_delete(&keys).is_ok(), known);
                if known {
                    model.routes.retain(|key, _| !found.contains(key));
                }
            }
            Step::Resolve(interface, index) => self.resolve(*interface, host(*index)),
            Step::HearArp {
                interface,
                sender,
                mac,
                target,
                reply,
            } => {
                let request = Arp::request(host_mac(*mac), address4(*sender), address4(*target));
                let operation = if *reply {
                    packet::arp::Operation::Reply
                } else {
                    request.operation
                };
                self.hear(*interface, Arp { operation, ..request });
            }
            Step::HearNd {
                interface,
                source,
                mac,
                message,
            } => {
                let source = source.map_or("::", |index| HOSTS6[index]);
                self.hear_nd(*interface, host_mac(*mac), source, *message);
            }
            Step::NeighborAdd(interface, index, mac) => {
                // Refused where it is no neighbour; what is taken shows in the records.
                let _ = self
                    .tables
                    .neighbor_add(*interface, address(*index), host_mac(*mac), self.now);
            }
            Step::NeighborDelete(interface, index) => {
                let _ = self.tables.neighbor_delete(*interface, address(*index), self.now);
            }
            Step::Use(index) => self.use_route(host(*index)),
            Step::Link(interface, up) => {
                self.tables.set_link(*interface, *up, 0, self.now);
            }
            Step::Pass(seconds) => self.pass(*seconds),
            Step::Reclaim => self.reclaim(),
        }
        Ok(())
    }

    /// Every lookup is the model's. With `starved`, a neighbour's /32 may be missing for want of a tbl8 group.
    fn check_lookups(&self, model: &Model, starved: bool) -> TestCaseResult {
        let states = self.states();
        let mut neighbors = BTreeMap::new();
        for (_, record) in self.reader.neighbors() {
            let address = from_ip_field(record.address);
            let state = NeighborState::from_raw(record.state).unwrap();
            let before = neighbors.insert((record.interface, address), (state, MacAddress(record.mac)));
            prop_assert!(before.is_none(), "{} is there twice", address);
            let own = states.get(&(record.interface, address));
            prop_assert!(
                own.is_none_or(|state| *state == AddressState::Duplicate),
                "{} is the gateway's",
                address
            );
        }
        let is_up = |interface: u16| self.reader.interfaces()[usize::from(interface)].1.link_up != 0;
        let serves = |interface, address| {
            let id = self.tables.neighbors.find(interface, address);
            is_up(interface) && id.is_some_and(|id| self.tables.neighbors.get(id).unwrap().serves)
        };
        let mut shown = self.shown_routes();
        shown.sort();
        prop_assert_eq!(shown, model.listing(&states));
        let others = ["8.8.8.8", "10.0.0.100", "10.0.1.9", "2606::1", "2001:db8::64"];
        for text in HOSTS4.into_iter().chain(HOSTS6).chain(others) {
            let found = self.lookup(text);
            let destination: IpAddr = text.parse().unwrap();
            let is_neighbor = |interface, address| neighbors.contains_key(&(interface, address));
            let world = World {
                states: &states,
                is_neighbor: &is_neighbor,
                serves: &serves,
                is_up: &is_up,
            };
            match model.way(destination, &world) {
                Way::Neighbors(next_hops, mtu) => self.check_group(text, &next_hops, mtu)?,
                Way::Plain(adjacency) => prop_assert_eq!(found, adjacency, "{}", destination),
                Way::Neighbor(interface, address)
                    if starved && address.is_ipv4() && found == (Adjacency::Glean { interface }) => {}
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
                    prop_assert_eq!(self.adjacencies.next_hop(self.next_hop(text)), address);
                }
            }
            let explained = self.tables.route_get(&Flow::to(destination));
            prop_assert_eq!(explained.prefix.is_none(), found == Adjacency::NoRoute);
        }
        Ok(())
    }

    /// The route leads to these neighbours and no others.
    fn check_group(&self, destination: &str, next_hops: &[(u16, IpAddr)], mtu: u16) -> TestCaseResult {
        let Some(group) = self.adjacencies.group(self.entry(destination)) else {
            return Err(TestCaseError::fail(format!("{destination} leads to no group")));
        };
        prop_assert_eq!(group.mtu(), mtu);
        let expected: BTreeSet<NextHop> = next_hops
            .iter()
            .map(|(interface, address)| {
                let id = self.tables.neighbors.find(*interface, *address).unwrap();
                self.tables.neighbors.get(id).unwrap().adjacency
            })
            .collect();
        prop_assert_eq!(group.buckets().collect::<BTreeSet<_>>(), expected);
        let explained = self.tables.route_get(&Flow::to(destination.parse().unwrap()));
        let adjacency = self.next_hop(destination);
        prop_assert_eq!(explained.next_hop, Some(self.adjacencies.next_hop(adjacency)));
        Ok(())
    }

    /// References, timers and records are as many as there must be.
    fn check_books(&mut self, model: &Model) -> TestCaseResult {
        let tables = &self.tables;
        let usage = tables.usage();
        let given4 = model
            .routes
            .keys()
            .filter(|(prefix, _)| prefix.addr().is_ipv4())
            .count();
        prop_assert_eq!(
            [usage.routes4, usage.routes6],
            [given4, model.routes.len() - given4]
        );
        prop_assert_eq!(self.reader.routes4().len(), usage.routes4 + usage.own_routes4);
        prop_assert_eq!(self.reader.routes6().len(), usage.routes6 + usage.own_routes6);
        let records = self.reader.addresses();
        let shown: BTreeSet<(u16, IpNet)> = records
            .iter()
            .map(|(_, record)| {
                let net = IpNet::new(from_ip_field(record.address), record.prefix_length);
                (record.interface, net.unwrap())
            })
            .collect();
        prop_assert_eq!((shown, records.len()), (model.all(), model.all().len()));
        prop_assert_eq!(self.reader.neighbors().len(), tables.neighbors.len());
        let mut indices = BTreeSet::new();
        for id in tables.neighbors.all() {
            let neighbor = tables.neighbors.get(id).unwrap();
            let named = tables
                .candidates
                .given_where(|_, route| route.target == Target::Via(id))
                .len();
            let named = named + tables.groups.all().filter(|(_, group)| group.has(id)).count();
            match neighbor.shown {
                NeighborState::Failed => prop_assert!(!neighbor.serves),
                NeighborState::Incomplete => {}
                _ => prop_assert!(neighbor.serves),
            }
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
        let sets: BTreeSet<_> = model
            .routes
            .values()
            .map(|route| (route.metric(), route.mtu, route.source))
            .filter(|set| *set != (0, None, None))
            .collect();
        prop_assert_eq!(tables.attributes.len(), sets.len());
        let held: BTreeSet<_> = tables
            .candidates
            .given_where(|_, route| matches!(route.target, Target::Group(_)))
            .into_iter()
            .map(|(_, route)| format!("{:?}", route.target))
            .collect();
        prop_assert_eq!(tables.groups.len(), held.len());
        let members: usize = tables
            .groups
            .all()
            .map(|(_, group)| group.members.len())
            .filter(|members| *members > 1)
            .sum();
        prop_assert_eq!(self.reader.next_hops().len(), members);
        prop_assert!(tables.usage().adjacencies >= FIXED + tables.neighbors.len());
        Ok(())
    }

    /// Addresses are looked for no longer than a second while their link is up, and workers see those in use.
    fn check_addresses(&self) -> TestCaseResult {
        let states = self.states();
        for own in &self.tables.addresses {
            let record = self.reader.interfaces()[usize::from(own.interface)].1;
            if own.state == AddressState::Tentative && record.link_up != 0 {
                prop_assert!(
                    own.sought_until.is_some_and(|until| until > self.now),
                    "{:?}",
                    own
                );
            }
        }
        let preferred =
            |interface, address: IpAddr| states.get(&(interface, address)) == Some(&AddressState::Preferred);
        for interface in [LAN, WAN] {
            let sources = self.tables.sources(interface).unwrap();
            let mut link_locals = states
                .keys()
                .filter(|(on, address)| *on == interface && is_link_local(*address))
                .filter(|(_, address)| preferred(interface, *address));
            prop_assert_eq!(
                sources.link_local().map(IpAddr::V6),
                link_locals.next().map(|(_, address)| *address)
            );
            if let Some(source) = sources.towards6(six("2606::1")) {
                prop_assert!([LAN, WAN].into_iter().any(|on| preferred(on, source.into())));
            }
        }
        Ok(())
    }

    /// Deletes all there is; afterwards there is nothing.
    fn clear(&mut self, model: &mut Model) -> TestCaseResult {
        let keys: Vec<_> = std::mem::take(&mut model.routes)
            .into_keys()
            .map(|(prefix, metric)| RouteKey {
                metric: Some(metric),
                ..prefix.into()
            })
            .collect();
        self.tables.routes_delete(&keys).unwrap();
        for (interface, net) in model.addresses.drain(..) {
            self.tables.address_delete(interface, net, self.now).unwrap();
        }
        self.reclaim();
        self.pass(10);
        let usage = self.tables.usage();
        prop_assert_eq!((usage.adjacencies, usage.groups), (FIXED, 0));
        prop_assert_eq!(
            (
                usage.fib_routes4,
                usage.fib_routes6,
                usage.neighbors,
                usage.addresses
            ),
            (0, 0, 0, 0)
        );
        prop_assert_eq!(
            (usage.own_routes4, usage.own_routes6, usage.fib6_bytes),
            (0, 0, 0)
        );
        prop_assert_eq!(self.tables.next_deadline(), None);
        prop_assert!(self.reader.routes4().is_empty() && self.reader.routes6().is_empty());
        prop_assert!(self.reader.addresses().is_empty() && self.reader.neighbors().is_empty());
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
    let result = runner.run(&prop::collection::vec(step(), 1..100), |steps| {
        // One in which a history failed does not come back.
        let mut running = gateway
            .take()
            .unwrap_or_else(|| Gateway::with(limits, tbl8_groups));
        let mut model = Model::default();
        // Where there is too little room, routes of a link that returns may find none; that is another test's.
        let links_stay = |step: &&Step| !(starved && matches!(step, Step::Link(..)));
        for step in steps.iter().filter(links_stay) {
            running.run(&mut model, step)?;
            running.check_lookups(&model, starved)?;
            running.check_books(&model)?;
            running.check_addresses()?;
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
            routes6: 4,
            neighbors: 3,
            addresses: 3,
            groups: 16,
            sas: 2,
        },
        64,
        false,
    );
}

#[test]
fn every_history_does_so_with_few_tbl8_groups() {
    histories(ROOMY, 2, true);
}
