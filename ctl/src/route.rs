//! `route show`; the other verbs are in modules of their own.

use std::collections::HashMap;
use std::net::IpAddr;

use clap::{Args, Subcommand};
use control::message::ErrorCode;
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use shm::records::{self, NO_INTERFACE, Route4, Route6, RouteKind, RouteProtocol, from_ip_field};

use crate::failure::Failure;
use crate::prefix::{Family, FamilyArguments, Prefix};
use crate::present::Show;
use crate::rates::Rates;
use crate::route_add::{self, AddArguments, DeleteArguments, ReplaceArguments};
use crate::route_get::{self, GetArguments};
use crate::route_load::{self, LoadArguments};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

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
  tollgate-ctl route add 10.4.0.0/16 via 192.168.10.2 metric 20 mtu 1400 proto bird
  tollgate-ctl route add default nexthop via 192.168.10.2 weight 2 nexthop via 192.168.10.3
  tollgate-ctl route replace unreachable 10.3.0.0/16
  tollgate-ctl route load routes.txt
  ip route show | tollgate-ctl route load --skip-invalid -
  tollgate-ctl route del 10.1.0.0/16
  tollgate-ctl route del 10.4.0.0/16 metric 20
  tollgate-ctl route del -6 default
  tollgate-ctl route get 10.1.2.3
  tollgate-ctl route get 10.1.2.3 from 192.168.10.9 ipproto udp sport 1000 dport 53
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
    /// Add a route, or change the one to its prefix with its metric
    Replace(ReplaceArguments),
    /// Delete a route
    Del(DeleteArguments),
    /// Add the routes of a file, such as the output of 'ip route show', replacing those that exist
    Load(LoadArguments),
    /// Explain where packets for an address go
    Get(GetArguments),
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
    #[serde(serialize_with = "by_name")]
    protocol: RouteProtocol,
    metric: u32,
    /// Whether packets go by it, and not by another one to the prefix.
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    /// Where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nexthops: Vec<NextHop>,
}

/// By the name, or by the number as text where there is none.
fn by_name<S: Serializer>(protocol: &RouteProtocol, serializer: S) -> Result<S::Ok, S::Error> {
    match protocol.name() {
        Some(name) => serializer.serialize_str(name),
        None => serializer.collect_str(protocol),
    }
}

/// One of several next hops.
#[derive(Clone, Debug, Serialize)]
struct NextHop {
    via: IpAddr,
    interface: String,
    weight: u16,
    in_service: bool,
    /// Its share of the flows now, in 256ths.
    share: u16,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Add(added)) => route_add::add(&added, session),
        Some(Verb::Replace(replaced)) => route_add::replace(&replaced, session),
        Some(Verb::Del(deleted)) => route_add::delete(&deleted, session),
        Some(Verb::Load(loaded)) => route_load::run(&loaded, session),
        Some(Verb::Get(got)) => route_get::run(&got, session),
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
        let groups = groups(&tables.reader.next_hops(), &names);
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
        records.sort_unstable_by_key(|record| (record.prefix, record.metric));
        let routes: Vec<_> = records
            .iter()
            .filter_map(|record| Route::new(record, &names, &groups))
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

/// The next hops of each group that is shared, in order.
fn groups(records: &[(u32, records::NextHop)], names: &[(u16, String)]) -> HashMap<u32, Vec<NextHop>> {
    let mut records: Vec<_> = records.iter().map(|(_, record)| record).collect();
    records.sort_unstable_by_key(|record| (record.group, record.place));
    let mut groups: HashMap<u32, Vec<NextHop>> = HashMap::new();
    for record in records {
        groups.entry(record.group).or_default().push(NextHop {
            via: from_ip_field(record.address),
            interface: name_of(record.interface, names),
            weight: record.weight,
            in_service: record.in_service != 0,
            share: record.buckets,
        });
    }
    groups
}

fn name_of(index: u16, names: &[(u16, String)]) -> String {
    let found = names.iter().find(|(candidate, _)| *candidate == index);
    found.map_or_else(|| format!("#{index}"), |(_, name)| name.clone())
}

/// What the records of both families have. There is none for a prefix that is none, whatever wrote it.
struct Record {
    prefix: IpNet,
    via: Option<IpAddr>,
    group: Option<u32>,
    interface: u16,
    kind: u8,
    protocol: u8,
    metric: u32,
    active: u8,
    mtu: u16,
    source: IpAddr,
}

impl Record {
    fn ipv4(record: &Route4) -> Option<Self> {
        Some(Self {
            prefix: IpNet::new(record.network().into(), record.prefix_length).ok()?,
            via: record.gateway().map(IpAddr::V4),
            group: record.group(),
            interface: record.interface,
            kind: record.kind,
            protocol: record.protocol,
            metric: record.metric,
            active: record.active,
            mtu: record.mtu,
            source: record.source.into(),
        })
    }

