//! Changes.
//!
//! A prefix of length L owns the entries of its range whose depth is L; inserting it overwrites those with depth up to
//! L, removing it gives those of depth L to the prefix that covers it. Longer prefixes keep theirs. An address's entry
//! changes by one store, so that a reader finds the old answer or the new one:
//!
//! ```text
//!   first prefix beyond /16      fill a free lone prefix with the old answer and the new ──► publish it in the root
//!   second one in the /16        fill the next chunk with both and the old answer ──► publish it in the root
//!   lone one goes                publish the answer beyond it in the root ──► retire it
//!   first prefix beyond /24      fill a free group with the old answers and the new ──► publish it in the chunk
//!   more of them                 store entry by entry in the group
//!   last one goes                publish the common answer in the chunk ──► retire the group
//! ```

use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::change::Change;
use crate::entry::{Entry, NextHop};
use crate::places::Places;
use crate::quiescence::Quiescence;
use crate::reader::Fib4Reader;
use crate::rib::Rib;
use crate::tables::{Storage, Tables};

/// Why the FIB could not be made or a route not be inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FibError {
    /// tbl24 does not have 2^16 + 2^18 + 2^24 entries.
    #[error("tbl24 has {got} entries; give it 17104896")]
    Tbl24Length {
        /// Entries given.
        got: usize,
    },
    /// tbl8 is not made of whole groups, or has more of them than an entry can name.
    #[error("tbl8 has {got} entries; give it a multiple of 256, at most 2^33")]
    Tbl8Length {
        /// Entries given.
        got: usize,
    },
    /// The prefix has bits beyond its length.
    #[error("{prefix} has host bits set; did you mean {}?", prefix.trunc())]
    HostBits {
        /// The prefix given.
        prefix: Ipv4Net,
    },
    /// There are as many routes as there may be.
    #[error("there are {limit} routes already, which is the limit; raise `routes4` in [limits]")]
    RouteLimit {
        /// The limit.
        limit: usize,
    },
    /// A prefix longer than 24 bits needs a tbl8 group, and none is free.
    #[error(
        "none of the {groups} tbl8 groups is free for a prefix longer than 24 bits; \
         try again once the {retired} retired ones are reclaimed, or give the FIB more of them"
    )]
    Tbl8Exhausted {
        /// Groups that there are.
        groups: usize,
        /// Groups that wait for [`Fib4Writer::reclaim`].
        retired: usize,
    },
}

/// The routes and the one who changes them.
pub struct Fib4Writer<T> {
    tables: Arc<Tables<T>>,
    rib: Rib,
    limit: usize,
    places: Places,
}

impl<T: Storage> Fib4Writer<T> {
    /// An empty FIB in `tbl24` of [`TBL24_ENTRIES`](crate::TBL24_ENTRIES) and `tbl8` of a multiple of
    /// [`GROUP_ENTRIES`](crate::GROUP_ENTRIES) entries, for at most `limit` routes. What the memory held is cleared.
    pub fn new(tbl24: T, tbl8: T, limit: usize) -> Result<Fib4Writer<T>, FibError> {
        let tables = Arc::new(Tables::new(tbl24, tbl8)?);
        let places = Places::new(tables.groups());
        Ok(Fib4Writer {
            tables,
            rib: Rib::new(),
            limit,
            places,
        })
    }

    /// A reader of this FIB.
    pub fn reader(&self) -> Fib4Reader<T> {
        Fib4Reader::new(Arc::clone(&self.tables))
    }

    /// Sets the next hop of `prefix`; gives the one it had before.
    ///
    /// # Errors
    ///
    /// [`HostBits`](FibError::HostBits), [`RouteLimit`](FibError::RouteLimit) or
    /// [`Tbl8Exhausted`](FibError::Tbl8Exhausted): see there. Nothing has changed then.
    pub fn insert(&mut self, prefix: Ipv4Net, next_hop: NextHop) -> Result<Option<NextHop>, FibError> {
        if prefix.trunc() != prefix {
            return Err(FibError::HostBits { prefix });
        }
        let previous = self.rib.get(prefix);
        if previous.is_none() && self.rib.len() >= self.limit {
            return Err(FibError::RouteLimit { limit: self.limit });
        }
        let view = self.tables.view()?;
        let change = Change::of(
            prefix,
            |depth, length| depth <= length,
            Entry::route(prefix.prefix_len(), next_hop),
        );
        if prefix.prefix_len() <= 16 {
            change.in_root(&view);
            return Ok(self.rib.insert(prefix, next_hop));
        }
        for slot in view.root_slots(change.first, change.last) {
            self.places.insert(&view, slot, &change, previous.is_none())?;
        }
        Ok(self.rib.insert(prefix, next_hop))
    }

    /// Removes `prefix`; gives the next hop it had, `None` if there was no such route.
    pub fn remove(&mut self, prefix: Ipv4Net) -> Option<NextHop> {
        let next_hop = self.rib.remove(prefix)?;
        let view = self.tables.view().ok()?;
        let address = prefix.addr().to_bits();
        let covering = match self.rib.longest_match(address, prefix.prefix_len()) {
            Some((parent, next_hop)) => Entry::route(parent.prefix_len(), next_hop),
            None => Entry::NONE,
        };
        let change = Change::of(prefix, |depth, length| depth == length, covering);
        if prefix.prefix_len() <= 16 {
            change.in_root(&view);
            return Some(next_hop);
        }
        for slot in view.root_slots(change.first, change.last) {
            self.places.remove(&view, slot, &change);
        }
        Some(next_hop)
    }

    /// The next hop of exactly `prefix`.
    pub fn get(&self, prefix: Ipv4Net) -> Option<NextHop> {
        self.rib.get(prefix)
    }

    /// The longest prefix that holds `address`, and its next hop.
    pub fn longest_match(&self, address: std::net::Ipv4Addr) -> Option<(Ipv4Net, NextHop)> {
        self.rib.longest_match(address.to_bits(), 33)
    }

    /// Routes.
    pub fn len(&self) -> usize {
        self.rib.len()
    }

    /// No routes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All routes, shorter prefixes first, in no order within a length.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Net, NextHop)> {
        self.rib.iter()
    }

    /// tbl8 groups that a new prefix can take.
    pub fn free_groups(&self) -> usize {
        self.places.free_groups()
    }

    /// tbl8 groups out of use that a worker may still be reading.
    pub fn retired(&self) -> usize {
        self.places.retired_groups()
    }

    /// Makes those retired groups free that no worker can be reading any more; gives their number. Does not wait.
    /// Always to be called with the same `quiescence`, whose workers are all that look up beside the writer.
    pub fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        self.places.reclaim(quiescence)
    }
}
