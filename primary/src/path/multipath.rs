//! Routes that lead to a group: which of its adjacencies a packet goes by, and whether it is short enough for the route.

use std::net::IpAddr;

use fib::NextHop;
use shm::PathStage;

use super::rewrite::Onward;
use super::{Alive, Family, Note, Packet, Stages, Tracer};
use crate::adjacency::{self, Adjacency};
use crate::flow;

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Puts adjacencies in place of the groups among the next hops of a burst. A packet that is too long for its route leaves
    /// in fragments or goes no further, unless it has to wait or goes nowhere: what becomes of it is seen then.
    #[inline(never)]
    pub(super) fn choose_members<P: Packet, T: Tracer>(
        &self,
        ingress: u16,
        tracer: &mut T,
        packets: &mut [P],
        notes: &mut [Note],
        alive: &mut Alive,
        next_hops: &mut [NextHop],
    ) {
        for (number, ((packet, note), next_hop)) in packets.iter_mut().zip(notes).zip(next_hops).enumerate() {
            let Some(group) = self.adjacencies.group(*next_hop) else {
                continue;
            };
            let network = usize::from(note.network);
            let packet = packet.first();
            let datagram = packet.get(network..).unwrap_or_default();
            *next_hop = group.adjacency(|seed| match note.family {
                Family::Four => flow::hash4(seed, datagram),
                Family::Six => flow::hash6(seed, datagram),
            });
            note.passed = note.passed.with(PathStage::Multipath);
            tracer.enter(PathStage::Multipath);
            if note.length - u16::from(note.network) > group.mtu()
                && let Adjacency::Forward { interface, mac } = self.adjacencies.load(*next_hop)
                && (!note.stays_on_link() || interface == note.ingress(ingress))
            {
                self.adjacencies.mark_used(*next_hop);
                tracer.found(*next_hop);
                tracer.enter(PathStage::Rewrite);
                let to = Onward {
                    next_hop: *next_hop,
                    egress: interface,
                    mac,
                    mtu: group.mtu(),
                };
                self.forward(tracer, ingress, to, packet, note);
                alive.remove(number);
                *next_hop = NextHop::NONE;
            }
        }
    }

    /// Whether a packet that waits for the neighbour `awaited` on `interface` would still have to, by a route that leads to
    /// `next_hop`.
    pub(super) fn leads_to_unknown(&self, next_hop: NextHop, interface: u16, awaited: IpAddr) -> bool {
        let unknown = |next_hop| {
            matches!(
                self.adjacencies.load(next_hop),
                Adjacency::Glean { .. } | Adjacency::Incomplete { .. }
            )
        };
        let Some(group) = self.adjacencies.group(next_hop) else {
            return unknown(next_hop);
        };
        group.buckets().any(|member| {
            self.adjacencies.load(member) == Adjacency::Incomplete { interface }
                && self.adjacencies.next_hop(member) == awaited
        })
    }
}
