//! Rings of plain values, which are copied in and out.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{RawRing, RingError};
use crate::eal::Eal;

/// The only producing end of a ring.
pub struct Producer<T> {
    ring: Arc<RawRing>,
    _element: PhantomData<T>,
}

/// A producing end of a ring that has several: its clones are ends of the same ring.
pub struct SharedProducer<T> {
    ring: Arc<RawRing>,
    _element: PhantomData<T>,
}

/// The only consuming end of a ring.
pub struct Consumer<T> {
    ring: Arc<RawRing>,
    _element: PhantomData<T>,
}

/// A ring with one producer and one consumer that holds `capacity` values (up to 2^31 less one). `name` is unique
/// among DPDK's memory objects, at most 28 bytes. The size of `T` is a multiple of 4, and so is its alignment; for others this does not
/// compile:
///
/// ```compile_fail,E0080
/// let eal = dpdk::Eal::init::<&str>(&[]).unwrap();
/// let ends = dpdk::ring::spsc::<[u8; 3]>(&eal, "odd", 8);
/// ```
pub fn spsc<T: Copy + Send + 'static>(
    eal: &Eal,
    name: &str,
    capacity: u32,
) -> Result<(Producer<T>, Consumer<T>), RingError> {
    let ring = create::<T>(
        eal,
        name,
        capacity,
        dpdk_sys::SHIM_RING_F_SP_ENQ | dpdk_sys::SHIM_RING_F_SC_DEQ,
    )?;
    Ok((
        Producer {
            ring: Arc::clone(&ring),
            _element: PhantomData,
        },
        Consumer {
            ring,
            _element: PhantomData,
        },
    ))
}

/// As [`spsc`], with any number of producers. A producer's thread that is stopped in the middle of an enqueue holds
/// up the others.
pub fn mpsc<T: Copy + Send + 'static>(
    eal: &Eal,
    name: &str,
    capacity: u32,
) -> Result<(SharedProducer<T>, Consumer<T>), RingError> {
    let ring = create::<T>(eal, name, capacity, dpdk_sys::SHIM_RING_F_SC_DEQ)?;
    let producer = SharedProducer {
        ring: Arc::clone(&ring),
        _element: PhantomData,
    };
    Ok((
        producer,
        Consumer {
            ring,
            _element: PhantomData,
        },
    ))
}

fn create<T>(eal: &Eal, name: &str, capacity: u32, flags: u32) -> Result<Arc<RawRing>, RingError> {
    const {
        assert!(
            size_of::<T>() > 0 && size_of::<T>().is_multiple_of(4),
            "rte_ring copies elements in words of 4 bytes"
        );
        assert!(
            align_of::<T>() >= 4,
            "rte_ring copies elements in aligned words of 4 bytes"
        );
    }
    Ok(Arc::new(RawRing::new(
        eal,
        name,
        capacity,
        size_of::<T>() as u32,
        flags,
    )?))
}

impl<T: Copy + Send + 'static> Producer<T> {
    /// Adds values, from the first on, as many as there is room for, and answers how many.
    #[inline]
    pub fn enqueue(&mut self, values: &[T]) -> usize {
        // SAFETY: the ring's elements are of type T, and this is its only producer, borrowed exclusively.
        unsafe { self.ring.enqueue(values.as_ptr().cast(), values.len()) }
    }
}

impl<T: Copy + Send + 'static> SharedProducer<T> {
    /// Adds values, from the first on, as many as there is room for, and answers how many.
    #[inline]
    pub fn enqueue(&mut self, values: &[T]) -> usize {
        // SAFETY: the ring's elements are of type T, and it is made for several producers.
        unsafe { self.ring.enqueue(values.as_ptr().cast(), values.len()) }
    }
}

impl<T: Copy + Send + 'static> Consumer<T> {
    /// Takes the oldest values, as many as there are and `values` has room for, to its start, and answers how many.
    #[inline]
    pub fn dequeue(&mut self, values: &mut [T]) -> usize {
        // SAFETY: the ring's elements were values of type T, and this is its only consumer, borrowed exclusively.
        unsafe { self.ring.dequeue(values.as_mut_ptr().cast(), values.len()) }
    }
}

impl<T> Clone for SharedProducer<T> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            _element: PhantomData,
        }
    }
}

macro_rules! counts {
    ($end:ident) => {
        impl<T> $end<T> {
            /// How many values are in the ring. Other threads may change that at any time.
            pub fn len(&self) -> usize {
                self.ring.len()
            }

            /// True if there is none in it.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many more it can take.
            pub fn free_count(&self) -> usize {
                self.ring.free_count()
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .finish()
            }
        }
    };
}

counts!(Producer);
counts!(SharedProducer);
counts!(Consumer);
