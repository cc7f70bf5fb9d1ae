//! Records for those who read the tables over shared memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use shm::SlotTable;
use shm::records::{self, NO_INTERFACE, Route4, Route6, ip_field};

use super::Tables;
use super::candidates::{Candidate, Target};
use super::neighbor_set::Neighbor;
use super::own_address::OwnAddress;
use crate::adjacency;

/// The tables of the region that the control thread writes here.
pub(super) struct Published {
    pub(super) interfaces: SlotTable<records::Interface>,
    pub(super) addresses: SlotTable<records::Address>,
    routes4: SlotTable<Route4>,
    routes6: SlotTable<Route6>,
    pub(super) neighbors: SlotTable<records::Neighbor>,
}

impl Published {
    /// Takes the tables, unless somebody has.
    pub(super) fn new(region: &shm::TableWriter) -> Option<Self> {
        Some(Self {
            interfaces: region.interfaces()?,
            addresses: region.addresses()?,
            routes4: region.routes4()?,
            routes6: region.routes6()?,
            neighbors: region.neighbors()?,
        })
    }

    /// Shows a route; gives its slot, unless there is no room.
    pub(super) fn insert_route(&mut self, record: &RouteRecord) -> Option<u32> {
        match record {
            RouteRecord::Four(record) => self.routes4.insert(record),
            RouteRecord::Six(record) => self.routes6.insert(record),
        }
    }

    /// Shows a route otherwise than before.
    pub(super) fn update_route(&mut self, slot: u32, record: &RouteRecord) {
        match record {
            RouteRecord::Four(record) => self.routes4.update(slot, record),
            RouteRecord::Six(record) => self.routes6.update(slot, record),
        }
    }

    /// Shows a route to `prefix` no more.
    pub(super) fn remove_route(&mut self, prefix: IpNet, slot: u32) {
        match prefix {
            IpNet::V4(_) => self.routes4.remove(slot),
            IpNet::V6(_) => self.routes6.remove(slot),
        }
    }
}

/// The record of a route, by family.
pub(super) enum RouteRecord {
    Four(Route4),
    Six(Route6),
}

pub(super) fn address_record(own: &OwnAddress) -> records::Address {
    records::Address {
        address: ip_field(own.net.addr()),
        prefix_length: own.net.prefix_len(),
        state: own.state as u8,
        interface: own.interface,
        reserved: 0,
    }
}

pub(super) fn neighbor_record(neighbor: &Neighbor<IpAddr>) -> records::Neighbor {
    records::Neighbor {
        address: ip_field(neighbor.address),
        mac: neighbor.mac.map_or([0; 6], |mac| mac.octets()),
        interface: neighbor.interface,
        // Nanoseconds since boot: 584 years of them fit.
        changed_ns: neighbor.changed.as_nanos() as u64,
        state: neighbor.shown as u8,
        probes: neighbor.reachability.requests(),
        reserved: [0; 2],
        adjacency: neighbor.adjacency.get(),
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    pub(super) fn route_record(&self, prefix: IpNet, route: &Candidate) -> RouteRecord {
        let (next_hop, interface) = match route.target {
            Target::Local(interface) | Target::Broadcast(interface) | Target::Glean(interface) => {
                (None, interface)
            }
            Target::Via(id) => self.neighbors.get(id).map_or((None, NO_INTERFACE), |neighbor| {
                (Some(neighbor.address), neighbor.interface)
            }),
            Target::Blackhole => (None, NO_INTERFACE),
        };
        let (prefix_length, kind) = (prefix.prefix_len(), route.target.kind() as u8);
        let protocol = route.protocol as u8;
        match prefix {
            IpNet::V4(prefix) => RouteRecord::Four(Route4 {
                prefix: prefix.addr().octets(),
                next_hop: match next_hop {
                    Some(IpAddr::V4(next_hop)) => next_hop.octets(),
                    _ => Ipv4Addr::UNSPECIFIED.octets(),
                },
                interface,
                prefix_length,
                kind,
                protocol,
                reserved: [0; 3],
            }),
            IpNet::V6(prefix) => RouteRecord::Six(Route6 {
                prefix: prefix.addr().octets(),
                next_hop: match next_hop {
                    Some(IpAddr::V6(next_hop)) => next_hop.octets(),
                    _ => Ipv6Addr::UNSPECIFIED.octets(),
                },
                interface,
                prefix_length,
                kind,
                protocol,
                reserved: [0; 3],
            }),
        }
    }
}
