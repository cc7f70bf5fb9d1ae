//! Services of the load balancer in requests: an address and port that clients reach, the real servers behind it, and the local
//! addresses by which Full-NAT reaches those.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::frame::MAX_FRAME;

mod check;

pub use check::ServiceFault;

/// The most services.
pub const SERVICES: usize = 4096;
/// The most prefixes of clients that a service allows, and the most that it denies.
pub const PREFIXES_PER_SERVICE: usize = 64;
/// The most real servers of a service, and the most local addresses: a service fits into [`crate::client::MAX_FRAME`] bytes with them.
pub const SERVERS_PER_SERVICE: usize = 256;

macro_rules! words {
    ($name:ident, $what:literal, $($variant:ident => $word:literal),*) => {
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as command line, configuration, tables and JSON have it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|value| value.name() == text);
                let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                found.ok_or_else(|| format!("'{text}' is no {}: use one of {}", $what, names.join(", ")))
            }
        }
    };
}

/// What a service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Queries of ICMP, RFC 792.
    Icmp,
    /// Queries of ICMPv6, RFC 4443.
    Icmpv6,
}

words!(ServiceProtocol, "protocol of a service", Tcp => "tcp", Udp => "udp", Icmp => "icmp", Icmpv6 => "icmpv6");

/// How the server of a new connection is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// By turns, each as often.
    Rr,
    /// By turns, each as often as its weight says.
    Wrr,
    /// The one with the fewest connections for its weight.
    Wlc,
    /// By the client's address, consistently: a server that comes or goes moves few clients.
    Conhash,
    /// Maglev's table: as even as can be, and nearly as consistent.
    Mh,
}

words!(Scheduler, "scheduler", Rr => "rr", Wrr => "wrr", Wlc => "wlc", Conhash => "conhash", Mh => "mh");

/// How packets get to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forwarding {
    /// From a local address of the gateway, so that replies come back to it: source and destination are both translated.
    FullNat,
}

words!(Forwarding, "way of forwarding", FullNat => "fullnat");

/// What a service is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceId {
    /// What it takes.
    pub protocol: ServiceProtocol,
    /// The address that clients reach (VIP).
    pub address: IpAddr,
    /// The port that clients reach; 0 for ICMP and ICMPv6, and only for those.
    pub port: u16,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.protocol,
            SocketAddr::new(self.address, self.port)
        )
    }
}

/// What is set of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOptions {
    /// How servers are chosen.
    pub scheduler: Scheduler,
    /// Whether the first segments of a TCP connection tell the server the client's address and port (TCP option 254, TOA).
    pub toa: bool,
    /// Whether packets go back by the interface, VLAN and MAC address that those of the other way came by, whatever the routes say.
    pub fast_xmit: bool,
    /// Whose packets are taken; all but `deny` where it is empty.
    pub allow: Vec<IpNet>,
    /// Whose packets are dropped.
    pub deny: Vec<IpNet>,
    /// Seconds after which a connection of UDP or ICMP ends that has no packets, and an established one of TCP; `None`: as the
    /// configuration says for all.
    pub timeout: Option<u32>,
    /// Whether the timeout of a service of ICMP or ICMPv6 may be less than [`ServiceOptions::LEAST_ICMP_TIMEOUT`].
    pub icmp_short: bool,
}

impl ServiceOptions {
    /// With this scheduler, and nothing else said.
    pub fn new(scheduler: Scheduler) -> Self {
        Self {
            scheduler,
            toa: false,
            fast_xmit: true,
            allow: Vec::new(),
            deny: Vec::new(),
            timeout: None,
            icmp_short: false,
        }
    }
}

/// What is to be different of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceChange {
    /// See [`ServiceOptions`].
    pub scheduler: Option<Scheduler>,
    /// See [`ServiceOptions`].
    pub toa: Option<bool>,
    /// See [`ServiceOptions`].
    pub fast_xmit: Option<bool>,
    /// See [`ServiceOptions`].
    pub allow: Option<Vec<IpNet>>,
    /// See [`ServiceOptions`].
    pub deny: Option<Vec<IpNet>>,
    /// See [`ServiceOptions`]; 0: as for all.
    pub timeout: Option<u32>,
    /// See [`ServiceOptions`]; `false` where another timeout is said, and this is not.
    pub icmp_short: Option<bool>,
}

/// A real server of a service, known by its address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address, of the service's family.
    pub address: IpAddr,
    /// Its port; 0 for ICMP and ICMPv6.
    pub port: u16,
    /// How packets get to it.
    pub forwarding: Forwarding,
    /// Its share of new connections; 0: it gets none (quiesced), and keeps those it has.
    pub weight: u16,
    /// The most connections at a time; 0: any number.
    pub max_connections: u32,
}

