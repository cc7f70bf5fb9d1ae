//! The primary's side of the region.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    AlertRuleTable, Capacity, FIRST_SECTION, GEOMETRY, HEADER_WORDS, LAYOUT_HASH, LENGTH, MAGIC, READY,
    SECTION_WORDS, SECTIONS, SaTable, SectionId, Shared, SlotTable,
};
use crate::cells::{CounterBlock, CounterView, Geometry};
use crate::mapping::{Mapping, page_size};
use crate::process::ProcessId;
use crate::records::{Address, Interface, Neighbor, NextHop, Pool, Record, Route4, Route6, Tunnel, Worker};

/// Why a region could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The huge pages are not there.
    #[error(
        "the table region {path} needs {bytes} bytes of huge pages and the kernel has not that many free: \
         reserve more with 'tollgate-hugepage-setup reserve', or lower [limits]"
    )]
    NoMemory {
        /// The file.
        path: PathBuf,
        /// Bytes needed.
        bytes: usize,
    },
    /// Anything else that the kernel refused.
    #[error("cannot {step} the table region {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The primary's side of the region. Dropping it unlinks the file; readers keep what they mapped.
pub struct TableWriter {
    // Locked (flock) while this lives, so that others can tell a dead primary's file.
    _file: File,
    pub(super) shared: Arc<Shared>,
    path: PathBuf,
    geometry: Geometry,
    taken: Vec<AtomicBool>,
    sections_taken: [AtomicBool; SECTIONS],
}

