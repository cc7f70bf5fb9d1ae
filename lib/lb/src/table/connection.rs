//! A connection, as the table keeps it: a cache line that most packets need, and two others elsewhere, so that the first ones are on few
//! pages of memory.

use std::borrow::Borrow;

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

/// What usual packets of IPv4 need of a connection.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Hot {
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
}

/// The rest of a connection: others of IPv4 need its first line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Cold {
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

/// A connection: in the table, or on its way there or from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection<H = Hot, C = Cold> {
    pub(crate) hot: H,
    pub(crate) cold: C,
}

/// One in the table.
pub(crate) type There<'t> = Connection<&'t Hot, &'t Cold>;
/// The same, to be changed.
pub(crate) type ThereMut<'t> = Connection<&'t mut Hot, &'t mut Cold>;

/// Packets and bytes of the client, packets and bytes of the server.
const COUNTS: usize = 4;

/// The upper 96 bits of IPv4 addresses.
const MAPPED: u128 = 0xffff;

impl Hot {
    pub(crate) const FREE: Hot = Hot {
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
    };

    /// Its ends, if it is of IPv4 and of `kind`, lives, and the service and the server are at these addresses and ports.
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

    /// Whether packets that go this way are remembered to come by `way`. Of ways without a number it is not known.
    #[inline(always)]
    pub(crate) fn has_come(&self, direction: Direction, way: Way) -> bool {
        way.has_number() && self.ways[direction as usize] == way
    }

    /// Whether it counts as active, not as inactive.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, State::Normal | State::Established)
    }
}

impl Cold {
    pub(crate) const FREE: Cold = Cold {
        far: [0; 2],
        far_ports: [0; 2],
        rounds: [0; COUNTS],
        paths: [NO_PATH; 2],
        pool: 0,
        service: 0,
        high: [[0; 3]; 4],
        server: 0,
    };
}

impl Connection {
    /// One with these ends, and nothing else yet.
    pub(crate) fn between(ends: &Ends) -> Self {
        let addresses = [ends.client, ends.local, ends.service, ends.server];
        let [client, local, service, server] = addresses.map(|address| address as u32);
        Self {
            hot: Hot {
                near: [client, local],
                near_ports: [ends.client_port, ends.local_port],
                six: ends.six,
                ..Hot::FREE
            },
            cold: Cold {
                far: [service, server],
                far_ports: [ends.service_port, ends.server_port],
                high: addresses.map(|address| [96, 64, 32].map(|shift| (address >> shift) as u32)),
                ..Cold::FREE
            },
        }
    }
}

impl There<'_> {
    /// A copy of it.
    pub(crate) fn copied(self) -> Connection {
        Connection {
            hot: *self.hot,
            cold: *self.cold,
        }
    }
}

impl<H: Borrow<Hot>, C: Borrow<Cold>> Connection<H, C> {
    /// Its ends.
    #[inline]
    pub(crate) fn ends(&self) -> Ends {
        let (hot, cold) = (self.hot.borrow(), self.cold.borrow());
        let ([client, local], [service, server]) = (hot.near, cold.far);
        let ([client_port, local_port], [service_port, server_port]) = (hot.near_ports, cold.far_ports);
        // The upper bits of an address are at this place.
        let address = |low: u32, place: usize| {
            let low = u128::from(low);
            if !hot.six {
                return MAPPED << 32 | low;
            }
            let [a, b, c] = cold.high[place].map(u128::from);
            a << 96 | b << 64 | c << 32 | low
        };
        Ends {
            six: hot.six,
            client: address(client, 0),
            client_port,
            service: address(service, 2),
            service_port,
            local: address(local, 1),
            local_port,
            server: address(server, 3),
            server_port,
        }
    }

    /// The flow of packets that go this way, as they come in.
    #[inline]
    pub(crate) fn flow(&self, direction: Direction) -> Flow {
        let ends = self.ends();
        // Of queries, whose ends have no port here.
        let query_type = u16::from(self.hot.borrow().query_type);
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

    /// Packets and bytes that went this way.
    pub(crate) fn counted(&self, direction: Direction) -> (u64, u64) {
        let first = 2 * direction as usize;
        let (counts, rounds) = (self.hot.borrow().counts, self.cold.borrow().rounds);
        let count = |at: usize| u64::from(rounds[at]) << 32 | u64::from(counts[at]);
        (count(first), count(first + 1))
    }

    /// How a packet leaves that goes this way, as far as it is known and heeded: as those of the other way came.
    #[inline(always)]
    pub(crate) fn path(&self, direction: Direction, ways: &Ways) -> Option<Path> {
        let hot = self.hot.borrow();
        let back = 1 - direction as usize;
        let way = hot.ways[back];
        if way == Way::UNKNOWN || !hot.fast_xmit {
            return None;
        }
        ways.path(way).or_else(|| Some(self.cold.borrow().paths[back]))
    }
}

impl ThereMut<'_> {
    /// Counts a packet of so many bytes that goes this way.
    #[inline(always)]
    pub(crate) fn count(&mut self, direction: Direction, bytes: u16) {
        let first = 2 * direction as usize;
        for (at, more) in [(first, 1), (first + 1, u32::from(bytes))] {
            let (sum, began_again) = self.hot.counts[at].overflowing_add(more);
            self.hot.counts[at] = sum;
            if began_again {
                self.cold.rounds[at] = self.cold.rounds[at].wrapping_add(1);
            }
        }
    }

    /// Remembers how a packet came that goes this way.
    #[inline]
    pub(crate) fn came(&mut self, direction: Direction, way: Way, path: Path) {
        self.hot.ways[direction as usize] = way;
        self.cold.paths[direction as usize] = path;
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
    fn connection_is_a_cache_line_and_two() {
        assert_eq!((size_of::<Hot>(), size_of::<Cold>()), (64, 128));
        assert_eq!(offset_of!(Cold, high), 64);
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
        let (mut hot, mut cold) = (Hot::FREE, Cold::FREE);
        for direction in [Direction::In, Direction::Out] {
            hot.counts = [u32::MAX; COUNTS];
            let mut connection = Connection {
                hot: &mut hot,
                cold: &mut cold,
            };
            connection.count(direction, 1500);
            connection.count(direction, 100);
            assert_eq!(connection.counted(direction), ((1 << 32) + 1, (1 << 32) + 1599));
        }
    }
}
