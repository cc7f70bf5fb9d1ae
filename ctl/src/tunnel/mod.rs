//! `tunnel show`, `tunnel add`, `tunnel set` and `tunnel del`: tunnels with their ends, state and packets.

mod words;

use std::net::IpAddr;

use clap::{Args, Subcommand};
use control::message::{Df, Dscp, ErrorCode, Request, TunnelMode};
use serde::Serialize;
use shm::CounterView;
use shm::records::{self, Interface, NO_INTERFACE, TunnelLack, from_ip_field, from_text};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::{Session, Tables};
use crate::table::{Column, Table, left, right};
use crate::traffic::Traffic;

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl tunnel
  tollgate-ctl --watch 1 tunnel show tun0
  tollgate-ctl tunnel add tun0 mode ipip local 192.0.2.1 remote 198.51.100.1 unnumbered wan
  tollgate-ctl tunnel add tun1 mode gre local 2001:db8::1 remote 2001:db8:9::1 key 7 mtu 1400
  tollgate-ctl tunnel add gre0 mode gre local 192.0.2.1 remote 198.51.100.1 protected
  tollgate-ctl tunnel add ipsec0 mode esp local 192.0.2.1 remote 198.51.100.1 unnumbered wan
  tollgate-ctl tunnel set tun1 remote 2001:db8:9::2 dscp 46
  tollgate-ctl addr add 10.255.0.1/30 dev tun1
  tollgate-ctl route add 10.9.0.0/16 dev tun0
  tollgate-ctl link set tun0 down
  tollgate-ctl tunnel del tun0

A tunnel is up while it is set up, its local end is an address of the gateway, and, if it is of mode esp or protected, there are
SAs of its name for both directions ('tollgate-ctl sa --help'). Its MTU is what the outer headers leave of 1500 bytes, unless it
is set. df is the \"don't fragment\" bit of outer IPv4 headers: that of inner ones (copy), set or clear.
protected has SAs of mode transport protect what a tunnel of mode gre or ipip sends and takes.
unnumbered has it use the addresses of another interface where it has none of its own: ICMP errors about packets that came out of
it are from these. dev says the same. Neither says which way outer packets go, which is that of the route to the remote end.
'set NAME numbered' ends it, 'set NAME mtu auto' and 'set NAME key none' take back an MTU and a key.";

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
    /// Show all tunnels, or one
    Show(ShowArguments),
    /// Make a tunnel: ipip (IPv4 and IPv6 in either), gre, or esp, which SAs of its name protect
    Add {
        #[arg(required = true, value_name = "NAME WORDS", help = words::ADD, num_args = 1..)]
        words: Vec<String>,
    },
    /// Change a tunnel; its addresses and routes stay
    Set {
        #[arg(required = true, value_name = "NAME WORDS", help = words::SET, num_args = 1..)]
        words: Vec<String>,
    },
    /// Delete a tunnel, with its addresses and routes
    Del {
        /// The tunnel
        name: String,
    },
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only this tunnel
    name: Option<String>,
}

/// A tunnel and its packets: as received, they are those that came out of it.
#[derive(Debug, Serialize)]
struct Tunnel {
    name: String,
    mode: &'static str,
    local: IpAddr,
    remote: IpAddr,
    key: Option<u32>,
    /// Whether SAs protect it, in tunnel mode (`esp`) or in transport mode.
    protected: bool,
    /// The longest inner packet.
    mtu: u16,
    /// Whether that was set, and does not follow from the outer headers.
    mtu_set: bool,
    ttl: u8,
    df: &'static str,
    /// `copy` or a number.
    dscp: String,
    /// The interface whose addresses it uses.
    unnumbered: Option<String>,
    admin: &'static str,
    link: &'static str,
    /// Why it carries no packets: what it lacks for that.
    lacks: Vec<&'static str>,
    #[serde(flatten)]
    traffic: Traffic,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match arguments.verb {
        Some(Verb::Add { words }) => {
            let tunnel = words::tunnel(&words).map_err(Failure::Usage)?;
            return session.change(Request::TunnelAdd(Box::new(tunnel)));
        }
        Some(Verb::Set { words }) => {
            let (name, change) = words::change(&words).map_err(Failure::Usage)?;
            let change = Box::new(change);
            return session.change(Request::TunnelSet { name, change });
        }
        Some(Verb::Del { name }) => return session.change(Request::TunnelDelete { name }),
        Some(Verb::Show(shown)) => shown,
        None => arguments.show,
    };
    session.show(|| {
        let tables = session.tables()?;
        let mut tunnels = read(&tables);
        if let Some(name) = &shown.name {
            let there: Vec<_> = tunnels.iter().map(|tunnel| tunnel.name.clone()).collect();
            tunnels.retain(|tunnel| tunnel.name == *name);
            if tunnels.is_empty() {
                return Err(unknown(name, &there));
            }
        }
        Ok(tables.reading(tunnels))
    })
}

