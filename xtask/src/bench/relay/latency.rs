//! How long a packet is on its way by the relay, at a rate that leaves it time: from the primary to the tool and back, by the primary's
//! histogram.

use std::collections::BTreeMap;

use ::tests::Primary;
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

/// How many packets took how long: by beginning and end of each class in nanoseconds.
#[derive(Debug)]
struct Histogram(BTreeMap<(u64, u64), u64>);

impl Histogram {
    /// As `tollgate-ctl ra show` has it.
    fn read(primary: &Primary) -> Result<Self, Error> {
        Self::of(&primary.ctl_json(&["ra", "show"])?)
    }

    fn of(shown: &Value) -> Result<Self, Error> {
        let mut parts = shown.as_array().into_iter().flatten();
        let buckets = parts
            .find(|part| part["kind"] == "latency")
            .and_then(|latency| latency["buckets"].as_array())
            .ok_or_else(|| Error::Unexpected(format!("`tollgate-ctl ra show` has no latency: {shown}")))?;
        let class = |bucket: &Value| {
            let of = |name| bucket[name].as_u64();
            Some(((of("from_ns")?, of("below_ns")?), of("packets")?))
        };
        Ok(Self(buckets.iter().filter_map(class).collect()))
    }

    fn since(&self, before: &Self) -> Self {
        let came = |(class, packets): (&(u64, u64), &u64)| {
            let before = before.0.get(class).copied().unwrap_or_default();
            (*class, packets.saturating_sub(before))
        };
        Self(self.0.iter().map(came).collect())
    }

    /// What this share of the packets took at most, seconds: those of a class are taken to be spread evenly over it.
    fn within(&self, share: f64) -> Result<f64, Error> {
        let all: u64 = self.0.values().sum();
        let mut wanted = all as f64 * share;
        for ((from, below), packets) in &self.0 {
            if *packets > 0 && wanted <= *packets as f64 {
                let width = below.saturating_sub(*from) as f64;
                return Ok((*from as f64 + width * wanted / *packets as f64) / 1e9);
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
    use serde_json::json;

    use super::*;

    fn histogram(buckets: &[(u64, u64)]) -> Histogram {
        let buckets = buckets
            .iter()
            .map(|(end, packets)| json!({"from_ns": end / 2, "below_ns": end, "packets": packets}));
        let shown = json!([{"kind": "rule"}, {"kind": "latency", "buckets": buckets.collect::<Vec<_>>()}]);
        Histogram::of(&shown).unwrap()
    }

    #[test]
    fn a_share_lies_within_its_class_and_earlier_packets_do_not_count() {
        let before = histogram(&[(1024, 1000), (65_536, 7)]);
        let after = histogram(&[(1024, 1000), (4096, 100), (8192, 100), (65_536, 7)]);
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
        assert!(Histogram::of(&json!([])).is_err());
    }
}
