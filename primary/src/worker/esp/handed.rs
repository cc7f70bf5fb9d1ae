//! Packets of SAs of other workers: handed over by rings.
//!
//! ```text
//!   bytes of the link header, which nobody looks at any more
//!   0        1 2            3 4         5       6 7        8         9
//!   family │ ESP header at │ network at │ level │ tunnel │ in or out │ slot of its trace
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk::ring::{self, MbufConsumer, MbufProducer};
use dpdk::{Eal, Mbuf, MbufBatch};
use shm::{DropReason, InterfaceCounter, PathStage};

use super::super::Engine;
use super::super::dispatch::Refused;
use super::super::following::Slots;
use super::super::tunnels::Step;
use super::super::ways::End;
use crate::adjacency;
use crate::path::{BURST, Family};
use crate::ports::PortsError;

/// Packets on their way from a worker to another.
pub const HANDED: u32 = 512;

/// A worker's ways to the others, and theirs to it.
pub struct Handover {
    number: usize,
    /// By worker; none to itself.
    to: Vec<Option<MbufProducer>>,
    from: Vec<MbufConsumer>,
    /// By worker: whether there is something for it.
    mail: Vec<Arc<AtomicBool>>,
    /// What is written down of those that are traced.
    slots: Slots,
}

impl Handover {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn workers(&self) -> usize {
        self.to.len()
    }

