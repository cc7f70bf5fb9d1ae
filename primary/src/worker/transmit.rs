//! How packets leave: a batch per interface, flushed once per round of the worker.
//!
//! What a device does not take at once stays in the batch, in order, and is offered again; only what no longer fits is
//! dropped.

use dpdk::ring::MbufProducer;
use dpdk::{Mbuf, MbufBatch, TxQueue};
use shm::attachment::Way;
use shm::{CounterBlock, InterfaceCounter};

use crate::attachments::{Seen, Taps};
use crate::path::BURST;

/// Packets that wait for a device.
const BATCH: usize = 64;

/// How packets leave by an interface.
pub enum Exit {
    /// By a transmit queue of this worker.
    Queue(TxQueue),
    /// By a transmit queue of this worker that is asked each round whether there is something to send or not: the bond
    /// sends its LACP packets then, and must ten times a second.
    Lacp(TxQueue),
    /// By a transmit queue of another worker, who takes them from this ring.
    HandOver(MbufProducer),
}

pub(super) struct Transmit {
    interfaces: Vec<Interface>,
    /// Whether a batch may hold something, or a device is to be asked in any case: most rounds leave nothing behind.
    pending: bool,
    /// Whether there is such a device.
    lacp: bool,
    /// Captures of this worker: those of sent packets look here.
    pub(super) taps: Taps,
}

struct Interface {
    exit: Exit,
    batch: MbufBatch<BATCH>,
    /// Packets of the batch, from the first on, that a device was offered before and captures have seen.
    offered: usize,
}

impl Transmit {
    pub(super) fn new(exits: Vec<Exit>, taps: Taps) -> Self {
        let lacp = exits.iter().any(|exit| matches!(exit, Exit::Lacp(_)));
        let interfaces = exits
            .into_iter()
            .map(|exit| Interface {
                exit,
                batch: MbufBatch::new(),
                offered: 0,
            })
            .collect();
        Self {
            interfaces,
            pending: lacp,
            lacp,
            taps,
        }
    }

    /// Whether an interface is that of a port, by which packets leave as they are.
    #[inline]
    pub(super) fn has(&self, interface: u16) -> bool {
        usize::from(interface) < self.interfaces.len()
    }

    /// Takes a packet for the interface of a port, or gives it back when the device is behind or there is no such interface.
    #[inline]
    pub(super) fn push(&mut self, interface: u16, mbuf: Mbuf, counters: &CounterBlock) -> Result<(), Mbuf> {
        let Some(out) = self.interfaces.get_mut(usize::from(interface)) else {
            return Err(mbuf);
        };
        self.pending = true;
        match out.batch.push(mbuf) {
            Ok(()) => Ok(()),
            Err(mbuf) => {
                out.flush(interface, counters, &mut self.taps);
                out.batch.push(mbuf)
            }
        }
    }

    /// Takes a burst of `bytes` for an interface. What stays in `burst` found no room.
    #[inline]
    pub(super) fn append(
        &mut self,
        interface: u16,
        burst: &mut MbufBatch<BURST>,
        bytes: usize,
        counters: &CounterBlock,
    ) {
        let Some(out) = self.interfaces.get_mut(usize::from(interface)) else {
            return;
        };
        if burst.is_full()
            && out.batch.is_empty()
            && let Exit::Queue(queue) = &mut out.exit
        {
            // Nothing to gain by waiting for more.
            let seen = Seen::by_queue(interface, Way::Tx, Some(queue.index()));
            self.taps.observe(&seen, burst);
            send(queue, burst, bytes, interface, counters);
            out.offered = burst.len();
        }
        self.pending |= !burst.is_empty();
        out.batch.append(burst);
        if !burst.is_empty() {
            out.flush(interface, counters, &mut self.taps);
            out.batch.append(burst);
        }
    }

    /// Offers everything to the devices.
    #[inline]
    pub(super) fn flush(&mut self, counters: &CounterBlock) {
        if self.pending {
            self.flush_all(counters);
        }
    }

    #[inline(never)]
    fn flush_all(&mut self, counters: &CounterBlock) {
        self.pending = self.lacp;
        for (interface, out) in (0..).zip(&mut self.interfaces) {
            if !out.batch.is_empty() || matches!(out.exit, Exit::Lacp(_)) {
                out.flush(interface, counters, &mut self.taps);
                self.pending |= !out.batch.is_empty();
            }
        }
    }

    /// A packet that no device took, with the interface it should have left by.
    pub(super) fn take_one(&mut self) -> Option<(u16, Mbuf)> {
        let mut interfaces = (0..).zip(&mut self.interfaces);
        interfaces.find_map(|(interface, out)| Some((interface, out.batch.pop()?)))
    }
}

impl Interface {
    #[inline]
    fn flush(&mut self, interface: u16, counters: &CounterBlock, taps: &mut Taps) {
        match &mut self.exit {
            Exit::Queue(queue) | Exit::Lacp(queue) => {
                let seen = Seen::by_queue(interface, Way::Tx, Some(queue.index()));
                taps.observe(&seen, self.batch.get_mut(self.offered..).unwrap_or_default());
                // The device may free what it took, so lengths are added up before.
                let bytes = length(&self.batch);
                send(queue, &mut self.batch, bytes, interface, counters);
                self.offered = self.batch.len();
            }
            Exit::HandOver(ring) => {
                ring.enqueue(&mut self.batch);
            }
        }
    }
}

/// Offers a batch of `bytes` to a device; what the device does not take stays in the batch.
#[inline]
fn send<const N: usize>(
    queue: &mut TxQueue,
    batch: &mut MbufBatch<N>,
    bytes: usize,
    interface: u16,
    counters: &CounterBlock,
) {
    let sent = queue.send(batch);
    counters.add(interface, InterfaceCounter::TxPackets, sent as u64);
    counters.add(
        interface,
        InterfaceCounter::TxBytes,
        (bytes - length(batch)) as u64,
    );
}

/// Bytes of all packets.
#[inline]
fn length<const N: usize>(batch: &MbufBatch<N>) -> usize {
    batch.iter().map(Mbuf::len).sum()
}
