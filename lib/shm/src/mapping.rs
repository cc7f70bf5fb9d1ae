//! A file mapped as atomic words.

use std::fs::File;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::sys::statfs::fstatfs;

/// A mapped file. Length is a multiple of the file system's page: memmap2 cannot unmap part of a huge page and would
/// leak it without a word.
pub(crate) struct Mapping {
    map: MmapRaw,
}

// SAFETY: the mapping is reached through atomics only, and unmapped when its owner is dropped.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps all of `file` for reading and writing and faults every page in now, so that no worker ever waits for the
    /// kernel later. Fails with `ENOMEM` when there are too few free huge pages.
    pub(crate) fn writable(file: &File, length: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(length).populate().map_raw(file)?;
        Ok(Self { map })
    }

    /// Maps the first `length` bytes of `file` for reading.
    pub(crate) fn readable(file: &File, length: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(length).map_raw_read_only(file)?;
        Ok(Self { map })
    }

    /// Locks it in memory: it is never in swap while it is mapped.
    pub(crate) fn lock(&self) -> io::Result<()> {
        self.map.lock()
    }

    /// Tells the kernel how it is used.
    pub(crate) fn advise(&self, advice: Advice) -> io::Result<()> {
        self.map.advise(advice)
    }

    /// All of the mapping. A read-only mapping must only be loaded from: a store would end the process.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the pointer is page-aligned, so aligned for u64; `len / 8` words lie inside the mapping, which lives
        // as long as `self`; AtomicU64 allows that other processes write the same words.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / 8) }
    }
}

impl Mapping {
    /// All of the mapping as words of four bytes. A word is used by this or by [`Mapping::words`], never by both.
    pub(crate) fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as for `words`.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / 4) }
    }

    /// Copies bytes to `offset`. Panics when they do not fit. Whoever has them meanwhile may see any mix of old and new.
    #[inline]
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.map.len() && bytes.len() <= self.map.len() - offset);
        // SAFETY: the bytes lie inside the mapping, as was just checked, and no reference into it exists: everybody goes
        // by atomics and by copies such as this.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(offset), bytes.len()) }
    }

    /// Asks for the cache line at `offset`, to be read. Only a hint, which does nothing on processors other than x86-64.
    #[inline]
    pub(crate) fn prefetch_to_read(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as for `prefetch`.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.map.as_ptr().wrapping_add(offset).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Asks for the cache line at `offset`, to be written. Only a hint, which does nothing on processors other than x86-64.
    #[inline]
    pub(crate) fn prefetch(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing that the program can see and cannot fault, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_ET0>(self.map.as_ptr().wrapping_add(offset).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Copies bytes from `offset`. Panics when there are not as many.
    #[inline]
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset <= self.map.len() && into.len() <= self.map.len() - offset);
        // SAFETY: as for `write`.
        unsafe { ptr::copy_nonoverlapping(self.map.as_ptr().add(offset), into.as_mut_ptr(), into.len()) }
    }
}

/// The page size of the file system that `file` lies on: the huge page size for hugetlbfs.
pub(crate) fn page_size(file: &File) -> io::Result<usize> {
    let page = fstatfs(file).map_err(io::Error::from)?.block_size();
    usize::try_from(page).map_err(|_| io::Error::other("the file system reports a negative page size"))
}
