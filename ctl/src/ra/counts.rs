//! `ra show`: what became of packets with router alerts, by rule and by interface, and how long tools took.

use std::collections::BTreeMap;

use control::alerts;
use serde::{Serialize, Serializer, ser::SerializeMap};
use shm::records::from_text;
use shm::{AlertCounter, CounterView, DropReason, InterfaceCounter, PUNT_BUCKETS, punt_bucket_start};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

/// How the names of reasons begin for which packets are dropped for their options, before any rule is looked at.
const OPTION_DROPS: [&str; 6] = [
    "hop_by_hop_",
    "ip4_options",
    "ip6_extension_header",
    "ip6_option",
    "jumbo_",
    "router_alert_",
];

/// How the names of counters of router alerts begin that interfaces have.
const ALERTS: &str = "alerts_";

/// One part of what is shown.
#[derive(Debug)]
enum Part {
    Rule {
        id: u16,
        name: String,
        counts: Vec<(AlertCounter, u64)>,
    },
    Interface {
        name: String,
        counts: Vec<(InterfaceCounter, u64)>,
        drops: Vec<(DropReason, u64)>,
    },
    Latency(Box<[u64; PUNT_BUCKETS]>),
}

pub(super) fn show(session: &Session) -> Result<(), Failure> {
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let rules = alerts::listed(&tables.reader).into_iter();
        let mut parts: Vec<_> = rules
            .map(|listed| Part::rule(listed.id, listed.rule.rule.name, &counters))
            .collect();
        parts.extend(
            tables
                .interfaces
                .iter()
                .map(|(index, record)| Part::interface(*index, from_text(&record.name), &counters)),
        );
        parts.push(Part::Latency(Box::new(counters.punt_took())));
        Ok(tables.reading(parts))
    })
}

impl Part {
    fn rule(id: u16, name: String, counters: &CounterView<'_>) -> Self {
        let counts = AlertCounter::ALL
            .iter()
            .map(|counter| (*counter, counters.alert(id, *counter)));
        Self::Rule {
            id,
            name,
            counts: counts.collect(),
        }
    }

    fn interface(index: u16, name: String, counters: &CounterView<'_>) -> Self {
        let of_alerts = |counter: &&InterfaceCounter| counter.name().starts_with(ALERTS);
        let of_options =
            |reason: &&DropReason| OPTION_DROPS.iter().any(|begin| reason.name().starts_with(begin));
        let counts = InterfaceCounter::ALL.iter().filter(of_alerts);
        let drops = DropReason::ALL.iter().filter(of_options);
        Self::Interface {
            name,
            counts: counts
                .map(|counter| (*counter, counters.interface(index, *counter)))
                .collect(),
            drops: drops
                .map(|reason| (*reason, counters.drops(index, *reason)))
                .collect(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Rule { .. } => "rule",
            Self::Interface { .. } => "interface",
            Self::Latency(_) => "latency",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Rule { name, .. } | Self::Interface { name, .. } => name,
            Self::Latency(_) => "",
        }
    }
}

/// What so many of a hundred took at most, nanoseconds: the end of a bucket, so up to a quarter more than it was. `None` if there
/// was none.
fn percentile(buckets: &[u64], percent: f64) -> Option<u64> {
    let count: u64 = buckets.iter().sum();
    let wanted = (count as f64 * percent / 100.0).ceil().max(1.0) as u64;
    let mut below = 0;
    let mut with_sum = buckets.iter().enumerate().map(|(bucket, packets)| {
        below += packets;
        (bucket, below)
    });
    with_sum
        .find(|(_, below)| *below >= wanted)
        .map(|(bucket, _)| end(bucket))
}

/// What packets of a bucket took less than, nanoseconds.
fn end(bucket: usize) -> u64 {
    punt_bucket_start(bucket + 1)
}

/// A time as people say it: to three digits.
fn said(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} us", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.1} s", nanoseconds as f64 / 1e9),
    }
}

/// A bucket that has packets.
#[derive(Serialize)]
struct Bucket {
    from_ns: u64,
    /// 2^33 stands for all that took longer, too.
    below_ns: u64,
    packets: u64,
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("kind", self.kind())?;
        match self {
            Self::Rule { id, name, counts } => {
                object.serialize_entry("rule", name)?;
                object.serialize_entry("id", id)?;
                for (counter, value) in counts {
                    object.serialize_entry(counter.name(), value)?;
                }
            }
            Self::Interface { name, counts, drops } => {
                object.serialize_entry("interface", name)?;
                for (counter, value) in counts {
                    object.serialize_entry(counter.name(), value)?;
                }
                let drops: BTreeMap<_, _> = drops
                    .iter()
                    .map(|(reason, packets)| (reason.name(), packets))
                    .collect();
                object.serialize_entry("drops", &drops)?;
            }
            Self::Latency(buckets) => {
                object.serialize_entry("packets", &buckets.iter().sum::<u64>())?;
                object.serialize_entry("p50_ns", &percentile(&buckets[..], 50.0))?;
                object.serialize_entry("p99_ns", &percentile(&buckets[..], 99.0))?;
                let full = buckets.iter().enumerate().filter(|(_, packets)| **packets > 0);
                let full = full.map(|(bucket, packets)| Bucket {
                    from_ns: punt_bucket_start(bucket),
                    below_ns: end(bucket),
                    packets: *packets,
                });
                object.serialize_entry("buckets", &full.collect::<Vec<_>>())?;
            }
        }
        object.end()
    }
}