    fn put(&mut self, worker: usize, mbuf: Mbuf) -> Result<(), Mbuf> {
        let Some(Some(ring)) = self.to.get_mut(worker) else {
            return Err(mbuf);
        };
        let mut one = MbufBatch::<1>::new();
        one.push(mbuf)?;
        ring.enqueue(&mut one);
        if let Some(mbuf) = one.pop() {
            return Err(mbuf);
        }
        if let Some(mail) = self.mail.get(worker) {
            mail.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Takes the mark that there is something, if there is.
    #[inline]
    fn has_mail(&self) -> bool {
        self.mail
            .get(self.number)
            .is_some_and(|mail| mail.load(Ordering::Relaxed))
    }
}

/// For each worker its own.
pub fn handovers(eal: &Eal, workers: usize) -> Result<Vec<Handover>, PortsError> {
    let mail: Vec<_> = (0..workers).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let slots = Slots::new();
    let mut all: Vec<_> = (0..workers)
        .map(|number| Handover {
            number,
            to: Vec::new(),
            from: Vec::new(),
            mail: mail.clone(),
            slots: slots.clone(),
        })
        .collect();
    for to in 0..workers {
        for from in 0..workers {
            let mut producer = None;
            if from != to {
                let name = format!("esp.w{from}.w{to}");
                let (put, take) =
                    ring::mbufs(eal, &name, HANDED).map_err(|source| PortsError::Ring { name, source })?;
                producer = Some(put);
                all[to].from.push(take);
            }
            all[from].to.push(producer);
        }
    }
    Ok(all)
}

/// What goes with a packet.
struct Label {
    family: Family,
    at: u16,
    network: u16,
    level: u8,
    tunnel: u16,
    step: Step,
    /// 0 if it is not traced.
    trace: u8,
}

impl Label {
    const LEN: usize = 10;

    fn write(&self, mbuf: &mut Mbuf) {
        let [a0, a1] = self.at.to_be_bytes();
        let [n0, n1] = self.network.to_be_bytes();
        let [t0, t1] = self.tunnel.to_be_bytes();
        let family = u8::from(self.family == Family::Six);
        let step = u8::from(self.step == Step::Encapsulate);
        if let Some(place) = mbuf.data_mut().first_chunk_mut::<{ Self::LEN }>() {
            *place = [family, a0, a1, n0, n1, self.level, t0, t1, step, self.trace];
        }
    }

    /// Reads it, and leaves zeros in its place: nobody is to take it for addresses.
    fn take(mbuf: &mut Mbuf) -> Option<Self> {
        let place = mbuf.data_mut().first_chunk_mut::<{ Self::LEN }>()?;
        let [family, a0, a1, n0, n1, level, t0, t1, step, trace] = std::mem::take(place);
        Some(Self {
            family: if family == 0 { Family::Four } else { Family::Six },
            at: u16::from_be_bytes([a0, a1]),
            network: u16::from_be_bytes([n0, n1]),
            level,
            tunnel: u16::from_be_bytes([t0, t1]),
            step: if step == 0 {
                Step::Receive
            } else {
                Step::Encapsulate
            },
            trace,
        })
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Gives an ESP packet to the worker whose SA it is of.
    #[expect(clippy::too_many_arguments, reason = "a packet, and what is known of it")]
    pub(super) fn hand_esp(
        &mut self,
        worker: usize,
        ingress: u16,
        mut mbuf: Mbuf,
        link_len: usize,
        family: Family,
        at: u16,
        level: u8,
    ) -> Result<End, Refused> {
        let slots = &self.esp.handover.slots;
        let label = Label {
            family,
            at,
            network: link_len as u16,
            level,
            tunnel: 0,
            step: Step::Receive,
            trace: self.following.hand_over(slots, &mbuf, Some(PathStage::Waiting)),
        };
        label.write(&mut mbuf);
        // Before the other can take it.
        self.counters.add(ingress, InterfaceCounter::Waiting, 1);
        self.esp.handover.put(worker, mbuf).map_err(|mbuf| {
            self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
            self.following
                .take_over(&self.esp.handover.slots, &mbuf, label.trace);
            (mbuf, DropReason::SpreadRingFull)
        })?;
        Ok(End::at(PathStage::Waiting))
    }

    /// Gives a packet that leaves by a tunnel to the worker that has the SA for it; gives it back if that is this one.
    pub(in crate::worker) fn hand_clear(
        &mut self,
        tunnel: u16,
        level: u8,
        mut mbuf: Mbuf,
    ) -> Result<(), (Mbuf, Option<DropReason>)> {
        let slot = self.esp.sas.current(tunnel);
        let Some(worker) = slot.and_then(|slot| self.esp.elsewhere(slot)) else {
            return Err((mbuf, None));
        };
        let slots = &self.esp.handover.slots;
        let label = Label {
            family: Family::Four,
            at: 0,
            network: 0,
            level,
            tunnel,
            step: Step::Encapsulate,
            trace: self.following.hand_over(slots, &mbuf, None),
        };
        label.write(&mut mbuf);
        self.esp.handover.put(worker, mbuf).map_err(|mbuf| {
            self.following
                .take_over(&self.esp.handover.slots, &mbuf, label.trace);
            (mbuf, Some(DropReason::SpreadRingFull))
        })
    }

    /// Takes what other workers have for SAs of this one. Gives how many.
    #[inline]
    pub(in crate::worker) fn serve_handed_esp(&mut self, now: u64) -> usize {
        if self.esp.handover.has_mail() {
            self.take_handed_esp(now)
        } else {
            0
        }
    }

    #[cold]
    fn take_handed_esp(&mut self, now: u64) -> usize {
        let number = self.esp.handover.number;
        let Some(mail) = self.esp.handover.mail.get(number).cloned() else {
            return 0;
        };
        // What was put in before the mark is seen with it; what comes later brings a mark of its own.
        mail.swap(false, Ordering::AcqRel);
        let mut batch = MbufBatch::<BURST>::new();
        let mut taken = 0;
        for from in 0..self.esp.handover.from.len() {
            let count = self.esp.handover.from[from].dequeue(&mut batch);
            if count == BURST {
                mail.store(true, Ordering::Relaxed);
            }
            taken += count;
            for mbuf in batch.drain() {
                self.take_one_handed(mbuf, now);
            }
        }
        taken
    }

    fn take_one_handed(&mut self, mut mbuf: Mbuf, now: u64) {
        let ingress = self.interface_of(&mbuf).unwrap_or_default();
        let Some(label) = Label::take(&mut mbuf) else {
            return;
        };
        self.following
            .take_over(&self.esp.handover.slots, &mbuf, label.trace);
        match label.step {
            Step::Encapsulate => {
                let put = self
                    .tunnels
                    .put_at(Step::Encapsulate, label.level, label.tunnel, mbuf);
                if let Err(mut mbuf) = put {
                    self.lose(&mbuf, label.tunnel, PathStage::Encapsulated, DropReason::TxFull);
                    self.drop_one(ingress, DropReason::TxFull, PathStage::Encapsulated, &mut mbuf);
                }
            }
            Step::Receive => {
                let (network, family) = (usize::from(label.network), label.family);
                let opened = match self.sa_of(&mbuf, network, family, label.at) {
                    Ok(slot) => {
                        self.open_here(slot, ingress, mbuf, network, family, label.at, label.level, now)
                    }
                    Err(reason) => Err((mbuf, reason)),
                };
                if let Err((mut mbuf, reason)) = opened {
                    self.lose(&mbuf, ingress, PathStage::Released, reason);
                    self.drop_waiting(ingress, reason, &mut mbuf);
                }
            }
        }
    }

    /// Counts what others had for this worker as dropped: it ends.
    pub(in crate::worker) fn stop_handed_esp(&mut self) {
        let mut batch = MbufBatch::<BURST>::new();
        for from in 0..self.esp.handover.from.len() {
            while self.esp.handover.from[from].dequeue(&mut batch) > 0 {
                for mut mbuf in batch.drain() {
                    let ingress = self.interface_of(&mbuf).unwrap_or_default();
                    if Label::take(&mut mbuf).is_some_and(|label| label.step == Step::Receive) {
                        self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
                    }
                    self.drop_one(ingress, DropReason::Stopping, PathStage::Waiting, &mut mbuf);
                }
            }
        }
    }
}
