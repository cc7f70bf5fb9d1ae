//! A ring of mbufs: packets change their owner, from one thread to another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{RawRing, RingError};
use crate::batch::MbufBatch;
use crate::eal::Eal;

/// The producing end of a ring of mbufs.
pub struct MbufProducer {
    ring: Arc<MbufRing>,
    arrivals: Option<Arrivals>,
}

/// Whether anything was put into any of several rings, for the one thread that empties them: it looks here, which takes
/// less than to look into each.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<AtomicBool>);

impl Arrivals {
    /// Notes that there is something in one of the rings, or still is.
    #[inline]
    pub fn note(&self) {
        // A read-modify-write, so that whoever takes the note of a later producer has seen what this one put in as well.
        self.0.swap(true, Ordering::AcqRel);
    }

    /// Whether something was noted since the last time: then all the rings are to be looked into, and what is left there
    /// is to be noted again.
    #[inline]
    pub fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }
}

/// The consuming end of a ring of mbufs. What is in the ring when it is dropped goes back to its pools.
pub struct MbufConsumer {
    ring: Arc<MbufRing>,
}

/// A ring of `capacity` packets with one producer and one consumer. `name` is unique among DPDK's memory objects, at
/// most 28 bytes.
pub fn mbufs(eal: &Eal, name: &str, capacity: u32) -> Result<(MbufProducer, MbufConsumer), RingError> {
    let flags = dpdk_sys::SHIM_RING_F_SP_ENQ | dpdk_sys::SHIM_RING_F_SC_DEQ;
    let size = size_of::<*mut dpdk_sys::rte_mbuf>() as u32;
    let ring = Arc::new(MbufRing(RawRing::new(eal, name, capacity, size, flags)?));
    Ok((
        MbufProducer {
            ring: Arc::clone(&ring),
            arrivals: None,
        },
        MbufConsumer { ring },
    ))
}

impl MbufProducer {
    /// The same, and from now on what is put in is noted.
    #[must_use]
    pub fn noting(self, arrivals: &Arrivals) -> Self {
        Self {
            arrivals: Some(arrivals.clone()),
            ..self
        }
    }

    /// Moves packets from the start of the batch into the ring, as many as there is room for, and answers how many.
    /// The others stay in the batch, in their order.
    #[inline]
    pub fn enqueue<const N: usize>(&mut self, batch: &mut MbufBatch<N>) -> usize {
        // SAFETY: the batch holds `len` packets, each one pointer; this is the only producer, borrowed exclusively.
        let count = unsafe {
            self.ring
                .0
                .enqueue(batch.as_mut_ptr().cast_const().cast(), batch.len())
        };
        // SAFETY: the ring owns those packets now.
        unsafe { batch.forget_front(count) };
        if count > 0
            && let Some(arrivals) = &self.arrivals
        {
            arrivals.note();
        }
        count
    }

    /// How many packets are in the ring. The consumer may change that at any time.
    pub fn len(&self) -> usize {
        self.ring.0.len()
    }

    /// True if there is none in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more it can take.
    pub fn free_count(&self) -> usize {
        self.ring.0.free_count()
    }
}

impl MbufConsumer {
    /// Moves the oldest packets to the end of the batch, as many as there are and it has room for, and answers how
    /// many.
    #[inline]
    pub fn dequeue<const N: usize>(&mut self, batch: &mut MbufBatch<N>) -> usize {
        // SAFETY: this is the only consumer, borrowed exclusively.
        unsafe { self.ring.dequeue(batch) }
    }

    /// How many packets are in the ring. The producer may change that at any time.
    pub fn len(&self) -> usize {
        self.ring.0.len()
    }

    /// True if there is none in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more the ring can take.
    pub fn free_count(&self) -> usize {
        self.ring.0.free_count()
    }
}

impl Drop for MbufConsumer {
    fn drop(&mut self) {
        // SAFETY: this is the only consumer, and it ends here.
        unsafe { self.ring.free_packets() }
    }
}

/// The ring itself, owner of the packets in it.
struct MbufRing(RawRing);

impl MbufRing {
    /// # Safety
    /// No other thread dequeues meanwhile.
    #[inline]
    unsafe fn dequeue<const N: usize>(&self, batch: &mut MbufBatch<N>) -> usize {
        let room = batch.spare_slots();
        // SAFETY: the caller's promise; each slot takes one pointer, which is what the elements are.
        let count = unsafe { self.0.dequeue(room.as_mut_ptr().cast(), room.len()) };
        // SAFETY: those slots now hold packets that the ring has given up.
        unsafe { batch.grow(count) };
        count
    }

    /// # Safety
    /// No other thread dequeues meanwhile.
    unsafe fn free_packets(&self) {
        let mut batch = MbufBatch::<32>::new();
        // SAFETY: the caller's promise.
        while unsafe { self.dequeue(&mut batch) } > 0 {
            batch.clear();
        }
    }
}

impl Drop for MbufRing {
    /// Frees what the producer put in after the consumer had gone.
    fn drop(&mut self) {
        // SAFETY: both ends are gone.
        unsafe { self.free_packets() }
    }
}

impl fmt::Debug for MbufProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MbufProducer").field("len", &self.len()).finish()
    }
}

impl fmt::Debug for MbufConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MbufConsumer").field("len", &self.len()).finish()
    }
}
