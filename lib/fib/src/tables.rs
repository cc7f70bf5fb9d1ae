//! The tables: memory that the caller gives, entries read and written atomically.
//!
//! tbl24 is in pieces: a root on the first 16 bits, and for each of its entries that needs one a chunk of 256 entries for the next
//! 8 bits. Chunks are taken in the order of need, so that they lie side by side: what is looked up often then fills few pages of
//! memory, whatever the addresses are. There is one for every /16, and a /16 keeps what it was given.
//!
//! Where a /16 has one prefix only that is longer, its entry in the root names four words in place of a chunk: see [`Lone`]. Tables
//! of few routes stay in the caches so, and need neither chunks nor groups.
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

/// Entries of the root: one for every value of an address's first 16 bits.
const ROOT_ENTRIES: usize = 1 << 16;
/// Lone prefixes that there may be: one for every entry of the root.
pub(crate) const LONE_PREFIXES: usize = ROOT_ENTRIES;
/// Words of a lone prefix.
const LONE_WORDS: usize = 4;
/// Entries of tbl24: the root, the lone prefixes, and one for every value of an address's first 24 bits (65.25 MiB).
pub const TBL24_ENTRIES: usize = ROOT_ENTRIES + LONE_PREFIXES * LONE_WORDS + (1 << 24);
/// Entries of a chunk: one for every value of the third octet.
const CHUNK_ENTRIES: usize = 256;
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

/// The only prefix of more than 16 bits in its /16.
///
/// The first word has the least of the prefix's addresses in its low half and how many there are besides in its high half, both
/// without their first 16 bits. Then come the entry of the addresses beyond the prefix and that of those in it.
#[derive(Clone, Copy)]
pub(crate) struct Lone<'a>(&'a [AtomicU32; LONE_WORDS]);

impl<'a> Lone<'a> {
    /// The slot of `address`.
    #[inline(always)]
    pub(crate) fn slot(self, address: u32) -> &'a AtomicU32 {
        let range = self.range().load(Acquire);
        let from_first = (address as u16).wrapping_sub(range as u16);
        if from_first <= (range >> 16) as u16 {
            self.within()
        } else {
            self.beyond()
        }
    }

    /// Which addresses are in the prefix.
    #[inline(always)]
    pub(crate) fn range(self) -> &'a AtomicU32 {
        let [range, ..] = self.0;
        range
    }

    /// The slot of the addresses beyond the prefix.
    #[inline(always)]
    pub(crate) fn beyond(self) -> &'a AtomicU32 {
        let [_, beyond, ..] = self.0;
        beyond
    }

    /// The slot of the addresses in the prefix.
    #[inline(always)]
    pub(crate) fn within(self) -> &'a AtomicU32 {
        let [_, _, within, _] = self.0;
        within
    }

    /// Makes it the addresses `first..=last` of a /16, and gives both kinds their entries. Nobody must see it before.
    pub(crate) fn fill(self, (first, last): (u32, u32), beyond: Entry, within: Entry) {
        self.range().store((last - first) << 16 | first & 0xffff, Release);
        publish(self.beyond(), beyond);
        publish(self.within(), within);
    }

    /// Its first and its last address, in the /16 of `address`.
    pub(crate) fn bounds(self, address: u32) -> (u32, u32) {
        let range = self.range().load(Relaxed);
        let first = address & 0xffff_0000 | range & 0xffff;
        (first, first + (range >> 16))
    }
}

/// The tables borrowed for some lookups or for a change: lengths known, so that indices need no check.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    root: &'a [AtomicU32; ROOT_ENTRIES],
    lone: &'a [[AtomicU32; LONE_WORDS]; LONE_PREFIXES],
    chunks: &'a [[AtomicU32; CHUNK_ENTRIES]; ROOT_ENTRIES],
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
        // Chunks and groups are filled before an entry names them.
        for entry in tbl24.iter().take(ROOT_ENTRIES) {
            entry.store(Entry::NONE.0, Relaxed);
        }
        Ok(Tables { tbl24, tbl8 })
    }

    /// Fails only if the storage does not keep the length that it had at first.
    #[inline]
    pub(crate) fn view(&self) -> Result<View<'_>, FibError> {
        let wrong = || FibError::Tbl24Length {
            got: self.tbl24.len(),
        };
        let (root, rest) = self.tbl24.split_first_chunk().ok_or_else(wrong)?;
        let (lone, rest) = rest
            .split_at_checked(LONE_PREFIXES * LONE_WORDS)
            .ok_or_else(wrong)?;
        let lone = lone.as_chunks().0.first_chunk().ok_or_else(wrong)?;
        let chunks = rest.as_chunks().0.first_chunk().ok_or_else(wrong)?;
        let (groups, _) = self.tbl8.as_chunks();
        Ok(View {
            root,
            lone,
            chunks,
            groups,
        })
    }

    pub(crate) fn groups(&self) -> usize {
        self.tbl8.len() / GROUP_ENTRIES
    }
}

impl<'a> View<'a> {
    /// The slot of `address` in a chunk; of the number, 16 bits count.
    #[inline(always)]
    pub(crate) fn in_chunk(&self, number: u32, address: u32) -> &'a AtomicU32 {
        &self.chunks[usize::from(number as u16)][(address >> 8 & 0xff) as usize]
    }

    /// A lone prefix; of the number, 16 bits count.
    #[inline(always)]
    pub(crate) fn lone(&self, number: u32) -> Lone<'a> {
        Lone(&self.lone[usize::from(number as u16)])
    }

    /// Where a lookup of `address` begins.
    #[inline(always)]
    pub(crate) fn root_slot(&self, address: u32) -> &'a AtomicU32 {
        &self.root[(address >> 16) as usize]
    }

    /// The entry of `address` in a group, as a reader loads it.
    #[inline]
    pub(crate) fn in_group(&self, number: u32, address: u32) -> Entry {
        match self.groups.get(number as usize) {
            Some(group) => seen(&group[(address & 0xff) as usize]),
            None => Entry::NONE,
        }
    }

    /// The root's slots of the addresses `first..=last`.
    pub(crate) fn root_slots(&self, first: u32, last: u32) -> &'a [AtomicU32] {
        self.root
            .get((first >> 16) as usize..=(last >> 16) as usize)
            .unwrap_or_default()
    }

    /// The slots of the chunk that `extended` names for the third octets of the addresses `first..=last`, which share their
    /// first 16 bits.
    pub(crate) fn chunk_slots(&self, extended: Entry, first: u32, last: u32) -> &'a [AtomicU32] {
        let range = (first >> 8 & 0xff) as usize..=(last >> 8 & 0xff) as usize;
        self.chunk(extended).get(range).unwrap_or_default()
    }

    /// All slots of the chunk that `extended` names.
    #[inline(always)]
    pub(crate) fn chunk(&self, extended: Entry) -> &'a [AtomicU32; CHUNK_ENTRIES] {
        &self.chunks[usize::from(extended.0 as u16)]
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

/// What `slot` holds, as a reader loads it.
#[inline(always)]
pub(crate) fn seen(slot: &AtomicU32) -> Entry {
    Entry(slot.load(Acquire))
}

/// What `slot` holds, as the writer loads it.
pub(crate) fn held(slot: &AtomicU32) -> Entry {
    Entry(slot.load(Relaxed))
}

/// Makes `slot` hold `entry`, with all that was done before.
pub(crate) fn publish(slot: &AtomicU32, entry: Entry) {
    slot.store(entry.0, Release);
}
