//! Connections of the load balancer for tools: asked of all workers part by part, each while it does its work, and written into memory
//! that the tool gets in the end.
//!
//! ```text
//!   tool ─ ConnectionShow ─► Collecting ─ a Part ─► worker     one per worker at a time, whoever asked
//!   tool ─ ConnectionResult      ▲                    │
//!     │                          └──── full Part ◄────┘        those that fit the filter are written down
//!     └─ "coming", and in the end the descriptor of all that was written
//! ```

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;

use control::connections::Writer;
use control::message::{
    Answer, ConnectionFilter, ConnectionInfo, ControlError, ErrorCode, Reply, ServiceProtocol,
};
use control::server::{Peer, Response};
use lb::{Kind, Row};

use super::Control;
use crate::balancer::{BalancerControl, Part};

/// Connections that tools have asked for.
#[derive(Default)]
pub struct Connections {
    asked: Vec<Collecting>,
    /// For which of them each worker has a part.
    serves: Vec<Option<u64>>,
    next_number: u64,
}

/// What one tool has asked for.
struct Collecting {
    number: u64,
    connection: u64,
    filter: Filter,
    /// By worker: the part to ask it for next, unless it has that, or all of them were had.
    parts: Vec<Option<Part>>,
    /// Workers that have more.
    left: usize,
    /// Parts that workers were asked for.
    turns: u64,
    writer: Option<Writer>,
    outcome: Option<Result<(u32, OwnedFd), ControlError>>,
}

/// What fits.
struct Filter(ConnectionFilter);

impl Filter {
    /// Fails if no connection can be in the state that is asked for.
    fn new(filter: ConnectionFilter) -> Result<Self, ControlError> {
        if let Some(state) = &filter.state {
            let mut names = lb::State::ALL.iter().map(|state| state.name());
            if names.all(|name| name != state) {
                let names: Vec<_> = lb::State::ALL.iter().map(|state| state.name()).collect();
                let sentence = format!(
                    "'{state}' is no state of a connection: use one of {}",
                    names.join(", ")
                );
                return Err(ControlError::new(ErrorCode::Invalid, sentence));
            }
        }
        Ok(Self(filter))
    }

    fn fits(&self, row: &Row) -> bool {
        let filter = &self.0;
        let within =
            |prefix: &Option<ipnet::IpNet>, address| prefix.is_none_or(|prefix| prefix.contains(&address));
        filter.protocol.is_none_or(|wanted| wanted == protocol(row))
            && within(&filter.client, row.client.ip())
            && filter.service.is_none_or(|address| address == row.service.ip())
            && filter.service_port.is_none_or(|port| port == row.service.port())
            && within(&filter.server, row.server.ip())
            && filter
                .state
                .as_ref()
                .is_none_or(|state| state == row.state.name())
    }

    fn limit(&self) -> u32 {
        self.0.limit.unwrap_or(u32::MAX)
    }
}

fn protocol(row: &Row) -> ServiceProtocol {
    match (row.kind, row.service.is_ipv4()) {
        (Kind::Tcp, _) => ServiceProtocol::Tcp,
        (Kind::Udp, _) => ServiceProtocol::Udp,
        (Kind::Icmp, true) => ServiceProtocol::Icmp,
        (Kind::Icmp, false) => ServiceProtocol::Icmpv6,
    }
}

fn info(worker: usize, row: &Row) -> ConnectionInfo {
    ConnectionInfo {
        worker: worker as u16,
        protocol: protocol(row),
        icmp_type: row.query_type,
        client: row.client,
        service: row.service,
        local: row.local,
        server: row.server,
        state: row.state.name().to_owned(),
        expires_ms: row.expires_ms,
        in_packets: row.in_packets,
        in_bytes: row.in_bytes,
        out_packets: row.out_packets,
        out_bytes: row.out_bytes,
    }
}

impl Collecting {
    /// Writes down what fits of a worker's part.
    fn write(&mut self, worker: usize, rows: &[Row]) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        for row in rows.iter().filter(|row| self.filter.fits(row)) {
            if writer.count() >= self.filter.limit() {
                break;
            }
            writer.push(&info(worker, row))?;
        }
        Ok(())
    }

    /// Takes a part that a worker has filled.
    fn take(&mut self, worker: usize, part: Part) {
        if self.outcome.is_some() {
            return;
        }
        let written = self.write(worker, &part.rows);
        if part.is_last {
            self.left = self.left.saturating_sub(1);
        } else if let Some(place) = self.parts.get_mut(worker) {
            *place = Some(part.next());
        }
        let is_full = self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.count() >= self.filter.limit());
        if written.is_err() || is_full || self.left == 0 {
            self.finish(written);
        }
    }

    fn finish(&mut self, written: io::Result<()>) {
        self.parts.clear();
        let Some(writer) = self.writer.take() else {
            return;
        };
        let count = writer.count();
        let finished = written.and_then(|()| writer.finish());
        let failed = |error| {
            let sentence =
                format!("connections cannot be written down: {error}; ask for fewer, or free memory");
            ControlError::new(ErrorCode::Failed, sentence)
        };
        self.outcome = Some(finished.map(|descriptor| (count, descriptor)).map_err(failed));
    }
}

