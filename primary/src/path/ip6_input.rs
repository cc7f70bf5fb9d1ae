//! IPv6 input: is it a packet that a router may touch, and does it stay on its link? RFC 8200 section 3, RFC 4291
//! sections 2.4 to 2.8.
//!
//! Most packets go on to the lookup. Those to a multicast group or a link-local address are for this link: what the
//! gateway takes of them goes to [`local6`] at once, since no route leads there.

use std::net::Ipv6Addr;

use packet::Ipv6;
use packet::ipv6::{self, Ipv6Error};
use shm::{DropReason, PathStage};

use super::local6::Ends;
use super::punt::Punts;
use super::{InterfaceView, LONGEST_BEHIND, Note, Tracer, ip6_options, local6};

/// All routers of the link: the address of RFC 4291 section 2.6.1 in fe80::/64.
pub(super) const LINK_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// Notes where the packet ends, and what becomes of it if it is not forwarded; whether it goes on to the lookup.
#[inline(never)]
pub(super) fn run<T: Tracer>(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
    (packet, behind): (&mut [u8], usize),
    note: &mut Note,
) -> bool {
    tracer.enter(PathStage::Ip6Input);
    let network = usize::from(note.network);
    match check(interface, packet.get(network..).unwrap_or_default(), behind, note) {
        Ok(Way::Lookup) => {}
        Ok(Way::Here) => {
            here(interface, ingress, punts, tracer, (packet, behind), note);
            return false;
        }
        Err(reason) => {
            refuse(interface, tracer, (packet, behind), reason, note);
            return false;
        }
    }
    let datagram = packet.get(network..).unwrap_or_default();
    !ip6_options::has(datagram)
        || ip6_options::run(interface, ingress, punts, tracer, (datagram, behind), note)
}

/// Takes a packet for this link that the gateway may take.
fn here<T: Tracer>(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
    (packet, behind): (&mut [u8], usize),
    note: &mut Note,
) {
    note.stays_before_lookup();
    let network = usize::from(note.network);
    let datagram = packet.get(network..).unwrap_or_default();
    if !ip6_options::run_on_link(interface, tracer, (datagram, behind), note) {
        return;
    }
    note.passed = note.passed.with(PathStage::Local6);
    tracer.enter(PathStage::Local6);
    let ends = Ends {
        own_source: false,
        anycast: destination(packet, network) == LINK_ROUTERS.to_bits(),
    };
    local6::run(interface, ingress, punts, packet, note, ends);
}

/// Drops a packet that may not be touched. What its hop-by-hop options say comes before where it may not go: RFC 8200 section 4.2
/// has senders to groups told as well.
#[cold]
fn refuse<T: Tracer>(
    interface: &InterfaceView,
    tracer: &mut T,
    (packet, behind): (&[u8], usize),
    reason: DropReason,
    note: &mut Note,
) {
    note.stays_before_lookup();
    let datagram = packet.get(usize::from(note.network)..).unwrap_or_default();
    let stays = matches!(reason, DropReason::Ip6Multicast | DropReason::Ip6LinkLocal);
    if !stays || ip6_options::run_on_link(interface, tracer, (datagram, behind), note) {
        note.drop(reason);
    }
}

/// The destination of a packet that was checked.
#[inline]
pub(super) fn destination(packet: &[u8], network: usize) -> u128 {
    packet
        .get(network + 24..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

/// Where a packet goes that may be touched.
enum Way {
    Lookup,
    /// It is for this link, and the gateway may take it.
    Here,
}

#[inline(always)]
fn check(
    interface: &InterfaceView,
    packet: &[u8],
    behind: usize,
    note: &mut Note,
) -> Result<Way, DropReason> {
    if behind > LONGEST_BEHIND {
        return Err(DropReason::Oversize);
    }
    if interface.kernel_device && claimed_length(packet) > usize::from(interface.mtu) {
        // Segmentation was left to hardware. Such a packet may be cut short as well, so this comes first.
        return Err(DropReason::Oversize);
    }
    let header = Ipv6::parse_start(packet, behind).map_err(|error| match error {
        Ipv6Error::Truncated => DropReason::Ip6Truncated,
        Ipv6Error::Version => DropReason::Ip6Version,
        Ipv6Error::PayloadLength => DropReason::Ip6PayloadLength,
    })?;
    // At most what the frame has, which fits.
    note.length = u16::from(note.network) + header.total_len() as u16;
    let (source, destination) = (header.source(), header.destination());
    let way = if is_global(source) && is_global(destination) && !note.group_frame {
        Way::Lookup
    } else {
        other_scope(interface, source, destination, note)?
    };
    if interface.kernel_device && behind == 0 && packet::transport::checksum_is_partial_v6(&header) {
        return Err(DropReason::PartialChecksum);
    }
    Ok(way)
}

/// Header and payload length, before anything is known to be right.
fn claimed_length(packet: &[u8]) -> usize {
    packet.first_chunk::<6>().map_or(0, |bytes| {
        ipv6::HEADER_LEN + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]))
    })
}

/// Global unicast as it is handed out, 2000::/3.
#[inline]
fn is_global(address: Ipv6Addr) -> bool {
    address.octets()[0] >> 5 == 0b001
}

/// For packets with an address outside 2000::/3, or in a frame for a group.
#[cold]
fn other_scope(
    interface: &InterfaceView,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    note: &mut Note,
) -> Result<Way, DropReason> {
    if destination.is_multicast() {
        // A group that the gateway is in: RFC 4291 section 2.8.
        let ours = destination == ipv6::ALL_NODES
            || destination == ipv6::ALL_ROUTERS
            || ipv6::is_solicited_node(destination) && interface.sources.is_in(destination);
        if source.is_multicast() || source.is_loopback() || source.to_ipv4_mapped().is_some() {
            return Err(DropReason::Ip6MartianSource);
        }
        // The unspecified address looks for duplicates: only neighbour discovery takes it, and checks it.
        return if ours {
            Ok(Way::Here)
        } else {
            Err(DropReason::Ip6Multicast)
        };
    }
    if is_nobody(source) || source.is_multicast() {
        return Err(DropReason::Ip6MartianSource);
    }
    if is_nobody(destination) {
        return Err(DropReason::Ip6MartianDestination);
    }
    if note.group_frame {
        return Err(DropReason::Ip6LinkMulticast);
    }
    if destination.is_unicast_link_local() {
        let own = interface.sources.link_local();
        let ours = own == Some(destination) || own.is_some() && destination == LINK_ROUTERS;
        return if ours {
            Ok(Way::Here)
        } else {
            Err(DropReason::Ip6LinkLocal)
        };
    }
    note.careful = source.is_unicast_link_local();
    Ok(Way::Lookup)
}

/// Unspecified, loopback and IPv4-mapped addresses are nobody's on a wire.
fn is_nobody(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.to_ipv4_mapped().is_some()
}
