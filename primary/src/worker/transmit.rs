//! How packets leave: a batch per interface, flushed once per round of the worker.
//!
//! What a device does not take at once stays in the batch, in order, and is offered again; only what no longer fits is
//! dropped.

use dpdk::ring::MbufProducer;
use dpdk::{Mbuf, MbufBatch, TxQueue};
use shm::{CounterBlock, InterfaceCounter};

/// Packets that wait for a device.
const BATCH: usize = 64;

/// How packets leave by an interface.
pub enum Exit {
    /// By a transmit queue of this worker.
    Queue(TxQueue),
    /// By a transmit queue of another worker, who takes them from this ring.
    HandOver(MbufProducer),
}

pub(super) struct Transmit {
    interfaces: Vec<Interface>,
}

struct Interface {
    exit: Exit,
    batch: MbufBatch<BATCH>,
}

impl Transmit {
    pub(super) fn new(exits: Vec<Exit>) -> Self {
        let interfaces = exits
            .into_iter()
            .map(|exit| Interface {
                exit,
                batch: MbufBatch::new(),
            })
            .collect();
        Self { interfaces }
    }

    /// Takes a packet for an interface, or gives it back when the device is behind or there is no such interface.
    #[inline]
    pub(super) fn push(&mut self, interface: u16, mbuf: Mbuf, counters: &CounterBlock) -> Result<(), Mbuf> {
        let Some(out) = self.interfaces.get_mut(usize::from(interface)) else {
            return Err(mbuf);
        };
        match out.batch.push(mbuf) {
            Ok(()) => Ok(()),
            Err(mbuf) => {
                out.flush(interface, counters);
                out.batch.push(mbuf)
            }
        }
    }

    /// Offers everything to the devices.
    #[inline]
    pub(super) fn flush(&mut self, counters: &CounterBlock) {
        for (interface, out) in (0..).zip(&mut self.interfaces) {
            if !out.batch.is_empty() {
                out.flush(interface, counters);
            }
        }
    }

    /// What no device took, with the interface it should have left by.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (u16, Mbuf)> + '_ {
        (0..)
            .zip(&mut self.interfaces)
            .flat_map(|(interface, out)| out.batch.drain().map(move |mbuf| (interface, mbuf)))
    }
}

impl Interface {
    #[inline]
    fn flush(&mut self, interface: u16, counters: &CounterBlock) {
        match &mut self.exit {
            Exit::Queue(queue) => {
                // The device may free what it took, so lengths are added up before.
                let length = |batch: &MbufBatch<BATCH>| batch.iter().map(Mbuf::len).sum::<usize>();
                let before = length(&self.batch);
                let sent = queue.send(&mut self.batch);
                let bytes = before - length(&self.batch);
                counters.add(interface, InterfaceCounter::TxPackets, sent as u64);
                counters.add(interface, InterfaceCounter::TxBytes, bytes as u64);
            }
            Exit::HandOver(ring) => {
                ring.enqueue(&mut self.batch);
            }
        }
    }
}
