//! What the relay counted, said at the end.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::helpers::HelperCounts;
use crate::histogram::Histogram;

/// What a rule has done. Each packet is in one of the first five; the others say more about some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Packets that went on as they came.
    pub relayed: u64,
    /// Packets that went on changed.
    pub changed: u64,
    /// Packets that were dropped.
    pub dropped: u64,
    /// Packets that were dropped and whose senders the primary was to tell.
    pub prohibited: u64,
    /// Packets that went on as they came since what the rule or its helper wants cannot be done with them.
    pub refused: u64,
    /// Packets that were held before they went on.
    pub held: u64,
    /// Copies that left by another interface.
    pub mirrored: u64,
    /// Copies that did not, for want of room or of the interface.
    pub not_mirrored: u64,
    /// Packets that went the way of fail, since their helper had too many, was not there, or ended.
    pub helper_dropped: u64,
    /// Packets that went the way of fail, since their helper did not answer in time.
    pub helper_late: u64,
    /// Of the refused ones, fragments whose payload was to be another.
    pub rewrite_fragment: u64,
}

impl RuleCounts {
    /// Names and numbers, for programs.
    fn fields(&self) -> [(&'static str, u64); 11] {
        [
            ("relayed", self.relayed),
            ("changed", self.changed),
            ("dropped", self.dropped),
            ("prohibited", self.prohibited),
            ("refused", self.refused),
            ("held", self.held),
            ("mirrored", self.mirrored),
            ("not_mirrored", self.not_mirrored),
            ("helper_dropped", self.helper_dropped),
            ("helper_late", self.helper_late),
            ("rewrite_fragment", self.rewrite_fragment),
        ]
    }

    /// For people: what is usual, and of the rest what there was.
    fn text(&self) -> String {
        let mut text = format!(
            "{} relayed, {} changed, {} dropped, {} that could not be changed",
            self.relayed, self.changed, self.dropped, self.refused
        );
        for (count, what) in [
            (self.prohibited, "dropped as prohibited"),
            (self.held, "held"),
            (self.mirrored, "copies mirrored"),
            (self.not_mirrored, "copies not mirrored"),
            (self.helper_dropped, "that no helper was there for"),
            (self.helper_late, "that a helper was too late for"),
            (self.rewrite_fragment, "fragments not to be rewritten"),
        ] {
            if count > 0 {
                // Writing to a String does not fail.
                let _ = write!(text, ", {count} {what}");
            }
        }
        text
    }
}

/// What the relay has done.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Packets that the primary asked about, or showed.
    pub seen: u64,
    /// Those that no rule fits.
    pub no_rule: u64,
    /// By rule, each with its name.
    pub rules: Vec<(String, RuleCounts)>,
    /// By helper, each with its name.
    pub helpers: Vec<(String, HelperCounts)>,
    /// From the burst in the primary to the verdict, nanoseconds; of packets that were neither held nor asked about.
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

    /// Where the rule of a name is counted.
    pub fn place(&mut self, name: &str) -> usize {
        let found = self.rules.iter().position(|(rule, _)| rule == name);
        found.unwrap_or_else(|| {
            self.rules.push((name.to_owned(), RuleCounts::default()));
            self.rules.len() - 1
        })
    }

    /// Counts something of the rule at a place.
    #[inline]
    pub fn count(&mut self, place: usize, count: impl FnOnce(&mut RuleCounts)) {
        if let Some((_, counts)) = self.rules.get_mut(place) {
            count(counts);
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rules = self.rules.iter().map(|(name, counts)| {
            let mut rule = json!({ "rule": name });
            for (field, count) in counts.fields() {
                rule[field] = count.into();
            }
            rule
        });
        let helpers = self.helpers.iter().map(|(name, counts)| {
            json!({
                "helper": name,
                "asked": counts.asked,
                "answered": counts.answered,
                "late": counts.late,
                "dropped": counts.dropped,
                "ended": counts.ended,
            })
        });
        let nanoseconds = |percent| self.took.percentile(percent).map(|took| took.as_nanos() as u64);
        json!({
            "seen": self.seen,
            "no_rule": self.no_rule,
            "rules": rules.collect::<Vec<_>>(),
            "helpers": helpers.collect::<Vec<_>>(),
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
            let _ = write!(text, "\n  {name}: {}", counts.text());
        }
        for (name, counts) in &self.helpers {
            let _ = write!(
                text,
                "\n  helper {name}: asked about {}, answered {}, late {}, not asked about {}, ended {} times",
                counts.asked, counts.answered, counts.late, counts.dropped, counts.ended
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

    #[test]
    fn what_was_counted_is_in_the_report() {
        let mut report = Report::new(["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            (report.place("b"), report.place("c"), report.place("c")),
            (1, 2, 2)
        );
        report.count(1, |counts| (counts.relayed, counts.refused) = (2, 1));
        report.count(2, |counts| (counts.dropped, counts.helper_late) = (1, 1));
        let counts = HelperCounts {
            asked: 5,
            late: 1,
            ..HelperCounts::default()
        };
        report.helpers = vec![("policy".to_owned(), counts)];
        let json = report.json();
        assert_eq!(
            (&json["rules"][1]["refused"], &json["rules"][2]["helper_late"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(json["rules"][2]["held"], 0);
        assert_eq!(json["helpers"][0]["asked"], 5);
        let text = report.text();
        for part in [
            "b: 2 relayed, 0 changed, 0 dropped, 1 that could not be changed\n",
            "c: 0 relayed, 0 changed, 1 dropped, 0 that could not be changed, 1 that a helper was too late for\n",
            "helper policy: asked about 5, answered 0, late 1, not asked about 0, ended 0 times",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
