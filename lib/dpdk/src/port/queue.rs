//! Queues: where bursts come in and go out.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Device, PortId};
use crate::batch::MbufBatch;

/// A queue may move to another thread but is not shared between two: DPDK's bursts are for one thread at a time.
type NotSync = PhantomData<Cell<()>>;

/// A receive queue. It keeps its port alive.
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
    device: Arc<Device>,
    _not_sync: NotSync,
}

/// A transmit queue. It keeps its port alive.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
    device: Arc<Device>,
    _not_sync: NotSync,
}

impl RxQueue {
    pub(super) fn new(device: &Arc<Device>, queue: u16) -> Self {
        Self {
            port: device.id().number(),
            queue,
            device: Arc::clone(device),
            _not_sync: PhantomData,
        }
    }

    /// The port's number.
    #[inline]
    pub fn port(&self) -> PortId {
        self.device.id()
    }

    /// The queue's number within its port.
    #[inline]
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// Takes the packets that have arrived, at most as many as the batch has room for, onto its end, and answers how
    /// many. Never waits. Some drivers give nothing to a batch with room for fewer than 4, or 32.
    #[inline]
    pub fn receive<const N: usize>(&mut self, batch: &mut MbufBatch<N>) -> usize {
        let room = batch.spare_slots();
        if room.is_empty() {
            return 0;
        }
        // SAFETY: the port is started and has this queue, which only this value polls; DPDK fills at most as many
        // slots as there are, each of one pointer.
        let count = unsafe {
            dpdk_sys::rte_eth_rx_burst(self.port, self.queue, room.as_mut_ptr().cast(), room.len() as u16)
        };
        let count = usize::from(count);
        // SAFETY: those slots now hold packets that DPDK has given up.
        unsafe { batch.grow(count) };
        count
    }
}

impl TxQueue {
    pub(super) fn new(device: &Arc<Device>, queue: u16) -> Self {
        Self {
            port: device.id().number(),
            queue,
            device: Arc::clone(device),
            _not_sync: PhantomData,
        }
    }

    /// The port's number.
    #[inline]
    pub fn port(&self) -> PortId {
        self.device.id()
    }

    /// The queue's number within its port.
    #[inline]
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// Sends the batch's packets and answers how many the port accepted: those leave the batch, from its start. The
    /// others stay in it, in their order. Never waits.
    #[inline]
    pub fn send<const N: usize>(&mut self, batch: &mut MbufBatch<N>) -> usize {
        // SAFETY: the port is started and has this queue, which only this value feeds; the batch holds `len`
        // packets.
        let count = unsafe {
            dpdk_sys::rte_eth_tx_burst(self.port, self.queue, batch.as_mut_ptr(), batch.len() as u16)
        };
        let count = usize::from(count);
        // SAFETY: the port owns the accepted packets now.
        unsafe { batch.forget_front(count) };
        count
    }
}
