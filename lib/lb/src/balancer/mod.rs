//! One worker's load balancer: what it is set to, and its connections.
//!
//! ```text
//!   configure ◄─ Prepared ─► looked at by        look ─► (warm) ─► judge ─┬─ judge.rs    packets of connections, errors
//!                                                                         ├─ begin.rs    packets of none: new ones
//!                                                                         └─ icmp.rs     what is counted of ICMP
//!                                                glance ─► seek ─► carry_usual: usual.rs, what most packets are
//!   age ─► life.rs: ends, and what of it counts                            rows ─► rows.rs
//! ```

mod begin;
mod icmp;
mod judge;
mod life;
mod rows;
mod usual;

use std::sync::Arc;

use crate::config::{Config, Fragments, Kind, Policy};
use crate::hash::fixed;
use crate::icmp::IcmpCounts;
use crate::prepared::Prepared;
use crate::table::{Table, Ways};
use crate::view::{Flow, View, What, look_start};

use usual::Uncounted;
pub use usual::{Carried, Destination, Glance};

/// What [`Balancer::look`] saw of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    view: View,
    hash: u64,
    is_ours: bool,
}

impl Look {
    /// Whether [`Balancer::judge`] is to be asked: otherwise it would say [`crate::Verdict::NotOurs`].
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// The same of a frame that has so many bytes in all, no padding among them: they are counted, wherever they are.
    #[must_use]
    pub fn of_length(mut self, bytes: usize) -> Self {
        self.view.end = u16::try_from(bytes).unwrap_or(u16::MAX);
        self
    }

    /// What the frame is; [`View::OTHER`] where [`Look::is_ours`] is not so.
    #[inline]
    pub fn view(&self) -> &View {
        &self.view
    }
}

/// One worker's load balancer.
#[derive(Debug)]
pub struct Balancer {
    worker: usize,
    workers: usize,
    hz: u64,
    secret: u64,
    prepared: Prepared,
    policy: Policy,
    /// Number of the configuration: connections of an earlier one look up anew what they belong to.
    epoch: u32,
    /// The next pool's identity.
    pool_identity: u32,
    /// Where the sweep after a change of the configuration is; at the table's end, when there is none.
    swept: u32,
    table: Table,
    icmp: IcmpCounts,
    /// Ways by which packets came.
    ways: Ways,
    uncounted: Uncounted,
}

impl Balancer {
    /// Worker number `worker` of `workers`, with room for `connections`: all memory is taken here. `hz` is how many of the units that
    /// `now` has are a second (cycles of the clock, the same everywhere below); nobody outside is to know `secret`.
    pub fn new(worker: usize, workers: usize, connections: usize, hz: u64, now: u64, secret: u64) -> Self {
        Self {
            worker,
            workers: workers.max(1),
            hz: hz.max(1),
            secret,
            prepared: Prepared::new(Arc::new(Config::default()), workers),
            policy: Policy::default(),
            epoch: 0,
            pool_identity: 1,
            swept: u32::MAX,
            table: Table::new(connections, hz.max(1), now, secret),
            icmp: IcmpCounts::default(),
            ways: Ways::NONE,
            uncounted: Uncounted::NONE,
        }
    }

    /// Bytes that [`Balancer::new`] takes for so many connections.
    pub fn bytes_for(connections: usize) -> usize {
        Table::bytes_for(connections)
    }

    /// Shows `each` where the large pieces of its memory are, and how many bytes each has: for whoever knows of better pages.
    pub fn memory(&self, each: impl FnMut(*const u8, usize)) {
        self.table.memory(each);
    }

    /// Goes by `prepared` from now on, and gives back what it went by before, to be freed where that may take its time. Connections
    /// keep their servers; those whose service, server or local address is gone end, within some rounds of [`Balancer::age`].
    pub fn configure(&mut self, mut prepared: Prepared) -> Prepared {
        let seed = self.secret ^ u64::from(self.epoch);
        self.pool_identity = prepared.take_over(
            &mut self.prepared,
            self.worker,
            self.workers,
            seed,
            self.pool_identity,
        );
        self.policy = prepared.config().policy;
        self.epoch = self.epoch.wrapping_add(1);
        self.swept = 0;
        std::mem::replace(&mut self.prepared, prepared)
    }

