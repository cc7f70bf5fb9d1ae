//! Packets that wait until their next hop is known: a bounded queue per next hop, kept by the worker that received them,
//! so that they leave in order and before anything that comes after them.
//!
//! Next hops that never answer are waited for as well, and whoever scans a subnet makes many of them. So queues are looked at only
//! when the control thread may have changed something, and now and then for those whose time is over: other packets
//! pay nothing for them. They do not keep others from waiting either: where all queues are taken, one of whoever has more than a
//! fair share gives way ([`super::fair_share`]).

use std::net::IpAddr;

use dpdk::{Chain, Mbuf, MbufBatch};
use shm::records::ip_field;
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::dispatch::Refused;
use super::fair_share::{self, Taken};
use super::{Engine, ResolveRequest};
use crate::adjacency;
use crate::path::Off;

/// Packets that are kept for one next hop.
const DEPTH: usize = 64;
/// Next hops that are waited for at a time.
pub(super) const NEXT_HOPS: usize = 64;
/// The most packets that a worker keeps waiting.
pub const MOST_WAITING: usize = DEPTH * NEXT_HOPS;
/// Seconds between two requests for the same next hop, should the first get lost.
const ASK_AGAIN_SECONDS: u64 = 1;
/// Seconds after which packets are given up even if nobody said that the next hop failed.
const PATIENCE_SECONDS: u64 = 10;
/// How often in a second queues are looked at although nothing has changed.
const LOOKS_PER_SECOND: u64 = 64;

pub(super) struct Waiting {
    queues: Vec<Queue>,
    tsc_hz: u64,
    /// The turn of the control thread whose tables the queues were compared with; none since a new one was made.
    compared: Option<u64>,
    /// When that was.
    looked: u64,
    /// Interfaces that packets come in and leave by for whom no queue gave way; none since there was a new one. So a flood is
    /// refused without a look at all queues for each of its packets.
    refused: Option<(u16, u16)>,
}

/// What a packet waits for.
#[derive(Clone, Copy)]
pub(super) struct Awaited {
    pub(super) interface: u16,
    pub(super) next_hop: IpAddr,
    /// Of the packet: the FIB is asked for it, so that the answer is the one that the packet itself would get.
    pub(super) destination: IpAddr,
}

