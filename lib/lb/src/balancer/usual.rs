//! The usual packet of a connection that is there, which changes nothing of it but its counts and when it ends: what [`Balancer::look`]
//! and [`Balancer::judge`] do, for a burst of such packets with few branches and little memory. Whatever is not usual in the least is left
//! to those two, so what comes out is the same either way.
//!
//! ```text
//!   glance, all ─► seek, all ─► carry_usual, one by one ─┬─► translated
//!                                                        └─► nothing done: look, judge
//! ```

use packet::tcp::TcpFlags;

use super::Balancer;
use crate::config::Kind;
use crate::counts::Count;
use crate::rewrite::{to_client, to_server};
use crate::table::{Direction, came_by};
use crate::verdict::{Path, State};
use crate::view::{Usual, mapped, usual, usual_destination};

/// What [`Balancer::glance`] saw of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Glance(Option<Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    usual: Usual,
    hash: u64,
    /// What the table knows its connection by.
    sought: u32,
}

/// No connection.
const NONE: u32 = u32::MAX;

impl Glance {
    /// Of a frame that nobody has looked at.
    pub const NONE: Glance = Glance(None);

    /// Whether [`Balancer::judge`] is to be asked, as [`super::Look::is_ours`].
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.0.is_some()
    }
}

/// A packet that [`Balancer::carry_usual`] has translated: whole, its TTL above 1 and its header checksum right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where it goes now.
    pub destination: u32,
    /// The way by which it leaves, where one is known, as [`crate::Verdict::Forward`] says.
    pub path: Option<Path>,
}

/// Where the last packet went, and whether that is the load balancer's: those of a burst mostly go to few addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Destination(Option<(u32, bool)>);

/// Packets that are counted together: those of a burst mostly are for one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uncounted {
    service: u32,
    direction: Direction,
    packets: u64,
    bytes: u64,
}

impl Uncounted {
    pub(super) const NONE: Uncounted = Uncounted {
        service: 0,
        direction: Direction::In,
        packets: 0,
        bytes: 0,
    };
}

/// What counts the packets of a direction, and what their bytes.
#[inline]
pub(super) fn counted(direction: Direction) -> (Count, Count) {
    match direction {
        Direction::In => (Count::InPackets, Count::InBytes),
        Direction::Out => (Count::OutPackets, Count::OutBytes),
    }
}

impl Balancer {
    /// Glances at a frame that is all in `frame`, and has `prefetch` fetch where its connection is looked for. `None`: it is not a usual
    /// one, [`Balancer::look`] says what it is. `last` is what the last call with the same configuration left there.
    #[inline(always)]
    pub fn glance(
        &self,
        frame: &[u8],
        last: &mut Destination,
        prefetch: impl Fn(*const u8),
    ) -> Option<Glance> {
        let destination = usual_destination(frame)?;
        let is_ours = match last.0 {
            Some((same, is_ours)) if same == destination => is_ours,
            _ => self.learn_destination(destination, last),
        };
        if !is_ours {
            return Some(Glance::NONE);
        }
        let usual = usual(frame)?;
        let Usual {
            source, ports, kind, ..
        } = usual;
        let hash = self.table.hash4(source, destination, ports, kind);
        self.table.prefetch(hash, prefetch);
        Some(Glance(Some(Seen {
            usual,
            hash,
            sought: NONE,
        })))
    }

    #[inline(never)]
    fn learn_destination(&self, destination: u32, last: &mut Destination) -> bool {
        let is_ours = self.prepared.role(mapped(destination.into())).is_some();
        last.0 = Some((destination, is_ours));
        is_ours
    }

    /// Looks for the connection of a packet, and has `prefetch` fetch it. For all of a burst after all were glanced at.
    #[inline(always)]
    pub fn seek(&self, glance: &mut Glance, prefetch: impl Fn(*const u8)) {
        if let Some(seen) = &mut glance.0 {
            seen.sought = self.table.seek(seen.hash, prefetch).unwrap_or(NONE);
        }
    }