impl Show for Part {
    const COLUMNS: &'static [Column] = &[left("WHAT"), left("NAME"), left("COUNTER"), right("PACKETS")];
    const RATE_COLUMNS: &'static [Column] = &[right("PACKETS/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        let mut line = |counter: &str, packets: u64, rate: Option<f64>| {
            table
                .cell(self.kind())
                .cell(self.name())
                .cell(counter)
                .cell(packets);
            if rates.is_some() {
                table.optional(rate);
            }
        };
        for count in self.counts() {
            // What everybody looks for has a line in any case.
            let always = matches!(
                count.name,
                "matched" | "punted" | "alerts_seen" | "alerts_unmatched"
            );
            if always || count.value > 0 {
                line(
                    count.name,
                    count.value,
                    rates.and_then(|rates| rates.of(count.name)),
                );
            }
        }
        if let Self::Latency(buckets) = self {
            for (bucket, packets) in buckets.iter().enumerate().filter(|(_, packets)| **packets > 0) {
                let last = bucket == PUNT_BUCKETS - 1;
                let counter = if last {
                    format!("from {}", said(end(bucket - 1)))
                } else {
                    format!("below {}", said(end(bucket)))
                };
                line(&counter, *packets, None);
            }
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    fn counts(&self) -> Vec<Count> {
        match self {
            Self::Rule { counts, .. } => counts
                .iter()
                .map(|(counter, value)| Count::new(counter.name(), *value))
                .collect(),
            Self::Interface { counts, drops, .. } => counts
                .iter()
                .map(|(counter, value)| Count::new(counter.name(), *value))
                .chain(drops.iter().map(|(reason, value)| Count {
                    group: Some("drops"),
                    name: reason.name(),
                    value: *value,
                }))
                .collect(),
            Self::Latency(_) => Vec::new(),
        }
    }

    fn note(&self) -> Option<String> {
        let Self::Latency(buckets) = self else { return None };
        let (half, most) = (percentile(&buckets[..], 50.0)?, percentile(&buckets[..], 99.0)?);
        Some(format!(
            "from the worker to the tool and back: half of the packets within {}, 99 of 100 within {}",
            said(half),
            said(most)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(counts: &[(usize, u64)]) -> Part {
        let mut buckets = [0; PUNT_BUCKETS];
        for (bucket, packets) in counts {
            buckets[*bucket] = *packets;
        }
        Part::Latency(Box::new(buckets))
    }

    fn json(part: &Part) -> String {
        serde_json::to_string(part).unwrap()
    }

    #[test]
    fn req_ra_40_percentiles_are_the_ends_of_buckets() {
        assert_eq!(
            json(&latency(&[(43, 98), (59, 1), (127, 1)])),
            concat!(
                r#"{"kind":"latency","packets":100,"p50_ns":4096,"p99_ns":65536,"buckets":["#,
                r#"{"from_ns":3584,"below_ns":4096,"packets":98},{"from_ns":57344,"below_ns":65536,"packets":1},"#,
                r#"{"from_ns":7516192768,"below_ns":8589934592,"packets":1}]}"#
            )
        );
        assert_eq!(
            json(&latency(&[])),
            r#"{"kind":"latency","packets":0,"p50_ns":null,"p99_ns":null,"buckets":[]}"#
        );
        assert_eq!(percentile(&[0, 1, 1], 50.0), Some(2));
        assert_eq!(percentile(&[0, 1, 1], 51.0), Some(3));
    }

    #[test]
    fn req_ra_39_the_json_form_is_stable() {
        let rule = Part::Rule {
            id: 3,
            name: "rsvp".into(),
            counts: vec![(AlertCounter::Matched, 9), (AlertCounter::BypassDead, 0)],
        };
        assert_eq!(
            json(&rule),
            r#"{"kind":"rule","rule":"rsvp","id":3,"matched":9,"bypass_dead":0}"#
        );
        let interface = Part::Interface {
            name: "lan".into(),
            counts: vec![(InterfaceCounter::AlertsSeen, 9)],
            drops: vec![(DropReason::Ip6Option, 1), (DropReason::Ip4Options, 0)],
        };
        assert_eq!(
            json(&interface),
            r#"{"kind":"interface","interface":"lan","alerts_seen":9,"drops":{"ip4_options":0,"ip6_option":1}}"#
        );
    }

    #[test]
    fn req_ra_40_the_table_has_what_was_counted_and_what_everybody_looks_for() {
        let parts = [
            Part::Rule {
                id: 3,
                name: "rsvp".into(),
                counts: vec![
                    (AlertCounter::Matched, 0),
                    (AlertCounter::Punted, 0),
                    (AlertCounter::Relayed, 0),
                    (AlertCounter::BypassDead, 2),
                ],
            },
            latency(&[(43, 3), (127, 1)]),
        ];
        let mut table = Table::new(Part::COLUMNS.to_vec());
        for part in &parts {
            part.lines(&mut table, None);
        }
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "\
WHAT     NAME  COUNTER       PACKETS
rule     rsvp  matched             0
rule     rsvp  punted              0
rule     rsvp  bypass_dead         2
latency  -     below 4.1 us        3
latency  -     from 7.5 s          1
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let note = parts[1].note().unwrap();
        assert!(note.ends_with("within 4.1 us, 99 of 100 within 8.6 s"), "{note}");
    }
}
