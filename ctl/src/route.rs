//! `route show`, `route get`, `route del`; `route add` is in its own module.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use control::message::{ErrorCode, Reply, Request, RouteExplanation};
use ipnet::IpNet;
use serde::Serialize;
use shm::records::{NO_INTERFACE, Route4, Route6, RouteKind, RouteProtocol};

use crate::failure::Failure;
use crate::prefix::{Family, FamilyArguments, Prefix};
use crate::present::Show;
use crate::rates::Rates;
use crate::route_add::{self, AddArguments};
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl route
  tollgate-ctl route show 10.1.0.0/16
  tollgate-ctl route show -6
  tollgate-ctl route add 10.1.0.0/16 via 192.168.10.2
  tollgate-ctl route add default via 192.168.10.254 --replace
  tollgate-ctl route add 2001:db8:1::/48 via 2001:db8:10::2
  tollgate-ctl route add default via fe80::1 dev wan
  tollgate-ctl route add 10.2.0.0/16 dev lan
  tollgate-ctl route add 10.3.0.0/16 blackhole
  tollgate-ctl route add --file routes.txt
  tollgate-ctl route del 10.1.0.0/16
  tollgate-ctl route del -6 default
  tollgate-ctl route get 10.1.2.3
  tollgate-ctl route get 2001:db8:1::3";

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
        /// Its prefix; 'default' is 0.0.0.0/0, and with -6 ::/0
        prefix: Prefix,
        #[command(flatten)]
        family: FamilyArguments,
    },
    /// Explain where packets for an address go
    Get {
        /// The destination
        #[arg(value_name = "ADDR")]
        destination: IpAddr,
    },
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only the route of exactly this prefix; 'default' is 0.0.0.0/0, and with -6 ::/0
    prefix: Option<Prefix>,
    #[command(flatten)]
    family: FamilyArguments,
}

/// A route.
#[derive(Debug, Serialize)]
struct Route {
    prefix: IpNet,
    kind: &'static str,
    via: Option<IpAddr>,
    interface: Option<String>,
    protocol: &'static str,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Add(added)) => route_add::run(&added, session),
        Some(Verb::Del { prefix, family }) => session.change(Request::RouteDelete {
            prefixes: vec![prefix_within(prefix, family.family())?],
        }),
        Some(Verb::Get { destination }) => explain(destination, session),
        Some(Verb::Show(shown)) => show(&shown, session),
        None => show(&arguments.show, session),
    }
}

fn prefix_within(prefix: Prefix, family: Option<Family>) -> Result<IpNet, Failure> {
    prefix.within(family).map_err(|prefix| {
        let family = Family::of(prefix.addr());
        Failure::Usage(format!(
            "{prefix} is of {}, and only the other family is asked for: leave -4 or -6 out",
            family.name()
        ))
    })
}

fn explain(destination: IpAddr, session: &Session) -> Result<(), Failure> {
    let mut client = session.client()?;
    session.show(
        || match session.call(&mut client, Request::RouteGet { destination })? {
            Reply::Route(explanation) => Ok(vec![*explanation].into()),
            other => Err(unexpected(&other)),
        },
    )
}

