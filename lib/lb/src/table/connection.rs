//! A connection, as the table keeps it: three cache lines.

use packet::MacAddress;

use crate::config::Kind;
use crate::rewrite::{Ends, Sequence};
use crate::verdict::{Path, State};
use crate::view::Flow;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the server.
    In,
    /// From the server to the client.
    Out,
}

/// Whether there is a connection at a place of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// None.
    Free,
    /// One that translates.
    Live,
    /// One that is over: errors about it are translated, its port is not free.
    Ended,
}

/// Where the tables of the configuration have what a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Belongs {
    /// The service.
    pub(crate) service: u32,
    /// The server.
    pub(crate) server: u32,
    /// The local address.
    pub(crate) local: u32,
}

/// A connection.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Connection {
    pub(crate) ends: Ends,
    /// When it ends if nothing comes, in cycles.
    pub(crate) deadline: u64,
    pub(crate) phase: Phase,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// Packets go back by the way that those of the other side came.
    pub(crate) fast_xmit: bool,
    /// The ICMP type of the query that began it, which is part of its flow; 0 for what is no query.
    pub(crate) query_type: u8,
    pub(crate) sequence: Sequence,
    /// The configuration that `belongs` goes by.
    pub(crate) epoch: u32,
    pub(crate) belongs: Belongs,
    /// The pool that its local port is from.
    pub(crate) pool: u32,
    /// The service, in any configuration.
    pub(crate) service: u32,
    /// The server, in any configuration.
    pub(crate) server: u32,
    /// How the client's packets came.
    pub(crate) client_path: Path,
    /// How the server's packets came.
    pub(crate) server_path: Path,
    pub(crate) in_packets: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_packets: u64,
    pub(crate) out_bytes: u64,
}

/// A path that is not known.
const NO_PATH: Path = Path {
    interface: u16::MAX,
    destination: MacAddress::ZERO,
    source: MacAddress::ZERO,
};

impl Connection {
    pub(crate) const FREE: Connection = Connection {
        ends: Ends {
            six: false,
            client: 0,
            client_port: 0,
            service: 0,
            service_port: 0,
            local: 0,
            local_port: 0,
            server: 0,
            server_port: 0,
        },
        deadline: 0,
        phase: Phase::Free,
        kind: Kind::Tcp,
        state: State::Normal,
        fast_xmit: false,
        query_type: 0,
        sequence: Sequence::new(0, 0),
        epoch: 0,
        belongs: Belongs {
            service: 0,
            server: 0,
            local: 0,
        },
        pool: 0,
        service: 0,
        server: 0,
        client_path: NO_PATH,
        server_path: NO_PATH,
        in_packets: 0,
        in_bytes: 0,
        out_packets: 0,
        out_bytes: 0,
    };

    /// The flow of packets that go this way, as they come in.
    #[inline]
    pub(crate) fn flow(&self, direction: Direction) -> Flow {
        let ends = &self.ends;
        // Of queries, whose ends have no port here.
        let query_type = u16::from(self.query_type);
        match direction {
            Direction::In => Flow {
                source: ends.client,
                destination: ends.service,
                source_port: ends.client_port,
                destination_port: ends.service_port | query_type,
            },
            Direction::Out => Flow {
                source: ends.server,
                destination: ends.local,
                source_port: ends.server_port | query_type,
                destination_port: ends.local_port,
            },
        }
    }

    /// Whether it counts as active, not as inactive.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, State::Normal | State::Established)
    }

    /// The way to the client, as far as it is known and heeded.
    #[inline]
    pub(crate) fn way_to_client(&self) -> Option<Path> {
        (self.fast_xmit && self.client_path.interface != NO_PATH.interface).then_some(self.client_path)
    }

    /// The way to the server, likewise.
    #[inline]
    pub(crate) fn way_to_server(&self) -> Option<Path> {
        (self.fast_xmit && self.server_path.interface != NO_PATH.interface).then_some(self.server_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_three_cache_lines() {
        assert_eq!(size_of::<Connection>(), 192);
    }
}
