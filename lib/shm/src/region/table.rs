//! The writer's side of one table.

use std::marker::PhantomData;
use std::sync::Arc;

use zerocopy::IntoBytes;

use super::{MAX_RECORD_WORDS, Placed, Shared};
use crate::records::Record;
use crate::slot;

/// The writer's side of one table: slots by number, free ones reused.
pub struct SlotTable<T> {
    shared: Arc<Shared>,
    placed: Placed,
    free: Vec<u32>,
    high_water: usize,
    _record: PhantomData<fn(T)>,
}

impl<T: Record> SlotTable<T> {
    /// The only writer of an empty table.
    pub(super) fn new(shared: Arc<Shared>, placed: Placed) -> Self {
        Self {
            shared,
            placed,
            free: Vec::new(),
            high_water: 0,
            _record: PhantomData,
        }
    }

    /// Puts the record into a free slot and returns its number, or `None` when the table is full.
    pub fn insert(&mut self, record: &T) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.high_water < self.placed.slots => {
                self.high_water += 1;
                u32::try_from(self.high_water - 1).ok()?
            }
            None => return None,
        };
        self.update(slot, record);
        self.shared.set(self.placed.header + 3, self.high_water as u64);
        Some(slot)
    }

    /// Replaces the record in a slot that [`insert`](Self::insert) returned.
    pub fn update(&mut self, slot: u32, record: &T) {
        let mut words = [0u64; MAX_RECORD_WORDS];
        let words = &mut words[..T::WORDS];
        words.as_mut_bytes().copy_from_slice(record.as_bytes());
        if let Some(cells) = self.placed.slot(self.shared.words(), slot as usize) {
            slot::write(cells, Some(words));
        }
    }

    /// Empties the slot, and keeps it from being used again until it is [removed](Self::remove).
    pub fn hide(&mut self, slot: u32) {
        if let Some(cells) = self.placed.slot(self.shared.words(), slot as usize) {
            slot::write(cells, None);
        }
    }

    /// Empties the slot.
    pub fn remove(&mut self, slot: u32) {
        if let Some(cells) = self.placed.slot(self.shared.words(), slot as usize) {
            slot::write(cells, None);
            self.free.push(slot);
        }
    }

    /// Records in the table.
    pub fn len(&self) -> usize {
        self.high_water - self.free.len()
    }

    /// Whether no record is in the table.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records fit.
    pub fn capacity(&self) -> usize {
        self.placed.slots
    }
}