impl RealServer {
    /// Reached by Full-NAT, with weight 1.
    pub fn new(address: IpAddr, port: u16) -> Self {
        Self {
            address,
            port,
            forwarding: Forwarding::FullNat,
            weight: 1,
            max_connections: 0,
        }
    }
}

/// What is to be different of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerChange {
    /// See [`RealServer`].
    pub weight: Option<u16>,
    /// See [`RealServer`].
    pub max_connections: Option<u32>,
}

/// An address of the gateway by which servers are reached (LIP); it is added to its interface, if it is not there yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAddress {
    /// It, of the servers' family.
    pub address: IpAddr,
    /// The interface that it is on.
    pub interface: String,
}

/// A service with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What it is known by.
    pub id: ServiceId,
    /// What is set of it.
    pub options: ServiceOptions,
    /// Its servers, in the order in which they were added; at most [`SERVERS_PER_SERVICE`].
    pub servers: Vec<RealServer>,
    /// Its local addresses, in the order in which they were added; at most [`SERVERS_PER_SERVICE`].
    pub locals: Vec<LocalAddress>,
}

impl Service {
    /// Bytes of a request that services may fill, as many as they are.
    pub const REQUEST_BYTES: usize = MAX_FRAME - 64;

    /// Bytes that it takes in a request.
    pub fn request_bytes(&self) -> usize {
        postcard::experimental::serialized_size(self).unwrap_or(MAX_FRAME)
    }
}

/// What went through a service or a server since it was added or its counters were set to zero, of all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficCounts {
    /// Connections that began.
    pub connections: u64,
    /// Packets of clients.
    pub in_packets: u64,
    /// Packets of servers.
    pub out_packets: u64,
    /// Bytes of IP packets of clients.
    pub in_bytes: u64,
    /// Bytes of IP packets of servers.
    pub out_bytes: u64,
    /// ICMP errors that were translated, and went to servers.
    pub errors_in: u64,
    /// ICMP errors that were translated, and went to clients.
    pub errors_out: u64,
}

/// A real server, and what goes through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// It.
    pub server: RealServer,
    /// Established connections of TCP, connections of other protocols.
    pub active: u64,
    /// Other connections of TCP.
    pub inactive: u64,
    /// What went through it.
    pub counts: TrafficCounts,
}

/// A local address, and how much of it is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalInfo {
    /// It.
    pub local: LocalAddress,
    /// Connections that leave by it.
    pub connections: u64,
    /// Ports in use, of all protocols together, by any service.
    pub ports_used: u64,
    /// Ports free for connections of the service, at least: some that others use may do as well, to other servers.
    pub ports_free: u64,
    /// Times that no port was free where one was wanted.
    pub misses: u64,
}

/// A service, and what goes through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// What it is known by.
    pub id: ServiceId,
    /// What is set of it.
    pub options: ServiceOptions,
    /// Its servers.
    pub servers: Vec<ServerInfo>,
    /// Its local addresses.
    pub locals: Vec<LocalInfo>,
    /// What went through it; servers that were deleted are in it still.
    pub counts: TrafficCounts,
    /// Packets for it that were dropped, by reason; the names are those of `tollgate-ctl drop show`.
    pub drops: Vec<(String, u64)>,
}

/// Some of the services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePage {
    /// In the order of their protocols, addresses and ports.
    pub services: Vec<ServiceInfo>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// Which connections are asked for: those that fit all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFilter {
    /// Of this protocol.
    pub protocol: Option<ServiceProtocol>,
    /// Of clients in this prefix.
    pub client: Option<IpNet>,
    /// To this address of a service.
    pub service: Option<IpAddr>,
    /// To this port of a service.
    pub service_port: Option<u16>,
    /// With servers in this prefix.
    pub server: Option<IpNet>,
    /// In this state.
    pub state: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// The worker that it belongs to.
    pub worker: u16,
    /// Its protocol.
    pub protocol: ServiceProtocol,
    /// The type of the ICMP query that began it: 8 or 128 for an echo. None for other protocols.
    pub icmp_type: Option<u8>,
    /// The client; the identifier of ICMP queries in place of a port.
    pub client: SocketAddr,
    /// The service, its port 0 for ICMP.
    pub service: SocketAddr,
    /// The local address and port; the identifier of ICMP queries as the server sees it in place of a port.
    pub local: SocketAddr,
    /// The server, its port 0 for ICMP.
    pub server: SocketAddr,
    /// `established`, `syn_recv` ... of TCP, `normal` of others.
    pub state: String,
    /// Milliseconds until it ends, if nothing comes.
    pub expires_ms: u64,
    /// Packets and bytes of the client.
    pub in_packets: u64,
    /// See `in_packets`.
    pub in_bytes: u64,
    /// Packets and bytes of the server.
    pub out_packets: u64,
    /// See `out_packets`.
    pub out_bytes: u64,
}
