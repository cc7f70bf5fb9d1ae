//! A longest-prefix match too simple to be wrong, and memory for the real one.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU32;

use fib::{Fib4Writer, GROUP_ENTRIES, NextHop, TBL24_ENTRIES};
use ipnet::Ipv4Net;

/// Routes in a list; every lookup looks at all of them.
#[derive(Clone, Default)]
pub(crate) struct Reference {
    pub(crate) routes: BTreeMap<Ipv4Net, NextHop>,
}

impl Reference {
    pub(crate) fn longest_match(&self, address: u32) -> Option<(Ipv4Net, NextHop)> {
        let holding = self
            .routes
            .iter()
            .filter(|(prefix, _)| prefix.contains(&Ipv4Addr::from(address)));
        holding
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .map(|(prefix, next_hop)| (*prefix, *next_hop))
    }

    pub(crate) fn lookup(&self, address: u32) -> NextHop {
        self.longest_match(address)
            .map_or(NextHop::NONE, |(_, next_hop)| next_hop)
    }
}

/// Zeroed memory that costs nothing before it is touched.
fn zeroed(entries: usize) -> Box<[AtomicU32]> {
    // `vec![0; n]` of integers is allocated zeroed; the in-place collect keeps the allocation.
    vec![0u32; entries].into_iter().map(AtomicU32::new).collect()
}

pub(crate) fn writer(groups: usize, limit: usize) -> Fib4Writer<Box<[AtomicU32]>> {
    Fib4Writer::new(zeroed(TBL24_ENTRIES), zeroed(groups * GROUP_ENTRIES), limit).unwrap()
}

pub(crate) fn prefix(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

pub(crate) fn next_hop(index: u32) -> NextHop {
    NextHop::new(index).unwrap()
}

/// First and last address of `prefix`.
pub(crate) fn range(prefix: Ipv4Net) -> (u32, u32) {
    (prefix.network().to_bits(), prefix.broadcast().to_bits())
}
