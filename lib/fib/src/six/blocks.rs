//! Which units are free.
//!
//! Nodes take 1 to 10 units side by side. Units are kept by the page of 64, one bit each, set if free; a node does
//! not cross pages. Freed units join their free neighbours at once, there being nothing but the bits. A node goes to
//! the first page among those whose longest run of free units is the shortest that will do: scraps are used up first
//! and long runs kept, and what is in use moves towards the start.

use super::node::MAX_NODE_UNITS;

/// Units of a page.
const PAGE_UNITS: usize = u64::BITS as usize;

/// Units side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) unit: u32,
    /// 1 to [`MAX_NODE_UNITS`].
    pub(crate) units: u8,
}

/// The free units and those taken.
pub(crate) struct Blocks {
    /// The first unit of the first page.
    first: usize,
    capacity: usize,
    taken: usize,
    /// A bit for each unit of a page.
    free: Vec<u64>,
    /// By the length of the longest run of free units, longer ones counted as the largest node.
    by_run: [Pages; MAX_NODE_UNITS + 1],
}

impl Blocks {
    /// All of `capacity` units free, numbered from `first` on.
    pub(crate) fn new(first: usize, capacity: usize) -> Blocks {
        let pages = capacity.div_ceil(PAGE_UNITS);
        let mut blocks = Blocks {
            first,
            capacity,
            taken: 0,
            free: vec![u64::MAX; pages],
            by_run: std::array::from_fn(|_| Pages::new(pages)),
        };
        if let Some(last) = blocks.free.last_mut() {
            *last >>= pages * PAGE_UNITS - capacity;
        }
        for (page, free) in blocks.free.iter().enumerate() {
            blocks.by_run[longest_run(*free)].insert(page);
        }
        blocks
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// A block of 1 to [`MAX_NODE_UNITS`] units; `None` if no page has so many side by side.
    pub(crate) fn take(&mut self, units: usize) -> Option<Block> {
        let page = self.by_run.get(units..)?.iter().find_map(Pages::first)?;
        let place = starts_of_runs(self.free[page], units).trailing_zeros() as usize;
        self.change(page, |free| free & !(ones(units) << place));
        self.taken += units;
        Some(Block {
            unit: (self.first + page * PAGE_UNITS + place) as u32,
            units: units as u8,
        })
    }

    /// Makes a block free that was taken.
    pub(crate) fn give_back(&mut self, block: Block) {
        let place = block.unit as usize - self.first;
        let units = usize::from(block.units);
        self.change(place / PAGE_UNITS, |free| {
            free | ones(units) << (place % PAGE_UNITS)
        });
        self.taken -= units;
    }

    fn change(&mut self, page: usize, change: impl FnOnce(u64) -> u64) {
        let before = self.free[page];
        let after = change(before);
        self.free[page] = after;
        let (was, is) = (longest_run(before), longest_run(after));
        if was != is {
            self.by_run[was].remove(page);
            self.by_run[is].insert(page);
        }
    }
}

/// This many bits, the lowest.
const fn ones(units: usize) -> u64 {
    (1 << units) - 1
}

/// The bits from which on at least `length` are set, at least 1.
const fn starts_of_runs(bits: u64, length: usize) -> u64 {
    let mut starts = bits;
    let mut more = length - 1;
    while more != 0 {
        starts &= starts >> 1;
        more -= 1;
    }
    starts
}

/// The length of the longest run of set bits, at most [`MAX_NODE_UNITS`].
const fn longest_run(bits: u64) -> usize {
    let mut starts = bits;
    let mut length = 0;
    while starts != 0 && length < MAX_NODE_UNITS {
        starts &= starts >> 1;
        length += 1;
    }
    length
}

/// A set of pages that knows its first.
struct Pages {
    /// A bit for each page.
    members: Vec<u64>,
    /// A bit for each word of `members`, set if there is something in it.
    words: Vec<u64>,
}

impl Pages {
    fn new(pages: usize) -> Pages {
        let words = pages.div_ceil(64);
        Pages {
            members: vec![0; words],
            words: vec![0; words.div_ceil(64)],
        }
    }

    fn first(&self) -> Option<usize> {
        let (index, words) = self.words.iter().enumerate().find(|(_, words)| **words != 0)?;
        let word = index * 64 + words.trailing_zeros() as usize;
        Some(word * 64 + self.members[word].trailing_zeros() as usize)
    }

    fn insert(&mut self, page: usize) {
        self.members[page / 64] |= 1 << (page % 64);
        self.words[page / 4096] |= 1 << (page / 64 % 64);
    }

    fn remove(&mut self, page: usize) {
        self.members[page / 64] &= !(1 << (page % 64));
        if self.members[page / 64] == 0 {
            self.words[page / 4096] &= !(1 << (page / 64 % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_of_any_capacity_can_be_taken_once() {
        for capacity in [0, 1, 63, 64, 65, 5000] {
            let mut blocks = Blocks::new(7, capacity);
            let mut units: Vec<u32> = std::iter::from_fn(|| blocks.take(1))
                .map(|block| block.unit)
                .collect();
            units.sort_unstable();
            assert!(units.into_iter().eq(7..7 + capacity as u32));
            assert_eq!(blocks.taken(), capacity);
        }
    }

    #[test]
    fn scraps_are_used_before_long_runs() {
        let mut blocks = Blocks::new(0, 128);
        let taken: Vec<_> = (0..6).map(|_| blocks.take(10).unwrap()).collect();
        blocks.give_back(taken[2]);
        // The first page has runs of 10 and of 4, the second one of 64; both count as long.
        assert_eq!(blocks.take(4).map(|block| block.unit), Some(20));
        assert_eq!(blocks.take(6).map(|block| block.unit), Some(24));
        assert_eq!(blocks.take(10).map(|block| block.unit), Some(64));
        assert_eq!(blocks.take(4).map(|block| block.unit), Some(60));
    }

    /// Units to take, or whether to give one back and which.
    fn steps() -> impl Strategy<Value = Vec<(usize, bool, prop::sample::Index)>> {
        let step = (1..=MAX_NODE_UNITS, any::<bool>(), any::<prop::sample::Index>());
        prop::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn blocks_never_overlap_and_join_again_when_freed(steps in steps()) {
            const CAPACITY: usize = 1000;
            let mut blocks = Blocks::new(64, CAPACITY);
            let mut held: Vec<Block> = Vec::new();
            let mut used = std::collections::HashSet::new();
            for (units, give_back, index) in steps {
                if give_back && !held.is_empty() {
                    let block = held.swap_remove(index.index(held.len()));
                    (block.unit..).take(block.units.into()).for_each(|unit| assert!(used.remove(&unit)));
                    blocks.give_back(block);
                } else if let Some(block) = blocks.take(units) {
                    prop_assert_eq!(usize::from(block.units), units);
                    prop_assert!(block.unit >= 64 && block.unit as usize + units <= 64 + CAPACITY);
                    (block.unit..).take(units).for_each(|unit| assert!(used.insert(unit)));
                    held.push(block);
                }
                prop_assert_eq!(blocks.taken(), used.len());
            }
            held.into_iter().for_each(|block| blocks.give_back(block));
            let largest = std::iter::from_fn(|| blocks.take(MAX_NODE_UNITS)).count();
            // 15 pages of 64 and one of 40.
            prop_assert_eq!(largest, 15 * 6 + 4);
        }
    }
}
