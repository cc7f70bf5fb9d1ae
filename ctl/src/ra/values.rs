//! `ra values`: the values of router alerts that mean something.

use clap::Args;
use router_alert::Family;
use router_alert::values::{Registered, registry};
use serde::{Serialize, Serializer};

use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::Session;
use crate::table::{Column, Table, left};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl ra values
  tollgate-ctl --json ra values

All other values are as good as these: only a rule makes one special. RFC 9805 registers no new ones for IPv6.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A range of values with a meaning of its own.
#[derive(Debug, Serialize)]
struct Value {
    #[serde(serialize_with = "as_text")]
    family: Family,
    first: u16,
    last: u16,
    name: &'static str,
    reference: &'static str,
}

fn as_text<S: Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(family)
}

pub(super) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    session.show(|| {
        let of = |family| {
            registry(family)
                .iter()
                .map(move |entry| Value::new(family, entry))
        };
        let values: Vec<_> = of(Family::Four).chain(of(Family::Six)).collect();
        Ok(values.into())
    })
}

impl Value {
    fn new(family: Family, entry: &Registered) -> Self {
        Self {
            family,
            first: entry.first,
            last: entry.last,
            name: entry.name,
            reference: entry.reference,
        }
    }
}

impl Show for Value {
    const COLUMNS: &'static [Column] = &[left("FAMILY"), left("VALUES"), left("NAME"), left("REFERENCE")];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table.cell(self.family);
        if self.first == self.last {
            table.cell(self.first);
        } else {
            table.cell(format!("{}-{}", self.first, self.last));
        }
        table.cell(self.name).cell(self.reference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_ra_14_the_json_form_is_stable() {
        let value = Value::new(Family::Six, &registry(Family::Six)[1]);
        assert_eq!(
            serde_json::to_string(&value).unwrap(),
            r#"{"family":"ipv6","first":1,"last":1,"name":"RSVP","reference":"RFC 2711"}"#
        );
    }
}
