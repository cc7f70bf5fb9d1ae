//! A tool's side of the region: copies out, then parses.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use zerocopy::IntoBytes;

use super::{
    ALERT_GENERATION, GEOMETRY, HEADER_WORDS, LAYOUT_HASH, LENGTH, MAGIC, MAX_RECORD_WORDS, Placed, READY,
    SECTIONS, SectionId, Shared,
};
use crate::cells::{CounterView, Geometry};
use crate::mapping::Mapping;
use crate::process::ProcessId;
use crate::records::{
    Address, AlertRule, Interface, Neighbor, NextHop, Pool, Record, Route4, Route6, Sa, SaSelector, Tunnel,
    Worker,
};
use crate::sa_counters::{SA_CELLS, SaCounts};
use crate::slot::{self, Found};

/// Why a region could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another build made it.
    #[error(
        "the tables at {path} have layout {found:016x} and this program reads {LAYOUT_HASH:016x}: use the tools of the \
         same build as the primary"
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// The hash in the region.
        found: u64,
    },
    /// Not a table region, or its primary has not finished it.
    #[error("{path} is not a finished table region: its primary is still starting, or died while it started")]
    NotReady {
        /// The file.
        path: PathBuf,
    },
    /// Sections that are not all inside the region, or not as long as what they hold.
    #[error("the tables at {path} contradict themselves: end their primary and start it again")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that the kernel refused.
    #[error("cannot read the tables at {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// A reader's side of the region.
pub struct TableReader {
    shared: Shared,
    /// By [`SectionId`], as they were when they were checked.
    sections: [Placed; SECTIONS],
    geometry: Geometry,
}

