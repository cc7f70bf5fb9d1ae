//! `server`: real servers of services shown, added, changed and deleted.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use control::message::{RealServer, Request, ServerChange, ServiceId};
use serde::Serialize;

use crate::failure::Failure;
use crate::present::{Reading, Show};
use crate::rates::{Count, Rates};
use crate::service::{self, End, ServiceArguments, Which, service_words, usage};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl server
  tollgate-ctl server add tcp 10.0.0.100:80 192.168.100.2
  tollgate-ctl server add tcp 10.0.0.100:80 192.168.100.3:8080 --weight 2 --max-connections 10000
  tollgate-ctl server add tcp [2001:db8::100]:80 2001:db8:1::2
  tollgate-ctl server add icmp 10.0.0.100 192.168.100.2
  tollgate-ctl server set tcp 10.0.0.100:80 192.168.100.2 --weight 0
  tollgate-ctl server del tcp 10.0.0.100:80 192.168.100.2
  tollgate-ctl --watch 1 server show tcp 10.0.0.100:80

A server has the port of its service unless it names another. It is reached by Full-NAT: its packets go back to the local address
that its service's came from ('laddr --help').

With weight 0 it gets no new connections and keeps those it has (quiesced): so it is taken out of service without one failing.
'del' ends its connections.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: Which,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the servers of all services, or of some
    Show(Which),
    /// Add a server to a service
    Add(AddArguments),
    /// Change a server; its connections stay
    Set(AddArguments),
    /// Delete a server, with its connections
    Del(DeleteArguments),
}

#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    #[command(flatten)]
    service: ServiceArguments,

    /// The server's address, and its port if that is not the service's
    #[arg(value_name = "SERVER[:PORT]")]
    server: End,

    /// Its share of new connections; 0 for none. 1 for a new server
    #[arg(long, short, value_name = "N")]
    weight: Option<u16>,

    /// The most connections that it has at a time; 0 for any number, as for a new server
    #[arg(long, value_name = "N")]
    max_connections: Option<u32>,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    #[command(flatten)]
    service: ServiceArguments,

    /// The server's address, and its port if that is not the service's
    #[arg(value_name = "SERVER[:PORT]")]
    server: End,
}

impl AddArguments {
    /// A new server, and its service.
    pub(crate) fn server(&self) -> Result<(ServiceId, RealServer), String> {
        let id = self.service.id()?;
        let end = service::server_end(&id, self.server)?;
        let new = RealServer::new(end.ip(), end.port());
        let server = RealServer {
            weight: self.weight.unwrap_or(new.weight),
            max_connections: self.max_connections.unwrap_or(new.max_connections),
            ..new
        };
        Ok((id, server))
    }

    fn change(&self) -> Result<Request, String> {
        let id = self.service.id()?;
        let server = service::server_end(&id, self.server)?;
        let change = ServerChange {
            weight: self.weight,
            max_connections: self.max_connections,
        };
        if change == ServerChange::default() {
            return Err(format!(
                "nothing is said of what is to be different about {server}: write --weight N or --max-connections N"
            ));
        }
        Ok(Request::ServerSet { id, server, change })
    }
}

impl DeleteArguments {
    fn request(&self) -> Result<Request, String> {
        let id = self.service.id()?;
        let server = service::server_end(&id, self.server)?;
        Ok(Request::ServerDelete { id, server })
    }
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => arguments.show,
        Some(Verb::Add(added)) => {
            let (id, server) = added.server().map_err(usage)?;
            return session.change(Request::ServerAdd { id, server });
        }
        Some(Verb::Set(set)) => return session.change(set.change().map_err(usage)?),
        Some(Verb::Del(deleted)) => return session.change(deleted.request().map_err(usage)?),
    };
    let mut client = session.client()?;
    session.show(|| {
        let services = service::read_services(session, &mut client, &shown)?;
        let servers = services.into_iter().flat_map(|info| {
            let id = info.id;
            let servers = info.servers.into_iter();
            servers.map(move |server| Server {
                protocol: id.protocol.name(),
                service_address: id.address,
                service_port: id.port,
                server: service::Server::new(&id, server),
                id,
            })
        });
        Ok(Reading::from(servers.collect::<Vec<_>>()))
    })
}

/// A server, and whose it is.
#[derive(Debug, Serialize)]
struct Server {
    protocol: &'static str,
    service_address: IpAddr,
    service_port: u16,
    #[serde(flatten)]
    server: service::Server,
    #[serde(skip)]
    id: ServiceId,
}

impl Show for Server {
    const COLUMNS: &'static [Column] = &[
        left("SERVICE"),
        left("ADDRESS"),
        left("FORWARD"),
        right("WEIGHT"),
        right("ACTIVE"),
        right("INACTIVE"),
        right("CONNECTIONS"),
        right("IN PACKETS"),
        right("OUT PACKETS"),
        right("IN BYTES"),
        right("OUT BYTES"),
        left("REMARKS"),
    ];
    const RATE_COLUMNS: &'static [Column] = service::RATE_COLUMNS;

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table.cell(service_words(&self.id)).cell(self.server.end());
        self.server.cells(table);
        table.cell(self.server.remarks());
        if rates.is_some() {
            service::rate_cells(rates, table);
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.id, self.server.end())
    }

    fn counts(&self) -> Vec<Count> {
        service::counts(self.server.traffic())
    }
}
