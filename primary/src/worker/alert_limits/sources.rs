//! A bucket for each source of router alerts, of the [`SOURCES`] that sent last.
//!
//! Memory is set aside at the start, and a packet costs the same whatever others sent: sources are found by a hash with a key
//! that nobody else knows, so nobody can choose sources that stand in each other's way.
//!
//! A flood from random sources makes each of them a new one, with a full bucket. It is not this bucket that holds it up but those of its
//! interface and of all: a source gets a place only when a packet of it is let through by all others, so each place costs a token of
//! theirs. Whoever sends on is never the oldest, refused or not: to push a source out between two of its packets, as many
//! others as there are places have to be let through. A source that was pushed out and comes again begins with a full bucket, so at
//! most its burst is forgiven.

use std::hash::{BuildHasher, RandomState};

use super::super::policer::Bucket;
use crate::attachments::Oldest;

/// Sources that a worker knows.
pub(super) const SOURCES: usize = 4096;

/// No place.
const NONE: u16 = u16::MAX;

struct Entry {
    source: u64,
    bucket: Bucket,
    /// The next with the same hash.
    next: u16,
}

/// The sources that sent last.
pub(super) struct Sources {
    key: RandomState,
    /// By hash: the first.
    heads: Vec<u16>,
    entries: Vec<Entry>,
    most: usize,
    /// Who sent longest ago.
    oldest: Oldest,
}

impl Sources {
    /// With room for `most`, fewer than 65,536.
    pub(super) fn new(most: usize) -> Self {
        Self {
            key: RandomState::new(),
            heads: vec![NONE; (2 * most).next_power_of_two()],
            entries: Vec::with_capacity(most),
            most,
            oldest: Oldest::new(most as u32),
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.heads.fill(NONE);
        for place in 0..self.entries.len() {
            self.oldest.remove(place as u32);
        }
        self.entries.clear();
    }

    /// The bucket of a source that is known, and is now the last that sent.
    pub(super) fn find(&mut self, source: u64) -> Option<&mut Bucket> {
        let place = self.place(source)?;
        self.oldest.remove(place.into());
        self.oldest.push(place.into());
        Some(&mut self.entries[usize::from(place)].bucket)
    }

    /// The bucket of a source; one that is not known gets a new one, if need be in the place of the one that sent longest ago.
    pub(super) fn find_or_insert(&mut self, source: u64, bucket: impl FnOnce() -> Bucket) -> &mut Bucket {
        let place = match self.place(source) {
            Some(place) => place,
            None => self.insert(source, bucket()),
        };
        &mut self.entries[usize::from(place)].bucket
    }

    fn insert(&mut self, source: u64, bucket: Bucket) -> u16 {
        let head = self.head(source);
        let entry = Entry {
            source,
            bucket,
            next: self.heads[head],
        };
        let place = match self.oldest.first() {
            Some(oldest) if self.entries.len() == self.most => {
                self.push_out(oldest as u16);
                // It may have been the first with this hash.
                let next = self.heads[head];
                self.entries[oldest as usize] = Entry { next, ..entry };
                oldest as u16
            }
            _ => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u16
            }
        };
        self.heads[head] = place;
        self.oldest.push(place.into());
        place
    }

    fn push_out(&mut self, place: u16) {
        self.oldest.remove(place.into());
        let Entry { source, next, .. } = self.entries[usize::from(place)];
        let head = self.head(source);
        if self.heads[head] == place {
            self.heads[head] = next;
            return;
        }
        let mut before = self.heads[head];
        while let Some(entry) = self.entries.get_mut(usize::from(before)) {
            if entry.next == place {
                entry.next = next;
                return;
            }
            before = entry.next;
        }
    }

    fn place(&self, source: u64) -> Option<u16> {
        let mut place = self.heads[self.head(source)];
        loop {
            let entry = self.entries.get(usize::from(place))?;
            if entry.source == source {
                return Some(place);
            }
            place = entry.next;
        }
    }

    fn head(&self, source: u64) -> usize {
        self.key.hash_one(source) as usize % self.heads.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn req_ra_31_those_that_sent_last_are_known_and_no_others(
            steps in prop::collection::vec((0u64..24, any::<bool>()), 0..400),
        ) {
            const MOST: usize = 8;
            let mut sources = Sources::new(MOST);
            // The last that sent stands last, with the number of its bucket.
            let mut expected: Vec<(u64, u64)> = Vec::new();
            for (number, (source, inserts)) in (1u64..).zip(steps) {
                let place = expected.iter().position(|(other, _)| *other == source);
                let known = place.map(|place| expected.remove(place));
                expected.extend(known);
                let found = sources.find(source).copied();
                prop_assert_eq!(found, known.map(|(_, number)| bucket(number)));
                if inserts {
                    let found = *sources.find_or_insert(source, || bucket(number));
                    if known.is_none() {
                        expected.push((source, number));
                        if expected.len() > MOST {
                            expected.remove(0);
                        }
                    }
                    prop_assert_eq!(Some(found), expected.last().map(|(_, number)| bucket(*number)));
                }
            }
            for (source, number) in expected {
                prop_assert_eq!(sources.find(source).copied(), Some(bucket(number)));
            }
            sources.clear();
            prop_assert!((0..24).all(|source| sources.find(source).is_none()));
        }
    }

    /// One that differs from those with other numbers.
    fn bucket(number: u64) -> Bucket {
        Bucket::new(1_000_000, number, 1, 0)
    }

    #[test]
    fn nothing_is_allocated_once_it_is_made() {
        let mut sources = Sources::new(SOURCES);
        let capacity = sources.entries.capacity();
        for source in 0..3 * SOURCES as u64 {
            sources.find_or_insert(source << 32, || bucket(1));
        }
        assert_eq!(
            (sources.entries.len(), sources.entries.capacity()),
            (SOURCES, capacity)
        );
    }
}
