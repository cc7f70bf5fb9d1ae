//! A connection, as the table keeps it: three cache lines.

use packet::MacAddress;

use super::ways::{Way, Ways};
use crate::config::Kind;
use crate::rewrite::{Ends, Sequence};
use crate::verdict::{Path, State};
use crate::view::Flow;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
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
}

/// A connection. Usual packets of IPv4 need its first line only, others of IPv4 the first two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Connection {
    /// When it ends if nothing comes, in cycles.
    pub(crate) deadline: u64,
    /// The lower 32 bits of the addresses of the client and of the gateway towards the server, and their ports.
    near: [u32; 2],
    near_ports: [u16; 2],
    pub(crate) sequence: Sequence,
    /// The configuration that `belongs` goes by.
    pub(crate) epoch: u32,
    pub(crate) belongs: Belongs,
    counts: [u32; COUNTS],
    pub(crate) phase: Phase,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// Packets go back by the way that those of the other side came.
    pub(crate) fast_xmit: bool,
    /// The ICMP type of the query that began it, which is part of its flow; 0 for what is no query.
    pub(crate) query_type: u8,
    six: bool,
    /// How packets of the client, and of the server, came.
    ways: [Way; 2],
    /// As `near`, of the service and the server. Where `belongs` is of the present configuration, that has these as well.
    far: [u32; 2],
    far_ports: [u16; 2],
    /// How often a count began at 0 again.
    rounds: [u32; COUNTS],
    /// What `ways` name, for those that have no number.
    paths: [Path; 2],
    /// The pool that its local port is from.
    pub(crate) pool: u32,
    /// The service, in any configuration.
    pub(crate) service: u32,
    /// The upper 96 bits of its addresses: of the client, the gateway towards the server, the service, the server.
    high: [[u32; 3]; 4],
    /// The server, in any configuration.
    pub(crate) server: u32,
}

/// Packets and bytes of the client, packets and bytes of the server.
const COUNTS: usize = 4;

/// The upper 96 bits of IPv4 addresses.
const MAPPED: u128 = 0xffff;

impl Connection {
    pub(crate) const FREE: Connection = Connection {
        deadline: 0,
        near: [0; 2],
        near_ports: [0; 2],
        sequence: Sequence::new(0, 0),
        epoch: 0,
        belongs: Belongs {
            service: 0,
            server: 0,
        },
        counts: [0; COUNTS],
        phase: Phase::Free,
        kind: Kind::Tcp,
        state: State::Normal,
        fast_xmit: false,
        query_type: 0,
        six: false,
        ways: [Way::UNKNOWN; 2],
        far: [0; 2],
        far_ports: [0; 2],
        rounds: [0; COUNTS],
        paths: [NO_PATH; 2],
        pool: 0,
        service: 0,
        high: [[0; 3]; 4],
        server: 0,
    };

    /// One with these ends, and nothing else yet.
    pub(crate) fn between(ends: &Ends) -> Self {
        let [client, local, service, server] =
            [ends.client, ends.local, ends.service, ends.server].map(|address| address as u32);
        Self {
            near: [client, local],
            near_ports: [ends.client_port, ends.local_port],
            six: ends.six,
            far: [service, server],
            far_ports: [ends.service_port, ends.server_port],
            high: [ends.client, ends.local, ends.service, ends.server]
                .map(|address| [96, 64, 32].map(|shift| (address >> shift) as u32)),
            ..Self::FREE
        }
    }

    /// Its ends.
    #[inline]
    pub(crate) fn ends(&self) -> Ends {
        let ([client, local], [service, server]) = (self.near, self.far);
        let ([client_port, local_port], [service_port, server_port]) = (self.near_ports, self.far_ports);
        Ends {
            six: self.six,
            client: self.address(client, 0),
            client_port,
            service: self.address(service, 2),
            service_port,
            local: self.address(local, 1),
            local_port,
            server: self.address(server, 3),
            server_port,
        }
    }

    /// An address, by its lower bits and the place of its upper ones.
    #[inline]
    fn address(&self, low: u32, place: usize) -> u128 {
        let low = u128::from(low);
        if !self.six {
            return MAPPED << 32 | low;
        }
        let [a, b, c] = self.high[place].map(u128::from);
        a << 96 | b << 64 | c << 32 | low
    }

