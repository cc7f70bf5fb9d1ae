//! How long a packet is on its way by the relay, at a rate that leaves it time: from the primary to the tool and back, by the primary's
//! histogram.

use std::ops::Range;

use ::tests::Primary;

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
            let tried = self.with_relay(TRIED, words, |primary, alerts| {
                let before = Sample::take(primary)?;
                pause(self.times.measured)?;
                Sample::take(primary)?.since(&before, alerts)
            })?;
            let alerts = (TRIED as f64 * RATE / tried.offered.max(1.0)).round();
            let alerts = (alerts as usize).clamp(1, PACKETS);
            let (probe, took) = self.with_relay(alerts, words, |primary, alerts| {
                pause(self.times.warm_up)?;
                let (before, began) = (Sample::take(primary)?, Histogram::read(primary)?);
                pause(self.times.measured)?;
                let probe = Sample::take(primary)?.since(&before, alerts)?;
                Ok((probe, Histogram::read(primary)?.since(&began)))
            })?;
            let rate = name(relay, "alerts a second");
            section.record(&rate, Unit::PacketsPerSecond, probe.offered);
            for (what, share) in [("half within", 0.5), ("99 of 100 within", 0.99)] {
                section.record(&name(relay, what), Unit::Seconds, took.within(share)?);
            }
        }
        Ok(())
    }
}

/// How many packets took how long, the shortest first, nanoseconds.
#[derive(Debug)]
struct Histogram(Vec<(Range<u64>, u64)>);

impl Histogram {
    /// Read in place: a tool that is started for it would take the relay's CPU.
    fn read(primary: &Primary) -> Result<Self, Error> {
        Ok(Self(primary.tables()?.alert_latency()))
    }

    fn since(&self, before: &Self) -> Self {
        let pairs = self.0.iter().zip(&before.0);
        let came = pairs.map(|((class, now), (_, before))| (class.clone(), now.saturating_sub(*before)));
        Self(came.collect())
    }

    /// What this share of the packets took at most, seconds: those of a class are taken to be spread evenly over it.
    fn within(&self, share: f64) -> Result<f64, Error> {
        let all: u64 = self.0.iter().map(|(_, packets)| packets).sum();
        let mut wanted = all as f64 * share;
        for (class, packets) in &self.0 {
            if *packets > 0 && wanted <= *packets as f64 {
                let width = class.end.saturating_sub(class.start) as f64;
                return Ok((class.start as f64 + width * wanted / *packets as f64) / 1e9);
            }
            wanted -= *packets as f64;
        }
        Err(Error::Unexpected(
            "no tool has answered about a packet while times were measured".to_owned(),
        ))
    }
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
        "Times are from when a worker hands a packet to the tool until it takes the answer, by a histogram of quarters of powers of two, in \
         whose classes packets are taken to be spread evenly."
            .to_owned(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of these classes, in nanoseconds.
    fn histogram(packets: [u64; 3]) -> Histogram {
        let classes = [2048..4096, 4096..8192, 8192..10_240];
        Histogram(classes.into_iter().zip(packets).collect())
    }

    #[test]
    fn a_share_lies_within_its_class_and_earlier_packets_do_not_count() {
        let before = histogram([1000, 0, 7]);
        let after = histogram([1100, 100, 7]);
        let came = after.since(&before);
        let close = |share: f64, nanoseconds: f64| {
            let within = came.within(share).unwrap() * 1e9;
            assert!((within - nanoseconds).abs() < 1.0, "{within}");
        };
        close(0.25, 3072.0);
        close(0.5, 4096.0);
        close(0.75, 6144.0);
        close(1.0, 8192.0);
        assert!(after.since(&after).within(0.5).is_err());
    }
}
