//! What `dpdk-dumpcap` and `dpdk-pdump` ask of a primary: DPDK's own packet capture.

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

impl Eal {
    /// Lets `dpdk-dumpcap` and `dpdk-pdump` have copies of what queues receive and send, until the process ends: DPDK's
    /// packet capture framework. They are secondary processes, so EAL must keep files, without `--in-memory`. Takes 4 MB for
    /// counters, and no time until one of them asks.
    ///
    /// # Errors
    /// There is no memory for the counters, or EAL has no channel to secondary processes.
    pub fn serve_captures(&self) -> Result<(), CaptureServiceError> {
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
