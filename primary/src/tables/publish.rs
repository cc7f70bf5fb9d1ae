//! Records for those who read the tables over shared memory.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use shm::SlotTable;
use shm::records::{self, Route4, ip_field};

use super::Tables;
use super::addresses::OwnAddress;
use super::candidates::{Candidate, Target};
use super::neighbor_set::Neighbor;
use crate::adjacency;

/// The tables of the region that the control thread writes here.
pub(super) struct Published {
    pub(super) interfaces: SlotTable<records::Interface>,
    pub(super) addresses: SlotTable<records::Address>,
    pub(super) routes4: SlotTable<Route4>,
    pub(super) neighbors: SlotTable<records::Neighbor>,
}

impl Published {
    /// Takes the tables, unless somebody has.
    pub(super) fn new(region: &shm::TableWriter) -> Option<Self> {
        Some(Self {
            interfaces: region.interfaces()?,
            addresses: region.addresses()?,
            routes4: region.routes4()?,
            neighbors: region.neighbors()?,
        })
    }
}

pub(super) fn address_record(own: &OwnAddress) -> records::Address {
    records::Address {
        address: ip_field(IpAddr::V4(own.net.addr())),
        prefix_length: own.net.prefix_len(),
        reserved: 0,
        interface: own.interface,
        reserved2: 0,
    }
}

pub(super) fn neighbor_record(neighbor: &Neighbor<Ipv4Addr>) -> records::Neighbor {
    records::Neighbor {
        address: ip_field(IpAddr::V4(neighbor.address)),
        mac: neighbor.mac.map_or([0; 6], |mac| mac.octets()),
        interface: neighbor.interface,
        // Nanoseconds since boot: 584 years of them fit.
        changed_ns: neighbor.changed.as_nanos() as u64,
        state: neighbor.shown as u8,
        probes: neighbor.reachability.requests(),
        reserved: [0; 6],
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    pub(super) fn route_record(&self, prefix: Ipv4Net, route: &Candidate) -> Route4 {
        let (next_hop, interface) = match route.target {
            Target::Local(interface) | Target::Broadcast(interface) | Target::Glean(interface) => {
                (Ipv4Addr::UNSPECIFIED, interface)
            }
            Target::Via(id) => self
                .neighbors
                .get(id)
                .map_or((Ipv4Addr::UNSPECIFIED, Route4::NO_INTERFACE), |neighbor| {
                    (neighbor.address, neighbor.interface)
                }),
            Target::Blackhole => (Ipv4Addr::UNSPECIFIED, Route4::NO_INTERFACE),
        };
        Route4 {
            prefix: prefix.addr().octets(),
            next_hop: next_hop.octets(),
            interface,
            prefix_length: prefix.prefix_len(),
            kind: route.target.kind() as u8,
            protocol: route.protocol as u8,
            reserved: [0; 3],
        }
    }
}
