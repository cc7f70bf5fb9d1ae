//! The figures as a picture: a bar for each series by the longest of its kind, and one for each finding by what is asked of it.
//!
//! ```text
//!   Forwarding of one worker
//!     testpmd mac      ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇  49.0 Mpps
//!     IPv4, 10,000     ▇▇▇▇▇▇▇▇▇▇▇▇▇▇        35.1 Mpps
//!     … / testpmd mac  ▇▇▇▇▇▇▇▇▇▇▇▇│▇▇       0.716 (at least 0.650)
//! ```

use std::fmt::Write;

use super::figures::{Bound, Finding, Section, Series};
use super::report::Report;

const WIDTH: f64 = 980.0;
const ROW: f64 = 22.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 330.0;
const LONGEST: f64 = 400.0;

impl Report {
    /// As an SVG document.
    pub(super) fn svg(&self) -> String {
        let mut plot = Plot {
            body: String::new(),
            y: 10.0,
        };
        for section in &self.sections {
            plot.section(section);
        }
        plot.text(10.0, "small", &self.circumstances.version);
        plot.next();
        let height = plot.y + 10.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
             <style>text{{font:13px sans-serif}}.title{{font-weight:bold}}.small{{font-size:11px}}\
             .series{{fill:#7a9cc6}}.holds{{fill:#6aa36a}}.missed{{fill:#c66}}.open{{fill:#aaa}}.asked{{stroke:#000;stroke-width:2}}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
            plot.body
        )
    }
}

/// What is drawn so far.
struct Plot {
    body: String,
    y: f64,
}

impl Plot {
    fn section(&mut self, section: &Section) {
        self.next();
        self.text(10.0, "title", &section.title);
        self.next();
        for series in &section.series {
            let alike = section.series.iter().filter(|other| other.unit == series.unit);
            let longest = alike.map(|other| other.spread().median).fold(0.0, f64::max);
            self.series(series, longest);
        }
        for finding in &section.findings {
            self.finding(finding);
        }
    }

    fn series(&mut self, series: &Series, longest: f64) {
        let median = series.spread().median;
        self.text(20.0, "name", &series.name);
        self.bar("series", length(median, longest));
        self.text(LEFT + LONGEST + 10.0, "value", &series.unit.text(median));
        self.next();
    }

    fn finding(&mut self, finding: &Finding) {
        let Finding {
            name,
            unit,
            value,
            bound,
        } = finding;
        self.text(20.0, "name", name);
        let mut told = unit.text(*value);
        match bound {
            Some(bound) => {
                let (Bound::AtLeast(asked) | Bound::AtMost(asked)) = *bound;
                // What is asked lies at half the width.
                let class = if bound.holds(*value) { "holds" } else { "missed" };
                self.bar(class, length(*value, 2.0 * asked));
                self.line(LEFT + LONGEST / 2.0);
                let _ = write!(told, " ({})", bound.text(*unit));
            }
            None => self.bar("open", length(*value, 2.0)),
        }
        self.text(LEFT + LONGEST + 10.0, "value", &told);
        self.next();
    }

    fn text(&mut self, x: f64, class: &str, text: &str) {
        let (y, text) = (self.y, escaped(text));
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>"
        );
    }

    fn bar(&mut self, class: &str, length: f64) {
        let y = self.y - 12.0;
        let _ = writeln!(
            self.body,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"15\" class=\"{class}\"/>"
        );
    }

    fn line(&mut self, x: f64) {
        let (top, bottom) = (self.y - 15.0, self.y + 6.0);
        let _ = writeln!(
            self.body,
            "<line x1=\"{x}\" x2=\"{x}\" y1=\"{top}\" y2=\"{bottom}\" class=\"asked\"/>"
        );
    }

    fn next(&mut self) {
        self.y += ROW;
    }
}

/// How long a bar is, where `whole` fills the width.
fn length(value: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (value / whole).clamp(0.0, 1.0) * LONGEST
    } else {
        0.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn what_is_met_is_drawn_beyond_the_line_and_what_is_missed_before_it() {
        let svg = report().svg();
        let width_of = |class: &str| -> f64 {
            let line = svg
                .lines()
                .find(|line| line.contains(&format!("class=\"{class}\"")));
            let (_, rest) = line.unwrap().split_once("width=\"").unwrap();
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        assert!(width_of("holds") > LONGEST / 2.0);
        assert!(width_of("missed") < LONGEST / 2.0);
        assert_eq!(svg.matches("class=\"asked\"").count(), 2);
    }

    #[test]
    fn names_do_not_end_elements() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
        let svg = report().svg();
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
