//! What is to become of a packet, and what a connection looks like from outside.

use std::net::SocketAddr;

use packet::MacAddress;

use crate::config::Kind;

/// The bytes of a frame from its Ethernet header on, which may become longer in front.
pub trait Buffer {
    /// All of them.
    fn bytes(&self) -> &[u8];
    /// All of them, to be changed.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Makes room for `bytes` more in front, with any contents; `false`, and nothing changed, where there is none.
    fn prepend(&mut self, bytes: usize) -> bool;
}

impl Buffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn prepend(&mut self, bytes: usize) -> bool {
        self.splice(0..0, std::iter::repeat_n(0, bytes));
        true
    }
}

/// A way out that was learned from a packet that came in by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The interface, by the number that the caller knows it by.
    pub interface: u16,
    /// Who is to receive the frame.
    pub destination: MacAddress,
    /// Whom it is from.
    pub source: MacAddress,
}

/// What is to become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that the load balancer knows of: it goes on as it came.
    NotOurs,
    /// It has been translated. It leaves by `path` where there is one (its TTL is still to be counted down, and its length to be
    /// compared with the MTU), else as routes say.
    Forward {
        /// Where the other way's packets came by, for services with `fast_xmit` that have had one.
        path: Option<Path>,
    },
    /// It belongs to a connection of another worker, who is to judge it.
    Elsewhere {
        /// That one.
        worker: usize,
    },
    /// An ICMP error about a packet to a client whose connection is not this worker's: the next worker is to be asked. When all
    /// were, it is dropped for [`Refused::ErrorNoConnection`].
    Next,
    /// It is a fragment: what it is part of is to be put together, and judged then.
    Join,
    /// It is dropped.
    Drop(Refused),
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident),* $(,)?) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refused {
            $($(#[$doc])* $variant,)*
        }

        impl Refused {
            /// All of them, each at its own number.
            pub const ALL: &'static [Refused] = &[$(Refused::$variant),*];
        }
    };
}

refusals! {
    /// No server of the service has a weight above 0.
    NoServer,
    /// Each server of the service has as many connections as it may.
    ServerFull,
    /// No local address of the service has a port or identifier free.
    NoPort,
    /// The worker has as many connections as it has memory for.
    TableFull,
    /// A packet that can begin no connection belongs to none.
    NoConnection,
    /// An ICMP error quotes a packet of no connection.
    ErrorNoConnection,
    /// A checksum is wrong.
    BadChecksum,
    /// An ICMP error quotes a header with a wrong checksum, and that is not tolerated.
    BadInner,
    /// It ends within its headers.
    Short,
    /// An ICMP message that ends within its header, or an error within what it quotes.
    IcmpShort,
    /// The service's lists keep the client out.
    Denied,
    /// An answer of ICMP that nobody asked for, or an ICMP message that is neither error nor query.
    Unsolicited,
    /// A fragment, where [`crate::Fragments::Drop`] is set.
    Fragment,
    /// Source Quench, where it is not forwarded.
    SourceQuench,
}

/// How far a connection is; the names are DPVS's, who sees TCP from the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum State {
    /// Any kind but TCP.
    #[default]
    Normal,
    /// The client has sent SYN.
    SynRecv,
    /// The client has answered the server's SYN.
    Established,
    /// The server has sent FIN.
    FinWait,
    /// The server has sent FIN, then the client.
    TimeWait,
    /// One of both has sent RST, or all has been acknowledged.
    Close,
    /// The client has sent FIN.
    CloseWait,
    /// The client has sent FIN, then the server.
    LastAck,
}

impl State {
    /// All of them.
    pub const ALL: [State; 8] = [
        State::Normal,
        State::SynRecv,
        State::Established,
        State::FinWait,
        State::TimeWait,
        State::Close,
        State::CloseWait,
        State::LastAck,
    ];

    /// As tables and filters have it.
    pub fn name(self) -> &'static str {
        match self {
            State::Normal => "normal",
            State::SynRecv => "syn_recv",
            State::Established => "established",
            State::FinWait => "fin_wait",
            State::TimeWait => "time_wait",
            State::Close => "close",
            State::CloseWait => "close_wait",
            State::LastAck => "last_ack",
        }
    }
}

/// A connection, as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it carries.
    pub kind: Kind,
    /// The ICMP type of the query that began it, of queries.
    pub query_type: Option<u8>,
    /// The client; the identifier of queries in place of a port.
    pub client: SocketAddr,
    /// The service; its port 0 for queries.
    pub service: SocketAddr,
    /// The local address; the identifier that the server sees in place of a port.
    pub local: SocketAddr,
    /// The server; its port 0 for queries.
    pub server: SocketAddr,
    /// How far it is.
    pub state: State,
    /// Milliseconds until it ends, if nothing comes.
    pub expires_ms: u64,
    /// Packets of the client.
    pub in_packets: u64,
    /// Bytes of them.
    pub in_bytes: u64,
    /// Packets of the server.
    pub out_packets: u64,
    /// Bytes of them.
    pub out_bytes: u64,
}
