//! Nodes: as they lie in memory, and taken apart.
//!
//! ```text
//!   word 0   63                       10 9    7 6      0
//!           +---------------------------+------+--------+
//!           | skipped bits, the first   | none | length |   multiples of 6, at most 102
//!           +---------------------------+------+--------+
//!   word 1  | ways that have an entry of their own      |
//!   word 2  | among them, the first way of each entry   |
//!   word 3  | skipped bits 54 and on                    |   only if there are more than 54
//!           +---------------------+---------------------+
//!   words   | entry 1             | entry 0: the cover  |   entry n: of the n-th bit that is set in word 2
//!           |         ···         | entry 2             |
//!           +---------------------+---------------------+
//! ```
//!
//! The cover is the leaf of the longest prefix that ends before the skipped bits. It answers where these differ, and
//! for the ways that have no entry of their own.

use super::entry::Entry;
use super::key::Key;
use super::memory::{Place, UNIT_WORDS, View};
use super::{STRIDE, WAYS, free_bits};

/// Skipped bits in the first word.
const FIRST_BITS: u8 = 54;
/// The length in the first word.
const LENGTH: u64 = 0x7f;
/// Words before the entries, but for those bits that do not fit in the first.
const HEADER_WORDS: usize = 3;
/// Words that the largest node has: all ways and the cover, and long skipped bits.
const MAX_WORDS: usize = HEADER_WORDS + 1 + (WAYS + 1).div_ceil(2);
/// Units that the largest node takes.
pub(crate) const MAX_NODE_UNITS: usize = MAX_WORDS.div_ceil(UNIT_WORDS);

/// Bits between the six that one node looks at and the six of the next, left-aligned, all others zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) bits: u128,
    pub(crate) length: u8,
}

impl Skip {
    /// The first `length` bits of `key`, below 128.
    pub(crate) const fn of(key: u128, length: u8) -> Skip {
        let bits = key & !(u128::MAX >> length);
        Skip { bits, length }
    }

    /// This, then `way`, then `below`.
    pub(crate) const fn then(self, way: u8, below: Skip) -> Skip {
        let stride = (way as u128) << (u128::BITS - STRIDE as u32) >> self.length;
        let bits = self.bits | stride | below.bits >> (self.length + STRIDE);
        let length = self.length + STRIDE + below.length;
        Skip { bits, length }
    }

    /// What is left after `length` bits, which must be fewer, and the way that follows them.
    pub(crate) const fn after(self, length: u8) -> Skip {
        let gone = length + STRIDE;
        Skip {
            bits: self.bits << gone,
            length: self.length - gone,
        }
    }

    /// How many of the skipped bits `key` has in common, in whole strides.
    pub(crate) fn agreed(self, key: u128) -> u8 {
        // At most 128.
        let agreed = ((self.bits ^ key).leading_zeros() as u8).min(self.length);
        agreed - agreed % STRIDE
    }

    const fn is_long(self) -> bool {
        self.length > FIRST_BITS
    }
}

/// The way that the first bits of `key` name.
#[inline(always)]
const fn first_way(key: u64) -> u8 {
    (key >> (u64::BITS - STRIDE as u32)) as u8
}

/// A node in memory: where it is and what says where its entries are.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    unit: u32,
    first: u64,
    own: u64,
    starts: u64,
    /// Word 3: more skipped bits if there are so many, else entries.
    fourth: u64,
}

impl Header {
    #[inline]
    pub(crate) fn read(view: &View<'_>, unit: u32) -> Header {
        let [first, own, starts, fourth] = view.unit(unit);
        Header {
            unit,
            first,
            own,
            starts,
            fourth,
        }
    }

    /// Where the entry for an address is, of which `key` is what follows the bits that led here; and what follows the
    /// bits that this node looks at.
    #[inline(always)]
    pub(crate) fn follow(&self, key: Key) -> (Place, Key) {
        let length = self.length();
        if length > FIRST_BITS {
            return self.follow_long(key);
        }
        let differing = (key.bits() ^ self.first) & !(u64::MAX >> length);
        let number = self.number(first_way(key.bits() << length));
        let number = if differing == 0 { number } else { 0 };
        (
            self.place_behind(HEADER_WORDS, number),
            key.after(length + STRIDE),
        )
    }

    /// The same where there are more skipped bits than the first word holds.
    #[inline(never)]
    fn follow_long(&self, key: Key) -> (Place, Key) {
        let rest = key.after(FIRST_BITS);
        let more = self.length() - FIRST_BITS;
        let differing = (key.bits() ^ self.first) >> (64 - FIRST_BITS)
            | (rest.bits() ^ self.fourth) & !(u64::MAX >> more);
        let number = self.number(first_way(rest.bits() << more));
        let number = if differing == 0 { number } else { 0 };
        let place = self.place_behind(HEADER_WORDS + 1, number);
        (place, rest.after(more + STRIDE))
    }

    /// Which entry answers for `way`.
    #[inline]
    pub(crate) fn number(&self, way: u8) -> usize {
        let up_to = u64::MAX >> (WAYS as u32 - 1 - u32::from(way));
        let rank = (self.starts & up_to).count_ones();
        // All ones if the way has its own.
        let own = (self.own >> way & 1) as u32;
        (rank & own.wrapping_neg()) as usize
    }

