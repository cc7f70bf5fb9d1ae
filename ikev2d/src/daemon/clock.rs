//! The clock of the engine, which goes on from process to process.

use std::time::Duration;

use ike_engine::Time;
use nix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine was started, with the time that it slept.
pub(super) fn now() -> Time {
    // Linux has this clock since 2.6.39: it does not fail.
    let since = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
