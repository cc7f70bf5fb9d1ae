//! A gateway with two interfaces, driven by requests, ARP, neighbour discovery and virtual time.

mod addresses;
mod alerts;
mod anycast;
mod arp;
mod limits;
mod link6;
mod link_state;
mod metrics;
mod model;
mod multipath;
mod nd;
mod neighbors;
mod own6;
mod properties;
mod protected;
mod routes;
mod routes6;
mod sas;
mod services;
mod steps;
mod sub_interfaces;
mod transport;
mod tunnels;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, Flow, Route, RouteKey, RouteTarget, WeightedNextHop};
use fib::{
    Checkpoint, Fib4Reader, Fib4Writer, Fib6Reader, Fib6Writer, GROUP_ENTRIES, NextHop, Quiescence,
    TBL24_ENTRIES, words6,
};
use ipnet::IpNet;
use packet::{Arp, MacAddress};
use shm::records::{Interface, NeighborState, RouteProtocol, from_ip_field, text};
use shm::{Capacity, TableReader, TableWriter};
use zerocopy::FromZeros;

use super::{Action, ArpVerdict, Fibs, Limits, Tables};
use crate::adjacency::{Adjacency, AdjacencyReader, AdjacencyWriter, GROUP_WORDS, WORDS};
use crate::flow;

const LAN: u16 = 0;
const WAN: u16 = 1;
pub(crate) const MACS: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
/// The adjacencies that are always there: blackhole and its like, broadcast, and three per interface.
const FIXED: usize = 4 + 3 * MACS.len();

pub(crate) type Storage = Vec<AtomicU32>;
pub(crate) type AdjacencyStorage = Vec<AtomicU64>;

pub(crate) struct Gateway {
    pub(crate) tables: Tables<Storage, AdjacencyStorage>,
    fib4: Fib4Reader<Storage>,
    fib6: Fib6Reader<AdjacencyStorage>,
    adjacencies: AdjacencyReader<AdjacencyStorage>,
    quiescence: Quiescence,
    worker: Checkpoint,
    pub(crate) now: Duration,
    pub(crate) reader: TableReader,
    _region: TableWriter,
    _directory: tempfile::TempDir,
}

