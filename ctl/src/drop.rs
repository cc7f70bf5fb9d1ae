//! `drop show`: dropped packets by interface and reason.

use clap::{Args, Subcommand};
use serde::Serialize;
use shm::DropReason;
use shm::records::from_text;

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl drop
  tollgate-ctl drop show wan --all
  tollgate-ctl --watch 1 drop";

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
    /// Show the drops of all interfaces, or of one
    Show(ShowArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only this interface
    #[arg(value_name = "IFACE")]
    interface: Option<String>,

    /// Reasons that never happened as well
    #[arg(long)]
    all: bool,
}

/// Packets that an interface lost for one reason.
#[derive(Debug, Serialize)]
struct Drops {
    interface: String,
    reason: &'static str,
    packets: u64,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match &arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => &arguments.show,
    };
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let mut drops = Vec::new();
        for (index, record) in tables.selected(shown.interface.as_deref())? {
            let interface = from_text(&record.name);
            for reason in DropReason::ALL {
                let packets = counters.drops(*index, *reason);
                if packets > 0 || shown.all {
                    drops.push(Drops {
                        interface: interface.clone(),
                        reason: reason.name(),
                        packets,
                    });
                }
            }
        }
        Ok(tables.reading(drops))
    })
}

impl Show for Drops {
    const COLUMNS: &'static [Column] = &[left("DEV"), left("REASON"), right("PACKETS")];
    const RATE_COLUMNS: &'static [Column] = &[right("PACKETS/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table.cell(&self.interface).cell(self.reason).cell(self.packets);
        if let Some(rates) = rates {
            table.optional(rates.of("packets"));
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.interface, self.reason)
    }

    fn counts(&self) -> Vec<Count> {
        vec![Count::new("packets", self.packets)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let drops = Drops {
            interface: "wan".into(),
            reason: DropReason::NoRoute.name(),
            packets: 3,
        };
        assert_eq!(
            serde_json::to_string(&drops).unwrap(),
            r#"{"interface":"wan","reason":"no_route","packets":3}"#
        );
    }
}
