//! Longest-prefix match for IPv6: a table on the first 20 bits, then nodes of 64 ways that skip what they need not
//! look at.
//!
//! Akin to Poptrie (Asai, Ohara 2015), with two changes: edges are compressed, so that neither lone prefixes nor hosts
//! under a /64 make chains, and the ways of a node are 32-bit entries in the node itself, so that a changed node is
//! published by one store in the node above.
//!
//! ```text
//!   bits      0 ··· 19 | 20 ··· 43 | 44 ··· 49 |
//!             root table   skipped    way           lone 2001:db8:1::/48 under 2000::/3
//!
//!   root[0x20010] ──► node  skip   24 bits, 0xdb8000
//!                           cover  2000::/3's next hop: for other skipped bits, and for all ways without an entry
//!                           ways   000100..000111 ──► leaf /48, next hop
//! ```
//!
//! A node looks at the six bits from position 20, 26, ... 122 on. There is one where a prefix ends in those bits or
//! where prefixes part; the bits between one node and the next are in the lower one. Ways that belong to the same
//! prefix and lie side by side share an entry. So the nodes depend on the prefixes and on nothing else: not on next
//! hops, not on the order of changes.
//!
//! `N` prefixes take at most `4 N` units of 32 bytes, and seldom more than half of that. A node with one prefix and
//! nothing else takes 2 (with a long edge) and one where two part takes 2; of these there are fewer than of those.
//! Every other node takes less for what it adds.
//!
//! | file | what it has |
//! |---|---|
//! | `entry` | 32 bits: a leaf (next hop and the length of its prefix) or a node |
//! | `memory` | the words that the caller gives: root table and units |
//! | `node` | layout of a node; a node taken apart and put together |
//! | `blocks` | which units are free |
//! | `space` | nodes made, dropped again, retired |
//! | `paint` | a prefix's leaves get another next hop, in place |
//! | `grow`, `tidy` | nodes for a new prefix; nodes gone with a removed one |
//! | `rib` | the routes |

mod blocks;
mod entry;
mod error;
mod grow;
mod key;
mod memory;
mod node;
mod paint;
mod reader;
mod rib;
mod space;
mod tidy;
mod writer;

pub use error::Fib6Error;
pub use memory::{Storage6, UNIT_BYTES, words6};
pub use reader::{Fib6Reader, Lookups6};
pub use writer::{Fib6Writer, Units};

/// Bits that index the root table.
const ROOT_BITS: u8 = 20;
/// Bits that index the ways of a node.
const STRIDE: u8 = 6;
/// Ways of a node.
const WAYS: usize = 1 << STRIDE;

/// A prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    bits: u128,
    length: u8,
}

impl Prefix {
    /// Whether it ends in the root table and so has no node.
    fn is_short(self) -> bool {
        self.length <= ROOT_BITS
    }

    /// The position of the node that it ends in; for prefixes that are not short.
    fn position(self) -> u8 {
        position(self.length)
    }

    /// Its first and last way in that node.
    fn ways(self) -> (u8, u8) {
        let first = way(self.bits << self.position());
        (first, first | ((1 << free_bits(self.length)) - 1))
    }
}

/// The position of the node in which prefixes of this length, over 20 bits, end.
const fn position(length: u8) -> u8 {
    let beyond = length - ROOT_BITS - 1;
    length - 1 - beyond % STRIDE
}

/// Bits of a node's index that a prefix of this length leaves free.
const fn free_bits(length: u8) -> u8 {
    position(length) + STRIDE - length
}

/// The way that the first bits of `key` name.
#[inline]
fn way(key: u128) -> u8 {
    (key >> (u128::BITS - STRIDE as u32)) as u8
}