impl TableReader {
    /// Maps the region at `path` for reading and checks that this build understands it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_path_buf(),
            source,
        };
        let not_ready = || OpenError::NotReady {
            path: path.to_path_buf(),
        };
        let file = File::open(path).map_err(io)?;
        let bytes = usize::try_from(file.metadata().map_err(io)?.len()).unwrap_or(0);
        if bytes < HEADER_WORDS * 8 {
            return Err(not_ready());
        }
        let shared = Shared {
            mapping: Mapping::readable(&file, bytes).map_err(io)?,
        };
        if shared.word(READY) != 1 || shared.word(0) != MAGIC || shared.word(LENGTH) != bytes as u64 {
            return Err(not_ready());
        }
        if shared.word(1) != LAYOUT_HASH {
            return Err(OpenError::Layout {
                path: path.to_path_buf(),
                found: shared.word(1),
            });
        }
        let field = |index| usize::try_from(shared.word(GEOMETRY + index)).unwrap_or(0);
        let sections = SectionId::ALL.map(|id| shared.placed(id));
        let counters = sections[SectionId::Counters as usize];
        let geometry = Geometry {
            first_word: counters.first_word,
            interfaces: field(0),
            writers: field(1),
        };
        let words = shared.words().len();
        let whole = sections.iter().all(|placed| placed.lies_within(words));
        if !whole || geometry.checked_cells() != Some(counters.slots) {
            return Err(OpenError::Damaged {
                path: path.to_path_buf(),
            });
        }
        Ok(Self {
            shared,
            sections,
            geometry,
        })
    }

    /// The process that writes the region.
    pub fn writer(&self) -> ProcessId {
        ProcessId {
            pid: u32::try_from(self.shared.word(2)).unwrap_or(0),
            start_time: self.shared.word(3),
        }
    }

    /// Bytes of the region.
    pub fn bytes(&self) -> u64 {
        self.shared.word(LENGTH)
    }

    /// All counters.
    pub fn counters(&self) -> CounterView<'_> {
        CounterView::new(self.shared.words(), self.geometry)
    }

    /// Copies out the interfaces with their indices.
    pub fn interfaces(&self) -> Vec<(u32, Interface)> {
        self.copy_out(SectionId::Interfaces)
    }

    /// Copies out the gateway's own addresses.
    pub fn addresses(&self) -> Vec<(u32, Address)> {
        self.copy_out(SectionId::Addresses)
    }

    /// Copies out the IPv4 routes, in no order.
    pub fn routes4(&self) -> Vec<(u32, Route4)> {
        self.copy_out(SectionId::Routes4)
    }

    /// Copies out the IPv6 routes, in no order.
    pub fn routes6(&self) -> Vec<(u32, Route6)> {
        self.copy_out(SectionId::Routes6)
    }

    /// Copies out the neighbours, in no order.
    pub fn neighbors(&self) -> Vec<(u32, Neighbor)> {
        self.copy_out(SectionId::Neighbors)
    }

    /// Copies out the next hops that routes share, in no order.
    pub fn next_hops(&self) -> Vec<(u32, NextHop)> {
        self.copy_out(SectionId::NextHops)
    }

    /// Copies out the workers.
    pub fn workers(&self) -> Vec<(u32, Worker)> {
        self.copy_out(SectionId::Workers)
    }

    /// Copies out the memory pools.
    pub fn pools(&self) -> Vec<(u32, Pool)> {
        self.copy_out(SectionId::Pools)
    }

    /// Copies out the tunnels, in no order.
    pub fn tunnels(&self) -> Vec<(u32, Tunnel)> {
        self.copy_out(SectionId::Tunnels)
    }

    /// Copies out the rules for router alerts with their numbers, in no order.
    pub fn alert_rules(&self) -> Vec<(u32, AlertRule)> {
        self.copy_out(SectionId::AlertRules)
    }

    /// Another number than before once the rules for router alerts have changed. Whoever reads it and then the rules misses no
    /// change that the number does not tell later.
    pub fn alert_generation(&self) -> u64 {
        self.shared.word(ALERT_GENERATION)
    }

    /// Copies out the security associations with the numbers of their slots, in no order.
    pub fn sas(&self) -> Vec<(u32, Sa)> {
        self.copy_out(SectionId::Sas)
    }

    /// Copies out the selectors of the security associations, in no order.
    pub fn sa_selectors(&self) -> Vec<(u32, SaSelector)> {
        self.copy_out(SectionId::SaSelectors)
    }

    /// What was counted of the security association in a slot.
    pub fn sa_counts(&self, slot: u32) -> SaCounts {
        let placed = self.sections[SectionId::SaCounters as usize];
        let cells = placed.slot(self.shared.words(), slot as usize);
        SaCounts::read(cells.filter(|cells| cells.len() == SA_CELLS).unwrap_or_default())
    }

    /// How many records a table can hold and up to which slot it was ever filled, by name.
    pub fn usage(&self) -> Vec<(&'static str, u64, u64)> {
        [
            ("interfaces", SectionId::Interfaces),
            ("addresses", SectionId::Addresses),
            ("routes4", SectionId::Routes4),
            ("routes6", SectionId::Routes6),
            ("neighbors", SectionId::Neighbors),
            ("next_hops", SectionId::NextHops),
            ("sas", SectionId::Sas),
            ("sa_selectors", SectionId::SaSelectors),
        ]
        .into_iter()
        .map(|(name, id)| {
            let placed = self.sections[id as usize];
            (name, self.shared.word(placed.header + 3), placed.slots as u64)
        })
        .collect()
    }

    fn copy_out<T: Record>(&self, id: SectionId) -> Vec<(u32, T)> {
        let placed = self.sections[id as usize];
        if placed.words_per_slot != T::WORDS + 1 {
            return Vec::new();
        }
        let high_water = usize::try_from(self.shared.word(placed.header + 3))
            .unwrap_or(0)
            .min(placed.slots);
        let mut records = Vec::with_capacity(high_water);
        let mut buffer = [0u64; MAX_RECORD_WORDS];
        for index in 0..high_water {
            let Some(cells) = placed.slot(self.shared.words(), index) else {
                break;
            };
            if slot::read(cells, &mut buffer[..T::WORDS]) != Found::Record {
                continue;
            }
            if let (Ok(record), Ok(index)) = (
                T::read_from_bytes(buffer[..T::WORDS].as_bytes()),
                u32::try_from(index),
            ) {
                records.push((index, record));
            }
        }
        records
    }
}
