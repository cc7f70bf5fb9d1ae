//! What a change of one prefix does to the entries of its range.

use std::sync::atomic::AtomicU32;

use ipnet::Ipv4Net;

use crate::entry::Entry;
use crate::tables::{View, held, publish};

/// A new entry for those addresses of a range whose entry is of a certain depth.
pub(crate) struct Change {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) length: u8,
    /// Whether an entry of this depth is overwritten for a prefix of this length.
    overwrites: fn(u8, u8) -> bool,
    pub(crate) entry: Entry,
}

impl Change {
    pub(crate) fn of(prefix: Ipv4Net, overwrites: fn(u8, u8) -> bool, entry: Entry) -> Change {
        let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
        Change {
            first,
            last,
            length: prefix.prefix_len(),
            overwrites,
            entry,
        }
    }

    /// What it would be for the prefix of the addresses `first..=last` and its `entry`.
    pub(crate) fn for_other(&self, (first, last): (u32, u32), entry: Entry) -> Change {
        Change {
            first,
            last,
            length: entry.depth(),
            entry,
            overwrites: self.overwrites,
        }
    }

    /// For a prefix of up to 16 bits: all slots of its range, and all of the chunks there.
    pub(crate) fn in_root(&self, view: &View<'_>) {
        for slot in view.root_slots(self.first, self.last) {
            let entry = held(slot);
            if entry.is_lone() {
                self.apply(view.lone(entry.number()).beyond());
            } else if entry.is_extended() {
                self.in_slots(view, view.chunk(entry));
            } else {
                self.apply(slot);
            }
        }
    }

    /// For a prefix of 17 to 24 bits: its part of the chunk.
    pub(crate) fn in_chunk(&self, view: &View<'_>, chunk: Entry) {
        self.in_slots(view, view.chunk_slots(chunk, self.first, self.last));
    }

    /// Slots of a chunk, and all of the groups there.
    fn in_slots(&self, view: &View<'_>, slots: &[AtomicU32]) {
        for slot in slots {
            let entry = held(slot);
            if entry.is_extended() {
                view.group(entry.group()).iter().for_each(|slot| self.apply(slot));
            } else {
                self.apply(slot);
            }
        }
    }

    /// For a prefix beyond 24 bits: its part of the group.
    pub(crate) fn in_group(&self, view: &View<'_>, group: usize) {
        view.group_slots(group, self.first, self.last)
            .iter()
            .for_each(|slot| self.apply(slot));
    }

    fn apply(&self, slot: &AtomicU32) {
        if (self.overwrites)(held(slot).depth(), self.length) {
            publish(slot, self.entry);
        }
    }
}
