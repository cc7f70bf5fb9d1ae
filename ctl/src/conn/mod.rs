//! `conn show`: connections of the load balancer, collected by the primary while workers go on.

mod show;

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use control::client::Client;
use control::connections::Rows;
use control::message::{ConnectionFilter, ConnectionInfo, ErrorCode, Reply, Request, ServiceProtocol};
use ipnet::IpNet;

use self::show::Connection;
use crate::failure::Failure;
use crate::prefix::Prefix;
use crate::present::{Reading, Show};
use crate::service::{End, protocols, refuse_forms};
use crate::session::{Session, unexpected};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl conn
  tollgate-ctl conn show --service 10.0.0.100:80 --state established --limit 100
  tollgate-ctl conn show --protocol udp --client 10.0.0.0/16 --server 192.168.100.2
  tollgate-ctl conn show --top bytes --limit 20
  tollgate-ctl --watch 1 conn show --client 10.0.0.48
  tollgate-ctl conn show --dpvs-format

Each belongs to a worker. IN is what the client sends, OUT what the server does. EXPIRES is when it ends if nothing comes. Queries
of ICMP have a type and an identifier in place of ports: that of the client, and the one that the server sees in its place.

States of TCP are syn_recv, established, fin_wait, time_wait, close, close_wait and last_ack; those of other protocols are 'normal'.";

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
    /// Show all connections, or those that fit all that is said
    Show(ShowArguments),
}

#[derive(Debug, Default, Args)]
struct ShowArguments {
    /// Only those of this protocol
    #[arg(long, value_name = "PROTO", value_parser = protocols())]
    protocol: Option<ServiceProtocol>,

    /// Only those of clients in this prefix
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    client: Option<IpNet>,

    /// Only those to this address of a service, and to this port if there is one
    #[arg(long, value_name = "ADDR[:PORT]")]
    service: Option<End>,

    /// Only those with servers in this prefix
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    server: Option<IpNet>,

    /// Only those in this state
    #[arg(long)]
    state: Option<String>,

    /// At most so many; of --top 10 if it says nothing
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Those with most, in both directions together, first
    #[arg(long)]
    top: Option<Top>,

    /// The columns of 'ipvsadm -lnc' of DPVS: [lcore]proto time state caddr:cport vaddr:vport laddr:lport daddr:dport
    #[arg(long)]
    dpvs_format: bool,
}

/// What `--top` goes by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Top {
    Bytes,
    Packets,
}

/// How many `--top` shows if nothing is said.
const TOP: u32 = 10;
/// How many lines of a table are written at a time.
const PART: usize = 10_000;
/// How often the primary is asked whether it has them all.
const LOOK: Duration = Duration::from_millis(5);
/// How long another tool's request is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => arguments.show,
    };
    if shown.dpvs_format {
        refuse_forms(session)?;
    }
    let mut client = session.client()?;
    if session.options().watch.is_some() {
        return session.show(|| {
            let connections = shown.read(session, &mut client)?;
            let connections = connections.map(|found| Ok::<_, Failure>(Connection::from(found?)));
            Ok(Reading::from(connections.collect::<Result<Vec<_>, _>>()?))
        });
    }
    // There may be millions: none is kept that has been written.
    let connections = shown.read(session, &mut client)?;
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    if shown.dpvs_format {
        for found in connections {
            writeln!(out, "{}", show::dpvs(&found?))?;
        }
    } else if session.options().json {
        write_json(&mut out, connections)?;
    } else {
        let mut table = Table::new(Connection::COLUMNS.to_vec());
        for found in connections {
            Connection::from(found?).lines(&mut table, None);
            table.write_if_long(PART, &mut out)?;
        }
        table.write(&mut out)?;
    }
    Ok(out.flush()?)
}

/// Connections as they are read, or as they were chosen.
type Found = Box<dyn Iterator<Item = Result<ConnectionInfo, Failure>>>;

impl ShowArguments {
    fn read(&self, session: &Session, client: &mut Client) -> Result<Found, Failure> {
        let rows = collect(session, client, &self.filter())?;
        let rows = rows.map(|row| row.map_err(Failure::from));
        let limit = usize::try_from(self.limit.unwrap_or(TOP)).unwrap_or(usize::MAX);
        match self.top {
            Some(top) => Ok(Box::new(most(rows, top, limit)?.into_iter().map(Ok))),
            None => Ok(Box::new(rows)),
        }
    }

