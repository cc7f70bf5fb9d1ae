//! `ra listener show`: the tool that decides about router alerts, and those that watch.

use clap::Args;
use control::message::{PuntClass, PuntInfo, Reply, Request};
use serde::Serialize;

use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl ra listener
  tollgate-ctl --json ra listener show

One tool decides about a packet, and so it leaves once; any number of others get copies. SEEN, LOST and LATE are those of the
tool that decides: packets that it was to be asked about, those of them that found it behind, and those that went on since it
had not decided in time.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A tool.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Listener {
    tool: String,
    pid: i32,
    role: &'static str,
    /// None where it only watches.
    seen: Option<u64>,
    /// As `seen`.
    lost: Option<u64>,
    /// As `seen`.
    late: Option<u64>,
}

pub(super) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    let mut client = session.client()?;
    session.show(|| {
        let told = match session.call(&mut client, Request::PuntShow)? {
            Reply::Punts(punts) => punts,
            other => return Err(unexpected(&other)),
        };
        let alerts = told.into_iter().find(|punt| punt.class == PuntClass::RouterAlert);
        let listeners = alerts.map(listeners).unwrap_or_default();
        Ok(session.tables()?.reading(listeners))
    })
}

/// Who decides, and behind that who watches.
fn listeners(told: PuntInfo) -> Vec<Listener> {
    let decides = (told.pid != 0).then_some(Listener {
        tool: told.tool,
        pid: told.pid,
        role: "decides",
        seen: Some(told.seen),
        lost: Some(told.lost),
        late: Some(told.late),
    });
    let observers = told.observers.into_iter().map(|observer| Listener {
        tool: observer.tool,
        pid: observer.pid,
        role: "observes",
        seen: None,
        lost: None,
        late: None,
    });
    decides.into_iter().chain(observers).collect()
}

impl Show for Listener {
    const COLUMNS: &'static [Column] = &[
        left("TOOL"),
        right("PID"),
        left("ROLE"),
        right("SEEN"),
        right("LOST"),
        right("LATE"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("SEEN/S"), right("LOST/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(&self.tool)
            .cell(self.pid)
            .cell(self.role)
            .optional(self.seen)
            .optional(self.lost)
            .optional(self.late);
        if let Some(rates) = rates {
            for name in ["seen", "lost"] {
                table.optional(rates.of(name));
            }
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.pid, self.role)
    }

    fn counts(&self) -> Vec<Count> {
        let counts = [("seen", self.seen), ("lost", self.lost)];
        let known = counts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        known.map(|(name, value)| Count::new(name, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::message::{FailMode, Observer};

    #[test]
    fn req_ra_16_who_decides_comes_first_and_then_who_watches() {
        let told = |pid| PuntInfo {
            class: PuntClass::RouterAlert,
            fail: Some(FailMode::Open),
            rate: 1,
            burst: 1,
            deadline_ms: Some(1),
            tool: "tollgate-ra-relay".into(),
            pid,
            seen: 3,
            lost: 2,
            late: 1,
            observers: vec![Observer {
                tool: "watcher".into(),
                pid: 9,
            }],
        };
        assert_eq!(
            serde_json::to_string(&listeners(told(7))).unwrap(),
            concat!(
                r#"[{"tool":"tollgate-ra-relay","pid":7,"role":"decides","seen":3,"lost":2,"late":1},"#,
                r#"{"tool":"watcher","pid":9,"role":"observes","seen":null,"lost":null,"late":null}]"#
            )
        );
        assert_eq!(listeners(told(0)).len(), 1, "nobody decides");
    }
}
