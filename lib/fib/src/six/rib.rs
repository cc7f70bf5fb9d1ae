//! The routes themselves: exact prefixes and their next hops, the writer's alone.
//!
//! One hash map per prefix length, 21 bytes a slot. The prefix that covers another is found by asking the maps that
//! hold something, longest first.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::NextHop;

pub(crate) struct Rib {
    /// By prefix length; network address to next hop. `Ipv6Addr` and not `u128`, whose alignment would waste a third.
    lengths: [HashMap<Ipv6Addr, NextHop>; 129],
    len: usize,
}

impl Rib {
    pub(crate) fn new() -> Rib {
        Rib {
            lengths: std::array::from_fn(|_| HashMap::new()),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, prefix: Ipv6Net) -> Option<NextHop> {
        self.lengths
            .get(usize::from(prefix.prefix_len()))?
            .get(&prefix.addr())
            .copied()
    }

    /// Sets the next hop of `prefix`, which has no host bits; gives the one it had.
    pub(crate) fn insert(&mut self, prefix: Ipv6Net, next_hop: NextHop) -> Option<NextHop> {
        let routes = self.lengths.get_mut(usize::from(prefix.prefix_len()))?;
        let previous = routes.insert(prefix.addr(), next_hop);
        self.len += usize::from(previous.is_none());
        previous
    }

    pub(crate) fn remove(&mut self, prefix: Ipv6Net) -> Option<NextHop> {
        let routes = self.lengths.get_mut(usize::from(prefix.prefix_len()))?;
        let previous = routes.remove(&prefix.addr());
        self.len -= usize::from(previous.is_some());
        previous
    }

    /// The longest prefix that holds all of `prefix` and is shorter.
    pub(crate) fn covering(&self, prefix: Ipv6Net) -> Option<(Ipv6Net, NextHop)> {
        let lengths = self
            .lengths
            .iter()
            .zip(0..prefix.prefix_len())
            .rev()
            .filter(|(routes, _)| !routes.is_empty());
        for (routes, length) in lengths {
            let covering = Ipv6Net::new(prefix.addr(), length).ok()?.trunc();
            if let Some(next_hop) = routes.get(&covering.addr()) {
                return Some((covering, *next_hop));
            }
        }
        None
    }

    /// All routes, shorter prefixes first, in no order within a length.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Net, NextHop)> {
        self.lengths.iter().zip(0u8..).flat_map(|(routes, length)| {
            routes.iter().filter_map(move |(address, next_hop)| {
                Some((Ipv6Net::new(*address, length).ok()?, *next_hop))
            })
        })
    }
}
