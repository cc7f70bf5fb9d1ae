//! What is counted of rules for router alerts: by writer and rule, and how long tools took.
//!
//! ```text
//!   a packet that fits a rule ─► matched ─┬─► limited_*                  more than a policer lets through
//!                                         ├─► bypass_dead, closed_dead   no tool was there to be asked
//!                                         ├─► bypass_full, closed_full   the tool was behind
//!                                         └─► punted ─┬─► relayed, replaced, dropped, refused   what the tool decided
//!                                                     ├─► bypass_deadline, closed_deadline      it did not in time
//!                                                     ├─► bypass_died, closed_died              it went
//!                                                     └─► with the tool now
//! ```
//!
//! So `matched` is the sum of the first column, and `punted` that of the second. What `limited_*` and `bypass_*` count goes on
//! as if there were no rule, or is dropped where the configuration says so.

use crate::cells::{CounterBlock, CounterView};
use crate::counters::counter_enum;
use crate::records::ALERT_RULES;

counter_enum! {
    /// What is counted of a rule for router alerts.
    pub enum AlertCounter {
        /// Packets that the rule was the first to fit.
        Matched => "matched",
        /// Of these, those that a tool was asked about.
        Punted => "punted",
        /// Of the punted, those that the tool sent on as they were.
        Relayed => "relayed",
        /// Of the punted, those that the tool sent on with other bytes.
        Replaced => "replaced",
        /// Of the punted, those that the tool dropped.
        Dropped => "dropped",
        /// Of the punted, those that the tool dropped and had their senders told.
        Refused => "refused",
        /// Of the matched, those that went on since there was no tool.
        BypassDead => "bypass_dead",
        /// Of the punted, those that went on since their tool went before it decided.
        BypassDied => "bypass_died",
        /// Of the matched, those that went on since the tool was behind.
        BypassFull => "bypass_full",
        /// Of the punted, those that went on since the tool had not decided in time.
        BypassDeadline => "bypass_deadline",
        /// Of the matched, those that were dropped since there was no tool.
        ClosedDead => "closed_dead",
        /// Of the punted, those that were dropped since their tool went before it decided.
        ClosedDied => "closed_died",
        /// Of the matched, those that were dropped since the tool was behind.
        ClosedFull => "closed_full",
        /// Of the punted, those that were dropped since the tool had not decided in time.
        ClosedDeadline => "closed_deadline",
        /// Of the matched, those that were too many for the policer of all router alerts.
        LimitedGlobal => "limited_global",
        /// Of the matched, those that were too many for the policer of their interface.
        LimitedInterface => "limited_interface",
        /// Of the matched, those that were too many for the policer of the rule.
        LimitedRule => "limited_rule",
        /// Of the matched, those that were too many for the policer of their source prefix.
        LimitedSource => "limited_source",
        /// Of the punted, those whose decision could not be what it said.
        BadVerdict => "bad_verdict",
        /// Packets that the rule was the first to fit and whose hops have run out, so that no tool was asked; not among the matched.
        /// Observers get copies if the rule says so.
        Expired => "expired",
    }
}

/// Cells of how long tools took: up to 2^33 ns, 8.6 s.
pub const PUNT_BUCKETS: usize = 128;

/// The bucket of a time in nanoseconds: each power of two is four buckets of the same width, those below 4 ns are 1 ns wide. The
/// last also has what took longer.
#[inline]
pub const fn punt_bucket(nanoseconds: u64) -> usize {
    let Some(power) = nanoseconds.checked_ilog2() else {
        return 0;
    };
    if power < 2 {
        return nanoseconds as usize;
    }
    let bucket = (power as usize - 1) * 4 + (nanoseconds >> (power - 2)) as usize % 4;
    if bucket < PUNT_BUCKETS {
        bucket
    } else {
        PUNT_BUCKETS - 1
    }
}

/// Where a bucket begins, nanoseconds: it has the times from there to before the next one.
pub const fn punt_bucket_start(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    (4 + bucket as u64 % 4) << (bucket / 4 - 1)
}

/// Cells of one rule, rounded up to whole cache lines.
const RULE_CELLS: usize = AlertCounter::COUNT.next_multiple_of(8);
/// Where the cells of how long tools took begin, counted from the first of a writer.
const TOOK: usize = ALERT_RULES * RULE_CELLS;
/// Cells of one writer, a whole number of cache lines.
pub(crate) const ALERT_CELLS: usize = TOOK + PUNT_BUCKETS;

impl CounterBlock {
    /// Adds to a counter of a rule, by its number. A rule that cannot be is passed over.
    #[inline]
    pub fn alert(&self, rule: u16, counter: AlertCounter, count: u64) {
        if usize::from(rule) < ALERT_RULES {
            self.bump_alert(usize::from(rule) * RULE_CELLS + counter as usize, count);
        }
    }