impl Connections {
    /// Begins for a tool, in the place of what it asked for before.
    fn begin(
        &mut self,
        connection: u64,
        filter: ConnectionFilter,
        workers: usize,
    ) -> Result<(), ControlError> {
        let filter = Filter::new(filter)?;
        let failed = |error: io::Error| {
            let sentence = format!("no memory can be had for connections ({error}): try again");
            ControlError::new(ErrorCode::Failed, sentence)
        };
        let writer = Writer::new().map_err(failed)?;
        self.closed(&[connection]);
        let number = self.next_number;
        self.next_number += 1;
        self.serves.resize(workers, None);
        let mut new = Collecting {
            number,
            connection,
            parts: (0..workers).map(|_| Some(Part::first())).collect(),
            left: workers,
            turns: 0,
            writer: Some(writer),
            outcome: None,
            filter,
        };
        if new.filter.limit() == 0 {
            new.finish(Ok(()));
        }
        self.asked.push(new);
        Ok(())
    }

    /// Forgets what tools have asked for whose connections have closed. What workers have of it is freed when they give it back.
    pub(super) fn closed(&mut self, connections: &[u64]) {
        self.asked
            .retain(|asked| !connections.contains(&asked.connection));
    }

    /// What came of it, if it is done.
    fn result(&mut self, connection: u64) -> Response {
        let Some(place) = self.asked.iter().position(|asked| asked.connection == connection) else {
            let sentence = "this connection has asked for no connections: ask for them first";
            return Err(ControlError::new(ErrorCode::NotFound, sentence)).into();
        };
        if self.asked.get(place).is_none_or(|asked| asked.outcome.is_none()) {
            return Ok::<_, ControlError>(Reply::ConnectionsComing).into();
        }
        match self.asked.swap_remove(place).outcome {
            Some(Ok((count, descriptor))) => Response {
                answer: Ok(Reply::Connections(count)),
                descriptors: vec![descriptor],
            },
            Some(Err(error)) => Err(error).into(),
            None => Ok::<_, ControlError>(Reply::ConnectionsComing).into(),
        }
    }

    /// Takes what workers have filled, and gives them the next to fill. Gives whether there was anything to take.
    fn collect(&mut self, workers: &mut [BalancerControl]) -> bool {
        let mut some = false;
        for (index, worker) in workers.iter_mut().enumerate() {
            if let Some(part) = worker.take() {
                some = true;
                let number = self.serves.get_mut(index).and_then(Option::take);
                let asked = self.asked.iter_mut().find(|asked| Some(asked.number) == number);
                if let Some(asked) = asked {
                    asked.take(index, part);
                }
            }
            let Some(serves) = self.serves.get_mut(index).filter(|serves| serves.is_none()) else {
                continue;
            };
            let waits = |asked: &&mut Collecting| matches!(asked.parts.get(index), Some(Some(_)));
            // The one that has been served least, so that a tool with a small question does not wait for a great one.
            let next = self
                .asked
                .iter_mut()
                .filter(waits)
                .min_by_key(|asked| asked.turns);
            let Some(next) = next else { continue };
            let Some(part) = next.parts.get_mut(index).and_then(Option::take) else {
                continue;
            };
            match worker.ask(part) {
                Ok(()) => {
                    next.turns += 1;
                    *serves = Some(next.number);
                }
                Err(part) => {
                    if let Some(place) = next.parts.get_mut(index) {
                        *place = Some(part);
                    }
                }
            }
        }
        some
    }
}

impl Control<'_> {
    pub(super) fn show_connections(&mut self, peer: &Peer, filter: ConnectionFilter) -> Answer {
        self.connections
            .begin(peer.connection, filter, self.balancers.len())?;
        self.collect_connections();
        Ok(Reply::ConnectionsComing)
    }

    pub(super) fn connections_result(&mut self, peer: &Peer) -> Response {
        self.connections.result(peer.connection)
    }

    /// Goes on with what tools have asked for. Workers ring when they have filled a part, so nothing is lost by sleeping.
    pub(super) fn collect_connections(&mut self) -> bool {
        self.connections.collect(&mut self.balancers)
    }
}
