//! What `dpdk-dumpcap` and `dpdk-pdump` ask of a primary: DPDK's own packet capture.

use std::sync::OnceLock;

use crate::eal::Eal;
use crate::errno::{Errno, ErrorLines};
use crate::log;

/// DPDK's captures cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("DPDK's own tools cannot capture: {errno}{log}")]
pub struct CaptureServiceError {
    /// `rte_errno`.
    errno: Errno,
    /// What DPDK logged.
    log: ErrorLines,
}

/// What waits for threads that poll queues.
static AWAIT_BURSTS: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

extern "C" fn await_bursts() {
    if let Some(wait) = AWAIT_BURSTS.get() {
        wait();
    }
}

impl Eal {
    /// Lets `dpdk-dumpcap` and `dpdk-pdump` have copies of what queues receive and send, until the process ends: DPDK's
    /// packet capture framework. They are secondary processes, so EAL must keep files, without `--in-memory`. Takes 4 MB for
    /// counters, and no time until one of them asks.
    ///
    /// `await_bursts` returns when every thread that polls a queue has been outside of DPDK's receive and transmit functions since
    /// it was called, within five seconds. Until then no tool is told that its capture is over: it frees what those threads copy to.
    ///
    /// # Errors
    /// There is no memory for the counters, or EAL has no channel to secondary processes.
    pub fn serve_captures(
        &self,
        await_bursts: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), CaptureServiceError> {
        // A second one would find the service running.
        drop(AWAIT_BURSTS.set(Box::new(await_bursts)));
        // SAFETY: the function may be called by any thread, at any time; it is set before a tool can ask.
        unsafe { dpdk_sys::capture_reply_after(Some(self::await_bursts)) };
        // Never undone: who polls a queue counts there as long as a tool has its queue, also when that tool was killed.
        // SAFETY: EAL runs.
        let (result, log) = log::collect_errors(|| unsafe { dpdk_sys::rte_pdump_init() });
        if result < 0 {
            return Err(CaptureServiceError {
                errno: Errno::last(),
                log,
            });
        }
        Ok(())
    }
}
