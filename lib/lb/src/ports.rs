//! Local ports and identifiers of one worker: of each local address, each kind, and each of some shares of the servers, those whose
//! remainder by the number of workers is the worker's number. One port is in use towards several servers, if those are of
//! different shares.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Kind;
use crate::counts::{Count, Counts};
use crate::hash::fixed;
use crate::prepared::number;

/// The first port that is taken: below are those that the gateway's own services have.
pub(crate) const FIRST: u16 = 1025;
/// Ports of an address towards one share of the servers, of all workers together.
pub(crate) const PORTS: u64 = 65_536 - FIRST as u64;
/// Shares of the servers.
pub(crate) const SHARES: u32 = 16;

/// The share that a server is of.
#[inline]
pub(crate) fn share(address: u128, port: u16) -> u32 {
    // The upper bits: those that were multiplied most.
    (fixed(address, u64::from(port)) >> 48) as u32 % SHARES
}

/// Ports that one local address has for connections of one kind to these servers, of all workers together.
pub fn ports_towards(servers: impl IntoIterator<Item = SocketAddr>) -> u64 {
    let mut shares = [false; SHARES as usize];
    for server in servers {
        if let Some(is_used) = shares.get_mut(share(number(server.ip()), server.port()) as usize) {
            *is_used = true;
        }
    }
    PORTS * shares.iter().filter(|is_used| **is_used).count() as u64
}

/// The worker whose a local port is, if it is one of those that are taken.
#[inline]
pub(crate) fn owner(port: u16, workers: usize) -> Option<usize> {
    (port >= FIRST && workers > 0).then(|| usize::from(port) % workers)
}

/// Ports of one address, kind and share.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) address: u128,
    pub(crate) kind: Kind,
    pub(crate) share: u32,
    /// Tells it from all that this worker ever had; 0: it has not begun.
    pub(crate) identity: u32,
    counts: Arc<Counts>,
    /// A bit for each port that is free.
    free: Vec<u64>,
    /// How many are.
    left: u32,
    used: u32,
    /// Connections that have a port and have not ended.
    live: u32,
    /// Where to look for the next one.
    cursor: usize,
    /// Number of the first bit's port, and what the next is further on.
    first: u32,
    step: u32,
}

impl Pool {
    /// For one of so many workers, which [`Pool::begin`] is to say.
    pub(crate) fn new(address: u128, kind: Kind, share: u32, counts: Arc<Counts>, workers: usize) -> Self {
        let ports = (PORTS as usize).div_ceil(workers.max(1));
        Self {
            address,
            kind,
            share,
            identity: 0,
            counts,
            free: vec![0; ports.div_ceil(64)],
            left: 0,
            used: 0,
            live: 0,
            cursor: 0,
            first: 0,
            step: 1,
        }
    }

    /// All are free. `seed` says where the first is taken.
    pub(crate) fn begin(&mut self, identity: u32, worker: usize, workers: usize, seed: u64) {
        let (worker, workers) = (worker as u32, workers.max(1) as u32);
        self.identity = identity;
        self.step = workers;
        self.first = u32::from(FIRST) + (worker + workers - u32::from(FIRST) % workers) % workers;
        self.left = (65_536_u32.saturating_sub(self.first)).div_ceil(workers);
        self.used = 0;
        self.live = 0;
        let left = self.left as usize;
        for (at, word) in self.free.iter_mut().enumerate() {
            let bits = left.saturating_sub(at * 64).min(64);
            *word = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        }
        self.cursor = (seed % self.free.len().max(1) as u64) as usize;
    }

    /// Takes over what is in use of the same pool in an earlier configuration.
    pub(crate) fn take_over(&mut self, earlier: &mut Pool) {
        self.identity = std::mem::take(&mut earlier.identity);
        std::mem::swap(&mut self.free, &mut earlier.free);
        self.left = earlier.left;
        self.used = std::mem::take(&mut earlier.used);
        self.live = std::mem::take(&mut earlier.live);
        self.cursor = earlier.cursor;
        self.first = earlier.first;
        self.step = earlier.step;
    }

    /// Takes what is in use off the counters: it is nobody's any more.
    pub(crate) fn forget(&mut self, worker: usize) {
        let (used, live) = (std::mem::take(&mut self.used), std::mem::take(&mut self.live));
        self.counts.subtract(worker, Count::PortsUsed, u64::from(used));
        self.counts.subtract(worker, Count::Active, u64::from(live));
    }

