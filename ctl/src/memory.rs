//! `memory show`: what the primary says of its memory, and how full the tables are.

use clap::Args;
use control::message::{MemoryUse, Reply, Request};
use serde::Serialize;

use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::{Session, Tables, unexpected};
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl memory
  tollgate-ctl --json memory show

Parts named table_* lie in the table region and have no bytes of their own here.";

/// The whole table region, as the primary names it too.
const REGION: &str = "tables";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A part of the memory.
#[derive(Debug, Serialize)]
struct Memory {
    part: String,
    bytes: Option<u64>,
    used: Option<u64>,
    capacity: Option<u64>,
    unit: Option<String>,
    huge: bool,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    let mut client = session.client()?;
    session.show(|| {
        let told = match session.call(&mut client, Request::MemoryShow)? {
            Reply::Memory(parts) => parts,
            other => return Err(unexpected(&other)),
        };
        let tables = session.tables()?;
        let mut parts: Vec<_> = told.into_iter().map(Memory::from).collect();
        if !parts.iter().any(|part| part.part == REGION) {
            let bytes = Some(tables.reader.bytes());
            parts.push(Memory {
                part: REGION.into(),
                bytes,
                used: None,
                capacity: None,
                unit: None,
                huge: true,
            });
        }
        parts.extend(table_usage(&tables));
        Ok(tables.reading(parts))
    })
}

/// Records in each table now. What the region says itself is how far a table was ever filled, not how full it is.
fn table_usage(tables: &Tables) -> impl Iterator<Item = Memory> {
    tables.reader.usage().into_iter().map(|(name, ever, capacity)| {
        let used = match name {
            "interfaces" => tables.interfaces.len(),
            "addresses" => tables.reader.addresses().len(),
            "routes4" => tables.reader.routes4().len(),
            "routes6" => tables.reader.routes6().len(),
            "neighbors" => tables.reader.neighbors().len(),
            "next_hops" => tables.reader.next_hops().len(),
            "sas" => tables.reader.sas().len(),
            "sa_selectors" => tables.reader.sa_selectors().len(),
            _ => usize::try_from(ever).unwrap_or(usize::MAX),
        };
        Memory {
            part: format!("table_{name}"),
            bytes: None,
            used: Some(used as u64),
            capacity: Some(capacity),
            unit: Some("records".into()),
            huge: true,
        }
    })
}

impl From<MemoryUse> for Memory {
    fn from(told: MemoryUse) -> Self {
        let MemoryUse {
            part,
            bytes,
            used,
            capacity,
            unit,
            huge,
        } = told;
        Self {
            part,
            bytes: Some(bytes),
            used,
            capacity,
            unit,
            huge,
        }
    }
}

impl Show for Memory {
    const COLUMNS: &'static [Column] = &[
        left("PART"),
        right("BYTES"),
        right("USED"),
        right("CAPACITY"),
        left("UNIT"),
        left("HUGE"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .cell(&self.part)
            .optional(self.bytes)
            .optional(self.used)
            .optional(self.capacity)
            .optional(self.unit.as_ref())
            .cell(if self.huge { "yes" } else { "no" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let memory = Memory::from(MemoryUse {
            part: "pool_packets".into(),
            bytes: 1024,
            used: Some(3),
            capacity: Some(8),
            unit: Some("packet buffers".into()),
            huge: true,
        });
        assert_eq!(
            serde_json::to_string(&memory).unwrap(),
            r#"{"part":"pool_packets","bytes":1024,"used":3,"capacity":8,"unit":"packet buffers","huge":true}"#
        );
    }
}
