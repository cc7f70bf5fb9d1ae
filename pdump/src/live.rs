//! How a capture that writes a file is getting on: a line on a terminal that is written anew each second, or with `--json` an object
//! a second.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use serde_json::json;

use crate::report::Report;

/// Says it on stderr.
pub struct Live {
    begun: Instant,
    shape: Shape,
    last: (Instant, Report),
    is_shown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nothing,
    Line,
    Object,
}

impl Live {
    /// `quiet`: says nothing; with `json` objects, otherwise lines if stderr is a terminal.
    pub fn new(quiet: bool, json: bool) -> Self {
        let now = Instant::now();
        let shape = match (quiet, json) {
            (true, _) => Shape::Nothing,
            (false, true) => Shape::Object,
            (false, false) if io::stderr().is_terminal() => Shape::Line,
            (false, false) => Shape::Nothing,
        };
        Self {
            begun: now,
            shape,
            last: (now, Report::default()),
            is_shown: false,
        }
    }

    /// Called once a second.
    pub fn say(&mut self, report: &Report) {
        let now = Instant::now();
        let (before, last) = std::mem::replace(&mut self.last, (now, *report));
        let seconds = now.duration_since(before).as_secs_f64();
        let [seen, written] = [(report.seen, last.seen), (report.written, last.written)]
            .map(|(now, before)| per_second(now.saturating_sub(before), seconds));
        let since = now.duration_since(self.begun).as_secs();
        let text = match self.shape {
            Shape::Nothing => return,
            Shape::Line => line(since, report, seen, written),
            Shape::Object => {
                let mut object = report.to_json();
                object["seconds"] = json!(since);
                object["seen_per_second"] = json!(seen);
                object["written_per_second"] = json!(written);
                format!("{}\n", json!({ "live": object }))
            }
        };
        self.is_shown = self.shape == Shape::Line;
        // That nobody listens is no reason to end.
        drop(io::stderr().write_all(text.as_bytes()));
    }

    /// What is said next has a line of its own.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            drop(io::stderr().write_all(b"\n"));
        }
    }
}

fn per_second(packets: u64, seconds: f64) -> u64 {
    (packets as f64 / seconds.max(0.001)).round() as u64
}

/// From the beginning of the line on, what was there before wiped away.
fn line(since: u64, report: &Report, seen: u64, written: u64) -> String {
    let Report {
        seen: all,
        written: kept,
        lost,
        unsampled,
        ..
    } = report;
    let left_out = match unsampled {
        0 => String::new(),
        unsampled => format!(", {unsampled} unsampled"),
    };
    format!("\r{since} s: {all} seen ({seen}/s), {kept} written ({written}/s), {lost} lost{left_out}\x1b[K")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_the_place_of_the_one_before() {
        let report = Report {
            seen: 5000,
            filtered: 4000,
            written: 990,
            lost: 10,
            unsampled: 0,
            unwritten: 0,
        };
        assert_eq!(
            line(3, &report, per_second(3000, 1.5), 330),
            "\r3 s: 5000 seen (2000/s), 990 written (330/s), 10 lost\x1b[K"
        );
    }
}
