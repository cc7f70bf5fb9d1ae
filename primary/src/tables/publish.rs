//! Records for those who read the tables over shared memory.

use std::net::IpAddr;

use ipnet::IpNet;
use shm::SlotTable;
use shm::records::{self, NO_INTERFACE, Route4, Route6, RouteKind, ip_field};

use super::Tables;
use super::candidates::{Candidate, Target};
use super::neighbor_set::{Neighbor, NeighborId};
use super::own_address::OwnAddress;
use crate::adjacency;

/// The tables of the region that the control thread writes here.
pub(super) struct Published {
    pub(super) interfaces: SlotTable<records::Interface>,
    pub(super) addresses: SlotTable<records::Address>,
    routes4: SlotTable<Route4>,
    routes6: SlotTable<Route6>,
    pub(super) neighbors: SlotTable<records::Neighbor>,
    pub(super) next_hops: SlotTable<records::NextHop>,
    pub(super) tunnels: SlotTable<records::Tunnel>,
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
            next_hops: region.next_hops()?,
            tunnels: region.tunnels()?,
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
    /// Shows a route as it is now.
    pub(super) fn publish_route(&mut self, prefix: IpNet, route: &Candidate) {
        let record = self.route_record(prefix, route);
        self.published.update_route(route.slot, &record);
    }

    /// What `route show` and `route get` call it.
    pub(super) fn kind(&self, target: Target) -> RouteKind {
        match target {
            Target::Local(_) => RouteKind::Local,
            Target::Broadcast(_) => RouteKind::Broadcast,
            Target::Anycast(_) => RouteKind::Anycast,
            Target::Glean(_) => RouteKind::Connected,
            Target::Group(id) if self.groups.get(id).is_some_and(|group| group.members.len() > 1) => {
                RouteKind::Multipath
            }
            Target::Via(_) | Target::Group(_) => RouteKind::Via,
            Target::Blackhole => RouteKind::Blackhole,
            Target::Unreachable => RouteKind::Unreachable,
            Target::Prohibit => RouteKind::Prohibit,
        }
    }

    /// The neighbour, where there is one and not several.
    pub(super) fn only_neighbor(&self, target: Target) -> Option<NeighborId> {
        match target {
            Target::Via(id) => Some(id),
            Target::Group(id) => match self.groups.get(id)?.members.as_slice() {
                [member] => Some(member.id),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn route_record(&self, prefix: IpNet, route: &Candidate) -> RouteRecord {
        let neighbor = self
            .only_neighbor(route.target)
            .and_then(|id| self.neighbors.get(id));
        let interface = route
            .target
            .interface()
            .or(neighbor.map(|neighbor| neighbor.interface))
            .unwrap_or(NO_INTERFACE);
        let next_hop = neighbor.map(|neighbor| neighbor.address);
        let group = match route.target {
            Target::Group(id) => self.groups.get(id).map_or(0, |group| group.number),
            _ => 0,
        };
        let attributes = self.attributes.get(route.attributes);
        let (prefix_length, kind) = (prefix.prefix_len(), self.kind(route.target) as u8);
        let protocol = route.protocol.0;
        let is_set_aside = self
            .candidates
            .given(prefix)
            .is_some_and(|active| active.slot != route.slot && self.candidates.is_contested(prefix));
        let (active, mtu) = (u8::from(!is_set_aside), attributes.mtu.unwrap_or(0));
        let metric = attributes.metric;
        match prefix {
            IpNet::V4(prefix) => RouteRecord::Four(Route4 {
                prefix: prefix.addr().octets(),
                next_hop: match next_hop {
                    Some(IpAddr::V4(next_hop)) => next_hop.octets(),
                    _ => group.to_be_bytes(),
                },
                interface,
                prefix_length,
                kind,
                protocol,
                active,
                mtu,
                metric,
                source: match attributes.source {
                    Some(IpAddr::V4(source)) => source.octets(),
                    _ => [0; 4],
                },
            }),
            IpNet::V6(prefix) => RouteRecord::Six(Route6 {
                prefix: prefix.addr().octets(),
                next_hop: match next_hop {
                    Some(IpAddr::V6(next_hop)) => next_hop.octets(),
                    _ => (u128::from(group) << 96).to_be_bytes(),
                },
                interface,
                prefix_length,
                kind,
                protocol,
                active,
                mtu,
                metric,
                source: match attributes.source {
                    Some(IpAddr::V6(source)) => source.octets(),
                    _ => [0; 16],
                },
                reserved: [0; 4],
            }),
        }
    }
}
