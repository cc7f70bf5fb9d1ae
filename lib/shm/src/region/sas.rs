//! The writer's side of the security associations: their records, the selectors that belong to them, and their counters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Placed, Shared, SlotTable};
use crate::records::{Sa, SaSelector};
use crate::sa_counters::SaCells;

/// The writer's side of the security associations.
pub struct SaTable {
    shared: Arc<Shared>,
    sas: SlotTable<Sa>,
    selectors: SlotTable<SaSelector>,
    counters: Placed,
}

/// Where a security association and its selectors lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaPlace {
    /// The number of its slot, which is that of its counters.
    pub slot: u32,
    selectors: Vec<u32>,
}

impl SaTable {
    pub(super) fn new(
        shared: Arc<Shared>,
        sas: SlotTable<Sa>,
        selectors: SlotTable<SaSelector>,
        counters: Placed,
    ) -> Self {
        Self {
            shared,
            sas,
            selectors,
            counters,
        }
    }

    /// Shows a security association with its selectors, whose counters are zero; `None` when there is no [room](Self::room).
    pub fn insert(&mut self, sa: &Sa, selectors: &[SaSelector]) -> Option<SaPlace> {
        let (sas, free) = self.room();
        if sas == 0 || free < selectors.len() {
            return None;
        }
        // Before it: who reads the records first and the selectors then finds those of each.
        let selectors = selectors
            .iter()
            .filter_map(|selector| self.selectors.insert(selector))
            .collect();
        let slot = self.sas.insert(sa)?;
        for cell in self.counters.slot(self.shared.words(), slot as usize)? {
            cell.store(0, Ordering::Relaxed);
        }
        Some(SaPlace { slot, selectors })
    }

    /// Shows a security association otherwise than before; its selectors stay.
    pub fn update(&mut self, place: &SaPlace, sa: &Sa) {
        self.sas.update(place.slot, sa);
    }

    /// Shows a security association no more.
    pub fn remove(&mut self, place: SaPlace) {
        self.sas.remove(place.slot);
        for slot in place.selectors {
            self.selectors.remove(slot);
        }
    }

    /// The counters of a security association: for the one who counts.
    pub fn cells(&self, place: &SaPlace) -> Option<SaCells> {
        // A slot beyond the table has none.
        self.counters.slot(self.shared.words(), place.slot as usize)?;
        let first_word = self.counters.first_word + place.slot as usize * self.counters.words_per_slot;
        Some(SaCells::new(self.shared.clone(), first_word))
    }

    /// For how many more security associations there is room, and for how many more selectors of all.
    pub fn room(&self) -> (usize, usize) {
        (
            self.sas.capacity() - self.sas.len(),
            self.selectors.capacity() - self.selectors.len(),
        )
    }
}