    /// Sets all counters of a rule to zero: it is a new one. Each writer does that when it learns of the rule.
    pub fn clear_alert(&self, rule: u16) {
        if usize::from(rule) < ALERT_RULES {
            self.clear_alerts(usize::from(rule) * RULE_CELLS, RULE_CELLS);
        }
    }

    /// Counts how long a packet was with a tool: the number of a bucket, as [`punt_bucket`] has it.
    #[inline]
    pub fn punt_took(&self, bucket: usize) {
        self.bump_alert(TOOK + bucket.min(PUNT_BUCKETS - 1), 1);
    }
}

impl CounterView<'_> {
    /// A counter of a rule, summed over all writers; 0 for a rule that cannot be.
    pub fn alert(&self, rule: u16, counter: AlertCounter) -> u64 {
        if usize::from(rule) < ALERT_RULES {
            self.alerts(usize::from(rule) * RULE_CELLS + counter as usize)
        } else {
            0
        }
    }

    /// How long packets were with tools, from the worker that gave them away to the same one that has taken them back, summed
    /// over all writers: packets by [`punt_bucket`].
    pub fn punt_took(&self) -> [u64; PUNT_BUCKETS] {
        std::array::from_fn(|bucket| self.alerts(TOOK + bucket))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{Capacity, InterfaceCounter, PathStage, TableReader, TableWriter, WorkerCounter};

    const CAPACITY: Capacity = Capacity {
        interfaces: 2,
        addresses: 1,
        routes4: 1,
        routes6: 1,
        neighbors: 1,
        next_hops: 1,
        workers: 2,
        pools: 1,
        sas: 4,
    };

    #[test]
    fn req_ra_40_buckets_are_quarters_of_powers_of_two() {
        for (nanoseconds, bucket) in [
            (0, 0),
            (3, 3),
            (4, 4),
            (7, 7),
            (8, 8),
            (9, 8),
            (10, 9),
            (1023, 35),
            (1024, 36),
            (1280, 37),
            ((1 << 33) - 1, 127),
            (u64::MAX, 127),
        ] {
            assert_eq!(punt_bucket(nanoseconds), bucket, "{nanoseconds} ns");
        }
        for bucket in 0..PUNT_BUCKETS {
            let start = punt_bucket_start(bucket);
            assert_eq!(punt_bucket(start), bucket, "{start} ns");
            assert!(bucket == 0 || punt_bucket(start - 1) == bucket - 1, "{start} ns");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn req_ra_39_each_count_is_where_it_was_counted_and_nowhere_else(
            counts in prop::collection::vec(
                (0..4usize, 0..ALERT_RULES as u16 + 2, 0..AlertCounter::COUNT, 1..1000u64), 0..60,
            ),
            took in prop::collection::vec((0..4usize, 0..PUNT_BUCKETS + 2), 0..20),
            cleared in 0..ALERT_RULES as u16,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tables");
            let region = TableWriter::create(&path, None, &CAPACITY).unwrap();
            let writers: Vec<_> = (0..4).map(|writer| region.counter_block(writer).unwrap()).collect();
            let mut expected: HashMap<(u16, usize), u64> = HashMap::new();
            let mut buckets = [0; PUNT_BUCKETS];
            for (writer, rule, counter, count) in counts {
                writers[writer].alert(rule, AlertCounter::ALL[counter], count);
                if usize::from(rule) < ALERT_RULES {
                    *expected.entry((rule, counter)).or_default() += count;
                }
            }
            for (writer, bucket) in took {
                writers[writer].punt_took(bucket);
                buckets[bucket.min(PUNT_BUCKETS - 1)] += 1;
            }
            for writer in &writers {
                writer.clear_alert(cleared);
            }
            expected.retain(|(rule, _), _| *rule != cleared);
            region.publish();
            let reader = TableReader::open(&path).unwrap();
            let view = reader.counters();
            for rule in 0..ALERT_RULES as u16 {
                for counter in AlertCounter::ALL {
                    let counted = expected.get(&(rule, *counter as usize)).copied().unwrap_or(0);
                    prop_assert_eq!(view.alert(rule, *counter), counted, "{} {}", rule, counter);
                }
            }
            prop_assert_eq!(view.alert(u16::MAX, AlertCounter::Matched), 0);
            prop_assert_eq!(view.punt_took(), buckets);
            for counter in InterfaceCounter::ALL {
                prop_assert_eq!(view.interface(1, *counter), 0);
            }
            prop_assert_eq!(view.bursts(PathStage::Drop), 0);
            prop_assert_eq!(view.worker(1, WorkerCounter::Loops), 0);
        }
    }
}
