//! Which lone prefixes, chunks and groups of the tables are free, used or retired, and how prefixes beyond 16 bits take them.

use std::sync::atomic::AtomicU32;

use crate::change::Change;
use crate::entry::Entry;
use crate::quiescence::Quiescence;
use crate::retired::Retired;
use crate::tables::{LONE_PREFIXES, View, held, publish};
use crate::writer::FibError;

/// All of them.
pub(crate) struct Places {
    lone: LonePrefixes,
    chunks: Chunks,
    groups: Groups,
}

/// Which places for lone prefixes are free or retired.
struct LonePrefixes {
    free: Vec<u32>,
    retired: Retired<u32>,
}

/// Which chunks are used.
struct Chunks {
    /// Those below.
    used: u32,
}

/// Which tbl8 groups are free, used or retired.
struct Groups {
    free: Vec<u32>,
    /// For each group in use, how many prefixes longer than 24 bits live in it (at most 510).
    prefixes: Vec<u16>,
    retired: Retired<u32>,
}

impl Places {
    /// All free, with `groups` tbl8 groups: below 2^25. The lowest are used first.
    pub(crate) fn new(groups: usize) -> Places {
        Places {
            lone: LonePrefixes {
                free: (0..LONE_PREFIXES as u32).rev().collect(),
                retired: Retired::new(),
            },
            chunks: Chunks { used: 0 },
            groups: Groups {
                free: (0..groups as u32).rev().collect(),
                prefixes: vec![0; groups],
                retired: Retired::new(),
            },
        }
    }

    pub(crate) fn free_groups(&self) -> usize {
        self.groups.free.len()
    }

    pub(crate) fn retired_groups(&self) -> usize {
        self.groups.retired.len()
    }

    /// Makes free what no worker can be reading any more; gives the number of groups.
    pub(crate) fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        let LonePrefixes { free, retired } = &mut self.lone;
        retired.reclaim(quiescence, |number| free.push(number));
        let Groups { free, retired, .. } = &mut self.groups;
        retired.reclaim(quiescence, |group| free.push(group))
    }

    /// Inserts a prefix beyond 16 bits below `slot` of the root, or changes it. Changes nothing if it fails.
    pub(crate) fn insert(
        &mut self,
        view: &View<'_>,
        slot: &AtomicU32,
        change: &Change,
        is_new: bool,
    ) -> Result<(), FibError> {
        let entry = held(slot);
        if !entry.is_extended() {
            self.insert_first(view, slot, change)
        } else if entry.is_lone() {
            self.insert_beside(view, slot, change)
        } else {
            self.insert_in(view, entry, change, is_new)
        }
    }

    /// Removes a prefix beyond 16 bits that is below `slot` of the root.
    pub(crate) fn remove(&mut self, view: &View<'_>, slot: &AtomicU32, change: &Change) {
        let entry = held(slot);
        if entry.is_lone() {
            publish(slot, held(view.lone(entry.number()).beyond()));
            self.lone.retired.push(entry.number());
        } else if change.length <= 24 {
            change.in_chunk(view, entry);
        } else {
            self.groups.remove_long(view, entry, change);
        }
    }

    /// The first prefix beyond 16 bits in the /16 that `slot` of the root is for.
    fn insert_first(&mut self, view: &View<'_>, slot: &AtomicU32, change: &Change) -> Result<(), FibError> {
        let beyond = held(slot);
        let Some(number) = self.lone.free.pop() else {
            // All are in use or retired.
            self.groups.must_have(usize::from(change.length > 24))?;
            let chunk = self.chunks.fresh(view, beyond);
            self.insert_in(view, chunk, change, true)?;
            publish(slot, chunk);
            return Ok(());
        };
        let entry = Entry::lone(number);
        view.lone(entry.number())
            .fill((change.first, change.last), beyond, change.entry);
        publish(slot, entry);
        Ok(())
    }

    /// A prefix beyond 16 bits where there is one already: that one, or a second.
    fn insert_beside(&mut self, view: &View<'_>, slot: &AtomicU32, change: &Change) -> Result<(), FibError> {
        let entry = held(slot);
        let lone = view.lone(entry.number());
        let (first, last) = lone.bounds(change.first);
        if (first, last) == (change.first, change.last) {
            publish(lone.within(), change.entry);
            return Ok(());
        }
        let within = held(lone.within());
        let other = change.for_other((first, last), within);
        let both = [&other, change];
        let groups = match both.map(|change| (change.length > 24).then_some(change.first >> 8)) {
            [Some(one), Some(other)] if one == other => 1,
            groups => groups.iter().flatten().count(),
        };
        self.groups.must_have(groups)?;
        let chunk = self.chunks.fresh(view, held(lone.beyond()));
        for change in both {
            self.insert_in(view, chunk, change, true)?;
        }
        publish(slot, chunk);
        self.lone.retired.push(entry.number());
        Ok(())
    }

    /// A prefix beyond 16 bits in `chunk`.
    fn insert_in(
        &mut self,
        view: &View<'_>,
        chunk: Entry,
        change: &Change,
        is_new: bool,
    ) -> Result<(), FibError> {
        if change.length <= 24 {
            change.in_chunk(view, chunk);
            return Ok(());
        }
        self.groups.insert_long(view, chunk, change, is_new)
    }
}

impl Chunks {
    /// What names the next free chunk, with `entry` in all of its slots. There is one for each slot of the root.
    fn fresh(&mut self, view: &View<'_>, entry: Entry) -> Entry {
        let chunk = Entry::extended(self.used);
        self.used += 1;
        view.chunk(chunk).iter().for_each(|slot| publish(slot, entry));
        chunk
    }
}

impl Groups {
    /// Refuses unless `count` of them are free.
    fn must_have(&self, count: usize) -> Result<(), FibError> {
        if self.free.len() >= count {
            return Ok(());
        }
        Err(FibError::Tbl8Exhausted {
            groups: self.prefixes.len(),
            retired: self.retired.len(),
        })
    }

    /// Inserts a prefix beyond 24 bits, in the group of its /24 or in a fresh one.
    fn insert_long(
        &mut self,
        view: &View<'_>,
        chunk: Entry,
        change: &Change,
        is_new: bool,
    ) -> Result<(), FibError> {
        for slot in view.chunk_slots(chunk, change.first, change.last) {
            let entry = held(slot);
            let group = if entry.is_extended() {
                change.in_group(view, entry.group());
                entry.group()
            } else {
                self.must_have(1)?;
                let Some(group) = self.free.pop() else {
                    continue;
                };
                // Nobody can see the group before the slot names it.
                view.group(group as usize)
                    .iter()
                    .for_each(|slot| publish(slot, entry));
                change.in_group(view, group as usize);
                publish(slot, Entry::extended(group));
                group as usize
            };
            if let Some(prefixes) = self.prefixes.get_mut(group) {
                *prefixes += u16::from(is_new);
            }
        }
        Ok(())
    }

    /// Removes a prefix beyond 24 bits. With the last one of a /24 the group goes: all of its entries would become
    /// the answer of the prefix that covers the /24, so that answer goes to the chunk in one store.
    fn remove_long(&mut self, view: &View<'_>, chunk: Entry, change: &Change) {
        for slot in view.chunk_slots(chunk, change.first, change.last) {
            let group = held(slot).group();
            let Some(prefixes) = self.prefixes.get_mut(group) else {
                return;
            };
            *prefixes -= 1;
            if *prefixes == 0 {
                publish(slot, change.entry);
                // Below 2^25, as every group that an entry names.
                self.retired.push(group as u32);
            } else {
                change.in_group(view, group);
            }
        }
    }
}
