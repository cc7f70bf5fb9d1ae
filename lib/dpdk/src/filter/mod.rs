//! Packet filters: classic BPF in, machine code out, by way of rte_bpf.

mod classic;
mod low_bits;

use std::ffi::c_void;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::eal::Eal;
use crate::errno::{Errno, ErrorLines};
use crate::handles::{HandleKind, Lease};
use crate::log;
use crate::mbuf::Mbuf;

pub use classic::{BadProgram, Instruction, MOST_INSTRUCTIONS, MOST_PATHS, harden};

/// A filter as machine code, which any number of threads may ask at a time.
pub struct Filter {
    bpf: NonNull<dpdk_sys::rte_bpf>,
    function: unsafe extern "C" fn(*mut c_void) -> u64,
    // Last, so that the code is unmapped before EAL may go.
    _lease: Lease,
}

// SAFETY: the code writes to nothing but its own stack.
unsafe impl Send for Filter {}
// SAFETY: as above.
unsafe impl Sync for Filter {}

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A program that cannot be, or that this machine must not run.
    #[error(transparent)]
    Program(#[from] BadProgram),
    /// DPDK did not take it.
    #[error("DPDK cannot {step} the filter: {errno}{log}")]
    Dpdk {
        /// What was tried.
        step: &'static str,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
    /// There is no compiler for this kind of CPU.
    #[error("DPDK has no compiler of filters for this CPU")]
    NoCompiler,
}

impl Filter {
    /// Verifies, converts and compiles a program, of whatever origin. It is asked about Ethernet frames.
    pub fn compile(_eal: &Eal, program: &[Instruction]) -> Result<Self, FilterError> {
        let lease = Lease::new(HandleKind::Filter);
        let mut instructions: Vec<dpdk_sys::bpf_insn> = classic::harden(program)?
            .into_iter()
            .map(|Instruction { code, jt, jf, k }| dpdk_sys::bpf_insn { code, jt, jf, k })
            .collect();
        let classic = dpdk_sys::bpf_program {
            // `harden` allows far fewer than can be counted.
            bf_len: instructions.len() as u32,
            bf_insns: instructions.as_mut_ptr(),
        };
        let (converted, log) = log::collect_errors(|| {
            // SAFETY: the program is checked and outlives the call, which copies it.
            unsafe { dpdk_sys::rte_bpf_convert(&raw const classic) }
        });
        let Some(converted) = NonNull::new(converted) else {
            return Err(failed("convert", log));
        };
        let (bpf, log) = log::collect_errors(|| {
            // SAFETY: what was just converted; the call copies it.
            unsafe { dpdk_sys::rte_bpf_load(converted.as_ptr()) }
        });
        let errno_of_load = failed("load", log);
        // SAFETY: it came from DPDK's heap, and nothing refers to it any more.
        unsafe { dpdk_sys::rte_free(converted.as_ptr().cast()) };
        let bpf = NonNull::new(bpf).ok_or(errno_of_load)?;
        let mut jit = MaybeUninit::<dpdk_sys::rte_bpf_jit>::zeroed();
        // SAFETY: the filter is loaded, and the structure is written or stays zero, which is a value of it.
        let jit = unsafe {
            dpdk_sys::rte_bpf_get_jit(bpf.as_ptr(), jit.as_mut_ptr());
            jit.assume_init()
        };
        let Some(function) = jit.func else {
            // SAFETY: it was loaded above and is not used any more.
            unsafe { dpdk_sys::rte_bpf_destroy(bpf.as_ptr()) };
            return Err(FilterError::NoCompiler);
        };
        Ok(Self {
            bpf,
            function,
            _lease: lease,
        })
    }

    /// Whether the packet matches.
    #[inline]
    pub fn matches(&self, mbuf: &Mbuf) -> bool {
        // SAFETY: the code was compiled for an mbuf and only reads it; it ends, since it has no jump backwards.
        unsafe { (self.function)(mbuf.as_ptr().cast()) != 0 }
    }
}

fn failed(step: &'static str, log: ErrorLines) -> FilterError {
    FilterError::Dpdk {
        step,
        errno: Errno::last(),
        log,
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: the code is not called any more: that takes a reference to this value.
        unsafe { dpdk_sys::rte_bpf_destroy(self.bpf.as_ptr()) }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}
