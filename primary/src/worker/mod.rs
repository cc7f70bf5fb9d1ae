//! A worker: takes bursts from its receive queues through the stages of [`crate::path`] and does what they note.
//!
//! ```text
//!   receive queues ─► path ─► dispatch ─┬─► transmit batches ─► transmit queue, or ring to the worker that has it
//!   ring from control ──────────────────┤      ▲
//!   rings from other workers, taps ─────┘      │ in order, once the next hop is known
//!   tunnels, at the end of a round ──────┘      │
//!                                waiting ◄─────┴─► ring to control: resolve this next hop
//! ```
//!
//! Nothing here allocates, locks or logs, and the only system calls are the sleep of an idle worker and the wake-up of a
//! sleeping control thread.

mod alert_limits;
mod alerts;
mod away;
mod dispatch;
pub mod doorbell;
mod dropped;
mod errors;
mod esp;
mod fair_share;
mod following;
mod fragment;
mod idle;
mod join;
mod kernel;
mod links;
mod local;
mod policer;
mod redirect;
mod services;
pub mod spread;
mod tally;
mod tools;
mod traced;
mod transmit;
mod tunnels;
mod vlan;
mod waiting;
mod watched;
mod ways;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk::ring::{Arrivals, MbufConsumer, MbufProducer, Producer};
use dpdk::{Chain, MbufBatch, Pool, PortId, RxQueue};
use fib::quiescence::Checkpoint;
use lb::Balancer;
use reassembly::Reassembler;
use shm::attachment::Way;
use shm::records::IdlePolicy;
use shm::{CounterBlock, DropReason, InterfaceCounter, PathStage};

pub use self::alert_limits::{AlertLimits, AlertPolicy, Excess, Spent};
use self::away::Away;
use self::doorbell::Doorbell;
use self::esp::Esp;
pub use self::esp::{HANDED, Handover, LONG_BUFFERS, handovers, long_room};
use self::following::Following;
use self::idle::Idle;
pub use self::join::{FRAGMENTS, Siblings, siblings};
pub use self::kernel::ToKernel;
pub use self::links::{LinkControl, LinkNews, Policies, news};
pub use self::policer::Bucket;
use self::policer::Policers;
use self::redirect::Told;
use self::services::Services;
pub use self::services::{BALANCED, Balancing, balancing};
use self::spread::{HandedOver, Spread};
pub use self::tally::LongestAnew;
use self::tally::Tally;
pub use self::transmit::Exit;
use self::transmit::Transmit;
use self::tunnels::Tunnels;
pub use self::vlan::{count_sent, tag};
pub use self::waiting::MOST_WAITING;
use self::waiting::Waiting;
use crate::adjacency;
use crate::attachments::{Consumers, HandedBack, Parts, Seen, Taps};
use crate::balancer::BalancerNews;
use crate::ipsec::EspNews;
use crate::path::{BURST, Burst, NOTES, Note, Off, Stages, Together};
use crate::trace;

/// A worker asks the control thread to find a neighbour.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ResolveRequest {
    /// Address of the next hop; IPv4 addresses are IPv4-mapped.
    pub next_hop: [u8; 16],
    /// Index of the interface that it is on.
    pub interface: u32,
}

/// Packets that the control thread made or the kernel sent, to leave by the interface that the ring is for.
pub struct Originated {
    /// Index of the interface.
    pub interface: u16,
    /// Whole frames.
    pub frames: MbufConsumer,
    /// Whether they come from the kernel, by the interface's tap. Those are counted when they are taken here.
    pub from_kernel: bool,
}

/// A receive queue and the interface that it belongs to.
pub struct Entry {
    /// Index of the interface.
    pub interface: u16,
    /// The queue.
    pub queue: RxQueue,
    /// Whom its packets go to, where there are fewer queues than workers.
    pub spread: Option<Spread>,
}

