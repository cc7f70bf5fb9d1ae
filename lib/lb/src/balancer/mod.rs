//! One worker's load balancer: what it is set to, and its connections.

use std::sync::Arc;

use crate::config::Config;
use crate::prepared::Prepared;
use crate::verdict::{Buffer, Row, Verdict};

/// What [`Balancer::look`] saw of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    ours: bool,
}

impl Look {
    /// Whether [`Balancer::judge`] is to be asked: otherwise it would say [`Verdict::NotOurs`].
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.ours
    }
}

/// One worker's load balancer.
#[derive(Debug)]
pub struct Balancer {
    prepared: Prepared,
}

impl Balancer {
    /// Worker number `worker` of `workers`, with room for `connections`: all memory is taken here. `hz` is how many of the units that
    /// `now` has are a second (cycles of the clock, the same everywhere below); nobody outside is to know `secret`.
    pub fn new(
        _worker: usize,
        workers: usize,
        _connections: usize,
        _hz: u64,
        _now: u64,
        _secret: u64,
    ) -> Self {
        Self {
            prepared: Prepared::new(Arc::new(Config::default()), workers),
        }
    }

    /// Bytes that [`Balancer::new`] takes for so many connections.
    pub fn bytes_for(connections: usize) -> usize {
        connections * 256
    }

    /// Goes by `prepared` from now on, and gives back what it went by before, to be freed where that may take its time. Connections
    /// keep their servers; those whose service, server or local address is gone end.
    pub fn configure(&mut self, prepared: Prepared) -> Prepared {
        std::mem::replace(&mut self.prepared, prepared)
    }

    /// No service, and no connection left of earlier ones: packets need not be looked at.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.prepared.config().services.is_empty()
    }

    /// Connections that there are.
    pub fn connections(&self) -> usize {
        0
    }

    /// Looks at a frame, and has `prefetch` fetch where its connection is looked for. Not to be judged before it has been looked at
    /// with the present configuration.
    #[inline]
    pub fn look(&self, _frame: &[u8], _prefetch: impl Fn(*const u8)) -> Look {
        Look { ours: false }
    }

    /// Has `prefetch` fetch the connection, if there seems to be one. For all of a burst after all were looked at.
    #[inline]
    pub fn warm(&self, _look: &Look, _prefetch: impl Fn(*const u8)) {}

    /// Says what is to become of a frame that came by the interface `ingress`, and translates it in place.
    #[inline]
    pub fn judge<B: Buffer>(&mut self, _look: &Look, _frame: &mut B, _ingress: u16, _now: u64) -> Verdict {
        Verdict::NotOurs
    }

    /// Does a bounded piece of what is due: ends connections and frees their ports. For each round; gives how many ended.
    #[inline]
    pub fn age(&mut self, _now: u64) -> usize {
        0
    }

    /// Copies at most `most` connections from `cursor` on (0 at first), and moves it on; `true`: there are no more.
    pub fn rows(&self, _cursor: &mut u32, _into: &mut Vec<Row>, _most: usize, _now: u64) -> bool {
        true
    }
}
