//! What went through a service, a server or a local address: cells that each worker adds to on a cache line of its own, and anyone
//! may sum.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::verdict::Refused;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// Connections that began.
    Connections,
    /// Packets of clients that went to a server.
    InPackets,
    /// Packets of servers that went to a client.
    OutPackets,
    /// Bytes of the IP packets of clients, as they came.
    InBytes,
    /// Bytes of the IP packets of servers, as they came.
    OutBytes,
    /// Established connections of TCP and those of other kinds, now; of a [`crate::Local`] all.
    Active,
    /// Other connections of TCP, now.
    Inactive,
    /// Local ports and identifiers in use, now; of a [`crate::Local`] only.
    PortsUsed,
    /// Times that no port was free where one was wanted; of a [`crate::Local`] only.
    Misses,
    /// ICMP errors about packets of a server that went to it.
    ErrorsIn,
    /// ICMP errors about packets of a client that went to it.
    ErrorsOut,
}

impl Count {
    /// All of them.
    pub const ALL: [Count; 11] = [
        Count::Connections,
        Count::InPackets,
        Count::OutPackets,
        Count::InBytes,
        Count::OutBytes,
        Count::Active,
        Count::Inactive,
        Count::PortsUsed,
        Count::Misses,
        Count::ErrorsIn,
        Count::ErrorsOut,
    ];
}

const COUNTS: usize = Count::ALL.len();
const CELLS: usize = COUNTS + Refused::ALL.len();

/// One worker's cells: no other writes them.
#[derive(Debug)]
#[repr(align(64))]
struct Row([AtomicU64; CELLS]);

impl Default for Row {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CELLS])
    }
}

/// Counters of one service, server or local address, by worker. They are never set back: who wants to begin at zero remembers what to
/// subtract.
#[derive(Debug)]
pub struct Counts {
    rows: Box<[Row]>,
}

impl Counts {
    /// All zero, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            rows: (0..workers).map(|_| Row::default()).collect(),
        }
    }

    /// Adds to the cell of `worker`, the only one who does. A worker that there is not counts nothing.
    #[inline]
    pub fn add(&self, worker: usize, what: Count, more: u64) {
        self.change(worker, what as usize, more);
    }

    /// Subtracts from the cell of `worker`: of what is counted as it is now.
    #[inline]
    pub fn subtract(&self, worker: usize, what: Count, less: u64) {
        self.change(worker, what as usize, less.wrapping_neg());
    }

    /// Counts a packet dropped by `worker`.
    #[inline]
    pub fn refused(&self, worker: usize, reason: Refused) {
        self.change(worker, COUNTS + reason as usize, 1);
    }

    /// Of all workers together.
    pub fn sum(&self, what: Count) -> u64 {
        self.total(what as usize)
    }

    /// Packets dropped for `reason`, by all workers together.
    pub fn drops(&self, reason: Refused) -> u64 {
        self.total(COUNTS + reason as usize)
    }

    /// Of one worker.
    #[inline]
    pub fn of(&self, worker: usize, what: Count) -> u64 {
        self.rows
            .get(worker)
            .and_then(|row| row.0.get(what as usize))
            .map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    #[inline]
    fn change(&self, worker: usize, cell: usize, more: u64) {
        if let Some(cell) = self.rows.get(worker).and_then(|row| row.0.get(cell)) {
            // One writer: a load and a store, which cost no bus lock.
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        }
    }

    fn total(&self, cell: usize) -> u64 {
        let cells = self.rows.iter().filter_map(|row| row.0.get(cell));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }
}
