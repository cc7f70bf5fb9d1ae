//! Lookups.

use std::sync::Arc;

use crate::entry::{Entry, NextHop};
use crate::tables::{Storage, Tables};

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
        let entry = view.first(address);
        if entry.is_extended() {
            view.second(entry, address).next_hop()
        } else {
            entry.next_hop()
        }
    }

    /// Looks up `addresses` and writes their next hops to the same places of `next_hops`, up to the shorter of both.
    ///
    /// First loads all tbl24 entries, which do not depend on each other, so that their cache misses overlap; then
    /// those of tbl8, if there are any.
    pub fn lookup_burst(&self, addresses: &[u32], next_hops: &mut [NextHop]) {
        let Ok(view) = self.tables.view() else {
            return next_hops.fill(NextHop::NONE);
        };
        let mut seen = 0;
        for (address, next_hop) in addresses.iter().zip(&mut *next_hops) {
            let entry = view.first(*address);
            seen |= entry.0;
            *next_hop = NextHop::holding(entry);
        }
        if Entry(seen).is_extended() {
            for (address, next_hop) in addresses.iter().zip(&mut *next_hops) {
                *next_hop = NextHop::holding(view.second_if_extended(next_hop.held(), *address));
            }
        }
        for (_, next_hop) in addresses.iter().zip(next_hops) {
            *next_hop = next_hop.held().next_hop();
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
