//! The table region: a file in hugetlbfs, written by the primary's control thread, mapped read-only by all others.
//!
//! ```text
//!   word 0  magic           1  layout hash      2  writer pid       3  writer start time
//!   word 4  length, bytes   5  ready
//!   word 8  per section: first word, words per slot, slots, slots in use (high-water mark)
//!   …       interfaces and writers of the counters, generation of the rules for router alerts
//!   …       sections, each starting at a cache line
//! ```

mod reader;
mod sas;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::alert_counters::{AlertCounter, PUNT_BUCKETS};
use crate::cells::Geometry;
use crate::counters::{DropReason, IcmpCounter, InterfaceCounter, WorkerCounter};
use crate::mapping::Mapping;
use crate::records::{
    ALERT_RANGES, ALERT_RULES, Address, AlertRule, HANDLER_TEXT, Interface, Neighbor, NextHop, Pool, Record,
    Route4, Route6, SA_SELECTORS, Sa, SaSelector, TRANSFORM_NAME, Tunnel, Worker,
};
use crate::sa_counters::{SA_CELLS, SaCounter};
use crate::stages::{self, PathStage};

pub use self::reader::{OpenError, TableReader};
pub use self::sas::{SaPlace, SaTable};
pub use self::table::{AlertRuleTable, SlotTable};
pub use self::writer::{CreateError, TableWriter};

const MAGIC: u64 = u64::from_le_bytes(*b"tollgate");
const HEADER_WORDS: usize = 128;
const SECTION_WORDS: usize = 4;
const FIRST_SECTION: usize = 8;
const LENGTH: usize = 4;
const READY: usize = 5;
/// Interfaces and writers of the counters, behind the sections.
const GEOMETRY: usize = FIRST_SECTION + SECTIONS * SECTION_WORDS;
/// Goes up with every change of the rules for router alerts, behind that.
const ALERT_GENERATION: usize = GEOMETRY + 2;

/// Hash over the layout of every record and counter. Two builds with the same value read each other's regions.
pub const LAYOUT_HASH: u64 = {
    let mut hash = fnv1a(0xcbf2_9ce4_8422_2325, "region 5");
    hash = fnv1a(hash, Interface::LAYOUT);
    hash = fnv1a(hash, Address::LAYOUT);
    hash = fnv1a(hash, Route4::LAYOUT);
    hash = fnv1a(hash, Route6::LAYOUT);
    hash = fnv1a(hash, Neighbor::LAYOUT);
    hash = fnv1a(hash, NextHop::LAYOUT);
    hash = fnv1a(hash, Worker::LAYOUT);
    hash = fnv1a(hash, Pool::LAYOUT);
    hash = fnv1a(hash, AlertRule::LAYOUT);
    hash = fnv1a(hash, AlertCounter::LAYOUT);
    hash = fnv1a(hash, Tunnel::LAYOUT);
    hash = fnv1a(hash, Sa::LAYOUT);
    hash = fnv1a(hash, SaSelector::LAYOUT);
    hash = fnv1a(hash, SaCounter::LAYOUT);
    hash = numbers(hash, [ALERT_RULES, ALERT_RANGES, HANDLER_TEXT, PUNT_BUCKETS]);
    hash = numbers(hash, [TRANSFORM_NAME, SA_SELECTORS]);
    hash = fnv1a(hash, InterfaceCounter::LAYOUT);
    hash = fnv1a(hash, DropReason::LAYOUT);
    hash = fnv1a(hash, WorkerCounter::LAYOUT);
    hash = fnv1a(hash, IcmpCounter::LAYOUT);
    hash = fnv1a(hash, PathStage::LAYOUT);
    numbers(hash, stages::USUAL_BITS)
};

