//! `route show`, `route get`, `route del`; `route add` is in its own module.

use std::net::Ipv4Addr;

use clap::{Args, Subcommand};
use control::message::{ErrorCode, Reply, Request, RouteExplanation};
use ipnet::Ipv4Net;
use serde::Serialize;
use shm::records::{Route4, RouteKind, RouteProtocol};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::route_add::{self, AddArguments, parse_prefix};
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl route
  tollgate-ctl route show 10.1.0.0/16
  tollgate-ctl route add 10.1.0.0/16 via 192.168.10.2
  tollgate-ctl route add default via 192.168.10.254 --replace
  tollgate-ctl route add 10.2.0.0/16 dev lan
  tollgate-ctl route add 10.3.0.0/16 blackhole
  tollgate-ctl route add --file routes.txt
  tollgate-ctl route del 10.1.0.0/16
  tollgate-ctl route get 10.1.2.3";

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
    /// Show all routes, or the one of a prefix
    Show(ShowArguments),
    /// Add a route, or those of a file
    Add(AddArguments),
    /// Delete a route
    Del {
        /// Its prefix; 'default' is 0.0.0.0/0
        #[arg(value_parser = parse_prefix)]
        prefix: Ipv4Net,
    },
    /// Explain where packets for an address go
    Get {
        /// The destination
        #[arg(value_name = "ADDR")]
        destination: Ipv4Addr,
    },
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only the route of exactly this prefix; 'default' is 0.0.0.0/0
    #[arg(value_parser = parse_prefix)]
    prefix: Option<Ipv4Net>,
}

/// An IPv4 route.
#[derive(Debug, Serialize)]
struct Route {
    prefix: Ipv4Net,
    kind: &'static str,
    via: Option<Ipv4Addr>,
    interface: Option<String>,
    protocol: &'static str,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Add(added)) => route_add::run(&added, session),
        Some(Verb::Del { prefix }) => session.change(Request::RouteDelete {
            prefixes: vec![prefix],
        }),
        Some(Verb::Get { destination }) => explain(destination, session),
        Some(Verb::Show(shown)) => show(shown.prefix, session),
        None => show(arguments.show.prefix, session),
    }
}

fn explain(destination: Ipv4Addr, session: &Session) -> Result<(), Failure> {
    let mut client = session.client()?;
    session.show(
        || match session.call(&mut client, Request::RouteGet { destination })? {
            Reply::Route(explanation) => Ok(vec![*explanation].into()),
            other => Err(unexpected(&other)),
        },
    )
}

fn show(prefix: Option<Ipv4Net>, session: &Session) -> Result<(), Failure> {
    session.show(|| {
        let tables = session.tables()?;
        let names: Vec<_> = tables
            .interfaces
            .iter()
            .map(|(index, _)| (*index, tables.interface_name(*index)))
            .collect();
        let mut records: Vec<_> = tables
            .reader
            .routes4()
            .into_iter()
            .map(|(_, record)| record)
            .collect();
        records.sort_unstable_by_key(|record| (record.prefix, record.prefix_length));
        let routes: Vec<_> = records
            .iter()
            .filter_map(|record| Route::new(record, &names))
            .filter(|route| prefix.is_none_or(|prefix| prefix == route.prefix))
            .collect();
        match prefix {
            Some(prefix) if routes.is_empty() => Err(Failure::refused(
                ErrorCode::NotFound,
                format!(
                    "there is no route for exactly {prefix}: 'route get ADDR' tells which one packets take"
                ),
            )),
            _ => Ok(tables.reading(routes)),
        }
    })
}

impl Route {
    /// `None` for a record that is no route, whatever wrote it.
    fn new(record: &Route4, names: &[(u16, String)]) -> Option<Self> {
        let name = |index: u16| {
            let found = names.iter().find(|(candidate, _)| *candidate == index);
            found.map_or_else(|| format!("#{index}"), |(_, name)| name.clone())
        };
        Some(Self {
            prefix: Ipv4Net::new(record.network(), record.prefix_length).ok()?,
            kind: RouteKind::from_raw(record.kind)?.name(),
            via: record.gateway(),
            interface: (record.interface != Route4::NO_INTERFACE).then(|| name(record.interface)),
            protocol: RouteProtocol::from_raw(record.protocol).map_or("unknown", RouteProtocol::name),
        })
    }
}

impl Show for Route {
    const COLUMNS: &'static [Column] = &[
        left("PREFIX"),
        left("KIND"),
        left("VIA"),
        left("DEV"),
        left("PROTO"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .cell(self.prefix)
            .cell(self.kind)
            .optional(self.via)
            .optional(self.interface.as_ref())
            .cell(self.protocol);
    }
}

impl Show for RouteExplanation {
    const COLUMNS: &'static [Column] = &[
        left("DESTINATION"),
        left("PREFIX"),
        left("KIND"),
        left("NEXT HOP"),
        left("DEV"),
        left("NEIGHBOR"),
        left("MAC"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .cell(self.destination)
            .optional(self.prefix)
            .optional(self.kind.as_ref())
            .optional(self.next_hop)
            .optional(self.interface.as_ref())
            .optional(self.neighbor_state.as_ref())
            .optional(self.mac);
    }

    fn note(&self) -> Option<String> {
        Some(self.outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: RouteKind, interface: u16) -> Route4 {
        Route4 {
            prefix: [10, 1, 0, 0],
            next_hop: [192, 168, 10, 2],
            interface,
            prefix_length: 16,
            kind: kind as u8,
            protocol: RouteProtocol::Static as u8,
            reserved: [0; 3],
        }
    }

    #[test]
    fn the_json_form_is_stable() {
        let names = [(1, "wan".to_owned())];
        let json = |record| serde_json::to_string(&Route::new(&record, &names)).unwrap();
        assert_eq!(
            json(record(RouteKind::Via, 1)),
            r#"{"prefix":"10.1.0.0/16","kind":"via","via":"192.168.10.2","interface":"wan","protocol":"static"}"#
        );
        assert_eq!(
            json(record(RouteKind::Blackhole, Route4::NO_INTERFACE)),
            r#"{"prefix":"10.1.0.0/16","kind":"blackhole","via":null,"interface":null,"protocol":"static"}"#
        );
    }

    #[test]
    fn an_interface_that_went_is_shown_by_number() {
        assert_eq!(
            Route::new(&record(RouteKind::Connected, 7), &[])
                .unwrap()
                .interface
                .as_deref(),
            Some("#7")
        );
    }
}
