//! What became of the packets, said at the end.

use std::fmt;

use serde_json::json;

/// Numbers of packets. Unless the capture was cut by a count, what was seen is the sum of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Those that the filter was asked about.
    pub seen: u64,
    /// Of these, those that it did not match.
    pub filtered: u64,
    /// Those that are in the file, or were printed.
    pub written: u64,
    /// Those that matched and found no room because this tool was behind.
    pub lost: u64,
}

impl Report {
    /// The same as a JSON object on one line.
    pub fn to_json(&self) -> String {
        let Self {
            seen,
            filtered,
            written,
            lost,
        } = self;
        json!({ "report": { "seen": seen, "filtered": filtered, "written": written, "lost": lost } })
            .to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seen,
            filtered,
            written,
            lost,
        } = self;
        write!(
            f,
            "{seen} seen, {filtered} filtered, {written} written, {lost} lost"
        )
    }
}