/// FNV-1a, 64 bits.
const fn fnv1a(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

/// The hash over some numbers that texts have names for.
const fn numbers<const N: usize>(mut hash: u64, numbers: [usize; N]) -> u64 {
    let mut index = 0;
    while index < N {
        hash = (hash ^ numbers[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

/// How many records each section can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Ports with an IP side, sub-interfaces and tunnels.
    pub interfaces: usize,
    /// Addresses of the gateway.
    pub addresses: usize,
    /// IPv4 routes, those that the gateway makes for itself and its neighbours included.
    pub routes4: usize,
    /// IPv6 routes, likewise.
    pub routes6: usize,
    /// Neighbours of both families.
    pub neighbors: usize,
    /// Next hops of routes that have several, of both families.
    pub next_hops: usize,
    /// Workers; the control thread is not one.
    pub workers: usize,
    /// Memory pools.
    pub pools: usize,
    /// Security associations.
    pub sas: usize,
}

/// Selectors for each security association, one with another.
const SELECTORS_PER_SA: usize = 2;

impl Capacity {
    /// Bytes that the region takes on a file system of this page size.
    pub fn bytes(&self, page: usize) -> usize {
        let words: usize = HEADER_WORDS + self.plan().iter().map(|section| section.words()).sum::<usize>();
        (words * 8).next_multiple_of(page)
    }

    /// Threads that count: control, workers, taps.
    fn writers(&self) -> usize {
        self.workers + 2
    }

    /// One may have as many as it can, however few others there are.
    fn sa_selectors(&self) -> usize {
        match self.sas {
            0 => 0,
            sas => SELECTORS_PER_SA * sas + SA_SELECTORS,
        }
    }

    fn plan(&self) -> [Section; SECTIONS] {
        let slots = |id: SectionId, words: usize, slots: usize| Section {
            id,
            words_per_slot: words,
            slots,
        };
        let geometry = Geometry {
            first_word: 0,
            interfaces: self.interfaces,
            writers: self.writers(),
        };
        [
            slots(SectionId::Interfaces, Interface::WORDS + 1, self.interfaces),
            slots(SectionId::Addresses, Address::WORDS + 1, self.addresses),
            slots(SectionId::Routes4, Route4::WORDS + 1, self.routes4),
            slots(SectionId::Routes6, Route6::WORDS + 1, self.routes6),
            slots(SectionId::Neighbors, Neighbor::WORDS + 1, self.neighbors),
            slots(SectionId::Workers, Worker::WORDS + 1, self.workers),
            slots(SectionId::Pools, Pool::WORDS + 1, self.pools),
            slots(SectionId::Counters, 1, geometry.cells()),
            slots(SectionId::NextHops, NextHop::WORDS + 1, self.next_hops),
            slots(SectionId::AlertRules, AlertRule::WORDS + 1, ALERT_RULES),
            // Each is an interface.
            slots(SectionId::Tunnels, Tunnel::WORDS + 1, self.interfaces),
            slots(SectionId::Sas, Sa::WORDS + 1, self.sas),
            slots(SectionId::SaSelectors, SaSelector::WORDS + 1, self.sa_selectors()),
            slots(SectionId::SaCounters, SA_CELLS, self.sas),
        ]
    }
}

const SECTIONS: usize = 14;

#[derive(Clone, Copy)]
enum SectionId {
    Interfaces,
    Addresses,
    Routes4,
    Routes6,
    Neighbors,
    Workers,
    Pools,
    Counters,
    NextHops,
    AlertRules,
    Tunnels,
    Sas,
    SaSelectors,
    SaCounters,
}

impl SectionId {
    /// In the order of the header.
    const ALL: [Self; SECTIONS] = [
        Self::Interfaces,
        Self::Addresses,
        Self::Routes4,
        Self::Routes6,
        Self::Neighbors,
        Self::Workers,
        Self::Pools,
        Self::Counters,
        Self::NextHops,
        Self::AlertRules,
        Self::Tunnels,
        Self::Sas,
        Self::SaSelectors,
        Self::SaCounters,
    ];
}

struct Section {
    id: SectionId,
    words_per_slot: usize,
    slots: usize,
}

impl Section {
    fn words(&self) -> usize {
        (self.words_per_slot * self.slots).next_multiple_of(8)
    }
}

/// Where a section lies, as the header says.
#[derive(Clone, Copy)]
struct Placed {
    header: usize,
    first_word: usize,
    words_per_slot: usize,
    slots: usize,
}

impl Placed {
    /// Whether all of it is inside a region of so many words.
    fn lies_within(&self, words: usize) -> bool {
        let length = self.words_per_slot.checked_mul(self.slots);
        let end = length.and_then(|length| length.checked_add(self.first_word));
        end.is_some_and(|end| end <= words)
    }

    fn slot<'a>(&self, words: &'a [AtomicU64], index: usize) -> Option<&'a [AtomicU64]> {
        if index >= self.slots {
            return None;
        }
        let first = self.first_word + index * self.words_per_slot;
        words.get(first..first + self.words_per_slot)
    }
}

/// The mapping that the writer and all its tables and counter blocks hold together.
pub(crate) struct Shared {
    mapping: Mapping,
}

impl Shared {
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.mapping.words()
    }

    fn word(&self, index: usize) -> u64 {
        self.words()
            .get(index)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn set(&self, index: usize, value: u64) {
        if let Some(word) = self.words().get(index) {
            word.store(value, Ordering::Release);
        }
    }

    fn placed(&self, id: SectionId) -> Placed {
        let header = FIRST_SECTION + id as usize * SECTION_WORDS;
        let field = |offset| usize::try_from(self.word(header + offset)).unwrap_or(usize::MAX);
        Placed {
            header,
            first_word: field(0),
            words_per_slot: field(1),
            slots: field(2),
        }
    }
}

/// The longest record, in words.
const MAX_RECORD_WORDS: usize = if Interface::WORDS > AlertRule::WORDS {
    Interface::WORDS
} else {
    AlertRule::WORDS
};