    fn filter(&self) -> ConnectionFilter {
        ConnectionFilter {
            protocol: self.protocol,
            client: self.client,
            service: self.service.map(|end| end.address),
            service_port: self.service.and_then(|end| end.port),
            server: self.server,
            state: self.state.as_ref().map(|state| state.to_ascii_lowercase()),
            // Those with most may be among the last.
            limit: self.limit.filter(|_| self.top.is_none()),
        }
    }
}

fn prefix(text: &str) -> Result<IpNet, String> {
    match text.parse()? {
        Prefix::Net(net) => Ok(net),
        Prefix::Default => Err("'default' is of no family: write 0.0.0.0/0 or ::/0".to_owned()),
    }
}

/// Has the primary collect them, once it is done with those for another tool.
fn collect(session: &Session, client: &mut Client, filter: &ConnectionFilter) -> Result<Rows, Failure> {
    let until = Instant::now() + PATIENCE;
    let request = Request::ConnectionShow(Box::new(filter.clone()));
    loop {
        match session.call(client, request.clone()) {
            Ok(Reply::ConnectionsComing) => break,
            Ok(other) => return Err(unexpected(&other)),
            Err(Failure::Refused(error)) if error.code == ErrorCode::Busy && Instant::now() < until => {
                thread::sleep(LOOK);
            }
            Err(failure) => return Err(failure),
        }
    }
    loop {
        let mut descriptors = Vec::new();
        match client.call_with(Request::ConnectionResult, &mut descriptors)? {
            Reply::Connections(count) => {
                let descriptor = descriptors.pop().ok_or_else(|| {
                    Failure::refused(
                        ErrorCode::VersionMismatch,
                        "the primary sent no connections: use tools of the primary's build",
                    )
                })?;
                return Ok(Rows::read(descriptor, count)?);
            }
            Reply::ConnectionsComing => thread::sleep(LOOK),
            other => return Err(unexpected(&other)),
        }
    }
}

/// Those with most, of which no more are kept at a time than twice as many, and some.
fn most(
    rows: impl Iterator<Item = Result<ConnectionInfo, Failure>>,
    top: Top,
    limit: usize,
) -> Result<Vec<ConnectionInfo>, Failure> {
    let much = |found: &ConnectionInfo| match top {
        Top::Bytes => found.in_bytes.saturating_add(found.out_bytes),
        Top::Packets => found.in_packets.saturating_add(found.out_packets),
    };
    let prune = |found: &mut Vec<ConnectionInfo>| {
        found.sort_by_key(|found| std::cmp::Reverse(much(found)));
        found.truncate(limit);
    };
    let mut found = Vec::new();
    for row in rows {
        found.push(row?);
        if found.len() > limit.saturating_mul(2).max(1024) {
            prune(&mut found);
        }
    }
    prune(&mut found);
    Ok(found)
}

/// A list as [`crate::present`] writes it.
fn write_json(out: &mut impl Write, connections: Found) -> Result<(), Failure> {
    write!(out, "[")?;
    let mut any = false;
    for found in connections {
        write!(out, "{}", if any { ",\n" } else { "\n" })?;
        serde_json::to_writer(&mut *out, &Connection::from(found?))?;
        any = true;
    }
    Ok(writeln!(out, "{}]", if any { "\n" } else { "" })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: u16) -> ConnectionInfo {
        let end = ([10, 0, 0, 1], number).into();
        ConnectionInfo {
            worker: 0,
            protocol: ServiceProtocol::Udp,
            icmp_type: None,
            client: end,
            service: end,
            local: end,
            server: end,
            state: "normal".into(),
            expires_ms: 0,
            in_packets: u64::from(number),
            in_bytes: u64::from(number % 100),
            out_packets: 0,
            out_bytes: u64::from(number % 7) * 1000,
        }
    }

    #[test]
    fn those_with_most_come_first_however_many_there_are() {
        let rows = || (0..5000).map(|number| Ok(connection(number)));
        let packets: Vec<_> = most(rows(), Top::Packets, 3).unwrap();
        let numbers: Vec<_> = packets.iter().map(|found| found.in_packets).collect();
        assert_eq!(numbers, [4999, 4998, 4997]);
        let bytes = |found: &ConnectionInfo| found.in_bytes + found.out_bytes;
        let all = (0..5000).map(|number| bytes(&connection(number)));
        let found = most(rows(), Top::Bytes, 1).unwrap();
        assert_eq!(Some(bytes(&found[0])), all.max());
        assert_eq!(most(rows().take(2), Top::Bytes, 9).unwrap().len(), 2);
    }
}
