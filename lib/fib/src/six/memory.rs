//! The memory: words that the caller gives, read and written atomically.
//!
//! ```text
//!   words   0 ············ 2^19 - 1 | 2^19 ·······
//!           root table, two entries | units of four words (32 bytes, never across a cache line if the
//!           to a word               | memory begins at one), numbered from the memory's start
//! ```
//!
//! Memory ordering. Every store of an entry is `Release` and every load of a reader `Acquire`. So whoever sees an entry
//! sees what the writer did before it stored it: the node that it names, and whatever the caller filled in behind a
//! next hop before it inserted the route (an adjacency). On x86 both are plain moves. An entry is half a word: the
//! writer, who is alone, loads the word and stores it with one half changed.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::ROOT_BITS;
use super::entry::{Entry, MAX_UNITS};
use super::error::Fib6Error;

/// Words of a unit.
pub(crate) const UNIT_WORDS: usize = 4;
/// Bytes of a unit, in which the memory of nodes is counted.
pub const UNIT_BYTES: usize = UNIT_WORDS * size_of::<AtomicU64>();
/// Words of the root table (4 MiB).
pub(crate) const ROOT_WORDS: usize = 1 << (ROOT_BITS - 1);
/// Units that the root table takes: the first unit of nodes.
pub(crate) const ROOT_UNITS: usize = ROOT_WORDS / UNIT_WORDS;

/// Units that no set of prefixes exceeds, for each prefix.
const UNITS_PER_ROUTE: usize = 4;
/// Units beyond that: nodes made before the old ones are reclaimed, and gaps too small for a large node.
const SPARE_UNITS: usize = 1 << 12;

/// Words of 8 bytes that a FIB for this many routes needs: enough for any prefixes, if retired units are reclaimed
/// now and then. 128 bytes a route and 4.3 MB.
pub const fn words6(routes: usize) -> usize {
    let words = routes.saturating_mul(UNITS_PER_ROUTE * UNIT_WORDS);
    words.saturating_add(ROOT_WORDS + SPARE_UNITS * UNIT_WORDS)
}

/// Memory for a FIB: a slice of fixed length. Hugepages in production, a `Box<[AtomicU64]>` in tests.
pub trait Storage6: Deref<Target = [AtomicU64]> + Send + Sync + 'static {}

impl<T: Deref<Target = [AtomicU64]> + Send + Sync + 'static> Storage6 for T {}

/// The memory, shared by the writer and all readers.
pub(crate) struct Memory<T> {
    words: T,
}

/// The memory borrowed for some lookups or for a change.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    words: &'a [AtomicU64],
}

/// Where an entry is: the half words are numbered from the memory's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) usize);

impl<T: Storage6> Memory<T> {
    /// Refuses too few and too many words; makes every address have no route.
    pub(crate) fn new(words: T) -> Result<Memory<T>, Fib6Error> {
        let got = words.len();
        let Some(root) = words.get(..ROOT_WORDS) else {
            return Err(Fib6Error::MemoryLength { got });
        };
        if got > MAX_UNITS * UNIT_WORDS {
            return Err(Fib6Error::MemoryLength { got });
        }
        // Fresh memory is zero already; reading it costs less than dirtying it.
        for word in root.iter().filter(|word| word.load(Relaxed) != 0) {
            word.store(0, Relaxed);
        }
        Ok(Memory { words })
    }

    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View { words: &self.words }
    }

    /// Units for nodes.
    pub(crate) fn units(&self) -> usize {
        self.words.len() / UNIT_WORDS - ROOT_UNITS
    }
}

impl<'a> View<'a> {
    /// The word that `place` is in.
    #[inline(always)]
    pub(crate) fn word(&self, place: Place) -> Option<&'a AtomicU64> {
        self.words.get(place.0 / 2)
    }

    /// The entry at `place`, as a reader loads it.
    #[inline]
    pub(crate) fn entry(&self, place: Place) -> Entry {
        match self.word(place) {
            Some(word) => Entry((word.load(Acquire) >> half_shift(place)) as u32),
            None => Entry::NONE,
        }
    }

    /// Makes `place` hold `entry`, with all that was done before.
    pub(crate) fn publish(&self, place: Place, entry: Entry) {
        if let Some(word) = self.words.get(place.0 / 2) {
            let others = word.load(Relaxed) & !(u64::from(u32::MAX) << half_shift(place));
            word.store(others | u64::from(entry.0) << half_shift(place), Release);
        }
    }

    /// The first word of `unit`.
    #[inline]
    pub(crate) fn first_word(&self, unit: u32) -> Option<&'a AtomicU64> {
        self.words.get(unit as usize * UNIT_WORDS)
    }

    /// The four words that a node begins with. They stay as they are for as long as an entry names the node; loading
    /// that entry has ordered their loads.
    #[inline]
    pub(crate) fn unit(&self, unit: u32) -> [u64; UNIT_WORDS] {
        match self.words.as_chunks().0.get(unit as usize) {
            Some(words) => words.each_ref().map(|word: &AtomicU64| word.load(Relaxed)),
            None => [0; UNIT_WORDS],
        }
    }

    /// Fills the words from `unit` on. No entry names them yet: publishing the one that will makes them seen.
    pub(crate) fn fill(&self, unit: u32, contents: &[u64]) {
        let start = unit as usize * UNIT_WORDS;
        if let Some(words) = self.words.get(start..start + contents.len()) {
            for (word, content) in words.iter().zip(contents) {
                word.store(*content, Relaxed);
            }
        }
    }
}

impl Place {
    /// Where the root table has the entry of `address`.
    #[inline]
    pub(crate) const fn root(address: u128) -> Place {
        Place((address >> (u128::BITS - ROOT_BITS as u32)) as usize)
    }
}

#[inline]
const fn half_shift(place: Place) -> u32 {
    (place.0 as u32 & 1) * 32
}