fn unknown(name: &str, there: &[String]) -> Failure {
    let there = match there {
        [] => "no tunnel".to_owned(),
        there => there.join(", "),
    };
    Failure::refused(
        ErrorCode::UnknownInterface,
        format!("there is no tunnel '{name}': this instance has {there}"),
    )
}

/// All tunnels by name.
fn read(tables: &Tables) -> Vec<Tunnel> {
    let counters = tables.reader.counters();
    let records = tables.reader.tunnels();
    let tunnel = |(_, record): &(u32, records::Tunnel)| {
        let of_index = |(index, _): &&(u16, Interface)| *index == record.interface;
        // One that came or went meanwhile has no interface here.
        let (index, interface) = tables.interfaces.iter().find(of_index)?;
        let unnumbered = Some(record.unnumbered).filter(|index| *index != NO_INTERFACE);
        let unnumbered = unnumbered.map(|index| tables.interface_name(index));
        Some(Tunnel::new(*index, interface, record, unnumbered, &counters))
    };
    let mut tunnels: Vec<_> = records.iter().filter_map(tunnel).collect();
    tunnels.sort_by(|one, other| one.name.cmp(&other.name));
    tunnels
}

impl Tunnel {
    fn new(
        index: u16,
        interface: &Interface,
        record: &records::Tunnel,
        unnumbered: Option<String>,
        counters: &CounterView<'_>,
    ) -> Self {
        let up_or_down = |up: u8| if up == 0 { "down" } else { "up" };
        Self {
            name: from_text(&interface.name),
            mode: TunnelMode::of_number(record.mode).map_or("unknown", TunnelMode::name),
            local: from_ip_field(record.local),
            remote: from_ip_field(record.remote),
            key: Some(record.key).filter(|_| record.has_key != 0),
            protected: record.protected != 0 || record.mode == TunnelMode::Esp.number(),
            mtu: interface.mtu,
            mtu_set: record.has_mtu != 0,
            ttl: record.ttl,
            df: Df::of_number(record.df).map_or("unknown", Df::name),
            dscp: Dscp::of_number(record.dscp).map_or("unknown".to_owned(), |dscp| dscp.to_string()),
            unnumbered,
            admin: up_or_down(interface.admin_up),
            link: up_or_down(interface.link_up),
            lacks: lacks(interface.admin_up, record.lacks),
            traffic: Traffic::of(index, counters),
        }
    }
}

