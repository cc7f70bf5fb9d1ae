//! The signal that asks a run to end, as the waits of this crate see it.
//!
//! A program that catches SIGINT, SIGTERM and SIGHUP into one word hands that word over with [`watch`]. From then on
//! every wait that may be cut short ([`crate::Wait::Interruptible`]) ends within [`TICK`] of the signal with
//! [`Error::Interrupted`], so that guards are dropped on the ordinary way out. Test binaries
//! watch nothing and die of the signal; [`crate::sweep()`] cleans up behind them.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::Error;

/// How often a wait looks for a signal and for the end of what it waits for.
pub const TICK: Duration = Duration::from_millis(20);

static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Names the word that holds the number of the caught signal, 0 for none. The first call counts.
pub fn watch(signal: Arc<AtomicUsize>) {
    SIGNAL.get_or_init(|| signal);
}

/// An error if a signal has asked for the end.
///
/// # Errors
/// [`Error::Interrupted`] with the number of the signal.
pub fn check() -> Result<(), Error> {
    match SIGNAL.get().map_or(0, |word| word.load(Ordering::Relaxed)) {
        0 => Ok(()),
        signal => Err(Error::Interrupted(i32::try_from(signal).unwrap_or(i32::MAX))),
    }
}
