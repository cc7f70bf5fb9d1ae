//! What the relay counted, said at the end.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::histogram::Histogram;
use crate::judge::{Cause, Judgement, Verdict};

/// What a rule has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Packets that went on as they came.
    pub relayed: u64,
    /// Packets that went on changed.
    pub changed: u64,
    /// Packets that were dropped.
    pub dropped: u64,
    /// Packets that went on as they came since they could not be changed as the rule wants.
    pub refused: u64,
}

/// What the relay has done.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Packets that the primary asked about.
    pub seen: u64,
    /// Those that no rule fits.
    pub no_rule: u64,
    /// By rule, each with its name.
    pub rules: Vec<(String, RuleCounts)>,
    /// From the burst in the primary to the verdict, nanoseconds.
    pub took: Histogram,
    /// Lines that were not printed.
    pub suppressed: u64,
}

impl Report {
    /// Nothing yet, with these rules.
    pub fn new(rules: impl IntoIterator<Item = String>) -> Self {
        let rules = rules.into_iter().map(|name| (name, RuleCounts::default()));
        Self {
            rules: rules.collect(),
            ..Self::default()
        }
    }

    /// Counts a packet.
    pub fn count(&mut self, judgement: &Judgement) {
        self.seen += 1;
        let (Cause::Rule(number) | Cause::Refused(number)) = judgement.cause else {
            self.no_rule += 1;
            return;
        };
        let Some((_, counts)) = self.rules.get_mut(number) else {
            return;
        };
        match (judgement.cause, judgement.verdict) {
            (Cause::Refused(_), _) => counts.refused += 1,
            (_, Verdict::Forward) => counts.relayed += 1,
            (_, Verdict::Replace) => counts.changed += 1,
            (_, Verdict::Drop) => counts.dropped += 1,
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rules: Vec<_> = self
            .rules
            .iter()
            .map(|(name, counts)| {
                json!({
                    "rule": name,
                    "relayed": counts.relayed,
                    "changed": counts.changed,
                    "dropped": counts.dropped,
                    "refused": counts.refused,
                })
            })
            .collect();
        let nanoseconds = |percent| self.took.percentile(percent).map(|took| took.as_nanos() as u64);
        json!({
            "seen": self.seen,
            "no_rule": self.no_rule,
            "rules": rules,
            "median_ns": nanoseconds(50.0),
            "p99_ns": nanoseconds(99.0),
            "lines_suppressed": self.suppressed,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} packets, {} of them of no rule", self.seen, self.no_rule);
        for (name, counts) in &self.rules {
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "\n  {name}: {} relayed, {} changed, {} dropped, {} that could not be changed",
                counts.relayed, counts.changed, counts.dropped, counts.refused
            );
        }
        if let (Some(median), Some(most)) = (self.took.percentile(50.0), self.took.percentile(99.0)) {
            let _ = write!(
                text,
                "\n  from the primary to the verdict: half within {}, 99 of 100 within {}",
                humantime::format_duration(median),
                humantime::format_duration(most)
            );
        }
        if self.suppressed > 0 {
            let _ = write!(text, "\n  {} lines were too many: see --rate", self.suppressed);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(verdict: Verdict, cause: Cause) -> Judgement {
        Judgement {
            verdict,
            cause,
            value: Some(5),
            network: 14,
        }
    }

    #[test]
    fn each_packet_is_counted_once() {
        let mut report = Report::new(["a".to_owned(), "b".to_owned()]);
        for (verdict, cause) in [
            (Verdict::Forward, Cause::NoRule),
            (Verdict::Forward, Cause::Rule(0)),
            (Verdict::Replace, Cause::Rule(1)),
            (Verdict::Drop, Cause::Rule(1)),
            (Verdict::Forward, Cause::Refused(1)),
        ] {
            report.count(&judgement(verdict, cause));
        }
        let sum = |(_, counts): &(String, RuleCounts)| {
            counts.relayed + counts.changed + counts.dropped + counts.refused
        };
        assert_eq!(
            report.seen,
            report.no_rule + report.rules.iter().map(sum).sum::<u64>()
        );
        assert_eq!(report.json()["rules"][1]["refused"], 1);
        assert!(
            report
                .text()
                .contains("b: 0 relayed, 1 changed, 1 dropped, 1 that could not be changed")
        );
    }
}
