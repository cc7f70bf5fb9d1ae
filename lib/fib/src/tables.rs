//! The two tables: memory that the caller gives, entries read and written atomically.
//!
//! Memory ordering. Every store that a reader may meet is `Release` and every load of a reader `Acquire`. So whoever
//! sees an entry sees what the writer did before it stored it: the 256 entries of a group that an extended entry
//! names, and whatever the caller filled in behind a next hop before it inserted the route (an adjacency). On x86 both
//! are plain moves. The writer is alone and loads `Relaxed`.

use std::ops::Deref;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::FibError;
use crate::entry::Entry;

/// Entries of tbl24: one for every value of an address's first 24 bits (64 MiB).
pub const TBL24_ENTRIES: usize = 1 << 24;
/// Entries of a tbl8 group: one for every value of an address's last 8 bits (1 KiB).
pub const GROUP_ENTRIES: usize = 256;
/// Groups that an extended entry can name.
const MAX_GROUPS: usize = 1 << 25;

/// Memory for a table: a slice of fixed length. Hugepages in production, a `Box<[AtomicU32]>` in tests.
pub trait Storage: Deref<Target = [AtomicU32]> + Send + Sync + 'static {}

impl<T: Deref<Target = [AtomicU32]> + Send + Sync + 'static> Storage for T {}

/// tbl24 and the pool of tbl8 groups, shared by the writer and all readers.
pub(crate) struct Tables<T> {
    tbl24: T,
    tbl8: T,
}

/// The tables borrowed for some lookups or for a change: lengths known, so that indices need no check.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    tbl24: &'a [AtomicU32; TBL24_ENTRIES],
    groups: &'a [[AtomicU32; GROUP_ENTRIES]],
}

impl<T: Storage> Tables<T> {
    /// Refuses slices of the wrong length; makes every address have no route.
    pub(crate) fn new(tbl24: T, tbl8: T) -> Result<Tables<T>, FibError> {
        let got = tbl24.len();
        if got != TBL24_ENTRIES {
            return Err(FibError::Tbl24Length { got });
        }
        let got = tbl8.len();
        if !got.is_multiple_of(GROUP_ENTRIES) || got / GROUP_ENTRIES > MAX_GROUPS {
            return Err(FibError::Tbl8Length { got });
        }
        // Fresh memory is zero already; reading it costs less than dirtying it.
        for entry in tbl24.iter().filter(|entry| entry.load(Relaxed) != Entry::NONE.0) {
            entry.store(Entry::NONE.0, Relaxed);
        }
        Ok(Tables { tbl24, tbl8 })
    }

    /// Fails only if the storage does not keep the length that it had at first.
    #[inline]
    pub(crate) fn view(&self) -> Result<View<'_>, FibError> {
        let tbl24 = self.tbl24.first_chunk().ok_or(FibError::Tbl24Length {
            got: self.tbl24.len(),
        })?;
        let (groups, _) = self.tbl8.as_chunks();
        Ok(View { tbl24, groups })
    }

    pub(crate) fn groups(&self) -> usize {
        self.tbl8.len() / GROUP_ENTRIES
    }
}

impl<'a> View<'a> {
    /// The entry of `address` in tbl24, as a reader loads it.
    #[inline]
    pub(crate) fn first(&self, address: u32) -> Entry {
        Entry(self.tbl24[(address >> 8) as usize].load(Acquire))
    }

    /// The answer for `address` if `first` is its entry in tbl24: that of the group which `first` names, if it names one.
    ///
    /// Without a branch, which would be taken as often as addresses have long prefixes, and predicted as badly: for other
    /// entries it loads from the first group what it then does not use.
    #[inline]
    pub(crate) fn second_if_extended(&self, first: Entry, address: u32) -> Entry {
        let mask = first.extended_mask();
        let (group, place) = (first.0 & mask, address & mask);
        let second = self.second(Entry(group), place);
        Entry(first.0 & !mask | second.0 & mask)
    }

    /// The entry of `address` in the group that `extended` names, as a reader loads it.
    #[inline]
    pub(crate) fn second(&self, extended: Entry, address: u32) -> Entry {
        match self.groups.get(extended.group()) {
            Some(group) => Entry(group[(address & 0xff) as usize].load(Acquire)),
            None => Entry::NONE,
        }
    }

    /// The tbl24 slots of the addresses `first..=last`.
    pub(crate) fn slots(&self, first: u32, last: u32) -> &'a [AtomicU32] {
        self.tbl24
            .get((first >> 8) as usize..=(last >> 8) as usize)
            .unwrap_or_default()
    }

    /// The slots of `group` for the last octets of the addresses `first..=last`, which share their first 24 bits.
    pub(crate) fn group_slots(&self, group: usize, first: u32, last: u32) -> &'a [AtomicU32] {
        let range = (first & 0xff) as usize..=(last & 0xff) as usize;
        self.groups
            .get(group)
            .and_then(|group| group.get(range))
            .unwrap_or_default()
    }

    /// All slots of `group`.
    pub(crate) fn group(&self, group: usize) -> &'a [AtomicU32] {
        self.groups
            .get(group)
            .map(|group| group.as_slice())
            .unwrap_or_default()
    }
}

/// What `slot` holds, as the writer loads it.
pub(crate) fn held(slot: &AtomicU32) -> Entry {
    Entry(slot.load(Relaxed))
}

/// Makes `slot` hold `entry`, with all that was done before.
pub(crate) fn publish(slot: &AtomicU32, entry: Entry) {
    slot.store(entry.0, Release);
}
