//! Connections for whoever wants to see them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Balancer;
use crate::config::Kind;
use crate::table::{Direction, Phase, There};
use crate::verdict::Row;

/// Places that one call looks at for each row that it may give: so many may be empty.
const PLACES_PER_ROW: usize = 4;

impl Balancer {
    /// Copies at most `most` live connections from `cursor` on (0 at first), and moves it on; `true`: there are no more. A call may
    /// give none and yet not be the last: it looks at no more than four times `most` places.
    pub fn rows(&self, cursor: &mut u32, into: &mut Vec<Row>, most: usize, now: u64) -> bool {
        let mut left = most;
        for _ in 0..most.saturating_mul(PLACES_PER_ROW) {
            if *cursor >= self.table.places() {
                return true;
            }
            if left == 0 {
                return false;
            }
            if let Some(connection) = self
                .table
                .get(*cursor)
                .filter(|there| there.hot.phase == Phase::Live)
            {
                into.push(self.row(&connection, now));
                left -= 1;
            }
            *cursor += 1;
        }
        *cursor >= self.table.places()
    }

    fn row(&self, connection: &There<'_>, now: u64) -> Row {
        let ends = connection.ends();
        let socket = |address: u128, port| {
            let address = Ipv6Addr::from_bits(address);
            let address = if ends.six {
                IpAddr::V6(address)
            } else {
                address.to_canonical()
            };
            SocketAddr::new(address, port)
        };
        let (in_packets, in_bytes) = connection.counted(Direction::In);
        let (out_packets, out_bytes) = connection.counted(Direction::Out);
        let left = u128::from(connection.hot.deadline.saturating_sub(now));
        Row {
            kind: connection.hot.kind,
            query_type: Some(connection.hot.query_type).filter(|_| connection.hot.kind == Kind::Icmp),
            client: socket(ends.client, ends.client_port),
            service: socket(ends.service, ends.service_port),
            local: socket(ends.local, ends.local_port),
            server: socket(ends.server, ends.server_port),
            state: connection.hot.state,
            expires_ms: (left * 1000 / u128::from(self.hz)) as u64,
            in_packets,
            in_bytes,
            out_packets,
            out_bytes,
        }
    }
}