    /// No service, and no connection left of earlier ones: packets need not be looked at.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.prepared.services.is_empty() && self.table.used() == 0
    }

    /// Connections that there are, those that have ended and are kept for errors among them.
    #[inline]
    pub fn connections(&self) -> usize {
        self.table.used()
    }

    /// Looks at a frame that is all in `frame`, and has `prefetch` fetch where its connection is looked for.
    #[inline]
    pub fn look(&self, frame: &[u8], prefetch: impl Fn(*const u8)) -> Look {
        self.look_start(frame, 0, prefetch)
    }

    /// As [`Balancer::look`] where `behind` more bytes of the frame are elsewhere, none of them of a header.
    #[inline]
    pub fn look_start(&self, frame: &[u8], behind: usize, prefetch: impl Fn(*const u8)) -> Look {
        let other = Look {
            view: View::OTHER,
            hash: 0,
            is_ours: false,
        };
        // Most packets of a gateway are none of its load balancer's: where they go is enough to tell.
        let destination = untagged_destination(frame);
        let is_known = |destination| self.prepared.role(destination).is_some();
        if destination.is_some_and(|destination| !is_known(destination)) {
            return other;
        }
        let view = look_start(frame, behind);
        let is_ours = destination.is_some() || is_known(view.flow.destination);
        if matches!(view.what, What::Other) || !is_ours {
            return other;
        }
        let hash = searched(&view).map_or(0, |(flow, kind)| self.table.hash(&flow, kind));
        if hash != 0 {
            self.table.prefetch(hash, prefetch);
        }
        Look {
            view,
            hash,
            is_ours: true,
        }
    }

    /// Has `prefetch` fetch the connection, if there seems to be one. For all of a burst after all were looked at.
    #[inline]
    pub fn warm(&self, look: &Look, prefetch: impl Fn(*const u8)) {
        if look.hash != 0 {
            self.table.warm(look.hash, look.view.six, prefetch);
        }
    }

    /// Whether fragments are put together. If so, whole packets made of them are to be judged as any.
    pub fn joins_fragments(&self) -> bool {
        self.policy.fragments == Fragments::Join
    }

    /// Whether [`Balancer::judge`] would begin a connection with a packet, or refuse it as one of none: it is for a service, and of no
    /// connection of this worker. Fragments do not say which worker has their connection, as ports do: so the others can be asked before.
    pub fn would_begin(&self, look: &Look) -> bool {
        let Some((flow, kind)) = searched(&look.view) else {
            return false;
        };
        let port = match look.view.what {
            What::Segment { .. } | What::Datagram => flow.destination_port,
            What::Query { .. } => 0,
            _ => return false,
        };
        self.table.find(look.hash, &flow, kind).is_none()
            && self.prepared.service_at(flow.destination, port, kind).is_some()
    }

    /// Cycles in so many seconds.
    #[inline]
    fn cycles(&self, seconds: u32) -> u64 {
        self.hz.wrapping_mul(u64::from(seconds))
    }

    /// A number that nobody outside can tell, for a flow.
    fn unforeseen(&self, flow: &Flow) -> u32 {
        let ports = u64::from(flow.source_port) << 16 | u64::from(flow.destination_port);
        (fixed(
            flow.source,
            fixed(flow.destination, ports ^ self.secret) ^ self.secret.rotate_left(32),
        ) >> 16) as u32
    }
}

/// Where a frame without tags goes; `None`: it has tags, or is no IP packet.
#[inline]
fn untagged_destination(frame: &[u8]) -> Option<u128> {
    match frame.first_chunk::<34>()? {
        &[
            ..,
            0x08,
            0x00,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            a,
            b,
            c,
            d,
        ] => Some(crate::view::mapped([a, b, c, d].into())),
        [
            ..,
            0x86,
            0xdd,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] => {
            let (_, bytes) = frame.split_at_checked(38)?;
            bytes.first_chunk().map(|bytes| u128::from_be_bytes(*bytes))
        }
        _ => None,
    }
}

/// The flow by which the connection of a packet is looked for.
#[inline]
fn searched(view: &View) -> Option<(Flow, Kind)> {
    match view.what {
        What::Segment { .. } => Some((view.flow, Kind::Tcp)),
        What::Datagram => Some((view.flow, Kind::Udp)),
        What::Query { .. } | What::Reply { .. } => Some((view.flow, Kind::Icmp)),
        What::Error(quoted) => Some((quoted.flow.reversed(), quoted.kind)),
        What::Fragment | What::Other | What::Bad(_) => None,
    }
}
