//! What becomes of a packet whose route leads to no link.

use std::net::Ipv4Addr;

use packet::Ipv4;
use shm::DropReason;

use super::{Disposition, Note};
use crate::adjacency::Adjacency;

/// Waits for a next hop that is not known yet, or drops. `gateway` is the next hop of an adjacency that has one.
#[cold]
pub(super) fn unforwardable(
    adjacency: Adjacency,
    gateway: impl FnOnce() -> Ipv4Addr,
    packet: &[u8],
    note: &mut Note,
) {
    let (interface, via) = match adjacency {
        // The destination itself is the next hop.
        Adjacency::Glean { interface } => (interface, None),
        Adjacency::Incomplete { interface } => (interface, Some(gateway())),
        Adjacency::NoRoute => return note.drop(DropReason::NoRoute),
        Adjacency::Blackhole => return note.drop(DropReason::Blackhole),
        Adjacency::Broadcast => return note.drop(DropReason::Ip4DirectedBroadcast),
        Adjacency::Failed { .. } => return note.drop(DropReason::NeighborFailed),
        // The caller has sent these elsewhere.
        Adjacency::Local { .. } | Adjacency::Forward { .. } => return note.drop(DropReason::LocalUnhandled),
    };
    // ip4_input has checked the header.
    let Ok(header) = Ipv4::parse(packet.get(usize::from(note.network)..).unwrap_or_default()) else {
        return note.drop(DropReason::Ip4Truncated);
    };
    let destination = header.destination();
    note.disposition = Disposition::Wait {
        interface,
        next_hop: via.unwrap_or(destination),
        destination,
    };
}
