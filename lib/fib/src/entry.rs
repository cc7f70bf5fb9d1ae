//! The 32 bits of a table entry.
//!
//! ```text
//!    31        30      25 24                         0
//!   +---------+----------+----------------------------+
//!   | extended|  depth   | next hop, or where to go on |
//!   +---------+----------+----------------------------+
//! ```
//!
//! Depth is the length of the prefix that the next hop comes from: what a change needs to know to leave longer
//! prefixes alone. An extended entry has none; bit 30 says that it goes on with a lone prefix and not with a table. All zero: no
//! route.

const EXTENDED: u32 = 1 << 31;
const LONE: u32 = EXTENDED | 1 << 30;
const DEPTH_SHIFT: u32 = 25;
const INDEX: u32 = (1 << DEPTH_SHIFT) - 1;

/// What a lookup gives: an index into the caller's table of next hops (adjacencies), below 2^25.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct NextHop(pub(crate) u32);

impl NextHop {
    /// No route.
    pub const NONE: NextHop = NextHop(0);
    /// The largest.
    pub const MAX: NextHop = NextHop(INDEX);

    /// The next hop of this index; `None` above [`NextHop::MAX`].
    #[inline]
    pub const fn new(index: u32) -> Option<NextHop> {
        if index <= INDEX {
            Some(NextHop(index))
        } else {
            None
        }
    }

    /// The index.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The index as the 32-bit number that [`NextHop::new`] takes.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u32);

impl Entry {
    /// No route.
    pub(crate) const NONE: Entry = Entry(0);

    /// A next hop that comes from a prefix of length `depth`, at most 32.
    #[inline]
    pub(crate) const fn route(depth: u8, next_hop: NextHop) -> Entry {
        Entry((depth as u32) << DEPTH_SHIFT | next_hop.0)
    }

    /// Go on in chunk or tbl8 group `number`, below 2^25.
    #[inline]
    pub(crate) const fn extended(number: u32) -> Entry {
        Entry(EXTENDED | number)
    }

    /// Go on with lone prefix `number`, below 2^25.
    #[inline]
    pub(crate) const fn lone(number: u32) -> Entry {
        Entry(LONE | number)
    }

    /// Whether it goes on in a chunk, a group or with a lone prefix.
    #[inline]
    pub(crate) const fn is_extended(self) -> bool {
        self.0 & EXTENDED != 0
    }

    #[inline]
    pub(crate) const fn is_lone(self) -> bool {
        self.0 & LONE == LONE
    }

    /// Whether it goes on in a chunk or a group.
    #[inline]
    pub(crate) const fn is_table(self) -> bool {
        self.0 & LONE == EXTENDED
    }

    /// The number of what an extended entry names.
    pub(crate) const fn number(self) -> u32 {
        self.0 & INDEX
    }

    /// The same, of a group.
    #[inline]
    pub(crate) const fn group(self) -> usize {
        (self.0 & INDEX) as usize
    }

    /// The length of the prefix that the next hop of an entry that is not extended comes from.
    #[inline]
    pub(crate) const fn depth(self) -> u8 {
        (self.0 >> DEPTH_SHIFT) as u8
    }

    /// The next hop of an entry that is not extended.
    #[inline]
    pub(crate) const fn next_hop(self) -> NextHop {
        NextHop(self.0 & INDEX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_next_hop_come_back_at_their_limits() {
        for depth in 0..=32 {
            for next_hop in [NextHop::NONE, NextHop(1), NextHop::MAX] {
                let entry = Entry::route(depth, next_hop);
                assert!(!entry.is_extended());
                assert_eq!((entry.depth(), entry.next_hop()), (depth, next_hop));
            }
        }
        let entry = Entry::extended(INDEX);
        assert!(entry.is_extended() && entry.is_table() && !entry.is_lone());
        assert_eq!(entry.group(), INDEX as usize);
        let entry = Entry::lone(INDEX);
        assert!(entry.is_extended() && entry.is_lone() && !entry.is_table());
    }

    #[test]
    fn index_above_25_bits_is_no_next_hop() {
        assert_eq!(NextHop::new(INDEX), Some(NextHop::MAX));
        assert_eq!(NextHop::new(INDEX + 1), None);
        assert_eq!(Entry::route(0, NextHop::NONE), Entry::NONE);
    }
}
