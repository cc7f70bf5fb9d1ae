//! How long a packet is on its way by the relay, at a rate that leaves it time.

use serde_json::Value;

use super::super::figures::{Bound, Section, Unit};
use super::super::{Bench, pause};
use super::ours::Sample;
use super::packets::PACKETS;
use super::{Error, OURS};

/// Alerts per second.
const RATE: f64 = 20_000.0;
/// Of [`PACKETS`], by which the rate is tried out.
const TRIED: usize = 4;

/// Relays, with their words and what is asked of them: median and 99 of 100, seconds.
const RELAYS: [(&str, &[&str], Bound, Option<Bound>); 2] = [
    (
        "polling",
        &["--busy"],
        Bound::AtMost(5e-6),
        Some(Bound::AtMost(50e-6)),
    ),
    ("sleeping", &[], Bound::AtMost(20e-6), None),
];

fn name(relay: &str, what: &str) -> String {
    format!("{OURS}, {relay}: {what}")
}

impl Bench {
    /// Both relays at the rate.
    pub(super) fn latency(&self, section: &mut Section) -> Result<(), Error> {
        for (relay, words, _, _) in RELAYS {
            let (tried, _) = self.with_relay(TRIED, words, |primary, alerts| {
                let before = Sample::take(primary)?;
                pause(self.times.measured)?;
                Sample::take(primary)?.since(&before, alerts)
            })?;
            let alerts = (TRIED as f64 * RATE / tried.offered.max(1.0)).round();
            let alerts = (alerts as usize).clamp(1, PACKETS);
            let (probe, report) = self.with_relay(alerts, words, |primary, alerts| {
                pause(self.times.warm_up)?;
                let before = Sample::take(primary)?;
                pause(self.times.measured)?;
                Sample::take(primary)?.since(&before, alerts)
            })?;
            let rate = name(relay, "alerts a second");
            section.record(&rate, Unit::PacketsPerSecond, probe.offered);
            for (what, key) in [("half within", "median_ns"), ("99 of 100 within", "p99_ns")] {
                section.record(&name(relay, what), Unit::Seconds, seconds(&report, key)?);
            }
        }
        Ok(())
    }
}

fn seconds(report: &Value, key: &str) -> Result<f64, Error> {
    let nanoseconds = report[key].as_f64();
    nanoseconds
        .map(|nanoseconds| nanoseconds / 1e9)
        .ok_or_else(|| Error::Unexpected(format!("the relay's report has no {key}: {report}")))
}

/// Asks of the series what is asked.
pub(super) fn judge(section: &mut Section) {
    for (relay, _, median, most) in RELAYS {
        section.judge(&name(relay, "half within"), median);
        if let Some(most) = most {
            section.judge(&name(relay, "99 of 100 within"), most);
        }
    }
    section.remarks.push(
        "Times are from when the primary took the packet's burst until the relay has its verdict, by a histogram of powers of two: each is the end \
         of its class, so it may be up to twice what it was."
            .to_owned(),
    );
}
