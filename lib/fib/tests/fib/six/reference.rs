//! A longest-prefix match too simple to be wrong, and memory for the real one.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::atomic::AtomicU64;

use fib::{Fib6Writer, NextHop, UNIT_BYTES, words6};
use ipnet::Ipv6Net;

pub(crate) type Writer = Fib6Writer<Box<[AtomicU64]>>;

/// Routes in a list; every lookup looks at all of them.
#[derive(Clone, Default)]
pub(crate) struct Reference {
    pub(crate) routes: BTreeMap<Ipv6Net, NextHop>,
}

impl Reference {
    pub(crate) fn longest_match(&self, address: u128) -> Option<(Ipv6Net, NextHop)> {
        let holding = self
            .routes
            .iter()
            .filter(|(prefix, _)| prefix.contains(&Ipv6Addr::from(address)));
        holding
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .map(|(prefix, next_hop)| (*prefix, *next_hop))
    }

    pub(crate) fn lookup(&self, address: u128) -> NextHop {
        self.longest_match(address)
            .map_or(NextHop::NONE, |(_, next_hop)| next_hop)
    }
}

/// Zeroed memory that costs nothing before it is touched.
pub(crate) fn zeroed(words: usize) -> Box<[AtomicU64]> {
    // `vec![0; n]` of integers is allocated zeroed; the in-place collect keeps the allocation.
    vec![0u64; words].into_iter().map(AtomicU64::new).collect()
}

/// With as much memory as the routes may need.
pub(crate) fn writer(limit: usize) -> Writer {
    Fib6Writer::new(zeroed(words6(limit)), limit).unwrap()
}

/// With the root table and this many units for nodes.
pub(crate) fn writer_of(units: usize, limit: usize) -> Writer {
    let root = (1 << 20) * size_of::<u32>();
    let words = (root + units * UNIT_BYTES) / size_of::<u64>();
    let fib = Fib6Writer::new(zeroed(words), limit).unwrap();
    assert_eq!(fib.units().capacity, units);
    fib
}

pub(crate) fn prefix(text: &str) -> Ipv6Net {
    text.parse().unwrap()
}

pub(crate) fn address(text: &str) -> u128 {
    text.parse::<Ipv6Addr>().unwrap().to_bits()
}

/// The prefix of this length that holds `address`.
pub(crate) fn around(address: u128, length: u8) -> Ipv6Net {
    Ipv6Net::new(address.into(), length).unwrap().trunc()
}

pub(crate) fn next_hop(index: u32) -> NextHop {
    NextHop::new(index).unwrap()
}

/// Addresses at the borders of `prefix`, inside and outside, and in the middle.
pub(crate) fn borders(prefix: Ipv6Net) -> [u128; 6] {
    let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
    let middle = first + (last - first) / 2;
    [
        first.wrapping_sub(1),
        first,
        middle,
        middle.wrapping_add(1),
        last,
        last.wrapping_add(1),
    ]
}

/// xorshift64*: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn address(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (((self.next() >> 32) * end as u64) >> 32) as usize
    }
}
