//! `neigh show --details`: what a packet for each neighbour gets for a link header, and which routes rest on it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use packet::EtherType;
use serde::Serialize;
use shm::records::{self, NeighborState, RouteKind, from_ip_field};

use crate::present::Show;
use crate::rates::Rates;
use crate::session::Tables;
use crate::table::{Column, Table, left, right};

/// Prefixes that are named of each neighbour.
const NAMED: usize = 8;

/// A neighbour's adjacency.
#[derive(Debug, Serialize)]
pub(crate) struct Adjacency {
    address: IpAddr,
    interface: String,
    state: &'static str,
    /// Since the state last changed, in milliseconds.
    age_ms: u64,
    /// Its number, as traces have it.
    adjacency: u32,
    /// The link header in hexadecimal digits; none while the MAC address is not known.
    rewrite: Option<String>,
    /// Longest IP packet, bytes.
    mtu: Option<u16>,
    /// How many routes have it as their next hop.
    routes: usize,
    /// The first of them.
    prefixes: Vec<IpNet>,
}

/// Prefixes by the next hop and interface that they lead to.
pub(crate) struct RoutesBy(HashMap<(IpAddr, u16), Vec<IpNet>>);

impl RoutesBy {
    /// All routes by way of a neighbour.
    pub(crate) fn read(tables: &Tables) -> Self {
        let mut by: HashMap<_, Vec<_>> = HashMap::new();
        let mut add = |next_hop: IpAddr, interface, kind, prefix: Option<IpNet>| {
            if let Some(prefix) = prefix
                && RouteKind::from_raw(kind) == Some(RouteKind::Via)
            {
                by.entry((next_hop, interface)).or_default().push(prefix);
            }
        };
        for (_, route) in tables.reader.routes4() {
            let prefix = IpNet::new(route.prefix.into(), route.prefix_length).ok();
            add(route.next_hop.into(), route.interface, route.kind, prefix);
        }
        for (_, route) in tables.reader.routes6() {
            let prefix = IpNet::new(route.prefix.into(), route.prefix_length).ok();
            add(route.next_hop.into(), route.interface, route.kind, prefix);
        }
        by.values_mut().for_each(|prefixes| prefixes.sort_unstable());
        Self(by)
    }
}

impl Adjacency {
    pub(crate) fn new(record: &records::Neighbor, tables: &Tables, routes: &RoutesBy, now: Duration) -> Self {
        let address = from_ip_field(record.address);
        let found = tables
            .interfaces
            .iter()
            .find(|(index, _)| *index == record.interface);
        let interface = found.map(|(_, interface)| interface);
        let prefixes = routes
            .0
            .get(&(address, record.interface))
            .map_or(&[][..], Vec::as_slice);
        let age = now.saturating_sub(Duration::from_nanos(record.changed_ns));
        Self {
            address,
            interface: tables.interface_name(record.interface),
            state: NeighborState::from_raw(record.state).map_or("unknown", NeighborState::name),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            adjacency: record.adjacency,
            rewrite: interface
                .filter(|_| record.mac != [0; 6])
                .map(|interface| rewrite(record.mac, interface.mac, address)),
            mtu: interface.map(|interface| interface.mtu),
            routes: prefixes.len(),
            prefixes: prefixes.iter().take(NAMED).copied().collect(),
        }
    }

    pub(crate) fn key(&self) -> (IpAddr, &str) {
        (self.address, &self.interface)
    }
}

/// The link header of packets for a neighbour.
fn rewrite(destination: [u8; 6], source: [u8; 6], address: IpAddr) -> String {
    let ethertype = match address {
        IpAddr::V4(_) => EtherType::IPV4,
        IpAddr::V6(_) => EtherType::IPV6,
    };
    let bytes = destination.iter().chain(&source);
    let digits: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}{:04x}", ethertype.0)
}

impl Show for Adjacency {
    const COLUMNS: &'static [Column] = &[
        left("ADDRESS"),
        left("DEV"),
        left("STATE"),
        right("AGE"),
        right("ADJACENCY"),
        left("REWRITE"),
        right("MTU"),
        right("ROUTES"),
        left("PREFIXES"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        let prefixes: Vec<_> = self.prefixes.iter().map(IpNet::to_string).collect();
        let more = if self.routes > self.prefixes.len() {
            ",…"
        } else {
            ""
        };
        table
            .cell(self.address)
            .cell(&self.interface)
            .cell(self.state)
            .cell(format_args!("{} s", self.age_ms / 1000))
            .cell(self.adjacency)
            .optional(self.rewrite.as_ref())
            .optional(self.mtu)
            .cell(self.routes)
            .cell(format_args!("{}{more}", prefixes.join(",")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rewrite_is_the_link_header_of_its_family() {
        let rewrite =
            |address: &str| rewrite([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1], address.parse().unwrap());
        assert_eq!(rewrite("192.168.10.2"), "0200000000090200000000010800");
        assert_eq!(rewrite("fe80::2"), "02000000000902000000000186dd");
    }

    #[test]
    fn the_json_form_is_stable() {
        let adjacency = Adjacency {
            address: [192, 168, 10, 2].into(),
            interface: "wan".into(),
            state: "reachable",
            age_ms: 7,
            adjacency: 5,
            rewrite: None,
            mtu: Some(1500),
            routes: 9,
            prefixes: vec!["10.1.0.0/16".parse().unwrap()],
        };
        assert_eq!(
            serde_json::to_string(&adjacency).unwrap(),
            concat!(
                r#"{"address":"192.168.10.2","interface":"wan","state":"reachable","age_ms":7,"adjacency":5,"#,
                r#""rewrite":null,"mtu":1500,"routes":9,"prefixes":["10.1.0.0/16"]}"#
            )
        );
    }
}
