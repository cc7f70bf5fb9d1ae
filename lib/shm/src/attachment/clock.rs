//! Time stamp counter to time of day, without a system call per packet.

use std::sync::atomic::AtomicU64;

use super::word;
use crate::slot::{self, Found};

/// How ticks of the time stamp counter become nanoseconds since 1970: by the last time that both were read together, and
/// the speed since the primary's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The counter at that time.
    pub ticks: u64,
    /// Nanoseconds since 1970, UTC, at that time.
    pub time_ns: u64,
    /// Nanoseconds of a tick, times 2^32.
    pub tick_ns_32: u64,
}

impl Clock {
    /// The clock by two moments at which both were read.
    pub fn between(first: (u64, u64), now: (u64, u64)) -> Self {
        let (ticks, time_ns) = (now.0.wrapping_sub(first.0), now.1.saturating_sub(first.1));
        let tick_ns_32 = (u128::from(time_ns) << 32) / u128::from(ticks.max(1));
        Self {
            ticks: now.0,
            time_ns: now.1,
            tick_ns_32: u64::try_from(tick_ns_32).unwrap_or(u64::MAX),
        }
    }

    /// The time at which the counter had a value, before or after the time of this clock.
    pub fn time_ns(&self, ticks: u64) -> u64 {
        let difference = i128::from(ticks.wrapping_sub(self.ticks).cast_signed());
        let nanoseconds = (difference * i128::from(self.tick_ns_32)) >> 32;
        let time = i128::from(self.time_ns) + nanoseconds;
        u64::try_from(time).unwrap_or(0)
    }

    pub(super) fn write(&self, words: &[AtomicU64]) {
        slot::write(
            &words[word::CLOCK..word::CLOCK_END],
            Some(&[self.ticks, self.time_ns, self.tick_ns_32]),
        );
    }

    pub(super) fn read(words: &[AtomicU64]) -> Option<Self> {
        let mut record = [0; 3];
        match slot::read(&words[word::CLOCK..word::CLOCK_END], &mut record) {
            Found::Record => Some(Self {
                ticks: record[0],
                time_ns: record[1],
                tick_ns_32: record[2],
            }),
            Found::Empty | Found::Torn => None,
        }
    }
}
