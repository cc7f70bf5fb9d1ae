//! The gateway's own addresses in packets: as what is written into their options, and as a source that nobody may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fib::NextHop;
use packet::ethernet::HEADER_LEN;
use packet::{Ipv4, Ipv6};

use super::ip6_input::{self, LINK_ROUTERS};
use super::{BURST, InterfaceView, Stages, ip4_record};
use crate::adjacency::{self, Adjacency};

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Writes into an IPv4 packet that leaves by `out` what its options ask of a router; `behind` bytes of it are in other
    /// segments.
    #[cold]
    pub(super) fn record(&self, out: &InterfaceView, packet: &mut [u8], behind: usize) {
        let Some((_, datagram)) = packet.split_first_chunk_mut::<HEADER_LEN>() else {
            return;
        };
        let Some(address) = Ipv4::parse_start(datagram, behind)
            .ok()
            .and_then(|header| out.sources.towards4(header.destination()))
        else {
            return;
        };
        let is_own = |address: Ipv4Addr| {
            let next_hop = self.fib4.lookup(address.into());
            matches!(self.adjacencies.load(next_hop), Adjacency::Local { .. })
        };
        ip4_record::record(datagram, address, is_own);
    }

    /// Whether a packet says that it comes from an address of the gateway, or, in IPv4, from everybody on one of its links. Asked
    /// where it would be answered; `behind` bytes of it are in other segments. On its way through that would take a lookup for every
    /// packet, which RFC 1812 section 5.3.8 wants to be off unless asked for.
    #[cold]
    pub(super) fn is_from_here(&self, packet: &[u8], behind: usize) -> bool {
        let next_hop = match packet.first().map(|first| first >> 4) {
            Some(4) => Ipv4::parse_start(packet, behind)
                .map(|header| self.fib4.lookup(header.source().into()))
                .ok(),
            _ => Ipv6::parse_start(packet, behind)
                .map(|header| self.fib6.lookup(header.source().into()))
                .ok(),
        };
        let adjacency = next_hop.map(|next_hop| self.adjacencies.load(next_hop));
        matches!(
            adjacency,
            Some(Adjacency::Local { .. } | Adjacency::Broadcast | Adjacency::Anycast { .. })
        )
    }

    /// Whether what came in by `ingress`, from outside of all tunnels that ESP protects or out of one of them, belongs in another: what
    /// is sent to `source` leaves by such tunnels, and by none that it came in by.
    pub fn belongs_in_esp(&self, ingress: u16, source: IpAddr) -> bool {
        let next_hop = self.next_hop_of(source);
        let egress = |next_hop| match self.adjacencies.load(next_hop) {
            Adjacency::Forward { interface, .. } => Some(interface),
            _ => None,
        };
        match self.adjacencies.group(next_hop) {
            None => {
                egress(next_hop).is_some_and(|egress| egress != ingress && self.interfaces.is_esp(egress))
            }
            Some(group) => {
                let egresses = || group.buckets().filter_map(egress);
                egresses().all(|egress| egress != ingress)
                    && egresses().any(|egress| self.interfaces.is_esp(egress))
            }
        }
    }

    /// Whether one of a burst of IPv4 packets may belong in a tunnel that ESP protects and `ingress` is not; their sources. Where it is not
    /// so, [`belongs_in_esp`](Self::belongs_in_esp) need not be asked.
    #[inline]
    pub fn may_belong_in_esp4(&self, ingress: u16, sources: &[u32]) -> bool {
        let mut next_hops = [NextHop::NONE; BURST];
        let next_hops = &mut next_hops[..sources.len().min(BURST)];
        self.fib4.lookup_burst(sources, next_hops);
        self.may_lead_to_esp(ingress, next_hops)
    }

    /// The same of IPv6 packets.
    #[inline]
    pub fn may_belong_in_esp6(&self, ingress: u16, sources: &[u128]) -> bool {
        let mut next_hops = [NextHop::NONE; BURST];
        let next_hops = &mut next_hops[..sources.len().min(BURST)];
        self.fib6.lookup_burst(sources, next_hops);
        self.may_lead_to_esp(ingress, next_hops)
    }

    #[inline]
    fn may_lead_to_esp(&self, ingress: u16, next_hops: &[NextHop]) -> bool {
        let view = self.adjacencies.view();
        let leads_there = |next_hop: &NextHop| {
            view.egress(*next_hop)
                .is_some_and(|egress| egress != ingress && self.interfaces.is_esp(egress))
        };
        adjacency::any_group(next_hops) || next_hops.iter().any(leads_there)
    }

    /// The MAC address of an interface, if it is up and no kernel feeds it, which may hand over packets that are no whole ones.
    #[inline]
    pub fn takes_usual(&self, interface: u16) -> Option<[u8; 6]> {
        let interface = self.up(interface)?;
        (!interface.kernel_device).then_some(interface.mac.0)
    }

    /// Whether an address is the gateway's.
    pub fn is_own(&self, address: IpAddr) -> bool {
        matches!(
            self.adjacencies.load(self.next_hop_of(address)),
            Adjacency::Local { .. }
        )
    }

    #[inline]
    pub(super) fn next_hop_of(&self, address: IpAddr) -> NextHop {
        match address {
            IpAddr::V4(address) => self.fib4.lookup(address.into()),
            IpAddr::V6(address) => self.fib6.lookup(address.into()),
        }
    }

    /// Whether an IPv6 packet is for an address of the gateway that nobody else has, be it the link-local one of `interface`.
    #[cold]
    pub(super) fn is_for_one_of_us(&self, interface: &InterfaceView, packet: &[u8]) -> bool {
        let destination = Ipv6Addr::from_bits(ip6_input::destination(packet, 0));
        let adjacency = || self.adjacencies.load(self.fib6.lookup(destination.into()));
        interface.sources.link_local() == Some(destination) || matches!(adjacency(), Adjacency::Local { .. })
    }

    /// Whether an IPv6 packet is for all routers of a link or of a subnet: RFC 4291 section 2.6.1.
    #[cold]
    pub(super) fn is_for_routers(&self, packet: &[u8]) -> bool {
        let destination = Ipv6Addr::from_bits(ip6_input::destination(packet, 0));
        let adjacency = || self.adjacencies.load(self.fib6.lookup(destination.into()));
        destination == LINK_ROUTERS || matches!(adjacency(), Adjacency::Anycast { .. })
    }
}
