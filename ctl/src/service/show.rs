//! `service show`: services, and below each its servers.

mod server;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use clap::Args;
use control::client::Client;
use control::message::{ServerInfo, ServiceId, ServiceInfo, TrafficCounts};
use ipnet::IpNet;
use serde::Serialize;

use self::server::{PerSecond, per_second, traffic_cells};
use super::ipvsadm::{self, Columns};
use super::read;
use super::words::{Which, end_words, service_words};
use crate::failure::Failure;
use crate::present::{Look, Reading, Show};
use crate::rates::Rates;
use crate::session::Session;
use crate::table::{Column, Table, left, right};

pub(crate) use self::server::{RATE_COLUMNS, Server, counts, rate_cells};

/// Over how long `--rate` counts.
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    which: Which,

    /// The lines that 'ipvsadm -ln' of DPVS prints
    #[arg(long)]
    ipvsadm: bool,

    /// ICMP errors that were translated, and what was dropped, by reason, below each service; with --ipvsadm its columns of '--stats'
    #[arg(long)]
    stats: bool,

    /// What goes by in a second as well, counted for one; with --ipvsadm its columns of '--rate'
    #[arg(long, conflicts_with = "stats")]
    rate: bool,
}

/// A service.
#[derive(Debug, Serialize)]
struct Service {
    protocol: &'static str,
    address: IpAddr,
    port: u16,
    scheduler: &'static str,
    toa: bool,
    fast_xmit: bool,
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    /// Seconds; none where it is as for all services.
    timeout: Option<u32>,
    /// Sums of its servers.
    active: u64,
    inactive: u64,
    #[serde(flatten)]
    counts: TrafficCounts,
    drops: BTreeMap<String, u64>,
    #[serde(flatten)]
    rates: PerSecond,
    servers: Vec<Server>,
    local_addresses: Vec<Local>,
    #[serde(skip)]
    id: ServiceId,
    /// Whether its table has a line for each reason of drops.
    #[serde(skip)]
    stats: bool,
}

/// A local address, without what `laddr show` says of it.
#[derive(Debug, Serialize)]
struct Local {
    address: IpAddr,
    interface: String,
}

pub(super) fn run(arguments: &ShowArguments, session: &Session) -> Result<(), Failure> {
    if arguments.ipvsadm {
        return list(arguments, session);
    }
    let mut client = session.client()?;
    let mut earlier = None;
    let watched = session.options().watch.is_some();
    let rated = arguments.rate || watched;
    let mut look = || {
        if arguments.rate && !watched {
            earlier = Some(counted(session, &mut client, &arguments.which)?);
        }
        let services = read::services(session, &mut client, &arguments.which)?;
        let now = look_at(&services);
        let rates = |key: &str| PerSecond::new(rated.then(|| now.rates(key, earlier.as_ref())));
        let services = services.into_iter();
        let services: Vec<_> = services
            .map(|info| Service::new(info, arguments.stats, &rates))
            .collect();
        earlier = Some(now);
        Ok::<_, Failure>(services)
    };
    if rated {
        session.show(|| Ok(listing::<true>(look()?)))
    } else {
        session.show(|| Ok(listing::<false>(look()?)))
    }
}

fn listing<const RATED: bool>(services: Vec<Service>) -> Reading<Listed<RATED>> {
    services.into_iter().map(Listed).collect::<Vec<_>>().into()
}

/// As `ipvsadm` prints them.
fn list(arguments: &ShowArguments, session: &Session) -> Result<(), Failure> {
    refuse_forms(session)?;
    let mut client = session.client()?;
    let columns = match (arguments.stats, arguments.rate) {
        (true, _) => Columns::Stats,
        (_, true) => Columns::Rate,
        _ => Columns::State,
    };
    let earlier = match columns {
        Columns::Rate => Some(counted(session, &mut client, &arguments.which)?),
        _ => None,
    };
    let services = read::services(session, &mut client, &arguments.which)?;
    let now = look_at(&services);
    let counts = |service: &ServiceInfo, server: Option<SocketAddr>| {
        let found = || {
            let info = service.servers.iter().find(|info| server == Some(end(info)))?;
            Some((server_key(&service.id, info), info.counts))
        };
        let (key, counts) = found().unwrap_or_else(|| (service.id.to_string(), service.counts));
        match &earlier {
            None => counts,
            Some(earlier) => per_second(&now.rates(&key, Some(earlier))),
        }
    };
    let mut out = io::stdout().lock();
    ipvsadm::services(&mut out, &services, columns, &counts)?;
    Ok(out.flush()?)
}

/// What prints the lines of another tool has no other form of them.
pub(crate) fn refuse_forms(session: &Session) -> Result<(), Failure> {
    if session.options().json {
        return Err(Failure::Usage(
            "--json and the lines of another tool are two forms: write one".into(),
        ));
    }
    match session.options().watch {
        Some(_) => Err(Failure::Usage(
            "the lines of another tool are printed once: leave --watch out, or the form".into(),
        )),
        None => Ok(()),
    }
}

/// Counts, and waits until a second is over.
fn counted(session: &Session, client: &mut Client, which: &Which) -> Result<Look, Failure> {
    let look = look_at(&read::services(session, client, which)?);
    thread::sleep(SECOND);
    Ok(look)
}

fn look_at(services: &[ServiceInfo]) -> Look {
    let mut by_key = HashMap::new();
    for service in services {
        by_key.insert(service.id.to_string(), counts(&service.counts));
        for server in &service.servers {
            by_key.insert(server_key(&service.id, server), counts(&server.counts));
        }
    }
    Look::now(by_key)
}

