//! What is set of the load balancer: services with their servers and local addresses, timeouts, and how ICMP is treated. Made by
//! whoever configures it, shared by all workers, and never changed: a change is another [`Config`].

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::counts::Counts;

/// What a service takes, and a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// TCP, RFC 9293.
    Tcp,
    /// UDP, RFC 768.
    Udp,
    /// Queries of ICMP (RFC 792) and of ICMPv6 (RFC 4443), which an identifier tells apart in place of a port.
    Icmp,
}

/// How the server of a new connection is chosen, among those with a weight above 0 and room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// By turns, each as often.
    Rr,
    /// By turns, each as often as its weight says, and those of a heavy one spread out.
    Wrr,
    /// The one with the fewest connections for its weight, as far as this worker's own go; an established one counts much more.
    Wlc,
    /// By the client's address on a ring of points: a server that comes or goes moves few clients.
    Conhash,
    /// By the client's address in Maglev's table: as even as can be, and nearly as consistent.
    Mh,
}

/// All that is set.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// No two with the same kind, address and port.
    pub services: Vec<Arc<Service>>,
    /// When connections end that have no packets.
    pub timeouts: Timeouts,
    /// What is done with ICMP.
    pub policy: Policy,
}

/// An address and port that clients reach (VIP), and what is behind it.
#[derive(Clone, Debug)]
pub struct Service {
    /// What it takes.
    pub kind: Kind,
    /// The address that clients reach.
    pub address: IpAddr,
    /// The port that clients reach; 0 for ICMP.
    pub port: u16,
    /// Tells it from all services that there ever were: the number of a deleted one is never used again.
    pub number: u32,
    /// How servers are chosen.
    pub scheduler: Scheduler,
    /// Whether the first segments of a TCP connection tell the server the client's address and port (TCP option 254, TOA).
    pub toa: bool,
    /// Whether packets go back by the interface and MAC addresses that those of the other way came by, unless [`Policy`] says of all
    /// services that they do not.
    pub fast_xmit: bool,
    /// Whose packets are taken; all but `deny` where it is empty.
    pub allow: Vec<IpNet>,
    /// Whose packets are dropped.
    pub deny: Vec<IpNet>,
    /// Seconds after which a connection of UDP or ICMP ends that has no packets, and an established one of TCP; `None`: as
    /// [`Timeouts`] say.
    pub timeout: Option<u32>,
    /// Its servers, of the same family.
    pub servers: Vec<Arc<Server>>,
    /// The addresses by which it reaches them, of the same family.
    pub locals: Vec<Arc<Local>>,
    /// What went through it.
    pub counts: Arc<Counts>,
}

/// A real server (RS).
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 for ICMP.
    pub port: u16,
    /// Tells it from all servers of any service that there ever were: that of a deleted one is never used again.
    pub number: u32,
    /// Its share of new connections; 0: it gets none (quiesced), and keeps those it has.
    pub weight: u16,
    /// The most connections at a time, of all workers together; 0: any number. Workers that take one at the same instant may
    /// go beyond it by one each.
    pub max_connections: u32,
    /// What went through it.
    pub counts: Arc<Counts>,
}

/// An address by which servers are reached (LIP).
#[derive(Clone, Debug)]
pub struct Local {
    /// It.
    pub address: IpAddr,
    /// What leaves by it. Services that have the same address share its ports: give them the same counts, and
    /// [`crate::Count::PortsUsed`] says how many of them all are in use.
    pub counts: Arc<Counts>,
}

/// Seconds without a packet after which a connection ends. The defaults are those of DPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, the client has sent SYN. It begins with the client's first SYN, and anew with the server's: what is sent again does not
    /// extend it, nor does what the client sends before the server has answered.
    pub tcp_syn_recv: u32,
    /// TCP, the client has answered the server's SYN.
    pub tcp_established: u32,
    /// TCP, the server has sent FIN.
    pub tcp_fin_wait: u32,
    /// TCP, the server has sent FIN, then the client.
    pub tcp_time_wait: u32,
    /// TCP, one of both has sent RST, or all is acknowledged after [`Timeouts::tcp_last_ack`].
    pub tcp_close: u32,
    /// TCP, the client has sent FIN.
    pub tcp_close_wait: u32,
    /// TCP, the client has sent FIN, then the server.
    pub tcp_last_ack: u32,
    /// UDP.
    pub udp: u32,
    /// Queries of ICMP and ICMPv6: at least 60, RFC 5508 REQ-2.
    pub icmp: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_syn_recv: 30,
            tcp_established: 90,
            tcp_fin_wait: 7,
            tcp_time_wait: 7,
            tcp_close: 3,
            tcp_close_wait: 7,
            tcp_last_ack: 7,
            udp: 300,
            icmp: 60,
        }
    }
}

/// What is done with packets of all services, with ICMP above all, where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether packets may go back by the interface and MAC addresses that those of the other way came by, which each
    /// [`Service::fast_xmit`] says.
    pub fast_xmit: bool,
    /// Whether Source Quench, which RFC 6633 deprecates, is translated; else it is dropped.
    pub source_quench_forward: bool,
    /// Whether an error is dropped that quotes an IPv4 header with a wrong checksum (RFC 5508 REQ-3a); else it is put right.
    pub strict_inner_csum: bool,
    /// Seconds for which errors about a connection are still translated after its end. Its local port is not used again before.
    pub err_grace_s: u32,
    /// What becomes of fragments.
    pub fragments: Fragments,
}

/// What becomes of fragments for services, and from their servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// They are put together, and the whole packet is judged.
    #[default]
    Join,
    /// They are dropped.
    Drop,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fast_xmit: true,
            source_quench_forward: true,
            strict_inner_csum: false,
            err_grace_s: 3,
            fragments: Fragments::Join,
        }
    }
}
