//! Changes.
//!
//! A prefix of length L owns the entries of its range whose depth is L; inserting it overwrites those with depth up to
//! L, removing it gives those of depth L to the prefix that covers it. Longer prefixes keep theirs. An address's entry
//! changes by one store, so that a reader finds the old answer or the new one:
//!
//! ```text
//!   first prefix beyond /16      fill the next chunk with the old answer ──► publish it in the root ──► store in it
//!   first prefix beyond /24      fill a free group with the old answers and the new ──► publish it in the chunk
//!   more of them                 store entry by entry in the group
//!   last one goes                publish the common answer in the chunk ──► retire the group
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ipnet::Ipv4Net;

use crate::entry::{Entry, NextHop};
use crate::quiescence::Quiescence;
use crate::reader::Fib4Reader;
use crate::retired::Retired;
use crate::rib::Rib;
use crate::tables::{Storage, Tables, View, held, publish};

/// Why the FIB could not be made or a route not be inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FibError {
    /// tbl24 does not have 2^16 + 2^24 entries.
    #[error("tbl24 has {got} entries; give it 16842752")]
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
    chunks: Chunks,
    groups: Groups,
}

/// Which chunks are used.
struct Chunks {
    /// Those below.
    used: u32,
}

/// Which tbl8 groups are free, used or retired.
struct Groups {
    free: Vec<u32>,
    /// For each group in use, how many prefixes longer than 24 bits live in it (at most 510).
    prefixes: Vec<u16>,
    retired: Retired<u32>,
}

impl<T: Storage> Fib4Writer<T> {
    /// An empty FIB in `tbl24` of [`TBL24_ENTRIES`](crate::TBL24_ENTRIES) and `tbl8` of a multiple of
    /// [`GROUP_ENTRIES`](crate::GROUP_ENTRIES) entries, for at most `limit` routes. What the memory held is cleared.
    pub fn new(tbl24: T, tbl8: T, limit: usize) -> Result<Fib4Writer<T>, FibError> {
        let tables = Arc::new(Tables::new(tbl24, tbl8)?);
        let count = tables.groups();
        let groups = Groups {
            // `Tables::new` has seen to it that group numbers fit. The lowest is used first.
            free: (0..count as u32).rev().collect(),
            prefixes: vec![0; count],
            retired: Retired::new(),
        };
        Ok(Fib4Writer {
            tables,
            rib: Rib::new(),
            limit,
            chunks: Chunks { used: 0 },
            groups,
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
            let chunk = self.chunks.of(&view, slot);
            if prefix.prefix_len() <= 24 {
                change.in_chunk(&view, chunk);
            } else {
                self.groups
                    .insert_long(&view, chunk, &change, previous.is_none())?;
            }
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
            if prefix.prefix_len() <= 24 {
                change.in_chunk(&view, held(slot));
            } else {
                self.groups.remove_long(&view, held(slot), &change);
            }
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
        self.groups.free.len()
    }

    /// tbl8 groups out of use that a worker may still be reading.
    pub fn retired(&self) -> usize {
        self.groups.retired.len()
    }

    /// Makes those retired groups free that no worker can be reading any more; gives their number. Does not wait.
    /// Always to be called with the same `quiescence`, whose workers are all that look up beside the writer.
    pub fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        let Groups { free, retired, .. } = &mut self.groups;
        retired.reclaim(quiescence, |group| free.push(group))
    }
}

/// A new entry for those addresses of a range whose entry is of a certain depth.
struct Change {
    first: u32,
    last: u32,
    length: u8,
    /// Whether an entry of this depth is overwritten for a prefix of this length.
    overwrites: fn(u8, u8) -> bool,
    entry: Entry,
}

impl Change {
    fn of(prefix: Ipv4Net, overwrites: fn(u8, u8) -> bool, entry: Entry) -> Change {
        let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
        Change {
            first,
            last,
            length: prefix.prefix_len(),
            overwrites,
            entry,
        }
    }

    /// For a prefix of up to 16 bits: all slots of its range, and all of the chunks there.
    fn in_root(&self, view: &View<'_>) {
        for slot in view.root_slots(self.first, self.last) {
            let entry = held(slot);
            if entry.is_extended() {
                self.in_slots(view, view.chunk(entry));
            } else {
                self.apply(slot);
            }
        }
    }

    /// For a prefix of 17 to 24 bits: its part of the chunk.
    fn in_chunk(&self, view: &View<'_>, chunk: Entry) {
        self.in_slots(view, view.chunk_slots(chunk, self.first, self.last));
    }

    /// Slots of a chunk, and all of the groups there.
    fn in_slots(&self, view: &View<'_>, slots: &[AtomicU32]) {
        for slot in slots {
            let entry = held(slot);
            if entry.is_extended() {
                view.group(entry.group()).iter().for_each(|slot| self.apply(slot));
            } else {
                self.apply(slot);
            }
        }
    }

    /// For a prefix beyond 24 bits: its part of the group.
    fn in_group(&self, view: &View<'_>, group: usize) {
        view.group_slots(group, self.first, self.last)
            .iter()
            .for_each(|slot| self.apply(slot));
    }

    fn apply(&self, slot: &AtomicU32) {
        if (self.overwrites)(held(slot).depth(), self.length) {
            publish(slot, self.entry);
        }
    }
}

impl Chunks {
    /// What names the chunk of `slot`, which is one of the root: the next free one if it had none. No answer changes.
    fn of(&mut self, view: &View<'_>, slot: &AtomicU32) -> Entry {
        let entry = held(slot);
        if entry.is_extended() {
            return entry;
        }
        // There is one for each slot. Nobody can see it before the slot names it.
        let chunk = Entry::extended(self.used);
        self.used += 1;
        view.chunk(chunk).iter().for_each(|slot| publish(slot, entry));
        publish(slot, chunk);
        chunk
    }
}

impl Groups {
    /// Inserts a prefix beyond 24 bits, in the group of its /24 or in a fresh one.
    fn insert_long(
        &mut self,
        view: &View<'_>,
        chunk: Entry,
        change: &Change,
        is_new: bool,
    ) -> Result<(), FibError> {
        for slot in view.chunk_slots(chunk, change.first, change.last) {
            let entry = held(slot);
            let group = if entry.is_extended() {
                change.in_group(view, entry.group());
                entry.group()
            } else {
                let Some(group) = self.free.pop() else {
                    return Err(FibError::Tbl8Exhausted {
                        groups: self.prefixes.len(),
                        retired: self.retired.len(),
                    });
                };
                // Nobody can see the group before the slot names it.
                view.group(group as usize)
                    .iter()
                    .for_each(|slot| publish(slot, entry));
                change.in_group(view, group as usize);
                publish(slot, Entry::extended(group));
                group as usize
            };
            if let Some(prefixes) = self.prefixes.get_mut(group) {
                *prefixes += u16::from(is_new);
            }
        }
        Ok(())
    }

    /// Removes a prefix beyond 24 bits. With the last one of a /24 the group goes: all of its entries would become
    /// the answer of the prefix that covers the /24, so that answer goes to the chunk in one store.
    fn remove_long(&mut self, view: &View<'_>, chunk: Entry, change: &Change) {
        for slot in view.chunk_slots(chunk, change.first, change.last) {
            let group = held(slot).group();
            let Some(prefixes) = self.prefixes.get_mut(group) else {
                return;
            };
            *prefixes -= 1;
            if *prefixes == 0 {
                publish(slot, change.entry);
                // Below 2^25, as every group that an entry names.
                self.retired.push(group as u32);
            } else {
                change.in_group(view, group);
            }
        }
    }
}
