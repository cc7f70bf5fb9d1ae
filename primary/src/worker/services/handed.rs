//! Packets of connections of other workers: handed over by rings.
//!
//! ```text
//!   bytes of the destination MAC address, which is always that of the interface
//!   0                       1, 2                                               3 ... 5
//!   workers that had it  │  longest fragment that it was made of, 0: of none │ 0
//! ```
//!
//! The source stays: the worker whose connection it is learns the way back from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk::ring::{self, MbufConsumer, MbufProducer};
use dpdk::{Eal, Mbuf, MbufBatch};
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::super::Engine;
use crate::adjacency;
use crate::path::BURST;
use crate::ports::PortsError;

/// Packets on their way from a worker to another.
pub const BALANCED: u32 = 512;

/// Where the way of a packet goes on that came from another worker.
pub(super) const RELEASED: Passed = Passed::NONE.with(PathStage::Released).with(PathStage::Service);

/// Bytes of a MAC address.
const MAC_LEN: usize = 6;

/// What a worker says to another of a packet that it gives to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// Workers that had it.
    pub(super) asked: u8,
    /// Bytes of the longest of the fragments that it was put together from; 0 if it came whole.
    pub(super) longest: u16,
}

/// A worker's ways to the others, and theirs to it.
pub struct Balancing {
    number: usize,
    to: Vec<To>,
    from: Vec<MbufConsumer>,
    /// By worker: whether there is something for it.
    mail: Vec<Arc<AtomicBool>>,
}

/// The way to a worker.
struct To {
    /// None to itself.
    ring: Option<MbufProducer>,
    /// What is to go there at the end of the burst.
    batch: MbufBatch<BURST>,
}

impl Balancing {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn workers(&self) -> usize {
        self.mail.len()
    }

    /// Whether there is something for this worker.
    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        self.mail
            .get(self.number)
            .is_some_and(|mail| mail.load(Ordering::Relaxed))
    }
}