/// Room for whatever a test does.
const ROOMY: Limits = Limits {
    routes4: 1000,
    routes6: 1000,
    neighbors: 100,
    addresses: 20,
    groups: 16,
    sas: 8,
};

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::with(ROOMY, 64)
    }

    fn with(limits: Limits, tbl8_groups: usize) -> Self {
        Self::of_mtu(limits, tbl8_groups, 1500)
    }

    fn of_mtu(limits: Limits, tbl8_groups: usize, mtu: u16) -> Self {
        let routes4 = limits.routes4 + 4 * limits.addresses;
        let routes6 = limits.routes6 + 2 * limits.addresses;
        let capacity = Capacity {
            interfaces: 4,
            // Each interface may have a link-local one of its own making.
            addresses: limits.addresses + 4,
            routes4,
            routes6,
            neighbors: limits.neighbors,
            next_hops: 8 * limits.groups,
            workers: 1,
            pools: 1,
            sas: limits.sas,
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.tables");
        let region = TableWriter::create(&path, None, &capacity).unwrap();
        let tbl = |entries| (0..entries).map(|_| AtomicU32::new(0)).collect::<Storage>();
        let four = Fib4Writer::new(
            tbl(TBL24_ENTRIES),
            tbl(tbl8_groups * GROUP_ENTRIES),
            routes4 + limits.neighbors,
        )
        .unwrap();
        let cells = |words| {
            (0..words)
                .map(|_| AtomicU64::new(0))
                .collect::<AdjacencyStorage>()
        };
        let six = Fib6Writer::new(
            cells(words6(routes6 + limits.neighbors)),
            routes6 + limits.neighbors,
        )
        .unwrap();
        let slots = 1 + FIXED + 2 * limits.neighbors;
        let adjacencies = AdjacencyWriter::with_groups(
            cells(slots * WORDS + 2 * limits.groups * GROUP_WORDS),
            2 * limits.groups,
        );
        let mut tables = Tables::new(Fibs { four, six }, adjacencies, &region, limits).unwrap();
        region.publish();
        for (name, mac) in ["lan", "wan"].into_iter().zip(MACS) {
            let mac = mac.octets();
            let record = Interface {
                name: text(name),
                mac,
                mtu,
                link_up: 1,
                admin_up: 1,
                ..Interface::new_zeroed()
            };
            tables.add_interface(record).unwrap();
        }
        let (quiescence, mut workers) = Quiescence::new(1);
        Self {
            fib4: tables.fib4_reader(),
            fib6: tables.fib6_reader(),
            adjacencies: tables.adjacency_reader(),
            tables,
            quiescence,
            worker: workers.pop().unwrap(),
            now: Duration::from_secs(1000),
            reader: TableReader::open(&path).unwrap(),
            _region: region,
            _directory: directory,
        }
    }

    /// `lan` has 10.0.0.1/24, `wan` 192.0.2.1/28, and what that made to do is done.
    fn with_addresses() -> Self {
        let mut gateway = Self::new();
        gateway.address(LAN, "10.0.0.1/24").unwrap();
        gateway.address(WAN, "192.0.2.1/28").unwrap();
        gateway.pass(10);
        gateway.tables.take_actions();
        gateway
    }

    fn address(&mut self, interface: u16, net: &str) -> Result<(), ControlError> {
        self.tables.address_add(interface, net.parse().unwrap(), self.now)
    }

    fn drop_address(&mut self, interface: u16, net: &str) -> Result<(), ControlError> {
        self.tables
            .address_delete(interface, net.parse().unwrap(), self.now)
    }

    fn add(&mut self, prefix: &str, target: &str) -> Result<(), ControlError> {
        self.tables
            .routes_add(&[route(prefix, target)], false, RouteProtocol::BOOT, self.now)
    }

    fn replace(&mut self, prefix: &str, target: &str) -> Result<(), ControlError> {
        self.tables
            .routes_add(&[route(prefix, target)], true, RouteProtocol::BOOT, self.now)
    }

    fn delete(&mut self, prefix: &str) -> Result<(), ControlError> {
        let prefix: IpNet = prefix.parse().unwrap();
        self.tables.routes_delete(&[prefix.into()])
    }

    fn resolve(&mut self, interface: u16, address: &str) {
        self.tables.resolve(interface, address.parse().unwrap(), self.now);
    }

    fn hear(&mut self, interface: u16, arp: Arp) -> ArpVerdict {
        self.tables.arp_received(interface, &arp, self.now)
    }

    /// The host answers a request of the gateway.
    fn answer(&mut self, interface: u16, address: &str, last: u8) {
        let own = MACS[usize::from(interface)];
        let IpAddr::V4(target) = self
            .tables
            .subnet_of(address.parse().unwrap())
            .unwrap()
            .net
            .addr()
        else {
            panic!("{address} is not an IPv4 address");
        };
        let reply = Arp::request(own, target, address.parse().unwrap()).reply(host_mac(last));
        assert_eq!(self.hear(interface, reply), ArpVerdict::Taken);
    }

    /// Lets time go by, doing what becomes due when it does.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.tables.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.tables.tick(self.now);
        }
        self.now = end;
    }

    /// What a worker finds for a destination.
    fn lookup(&self, destination: &str) -> Adjacency {
        self.adjacencies.load(self.next_hop(destination))
    }

    /// The adjacency of a destination; of a group's, that of packets of which nothing else is known.
    fn next_hop(&self, destination: &str) -> NextHop {
        let found = self.entry(destination);
        self.adjacencies.group(found).map_or(found, |group| {
            group.adjacency(|seed| flow::hash(seed, &Flow::to(destination.parse().unwrap())))
        })
    }

    /// What the FIB says.
    fn entry(&self, destination: &str) -> NextHop {
        match destination.parse().unwrap() {
            IpAddr::V4(destination) => self.fib4.lookup(destination.into()),
            IpAddr::V6(destination) => self.fib6.lookup(destination.into()),
        }
    }

    /// A worker sends a packet there.
    fn use_route(&self, destination: &str) {
        self.adjacencies.mark_used(self.next_hop(destination));
    }

    /// All that was retired becomes free.
    pub(crate) fn reclaim(&mut self) {
        for _ in 0..3 {
            self.tables.reclaim(&self.quiescence);
            self.worker.pass();
        }
        self.tables.reclaim(&self.quiescence);
    }

    /// The ARP messages to send since the last call, with their destination.
    fn sent(&mut self) -> Vec<(u16, MacAddress, Arp)> {
        let actions = self.tables.take_actions().into_iter();
        actions
            .filter_map(|action| match action {
                Action::SendArp {
                    interface,
                    destination,
                    arp,
                } => Some((interface, destination, arp)),
                _ => None,
            })
            .collect()
    }

    /// The events since the last call.
    fn events(&mut self) -> Vec<Event> {
        let actions = self.tables.take_actions().into_iter();
        actions
            .filter_map(|action| match action {
                Action::Event(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    /// What tools see of a neighbour.
    fn shown(&self, address: &str) -> Option<(NeighborState, MacAddress)> {
        let address: IpAddr = address.parse().unwrap();
        let records = self.reader.neighbors();
        let (_, record) = records
            .iter()
            .find(|(_, record)| from_ip_field(record.address) == address)?;
        Some((
            NeighborState::from_raw(record.state).unwrap(),
            MacAddress(record.mac),
        ))
    }

    /// What tools see of the routes, in order: prefix, kind, next hop, interface.
    fn shown_routes(&self) -> Vec<String> {
        let of4 = self.reader.routes4().into_iter().map(|(_, route)| {
            let prefix = IpNet::new(route.network().into(), route.prefix_length).unwrap();
            (
                prefix,
                route.kind,
                route.gateway().map(IpAddr::V4),
                route.interface,
            )
        });
        let of6 = self.reader.routes6().into_iter().map(|(_, route)| {
            let prefix = IpNet::new(route.network().into(), route.prefix_length).unwrap();
            (
                prefix,
                route.kind,
                route.gateway().map(IpAddr::V6),
                route.interface,
            )
        });
        let mut routes: Vec<_> = of4.chain(of6).collect();
        routes.sort();
        routes
            .into_iter()
            .map(|(prefix, kind, gateway, interface)| {
                let kind = shm::records::RouteKind::from_raw(kind).unwrap();
                let via = gateway.map(|gateway| format!(" {gateway}")).unwrap_or_default();
                let interface = self.tables.interface_name(interface);
                format!("{prefix} {kind}{via} {interface}").trim_end().to_owned()
            })
            .collect()
    }
}

fn host_mac(last: u8) -> MacAddress {
    MacAddress([2, 0, 0, 1, 0, last])
}

/// A route as operators write it, but for the words before its target: next hops have commas between them, `%` before their
/// interface and `*` before their weight. Behind them may stand `metric`, `mtu`, `src` and `proto`.
fn route(prefix: &str, text: &str) -> Route {
    let (target, attributes) = text.split_once(' ').unwrap_or((text, ""));
    let via = |text: &str| {
        let (text, weight) = text.split_once('*').unwrap_or((text, "1"));
        let (next_hop, interface) = text
            .split_once('%')
            .map_or((text, None), |(next_hop, name)| (next_hop, Some(name.to_owned())));
        WeightedNextHop {
            next_hop: next_hop.parse().unwrap(),
            interface,
            weight: weight.parse().unwrap(),
        }
    };
    let target = match target {
        "blackhole" => RouteTarget::Blackhole,
        "unreachable" => RouteTarget::Unreachable,
        "prohibit" => RouteTarget::Prohibit,
        name @ ("lan" | "wan" | "dmz" | "tun0" | "ipsec0" | "ipsec1") => {
            RouteTarget::Interface(name.to_owned())
        }
        several if several.contains(',') => RouteTarget::Multipath(several.split(',').map(via).collect()),
        one => {
            let WeightedNextHop {
                next_hop, interface, ..
            } = via(one);
            RouteTarget::Via { next_hop, interface }
        }
    };
    let mut route = Route::new(prefix.parse().unwrap(), target);
    let words: Vec<_> = attributes.split_whitespace().collect();
    for pair in words.chunks(2) {
        match pair[0] {
            "metric" => route.metric = Some(pair[1].parse().unwrap()),
            "mtu" => route.mtu = Some(pair[1].parse().unwrap()),
            "src" => route.source = Some(pair[1].parse().unwrap()),
            "proto" => route.protocol = Some(pair[1].parse::<RouteProtocol>().unwrap().0),
            other => panic!("{other} of a route"),
        }
    }
    route
}

fn forward(interface: u16, last: u8) -> Adjacency {
    Adjacency::Forward {
        interface,
        mac: host_mac(last),
    }
}