struct Queue {
    awaited: Awaited,
    /// The interface that its first packet came in by.
    ingress: u16,
    since: u64,
    asked: u64,
    packets: MbufBatch<DEPTH>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        // Room for all, so that nothing is allocated later.
        Self {
            queues: Vec::with_capacity(NEXT_HOPS),
            tsc_hz: dpdk::tsc_hz(),
            compared: None,
            looked: 0,
            refused: None,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether all queues were compared with tables that are still the same, a moment ago.
    #[inline]
    fn is_settled(&self, turns: u64, now: u64) -> bool {
        self.compared == Some(turns)
            && turns.is_multiple_of(2)
            && now.wrapping_sub(self.looked) < self.tsc_hz / LOOKS_PER_SECOND
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Keeps a packet until its next hop is known, and has the control thread ask for it.
    #[cold]
    pub(super) fn wait(
        &mut self,
        ingress: u16,
        awaited: Awaited,
        mbuf: Mbuf,
        now: u64,
    ) -> Result<(), Refused> {
        let queues = &self.waiting.queues;
        let same = |queue: &Queue| {
            queue.awaited.next_hop == awaited.next_hop && queue.awaited.interface == awaited.interface
        };
        let index = match queues.iter().position(same) {
            Some(index) => index,
            None => {
                if queues.len() == NEXT_HOPS && !self.make_room(ingress, awaited.interface, now) {
                    return Err((mbuf, DropReason::NeighborQueueFull));
                }
                self.waiting.queues.push(Queue {
                    awaited,
                    ingress,
                    since: now,
                    asked: now,
                    packets: MbufBatch::new(),
                });
                // The tables may have changed since the stages found the next hop unknown.
                self.waiting.compared = None;
                self.waiting.refused = None;
                self.ask(awaited);
                self.waiting.queues.len() - 1
            }
        };
        let queue = &mut self.waiting.queues[index];
        queue
            .packets
            .push(mbuf)
            .map_err(|mbuf| (mbuf, DropReason::NeighborQueueFull))?;
        self.counters.add(ingress, InterfaceCounter::Waiting, 1);
        Ok(())
    }

    /// Drops what waits in the queue that gives way to another, if one has to.
    fn make_room(&mut self, ingress: u16, egress: u16, now: u64) -> bool {
        if self.waiting.refused == Some((ingress, egress)) {
            return false;
        }
        let taken = self.waiting.queues.iter().map(|queue| Taken {
            ingress: queue.ingress,
            egress: queue.awaited.interface,
            since: queue.since,
        });
        let Some(index) = fair_share::gives_way(taken, ingress, egress) else {
            self.waiting.refused = Some((ingress, egress));
            return false;
        };
        let queue = self.waiting.queues.swap_remove(index);
        self.release(queue.packets, Some(DropReason::NeighborQueueFull), now);
        true
    }

    /// Sends what waits for next hops that are known by now, drops what waits for those that failed. Returns how many
    /// packets moved.
    #[inline]
    pub(super) fn serve_waiting(&mut self, now: u64) -> usize {
        if self.waiting.is_empty() {
            return 0;
        }
        let turns = self.doorbell.turns();
        if self.waiting.is_settled(turns, now) {
            return 0;
        }
        (self.waiting.compared, self.waiting.looked) = (Some(turns), now);
        self.serve_queues(now)
    }

    #[cold]
    fn serve_queues(&mut self, now: u64) -> usize {
        let mut moved = 0;
        let mut index = 0;
        while let Some(queue) = self.waiting.queues.get_mut(index) {
            let seconds = now.wrapping_sub(queue.since) / self.waiting.tsc_hz;
            let Awaited {
                interface,
                next_hop,
                destination,
            } = queue.awaited;
            let must_wait = self.stages.must_wait(destination, interface, next_hop);
            if must_wait && seconds < PATIENCE_SECONDS {
                if now.wrapping_sub(queue.asked) / self.waiting.tsc_hz >= ASK_AGAIN_SECONDS {
                    queue.asked = now;
                    let awaited = queue.awaited;
                    self.ask(awaited);
                }
                index += 1;
                continue;
            }
            let queue = self.waiting.queues.swap_remove(index);
            moved += queue.packets.len();
            let gave_up = must_wait.then_some(DropReason::NeighborFailed);
            self.release(queue.packets, gave_up, now);
        }
        moved
    }

    /// Takes packets that have waited through the stages once more, each by its own destination: routes may have changed
    /// meanwhile. Those that were given up for a reason are dropped.
    fn release(&mut self, mut packets: MbufBatch<DEPTH>, gave_up: Option<DropReason>, now: u64) {
        for mut mbuf in packets.drain() {
            let ingress = self.interface_of(&mbuf).unwrap_or_default();
            self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
            let released = Passed::NONE.with(PathStage::Released);
            if let Some(reason) = gave_up {
                let end = self.refuse(ingress, mbuf, reason, 0, PathStage::Waiting, now);
                self.count_way(released.union(end));
                continue;
            }
            let port = self.stages.interfaces.port_of(ingress);
            let note = self.stages.run_one(port, Chain::of_one(&mut mbuf));
            self.place_again(&mut Off, released, ingress, mbuf, &note, now);
        }
    }

    /// Frees what still waits.
    pub(super) fn stop_waiting(&mut self) {
        for mut queue in std::mem::take(&mut self.waiting.queues) {
            for mbuf in queue.packets.iter_mut() {
                let ingress = self.interface_of(mbuf).unwrap_or_default();
                self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                self.drop_one(ingress, DropReason::Stopping, PathStage::Waiting, mbuf);
            }
        }
    }

    fn ask(
        &mut self,
        Awaited {
            interface, next_hop, ..
        }: Awaited,
    ) {
        // A full ring loses the request; it is repeated while packets wait.
        self.resolve.enqueue(&[ResolveRequest {
            next_hop: ip_field(next_hop),
            interface: interface.into(),
        }]);
        self.doorbell.ring();
    }
}