    /// The flow of packets that go this way, as they come in.
    #[inline]
    pub(crate) fn flow(&self, direction: Direction) -> Flow {
        let ends = self.ends();
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

    /// What of it [`Connection::has_flow`] has beyond the first line does not matter here: its ends, if it is of IPv4 and of `kind`, lives, and
    /// the service and the server are at these addresses and ports.
    #[inline(always)]
    pub(crate) fn usual_ends(
        &self,
        kind: Kind,
        (service, service_port): (u32, u16),
        (server, server_port): (u32, u16),
    ) -> Option<Ends> {
        let ([client, local], [client_port, local_port]) = (self.near, self.near_ports);
        (self.kind == kind && self.phase == Phase::Live && !self.six).then_some(Ends {
            // Of addresses of IPv4 only the lower bits matter.
            six: false,
            client: client.into(),
            client_port,
            service: service.into(),
            service_port,
            local: local.into(),
            local_port,
            server: server.into(),
            server_port,
        })
    }

    /// Packets and bytes that went this way.
    pub(crate) fn counted(&self, direction: Direction) -> (u64, u64) {
        let first = 2 * direction as usize;
        let count = |at: usize| u64::from(self.rounds[at]) << 32 | u64::from(self.counts[at]);
        (count(first), count(first + 1))
    }

    /// Counts a packet of so many bytes that goes this way.
    #[inline(always)]
    pub(crate) fn count(&mut self, direction: Direction, bytes: u16) {
        let first = 2 * direction as usize;
        for (at, more) in [(first, 1), (first + 1, u32::from(bytes))] {
            let (sum, began_again) = self.counts[at].overflowing_add(more);
            self.counts[at] = sum;
            if began_again {
                self.rounds[at] = self.rounds[at].wrapping_add(1);
            }
        }
    }

    /// Remembers how a packet came that goes this way.
    #[inline]
    pub(crate) fn came(&mut self, direction: Direction, way: Way, path: Path) {
        self.ways[direction as usize] = way;
        self.paths[direction as usize] = path;
    }

    /// Whether that is remembered. Of ways without a number it is not known.
    #[inline(always)]
    pub(crate) fn has_come(&self, direction: Direction, way: Way) -> bool {
        way.has_number() && self.ways[direction as usize] == way
    }

    /// How a packet leaves that goes this way, as far as it is known and heeded: as those of the other way came.
    #[inline(always)]
    pub(crate) fn path(&self, direction: Direction, ways: &Ways) -> Option<Path> {
        let back = 1 - direction as usize;
        let way = self.ways[back];
        if way == Way::UNKNOWN || !self.fast_xmit {
            return None;
        }
        ways.path(way).or(Some(self.paths[back]))
    }

    /// Whether packets that go this way have `flow`.
    #[inline]
    pub(crate) fn has_flow(&self, direction: Direction, flow: &Flow) -> bool {
        self.flow(direction) == *flow
    }

    /// Whether it counts as active, not as inactive.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, State::Normal | State::Established)
    }
}

/// A path that is not known.
const NO_PATH: Path = Path {
    interface: u16::MAX,
    destination: MacAddress::ZERO,
    source: MacAddress::ZERO,
};

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn connection_is_three_cache_lines() {
        assert_eq!(size_of::<Connection>(), 192);
        assert_eq!(offset_of!(Connection, far), 64);
        assert_eq!(offset_of!(Connection, high), 128);
    }

    #[test]
    fn ends_come_back_in_either_family() {
        for six in [false, true] {
            let address = |number: u128| {
                if six {
                    number << 96 | number
                } else {
                    MAPPED << 32 | number
                }
            };
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
        }
    }

    #[test]
    fn counts_go_on_where_32_bits_end() {
        let mut connection = Connection::FREE;
        for direction in [Direction::In, Direction::Out] {
            connection.counts = [u32::MAX; COUNTS];
            connection.count(direction, 1500);
            connection.count(direction, 100);
            assert_eq!(connection.counted(direction), ((1 << 32) + 1, (1 << 32) + 1599));
        }
    }
}
