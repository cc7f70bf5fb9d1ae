//! The clock, as the caller has it.

use std::ops::Add;
use std::time::Duration;

/// A moment of the caller's clock, in milliseconds since any start. The clock never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// So many milliseconds after the start of the clock.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis)
    }

    /// Milliseconds after the start of the clock.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, later: Duration) -> Time {
        let millis = u64::try_from(later.as_millis()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(millis))
    }
}
