//! Where packets come from: a capture on a primary, or a test.

use std::time::Duration;

use control::capture::Capture;
pub use control::capture::{CaptureError, Counts, Packet, Way};

/// A capture that runs.
pub trait Source {
    /// Takes what packets there are, the oldest first, and waits at most `timeout` for the first. Gives how many were
    /// taken, at most a few hundred.
    fn receive(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Packet<'_>),
    ) -> Result<usize, CaptureError>;

    /// No more packets are put in. Those that are in can still be received, until [`Source::receive`] gives 0.
    fn stop(&mut self);

    /// How many packets there were until now.
    fn counts(&self) -> Counts;
}

impl Source for Capture {
    fn receive(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Packet<'_>),
    ) -> Result<usize, CaptureError> {
        self.receive(timeout, take)
    }

    fn stop(&mut self) {
        self.stop();
    }

    fn counts(&self) -> Counts {
        self.counts()
    }
}
