//! `service`: services of the load balancer shown, added, changed, deleted, saved and restored.

mod icmp_counters;
mod ipvsadm;
mod ipvsadm_rules;
mod read;
mod restore;
mod rules;
mod show;
mod words;

use std::io::{self, Write};

use clap::{Args, Subcommand};
use control::message::{Request, Service, ServiceChange, ServiceProtocol};

use crate::failure::Failure;
use crate::session::Session;

pub(crate) use ipvsadm::locals as ipvsadm_locals;
pub(crate) use read::services as read_services;
pub(crate) use restore::parse;
pub(crate) use show::{RATE_COLUMNS, Server, counts, rate_cells, refuse_forms};
pub(crate) use words::{
    End, ServiceArguments, Which, end_words, protocols, server as server_end, service_words, usage,
};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl service add tcp 10.0.0.100:80 --scheduler rr
  tollgate-ctl server add tcp 10.0.0.100:80 192.168.100.2
  tollgate-ctl server add tcp 10.0.0.100:80 192.168.100.3:8080 --weight 2
  tollgate-ctl laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan
  tollgate-ctl service
  tollgate-ctl --watch 1 service show tcp 10.0.0.100:80
  tollgate-ctl service show --ipvsadm
  tollgate-ctl service icmp-counters
  tollgate-ctl service add tcp [2001:db8::100]:80 --scheduler wlc --toa --deny 2001:db8:bad::/48
  tollgate-ctl service add icmp 10.0.0.100
  tollgate-ctl service set tcp 10.0.0.100:80 --scheduler mh --timeout 300
  tollgate-ctl service zero
  tollgate-ctl service save > services
  tollgate-ctl service flush
  tollgate-ctl service restore services
  tollgate-ctl service del tcp 10.0.0.100:80

A service is what clients reach: a protocol, one of tcp, udp, icmp and icmpv6, an address of the gateway and a port; icmp and
icmpv6 have none, and take echo and other queries. Its servers ('server --help') are reached by Full-NAT, from local addresses
of the gateway ('laddr --help') so that replies come back to it. It has one scheduler:
  rr       servers by turns
  wrr      by turns, each as often as its weight says
  wlc      the one with the fewest connections for its weight
  conhash  by the client's address, consistently
  mh       by Maglev's table, more evenly

ACTIVE are established connections of TCP and all of other protocols, INACTIVE the others of TCP. What a service counts stays
when a server is deleted; 'zero' begins anew. DROPS are packets for the service that were dropped, with --stats by reason; the
reasons are those of 'tollgate-ctl drop'.

'icmp-counters' are messages of ICMP and ICMPv6 for services and local addresses by worker, and first of all together. err_in are
errors; each is translated and goes to a server (err_translated_in) or to a client (err_translated_out), or is dropped: it
quotes a packet of no connection (err_no_conn), its checksum is wrong (err_bad_csum) or that of the header it quotes
(err_bad_inner), it is not all there (err_short), or it is Source Quench where that is not forwarded. err_rate_limited are
errors of the gateway about translated packets that were not made. query_new, query_hit_in and query_hit_out are queries that
began a connection, queries of one that there was, and replies; query_no_svc_local those that the gateway answers itself;
query_unsolicited replies that nobody had asked for. query_no_dest and id_miss are queries dropped for want of a server or of
an identifier. redirected went to another worker; siso_hit left by the way that the connection has learned, siso_miss by routes.

'restore' takes what 'save' writes, and what 'ipvsadm -S -n' does; '#' begins a comment. It adds services: with one wrong line,
or one service that exists or is refused, none is added.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: show::ShowArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show all services, or some
    Show(show::ShowArguments),
    /// Add a service
    Add(AddArguments),
    /// Change a service; its connections stay
    Set(AddArguments),
    /// Delete a service, with its servers, local addresses and connections
    Del(ServiceArguments),
    /// Show what workers have counted of ICMP for all services, since they started
    IcmpCounters,
    /// Set the counters of a service to zero, or of all
    Zero(ZeroArguments),
    /// Delete all services
    Flush,
    /// Print all services as commands that make them
    Save,
    /// Add the services of a file
    Restore(restore::RestoreArguments),
}

#[derive(Debug, Args)]
struct AddArguments {
    #[command(flatten)]
    service: ServiceArguments,
    #[command(flatten)]
    options: words::OptionArguments,
}

#[derive(Debug, Args)]
struct ZeroArguments {
    /// What it takes; all services, if nothing is said
    #[arg(value_name = "PROTO", requires = "address", value_parser = protocols())]
    protocol: Option<ServiceProtocol>,

    /// Its address and port, as for the other verbs
    #[arg(value_name = "ADDR:PORT")]
    address: Option<End>,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => arguments.show,
        Some(Verb::Add(added)) => {
            let service = Service {
                id: added.service.id().map_err(usage)?,
                options: added.options.options(),
                servers: Vec::new(),
                locals: Vec::new(),
            };
            return session.change(Request::ServiceAdd(vec![service]));
        }
        Some(Verb::Set(set)) => {
            let id = set.service.id().map_err(usage)?;
            let change = set.options.change();
            if change == ServiceChange::default() {
                return Err(Failure::Usage(format!(
                    "nothing is said of what is to be different about {}: 'service set --help' lists what can be",
                    service_words(&id)
                )));
            }
            let change = Box::new(change);
            return session.change(Request::ServiceSet { id, change });
        }
        Some(Verb::Del(deleted)) => {
            let id = deleted.id().map_err(usage)?;
            return session.change(Request::ServiceDelete(vec![id]));
        }
        Some(Verb::Zero(zeroed)) => {
            let service = zeroed.protocol.zip(zeroed.address);
            let id = service
                .map(|(protocol, end)| words::service(protocol, end))
                .transpose();
            return session.change(Request::ServiceZero(id.map_err(usage)?));
        }
        Some(Verb::IcmpCounters) => return icmp_counters::run(session),
        Some(Verb::Flush) => return session.change(Request::ServiceFlush),
        Some(Verb::Save) => return save(session),
        Some(Verb::Restore(restored)) => return restore::run(&restored, session),
    };
    show::run(&shown, session)
}

fn save(session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let mut client = session.client()?;
    let services = read::services(session, &mut client, &Which::default())?;
    let mut lines = String::new();
    for info in services {
        let service = Service {
            id: info.id,
            options: info.options,
            servers: info.servers.into_iter().map(|info| info.server).collect(),
            locals: info.locals.into_iter().map(|info| info.local).collect(),
        };
        for rule in rules::Rule::of(&service) {
            lines.push_str(&rule.to_string());
            lines.push('\n');
        }
    }
    let mut out = io::stdout().lock();
    if session.options().json {
        let object = serde_json::json!({ "rules": lines });
        return Ok(writeln!(out, "{object}")?);
    }
    Ok(out.write_all(lines.as_bytes())?)
}
