//! The lookup of IPv6 destinations, and what becomes of a packet whose route leads to no link.

use fib::NextHop;
use shm::DropReason;

use super::{Alive, BURST, Disposition, Note, Packet, Stages, ip6_input, rewrite};
use crate::adjacency::{self, Adjacency};

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Looks up the destinations of the IPv6 packets of a burst.
    #[inline(never)]
    pub(super) fn lookup6<P: Packet>(
        &self,
        packets: &mut [P],
        notes: &[Note],
        alive: Alive,
        next_hops: &mut [NextHop],
    ) {
        let mut destinations = [0; BURST];
        let mut found = [NextHop::NONE; BURST];
        let mut count = 0;
        for (number, (packet, note)) in packets.iter_mut().zip(notes).enumerate() {
            if alive.contains(number) {
                destinations[count] = ip6_input::destination(packet.first(), usize::from(note.network));
                count += 1;
            }
        }
        self.fib6
            .lookup_burst(&destinations[..count], &mut found[..count]);
        let mut found = found.iter();
        for (number, next_hop) in next_hops.iter_mut().enumerate() {
            if alive.contains(number) {
                *next_hop = found.next().copied().unwrap_or_default();
            }
        }
    }
}

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
        Adjacency::Local { .. } | Adjacency::Anycast { .. } | Adjacency::Forward { .. } => {
            Disposition::Drop(DropReason::LocalUnhandled)
        }
    };
}
