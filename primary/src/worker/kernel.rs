//! Packets to and from the kernel: rings to the thread that writes them to the taps, and what came from there.

use dpdk::ring::MbufProducer;
use dpdk::{Mbuf, MbufBatch};
use shm::{DropReason, InterfaceCounter};

use super::Engine;
use super::dispatch::Refused;
use super::doorbell::Doorbell;
use crate::adjacency;
use crate::path::take_tags;

/// A worker's way to the kernel.
pub struct ToKernel {
    /// By interface index; none where the interface has no tap, or beyond the last that has one.
    pub rings: Vec<Option<MbufProducer>>,
    /// Wakes the thread of the taps.
    pub doorbell: Doorbell,
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Gives a packet to the kernel by the tap of `interface`, as many as the policer lets through; without its tags if that is a
    /// sub-interface.
    #[cold]
    pub(super) fn hand_to_kernel(&mut self, interface: u16, mut mbuf: Mbuf, now: u64) -> Result<(), Refused> {
        let Some(Some(ring)) = self.to_kernel.rings.get_mut(usize::from(interface)) else {
            return Err((mbuf, DropReason::KernelRefused));
        };
        if !self.policers.kernel.admit(interface, now) {
            return Err((mbuf, DropReason::KernelPoliced));
        }
        if self.stages.interfaces.sub_interface(interface).is_some() {
            let tags = take_tags(mbuf.data_mut());
            if mbuf.trim_front(tags).is_err() {
                return Err((mbuf, DropReason::EthernetTruncated));
            }
        }
        let mut one = MbufBatch::<1>::new();
        one.push(mbuf)
            .map_err(|mbuf| (mbuf, DropReason::KernelRingFull))?;
        ring.enqueue(&mut one);
        if let Some(mbuf) = one.drain().next() {
            return Err((mbuf, DropReason::KernelRingFull));
        }
        // The thread of the taps takes both back for what the kernel refuses.
        self.counters.add(interface, InterfaceCounter::Delivered, 1);
        self.counters.add(interface, InterfaceCounter::TapRxPackets, 1);
        self.to_kernel.doorbell.ring();
        Ok(())
    }

    /// Counts what the kernel sent.
    pub(super) fn count_from_kernel(&self, interface: u16, count: usize) {
        let count = count as u64;
        self.counters.add(interface, InterfaceCounter::Originated, count);
        self.counters
            .add(interface, InterfaceCounter::TapTxPackets, count);
    }
}
