//! How packets end that a tool was asked about: what becomes of those that get no answer, and what is counted by rule.

use std::sync::Arc;

use control::message::{FailMode, PuntClass};
use dpdk::Mbuf;
use shm::{AlertCounter, CounterBlock, punt_bucket};

use super::HandedBack;
use crate::alerts::RuleSet;

/// A packet that a tool decides about.
pub(super) struct Held {
    pub(super) mbuf: Mbuf,
    pub(super) class: PuntClass,
    /// The rule for router alerts that it fits.
    pub(super) rule: Option<u16>,
    /// When it was given to the tool.
    pub(super) since: u64,
}

/// Why a packet that a tool was asked about gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It was too late.
    Late,
    /// The tool went.
    Died,
}

/// What becomes of packets without a tool.
pub(super) struct FailModes {
    /// By class.
    pub(super) classes: [FailMode; PuntClass::COUNT],
    /// Router alerts have the fail modes of their rules.
    pub(super) rules: Option<Arc<RuleSet>>,
}

impl FailModes {
    /// Of a class, or of a rule in it.
    pub(super) fn of(&self, class: PuntClass, rule: Option<u16>) -> FailMode {
        let rule = rule.and_then(|rule| self.rules.as_ref()?.rule(rule));
        rule.map_or(self.classes[class as usize], |rule| rule.fail)
    }

    /// What becomes of a packet that was with a tool and gets no answer.
    pub(super) fn without_tool(&self, held: Held, why: Unanswered, counters: &CounterBlock) -> HandedBack {
        let fail = self.of(held.class, held.rule);
        let counter = match (why, fail) {
            (Unanswered::Late, FailMode::Open) => AlertCounter::BypassDeadline,
            (Unanswered::Late, FailMode::Closed) => AlertCounter::ClosedDeadline,
            (Unanswered::Died, FailMode::Open) => AlertCounter::BypassDied,
            (Unanswered::Died, FailMode::Closed) => AlertCounter::ClosedDied,
        };
        held.count(counter, counters);
        match fail {
            FailMode::Open => HandedBack::Forward(held.mbuf),
            FailMode::Closed => HandedBack::Orphan(held.mbuf),
        }
    }
}

impl Held {
    /// Counts it for its rule, if it has one.
    pub(super) fn count(&self, counter: AlertCounter, counters: &CounterBlock) {
        if let Some(rule) = self.rule {
            counters.alert(rule, counter, 1);
        }
    }
}

/// How long tools take.
#[derive(Clone, Copy)]
pub(super) struct Stopwatch {
    /// Nanoseconds per tick, times 2^32.
    tick_ns_32: u64,
}

impl Stopwatch {
    pub(super) fn new(tsc_hz: u64) -> Self {
        Self {
            tick_ns_32: (1_000_000_000 << 32) / tsc_hz.max(1),
        }
    }

    /// Counts how long a router alert was away that goes on now.
    pub(super) fn stop(self, held: &Held, now: u64, counters: &CounterBlock) {
        if held.class == PuntClass::RouterAlert {
            counters.punt_took(punt_bucket(self.nanoseconds(now.saturating_sub(held.since))));
        }
    }

    fn nanoseconds(self, ticks: u64) -> u64 {
        let nanoseconds = (u128::from(ticks) * u128::from(self.tick_ns_32)) >> 32;
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_ra_40_ticks_become_nanoseconds_whatever_the_clock_is() {
        for (hz, ticks, expected) in [
            (1_000_000_000, 12_345, 12_345),
            (2_000_000_000, 10_000, 5_000),
            (2_500_000_000, 2_500_000_000, 1_000_000_000),
            (1, 3, 3_000_000_000),
            (3_000_000_000, 0, 0),
        ] {
            let nanoseconds = Stopwatch::new(hz).nanoseconds(ticks);
            assert!(
                nanoseconds.abs_diff(expected) <= 1,
                "{ticks} at {hz} Hz: {nanoseconds}"
            );
        }
        assert_eq!(Stopwatch::new(1).nanoseconds(u64::MAX), u64::MAX);
    }
}
