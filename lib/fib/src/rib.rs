//! The routes themselves: exact prefixes and their next hops, the writer's alone.
//!
//! One hash map per prefix length, 9 bytes a slot, so that a million routes need about 20 MB. The prefix that covers
//! another, and the longest match of an address, are found by asking the maps that hold something, longest first: at
//! most 33 probes, on the control thread.

use std::collections::HashMap;

use ipnet::Ipv4Net;

use crate::entry::NextHop;

pub(crate) struct Rib {
    /// By prefix length; network address to next hop.
    lengths: [HashMap<u32, NextHop>; 33],
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

    pub(crate) fn get(&self, prefix: Ipv4Net) -> Option<NextHop> {
        self.lengths
            .get(usize::from(prefix.prefix_len()))?
            .get(&prefix.addr().to_bits())
            .copied()
    }

    /// Sets the next hop of `prefix`, which has no host bits; gives the one it had.
    pub(crate) fn insert(&mut self, prefix: Ipv4Net, next_hop: NextHop) -> Option<NextHop> {
        let routes = self.lengths.get_mut(usize::from(prefix.prefix_len()))?;
        let previous = routes.insert(prefix.addr().to_bits(), next_hop);
        self.len += usize::from(previous.is_none());
        previous
    }

    pub(crate) fn remove(&mut self, prefix: Ipv4Net) -> Option<NextHop> {
        let routes = self.lengths.get_mut(usize::from(prefix.prefix_len()))?;
        let previous = routes.remove(&prefix.addr().to_bits());
        self.len -= usize::from(previous.is_some());
        previous
    }

    /// The longest prefix shorter than `below` bits (at most 33) that holds `address`.
    pub(crate) fn longest_match(&self, address: u32, below: u8) -> Option<(Ipv4Net, NextHop)> {
        let lengths = self
            .lengths
            .iter()
            .zip(0u8..below)
            .rev()
            .filter(|(routes, _)| !routes.is_empty());
        for (routes, length) in lengths {
            let prefix = Ipv4Net::new(address.into(), length).ok()?.trunc();
            if let Some(next_hop) = routes.get(&prefix.addr().to_bits()) {
                return Some((prefix, *next_hop));
            }
        }
        None
    }

    /// All routes, shorter prefixes first, in no order within a length.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv4Net, NextHop)> {
        self.lengths.iter().zip(0u8..).flat_map(|(routes, length)| {
            routes.iter().filter_map(move |(address, next_hop)| {
                Some((Ipv4Net::new((*address).into(), length).ok()?, *next_hop))
            })
        })
    }
}
