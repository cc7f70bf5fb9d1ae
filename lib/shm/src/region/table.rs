//! The writer's side of one table, and of that of the rules for router alerts.

use std::marker::PhantomData;
use std::sync::Arc;

use zerocopy::IntoBytes;

use super::{ALERT_GENERATION, MAX_RECORD_WORDS, Placed, Shared};
use crate::records::{AlertRule, Record};
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

/// The writer's side of the rules for router alerts: the slot of each is chosen by who writes it, since its number goes with
/// packets and counters.
pub struct AlertRuleTable(SlotTable<AlertRule>);

impl AlertRuleTable {
    pub(super) fn new(mut table: SlotTable<AlertRule>) -> Self {
        // Readers look at all slots.
        table.high_water = table.placed.slots;
        table
            .shared
            .set(table.placed.header + 3, table.placed.slots as u64);
        Self(table)
    }

    /// Puts a rule into the slot of its number, in place of one that may be there.
    pub fn set(&mut self, number: u16, rule: &AlertRule) {
        self.0.update(number.into(), rule);
    }

    /// Empties the slot of a number.
    pub fn clear(&mut self, number: u16) {
        self.0.hide(number.into());
    }

    /// Tells readers that the rules are others now. To be called when all slots are as they are to be.
    pub fn changed(&mut self) {
        let generation = self.0.shared.word(ALERT_GENERATION);
        self.0.shared.set(ALERT_GENERATION, generation.wrapping_add(1));
    }
}
