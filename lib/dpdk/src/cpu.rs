//! The processor's own instructions: cache hints, the cycle counter, the pause of a spin loop.

/// Asks for the cache line at the start of `target` in all cache levels (`prefetcht0`). Only a hint: on processors
/// other than x86-64 it does nothing.
#[inline(always)]
pub fn prefetch<T: ?Sized>(target: &T) {
    prefetch_address(std::ptr::from_ref(target).cast());
}

/// The same for an address, where there may be nothing.
#[inline(always)]
pub fn prefetch_address(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can see and cannot fault, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The cycle counter, in ticks of [`tsc_hz`].
#[inline]
pub fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a counter; needs no state. What DPDK's rte_rdtsc does, without the call.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: as above.
    unsafe {
        dpdk_sys::rte_rdtsc()
    }
}

/// Ticks of [`tsc`] in a second; 0 before EAL has been started.
pub fn tsc_hz() -> u64 {
    // SAFETY: reads a number that EAL stored when it started.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}

/// Tells the processor that this is a spin loop (`pause`), so that a sibling thread gets its turn.
#[inline(always)]
pub fn pause() {
    std::hint::spin_loop();
}
