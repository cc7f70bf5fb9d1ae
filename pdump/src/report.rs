//! What became of the packets, said at the end.

use std::fmt;

use serde_json::{Value, json};

use crate::source::Counts;

/// Numbers of packets. What was seen is the sum of the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Those that the filter was asked about.
    pub seen: u64,
    /// Of these, those that it did not match.
    pub filtered: u64,
    /// Those that are in the file, or were printed.
    pub written: u64,
    /// Those that matched and found no room because this tool was behind.
    pub lost: u64,
    /// Those that matched, and that the capture's own budget or sample left out.
    pub unsampled: u64,
    /// Those that matched, and came when the capture was complete, or could not be written.
    pub unwritten: u64,
}

impl Report {
    /// What became of all that were counted, when so many have been written and nothing is on its way any more.
    pub fn new(counts: Counts, written: u64) -> Self {
        Self {
            seen: counts.seen,
            filtered: counts.seen.saturating_sub(counts.matched),
            written,
            lost: counts.lost,
            unsampled: counts.unsampled,
            unwritten: counts
                .matched
                .saturating_sub(counts.lost)
                .saturating_sub(counts.unsampled)
                .saturating_sub(written),
        }
    }

    /// The same as a JSON object.
    pub fn to_json(&self) -> Value {
        let Self {
            seen,
            filtered,
            written,
            lost,
            unsampled,
            unwritten,
        } = self;
        json!({
            "seen": seen,
            "filtered": filtered,
            "written": written,
            "lost": lost,
            "unsampled": unsampled,
            "unwritten": unwritten,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seen,
            filtered,
            written,
            lost,
            unsampled,
            unwritten,
        } = self;
        write!(
            f,
            "{seen} seen, {filtered} filtered, {written} written, {lost} lost"
        )?;
        if *unsampled > 0 {
            write!(f, ", {unsampled} unsampled")?;
        }
        if *unwritten > 0 {
            write!(f, ", {unwritten} came too late to be written")?;
        }
        Ok(())
    }
}
