//! What was measured: series of figures, one figure a round, and what is asked of them.

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    PacketsPerSecond,
    /// Ticks of the time stamp counter, per packet.
    Cycles,
    /// Per packet.
    Instructions,
    ChangesPerSecond,
    /// Of the packets inside of tunnels, IP headers with them.
    BitsPerSecond,
    /// Of SAs.
    InstallsPerSecond,
    SlotsPerSecond,
    /// Of IKE, with a child SA.
    HandshakesPerSecond,
    /// Of the load balancer.
    ConnectionsPerSecond,
    Seconds,
    Bytes,
    /// One figure by another.
    Ratio,
}

impl Unit {
    /// A figure as people read it.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::PacketsPerSecond if value < 1e6 => format!("{:.1} kpps", value / 1e3),
            Self::PacketsPerSecond => format!("{:.2} Mpps", value / 1e6),
            Self::Cycles => format!("{value:.1} cycles"),
            Self::Instructions => format!("{value:.2} instructions"),
            Self::ChangesPerSecond => format!("{:.0} thousand changes/s", value / 1e3),
            Self::BitsPerSecond => format!("{:.1} Gbit/s", value / 1e9),
            Self::InstallsPerSecond => format!("{:.1} thousand SAs/s", value / 1e3),
            Self::SlotsPerSecond => format!("{:.0} million slots/s", value / 1e6),
            Self::HandshakesPerSecond => format!("{value:.0} handshakes/s"),
            Self::ConnectionsPerSecond => format!("{:.0} thousand connections/s", value / 1e3),
            Self::Seconds if value < 1e-5 => format!("{:.1} µs", value * 1e6),
            Self::Seconds if value < 1e-3 => format!("{:.0} µs", value * 1e6),
            Self::Seconds if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Self::Seconds => format!("{value:.2} s"),
            Self::Bytes => format!("{:.0} MB", value / 1e6),
            Self::Ratio => format!("{value:.3}"),
        }
    }
}

/// Median and range of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let (last, middle) = (values.len().saturating_sub(1), values.len() / 2);
        let median = if values.len() % 2 == 1 {
            at(middle)
        } else {
            at(middle.saturating_sub(1)).midpoint(at(middle))
        };
        Self {
            median,
            min: at(0),
            max: at(last),
        }
    }
}

/// A figure of each round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) values: Vec<f64>,
}

impl Series {
    pub(super) fn spread(&self) -> Spread {
        Spread::of(&self.values)
    }
}

/// What is asked of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(super) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    pub(super) fn text(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {}", unit.text(least)),
            Self::AtMost(most) => format!("at most {}", unit.text(most)),
        }
    }
}

/// A figure that follows from the series, and what is asked of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) value: f64,
    pub(super) bound: Option<Bound>,
}

/// What belongs together.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) series: Vec<Series>,
    pub(super) findings: Vec<Finding>,
    /// Whole sentences: on what it was measured, and what could not be.
    pub(super) remarks: Vec<String>,
}

impl Section {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            series: Vec::new(),
            findings: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds a figure of this round to the series `name`.
    pub(super) fn record(&mut self, name: &str, unit: Unit, value: f64) {
        match self.series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series {
                name: name.to_owned(),
                unit,
                values: vec![value],
            }),
        }
    }

    /// Median of the series `name`, if it was measured.
    pub(super) fn median(&self, name: &str) -> Option<f64> {
        let series = self.series.iter().find(|series| series.name == name)?;
        Some(series.spread().median)
    }

    /// Compares the medians of two series, if both were measured.
    pub(super) fn compare(&mut self, series: &str, with: &str, bound: Option<Bound>) {
        if let (Some(value), Some(reference)) = (self.median(series), self.median(with))
            && reference > 0.0
        {
            self.conclude(
                &format!("{series} / {with}"),
                Unit::Ratio,
                value / reference,
                bound,
            );
        }
    }

    /// Asks something of the median of a series, if it was measured.
    pub(super) fn judge(&mut self, series: &str, bound: Bound) {
        let found = self.series.iter().find(|found| found.name == series);
        if let Some((unit, value)) = found.map(|found| (found.unit, found.spread().median)) {
            self.conclude(series, unit, value, Some(bound));
        }
    }

    pub(super) fn conclude(&mut self, name: &str, unit: Unit, value: f64, bound: Option<Bound>) {
        self.findings.push(Finding {
            name: name.to_owned(),
            unit,
            value,
            bound,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_middle_two() {
        let odd = Spread::of(&[3.0, 1.0, 9.0]);
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 9.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 9.0]).median, 3.0);
    }

    #[test]
    fn a_comparison_is_that_of_the_medians() {
        let mut section = Section::new("forwarding");
        for (ours, theirs) in [(30.0, 40.0), (10.0, 50.0), (32.0, 10.0)] {
            section.record("ours", Unit::PacketsPerSecond, ours);
            section.record("theirs", Unit::PacketsPerSecond, theirs);
        }
        section.compare("ours", "theirs", Some(Bound::AtLeast(0.65)));
        section.compare("ours", "nobody's", None);
        let [finding] = &section.findings[..] else {
            panic!("{:?}", section.findings);
        };
        assert_eq!((finding.value, finding.name.as_str()), (0.75, "ours / theirs"));
    }

    #[test]
    fn a_bound_holds_at_its_edge_and_not_beyond() {
        assert!(Bound::AtLeast(0.65).holds(0.65) && !Bound::AtLeast(0.65).holds(0.64));
        assert!(Bound::AtMost(1.03).holds(1.03) && !Bound::AtMost(1.03).holds(1.04));
    }

    #[test]
    fn figures_are_told_in_units_that_people_use() {
        assert_eq!(Unit::PacketsPerSecond.text(45.2e6), "45.20 Mpps");
        assert_eq!(Unit::PacketsPerSecond.text(15_489.0), "15.5 kpps");
        assert_eq!(Unit::Seconds.text(0.000_004_096), "4.1 µs");
        assert_eq!(Unit::Seconds.text(0.000_812), "812 µs");
        assert_eq!(Unit::Seconds.text(0.812), "812.0 ms");
        assert_eq!(Unit::Bytes.text(212e6), "212 MB");
        assert_eq!(Unit::BitsPerSecond.text(18.72e9), "18.7 Gbit/s");
        assert_eq!(Unit::InstallsPerSecond.text(21_540.0), "21.5 thousand SAs/s");
    }
}