/// Everything that a worker owns.
pub struct Worker<F, A> {
    /// The stages.
    pub stages: Stages<F, A>,
    /// Its receive queues.
    pub entries: Vec<Entry>,
    /// What other workers receive for it.
    pub handed_over: Vec<HandedOver>,
    /// How packets leave, by interface index.
    pub exits: Vec<Exit>,
    /// Packets that others have for transmit queues of this worker.
    pub originated: Vec<Originated>,
    /// Whether there are any.
    pub arrivals: Arrivals,
    /// ARP and neighbour discovery packets for the control thread.
    pub discovery: MbufProducer,
    /// Next hops for the control thread to find.
    pub resolve: Producer<ResolveRequest>,
    /// Wakes the control thread.
    pub doorbell: Doorbell,
    /// Packets for the kernel.
    pub to_kernel: ToKernel,
    /// What each class of packets is like that is handed to others.
    pub policies: Policies,
    /// Its counters.
    pub counters: CounterBlock,
    /// Its quiescent points.
    pub checkpoint: Checkpoint,
    /// What it does when there is nothing to do.
    pub idle: IdlePolicy,
    /// Asked to begin its longest round anew.
    pub anew: LongestAnew,
    /// Set when the primary ends.
    pub stop: Arc<AtomicBool>,
    /// Interface by DPDK port id, and beyond those each sub-interface by its own index.
    pub interface_of_port: Vec<u16>,
    /// Sub-interfaces that come and go.
    pub links: LinkNews,
    /// Its part in captures.
    pub taps: Taps,
    /// Its part in tools that decide about packets.
    pub consumers: Consumers,
    /// Its part in traces.
    pub traces: Parts<trace::Part>,
    /// Ports by interface index.
    pub ports: Vec<PortId>,
    /// Where packets of tools are copied to, and what is cut into fragments.
    pub pool: Pool,
    /// By interface index: whether its port sends packets of several segments.
    pub takes_chains: Vec<bool>,
    /// Fragments for the gateway itself.
    pub reassembly: Reassembler,
    /// The workers that have others of them.
    pub siblings: Siblings,
    /// SAs that come and go.
    pub sas: EspNews,
    /// Ways to the workers that have other SAs.
    pub handover: Handover,
    /// Long buffers for packets of SAs; none where there can be no SA.
    pub long_pool: Option<Pool>,
    /// The most SAs that there can be.
    pub sa_limit: usize,
    /// Its connections to services of the load balancer.
    pub balancer: Balancer,
    /// Services that come, go or change.
    pub services: BalancerNews,
    /// Ways to the workers that have other connections.
    pub balancing: Balancing,
}

