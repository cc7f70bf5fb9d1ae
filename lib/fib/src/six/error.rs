//! What the IPv6 FIB refuses.

use ipnet::Ipv6Net;

use super::entry::{MAX_NEXT_HOP, MAX_UNITS};
use super::memory::{ROOT_WORDS, UNIT_WORDS};
use crate::NextHop;

/// Why the FIB could not be made or a route not be inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fib6Error {
    /// The memory has no room for the root table, or more than an entry can name.
    #[error(
        "the IPv6 FIB's memory has {got} words of 8 bytes; give it at least {ROOT_WORDS} and at most {}",
        MAX_UNITS * UNIT_WORDS
    )]
    MemoryLength {
        /// Words given.
        got: usize,
    },
    /// The prefix has bits beyond its length.
    #[error("{prefix} has host bits set; did you mean {}?", prefix.trunc())]
    HostBits {
        /// The prefix given.
        prefix: Ipv6Net,
    },
    /// The next hop does not fit in a leaf.
    #[error(
        "next hop {} is too large for an IPv6 route; give it one of at most {}",
        next_hop.get(),
        MAX_NEXT_HOP.get()
    )]
    NextHopTooLarge {
        /// The next hop given.
        next_hop: NextHop,
    },
    /// There are as many routes as there may be.
    #[error("there are {limit} routes already, which is the limit; raise `routes6` in [limits]")]
    RouteLimit {
        /// The limit.
        limit: usize,
    },
    /// The prefix needs nodes, and there is no room for them.
    #[error(
        "the IPv6 FIB's {capacity} units of memory have no room for the prefix's nodes; \
         try again once the {retired} retired ones are reclaimed, or give the FIB more of them"
    )]
    Exhausted {
        /// Units that there are.
        capacity: usize,
        /// Units that wait for [`Fib6Writer::reclaim`](crate::Fib6Writer::reclaim).
        retired: usize,
    },
}
