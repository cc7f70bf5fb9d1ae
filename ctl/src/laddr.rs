//! `laddr`: local addresses of services shown, added and deleted.

use std::io::{self, Write};
use std::net::IpAddr;

use clap::{Args, Subcommand};
use control::message::{LocalAddress, LocalInfo, Request, ServiceId};
use ipnet::IpNet;
use serde::Serialize;
use shm::records::from_ip_field;

use crate::failure::Failure;
use crate::present::{Reading, Show};
use crate::rates::{Count, Rates};
use crate::service::{self, ServiceArguments, Which, service_words, usage};
use crate::session::{Session, Tables};
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl laddr
  tollgate-ctl laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan
  tollgate-ctl laddr add tcp [2001:db8::100]:80 2001:db8:1::200
  tollgate-ctl laddr del tcp 10.0.0.100:80 192.168.100.200
  tollgate-ctl laddr show --ipvsadm

Servers see packets of a service come from one of its local addresses, and answer to that: so a service needs one at least. It is
added to its interface where the gateway does not have it yet, and goes with the last service that uses it. Without --dev it is
the interface that has the address already, or one in the same subnet.

One address takes some 64,000 connections to one server and port, another address as many more. CONNECTIONS, PORTS USED (ports of
TCP and UDP, and identifiers of ICMP) and MISSES, the times that none was free, are of all services that use the address; PORTS FREE
are those left for this one.";

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
    /// Show the local addresses of all services, or of some
    Show(ShowArguments),
    /// Add a local address to a service
    Add(AddArguments),
    /// Take a local address from a service: new connections use others
    Del(DeleteArguments),
}

#[derive(Debug, Default, Args)]
struct ShowArguments {
    #[command(flatten)]
    which: Which,

    /// The lines that 'ipvsadm -G' of DPVS prints
    #[arg(long)]
    ipvsadm: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    #[command(flatten)]
    service: ServiceArguments,

    /// The local address
    #[arg(value_name = "ADDR")]
    local: IpAddr,

    /// The interface that it is on
    #[arg(long, value_name = "IFACE")]
    dev: Option<String>,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    #[command(flatten)]
    service: ServiceArguments,

    /// The local address
    #[arg(value_name = "ADDR")]
    local: IpAddr,
}

impl AddArguments {
    /// A new local address, its service, and its interface if that is said.
    pub(crate) fn local(self) -> Result<(ServiceId, IpAddr, Option<String>), String> {
        Ok((self.service.id()?, self.local, self.dev))
    }
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => arguments.show,
        Some(Verb::Add(added)) => {
            let (id, address, interface) = added.local().map_err(usage)?;
            session.refuse_watch()?;
            let interface = match interface {
                Some(interface) => interface,
                None => interface_of(&session.tables()?, address).map_err(usage)?,
            };
            let local = LocalAddress { address, interface };
            return session.change(Request::LocalAdd { id, local });
        }
        Some(Verb::Del(deleted)) => {
            let id = deleted.service.id().map_err(usage)?;
            let address = deleted.local;
            return session.change(Request::LocalDelete { id, address });
        }
    };
    if shown.ipvsadm {
        service::refuse_forms(session)?;
    }
    let mut client = session.client()?;
    if shown.ipvsadm {
        let services = service::read_services(session, &mut client, &shown.which)?;
        let mut out = io::stdout().lock();
        service::ipvsadm_locals(&mut out, &services)?;
        return Ok(out.flush()?);
    }
    session.show(|| {
        let services = service::read_services(session, &mut client, &shown.which)?;
        let locals = services.into_iter().flat_map(|info| {
            let id = info.id;
            info.locals.into_iter().map(move |local| Local::new(id, local))
        });
        Ok(Reading::from(locals.collect::<Vec<_>>()))
    })
}

/// The interface that a local address is on, or is to be: that which has it, or one in the same subnet.
pub(crate) fn interface_of(tables: &Tables, address: IpAddr) -> Result<String, String> {
    let addresses = tables.reader.addresses();
    let of_host = addresses.iter().filter_map(|(_, record)| {
        let net = IpNet::new(from_ip_field(record.address), record.prefix_length).ok()?;
        let near = net.addr() == address || net.contains(&address);
        near.then_some((net.addr() == address, net.prefix_len(), record.interface))
    });
    match of_host.max() {
        Some((_, _, interface)) => Ok(tables.interface_name(interface)),
        None => Err(format!(
            "{address} is in no subnet of the gateway, so that there is no telling its interface: write --dev IFACE"
        )),
    }
}

/// A local address, and whose it is.
#[derive(Debug, Serialize)]
struct Local {
    protocol: &'static str,
    service_address: IpAddr,
    service_port: u16,
    address: IpAddr,
    interface: String,
    connections: u64,
    ports_used: u64,
    ports_free: u64,
    misses: u64,
    #[serde(skip)]
    id: ServiceId,
}

impl Local {
    fn new(id: ServiceId, info: LocalInfo) -> Self {
        Self {
            protocol: id.protocol.name(),
            service_address: id.address,
            service_port: id.port,
            address: info.local.address,
            interface: info.local.interface,
            connections: info.connections,
            ports_used: info.ports_used,
            ports_free: info.ports_free,
            misses: info.misses,
            id,
        }
    }
}

impl Show for Local {
    const COLUMNS: &'static [Column] = &[
        left("SERVICE"),
        left("ADDRESS"),
        left("DEV"),
        right("CONNECTIONS"),
        right("PORTS USED"),
        right("PORTS FREE"),
        right("MISSES"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("MISSES/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(service_words(&self.id))
            .cell(self.address)
            .cell(&self.interface)
            .cell(self.connections)
            .cell(self.ports_used)
            .cell(self.ports_free)
            .cell(self.misses);
        if let Some(rates) = rates {
            table.optional(rates.of("misses"));
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.id, self.address)
    }

    fn counts(&self) -> Vec<Count> {
        vec![Count::new("misses", self.misses)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::message::ServiceProtocol;

    #[test]
    fn the_json_form_is_stable() {
        let id = ServiceId {
            protocol: ServiceProtocol::Icmpv6,
            address: "2001:db8::100".parse().unwrap(),
            port: 0,
        };
        let local = Local::new(
            id,
            LocalInfo {
                local: LocalAddress {
                    address: "2001:db8:1::200".parse().unwrap(),
                    interface: "lan".into(),
                },
                connections: 1,
                ports_used: 2,
                ports_free: 3,
                misses: 4,
            },
        );
        assert_eq!(
            serde_json::to_string(&local).unwrap(),
            r#"{"protocol":"icmpv6","service_address":"2001:db8::100","service_port":0,"address":"2001:db8:1::200","interface":"lan","connections":1,"ports_used":2,"ports_free":3,"misses":4}"#
        );
    }
}
