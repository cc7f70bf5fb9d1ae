//! `capture show`: who sees packets, which, and how many.

use clap::Args;
use control::message::{CaptureInfo, Reply, Request};
use serde::Serialize;

use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl capture
  tollgate-ctl --watch 1 capture show
  tollgate-ctl --json capture show

SEEN counts the packets that the filter was asked about, MATCHED those of them that it wants, LOST those of the
matching ones that found no room because the tool was behind, UNSAMPLED those that its budget or sample left out.
LIMITS are a queue, reasons, classes, a sample and a budget, where the capture has any. A capture is started by 'tollgate-pdump' and ends with it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A capture.
#[derive(Debug, Serialize)]
struct Capture {
    id: u32,
    tool: String,
    pid: i32,
    uid: u32,
    interfaces: Vec<String>,
    points: Vec<&'static str>,
    filter: String,
    snaplen: u32,
    queue: Option<u16>,
    drop_reasons: Vec<String>,
    punt_classes: Vec<&'static str>,
    related: bool,
    ring_kb: u32,
    max_pps: Option<u64>,
    max_mbps: Option<u64>,
    sample: Option<Sample>,
    age_s: u64,
    seen: u64,
    matched: u64,
    lost: u64,
    unsampled: u64,
}

/// What a sample is of.
#[derive(Debug, Serialize)]
struct Sample {
    every: u32,
    by: &'static str,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    let mut client = session.client()?;
    session.show(|| {
        let told = match session.call(&mut client, Request::CaptureShow)? {
            Reply::Captures(captures) => captures,
            other => return Err(unexpected(&other)),
        };
        let captures = told.into_iter().map(Capture::from).collect();
        Ok(session.tables()?.reading(captures))
    })
}

impl From<CaptureInfo> for Capture {
    fn from(told: CaptureInfo) -> Self {
        Self {
            id: told.id,
            tool: told.tool,
            pid: told.pid,
            uid: told.uid,
            interfaces: told.interfaces,
            points: told.points.iter().map(|point| point.name()).collect(),
            filter: told.expression,
            snaplen: told.snaplen,
            queue: told.queue,
            drop_reasons: told.drop_reasons,
            punt_classes: told.punt_classes.iter().map(|class| class.name()).collect(),
            related: told.related,
            ring_kb: told.ring_kb,
            max_pps: told.budget.max_pps,
            max_mbps: told.budget.max_mbps,
            sample: told.budget.sample.map(|sample| Sample {
                every: sample.every,
                by: sample.by.name(),
            }),
            age_s: told.age_s,
            seen: told.seen,
            matched: told.matched,
            lost: told.lost,
            unsampled: told.unsampled,
        }
    }
}

impl Capture {
    /// What it takes of its points and of what matches, in words; `-` for all.
    fn limits(&self) -> String {
        let mut limits = Vec::new();
        limits.extend(self.queue.map(|queue| format!("queue {queue}")));
        if !self.drop_reasons.is_empty() {
            limits.push(self.drop_reasons.join("+"));
        }
        if !self.punt_classes.is_empty() {
            limits.push(self.punt_classes.join("+"));
        }
        limits.extend(self.sample.as_ref().map(|sample| match sample.by {
            "flow" => format!("1/{} flows", sample.every),
            _ => format!("1/{}", sample.every),
        }));
        limits.extend(self.max_pps.map(|pps| format!("{pps} pps")));
        limits.extend(self.max_mbps.map(|mbps| format!("{mbps} Mbps")));
        if limits.is_empty() {
            "-".to_owned()
        } else {
            limits.join(", ")
        }
    }
}

impl Show for Capture {
    const COLUMNS: &'static [Column] = &[
        right("ID"),
        left("TOOL"),
        right("PID"),
        right("UID"),
        left("DEV"),
        left("POINTS"),
        right("SNAPLEN"),
        right("AGE"),
        right("SEEN"),
        right("MATCHED"),
        right("LOST"),
        right("UNSAMPLED"),
        left("LIMITS"),
        left("FILTER"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("SEEN/S"), right("MATCHED/S"), right("LOST/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(self.id)
            .cell(&self.tool)
            .cell(self.pid)
            .cell(self.uid)
            .cell(self.interfaces.join(","))
            .cell(self.points.join(","))
            .cell(self.snaplen)
            .cell(format_args!("{} s", self.age_s))
            .cell(self.seen)
            .cell(self.matched)
            .cell(self.lost)
            .cell(self.unsampled)
            .cell(self.limits())
            .cell(&self.filter);
        if let Some(rates) = rates {
            for name in ["seen", "matched", "lost"] {
                table.optional(rates.of(name));
            }
        }
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn counts(&self) -> Vec<Count> {
        vec![
            Count::new("seen", self.seen),
            Count::new("matched", self.matched),
            Count::new("lost", self.lost),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::message::{Budget, CapturePoint, PuntClass, SampleBy};

    #[test]
    fn the_json_form_is_stable() {
        let capture = Capture::from(CaptureInfo {
            id: 1,
            tool: "tollgate-pdump".into(),
            pid: 7,
            uid: 1000,
            interfaces: vec!["wan".into()],
            points: vec![CapturePoint::Rx, CapturePoint::Punt],
            expression: "udp".into(),
            snaplen: 96,
            queue: Some(1),
            drop_reasons: Vec::new(),
            punt_classes: vec![PuntClass::Ike],
            related: true,
            ring_kb: 8192,
            budget: Budget {
                max_pps: Some(1000),
                max_mbps: None,
                sample: Some(control::message::Sample {
                    every: 10,
                    by: SampleBy::Flow,
                }),
            },
            age_s: 2,
            seen: 10,
            matched: 5,
            lost: 1,
            unsampled: 3,
        });
        assert_eq!(capture.limits(), "queue 1, ike, 1/10 flows, 1000 pps");
        assert_eq!(
            serde_json::to_string(&capture).unwrap(),
            concat!(
                r#"{"id":1,"tool":"tollgate-pdump","pid":7,"uid":1000,"interfaces":["wan"],"points":["rx","punt"],"#,
                r#""filter":"udp","snaplen":96,"queue":1,"drop_reasons":[],"punt_classes":["ike"],"related":true,"#,
                r#""ring_kb":8192,"max_pps":1000,"max_mbps":null,"sample":{"every":10,"by":"flow"},"#,
                r#""age_s":2,"seen":10,"matched":5,"lost":1,"unsampled":3}"#
            )
        );
    }
}
