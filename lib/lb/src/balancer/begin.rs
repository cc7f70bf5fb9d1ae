//! New connections.

use super::{Balancer, Look};
use crate::config::Kind;
use crate::counts::Count;
use crate::icmp::IcmpCount;
use crate::rewrite::{Ends, Sequence};
use crate::table::{Belongs, Connection, Direction, Phase};
use crate::tcp;
use crate::verdict::{Refused, State};
use crate::view::{Flow, What};

/// Connections that are forgotten early when no port is free.
const FREED_EARLY: usize = 8;

impl Balancer {
    /// Makes a connection for a client's packet to a service; the packet is not counted yet.
    #[inline(never)]
    pub(super) fn begin(&mut self, service: u32, look: &Look, kind: Kind, now: u64) -> Result<u32, Refused> {
        let view = &look.view;
        let flow = view.flow;
        let entry = self.prepared.service(service).ok_or(Refused::NoServer)?;
        if !entry.admits(flow.source) {
            return Err(Refused::Denied);
        }
        let number = match view.what {
            What::Segment { flags, sequence, .. } if tcp::begins(flags) => Some(sequence),
            What::Segment { .. } => return Err(Refused::NoConnection),
            What::Reply { .. } => return Err(Refused::Unsolicited),
            _ => None,
        };
        let query_type = match view.what {
            What::Query { message_type, .. } => message_type,
            _ => 0,
        };
        let state = if number.is_some() {
            State::SynRecv
        } else {
            State::Normal
        };
        let seconds = entry.timeouts.get(state as usize).copied().unwrap_or(0);
        let (service_number, fast_xmit) = (entry.number, entry.fast_xmit);
        // One that is over and has this flow: its place is taken.
        if let Some((over, Direction::In)) = self.table.find(look.hash, &flow, kind) {
            self.finish(over);
        }
        if !self.table.has_room() {
            let first = self.table.first_ended().ok_or(Refused::TableFull)?;
            self.finish(first);
        }
        let server = self.prepared.choose(service, self.worker, flow.source)?;
        let (local, pool, local_port) = self.take_port(service, server).ok_or(Refused::NoPort)?;
        let (Some(to), Some(by)) = (self.prepared.server(server), self.prepared.local(local)) else {
            return Err(Refused::NoServer);
        };
        let is_icmp = kind == Kind::Icmp;
        let ends = Ends {
            six: view.six,
            client: flow.source,
            client_port: flow.source_port,
            service: flow.destination,
            service_port: if is_icmp { 0 } else { flow.destination_port },
            local: by.address,
            local_port,
            server: to.address,
            server_port: if is_icmp { 0 } else { to.port },
        };
        let towards = Flow {
            source: ends.local,
            destination: ends.server,
            source_port: ends.local_port,
            destination_port: ends.server_port,
        };
        let sequence = number.map_or_else(Sequence::default, |client| {
            Sequence::new(client, self.initial_sequence(&towards, now))
        });
        let mut connection = Connection::between(&ends);
        connection.hot.deadline = now.wrapping_add(self.cycles(seconds));
        connection.hot.phase = Phase::Live;
        connection.hot.kind = kind;
        connection.hot.state = state;
        connection.hot.fast_xmit = fast_xmit;
        connection.hot.query_type = query_type;
        connection.hot.sequence = sequence;
        connection.hot.epoch = self.epoch;
        connection.hot.belongs = Belongs { service, server };
        connection.cold.pool = pool;
        connection.cold.service = service_number;
        connection.cold.server = to.number;
        let at = self.start(connection).ok_or(Refused::TableFull)?;
        if is_icmp {
            self.icmp.add(IcmpCount::QueriesNew);
        }
        Ok(at)
    }

    /// Takes a local port. Those of connections that have ended are kept for errors only while there are others.
    fn take_port(&mut self, service: u32, server: u32) -> Option<(u32, u32, u16)> {
        if let Some(taken) = self.prepared.take_port(service, server, self.worker) {
            return Some(taken);
        }
        let mut freed = 0;
        while freed < FREED_EARLY
            && let Some(first) = self.table.first_ended()
        {
            self.finish(first);
            freed += 1;
        }
        if freed == 0 {
            return None;
        }
        self.prepared.take_port(service, server, self.worker)
    }

    /// Puts a connection into the table, and counts it.
    fn start(&mut self, connection: Connection) -> Option<u32> {
        // Of a server that was deleted and has come back there may be one left whose port was free for the new pool.
        let back = connection.flow(Direction::Out);
        let hash = self.table.hash(&back, connection.hot.kind);
        if let Some((over, _)) = self.table.find(hash, &back, connection.hot.kind) {
            self.finish(over);
        }
        let now = if connection.hot.is_active() {
            Count::Active
        } else {
            Count::Inactive
        };
        for counts in self.prepared.counts_of(&connection).into_iter().flatten() {
            counts.add(self.worker, Count::Connections, 1);
            counts.add(self.worker, now, 1);
        }
        self.table.insert(connection)
    }

    /// The number of the first segment that a server sees (RFC 9293 section 3.4.1): one that moves on with time, 4 microseconds by 4.
    fn initial_sequence(&self, towards: &Flow, now: u64) -> u32 {
        let ticks = now / (self.hz / 250_000).max(1);
        self.unforeseen(towards).wrapping_add(ticks as u32)
    }
}