    /// Translates a frame that came by the interface `ingress`, if its connection was found and it is a usual packet of it. `None`: nothing is done, and [`Balancer::judge`] is
    /// to be asked. It must be as it was when it was glanced at. Counts of services are behind until [`Balancer::count`].
    #[inline(always)]
    pub fn carry_usual(
        &mut self,
        glance: &Glance,
        frame: &mut [u8],
        ingress: u16,
        now: u64,
    ) -> Option<Carried> {
        let seen = glance.0.as_ref()?;
        let usual = &seen.usual;
        let (mut connection, direction) = self.table.sought(seen.sought)?;
        // It may have become another's since it was sought, or none. What it belongs to is in the tables if it goes by them.
        if connection.hot.epoch != self.epoch {
            return None;
        }
        let service = self.prepared.service(connection.hot.belongs.service)?;
        let server = self.prepared.server(connection.hot.belongs.server)?;
        let ends = connection.hot.usual_ends(
            usual.kind,
            (service.address as u32, service.port),
            (server.address as u32, server.port),
        )?;
        let (from, to, ports) = match direction {
            Direction::In => (ends.client, ends.service, (ends.client_port, ends.service_port)),
            Direction::Out => (ends.server, ends.local, (ends.server_port, ends.local_port)),
        };
        let ports = u32::from(ports.0) << 16 | u32::from(ports.1);
        let is_its =
            (from as u32 ^ usual.source) | (to as u32 ^ usual.destination) | (ports ^ usual.ports) == 0;
        let state = if usual.kind == Kind::Udp {
            State::Normal
        } else {
            State::Established
        };
        // What may change the state, or what the segment gets.
        let marks = TcpFlags::SYN.and(TcpFlags::FIN).and(TcpFlags::RST);
        let keeps = connection.hot.state == state
            && usual.flags.0 & marks.0 == 0
            && !(service.toa && usual.kind == Kind::Tcp);
        if !(is_its && keeps) {
            return None;
        }
        let way = self.ways.of(frame, ingress);
        let sequence = connection.hot.sequence;
        let is_done = match direction {
            Direction::In => to_server(frame, &usual.view(), &ends, &sequence),
            Direction::Out => to_client(frame, &usual.view(), &ends, &sequence),
        };
        if !is_done {
            return None;
        }
        let seconds = service.timeouts.get(state as usize).copied().unwrap_or(0);
        connection.hot.deadline = now.wrapping_add(self.hz.wrapping_mul(u64::from(seconds)));
        connection.count(direction, usual.bytes);
        if !connection.hot.has_come(direction, way)
            && let Some(came) = came_by(frame, ingress)
        {
            connection.came(direction, way, came);
        }
        let path = connection.path(direction, &self.ways);
        let bytes = u64::from(usual.bytes);
        let (packets, bytes_of) = counted(direction);
        server.counts.add(self.worker, packets, 1);
        server.counts.add(self.worker, bytes_of, bytes);
        let belongs = connection.hot.belongs.service;
        if (self.uncounted.service, self.uncounted.direction) != (belongs, direction) {
            self.count();
            self.uncounted = Uncounted {
                service: belongs,
                direction,
                ..Uncounted::NONE
            };
        }
        self.uncounted.packets += 1;
        self.uncounted.bytes += bytes;
        let destination = match direction {
            Direction::In => ends.server,
            Direction::Out => ends.client,
        };
        Some(Carried {
            destination: destination as u32,
            path,
        })
    }

    /// Counts what was carried since the last call, before anything else is done with the balancer than carrying.
    #[inline(never)]
    pub fn count(&mut self) {
        let Uncounted {
            service,
            direction,
            packets,
            bytes,
        } = std::mem::replace(&mut self.uncounted, Uncounted::NONE);
        if packets == 0 {
            return;
        }
        if let Some(service) = self.prepared.service(service) {
            let (packets_of, bytes_of) = counted(direction);
            service.counts.add(self.worker, packets_of, packets);
            service.counts.add(self.worker, bytes_of, bytes);
        }
    }
}