impl<F: fib::Storage, A: adjacency::Storage> Worker<F, A> {
    /// Forwards until it is told to stop; frees every packet that it still has then.
    // Never part of its caller: the bench counts what happens in it.
    #[inline(never)]
    pub fn run(self) {
        let mut engine = Engine {
            transmit: Transmit::new(self.exits, self.taps),
            waiting: Waiting::new(),
            policers: Policers::new(&self.policies.classes, dpdk::tsc_hz(), dpdk::tsc()),
            told: Told::new(dpdk::tsc_hz()),
            stages: self.stages,
            discovery: self.discovery,
            resolve: self.resolve,
            doorbell: self.doorbell,
            to_kernel: self.to_kernel,
            counters: self.counters,
            consumers: self.consumers,
            traces: self.traces,
            away: Away::new(),
            following: Following::new(self.siblings.number()),
            tunnels: Tunnels::new(&self.siblings),
            esp: Esp::new(
                self.sas,
                self.handover,
                self.long_pool,
                self.sa_limit,
                self.interface_of_port.len(),
            ),
            services: Services::new(self.balancer, self.services, self.balancing),
            interface_of_port: self.interface_of_port,
            handed_back: Vec::with_capacity(HANDED_BACK),
            ports: self.ports,
            pool: self.pool,
            takes_chains: self.takes_chains,
            reassembly: self.reassembly,
            siblings: self.siblings,
            buffer: vec![0; local::LONGEST_FRAME],
            identification: dpdk::tsc() as u32,
        };
        let mut entries = self.entries;
        let mut handed_over = self.handed_over;
        let mut originated = self.originated;
        let mut links = self.links;
        let mut checkpoint = self.checkpoint;
        let mut idle = Idle::new(self.idle);
        let mut tally = Tally::new(self.anew);
        let mut batch = MbufBatch::<BURST>::new();
        let mut notes = NOTES;

        let mut begin = dpdk::tsc();
        while !self.stop.load(Ordering::Relaxed) {
            checkpoint.pass();
            if let Some(news) = links.take(&mut engine.stages.interfaces, &engine.counters) {
                engine.learn(news, begin);
            }
            engine.esp.take_news();
            let mut moved = engine.serve_services(begin);
            if engine.transmit.taps.serve() {
                engine.doorbell.ring();
            }
            engine.serve_traces();
            moved += engine.serve_tools(begin);
            let mut received = 0;
            for entry in &mut entries {
                let mut count = entry.queue.receive(&mut batch);
                if count > 0 {
                    if let Some(spread) = &mut entry.spread {
                        let others = engine.spread(entry.interface, spread, &mut batch);
                        tally.handed_over += others as u64;
                        moved += others;
                        count = batch.len();
                    }
                    if count > 0 {
                        received += count;
                        let queue = Some(entry.queue.index());
                        engine.burst(entry.interface, queue, &mut batch, &mut notes, begin);
                    }
                }
            }
            for source in &mut handed_over {
                let count = source.packets.dequeue(&mut batch);
                if count > 0 {
                    received += count;
                    engine.burst(
                        source.interface,
                        Some(source.queue),
                        &mut batch,
                        &mut notes,
                        begin,
                    );
                }
            }
            moved += received;
            if self.arrivals.take() {
                for source in &mut originated {
                    moved += engine.pass_on(source, &mut batch);
                    if !source.frames.is_empty() {
                        self.arrivals.note();
                    }
                }
            }
            moved += engine.serve_waiting(begin);
            moved += engine.serve_fragments(begin);
            if engine.reassembly.is_due(begin) {
                moved += engine.expire_fragments(begin);
            }
            moved += engine.serve_handed_esp(begin);
            moved += engine.serve_tunnels(begin);
            engine.transmit.flush(&engine.counters);
            engine.transmit.taps.publish();
            let now = dpdk::tsc();
            tally.round(begin, now, received, moved);
            // One look at the clock a round: it takes as long as a packet.
            begin = now;
            let watched = !engine.transmit.taps.is_empty() || engine.consumers.are_urgent();
            if idle.round(moved, watched, &mut checkpoint) {
                tally.sleeps += 1;
                tally.publish(&engine, now);
                begin = dpdk::tsc();
            } else if tally.is_due() {
                tally.publish(&engine, now);
            }
        }
        engine.stop(&mut originated, &mut batch);
        tally.publish(&engine, dpdk::tsc());
    }
}

/// The parts of a worker that handle packets.
struct Engine<F, A> {
    stages: Stages<F, A>,
    transmit: Transmit,
    waiting: Waiting,
    policers: Policers,
    /// Who was told of a better next hop a moment ago.
    told: Told,
    discovery: MbufProducer,
    resolve: Producer<ResolveRequest>,
    doorbell: Doorbell,
    to_kernel: ToKernel,
    counters: CounterBlock,
    interface_of_port: Vec<u16>,
    consumers: Consumers,
    traces: Parts<trace::Part>,
    /// Traced packets that tools have.
    away: Away,
    /// Traced packets that tunnels have.
    following: Following,
    /// Packets of tunnels.
    tunnels: Tunnels,
    /// SAs, and packets of theirs.
    esp: Esp,
    /// Services, and connections to them.
    services: Services,
    /// What tools had in their hands when they went.
    handed_back: Vec<HandedBack>,
    ports: Vec<PortId>,
    pool: Pool,
    takes_chains: Vec<bool>,
    reassembly: Reassembler,
    siblings: Siblings,
    /// For packets of several segments, where all of one is looked at.
    buffer: Vec<u8>,
    /// Of the last IPv6 packet that was sent in fragments.
    identification: u32,
}

