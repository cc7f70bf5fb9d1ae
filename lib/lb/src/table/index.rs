//! Where a connection is, by the hash of a flow: chunks of one cache line with eight places each.
//!
//! ```text
//!   hash ─► chunk │ tag × 8 │ value × 8 │ passed │     full: the next chunk, and `passed` says how many went on
//! ```
//!
//! A search ends at a chunk that nobody passed. With at most five values to a chunk on the average, nearly all are in their first.

const PLACES: usize = 8;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Chunk {
    /// 0: the place is free.
    tags: [u16; PLACES],
    values: [u32; PLACES],
    /// Values that are further on since this was full.
    passed: u32,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    chunks: Vec<Chunk>,
}

/// The tag of a hash: what the chunk's number does not say of it.
#[inline]
fn tag(hash: u64) -> u16 {
    ((hash >> 48) as u16).max(1)
}

impl Index {
    /// With room for so many values.
    pub(super) fn new(values: usize) -> Self {
        let chunks = Self::chunks_for(values);
        let empty = Chunk {
            tags: [0; PLACES],
            values: [0; PLACES],
            passed: 0,
        };
        Self {
            chunks: vec![empty; chunks],
        }
    }

    fn chunks_for(values: usize) -> usize {
        // As few as do: the fewer pages of memory, the more of them are at hand.
        values.div_ceil(5).max(1)
    }

    /// The number of the first chunk of `hash`.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash & 0xffff_ffff) * self.chunks.len() as u64) >> 32) as usize
    }

    /// The chunk behind one.
    #[inline]
    fn behind(&self, at: usize) -> usize {
        if at + 1 == self.chunks.len() { 0 } else { at + 1 }
    }

    /// Bytes that [`Index::new`] takes.
    pub(super) fn bytes_for(values: usize) -> usize {
        Self::chunks_for(values) * size_of::<Chunk>()
    }

    /// Shows `each` where it is.
    pub(super) fn memory(&self, each: &mut impl FnMut(*const u8, usize)) {
        each(self.chunks.as_ptr().cast(), size_of_val(self.chunks.as_slice()));
    }

    /// Has `prefetch` fetch the first chunk of `hash`.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64, prefetch: impl Fn(*const u8)) {
        if let Some(chunk) = self.chunks.get(self.home(hash)) {
            prefetch(std::ptr::from_ref(chunk).cast());
        }
    }

    /// The first value with this hash for which `is` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let mut at = self.home(hash);
        for _ in 0..self.chunks.len() {
            let chunk = self.chunks.get(at)?;
            let mut found = chunk.matches(tag);
            while found != 0 {
                let place = place(found);
                if is(chunk.values[place]) {
                    return Some(chunk.values[place]);
                }
                found &= found - 1;
            }
            if chunk.passed == 0 {
                return None;
            }
            at = self.behind(at);
        }
        None
    }

    /// The first value whose place looks like that of `hash`.
    #[inline]
    pub(super) fn first(&self, hash: u64) -> Option<u32> {
        let chunk = self.chunks.get(self.home(hash))?;
        match chunk.matches(tag(hash)) {
            0 if chunk.passed != 0 => self.first_behind(hash),
            0 => None,
            found => Some(chunk.values[place(found)]),
        }
    }

    /// The same, where the first chunk does not have it.
    #[cold]
    fn first_behind(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Puts in a value. There must be room.
    pub(super) fn insert(&mut self, hash: u64, value: u32) {
        let mut at = self.home(hash);
        for _ in 0..self.chunks.len() {
            let Some(chunk) = self.chunks.get_mut(at) else {
                return;
            };
            if let Some(place) = chunk.tags.iter().position(|tag| *tag == 0) {
                chunk.tags[place] = tag(hash);
                chunk.values[place] = value;
                return;
            }
            chunk.passed += 1;
            at = self.behind(at);
        }
    }

    /// Takes out a value that was put in with this hash.
    pub(super) fn remove(&mut self, hash: u64, value: u32) {
        let mut at = self.home(hash);
        for passed in 0..self.chunks.len() {
            let Some(chunk) = self.chunks.get_mut(at) else {
                return;
            };
            let mut places = chunk.tags.iter().zip(&chunk.values);
            if let Some(place) = places.position(|(there, other)| *there == tag(hash) && *other == value) {
                chunk.tags[place] = 0;
                let mut back = self.home(hash);
                for _ in 0..passed {
                    if let Some(chunk) = self.chunks.get_mut(back) {
                        chunk.passed -= 1;
                    }
                    back = self.behind(back);
                }
                return;
            }
            if chunk.passed == 0 {
                return;
            }
            at = self.behind(at);
        }
    }
}

impl Chunk {
    /// A bit for each place with this tag, for [`place`].
    #[inline]
    fn matches(&self, tag: u16) -> u64 {
        // Four tags to a number, their upper bits set where they differ in nothing.
        const LOWER: u64 = 0x7fff_7fff_7fff_7fff;
        let tag = u64::from(tag) * 0x0001_0001_0001_0001;
        let equal = |tags: [u16; PLACES / 2]| {
            let [a, b, c, d] = tags.map(u64::from);
            let differ = (a | b << 16 | c << 32 | d << 48) ^ tag;
            !(((differ & LOWER) + LOWER) | differ | LOWER)
        };
        let [a, b, c, d, e, f, g, h] = self.tags;
        equal([a, b, c, d]) >> 15 | equal([e, f, g, h]) >> 14
    }
}

/// The place of the lowest of the bits that [`Chunk::matches`] gave.
#[inline]
fn place(bits: u64) -> usize {
    let bit = bits.trailing_zeros() as usize;
    (bit >> 4 | (bit & 1) << 2) % PLACES
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunk_is_a_cache_line() {
        assert_eq!(size_of::<Chunk>(), 64);
    }

    #[test]
    fn each_place_is_found_by_its_tag_and_no_other() {
        for number in 0..PLACES {
            for (tag, other) in [(1, 0x8001), (0x8000, 0), (0xffff, 0x7fff), (0x0100, 0x0101)] {
                let mut chunk = Chunk {
                    tags: [other; PLACES],
                    values: [0; PLACES],
                    passed: 0,
                };
                assert_eq!(chunk.matches(tag), 0);
                chunk.tags[number] = tag;
                assert_eq!(chunk.matches(tag).count_ones(), 1);
                assert_eq!(place(chunk.matches(tag)), number);
            }
        }
    }

    proptest! {
        /// Few hashes, so that chunks fill up and are passed.
        #[test]
        fn finds_what_is_in_it(steps in prop::collection::vec((any::<bool>(), 0..40_u64, 0..60_u32), 1..600)) {
            let mut index = Index::new(60);
            let mut model = HashSet::new();
            for (insert, hash, value) in steps {
                let hash = ((hash % 3) << 30) | ((hash % 2) << 50);
                if insert && model.len() < 60 && model.insert((hash, value)) {
                    index.insert(hash, value);
                } else if model.remove(&(hash, value)) {
                    index.remove(hash, value);
                }
                for (hash, value) in &model {
                    prop_assert_eq!(index.find(*hash, |other| other == *value), Some(*value));
                }
            }
            for (hash, value) in &model {
                index.remove(*hash, *value);
            }
            prop_assert!(index.chunks.iter().all(|chunk| chunk.passed == 0 && chunk.tags == [0; PLACES]));
        }
    }
}
