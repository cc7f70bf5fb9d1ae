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

/// A connection. Packets of IPv4 need its first two lines only.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Connection {
    /// The lower 32 bits of its addresses: of the client, the service, the gateway towards the server, the server.
    low: [u32; ENDS],
    /// The ports, in that order.
    ports: [u16; ENDS],
    /// When it ends if nothing comes, in cycles.
    pub(crate) deadline: u64,
    pub(crate) sequence: Sequence,
    /// The configuration that `belongs` goes by.
    pub(crate) epoch: u32,
    pub(crate) belongs: Belongs,
    pub(crate) phase: Phase,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// Packets go back by the way that those of the other side came.
    pub(crate) fast_xmit: bool,
    /// The ICMP type of the query that began it, which is part of its flow; 0 for what is no query.
    pub(crate) query_type: u8,
    six: bool,
    pub(crate) in_packets: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_packets: u64,
    pub(crate) out_bytes: u64,
    /// How the client's packets came.
    pub(crate) client_path: Path,
    /// How the server's packets came.
    pub(crate) server_path: Path,
    /// The pool that its local port is from.
    pub(crate) pool: u32,
    /// The upper 96 bits of its addresses.
    high: [[u32; 3]; ENDS],
    /// The service, in any configuration.
    pub(crate) service: u32,
    /// The server, in any configuration.
    pub(crate) server: u32,
}

/// Ends of a connection, and their places.
const ENDS: usize = 4;
const CLIENT: usize = 0;
const SERVICE: usize = 1;
const LOCAL: usize = 2;
const SERVER: usize = 3;

/// The upper 96 bits of IPv4 addresses.
const MAPPED: u128 = 0xffff;

/// A path that is not known.
const NO_PATH: Path = Path {
    interface: u16::MAX,
    destination: MacAddress::ZERO,
    source: MacAddress::ZERO,
};

impl Connection {
    pub(crate) const FREE: Connection = Connection {
        low: [0; ENDS],
        ports: [0; ENDS],
        deadline: 0,
        sequence: Sequence::new(0, 0),
        epoch: 0,
        belongs: Belongs {
            service: 0,
            server: 0,
            local: 0,
        },
        phase: Phase::Free,
        kind: Kind::Tcp,
        state: State::Normal,
        fast_xmit: false,
        query_type: 0,
        six: false,
        in_packets: 0,
        in_bytes: 0,
        out_packets: 0,
        out_bytes: 0,
        client_path: NO_PATH,
        server_path: NO_PATH,
        pool: 0,
        high: [[0; 3]; ENDS],
        service: 0,
        server: 0,
    };

    /// One with these ends, and nothing else yet.
    pub(crate) fn between(ends: &Ends) -> Self {
        let addresses = [ends.client, ends.service, ends.local, ends.server];
        Self {
            six: ends.six,
            low: addresses.map(|address| address as u32),
            high: addresses.map(|address| [96, 64, 32].map(|shift| (address >> shift) as u32)),
            ports: [
                ends.client_port,
                ends.service_port,
                ends.local_port,
                ends.server_port,
            ],
            ..Self::FREE
        }
    }

    /// Its ends.
    #[inline]
    pub(crate) fn ends(&self) -> Ends {
        Ends {
            six: self.six,
            client: self.address(CLIENT),
            client_port: self.ports[CLIENT],
            service: self.address(SERVICE),
            service_port: self.ports[SERVICE],
            local: self.address(LOCAL),
            local_port: self.ports[LOCAL],
            server: self.address(SERVER),
            server_port: self.ports[SERVER],
        }
    }

    /// The same of a connection of IPv4, without its upper halves.
    #[inline(always)]
    pub(crate) fn ends4(&self) -> Ends {
        Ends {
            six: false,
            client: self.low[CLIENT].into(),
            client_port: self.ports[CLIENT],
            service: self.low[SERVICE].into(),
            service_port: self.ports[SERVICE],
            local: self.low[LOCAL].into(),
            local_port: self.ports[LOCAL],
            server: self.low[SERVER].into(),
            server_port: self.ports[SERVER],
        }
    }

    #[inline]
    fn address(&self, end: usize) -> u128 {
        let low = u128::from(self.low[end]);
        if !self.six {
            return MAPPED << 32 | low;
        }
        let upper = |number: usize| u128::from(self.high[end][number]);
        upper(0) << 96 | upper(1) << 64 | upper(2) << 32 | low
    }

