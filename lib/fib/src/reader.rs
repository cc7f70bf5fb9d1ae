//! Lookups.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::entry::{Entry, NextHop};
use crate::tables::{Storage, Tables, View, seen};

/// Addresses that are looked up side by side.
const BURST: usize = 32;

/// Looks addresses up. Clones are cheap and see the same tables; each worker has its own.
///
/// A worker that looks up beside a writer passes its [`Checkpoint`](crate::Checkpoint) between lookups, and never
/// keeps a [`NextHop`] beyond that if next hops are reused: see [`quiescence`](crate::quiescence).
pub struct Fib4Reader<T> {
    tables: Arc<Tables<T>>,
}

impl<T: Storage> Fib4Reader<T> {
    pub(crate) fn new(tables: Arc<Tables<T>>) -> Self {
        Fib4Reader { tables }
    }

    /// The next hop of the longest prefix that holds `address` (host byte order: `u32::from(Ipv4Addr)`);
    /// [`NextHop::NONE`] if none does.
    #[inline]
    pub fn lookup(&self, address: u32) -> NextHop {
        let Ok(view) = self.tables.view() else {
            return NextHop::NONE;
        };
        let mut entry = seen(view.slot24(address));
        if entry.is_extended() {
            entry = view.in_group(entry, address);
        }
        entry.next_hop()
    }

    /// Looks up `addresses` and writes their next hops to the same places of `next_hops`, up to the shorter of both.
    ///
    /// Goes down level by level, 32 addresses at a time, so that their cache misses overlap.
    pub fn lookup_burst(&self, addresses: &[u32], next_hops: &mut [NextHop]) {
        for (addresses, next_hops) in addresses.chunks(BURST).zip(next_hops.chunks_mut(BURST)) {
            let Some(mut lookups) = self.begin() else {
                return next_hops.fill(NextHop::NONE);
            };
            for (lane, address) in addresses.iter().enumerate() {
                lookups.add(lane, *address, |_| {});
            }
            let count = addresses.len().min(next_hops.len());
            lookups.finish(&mut next_hops[..count], |_| {});
        }
    }

    /// For up to 32 lookups together. `None` only if the memory does not keep the length that it had at first.
    #[inline(always)]
    pub fn begin(&self) -> Option<Lookups4<'_>> {
        let view = self.tables.view().ok()?;
        Some(Lookups4 {
            addresses: [0; BURST],
            view,
        })
    }
}

/// Lookups under way.
///
/// They begin as each address comes, maybe out of a packet whose neighbours are still to be read; what they want from memory is on
/// its way then. After that they go down level by level.
pub struct Lookups4<'f> {
    view: View<'f>,
    addresses: [u32; BURST],
}

impl Lookups4<'_> {
    /// Begins that of number `lane`, from 0 to 31, and gives `prefetch` what it will want.
    #[inline(always)]
    pub fn add(&mut self, lane: usize, address: u32, prefetch: impl FnOnce(&AtomicU32)) {
        prefetch(self.view.root_slot(address));
        self.addresses[lane % BURST] = address;
    }

    /// Writes the next hops by number. As many must have been begun. Gives `prefetch` what it will want.
    // Not inlined: its loops have the registers to themselves.
    #[inline(never)]
    pub fn finish(&self, next_hops: &mut [NextHop], prefetch: impl Fn(&AtomicU32)) {
        let mut slots = [self.view.root_slot(0); BURST];
        for (slot, address) in slots.iter_mut().zip(&self.addresses).take(next_hops.len()) {
            *slot = self.view.slot24(*address);
            prefetch(slot);
        }
        let mut entries = [Entry::NONE; BURST];
        // Those that go on in tbl8, kept together at the front; without a branch, which would be taken as often as addresses
        // have long prefixes, and predicted as badly.
        let mut onward = [0u8; BURST];
        let mut left = 0;
        let lanes = slots.iter().zip(&mut entries).take(next_hops.len());
        for (lane, (slot, entry)) in lanes.enumerate() {
            *entry = seen(slot);
            onward[left % BURST] = lane as u8;
            left += usize::from(entry.is_extended());
        }
        for lane in onward.iter().take(left).map(|lane| usize::from(*lane) % BURST) {
            entries[lane] = self.view.in_group(entries[lane], self.addresses[lane]);
        }
        for (next_hop, entry) in next_hops.iter_mut().zip(entries) {
            *next_hop = entry.next_hop();
        }
    }
}

impl<T> Clone for Fib4Reader<T> {
    fn clone(&self) -> Self {
        Fib4Reader {
            tables: Arc::clone(&self.tables),
        }
    }
}
