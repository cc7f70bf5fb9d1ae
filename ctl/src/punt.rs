//! `punt show`: the classes of packets that are handed to others, and to whom.

use clap::Args;
use control::message::{FailMode, PuntInfo, Reply, Request};
use serde::Serialize;

use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl punt
  tollgate-ctl --json punt show

FAIL says what becomes of the packets of a class while no tool decides: open, what would become of them if there were no
such class; closed, they are dropped as punt_closed. So does a packet about which the tool has not answered within DEADLINE;
LATE counts those. RATE and BURST are those of the policer before the tool. Each class is set by [[punt]] in the configuration.

ARP and neighbour discovery (nd) go to the primary's control thread; what the gateway does not handle goes to the kernel,
on interfaces with tap = true. Their policers are those of each interface and worker, SEEN are all packets that came, LOST
those that were dropped on the way.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A class.
#[derive(Debug, Serialize)]
struct Punt {
    class: &'static str,
    /// None where the taker is no tool.
    fail: Option<&'static str>,
    rate: u32,
    burst: u32,
    /// As `fail`.
    deadline_ms: Option<u32>,
    tool: Option<String>,
    pid: Option<i32>,
    seen: u64,
    lost: u64,
    late: u64,
    observers: u32,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    let mut client = session.client()?;
    session.show(|| {
        let told = match session.call(&mut client, Request::PuntShow)? {
            Reply::Punts(punts) => punts,
            other => return Err(unexpected(&other)),
        };
        let punts = told.into_iter().map(Punt::from).collect();
        Ok(session.tables()?.reading(punts))
    })
}

impl From<PuntInfo> for Punt {
    fn from(told: PuntInfo) -> Self {
        Self {
            class: told.class.name(),
            fail: told.fail.map(FailMode::name),
            rate: told.rate,
            burst: told.burst,
            deadline_ms: told.deadline_ms,
            tool: Some(told.tool).filter(|tool| !tool.is_empty()),
            pid: Some(told.pid).filter(|pid| *pid != 0),
            seen: told.seen,
            lost: told.lost,
            late: told.late,
            observers: told.observers.len() as u32,
        }
    }
}

impl Show for Punt {
    const COLUMNS: &'static [Column] = &[
        left("CLASS"),
        left("FAIL"),
        right("RATE"),
        right("BURST"),
        right("DEADLINE MS"),
        left("TOOL"),
        right("PID"),
        right("SEEN"),
        right("LOST"),
        right("LATE"),
        right("OBSERVERS"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("SEEN/S"), right("LOST/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(self.class)
            .optional(self.fail)
            .cell(self.rate)
            .cell(self.burst)
            .optional(self.deadline_ms)
            .optional(self.tool.as_ref())
            .optional(self.pid)
            .cell(self.seen)
            .cell(self.lost)
            .cell(self.late)
            .cell(self.observers);
        if let Some(rates) = rates {
            for name in ["seen", "lost"] {
                table.optional(rates.of(name));
            }
        }
    }

    fn key(&self) -> String {
        self.class.to_owned()
    }

    fn counts(&self) -> Vec<Count> {
        vec![Count::new("seen", self.seen), Count::new("lost", self.lost)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::message::{Observer, PuntClass};

    #[test]
    fn the_json_form_is_stable() {
        let punt = Punt::from(PuntInfo {
            class: PuntClass::RouterAlert,
            fail: Some(FailMode::Closed),
            rate: 1000,
            burst: 256,
            deadline_ms: Some(1000),
            tool: String::new(),
            pid: 0,
            seen: 3,
            lost: 1,
            late: 4,
            observers: vec![
                Observer {
                    tool: "tollgate-ra-relay".into(),
                    pid: 7,
                };
                2
            ],
        });
        assert_eq!(
            serde_json::to_string(&punt).unwrap(),
            concat!(
                r#"{"class":"router_alert","fail":"closed","rate":1000,"burst":256,"deadline_ms":1000,"tool":null,"#,
                r#""pid":null,"seen":3,"lost":1,"late":4,"observers":2}"#
            )
        );
    }
}
