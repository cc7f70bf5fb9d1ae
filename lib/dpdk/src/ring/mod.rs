//! Lock-free queues between threads of this process: of plain values, and of mbufs.

mod mbufs;
mod values;

use std::ffi::{CString, c_void};
use std::ptr::NonNull;

use crate::eal::Eal;
use crate::errno::{Errno, ErrorLines};
use crate::handles::{HandleKind, Lease};
use crate::log;
use crate::numa::NumaNode;

pub use mbufs::{Arrivals, MbufConsumer, MbufProducer, mbufs};
pub use values::{Consumer, Producer, SharedProducer, mpsc, spsc};

/// Why a ring was not made.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The name is no C string.
    #[error("the ring name {name:?} contains a zero byte: remove it")]
    Name {
        /// The name.
        name: String,
    },
    /// There is a ring of that name.
    #[error("there is a ring or another DPDK object named {name} already: choose another name")]
    Exists {
        /// The name.
        name: String,
    },
    /// DPDK did not make it.
    #[error("the ring {name} of {capacity} elements cannot be made: {errno}{log}")]
    Dpdk {
        /// The name.
        name: String,
        /// How many elements it was to hold.
        capacity: u32,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}

/// An rte_ring, freed when dropped.
struct RawRing {
    ring: NonNull<dpdk_sys::rte_ring>,
    element_size: u32,
    // Last, so that the ring is freed before EAL may go.
    _lease: Lease,
}

// SAFETY: the ring is memory that any thread may use; `enqueue` and `dequeue` say how many may at a time.
unsafe impl Send for RawRing {}
// SAFETY: as above.
unsafe impl Sync for RawRing {}

impl RawRing {
    fn new(_eal: &Eal, name: &str, capacity: u32, element_size: u32, flags: u32) -> Result<Self, RingError> {
        let c_name = CString::new(name).map_err(|_| RingError::Name {
            name: name.to_owned(),
        })?;
        let flags = flags | dpdk_sys::SHIM_RING_F_EXACT_SZ;
        let node = NumaNode::ANY.as_raw();
        let (ring, log) = log::collect_errors(|| {
            // SAFETY: EAL is running, the name is a C string that is copied, the numbers are checked by DPDK.
            unsafe { dpdk_sys::rte_ring_create_elem(c_name.as_ptr(), element_size, capacity, node, flags) }
        });
        let Some(ring) = NonNull::new(ring) else {
            let name = name.to_owned();
            return Err(match Errno::last() {
                Errno::EXIST => RingError::Exists { name },
                errno => RingError::Dpdk {
                    name,
                    capacity,
                    errno,
                    log,
                },
            });
        };
        Ok(Self {
            ring,
            element_size,
            _lease: Lease::new(HandleKind::Ring),
        })
    }

    /// Copies up to `count` elements in, from the first on, and answers how many.
    ///
    /// # Safety
    /// `elements` points to `count` elements. If the ring is single-producer, no other thread enqueues meanwhile.
    #[inline]
    unsafe fn enqueue(&self, elements: *const c_void, count: usize) -> usize {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // SAFETY: the caller's promise; the ring is alive, and its elements have that size.
        let done = unsafe {
            dpdk_sys::rte_ring_enqueue_burst_elem(
                self.ring.as_ptr(),
                elements,
                self.element_size,
                count,
                std::ptr::null_mut(),
            )
        };
        done as usize
    }

    /// Copies up to `count` elements out, the oldest first, and answers how many.
    ///
    /// # Safety
    /// `elements` points to space for `count` elements. No other thread dequeues meanwhile: all rings here are
    /// single-consumer.
    #[inline]
    unsafe fn dequeue(&self, elements: *mut c_void, count: usize) -> usize {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // SAFETY: the caller's promise; the ring is alive, and its elements have that size.
        let done = unsafe {
            dpdk_sys::rte_ring_dequeue_burst_elem(
                self.ring.as_ptr(),
                elements,
                self.element_size,
                count,
                std::ptr::null_mut(),
            )
        };
        done as usize
    }

    fn len(&self) -> usize {
        // SAFETY: the ring is alive; reads its two positions.
        unsafe { dpdk_sys::rte_ring_count(self.ring.as_ptr()) as usize }
    }

    fn free_count(&self) -> usize {
        // SAFETY: as in `len`.
        unsafe { dpdk_sys::rte_ring_free_count(self.ring.as_ptr()) as usize }
    }
}

impl Drop for RawRing {
    fn drop(&mut self) {
        // SAFETY: the last end of the ring is being dropped.
        unsafe { dpdk_sys::rte_ring_free(self.ring.as_ptr()) }
    }
}
