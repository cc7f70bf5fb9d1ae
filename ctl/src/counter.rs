//! `counter show`: every counter of every interface.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::{Serialize, Serializer, ser::SerializeMap};
use shm::records::{Interface, from_text};
use shm::{CounterView, DropReason, InterfaceCounter};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl counter
  tollgate-ctl --watch 1 counter show wan
  tollgate-ctl --json counter

The JSON form has the drops of each interface by reason as well; as a table they are 'tollgate-ctl drop'.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the counters of all interfaces, or of one
    Show(ShowArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only this interface
    #[arg(value_name = "IFACE")]
    interface: Option<String>,
}

/// All that is counted of an interface.
#[derive(Debug)]
struct Counters {
    interface: String,
    counters: Vec<(InterfaceCounter, u64)>,
    drops: Vec<(DropReason, u64)>,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match &arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => &arguments.show,
    };
    session.show(|| {
        let tables = session.tables()?;
        let view = tables.reader.counters();
        let interfaces = tables.selected(shown.interface.as_deref())?;
        let counters = interfaces
            .into_iter()
            .map(|(index, record)| Counters::new(*index, record, &view));
        Ok(tables.reading(counters.collect()))
    })
}

impl Counters {
    fn new(index: u16, record: &Interface, view: &CounterView<'_>) -> Self {
        let counters = InterfaceCounter::ALL
            .iter()
            .map(|counter| (*counter, view.interface(index, *counter)));
        let drops = DropReason::ALL
            .iter()
            .map(|reason| (*reason, view.drops(index, *reason)));
        Self {
            interface: from_text(&record.name),
            counters: counters.collect(),
            drops: drops.collect(),
        }
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let drops: BTreeMap<_, _> = self
            .drops
            .iter()
            .map(|(reason, value)| (reason.name(), value))
            .collect();
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("interface", &self.interface)?;
        for (counter, value) in &self.counters {
            object.serialize_entry(counter.name(), value)?;
        }
        object.serialize_entry("drops", &drops)?;
        object.end()
    }
}

impl Show for Counters {
    const COLUMNS: &'static [Column] = &[left("DEV"), left("COUNTER"), right("VALUE")];
    const RATE_COLUMNS: &'static [Column] = &[right("VALUE/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        for (counter, value) in &self.counters {
            table.cell(&self.interface).cell(counter).cell(value);
            if let Some(rates) = rates {
                table.optional(rates.of(counter.name()));
            }
        }
    }

    fn key(&self) -> String {
        self.interface.clone()
    }

    fn counts(&self) -> Vec<Count> {
        let counters = self
            .counters
            .iter()
            .filter(|(counter, _)| *counter != InterfaceCounter::Waiting);
        let drops = self.drops.iter();
        counters
            .map(|(counter, value)| Count::new(counter.name(), *value))
            .chain(drops.map(|(reason, value)| Count {
                group: Some("drops"),
                name: reason.name(),
                value: *value,
            }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let counters = Counters {
            interface: "wan".into(),
            counters: vec![(InterfaceCounter::RxPackets, 9), (InterfaceCounter::Waiting, 1)],
            drops: vec![(DropReason::NoRoute, 3), (DropReason::Blackhole, 0)],
        };
        assert_eq!(
            serde_json::to_string(&counters).unwrap(),
            r#"{"interface":"wan","rx_packets":9,"waiting":1,"drops":{"blackhole":0,"no_route":3}}"#
        );
    }

    #[test]
    fn what_goes_up_and_down_has_no_rate() {
        let counters = Counters {
            interface: "wan".into(),
            counters: vec![(InterfaceCounter::RxPackets, 9), (InterfaceCounter::Waiting, 1)],
            drops: vec![],
        };
        assert_eq!(counters.counts(), [Count::new("rx_packets", 9)]);
    }
}