impl TableWriter {
    /// Makes the region at `path`, on hugetlbfs where it is meant for more than a test, readable by `group`.
    ///
    /// A file of that name is a dead instance's: the caller holds the lock of the instance, so nobody else writes it.
    pub fn create(path: &Path, group: Option<u32>, capacity: &Capacity) -> Result<Self, CreateError> {
        let io = |step| {
            move |source| CreateError::Io {
                step,
                path: path.to_path_buf(),
                source,
            }
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("remove an old file at")(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(path)
            .map_err(io("create"))?;
        Self::fill(file, path, group, capacity).inspect_err(|_| drop(std::fs::remove_file(path)))
    }

    fn fill(file: File, path: &Path, group: Option<u32>, capacity: &Capacity) -> Result<Self, CreateError> {
        let io = |step| {
            move |source| CreateError::Io {
                step,
                path: path.to_path_buf(),
                source,
            }
        };
        file.lock().map_err(io("lock"))?;
        if group.is_some() {
            std::os::unix::fs::fchown(&file, None, group).map_err(io("set the group of"))?;
        }
        let bytes = capacity.bytes(page_size(&file).map_err(io("find the page size of"))?);
        let no_memory = |error: io::Error| match error.raw_os_error() {
            Some(libc::ENOMEM | libc::ENOSPC) => CreateError::NoMemory {
                path: path.to_path_buf(),
                bytes,
            },
            _ => io("allocate")(error),
        };
        file.set_len(bytes as u64).map_err(no_memory)?;
        // fallocate takes the pages now: without it a page missing later would be SIGBUS.
        nix::fcntl::fallocate(
            &file,
            nix::fcntl::FallocateFlags::empty(),
            0,
            i64::try_from(bytes).unwrap_or(i64::MAX),
        )
        .map_err(|errno| no_memory(errno.into()))?;
        let mapping = Mapping::writable(&file, bytes).map_err(no_memory)?;
        let shared = Arc::new(Shared { mapping });

        let mut next = HEADER_WORDS;
        for section in capacity.plan() {
            let header = FIRST_SECTION + section.id as usize * SECTION_WORDS;
            for (offset, value) in [next, section.words_per_slot, section.slots, 0]
                .into_iter()
                .enumerate()
            {
                shared.set(header + offset, value as u64);
            }
            next += section.words();
        }
        let writer = ProcessId::current();
        let fields = [
            MAGIC,
            LAYOUT_HASH,
            u64::from(writer.pid),
            writer.start_time,
            bytes as u64,
        ];
        for (index, value) in fields.into_iter().enumerate() {
            shared.set(index, value);
        }
        let geometry = Geometry {
            first_word: shared.placed(SectionId::Counters).first_word,
            interfaces: capacity.interfaces,
            writers: capacity.writers(),
        };
        shared.set(GEOMETRY, geometry.interfaces as u64);
        shared.set(GEOMETRY + 1, geometry.writers as u64);
        Ok(Self {
            _file: file,
            shared,
            path: path.to_path_buf(),
            geometry,
            taken: (0..geometry.writers).map(|_| AtomicBool::new(false)).collect(),
            sections_taken: Default::default(),
        })
    }

    /// Opens the region to readers. Call it when every table holds what it should at start.
    pub fn publish(&self) {
        self.shared.set(READY, 1);
    }

    /// Bytes of the region.
    pub fn bytes(&self) -> u64 {
        self.shared.word(LENGTH)
    }

    /// The counters that `writer` owns: 0 is the control thread, worker `n` is `n + 1`, behind the last worker comes the thread
    /// of the taps. `None` when there is no such writer or its block was handed out already.
    pub fn counter_block(&self, writer: usize) -> Option<CounterBlock> {
        let taken = self.taken.get(writer)?.swap(true, Ordering::AcqRel);
        (!taken).then(|| CounterBlock::new(self.shared.clone(), self.geometry, writer))
    }

    /// All counters, to read.
    pub fn counters(&self) -> CounterView<'_> {
        CounterView::new(self.shared.words(), self.geometry)
    }

    /// The interfaces. Each table is handed out once: it has one writer.
    pub fn interfaces(&self) -> Option<SlotTable<Interface>> {
        self.table(SectionId::Interfaces)
    }

    /// The gateway's own addresses, handed out once.
    pub fn addresses(&self) -> Option<SlotTable<Address>> {
        self.table(SectionId::Addresses)
    }

    /// The IPv4 routes, handed out once.
    pub fn routes4(&self) -> Option<SlotTable<Route4>> {
        self.table(SectionId::Routes4)
    }

    /// The IPv6 routes, handed out once.
    pub fn routes6(&self) -> Option<SlotTable<Route6>> {
        self.table(SectionId::Routes6)
    }

    /// The neighbours, handed out once.
    pub fn neighbors(&self) -> Option<SlotTable<Neighbor>> {
        self.table(SectionId::Neighbors)
    }

    /// The next hops that routes share, handed out once.
    pub fn next_hops(&self) -> Option<SlotTable<NextHop>> {
        self.table(SectionId::NextHops)
    }

    /// The workers, handed out once.
    pub fn workers(&self) -> Option<SlotTable<Worker>> {
        self.table(SectionId::Workers)
    }

    /// The memory pools, handed out once.
    pub fn pools(&self) -> Option<SlotTable<Pool>> {
        self.table(SectionId::Pools)
    }

    /// The tunnels, handed out once.
    pub fn tunnels(&self) -> Option<SlotTable<Tunnel>> {
        self.table(SectionId::Tunnels)
    }

    /// The rules for router alerts, handed out once.
    pub fn alert_rules(&self) -> Option<AlertRuleTable> {
        self.table(SectionId::AlertRules).map(AlertRuleTable::new)
    }

    /// The security associations, handed out once.
    pub fn sas(&self) -> Option<SaTable> {
        let counters = self.shared.placed(SectionId::SaCounters);
        let (sas, selectors) = (self.table(SectionId::Sas)?, self.table(SectionId::SaSelectors)?);
        Some(SaTable::new(self.shared.clone(), sas, selectors, counters))
    }

    fn table<T: Record>(&self, id: SectionId) -> Option<SlotTable<T>> {
        let taken = self.sections_taken[id as usize].swap(true, Ordering::AcqRel);
        (!taken).then(|| SlotTable::new(self.shared.clone(), self.shared.placed(id)))
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        // Nothing to do about a file that is gone already.
        drop(std::fs::remove_file(&self.path));
    }
}
