//! What is counted of security associations: cells of each one's own, written by the worker whose it is.
//!
//! A security association belongs to one worker at a time, so its cells need no block for each writer as those of interfaces
//! do. The control thread sets them to zero before a worker learns of it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::counter_enum;
use crate::region::Shared;

counter_enum! {
    /// What is counted of a security association.
    pub enum SaCounter {
        /// Packets that it has protected, or that came in by it and were good.
        Packets => "packets",
        /// Bytes of them that the cipher was applied to, RFC 4301 section 4.4.2.1.
        Bytes => "bytes",
        /// When the last of them went by, nanoseconds of `CLOCK_BOOTTIME`; 0 for never.
        LastUsed => "last_used_ns",
        /// The sequence number of the last one that was sent, or the highest that was good, all 64 bits of it.
        Sequence => "sequence",
        /// Packets whose sequence number had been there before, RFC 4303 section 3.4.3.
        Replayed => "replayed",
        /// Packets whose sequence number lay before the window.
        TooOld => "too_old",
        /// Packets that were not authentic.
        BadIcv => "bad_icv",
        /// Packets that were too short, or had what cannot be in their trailer.
        Malformed => "malformed",
        /// Packets that held what no selector allows, RFC 4301 section 5.2.
        Selector => "selector",
        /// Packets whose outer header came from elsewhere.
        Source => "source",
        /// Packets that could not be sent since there was no sequence number left, RFC 4303 section 3.3.3.
        Exhausted => "exhausted",
    }
}

impl SaCounter {
    /// Why packets were dropped; each says how many.
    pub const DROPS: [Self; 7] = [
        Self::Replayed,
        Self::TooOld,
        Self::BadIcv,
        Self::Malformed,
        Self::Selector,
        Self::Source,
        Self::Exhausted,
    ];
}

/// Cells of one security association, rounded up to whole cache lines.
pub(crate) const SA_CELLS: usize = SaCounter::COUNT.next_multiple_of(8);

/// The cells of one security association. Who has them counts; they can move to another thread, not be shared.
pub struct SaCells {
    shared: Arc<Shared>,
    first_word: usize,
    // `Cell` is Send and not Sync: two threads that add to one cell would lose counts.
    _one_thread: PhantomData<std::cell::Cell<()>>,
}

impl SaCells {
    pub(crate) fn new(shared: Arc<Shared>, first_word: usize) -> Self {
        Self {
            shared,
            first_word,
            _one_thread: PhantomData,
        }
    }

    /// Adds to a counter.
    #[inline]
    pub fn add(&self, counter: SaCounter, count: u64) {
        if let Some(cell) = self.cell(counter) {
            // A load and a store suffice: nobody else writes this cell.
            cell.store(
                cell.load(Ordering::Relaxed).wrapping_add(count),
                Ordering::Relaxed,
            );
        }
    }

    /// Sets what is no sum: [`SaCounter::LastUsed`] and [`SaCounter::Sequence`].
    #[inline]
    pub fn set(&self, counter: SaCounter, value: u64) {
        if let Some(cell) = self.cell(counter) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// What a counter says now.
    pub fn get(&self, counter: SaCounter) -> u64 {
        self.cell(counter).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// Has all counters begin anew.
    pub fn reset(&self) {
        let cells = self.first_word..self.first_word + SA_CELLS;
        for cell in self.shared.words().get(cells).unwrap_or_default() {
            cell.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn cell(&self, counter: SaCounter) -> Option<&AtomicU64> {
        self.shared.words().get(self.first_word + counter as usize)
    }
}

/// What was counted of one security association, copied out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaCounts([u64; SaCounter::COUNT]);

impl SaCounts {
    /// Of its cells; all zero where there are none.
    pub(crate) fn read(cells: &[AtomicU64]) -> Self {
        let mut counts = [0; SaCounter::COUNT];
        for (count, cell) in counts.iter_mut().zip(cells) {
            *count = cell.load(Ordering::Relaxed);
        }
        Self(counts)
    }

    /// One of them.
    pub fn get(&self, counter: SaCounter) -> u64 {
        self.0[counter as usize]
    }
}