fn show(arguments: &ShowArguments, session: &Session) -> Result<(), Failure> {
    let family = arguments.family.family();
    let prefix = arguments
        .prefix
        .map(|prefix| prefix_within(prefix, family))
        .transpose()?;
    let family = prefix.map(|prefix| Family::of(prefix.addr())).or(family);
    session.show(|| {
        let tables = session.tables()?;
        let names: Vec<_> = tables
            .interfaces
            .iter()
            .map(|(index, _)| (*index, tables.interface_name(*index)))
            .collect();
        let mut records: Vec<Record> = Vec::new();
        if family != Some(Family::Ipv6) {
            let found = tables.reader.routes4();
            records.extend(found.iter().filter_map(|(_, route)| Record::ipv4(route)));
        }
        if family != Some(Family::Ipv4) {
            let found = tables.reader.routes6();
            records.extend(found.iter().filter_map(|(_, route)| Record::ipv6(route)));
        }
        records.retain(|record| prefix.is_none_or(|prefix| prefix == record.prefix));
        // IPv4 comes before IPv6.
        records.sort_unstable_by_key(|record| record.prefix);
        let routes: Vec<_> = records
            .iter()
            .filter_map(|record| Route::new(record, &names))
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

/// What the records of both families have. There is none for a prefix that is none, whatever wrote it.
struct Record {
    prefix: IpNet,
    via: Option<IpAddr>,
    interface: u16,
    kind: u8,
    protocol: u8,
}

impl Record {
    fn ipv4(record: &Route4) -> Option<Self> {
        Some(Self {
            prefix: IpNet::new(record.network().into(), record.prefix_length).ok()?,
            via: record.gateway().map(IpAddr::V4),
            interface: record.interface,
            kind: record.kind,
            protocol: record.protocol,
        })
    }

    fn ipv6(record: &Route6) -> Option<Self> {
        Some(Self {
            prefix: IpNet::new(record.network().into(), record.prefix_length).ok()?,
            via: record.gateway().map(IpAddr::V6),
            interface: record.interface,
            kind: record.kind,
            protocol: record.protocol,
        })
    }
}

impl Route {
    /// `None` for a record that is no route, whatever wrote it.
    fn new(record: &Record, names: &[(u16, String)]) -> Option<Self> {
        let name = |index: u16| {
            let found = names.iter().find(|(candidate, _)| *candidate == index);
            found.map_or_else(|| format!("#{index}"), |(_, name)| name.clone())
        };
        Some(Self {
            prefix: record.prefix,
            kind: RouteKind::from_raw(record.kind)?.name(),
            via: record.via,
            interface: (record.interface != NO_INTERFACE).then(|| name(record.interface)),
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

    fn record(kind: RouteKind, interface: u16) -> Record {
        let record = Route4 {
            prefix: [10, 1, 0, 0],
            next_hop: [192, 168, 10, 2],
            interface,
            prefix_length: 16,
            kind: kind as u8,
            protocol: RouteProtocol::Static as u8,
            reserved: [0; 3],
        };
        Record::ipv4(&record).unwrap()
    }

    #[test]
    fn the_json_form_is_stable_and_that_of_both_families() {
        let names = [(1, "wan".to_owned())];
        let json = |record| serde_json::to_string(&Route::new(&record, &names)).unwrap();
        assert_eq!(
            json(record(RouteKind::Via, 1)),
            r#"{"prefix":"10.1.0.0/16","kind":"via","via":"192.168.10.2","interface":"wan","protocol":"static"}"#
        );
        assert_eq!(
            json(record(RouteKind::Blackhole, NO_INTERFACE)),
            r#"{"prefix":"10.1.0.0/16","kind":"blackhole","via":null,"interface":null,"protocol":"static"}"#
        );
        let prefix: std::net::Ipv6Addr = "2001:db8:1::".parse().unwrap();
        let next_hop: std::net::Ipv6Addr = "fe80::2".parse().unwrap();
        let record = Route6 {
            prefix: prefix.octets(),
            next_hop: next_hop.octets(),
            interface: 1,
            prefix_length: 48,
            kind: RouteKind::Via as u8,
            protocol: RouteProtocol::Static as u8,
            reserved: [0; 3],
        };
        assert_eq!(
            json(Record::ipv6(&record).unwrap()),
            r#"{"prefix":"2001:db8:1::/48","kind":"via","via":"fe80::2","interface":"wan","protocol":"static"}"#
        );
    }

    #[test]
    fn what_is_no_prefix_is_no_route() {
        let record = Route6 {
            prefix: [0; 16],
            next_hop: [0; 16],
            interface: 1,
            prefix_length: 129,
            kind: RouteKind::Blackhole as u8,
            protocol: RouteProtocol::Static as u8,
            reserved: [0; 3],
        };
        assert!(Record::ipv6(&record).is_none());
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