    /// The flow of packets that go this way, as they come in.
    #[inline]
    pub(crate) fn flow(&self, direction: Direction) -> Flow {
        let (source, destination) = from_to(direction);
        // Of queries, whose ends have no port here.
        let query_type = u16::from(self.query_type);
        let (of_service, of_server) = match direction {
            Direction::In => (query_type, 0),
            Direction::Out => (0, query_type),
        };
        Flow {
            source: self.address(source),
            destination: self.address(destination),
            source_port: self.ports[source] | of_server,
            destination_port: self.ports[destination] | of_service,
        }
    }

    /// Whether packets that go this way have `flow`.
    #[inline]
    pub(crate) fn has_flow(&self, direction: Direction, flow: &Flow) -> bool {
        let (source, destination) = from_to(direction);
        // No need of the line with the upper halves, as a rule.
        (self.low[source], self.low[destination]) == (flow.source as u32, flow.destination as u32)
            && self.flow(direction) == *flow
    }

    /// Whether it is of IPv4, of this kind, and packets of its that go this way have this source, this destination, and these ports in
    /// a row.
    #[inline]
    pub(crate) fn has_usual(
        &self,
        direction: Direction,
        kind: Kind,
        source: u32,
        destination: u32,
        ports: u32,
    ) -> bool {
        let (from, to) = from_to(direction);
        let own = u32::from(self.ports[from]) << 16 | u32::from(self.ports[to]);
        (self.low[from] ^ source) | (self.low[to] ^ destination) | (own ^ ports) == 0
            && self.kind == kind
            && !self.six
    }

    /// Counts a packet of so many bytes that goes this way, and remembers how it came, if that is known. The way by which it leaves, as
    /// far as that is known and heeded.
    #[inline(always)]
    pub(crate) fn count(&mut self, direction: Direction, bytes: u64, came: Option<Path>) -> Option<Path> {
        match direction {
            Direction::In => {
                self.in_packets += 1;
                self.in_bytes += bytes;
                if let Some(came) = came {
                    self.client_path = came;
                }
                self.way_to_server()
            }
            Direction::Out => {
                self.out_packets += 1;
                self.out_bytes += bytes;
                if let Some(came) = came {
                    self.server_path = came;
                }
                self.way_to_client()
            }
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

/// The source and the destination of packets that go this way.
#[inline]
fn from_to(direction: Direction) -> (usize, usize) {
    match direction {
        Direction::In => (CLIENT, SERVICE),
        Direction::Out => (SERVER, LOCAL),
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn connection_is_three_cache_lines() {
        assert_eq!(size_of::<Connection>(), 192);
        assert_eq!(offset_of!(Connection, in_packets), 64);
        assert_eq!(offset_of!(Connection, high), 128);
    }

    #[test]
    fn ends_come_back_in_either_family() {
        for (six, shift) in [(false, 0), (true, 96)] {
            let address = |number: u128| if six { number << shift | number } else { MAPPED << 32 | number };
            let ends = Ends {
                six,
                client: address(1),
                client_port: 2,
                service: address(3),
                service_port: 4,
                local: address(5),
                local_port: 6,
                server: address(7),
                server_port: 8,
            };
            let connection = Connection::between(&ends);
            assert_eq!(connection.ends(), ends);
            let towards = connection.flow(Direction::In);
            assert_eq!((towards.source, towards.destination_port), (address(1), 4));
            for direction in [Direction::In, Direction::Out] {
                let flow = connection.flow(direction);
                assert!(connection.has_flow(direction, &flow));
                assert!(!connection.has_flow(direction, &flow.reversed()));
                let other = Flow { source: flow.source | 1 << 127, ..flow };
                assert!(!connection.has_flow(direction, &other));
                let ports = u32::from(flow.source_port) << 16 | u32::from(flow.destination_port);
                let usual = |kind, ports| {
                    let (source, destination) = (flow.source as u32, flow.destination as u32);
                    connection.has_usual(direction, kind, source, destination, ports)
                };
                assert_eq!(usual(Kind::Tcp, ports), !six);
                assert!(!usual(Kind::Udp, ports) && !usual(Kind::Tcp, ports + 1));
            }
        }
    }
}
