//! Lookups.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::ROOT_BITS;
use super::entry::Entry;
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
            let count = addresses.len().min(next_hops.len());
            lookups.finish(&mut next_hops[..count]);
        }
    }

    /// For up to 32 lookups together.
    #[inline(always)]
    pub fn begin(&self) -> Lookups6<'_> {
        Lookups6 {
            view: self.memory.view(),
            addresses: [0; BURST],
        }
    }
}

/// Lookups under way, as those of IPv4: [`Lookups4`](crate::Lookups4).
pub struct Lookups6<'f> {
    view: View<'f>,
    addresses: [u128; BURST],
}

impl Lookups6<'_> {
    /// Begins that of number `lane`, from 0 to 31, and gives `prefetch` what it will want.
    #[inline(always)]
    pub fn add(&mut self, lane: usize, address: u128, prefetch: impl FnOnce(&AtomicU64)) {
        if let Some(word) = self.view.word(Place::root(address)) {
            prefetch(word);
        }
        self.addresses[lane % BURST] = address;
    }

    /// Writes the next hops by number. As many must have been begun.
    #[inline]
    pub fn finish(&self, next_hops: &mut [NextHop]) {
        burst(&self.view, &self.addresses, next_hops);
    }
}

/// The leaf of `address`.
#[inline]
pub(crate) fn leaf(view: &View<'_>, address: u128) -> Entry {
    let mut entry = view.entry(Place::root(address));
    let mut key = address << ROOT_BITS;
    while entry.is_node() {
        let place;
        (place, key) = Header::read(view, entry.unit()).follow(key);
        entry = view.entry(place);
    }
    entry
}

/// Up to [`BURST`] addresses.
#[inline]
fn burst(view: &View<'_>, addresses: &[u128], next_hops: &mut [NextHop]) {
    let mut entries = [Entry::NONE; BURST];
    let mut keys = [0; BURST];
    let mut headers = [Header::NONE; BURST];
    let mut places = [Place(0); BURST];
    // Those that are at a node, kept together at the front; without a branch, which would be predicted badly.
    let mut at_node = [0u8; BURST];
    let mut count = 0;
    for (lane, (address, _)) in addresses.iter().zip(&*next_hops).enumerate().take(BURST) {
        entries[lane] = view.entry(Place::root(*address));
        keys[lane] = address << ROOT_BITS;
        at_node[count] = lane as u8;
        count += usize::from(entries[lane].is_node());
    }
    while count > 0 {
        let lanes = at_node.iter().take(count).map(|lane| usize::from(*lane) % BURST);
        // Each loop does little, so that the processor sees far ahead and all of the cache misses overlap.
        for lane in lanes.clone() {
            headers[lane] = Header::read(view, entries[lane].unit());
        }
        for lane in lanes.clone() {
            (places[lane], keys[lane]) = headers[lane].follow(keys[lane]);
        }
        for lane in lanes {
            entries[lane] = view.entry(places[lane]);
        }
        let mut left = 0;
        for at in 0..count.min(BURST) {
            let lane = at_node[at];
            at_node[left] = lane;
            left += usize::from(entries[usize::from(lane) % BURST].is_node());
        }
        count = left;
    }
    for ((_, next_hop), entry) in addresses.iter().zip(next_hops).zip(entries) {
        *next_hop = entry.next_hop();
    }
}

impl<T> Clone for Fib6Reader<T> {
    fn clone(&self) -> Self {
        Fib6Reader {
            memory: Arc::clone(&self.memory),
        }
    }
}
