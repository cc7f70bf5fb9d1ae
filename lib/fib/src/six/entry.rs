//! The 32 bits of an entry, in the root table and in nodes.
//!
//! ```text
//!    31          24 23                         0
//!   +--------------+----------------------------+
//!   | depth, ≤ 128 | next hop                   |   leaf
//!   +--+-----------+----------------------------+
//!   |11| unit where the node begins             |   node
//!   +--+----------------------------------------+
//! ```
//!
//! Depth is the length of the prefix that the next hop comes from: what a change needs to know to leave longer
//! prefixes alone. All zero: no route.

use crate::NextHop;

const NODE: u32 = 0b11 << 30;
const DEPTH_SHIFT: u32 = 24;
const NEXT_HOP: u32 = (1 << DEPTH_SHIFT) - 1;

/// Units that entries can name.
pub(crate) const MAX_UNITS: usize = 1 << 30;
/// The largest next hop that a leaf can hold.
pub(crate) const MAX_NEXT_HOP: NextHop = NextHop(NEXT_HOP);

/// A leaf or a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u32);

impl Entry {
    /// No route.
    pub(crate) const NONE: Entry = Entry(0);

    /// A next hop up to [`MAX_NEXT_HOP`] that comes from a prefix of length `depth`, at most 128.
    #[inline]
    pub(crate) const fn leaf(depth: u8, next_hop: NextHop) -> Entry {
        Entry((depth as u32) << DEPTH_SHIFT | next_hop.0)
    }

    /// Go on in the node that begins at `unit`, below [`MAX_UNITS`].
    #[inline]
    pub(crate) const fn node(unit: u32) -> Entry {
        Entry(NODE | unit)
    }

    #[inline]
    pub(crate) const fn is_node(self) -> bool {
        self.0 >= NODE
    }

    /// Where the node begins.
    #[inline]
    pub(crate) const fn unit(self) -> u32 {
        self.0 & !NODE
    }

    /// The length of the prefix that a leaf comes from.
    #[inline]
    pub(crate) const fn depth(self) -> u8 {
        (self.0 >> DEPTH_SHIFT) as u8
    }

    /// The next hop of a leaf.
    #[inline]
    pub(crate) const fn next_hop(self) -> NextHop {
        NextHop(self.0 & NEXT_HOP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_next_hop_and_unit_come_back_at_their_limits() {
        for depth in 0..=128 {
            for next_hop in [NextHop::NONE, NextHop(1), MAX_NEXT_HOP] {
                let entry = Entry::leaf(depth, next_hop);
                assert!(!entry.is_node());
                assert_eq!((entry.depth(), entry.next_hop()), (depth, next_hop));
            }
        }
        for unit in [0, 1, MAX_UNITS as u32 - 1] {
            let entry = Entry::node(unit);
            assert!(entry.is_node());
            assert_eq!(entry.unit(), unit);
        }
        assert_eq!(Entry::leaf(0, NextHop::NONE), Entry::NONE);
    }
}
