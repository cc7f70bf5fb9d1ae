//! One line on a terminal that says how far a long step is; nothing when nobody looks.

use std::io::{IsTerminal, Write, stderr};

/// The line. It is gone when this is dropped.
pub(crate) struct Progress {
    what: String,
    shown: bool,
}

impl Progress {
    /// A line for `what`; it appears with the first [`report`](Self::report).
    pub(crate) fn new(what: String) -> Self {
        Self { what, shown: false }
    }

    /// Says that `done` of `all` is done.
    pub(crate) fn report(&mut self, done: u64, all: u64) {
        if stderr().is_terminal() {
            self.shown = true;
            eprint!("\r\x1b[K{}: {done} of {all}", self.what);
            // A line that could not be shown is no reason to stop.
            drop(stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
