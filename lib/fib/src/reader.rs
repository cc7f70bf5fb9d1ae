//! Lookups.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::entry::NextHop;
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
        let mut entry = seen(view.root_slot(address));
        if entry.is_lone() {
            entry = seen(view.lone(entry.number()).slot(address));
        } else if entry.is_extended() {
            entry = seen(view.in_chunk(entry.number(), address));
            if entry.is_extended() {
                entry = view.in_group(entry.number(), address);
            }
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
            let mut found = [NextHop::NONE; BURST];
            lookups.finish(addresses.len(), &mut found, |_| {});
            for (next_hop, found) in next_hops.iter_mut().zip(&found).take(addresses.len()) {
                *next_hop = *found;
            }
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

    /// Writes the next hops of the first `count`, at most 32, by number. As many must have been begun. Gives `prefetch` what it will
    /// want.
    // Not inlined: its loops have the registers to themselves.
    #[inline(never)]
    #[expect(clippy::needless_range_loop, reason = "the number of a lane is what is kept")]
    pub fn finish(&self, count: usize, next_hops: &mut [NextHop; BURST], prefetch: impl Fn(&AtomicU32)) {
        // Those that go on in a chunk, and in a group, are kept together: a branch for each lookup would be taken as often as
        // addresses have long prefixes, and be predicted as badly. Until they are through, what goes for their next hop is the
        // number of the chunk or group.
        let (mut in_chunks, mut in_chunks_count) = ([0u8; BURST], 0);
        let (mut in_groups, mut in_groups_count) = ([0u8; BURST], 0);
        for lane in 0..count.min(BURST) {
            let address = self.addresses[lane];
            let entry = seen(self.view.root_slot(address));
            // Without a branch: where the entry names no lone prefix, what the first one says is not taken.
            let number = if entry.is_lone() { entry.number() } else { 0 };
            let lone = seen(self.view.lone(number).slot(address));
            next_hops[lane] = if entry.is_lone() { lone } else { entry }.next_hop();
            in_chunks[in_chunks_count % BURST] = lane as u8;
            in_chunks_count += usize::from(entry.is_table());
        }
        // The misses of all of them are under way before the first is waited for.
        for lane in in_chunks.iter().take(in_chunks_count) {
            let lane = usize::from(*lane) % BURST;
            prefetch(self.view.in_chunk(next_hops[lane].get(), self.addresses[lane]));
        }
        for lane in in_chunks.iter().take(in_chunks_count) {
            let lane = usize::from(*lane) % BURST;
            let entry = seen(self.view.in_chunk(next_hops[lane].get(), self.addresses[lane]));
            next_hops[lane] = entry.next_hop();
            in_groups[in_groups_count % BURST] = lane as u8;
            in_groups_count += usize::from(entry.is_extended());
        }
        for lane in in_groups.iter().take(in_groups_count) {
            let lane = usize::from(*lane) % BURST;
            let entry = self.view.in_group(next_hops[lane].get(), self.addresses[lane]);
            next_hops[lane] = entry.next_hop();
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
