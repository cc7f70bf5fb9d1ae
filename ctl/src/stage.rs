//! `stage show`: how many packets each stage had, and where they went next.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use shm::{CounterView, PathStage};

use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl stage
  tollgate-ctl --watch 1 stage show
  tollgate-ctl --json stage

rx, released, from_tool and encapsulated are where packets come from: a port or out of a tunnel, a wait for a neighbour, a tool,
a tunnel that put one into another. tx, waiting, control, tool, kernel, decapsulated and drop are where they end. Each other stage passes on as many as it gets; a packet on its way at the moment of the look
may be counted on one side only. PACKETS/BURST is how many packets a stage had of a burst that it had any of.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A stage and what went through it.
#[derive(Debug, Serialize)]
struct Stage {
    stage: &'static str,
    /// Packets that came in, or began here.
    packets: u64,
    bursts: u64,
    packets_per_burst: Option<f64>,
    /// Packets by the stage that they went to; none where they end.
    next: BTreeMap<&'static str, u64>,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let stages = PathStage::ALL.iter().map(|stage| Stage::new(*stage, &counters));
        Ok(tables.reading(stages.filter(|stage| stage.packets > 0).collect()))
    })
}

impl Stage {
    fn new(stage: PathStage, counters: &CounterView<'_>) -> Self {
        let from = PathStage::ALL.iter().map(|from| counters.step(*from, stage));
        let next: Vec<_> = PathStage::ALL
            .iter()
            .map(|to| (to.name(), counters.step(stage, *to)))
            .filter(|(_, packets)| *packets > 0)
            .collect();
        let out: u64 = next.iter().map(|(_, packets)| packets).sum();
        Self::of(stage, from.sum::<u64>().max(out), counters.bursts(stage), next)
    }

    fn of(stage: PathStage, packets: u64, bursts: u64, next: Vec<(&'static str, u64)>) -> Self {
        Self {
            stage: stage.name(),
            packets,
            bursts,
            packets_per_burst: (bursts > 0).then(|| (packets as f64 / bursts as f64 * 10.0).round() / 10.0),
            next: next.into_iter().collect(),
        }
    }
}

impl Show for Stage {
    const COLUMNS: &'static [Column] = &[
        left("STAGE"),
        right("PACKETS"),
        right("BURSTS"),
        right("PACKETS/BURST"),
        left("NEXT"),
        right("PACKETS TO IT"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("PACKETS/S"), right("TO IT/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        let mut next = self.next.iter();
        let first = next.next();
        table
            .cell(self.stage)
            .cell(self.packets)
            .cell(self.bursts)
            .optional(self.packets_per_burst)
            .optional(first.map(|(name, _)| name))
            .optional(first.map(|(_, packets)| packets));
        if let Some(rates) = rates {
            table
                .optional(rates.of("packets"))
                .optional(first.and_then(|(name, _)| rates.of(name)));
        }
        for (name, packets) in next {
            table
                .cell(" ")
                .cell(" ")
                .cell(" ")
                .cell(" ")
                .cell(name)
                .cell(packets);
            if let Some(rates) = rates {
                table.cell(" ").optional(rates.of(name));
            }
        }
    }

    fn key(&self) -> String {
        self.stage.to_owned()
    }

    fn counts(&self) -> Vec<Count> {
        let totals = [
            Count::new("packets", self.packets),
            Count::new("bursts", self.bursts),
        ];
        let next = self.next.iter().map(|(name, packets)| Count {
            group: Some("next"),
            name,
            value: *packets,
        });
        totals.into_iter().chain(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage() -> Stage {
        Stage::of(PathStage::Ethernet, 40, 3, vec![("ip4_input", 38), ("arp", 2)])
    }

    #[test]
    fn the_json_form_is_stable() {
        assert_eq!(
            serde_json::to_string(&stage()).unwrap(),
            r#"{"stage":"ethernet","packets":40,"bursts":3,"packets_per_burst":13.3,"next":{"arp":2,"ip4_input":38}}"#
        );
    }

    #[test]
    fn each_next_stage_has_a_line() {
        let mut table = Table::new(Stage::COLUMNS.to_vec());
        stage().lines(&mut table, None);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "\
STAGE     PACKETS  BURSTS  PACKETS/BURST  NEXT       PACKETS TO IT
ethernet       40       3           13.3  arp                    2
                                          ip4_input             38
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
