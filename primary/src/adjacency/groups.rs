//! Groups: the adjacencies that share the flows of a route, and the MTU of a route that has its own.
//!
//! ```text
//!   word 0    seed of the hash (32 bits) │ MTU (16 bits) │ buckets - 1 (16 bits)
//!   word 1…   two adjacencies each (32 bits): the hash of a flow names a bucket, and the bucket an adjacency
//! ```
//!
//! A next hop of the FIB names a group by its bit 23, below which is the group's number. What a bucket leads to changes by
//! one store; how many there are never does. Groups are retired as adjacencies are.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use fib::{NextHop, Quiescence, Retired};

/// The most buckets of a group, a power of two.
pub const BUCKETS: usize = 256;
/// Words per group.
pub const GROUP_WORDS: usize = 1 + BUCKETS / 2;
/// What is set in next hops that are groups. Adjacencies are fewer.
const GROUP: u32 = 1 << 23;

/// Whether any of these next hops is a group.
#[inline]
pub fn any_group(next_hops: &[NextHop]) -> bool {
    next_hops.iter().fold(0, |seen, next_hop| seen | next_hop.get()) & GROUP != 0
}

/// A group as a worker sees it.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    header: u64,
    buckets: &'a [AtomicU64],
}

impl<'a> Group<'a> {
    /// The group that `next_hop` names, of those that lie in `words` from `first` on.
    #[inline]
    pub(super) fn of(words: &'a [AtomicU64], first: usize, next_hop: NextHop) -> Option<Self> {
        if next_hop.get() & GROUP == 0 {
            return None;
        }
        let at = first + (next_hop.get() & (GROUP - 1)) as usize * GROUP_WORDS;
        let (header, buckets) = words.get(at..at + GROUP_WORDS)?.split_first()?;
        // Acquire: as with adjacencies, what was written before the group was published is seen with it.
        let header = header.load(Ordering::Acquire);
        Some(Self { header, buckets })
    }

    /// The adjacency of a flow, whose hash is only made where there is a choice.
    #[inline]
    pub fn adjacency(self, hash: impl FnOnce(u32) -> u32) -> NextHop {
        match self.header as u16 {
            0 => self.bucket(0),
            mask => self.bucket(usize::from(hash((self.header >> 32) as u32) as u16 & mask)),
        }
    }

    /// The longest packet that goes by the route, bytes.
    #[inline]
    pub fn mtu(self) -> u16 {
        (self.header >> 16) as u16
    }

    /// Where each bucket leads.
    pub fn buckets(self) -> impl Iterator<Item = NextHop> {
        (0..=usize::from(self.header as u16)).map(move |bucket| self.bucket(bucket))
    }

    #[inline]
    fn bucket(self, bucket: usize) -> NextHop {
        let word = self
            .buckets
            .get(bucket / 2)
            .map_or(0, |word| word.load(Ordering::Acquire));
        NextHop::new((word >> (bucket % 2 * 32)) as u32).unwrap_or_default()
    }
}

/// The control thread's side of the groups.
pub(super) struct GroupSlots {
    /// Their words among those of the adjacencies.
    words: Range<usize>,
    free: Vec<NextHop>,
    next: u32,
    retired: Retired<NextHop>,
}

impl GroupSlots {
    pub(super) fn new(words: Range<usize>) -> Self {
        Self {
            words,
            free: Vec::new(),
            next: 0,
            retired: Retired::new(),
        }
    }

    pub(super) fn first_word(&self) -> usize {
        self.words.start
    }

    /// A group that nobody uses.
    pub(super) fn allocate(&mut self) -> Option<NextHop> {
        if let Some(next_hop) = self.free.pop() {
            return Some(next_hop);
        }
        if self.next as usize >= self.words.len() / GROUP_WORDS {
            return None;
        }
        self.next += 1;
        NextHop::new(GROUP | (self.next - 1))
    }

    /// Gives a group back that no route leads to any more.
    pub(super) fn retire(&mut self, next_hop: NextHop) {
        self.retired.push(next_hop);
    }

    /// Writes a group: its header last, for whoever finds it new.
    pub(super) fn set(
        &self,
        words: &[AtomicU64],
        next_hop: NextHop,
        seed: u32,
        mtu: u16,
        buckets: &[NextHop],
    ) {
        let at = self.words.start + (next_hop.get() & (GROUP - 1)) as usize * GROUP_WORDS;
        let Some((header, cells)) = words
            .get(at..at + GROUP_WORDS)
            .and_then(|group| group.split_first())
        else {
            return;
        };
        for (cell, pair) in cells.iter().zip(buckets.chunks(2)) {
            let adjacency = |index: usize| u64::from(pair.get(index).map_or(0, |next_hop| next_hop.get()));
            cell.store(adjacency(1) << 32 | adjacency(0), Ordering::Release);
        }
        let mask = buckets.len().saturating_sub(1) as u64 & 0xffff;
        let word = u64::from(seed) << 32 | u64::from(mtu) << 16 | mask;
        header.store(word, Ordering::Release);
    }

    /// Frees what was retired before all workers passed.
    pub(super) fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        let free = &mut self.free;
        self.retired.reclaim(quiescence, |next_hop| free.push(next_hop))
    }

    /// Groups in use, retired ones included.
    pub(super) fn in_use(&self) -> usize {
        self.next as usize - self.free.len()
    }
}