    /// Where entry `number` is.
    #[inline]
    pub(crate) fn place(&self, number: usize) -> Place {
        self.place_behind(HEADER_WORDS + usize::from(self.is_long()), number)
    }

    /// The same, where so many words are before the entries.
    #[inline(always)]
    fn place_behind(&self, words: usize, number: usize) -> Place {
        Place((self.unit as usize * UNIT_WORDS + words) * 2 + number)
    }

    /// The places of all entries but the cover.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let header = *self;
        (1..=self.entries()).map(move |number| header.place(number))
    }

    /// The places of the entries that begin at the ways `first..=last`.
    pub(crate) fn places_in(&self, (first, last): (u8, u8)) -> impl Iterator<Item = Place> {
        let header = *self;
        (first..=last)
            .filter(move |way| header.starts >> way & 1 == 1)
            .map(move |way| header.place(header.number(way)))
    }

    /// Where the cover is.
    pub(crate) fn cover(&self) -> Place {
        self.place(0)
    }

    pub(crate) fn skip(&self) -> Skip {
        let length = self.length();
        let more = if self.is_long() { self.fourth } else { 0 };
        let bits = u128::from(self.first) << 64;
        let first = Skip::of(bits, length.min(FIRST_BITS)).bits;
        Skip {
            bits: first | u128::from(more) << (64 - FIRST_BITS),
            length,
        }
    }

    pub(crate) fn units(&self) -> usize {
        units(self.entries(), self.is_long())
    }

    fn entries(&self) -> usize {
        self.starts.count_ones() as usize
    }

    #[inline]
    fn length(&self) -> u8 {
        (self.first & LENGTH) as u8
    }

    #[inline]
    fn is_long(&self) -> bool {
        self.length() > FIRST_BITS
    }
}

/// A node taken apart: what is to be changed and put together again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) skip: Skip,
    pub(crate) cover: Entry,
    /// What answers for each way: the cover too.
    pub(crate) ways: [Entry; WAYS],
}

impl Node {
    /// A node in which all ways are the cover's.
    pub(crate) const fn empty(skip: Skip, cover: Entry) -> Node {
        Node {
            skip,
            cover,
            ways: [cover; WAYS],
        }
    }

    pub(crate) fn read(view: &View<'_>, unit: u32) -> Node {
        let header = Header::read(view, unit);
        let cover = view.entry(header.cover());
        let mut node = Node::empty(header.skip(), cover);
        let mut own = header.own;
        let mut number = 0;
        let mut entry = cover;
        while own != 0 {
            let way = own.trailing_zeros() as usize;
            own &= own - 1;
            if header.starts >> way & 1 == 1 {
                number += 1;
                entry = view.entry(header.place(number));
            }
            node.ways[way] = entry;
        }
        node
    }

    /// Puts the node together in the memory from `unit` on, of [`units`](Node::units), that no entry names yet.
    pub(crate) fn write(&self, view: &View<'_>, unit: u32) {
        let (own, starts) = self.own_and_starts();
        let mut words = [0; MAX_WORDS];
        words[0] = (self.skip.bits >> 64) as u64 & !(u64::MAX >> FIRST_BITS) | u64::from(self.skip.length);
        words[1] = own;
        words[2] = starts;
        let mut header_words = HEADER_WORDS;
        if self.skip.is_long() {
            words[3] = (self.skip.bits << FIRST_BITS >> 64) as u64;
            header_words += 1;
        }
        words[header_words] = u64::from(self.cover.0);
        let mut number = 0;
        let mut left = starts;
        while left != 0 {
            let entry = self.ways[left.trailing_zeros() as usize];
            left &= left - 1;
            number += 1;
            words[header_words + number / 2] |= u64::from(entry.0) << (number % 2 * 32);
        }
        view.fill(unit, &words[..=header_words + number / 2]);
    }

    /// Units that it takes when put together.
    pub(crate) fn units(&self) -> usize {
        units(self.own_and_starts().1.count_ones() as usize, self.skip.is_long())
    }

    /// Ways with an entry of their own, and those of them that begin one. A prefix's ways side by side share an entry;
    /// those of different prefixes do not, even if the next hop is the same, which can then change without a new node.
    fn own_and_starts(&self) -> (u64, u64) {
        let (mut own, mut starts) = (0, 0);
        let mut previous = self.cover;
        for (way, &entry) in self.ways.iter().enumerate() {
            if entry != self.cover {
                own |= 1 << way;
                let continues = entry == previous
                    && !entry.is_node()
                    && !way.is_multiple_of(1 << free_bits(entry.depth()));
                starts |= u64::from(!continues) << way;
            }
            previous = entry;
        }
        (own, starts)
    }
}

/// Units of a node with this many entries beside the cover.
const fn units(entries: usize, is_long: bool) -> usize {
    (HEADER_WORDS + is_long as usize + (entries + 1).div_ceil(2)).div_ceil(UNIT_WORDS)
}
