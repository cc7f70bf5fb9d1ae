//! Changes.

use std::net::Ipv6Addr;
use std::sync::Arc;

use ipnet::Ipv6Net;

use super::Prefix;
use super::blocks::Blocks;
use super::entry::{Entry, MAX_NEXT_HOP};
use super::error::Fib6Error;
use super::grow::grow;
use super::memory::{Memory, Place, ROOT_UNITS, Storage6};
use super::paint::Paint;
use super::reader::{self, Fib6Reader};
use super::rib::Rib;
use super::space::{NoRoom, Space};
use super::tidy::tidy;
use crate::NextHop;
use crate::quiescence::Quiescence;

/// The routes and the one who changes them.
pub struct Fib6Writer<T> {
    memory: Arc<Memory<T>>,
    space: Space,
    rib: Rib,
    limit: usize,
    /// Removed when there was no room to make their nodes anew.
    untidy: Vec<Ipv6Net>,
}

/// The memory of nodes, in units of [`UNIT_BYTES`](crate::UNIT_BYTES).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// All there are.
    pub capacity: usize,
    /// In use.
    pub used: usize,
    /// Out of use, but a worker may still be reading them.
    pub retired: usize,
}

impl Units {
    /// What new prefixes can take.
    pub const fn free(&self) -> usize {
        self.capacity - self.used - self.retired
    }
}

impl<T: Storage6> Fib6Writer<T> {
    /// An empty FIB in `memory`, of [`words6`](crate::words6) words or otherwise, for at most `limit` routes. What
    /// the memory held is cleared.
    ///
    /// # Errors
    ///
    /// [`MemoryLength`](Fib6Error::MemoryLength).
    pub fn new(memory: T, limit: usize) -> Result<Fib6Writer<T>, Fib6Error> {
        let memory = Arc::new(Memory::new(memory)?);
        Ok(Fib6Writer {
            space: Space::new(Blocks::new(ROOT_UNITS, memory.units())),
            memory,
            rib: Rib::new(),
            limit,
            untidy: Vec::new(),
        })
    }

    /// A reader of this FIB.
    pub fn reader(&self) -> Fib6Reader<T> {
        Fib6Reader::new(Arc::clone(&self.memory))
    }

    /// Sets the next hop of `prefix`; gives the one it had before.
    ///
    /// # Errors
    ///
    /// [`HostBits`](Fib6Error::HostBits), [`NextHopTooLarge`](Fib6Error::NextHopTooLarge),
    /// [`RouteLimit`](Fib6Error::RouteLimit) or [`Exhausted`](Fib6Error::Exhausted): see there. Nothing has changed
    /// then. The last two do not happen to a prefix that is there.
    pub fn insert(&mut self, prefix: Ipv6Net, next_hop: NextHop) -> Result<Option<NextHop>, Fib6Error> {
        if prefix.trunc() != prefix {
            return Err(Fib6Error::HostBits { prefix });
        }
        if next_hop > MAX_NEXT_HOP {
            return Err(Fib6Error::NextHopTooLarge { next_hop });
        }
        let is_new = self.rib.get(prefix).is_none();
        if is_new && self.rib.len() >= self.limit {
            return Err(Fib6Error::RouteLimit { limit: self.limit });
        }
        let view = self.memory.view();
        let paint = Paint {
            prefix: bits(prefix),
            overwrites: |depth, length| depth <= length,
            leaf: Entry::leaf(prefix.prefix_len(), next_hop),
        };
        if is_new && !paint.prefix.is_short() {
            let grown = grow(&mut self.space, &view, paint.prefix, paint.leaf);
            grown.map_err(|NoRoom| Fib6Error::Exhausted {
                capacity: self.space.capacity(),
                retired: self.space.retired(),
            })?;
        }
        paint.apply(&view);
        Ok(self.rib.insert(prefix, next_hop))
    }

    /// Removes `prefix`; gives the next hop it had, `None` if there was no such route. Needs no memory.
    pub fn remove(&mut self, prefix: Ipv6Net) -> Option<NextHop> {
        let next_hop = self.rib.remove(prefix)?;
        let view = self.memory.view();
        let leaf = match self.rib.covering(prefix) {
            Some((covering, next_hop)) => Entry::leaf(covering.prefix_len(), next_hop),
            None => Entry::NONE,
        };
        let paint = Paint {
            prefix: bits(prefix),
            overwrites: |depth, length| depth == length,
            leaf,
        };
        paint.apply(&view);
        if !paint.prefix.is_short() && !self.tidy(prefix) {
            self.untidy.push(prefix);
        }
        Some(next_hop)
    }

    /// The next hop of exactly `prefix`.
    pub fn get(&self, prefix: Ipv6Net) -> Option<NextHop> {
        self.rib.get(prefix)
    }

    /// The longest prefix that holds `address`, and its next hop.
    pub fn longest_match(&self, address: Ipv6Addr) -> Option<(Ipv6Net, NextHop)> {
        let leaf = reader::leaf(&self.memory.view(), address.to_bits());
        let prefix = Ipv6Net::new(address, leaf.depth()).ok()?.trunc();
        // No route and a default route are both of depth 0.
        Some((prefix, self.rib.get(prefix)?))
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
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Net, NextHop)> {
        self.rib.iter()
    }

    /// The memory that nodes have and use.
    pub fn units(&self) -> Units {
        Units {
            capacity: self.space.capacity(),
            used: self.space.used(),
            retired: self.space.retired(),
        }
    }

    /// Makes those retired units free that no worker can be reading any more; gives their number. Does not wait.
    /// Always to be called with the same `quiescence`, whose workers are all that look up beside the writer.
    pub fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        let released = self.space.reclaim(quiescence);
        if released > 0 {
            while let Some(prefix) = self.untidy.pop() {
                if !self.tidy(prefix) {
                    self.untidy.push(prefix);
                    break;
                }
            }
        }
        released
    }

    /// Gives back what the nodes of a removed prefix do not need any more; false if there was no room to do so.
    fn tidy(&mut self, prefix: Ipv6Net) -> bool {
        let bits = bits(prefix).bits;
        let view = self.memory.view();
        tidy(
            &mut self.space,
            &view,
            Place::root(bits),
            bits << super::ROOT_BITS,
        )
        .is_ok()
    }
}

fn bits(prefix: Ipv6Net) -> Prefix {
    Prefix {
        bits: prefix.addr().to_bits(),
        length: prefix.prefix_len(),
    }
}
