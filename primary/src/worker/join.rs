//! Fragments for the gateway itself, or for services, that come to several workers: those of a packet are put together by one of them.
//!
//! ```text
//!   worker ─ Reassemble ─┬─► its own lib/reassembly
//!                        └─► ring ─► the worker that addresses, protocol and identification of the packet name
//! ```
//!
//! Until that one has them they count as waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk::ring::{self, MbufConsumer, MbufProducer};
use dpdk::{Eal, Mbuf, MbufBatch};
use packet::{EtherType, EthernetHeader};
use reassembly::Fragment;
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::Engine;
use super::dispatch::Refused;
use super::local::Arrived;
use super::ways::End;
use crate::adjacency;
use crate::path::{BURST, Family};
use crate::ports::PortsError;

/// Fragments on their way from a worker to another.
pub const FRAGMENTS: u32 = 256;

/// Where the way of a fragment goes on that came from another worker.
const HANDED_OVER: Passed = Passed::NONE.with(PathStage::Released).with(PathStage::Reassembly);

/// A worker's way to the others, and theirs to it.
pub struct Siblings {
    number: usize,
    /// By worker; none to itself.
    to: Vec<Option<MbufProducer>>,
    from: Vec<MbufConsumer>,
    /// By worker: whether there is something for it.
    mail: Vec<Arc<AtomicBool>>,
}

impl Siblings {
    /// Which of the workers it is.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// How many workers there are.
    pub(super) fn count(&self) -> usize {
        self.to.len()
    }
}

/// For each worker its own.
pub fn siblings(eal: &Eal, workers: usize) -> Result<Vec<Siblings>, PortsError> {
    let mail: Vec<_> = (0..workers).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let mut all: Vec<_> = (0..workers)
        .map(|number| Siblings {
            number,
            to: Vec::new(),
            from: Vec::new(),
            mail: mail.clone(),
        })
        .collect();
    for to in 0..workers {
        for from in 0..workers {
            let mut producer = None;
            if from != to {
                let name = format!("fragments.w{from}.w{to}");
                let (put, take) =
                    ring::mbufs(eal, &name, FRAGMENTS).map_err(|source| PortsError::Ring { name, source })?;
                producer = Some(put);
                all[to].from.push(take);
            }
            all[from].to.push(producer);
        }
    }
    Ok(all)
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// The worker that puts the packet of a fragment together, if that is another. What is no fragment as it should be is
    /// everybody's own.
    pub(super) fn joined_by(
        &self,
        ingress: u16,
        frame: &[u8],
        link_len: usize,
        family: Family,
    ) -> Option<usize> {
        let workers = self.siblings.to.len();
        if workers == 1 {
            return None;
        }
        let packet = frame.get(link_len..)?;
        let fragment = match family {
            Family::Four => Fragment::parse_v4(packet),
            Family::Six => Fragment::parse_v6(packet, ingress),
        };
        let worker = fragment.ok()?.worker(workers);
        (worker != self.siblings.number).then_some(worker)
    }

    /// Gives a fragment to another worker.
    pub(super) fn hand_fragment(&mut self, worker: usize, ingress: u16, mbuf: Mbuf) -> Result<End, Refused> {
        let Some(Some(ring)) = self.siblings.to.get_mut(worker) else {
            return Err((mbuf, DropReason::SpreadRingFull));
        };
        let mut one = MbufBatch::<1>::new();
        one.push(mbuf)
            .map_err(|mbuf| (mbuf, DropReason::SpreadRingFull))?;
        // Before the other can take it.
        self.counters.add(ingress, InterfaceCounter::Waiting, 1);
        ring.enqueue(&mut one);
        if let Some(mbuf) = one.drain().next() {
            self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
            return Err((mbuf, DropReason::SpreadRingFull));
        }
        if let Some(mail) = self.siblings.mail.get(worker) {
            mail.store(true, Ordering::Release);
        }
        Ok(End::at(PathStage::Waiting))
    }

    /// Takes what other workers have for this one. Gives how many.
    #[inline]
    pub(super) fn serve_fragments(&mut self, now: u64) -> usize {
        let mail = self.siblings.mail.get(self.siblings.number);
        if mail.is_some_and(|mail| mail.load(Ordering::Relaxed)) {
            self.take_from_others(now)
        } else {
            0
        }
    }

    #[cold]
    fn take_from_others(&mut self, now: u64) -> usize {
        let Some(mail) = self.siblings.mail.get(self.siblings.number).cloned() else {
            return 0;
        };
        // What was put in before the mark is seen with it; what comes later brings a mark of its own.
        mail.swap(false, Ordering::AcqRel);
        let mut batch = MbufBatch::<BURST>::new();
        let mut taken = 0;
        for number in 0..self.siblings.from.len() {
            let count = self.siblings.from[number].dequeue(&mut batch);
            if count == BURST {
                mail.store(true, Ordering::Relaxed);
            }
            taken += count;
            for mbuf in batch.drain() {
                self.take_handed(mbuf, now);
            }
        }
        taken
    }

    fn take_handed(&mut self, mbuf: Mbuf, now: u64) {
        let ingress = self.interface_of(&mbuf).unwrap_or_default();
        self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
        self.join(HANDED_OVER, ingress, mbuf, now);
    }

    /// Keeps a fragment that came in by `ingress`, or gives it to the worker that puts its packet together. Its way begins with `from`.
    #[cold]
    pub(super) fn join(&mut self, from: Passed, ingress: u16, mbuf: Mbuf, now: u64) {
        // It may lie in several segments.
        let mut buffer = std::mem::take(&mut self.buffer);
        let length = mbuf.copy_to(&mut buffer);
        let frame = buffer.get(..length).unwrap_or_default();
        let (link_len, family) = match EthernetHeader::parse(frame) {
            Ok((link, _)) if link.ethertype == EtherType::IPV4 => (link.len(), Family::Four),
            Ok((link, _)) => (link.len(), Family::Six),
            // Refused as too short below.
            Err(_) => (usize::MAX, Family::Four),
        };
        if let Some(worker) = self.joined_by(ingress, frame, link_len, family) {
            self.buffer = buffer;
            let end = match self.hand_fragment(worker, ingress, mbuf) {
                Ok(end) => end.passed,
                Err((mut mbuf, reason)) => {
                    self.drop_one(ingress, reason, PathStage::Reassembly, &mut mbuf);
                    Passed::NONE.with(PathStage::Drop)
                }
            };
            return self.count_way(from.union(end));
        }
        let punts = self.stages.punts.clone();
        let arrived = Arrived {
            ingress,
            frame,
            mark: mbuf.mark(),
            link_len,
            family,
        };
        let kept = self.take_fragment(&arrived, &punts, now);
        self.buffer = buffer;
        let end = match kept {
            Ok(end) => end.passed,
            Err((reason, detail)) => self.refuse(ingress, mbuf, reason, detail, PathStage::Reassembly, now),
        };
        self.count_way(from.union(end));
        self.place_joined(now);
    }

    /// Counts what others had for this worker as dropped: it ends.
    pub(super) fn stop_handed_fragments(&mut self) {
        let mut batch = MbufBatch::<BURST>::new();
        for number in 0..self.siblings.from.len() {
            while self.siblings.from[number].dequeue(&mut batch) > 0 {
                for mut mbuf in batch.drain() {
                    let ingress = self.interface_of(&mbuf).unwrap_or_default();
                    self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                    self.drop_one(ingress, DropReason::Stopping, PathStage::Reassembly, &mut mbuf);
                }
            }
        }
    }
}