    /// A connection with one of these ports has ended. The port is still in use.
    pub(crate) fn ended(&mut self, worker: usize) {
        self.live = self.live.saturating_sub(1);
        self.counts.subtract(worker, Count::Active, 1);
    }

    /// A port that was free, for a new connection; one that has been free for long rather than one that has just become so.
    pub(crate) fn take(&mut self, worker: usize) -> Option<u16> {
        if self.left == 0 {
            return None;
        }
        for _ in 0..self.free.len() {
            match self.free.get_mut(self.cursor) {
                Some(word) if *word != 0 => {
                    let bit = word.trailing_zeros();
                    *word &= *word - 1;
                    self.left -= 1;
                    self.used += 1;
                    self.live += 1;
                    for what in [Count::PortsUsed, Count::Active, Count::Connections] {
                        self.counts.add(worker, what, 1);
                    }
                    return Some((self.first + (self.cursor as u32 * 64 + bit) * self.step) as u16);
                }
                Some(_) => self.cursor += 1,
                None => self.cursor = 0,
            }
        }
        // The cursor went past the end once.
        self.take_from_start(worker)
    }

    fn take_from_start(&mut self, worker: usize) -> Option<u16> {
        self.cursor = self.free.iter().position(|word| *word != 0)?;
        self.take(worker)
    }

    /// Gives back a port that was taken.
    pub(crate) fn give(&mut self, port: u16, worker: usize) {
        let Some(number) = u32::from(port)
            .checked_sub(self.first)
            .map(|above| above / self.step)
        else {
            return;
        };
        if let Some(word) = self.free.get_mut(number as usize / 64)
            && *word & 1 << (number % 64) == 0
        {
            *word |= 1 << (number % 64);
            self.left += 1;
            self.used -= 1;
            self.counts.subtract(worker, Count::PortsUsed, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn pool(worker: usize, workers: usize) -> Pool {
        let mut pool = Pool::new(1, Kind::Tcp, 0, Arc::new(Counts::new(workers)), workers);
        pool.begin(1, worker, workers, 123_456_789);
        pool
    }

    #[test]
    fn an_address_has_its_ports_once_for_each_share_of_the_servers() {
        let server = |last: u16| SocketAddr::from(([10, 0, (last >> 8) as u8, last as u8], 80));
        assert_eq!(ports_towards([]), 0);
        assert_eq!(ports_towards([server(1), server(1)]), PORTS);
        assert_eq!(ports_towards((0..1000).map(server)), PORTS * u64::from(SHARES));
    }

    #[test]
    fn workers_share_all_ports_out_among_them_by_the_remainder() {
        for workers in [1, 2, 3, 4, 7, 64] {
            let mut all = HashSet::new();
            for worker in 0..workers {
                let mut pool = pool(worker, workers);
                while let Some(port) = pool.take(worker) {
                    assert_eq!(owner(port, workers), Some(worker));
                    assert!(all.insert(port), "{port} was taken twice");
                }
            }
            assert_eq!(all.len() as u64, PORTS);
            assert!(all.iter().all(|port| *port >= FIRST));
        }
        assert_eq!(owner(1024, 2), None);
    }

    #[test]
    fn port_that_was_given_back_is_taken_last() {
        let mut pool = pool(0, 1);
        let first = pool.take(0).unwrap();
        for _ in 0..200 {
            pool.take(0);
        }
        pool.give(first, 0);
        let later: Vec<_> = (0..60_000).filter_map(|_| pool.take(0)).collect();
        assert!(!later.contains(&first));
    }

    proptest! {
        #[test]
        fn what_is_free_is_what_was_not_taken(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..2000)) {
            let mut pool = pool(1, 40);
            let mut taken: Vec<u16> = Vec::new();
            for (take, which) in steps {
                if take || taken.is_empty() {
                    if let Some(port) = pool.take(0) {
                        prop_assert!(!taken.contains(&port));
                        taken.push(port);
                    } else {
                        prop_assert_eq!(taken.len() as u64, PORTS.div_ceil(40));
                    }
                } else {
                    pool.give(taken.swap_remove(which.index(taken.len())), 0);
                }
                prop_assert_eq!(pool.used as usize, taken.len());
                prop_assert_eq!(pool.counts.sum(Count::PortsUsed), taken.len() as u64);
            }
        }
    }
}