    fn ipv6(record: &Route6) -> Option<Self> {
        Some(Self {
            prefix: IpNet::new(record.network().into(), record.prefix_length).ok()?,
            via: record.gateway().map(IpAddr::V6),
            group: record.group(),
            interface: record.interface,
            kind: record.kind,
            protocol: record.protocol,
            metric: record.metric,
            active: record.active,
            mtu: record.mtu,
            source: record.source.into(),
        })
    }
}

impl Route {
    /// `None` for a record that is no route, whatever wrote it.
    fn new(record: &Record, names: &[(u16, String)], groups: &HashMap<u32, Vec<NextHop>>) -> Option<Self> {
        Some(Self {
            prefix: record.prefix,
            kind: RouteKind::from_raw(record.kind)?.name(),
            via: record.via,
            interface: (record.interface != NO_INTERFACE).then(|| name_of(record.interface, names)),
            protocol: RouteProtocol(record.protocol),
            metric: record.metric,
            active: record.active != 0,
            mtu: (record.mtu != 0).then_some(record.mtu),
            source: (!record.source.is_unspecified()).then_some(record.source),
            nexthops: record
                .group
                .and_then(|group| groups.get(&group).cloned())
                .unwrap_or_default(),
        })
    }

    /// What the table says beside the columns.
    fn remarks(&self) -> String {
        let source = self.source.map(|source| format!("src {source}"));
        let mtu = self.mtu.map(|mtu| format!("mtu {mtu}"));
        let aside = (!self.active).then(|| "not in use".to_owned());
        let remarks: Vec<String> = [source, mtu, aside].into_iter().flatten().collect();
        remarks.join(", ")
    }
}

impl Show for Route {
    const COLUMNS: &'static [Column] = &[
        left("PREFIX"),
        left("KIND"),
        left("VIA"),
        left("DEV"),
        left("PROTO"),
        right("METRIC"),
        left("REMARKS"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .cell(self.prefix)
            .cell(self.kind)
            .optional(self.via)
            .optional(self.interface.as_ref())
            .cell(self.protocol)
            .cell(self.metric)
            .cell(self.remarks());
        for next_hop in &self.nexthops {
            let out_of_service = if next_hop.in_service {
                ""
            } else {
                ", out of service"
            };
            table
                .cell("")
                .cell("")
                .cell(next_hop.via)
                .cell(&next_hop.interface)
                .cell("")
                .cell("")
                .cell(format!("weight {}{out_of_service}", next_hop.weight));
        }
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
            protocol: RouteProtocol::STATIC.0,
            active: 1,
            mtu: 0,
            metric: 0,
            source: [0; 4],
        };
        Record::ipv4(&record).unwrap()
    }

    #[test]
    fn the_json_form_is_stable_and_that_of_both_families() {
        let names = [(1, "wan".to_owned())];
        let json = |record| serde_json::to_string(&Route::new(&record, &names, &HashMap::new())).unwrap();
        assert_eq!(
            json(record(RouteKind::Via, 1)),
            r#"{"prefix":"10.1.0.0/16","kind":"via","via":"192.168.10.2","interface":"wan","protocol":"static","metric":0,"active":true}"#
        );
        assert_eq!(
            json(record(RouteKind::Blackhole, NO_INTERFACE)),
            r#"{"prefix":"10.1.0.0/16","kind":"blackhole","via":null,"interface":null,"protocol":"static","metric":0,"active":true}"#
        );
        let prefix: std::net::Ipv6Addr = "2001:db8:1::".parse().unwrap();
        let next_hop: std::net::Ipv6Addr = "fe80::2".parse().unwrap();
        let record = Route6 {
            prefix: prefix.octets(),
            next_hop: next_hop.octets(),
            interface: 1,
            prefix_length: 48,
            kind: RouteKind::Via as u8,
            protocol: RouteProtocol::STATIC.0,
            active: 1,
            mtu: 1400,
            metric: 1024,
            source: [0; 16],
            reserved: [0; 4],
        };
        assert_eq!(
            json(Record::ipv6(&record).unwrap()),
            r#"{"prefix":"2001:db8:1::/48","kind":"via","via":"fe80::2","interface":"wan","protocol":"static","metric":1024,"active":true,"mtu":1400}"#
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
            protocol: RouteProtocol::STATIC.0,
            active: 1,
            mtu: 1400,
            metric: 1024,
            source: [0; 16],
            reserved: [0; 4],
        };
        assert!(Record::ipv6(&record).is_none());
    }

    #[test]
    fn an_interface_that_went_is_shown_by_number() {
        assert_eq!(
            Route::new(&record(RouteKind::Connected, 7), &[], &HashMap::new())
                .unwrap()
                .interface
                .as_deref(),
            Some("#7")
        );
    }
}