/// For each worker its own; without rings where there can be no connection.
pub fn balancing(eal: &Eal, workers: usize, connections: usize) -> Result<Vec<Balancing>, PortsError> {
    let mail: Vec<_> = (0..workers).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let mut all: Vec<_> = (0..workers)
        .map(|number| Balancing {
            number,
            to: Vec::new(),
            from: Vec::new(),
            mail: mail.clone(),
        })
        .collect();
    if connections == 0 {
        return Ok(all);
    }
    for to in 0..workers {
        for from in 0..workers {
            let mut ring = None;
            if from != to {
                let name = format!("services.w{from}.w{to}");
                let (put, take) =
                    ring::mbufs(eal, &name, BALANCED).map_err(|source| PortsError::Ring { name, source })?;
                ring = Some(put);
                all[to].from.push(take);
            }
            all[from].to.push(To {
                ring,
                batch: MbufBatch::new(),
            });
        }
    }
    Ok(all)
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Gives a packet to the worker that has its connection, or may have it, at the end of the burst.
    pub(super) fn hand_to_balancer(
        &mut self,
        worker: usize,
        label: Label,
        ingress: u16,
        mut mbuf: Mbuf,
    ) -> Result<(), Mbuf> {
        let Some(to) = self.services.handover.to.get_mut(worker) else {
            return Err(mbuf);
        };
        let Some(place) = mbuf.data_mut().first_chunk_mut::<MAC_LEN>() else {
            return Err(mbuf);
        };
        if to.ring.is_none() {
            return Err(mbuf);
        }
        let [high, low] = label.longest.to_be_bytes();
        *place = [label.asked, high, low, 0, 0, 0];
        match to.batch.push(mbuf) {
            Ok(()) => {
                // Before the other can take it.
                self.counters.add(ingress, InterfaceCounter::Waiting, 1);
                Ok(())
            }
            Err(mut mbuf) => {
                self.unlabel(ingress, &mut mbuf);
                Err(mbuf)
            }
        }
    }

    /// Puts into the rings what the burst had for other workers.
    pub(super) fn hand_over_balanced(&mut self) {
        for worker in 0..self.services.handover.to.len() {
            let Some(to) = self.services.handover.to.get_mut(worker) else {
                return;
            };
            if to.batch.is_empty() {
                continue;
            }
            if let Some(ring) = &mut to.ring {
                ring.enqueue(&mut to.batch);
            }
            let mut refused = std::mem::take(&mut to.batch);
            if let Some(mail) = self.services.handover.mail.get(worker) {
                mail.store(true, Ordering::Release);
            }
            for mut mbuf in refused.drain() {
                let ingress = self.interface_of(&mbuf).unwrap_or_default();
                self.unlabel(ingress, &mut mbuf);
                self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                let interface = self.balanced_by(ingress, &mut mbuf);
                self.drop_one(
                    interface,
                    DropReason::SpreadRingFull,
                    PathStage::Waiting,
                    &mut mbuf,
                );
                self.count_way(RELEASED.with(PathStage::Drop));
            }
        }
    }

    /// Takes the label of a packet, and puts back what stood in its place.
    fn unlabel(&self, ingress: u16, mbuf: &mut Mbuf) -> Label {
        let mac = self
            .stages
            .interfaces
            .get(usize::from(ingress))
            .map(|view| view.mac);
        match mbuf.data_mut().first_chunk_mut::<MAC_LEN>() {
            Some(place) => {
                let [asked, high, low, ..] = std::mem::replace(place, mac.unwrap_or_default().octets());
                let longest = u16::from_be_bytes([high, low]);
                Label { asked, longest }
            }
            None => Label::default(),
        }
    }

    /// Takes what other workers have for connections of this one. Gives how many.
    #[cold]
    pub(super) fn take_balanced(&mut self, now: u64) -> usize {
        let Some(mail) = self
            .services
            .handover
            .mail
            .get(self.services.handover.number)
            .cloned()
        else {
            return 0;
        };
        // What was put in before the mark is seen with it; what comes later brings a mark of its own.
        mail.swap(false, Ordering::AcqRel);
        let mut batch = MbufBatch::<BURST>::new();
        let mut taken = 0;
        for from in 0..self.services.handover.from.len() {
            let count = self.services.handover.from[from].dequeue(&mut batch);
            if count == BURST {
                mail.store(true, Ordering::Relaxed);
            }
            taken += count;
            self.judge_handed(&mut batch, now);
        }
        taken
    }

    /// Judges those together that came by the same interface, and were handed over as often.
    fn judge_handed(&mut self, batch: &mut MbufBatch<BURST>, now: u64) {
        let mut alike = MbufBatch::<BURST>::new();
        let mut of = (0, 0);
        for mut mbuf in batch.drain() {
            let ingress = self.interface_of(&mbuf).unwrap_or_default();
            let Label { asked, longest } = self.unlabel(ingress, &mut mbuf);
            self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
            if longest > 0 {
                self.judge_again(ingress, Label { asked, longest }, mbuf, now);
                continue;
            }
            if of != (ingress, asked) && !alike.is_empty() {
                self.judge_released(of.0, of.1, &mut alike, now);
            }
            of = (ingress, asked);
            // No more than there were in the batch.
            drop(alike.push(mbuf));
        }
        if !alike.is_empty() {
            self.judge_released(of.0, of.1, &mut alike, now);
        }
    }

    fn judge_released(&mut self, ingress: u16, asked: u8, batch: &mut MbufBatch<BURST>, now: u64) {
        self.judge_burst(Passed::NONE.with(PathStage::Released), asked, ingress, batch, now);
        // Of a connection that is over, for what is no service any more.
        for mbuf in batch.drain() {
            self.go_through(RELEASED, ingress, mbuf, now);
        }
    }

    /// Counts what others had for this worker as dropped: it ends.
    pub(in crate::worker) fn stop_balanced(&mut self) {
        let mut batch = MbufBatch::<BURST>::new();
        for from in 0..self.services.handover.from.len() {
            while self.services.handover.from[from].dequeue(&mut batch) > 0 {
                for mut mbuf in batch.drain() {
                    let ingress = self.interface_of(&mbuf).unwrap_or_default();
                    self.unlabel(ingress, &mut mbuf);
                    self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                    self.drop_one(ingress, DropReason::Stopping, PathStage::Waiting, &mut mbuf);
                }
            }
        }
    }
}
