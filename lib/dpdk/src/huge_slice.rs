//! Slices of atomics in hugepages: the large tables that workers read, with few TLB misses and on their own node.

use std::ffi::c_void;
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use crate::eal::Eal;
use crate::handles::{HandleKind, Lease};
use crate::numa::NumaNode;

mod sealed {
    pub trait Sealed {}
}

/// What a [`HugeSlice`] can hold: atomic integers, for which all bits zero is a value.
pub trait AtomicCell: sealed::Sealed + Sync + Send + 'static {}

macro_rules! atomic_cells {
    ($($cell:ty),*) => {
        $(
            impl sealed::Sealed for $cell {}
            impl AtomicCell for $cell {}
        )*
    };
}

atomic_cells!(AtomicU8, AtomicU32, AtomicU64);

/// A slice in DPDK's memory, zero to begin with, aligned to a cache line. Freed when dropped.
pub struct HugeSlice<T: AtomicCell> {
    cells: NonNull<T>,
    len: usize,
    // Last, so that the memory is freed before EAL may go.
    _lease: Lease,
}

// SAFETY: it owns its memory, and its cells are atomics, which any thread may use.
unsafe impl<T: AtomicCell> Send for HugeSlice<T> {}
// SAFETY: as above.
unsafe impl<T: AtomicCell> Sync for HugeSlice<T> {}

/// There is not enough of DPDK's memory in one piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("DPDK has no {bytes} bytes in one piece on {node}: give EAL more memory")]
pub struct HugeSliceError {
    /// How much was asked for; `usize::MAX` if more than can be counted.
    pub bytes: usize,
    /// Where.
    pub node: NumaNode,
}

impl<T: AtomicCell> HugeSlice<T> {
    const CACHE_LINE: u32 = 64;

    /// Makes a slice of `len` zeros.
    pub fn new(_eal: &Eal, len: usize, node: NumaNode) -> Result<Self, HugeSliceError> {
        let lease = Lease::new(HandleKind::HugeSlice);
        let bytes = len.saturating_mul(size_of::<T>());
        // SAFETY: EAL is running; no name is needed. DPDK answers null for 0 bytes, so there is always one.
        let memory = unsafe {
            dpdk_sys::rte_zmalloc_socket(ptr::null(), bytes.max(1), Self::CACHE_LINE, node.as_raw())
        };
        match NonNull::new(memory.cast::<T>()) {
            Some(cells) => Ok(Self {
                cells,
                len,
                _lease: lease,
            }),
            None => Err(HugeSliceError { bytes, node }),
        }
    }
}

impl<T: AtomicCell> Deref for HugeSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` cells were allocated, zeroed and aligned, and are freed with this value.
        unsafe { std::slice::from_raw_parts(self.cells.as_ptr(), self.len) }
    }
}

impl<T: AtomicCell> Drop for HugeSlice<T> {
    fn drop(&mut self) {
        // SAFETY: the memory came from rte_zmalloc_socket and nobody refers to it any more.
        unsafe { dpdk_sys::rte_free(self.cells.as_ptr().cast::<c_void>()) }
    }
}

impl<T: AtomicCell> fmt::Debug for HugeSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HugeSlice")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
