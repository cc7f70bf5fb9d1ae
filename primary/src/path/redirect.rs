//! Redirects: who sends a packet here that leaves by the interface that it came in by is told of its next hop, where the packet
//! could have been sent to at once. RFC 1812 sections 4.3.3.2 and 5.2.7.2, RFC 4861 section 8.2.
//!
//! ```text
//!   stages   all checks; the next hop's MAC address is written, and the rest of both headers left as it was received
//!   worker   tells the sender, who still stands in the link header, and quotes the packet; then completes the headers
//! ```
//!
//! Packets with a source route, about which none is sent, do not come this far.

use std::net::IpAddr;

use fib::NextHop;
use packet::ethernet::{EthernetHeader, HEADER_LEN, VlanTags};
use packet::icmp_error::{HEADERS_LEN_V4, Icmpv4Problem, emit_v4, may_answer_v4, quote_len_v4};
use packet::nd::redirect::{self, Redirect};
use packet::{EtherType, Ipv4, Ipv6, MacAddress};
use shm::DropReason;

use super::errors::IcmpError;
use super::{Family, InterfaceView, Note, Stages, local4, rewrite};
use crate::adjacency;

/// Bytes from the start of an IP header on, of either family, in which is all that forwarding changes.
const CHANGED: usize = 12;

/// What a packet loses when it is made ready to leave.
pub(super) struct Received {
    sender: [u8; 6],
    header: [u8; CHANGED],
}

impl Received {
    /// Of a frame as it came in, whose IP header begins at `network`.
    pub(super) fn of(frame: &[u8], network: usize) -> Option<Self> {
        Some(Self {
            sender: *frame.get(6..)?.first_chunk()?,
            header: *frame.get(network..)?.first_chunk()?,
        })
    }

    /// Puts it back into a frame that is ready to leave.
    pub(super) fn put_back(&self, frame: &mut [u8]) {
        if let Some((link, packet)) = frame.split_first_chunk_mut::<HEADER_LEN>()
            && let Some(header) = packet.first_chunk_mut()
        {
            link[6..12].copy_from_slice(&self.sender);
            *header = self.header;
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// What the sender of a packet is told that leaves by the interface that it came in by, if anything. `frame` begins with the
    /// link header that it leaves with, and has all of the packet; `next_hop` is its adjacency.
    #[cold]
    pub fn redirect_for(
        &self,
        interface: u16,
        next_hop: NextHop,
        frame: &[u8],
        family: Family,
    ) -> Option<IcmpError> {
        let interface = self.up(interface)?;
        let (link, packet) = frame.split_first_chunk::<HEADER_LEN>()?;
        let [to, sender] = [link.first_chunk()?, link[6..].first_chunk()?].map(|mac| MacAddress(*mac));
        // The way back to the station that it came from is no better one, nor has the gateway sent it.
        if to == sender || self.is_from_here(packet, 0) {
            return None;
        }
        let next_hop = self.adjacencies.next_hop(next_hop);
        let mut error = match family {
            Family::Four => redirect4(interface, next_hop, packet)?,
            Family::Six => redirect6(interface, next_hop, to, packet)?,
        };
        let ethernet = EthernetHeader {
            destination: sender,
            source: interface.mac,
            tags: VlanTags::NONE,
            ethertype: match family {
                Family::Four => EtherType::IPV4,
                Family::Six => EtherType::IPV6,
            },
        };
        ethernet.emit(&mut error.headers).ok()?;
        Some(error)
    }

    /// Does what the stages have left for a packet whose sender is told: counts it down and names the interface as the sender.
    /// `frame` begins with the link header that it leaves with. The stages have looked at what it fails for.
    pub fn complete(&self, interface: u16, frame: &mut [u8], note: &Note) -> Result<(), DropReason> {
        let out = self
            .interfaces
            .get(usize::from(interface))
            .ok_or(DropReason::InterfaceDown)?;
        let (link, packet) = frame
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(DropReason::EthernetTruncated)?;
        let [a, b, c, d, e, f, ..] = *link;
        rewrite::headers(out, MacAddress([a, b, c, d, e, f]), link, packet, note)
    }
}

/// To a host whose subnet the next hop is in as well: RFC 1812 section 5.2.7.2.
fn redirect4(interface: &InterfaceView, next_hop: IpAddr, packet: &[u8]) -> Option<IcmpError> {
    let header = Ipv4::parse(packet).ok()?;
    let gateway = match next_hop {
        IpAddr::V4(next_hop) if next_hop.is_unspecified() => header.destination(),
        IpAddr::V4(next_hop) => next_hop,
        IpAddr::V6(_) => return None,
    };
    let host = header.source();
    let source = interface.sources.shared4(host, gateway)?;
    if !may_answer_v4(&header) {
        return None;
    }
    let most = usize::from(interface.mtu).saturating_sub(HEADERS_LEN_V4);
    let quote_len = quote_len_v4(usize::from(header.total_len())).min(most);
    let mut error = IcmpError::new(HEADERS_LEN_V4, HEADER_LEN, quote_len);
    let out = error.headers.get_mut(HEADER_LEN..)?.first_chunk_mut()?;
    let problem = Icmpv4Problem::HostRedirect { gateway };
    emit_v4(problem, source, host, local4::TTL, packet.get(..quote_len)?, out);
    Some(error)
}

/// To a neighbour, about a destination on the link or a router that is known by its link-local address: RFC 4861 section 8.2.
fn redirect6(
    interface: &InterfaceView,
    next_hop: IpAddr,
    target_link_layer: MacAddress,
    packet: &[u8],
) -> Option<IcmpError> {
    let header = Ipv6::parse(packet).ok()?;
    let (host, destination) = (header.source(), header.destination());
    let target = match next_hop {
        IpAddr::V6(next_hop) if next_hop.is_unspecified() || next_hop == destination => destination,
        IpAddr::V6(next_hop) if next_hop.is_unicast_link_local() => next_hop,
        _ => return None,
    };
    let source = interface.sources.link_local()?;
    let is_neighbor = if host.is_unicast_link_local() {
        host != source
    } else {
        interface.sources.is_on_link6(host)
    };
    if !is_neighbor {
        return None;
    }
    let quote_len = redirect::quote_len(header.total_len());
    let mut error = IcmpError::new(redirect::HEADERS_LEN, HEADER_LEN, quote_len);
    let out = error.headers.get_mut(HEADER_LEN..)?.first_chunk_mut()?;
    let redirect = Redirect {
        target,
        destination,
        target_link_layer,
    };
    redirect.emit(source, host, packet.get(..quote_len)?, out);
    Some(error)
}
