//! What becomes of a packet whose route leads to no link.

use std::net::Ipv4Addr;

use packet::Ipv4;
use shm::DropReason;

use super::{Burst, Disposition};
use crate::adjacency::Adjacency;

/// Waits for a next hop that is not known yet, or drops. `gateway` is the next hop of an adjacency that has one.
#[cold]
pub(super) fn unforwardable(
    adjacency: Adjacency,
    gateway: impl FnOnce() -> Ipv4Addr,
    burst: &mut Burst<'_, '_>,
    number: usize,
) {
    let (Some(packet), Some(note)) = (burst.packets.get(number), burst.notes.get_mut(number)) else {
        return;
    };
    match adjacency {
        Adjacency::Glean { interface } => {
            // The destination itself is the next hop; ip4_input has checked the header.
            let Ok(header) = Ipv4::parse(packet.get(usize::from(note.network)..).unwrap_or_default()) else {
                return note.drop(DropReason::Ip4Truncated);
            };
            note.disposition = Disposition::Wait {
                interface,
                next_hop: header.destination(),
            };
        }
        Adjacency::Incomplete { interface } => {
            note.disposition = Disposition::Wait {
                interface,
                next_hop: gateway(),
            };
        }
        Adjacency::NoRoute => note.drop(DropReason::NoRoute),
        Adjacency::Blackhole => note.drop(DropReason::Blackhole),
        Adjacency::Broadcast => note.drop(DropReason::Ip4DirectedBroadcast),
        Adjacency::Failed { .. } => note.drop(DropReason::NeighborFailed),
        // The caller has sent these elsewhere.
        Adjacency::Local { .. } | Adjacency::Forward { .. } => note.drop(DropReason::LocalUnhandled),
    }
}