fn end(info: &ServerInfo) -> SocketAddr {
    SocketAddr::new(info.server.address, info.server.port)
}

fn server_key(id: &ServiceId, info: &ServerInfo) -> String {
    format!("{id} {}", end(info))
}

impl Service {
    fn new(info: ServiceInfo, stats: bool, rates: &impl Fn(&str) -> PerSecond) -> Self {
        let ServiceInfo {
            id,
            options,
            servers,
            locals,
            counts,
            drops,
        } = info;
        let servers = servers.into_iter().map(|server| {
            let rates = rates(&server_key(&id, &server));
            Server::new(&id, server).with(rates)
        });
        let servers: Vec<_> = servers.collect();
        let locals = locals.into_iter().map(|local| Local {
            address: local.local.address,
            interface: local.local.interface,
        });
        Self {
            protocol: id.protocol.name(),
            address: id.address,
            port: id.port,
            scheduler: options.scheduler.name(),
            toa: options.toa,
            fast_xmit: options.fast_xmit,
            allow: options.allow,
            deny: options.deny,
            timeout: options.timeout,
            active: servers.iter().map(Server::active).sum(),
            inactive: servers.iter().map(Server::inactive).sum(),
            counts,
            drops: drops.into_iter().collect(),
            rates: rates(&id.to_string()),
            servers,
            local_addresses: locals.collect(),
            id,
            stats,
        }
    }

    fn remarks(&self) -> String {
        let mut remarks = Vec::new();
        remarks.extend(self.toa.then(|| "toa".to_owned()));
        remarks.extend((!self.fast_xmit).then(|| "no fast xmit".to_owned()));
        for (word, prefixes) in [("allow", &self.allow), ("deny", &self.deny)] {
            remarks.extend(match prefixes.as_slice() {
                [] => None,
                [one] => Some(format!("{word} {one}")),
                [first, others @ ..] => Some(format!("{word} {first} and {} more", others.len())),
            });
        }
        remarks.extend(self.timeout.map(|seconds| format!("timeout {seconds} s")));
        remarks.join(", ")
    }
}

/// A service in a listing, with its rates or without.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Listed<const RATED: bool>(Service);

const COLUMNS: &[Column] = &[
    left("PROTO"),
    left("ADDRESS"),
    left("SCHEDULER"),
    left("FORWARD"),
    right("WEIGHT"),
    right("ACTIVE"),
    right("INACTIVE"),
    right("CONNECTIONS"),
    right("IN PACKETS"),
    right("OUT PACKETS"),
    right("IN BYTES"),
    right("OUT BYTES"),
    right("DROPS"),
    left("REMARKS"),
    right("CONNECTIONS/S"),
    right("IN PACKETS/S"),
    right("OUT PACKETS/S"),
    right("IN BYTES/S"),
    right("OUT BYTES/S"),
];

impl<const RATED: bool> Show for Listed<RATED> {
    const COLUMNS: &'static [Column] = match RATED {
        true => COLUMNS,
        false => COLUMNS.split_at(COLUMNS.len() - RATE_COLUMNS.len()).0,
    };

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        let Self(service) = self;
        let id = &service.id;
        table
            .cell(service.protocol)
            .cell(end_words(id.protocol, id.address, id.port))
            .cell(service.scheduler)
            .cell("")
            .cell("")
            .cell(service.active)
            .cell(service.inactive);
        traffic_cells(&service.counts, table);
        table
            .cell(service.drops.values().sum::<u64>())
            .cell(service.remarks());
        if RATED {
            rate_cells(service.rates.get(), table);
        }
        for server in &service.servers {
            table.cell("  ->").cell(server.end()).cell("");
            server.cells(table);
            table.cell("").cell(server.remarks());
            if RATED {
                rate_cells(server.rates(), table);
            }
        }
        let (to_servers, to_clients) = (service.counts.errors_in, service.counts.errors_out);
        if service.stats && (to_servers, to_clients) != (0, 0) {
            table.cell("  icmp").cell("errors");
            for column in &Self::COLUMNS[2..] {
                match column.head {
                    "IN PACKETS" => table.cell(to_servers),
                    "OUT PACKETS" => table.cell(to_clients),
                    _ => table.cell(""),
                };
            }
        }
        let drops = service
            .drops
            .iter()
            .filter(|(_, packets)| service.stats && **packets > 0);
        for (reason, packets) in drops {
            table.cell("  drop").cell(reason);
            for column in &Self::COLUMNS[2..] {
                match column.head {
                    "DROPS" => table.cell(packets),
                    _ => table.cell(""),
                };
            }
        }
    }

    fn note(&self) -> Option<String> {
        let Self(service) = self;
        let name = service_words(&service.id);
        if service.servers.is_empty() {
            return Some(format!(
                "{name} has no server, and what comes for it is dropped: 'server add {name} ADDR' adds one"
            ));
        }
        if service.local_addresses.is_empty() {
            return Some(format!(
                "{name} has no local address by which its servers are reached, and what comes for it is dropped: \
                 'laddr add {name} ADDR --dev IFACE' adds one"
            ));
        }
        let quiesced = service.servers.iter().all(Server::is_quiesced);
        quiesced.then(|| {
            format!("{name} takes no new connections, as all its servers have weight 0: 'server set' gives one another")
        })
    }
}

#[cfg(test)]
mod tests;