/// Packets that are with a tool or behind such at a time, unless attachments have more memory than usual: room for them all when it
/// goes.
const HANDED_BACK: usize = 8192;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Takes a received burst through the stages and does what they note; the batch is empty afterwards. What `notes` had before
    /// does not matter.
    #[inline]
    fn burst(
        &mut self,
        ingress: u16,
        queue: Option<u16>,
        batch: &mut MbufBatch<BURST>,
        notes: &mut [Note; BURST],
        now: u64,
    ) {
        let (mut bytes, mut segmented) = (0, false);
        for mbuf in batch.iter() {
            mbuf.prefetch_data();
            bytes += mbuf.len();
            segmented |= mbuf.segment_count() != 1;
        }
        let count = batch.len() as u64;
        self.counters.add(ingress, InterfaceCounter::RxPackets, count);
        self.counters
            .add(ingress, InterfaceCounter::RxBytes, bytes as u64);
        self.transmit
            .taps
            .observe(&Seen::by_queue(ingress, Way::Rx, queue), batch);
        self.received(ingress, batch, bytes, segmented, notes, now);
    }

    /// As [`burst`](Self::burst), for a burst of so many `bytes` that has been counted and shown. `segmented` says whether one of its packets
    /// has several segments.
    #[inline]
    fn received(
        &mut self,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        mut bytes: usize,
        segmented: bool,
        notes: &mut [Note; BURST],
        now: u64,
    ) {
        if self.stages.interfaces.has_esp() {
            bytes = self.esp_first(ingress, batch, segmented, now);
            if batch.is_empty() {
                return;
            }
        }
        if self.services.are_on() {
            bytes = self.services_first(ingress, batch, now);
            if batch.is_empty() {
                return;
            }
        }
        let count = batch.len() as u64;
        if self.looks_on() && self.trace_burst(ingress, batch, now) {
            return;
        }
        if segmented {
            let packets = Chain::of(batch);
            self.stages.run(ingress, &mut Burst { packets, notes });
            return self.dispatch(&mut Off, ingress, batch, notes, now);
        }
        let together = self.stages.run(
            ingress,
            &mut Burst {
                packets: batch,
                notes,
            },
        );
        let Some(Together { egress, six }) = together else {
            return self.dispatch(&mut Off, ingress, batch, notes, now);
        };
        if !self.waiting.is_empty() {
            // A next hop that the stages found resolved may still have packets waiting: they leave first.
            self.serve_waiting(now);
        }
        if self.transmit.has(egress) {
            self.transmit.append(egress, batch, bytes, &self.counters);
        } else {
            self.seal_together(egress, batch, bytes, now);
        }
        if six == 0 && batch.is_empty() {
            self.counters.usual4(count);
        } else {
            self.count_together(count, six.into(), batch);
        }
        if !batch.is_empty() {
            self.drop_all(ingress, DropReason::TxFull, PathStage::Tx, batch);
            batch.clear();
        }
    }

    /// Sends what the control thread or another worker has for a queue of this worker.
    fn pass_on(&mut self, source: &mut Originated, batch: &mut MbufBatch<BURST>) -> usize {
        let count = source.frames.dequeue(batch);
        if source.from_kernel && count > 0 {
            self.count_from_kernel(source.interface, count);
        }
        for mbuf in batch.drain() {
            if let Err((mut mbuf, reason)) = self.leave(source.interface, mbuf) {
                let interface = self.interface_of(&mbuf).unwrap_or(source.interface);
                self.drop_one(interface, reason, PathStage::Tx, &mut mbuf);
            }
        }
        count
    }

    /// Frees what is left, each packet counted.
    fn stop(&mut self, originated: &mut [Originated], batch: &mut MbufBatch<BURST>) {
        self.transmit.flush(&self.counters);
        for source in originated {
            while source.frames.dequeue(batch) > 0 {
                if source.from_kernel {
                    self.count_from_kernel(source.interface, batch.len());
                }
                for mut mbuf in batch.drain() {
                    let interface = self.interface_of(&mbuf).unwrap_or(source.interface);
                    self.drop_one(interface, DropReason::Stopping, PathStage::Tx, &mut mbuf);
                }
            }
        }
        self.stop_tools();
        self.stop_handed_fragments();
        self.stop_fragments();
        self.stop_waiting();
        self.stop_handed_esp();
        self.stop_balanced();
        self.stop_tunnels();
        while let Some((exit, mut mbuf)) = self.transmit.take_one() {
            let interface = self.interface_of(&mbuf).unwrap_or(exit);
            self.drop_one(interface, DropReason::Stopping, PathStage::Tx, &mut mbuf);
        }
        self.transmit.taps.stop();
        self.traces.stop(|_| {});
    }
}
