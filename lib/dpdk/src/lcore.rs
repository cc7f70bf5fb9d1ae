//! Lcores: the threads of EAL, each bound to its CPU, that run the workers.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use crate::eal::Eal;
use crate::errno::Errno;
use crate::handles::{HandleKind, Lease};
use crate::numa::NumaNode;

/// The number of an lcore, as in EAL's `-l`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LcoreId(u16);

impl LcoreId {
    /// The lcore with that number, which need not exist.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for LcoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lcore {}", self.0)
    }
}

/// Why nothing was started on an lcore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LaunchError {
    /// Not one of EAL's, or the main one, which runs the program itself.
    #[error("{lcore} is not one of EAL's worker lcores: name it in EAL's -l, beside the main lcore")]
    NotAWorker {
        /// The lcore asked for.
        lcore: LcoreId,
    },
    /// Something runs there already.
    #[error("{lcore} is busy: join what runs on it first")]
    Busy {
        /// The lcore asked for.
        lcore: LcoreId,
    },
    /// rte_eal_remote_launch failed.
    #[error("{lcore} cannot be reached: {errno}")]
    Dpdk {
        /// The lcore asked for.
        lcore: LcoreId,
        /// What DPDK answered.
        errno: Errno,
    },
}

type Work = Box<dyn FnOnce() + Send>;

/// DPDK does not guard the hand-over against two callers.
static LAUNCH: Mutex<()> = Mutex::new(());

impl Eal {
    /// The worker lcores, in ascending order, without the main one.
    pub fn lcores(&self) -> Vec<LcoreId> {
        let mut lcores = Vec::new();
        let mut previous = u32::MAX;
        loop {
            // SAFETY: reads EAL's configuration, which is fixed. From -1 on it answers the next enabled lcore, or
            // a number past the last.
            let next = unsafe { dpdk_sys::rte_get_next_lcore(previous, 1, 0) };
            if next >= dpdk_sys::RTE_MAX_LCORE {
                return lcores;
            }
            lcores.push(LcoreId(next as u16));
            previous = next;
        }
    }

    /// The main lcore: the thread that started EAL.
    pub fn main_lcore(&self) -> LcoreId {
        // SAFETY: reads EAL's configuration.
        LcoreId(unsafe { dpdk_sys::rte_get_main_lcore() } as u16)
    }

    /// The NUMA node of an lcore; any, if there is no such lcore.
    pub fn numa_of_lcore(&self, lcore: LcoreId) -> NumaNode {
        if lcore != self.main_lcore() && !self.lcores().contains(&lcore) {
            return NumaNode::ANY;
        }
        // SAFETY: reads EAL's configuration of an lcore that exists.
        NumaNode::from_raw(unsafe { dpdk_sys::rte_lcore_to_socket_id(u32::from(lcore.0)) } as i32)
    }

    /// Runs `work` on a worker lcore that is idle. A panic there ends the process.
    pub fn launch<T, F>(&self, lcore: LcoreId, work: F) -> Result<LcoreHandle<T>, LaunchError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if !self.lcores().contains(&lcore) {
            return Err(LaunchError::NotAWorker { lcore });
        }
        let lease = Lease::new(HandleKind::Lcore);
        let (sender, result) = mpsc::sync_channel(1);
        let work: Work = Box::new(move || {
            // The handle may have been dropped; then nobody wants the result.
            let _ = sender.send(work());
            drop(lease);
        });
        let argument = Box::into_raw(Box::new(work));
        let _one_at_a_time = LAUNCH.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `run` takes what `argument` points to exactly once, on the lcore, which is one of EAL's workers.
        let answer =
            unsafe { dpdk_sys::rte_eal_remote_launch(Some(run), argument.cast(), u32::from(lcore.0)) };
        Errno::check(answer).map_err(|errno| {
            // SAFETY: the launch failed, so the lcore has not seen the pointer and never will.
            drop(unsafe { Box::from_raw(argument) });
            match errno {
                Errno::BUSY => LaunchError::Busy { lcore },
                errno => LaunchError::Dpdk { lcore, errno },
            }
        })?;
        Ok(LcoreHandle { lcore, result })
    }
}

/// Runs on the lcore. Unwinding out of an `extern "C"` function aborts, which is what a panic of a worker must do.
unsafe extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: `launch` made the pointer by Box::into_raw from a Box<Work> and hands it over once.
    let work = unsafe { Box::from_raw(argument.cast::<Work>()) };
    work();
    0
}

/// What runs on an lcore. Dropping the handle lets it run on.
#[derive(Debug)]
#[must_use = "join it before EAL is shut down"]
pub struct LcoreHandle<T> {
    lcore: LcoreId,
    result: mpsc::Receiver<T>,
}

impl<T> LcoreHandle<T> {
    /// The lcore.
    pub fn lcore(&self) -> LcoreId {
        self.lcore
    }

    /// Sleeps until the function has returned, and answers its result. The lcore can be used again then.
    pub fn join(self) -> T {
        let Ok(result) = self.result.recv() else {
            // The sender goes only after it has sent, or by a panic, which has ended the process.
            std::process::abort();
        };
        // EAL's wait spins, but now there is only the way out of `run` left.
        // SAFETY: the lcore is one of EAL's workers.
        unsafe { dpdk_sys::rte_eal_wait_lcore(u32::from(self.lcore.0)) };
        result
    }
}
