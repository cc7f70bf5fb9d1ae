//! What becomes of a packet whose route leads to no link.

use fib::NextHop;
use shm::DropReason;

use super::{Disposition, Note, rewrite};
use crate::adjacency::Adjacency;

/// Waits for a next hop that is not known yet, or drops. Nobody is asked on behalf of a packet that goes no further.
#[cold]
pub(super) fn unforwardable(adjacency: Adjacency, next_hop: NextHop, packet: &[u8], note: &mut Note) {
    let header = packet.get(usize::from(note.network)..).unwrap_or_default();
    note.disposition = match adjacency {
        Adjacency::Glean { .. } | Adjacency::Incomplete { .. } | Adjacency::Failed { .. }
            if rewrite::has_expired(note.family, header) =>
        {
            Disposition::Drop(DropReason::TtlExpired)
        }
        Adjacency::Glean { interface } | Adjacency::Incomplete { interface } => Disposition::Wait {
            interface,
            adjacency: next_hop,
        },
        Adjacency::NoRoute => Disposition::Drop(DropReason::NoRoute),
        Adjacency::Blackhole => Disposition::Drop(DropReason::Blackhole),
        Adjacency::Unreachable => Disposition::Drop(DropReason::Unreachable),
        Adjacency::Prohibit => Disposition::Drop(DropReason::Prohibited),
        Adjacency::Broadcast => Disposition::Drop(DropReason::Ip4DirectedBroadcast),
        Adjacency::Failed { .. } => Disposition::Drop(DropReason::NeighborFailed),
        // The caller has sent these elsewhere.
        Adjacency::Local { .. } | Adjacency::Forward { .. } => Disposition::Drop(DropReason::LocalUnhandled),
    };
}