impl Show for Tunnel {
    const COLUMNS: &'static [Column] = &[
        left("NAME"),
        left("MODE"),
        left("LOCAL"),
        left("REMOTE"),
        right("KEY"),
        left("PROTECTED"),
        right("MTU"),
        right("TTL"),
        left("DF"),
        left("DSCP"),
        left("UNNUMBERED"),
        left("ADMIN"),
        left("LINK"),
        left("LACKS"),
        right("RX PACKETS"),
        right("RX BYTES"),
        right("TX PACKETS"),
        right("TX BYTES"),
        right("DROPS"),
    ];
    const RATE_COLUMNS: &'static [Column] = Traffic::RATE_COLUMNS;

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(&self.name)
            .cell(self.mode)
            .cell(self.local)
            .cell(self.remote)
            .optional(self.key)
            .cell(if self.protected { "yes" } else { "no" })
            .cell(self.mtu)
            .cell(self.ttl)
            .cell(self.df)
            .cell(&self.dscp)
            .optional(self.unnumbered.as_ref())
            .cell(self.admin)
            .cell(self.link)
            .optional(Some(self.lacks.join(",")).filter(|lacks| !lacks.is_empty()));
        self.traffic.cells(table, rates);
    }

    fn key(&self) -> String {
        self.name.clone()
    }

    fn counts(&self) -> Vec<Count> {
        self.traffic.counts()
    }

    fn note(&self) -> Option<String> {
        let name = &self.name;
        let lacks = |lack: TunnelLack| self.lacks.contains(&lack.name());
        let [address, inbound, outbound] = TunnelLack::ALL.map(lacks);
        if self.admin == "down" {
            return Some(format!(
                "{name} is down as it was set down: 'link set {name} up' sets it up"
            ));
        }
        if address {
            return Some(format!(
                "{name} is down as the gateway has no address {} in use: give one of its interfaces that, or name another with \
                 'tunnel set {name} local ADDR'",
                self.local
            ));
        }
        let missing = match (inbound, outbound) {
            (false, false) => return None,
            (true, true) => "no SA",
            (true, false) => "no SA by which packets come in",
            (false, true) => "no SA by which packets go out",
        };
        Some(format!(
            "{name} is down as it has {missing}, and packets for it are dropped until it has: 'sa add … tunnel {name}' installs one"
        ))
    }
}

/// Names of what a tunnel lacks to carry packets.
fn lacks(admin_up: u8, bits: u8) -> Vec<&'static str> {
    let set_up = (admin_up == 0).then_some("admin_up");
    let others = TunnelLack::ALL.into_iter().filter(|lack| lack.is_in(bits));
    set_up.into_iter().chain(others.map(TunnelLack::name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let tunnel = Tunnel {
            name: "tun0".into(),
            mode: "gre",
            local: "192.0.2.1".parse().unwrap(),
            remote: "198.51.100.1".parse().unwrap(),
            key: Some(7),
            protected: false,
            mtu: 1472,
            mtu_set: false,
            ttl: 64,
            df: "copy",
            dscp: Dscp::Fixed(46).to_string(),
            unnumbered: Some("wan".into()),
            admin: "up",
            link: "down",
            lacks: lacks(1, 1),
            traffic: Traffic {
                rx_packets: 1,
                rx_bytes: 2,
                tx_packets: 3,
                tx_bytes: 4,
                drops: 5,
            },
        };
        assert_eq!(
            serde_json::to_string(&tunnel).unwrap(),
            r#"{"name":"tun0","mode":"gre","local":"192.0.2.1","remote":"198.51.100.1","key":7,"protected":false,"mtu":1472,"mtu_set":false,"ttl":64,"df":"copy","dscp":"46","unnumbered":"wan","admin":"up","link":"down","lacks":["local_address"],"rx_packets":1,"rx_bytes":2,"tx_packets":3,"tx_bytes":4,"drops":5}"#
        );
        assert!(tunnel.note().unwrap().contains("no address 192.0.2.1 in use"));
        let noted = |admin, link, lacks| {
            let tunnel = Tunnel {
                admin,
                link,
                lacks,
                name: tunnel.name.clone(),
                dscp: tunnel.dscp.clone(),
                unnumbered: None,
                ..tunnel
            };
            tunnel.note()
        };
        assert_eq!(noted("up", "up", lacks(1, 0)), None);
        assert_eq!(
            lacks(0, 7),
            ["admin_up", "local_address", "inbound_sa", "outbound_sa"]
        );
        for (bits, missing) in [
            (2, "no SA by which packets come in,"),
            (4, "no SA by which packets go out,"),
            (6, "no SA,"),
        ] {
            let note = noted("up", "down", lacks(1, bits)).unwrap();
            assert!(note.contains(missing), "{note}");
        }
        let note = noted("down", "down", lacks(0, 6)).unwrap();
        assert!(note.contains("it was set down"), "{note}");
    }
}
