//! Lookups.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::ROOT_BITS;
use super::entry::Entry;
use super::key::Key;
use super::memory::{Memory, Place, Storage6, View};
use super::node::Header;
use crate::NextHop;

/// Addresses that are looked up side by side.
const BURST: usize = 32;

/// Looks addresses up. Clones are cheap and see the same memory; each worker has its own.
///
/// A worker that looks up beside a writer passes its [`Checkpoint`](crate::Checkpoint) between lookups, and never
/// keeps a [`NextHop`] beyond that if next hops are reused: see [`quiescence`](crate::quiescence).
pub struct Fib6Reader<T> {
    memory: Arc<Memory<T>>,
}

impl<T: Storage6> Fib6Reader<T> {
    pub(crate) fn new(memory: Arc<Memory<T>>) -> Self {
        Fib6Reader { memory }
    }

    /// The next hop of the longest prefix that holds `address` (host byte order: `u128::from(Ipv6Addr)`);
    /// [`NextHop::NONE`] if none does.
    #[inline]
    pub fn lookup(&self, address: u128) -> NextHop {
        leaf(&self.memory.view(), address).next_hop()
    }

    /// Looks up `addresses` and writes their next hops to the same places of `next_hops`, up to the shorter of both.
    ///
    /// Goes down level by level, 32 addresses at a time, so that their cache misses overlap.
    pub fn lookup_burst(&self, addresses: &[u128], next_hops: &mut [NextHop]) {
        for (addresses, next_hops) in addresses.chunks(BURST).zip(next_hops.chunks_mut(BURST)) {
            let mut lookups = self.begin();
            for (lane, address) in addresses.iter().enumerate() {
                lookups.add(lane, *address, |_| {});
            }
            let mut found = [NextHop::NONE; BURST];
            lookups.finish(addresses.len(), &mut found, |_| {});
            for (next_hop, found) in next_hops.iter_mut().zip(&found).take(addresses.len()) {
                *next_hop = *found;
            }
        }
    }

    /// For up to 32 lookups together.
    #[inline(always)]
    pub fn begin(&self) -> Lookups6<'_> {
        Lookups6 {
            view: self.memory.view(),
            keys: [Key::ZERO; BURST],
        }
    }
}

/// Lookups under way, as those of IPv4: [`Lookups4`](crate::Lookups4).
pub struct Lookups6<'f> {
    view: View<'f>,
    keys: [Key; BURST],
}

impl Lookups6<'_> {
    /// Begins that of number `lane`, from 0 to 31, and gives `prefetch` what it will want.
    #[inline(always)]
    pub fn add(&mut self, lane: usize, address: u128, prefetch: impl FnOnce(&AtomicU64)) {
        if let Some(word) = self.view.word(Place::root(address)) {
            prefetch(word);
        }
        self.keys[lane % BURST] = Key::new(address);
    }

    /// Writes the next hops of the first `count`, at most 32, by number. As many must have been begun. Gives `prefetch` what it will
    /// want.
    // Not inlined: its loops have the registers to themselves.
    #[inline(never)]
    #[expect(clippy::needless_range_loop, reason = "the number of a lane is what is kept")]
    pub fn finish(&mut self, count: usize, next_hops: &mut [NextHop; BURST], prefetch: impl Fn(&AtomicU64)) {
        let mut entries = [Entry::NONE; BURST];
        // Those that are at a node, kept together at the front; without a branch, which would be predicted badly.
        let (mut at_node, mut nodes) = ([0u8; BURST], 0);
        for lane in 0..count.min(BURST) {
            let mut entry = self.view.entry(self.keys[lane].root());
            // Most go down one node and no further.
            if entry.is_node() {
                let key = self.keys[lane].after(ROOT_BITS);
                let (place, key) = Header::read(&self.view, entry.unit()).follow(key);
                self.keys[lane] = key;
                entry = self.view.entry(place);
            }
            entries[lane] = entry;
            at_node[nodes % BURST] = lane as u8;
            nodes += usize::from(entry.is_node());
        }
        while nodes > 0 {
            // The misses of all of them are under way before the first is waited for.
            for lane in at_node.iter().take(nodes) {
                if let Some(word) = self.view.first_word(entries[usize::from(*lane) % BURST].unit()) {
                    prefetch(word);
                }
            }
            let mut left = 0;
            for at in 0..nodes.min(BURST) {
                let lane = usize::from(at_node[at]) % BURST;
                let header = Header::read(&self.view, entries[lane].unit());
                let (place, key) = header.follow(self.keys[lane]);
                let entry = self.view.entry(place);
                entries[lane] = entry;
                self.keys[lane] = key;
                at_node[left % BURST] = lane as u8;
                left += usize::from(entry.is_node());
            }
            nodes = left;
        }
        for (next_hop, entry) in next_hops.iter_mut().zip(&entries) {
            *next_hop = entry.next_hop();
        }
    }
}

/// The leaf of `address`.
#[inline]
pub(crate) fn leaf(view: &View<'_>, address: u128) -> Entry {
    let mut key = Key::new(address);
    let mut entry = view.entry(key.root());
    key = key.after(ROOT_BITS);
    while entry.is_node() {
        let place;
        (place, key) = Header::read(view, entry.unit()).follow(key);
        entry = view.entry(place);
    }
    entry
}

impl<T> Clone for Fib6Reader<T> {
    fn clone(&self) -> Self {
        Fib6Reader {
            memory: Arc::clone(&self.memory),
        }
    }
}
