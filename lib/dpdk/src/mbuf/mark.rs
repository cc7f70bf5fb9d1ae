//! A number that a program writes on a packet, and finds there until the packet is freed.
//!
//! It takes the place of the hash that the port has noted, and a flag of the packet's says so: ports and pools clear all flags of a
//! packet that they hand out, so nobody finds the number of a packet that had the buffer before.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Mbuf;

/// The flag; 0 before EAL is started, and where all were taken.
static FLAG: AtomicU64 = AtomicU64::new(0);

/// Finds a flag. EAL is running.
pub(crate) fn register() {
    // SAFETY: EAL has been started, and the name is a C string.
    let flag = unsafe { dpdk_sys::shim_mbuf_flag(c"tollgate_mark".as_ptr()) };
    FLAG.store(flag, Ordering::Relaxed);
}

impl Mbuf {
    /// The number that was written on this packet, if one was.
    #[inline]
    pub fn mark(&self) -> Option<u64> {
        let header = self.header();
        let is_marked = header.offload_flags() & FLAG.load(Ordering::Relaxed) != 0;
        is_marked.then(|| {
            let [low, high] = header.hash();
            u64::from(low) | u64::from(high) << 32
        })
    }

    /// Writes a number on this packet. Where there is no flag for it that does nothing.
    #[inline]
    pub fn set_mark(&mut self, mark: u64) {
        let header = self.header();
        header.set_hash([mark as u32, (mark >> 32) as u32]);
        header.set_offload_flags(header.offload_flags() | FLAG.load(Ordering::Relaxed));
    }

    /// Takes the number off this packet.
    #[inline]
    pub fn clear_mark(&mut self) {
        let header = self.header();
        header.set_offload_flags(header.offload_flags() & !FLAG.load(Ordering::Relaxed));
    }

    /// Writes the number of another packet on this one, if that has any.
    #[inline]
    pub fn copy_mark(&mut self, from: &Self) {
        if let Some(mark) = from.mark() {
            self.set_mark(mark);
        }
    }
}
