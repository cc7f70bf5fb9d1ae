//! Memory for keys: of this process alone, never swapped out, in no core dump, not handed down to children.

use std::io;
use std::ptr::{self, NonNull};

use libc::c_void;

/// Why there is no memory for keys.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The kernel does not give it.
    #[error("{bytes} bytes of memory for keys cannot be had: {source}; use fewer sessions")]
    Map {
        /// How much was asked for.
        bytes: usize,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel does not keep it in memory.
    #[error(
        "{bytes} bytes of memory for keys cannot be locked, so that they are never written to disk: {source}; raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)"
    )]
    Lock {
        /// How much was asked for.
        bytes: usize,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel does not leave it out of core dumps.
    #[error("{bytes} bytes of memory for keys cannot be kept out of core dumps: {source}")]
    Exclude {
        /// How much was asked for.
        bytes: usize,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// Such memory, zero to begin with, at a page boundary. The kernel clears it before anybody else gets it.
pub(super) struct Memory {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: it owns its pages; who writes to them answers for that.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// From here on huge pages spare TLB misses, where the kernel has any.
    const HUGE: usize = 2 << 20;

    /// `bytes` is more than 0.
    pub(super) fn new(bytes: usize) -> Result<Self, MemoryError> {
        let failed = io::Error::last_os_error;
        // SAFETY: an anonymous mapping wherever the kernel likes.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let memory = match NonNull::new(start) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED => Self { start, bytes },
            _ => {
                return Err(MemoryError::Map {
                    bytes,
                    source: failed(),
                });
            }
        };
        for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK] {
            // SAFETY: the range is the mapping just made.
            if unsafe { libc::madvise(start, bytes, advice) } != 0 {
                return Err(MemoryError::Exclude {
                    bytes,
                    source: failed(),
                });
            }
        }
        if bytes >= Self::HUGE {
            // SAFETY: as above; small pages will do if this fails.
            unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
        }
        // SAFETY: as above.
        if unsafe { libc::mlock(start, bytes) } != 0 {
            return Err(MemoryError::Lock {
                bytes,
                source: failed(),
            });
        }
        Ok(memory)
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.start.as_ptr()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nobody uses it any more.
        unsafe { libc::munmap(self.start.as_ptr(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let Err(error) = Memory::new(1 << 60) else {
            panic!("mapped")
        };
        assert!(matches!(error, MemoryError::Map { .. }), "{error}");
    }

    #[test]
    fn memory_is_zero_and_takes_bytes() {
        let memory = Memory::new(10_000).unwrap();
        // SAFETY: the memory is that long and nobody else has it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast::<u8>(), memory.bytes()) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes.fill(1);
    }
}
