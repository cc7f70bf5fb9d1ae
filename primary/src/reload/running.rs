//! The routes and static neighbours that there are, read from the region as any tool would: a million of them are read
//! without the control thread doing anything.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use control::message::{Route, RouteTarget, WeightedNextHop};
use ipnet::IpNet;
use shm::records::{self, NeighborState, Route4, Route6, RouteKind, RouteProtocol, from_ip_field, from_text};
use shm::{OpenError, TableReader};

use super::reach::own_prefixes;
use super::routes::{key, several, via};
use crate::config::Neighbor;

/// The region could not be read.
#[derive(Debug, thiserror::Error)]
#[error("what runs cannot be read ({0}): restart the primary")]
pub struct Unreadable(#[from] OpenError);

/// Given routes, in the order of their prefixes, and static neighbours, in that of their addresses.
pub fn read_tables(path: &Path) -> Result<(Vec<Route>, Vec<Neighbor>), Unreadable> {
    Ok(read(&TableReader::open(path)?))
}

/// The same of a region that is open.
pub(super) fn read(reader: &TableReader) -> (Vec<Route>, Vec<Neighbor>) {
    let interfaces = reader.interfaces();
    let names = Names(
        interfaces
            .iter()
            .map(|(index, record)| (*index, from_text(&record.name)))
            .collect(),
    );
    let groups = groups(&reader.next_hops(), &names);
    // Those that addresses bring.
    let own: HashSet<IpNet> = reader
        .addresses()
        .iter()
        .filter_map(|(_, record)| IpNet::new(from_ip_field(record.address), record.prefix_length).ok())
        .flat_map(own_prefixes)
        .collect();
    let is_given =
        |route: &Route| route.protocol != Some(RouteProtocol::KERNEL.0) || !own.contains(&route.prefix);
    let routes4 = reader.routes4();
    let of4 = routes4
        .iter()
        .filter_map(|(_, record)| Found::four(record).into_route(&names, &groups));
    let mut routes: Vec<Route> = of4.filter(is_given).collect();
    drop(routes4);
    let routes6 = reader.routes6();
    let of6 = routes6
        .iter()
        .filter_map(|(_, record)| Found::six(record).into_route(&names, &groups));
    routes.extend(of6.filter(is_given));
    routes.sort_unstable_by_key(key);

    let static_one = |record: &records::Neighbor| {
        // Whoever is at the other end of a tunnel has no MAC address, and was set by nobody.
        let is_set = record.state == NeighborState::Permanent as u8 && record.mac != [0; 6];
        is_set.then(|| {
            Some(Neighbor {
                address: from_ip_field(record.address),
                mac: record.mac.into(),
                interface: names.of(record.interface)?,
            })
        })
    };
    let neighbors = reader.neighbors();
    let mut neighbors: Vec<Neighbor> = neighbors
        .iter()
        .filter_map(|(_, record)| static_one(record).flatten())
        .collect();
    neighbors.sort_unstable_by(|a, b| (a.address, &a.interface).cmp(&(b.address, &b.interface)));
    (routes, neighbors)
}

/// Names of interfaces by index.
struct Names(HashMap<u32, String>);

impl Names {
    fn of(&self, interface: u16) -> Option<String> {
        self.0.get(&u32::from(interface)).cloned()
    }
}

/// The next hops of each group that is shared.
fn groups(records: &[(u32, records::NextHop)], names: &Names) -> HashMap<u32, Vec<WeightedNextHop>> {
    let mut groups: HashMap<u32, Vec<WeightedNextHop>> = HashMap::new();
    for (_, record) in records {
        groups.entry(record.group).or_default().push(WeightedNextHop {
            next_hop: from_ip_field(record.address),
            interface: names.of(record.interface),
            weight: record.weight,
        });
    }
    groups
}

/// What the records of both families have.
struct Found {
    network: IpAddr,
    length: u8,
    gateway: Option<IpAddr>,
    group: Option<u32>,
    interface: u16,
    kind: u8,
    protocol: u8,
    mtu: u16,
    metric: u32,
    source: IpAddr,
}

impl Found {
    fn four(record: &Route4) -> Self {
        Self {
            network: record.network().into(),
            length: record.prefix_length,
            gateway: record.gateway().map(IpAddr::V4),
            group: record.group(),
            interface: record.interface,
            kind: record.kind,
            protocol: record.protocol,
            mtu: record.mtu,
            metric: record.metric,
            source: record.source.into(),
        }
    }

    fn six(record: &Route6) -> Self {
        Self {
            network: record.network().into(),
            length: record.prefix_length,
            gateway: record.gateway().map(IpAddr::V6),
            group: record.group(),
            interface: record.interface,
            kind: record.kind,
            protocol: record.protocol,
            mtu: record.mtu,
            metric: record.metric,
            source: record.source.into(),
        }
    }

    /// The route, as it is compared. There is none for what an address of the gateway is or its subnet's ends are.
    fn into_route(self, names: &Names, groups: &HashMap<u32, Vec<WeightedNextHop>>) -> Option<Route> {
        let interface = || names.of(self.interface);
        let target = match RouteKind::from_raw(self.kind)? {
            RouteKind::Local | RouteKind::Broadcast | RouteKind::Anycast => return None,
            RouteKind::Connected => RouteTarget::Interface(interface()?),
            RouteKind::Via => via(self.gateway?, interface()),
            RouteKind::Multipath => several(groups.get(&self.group?)?.clone()),
            RouteKind::Blackhole => RouteTarget::Blackhole,
            RouteKind::Unreachable => RouteTarget::Unreachable,
            RouteKind::Prohibit => RouteTarget::Prohibit,
        };
        Some(Route {
            metric: Some(self.metric),
            source: (!self.source.is_unspecified()).then_some(self.source),
            mtu: (self.mtu != 0).then_some(self.mtu),
            protocol: Some(self.protocol),
            ..Route::new(IpNet::new(self.network, self.length).ok()?, target)
        })
    }
}
