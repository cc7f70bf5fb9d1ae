//! The table region: a file in hugetlbfs, written by the primary's control thread, mapped read-only by all others.
//!
//! ```text
//!   word 0  magic           1  layout hash      2  writer pid       3  writer start time
//!   word 4  length, bytes   5  generation       6  ready            7  number of sections
//!   word 8  per section: first word, words per slot, slots, slots in use (high-water mark)
//!   …       sections, each starting at a cache line
//! ```

use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zerocopy::IntoBytes;

use crate::counters::{CounterBlock, CounterView, DropReason, Geometry, InterfaceCounter, WorkerCounter};
use crate::mapping::{Mapping, page_size};
use crate::process::ProcessId;
use crate::records::{Address, Interface, Neighbor, Pool, Record, Route4, Worker};
use crate::slot::{self, Found};

const MAGIC: u64 = u64::from_le_bytes(*b"tollgate");
const HEADER_WORDS: usize = 128;
const SECTION_WORDS: usize = 4;
const FIRST_SECTION: usize = 8;
const LENGTH: usize = 4;
const GENERATION: usize = 5;
const READY: usize = 6;

/// Hash over the layout of every record and counter. Two builds with the same value read each other's regions.
pub const LAYOUT_HASH: u64 = {
    let mut hash = fnv1a(0xcbf2_9ce4_8422_2325, "region 1");
    hash = fnv1a(hash, Interface::LAYOUT);
    hash = fnv1a(hash, Address::LAYOUT);
    hash = fnv1a(hash, Route4::LAYOUT);
    hash = fnv1a(hash, Neighbor::LAYOUT);
    hash = fnv1a(hash, Worker::LAYOUT);
    hash = fnv1a(hash, Pool::LAYOUT);
    hash = fnv1a(hash, InterfaceCounter::LAYOUT);
    hash = fnv1a(hash, DropReason::LAYOUT);
    fnv1a(hash, WorkerCounter::LAYOUT)
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

/// How many records each section can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Ports with an IP side.
    pub interfaces: usize,
    /// Addresses of the gateway.
    pub addresses: usize,
    /// IPv4 routes, those that the gateway makes for itself and its neighbours included.
    pub routes4: usize,
    /// Neighbours of both families.
    pub neighbors: usize,
    /// Workers; the control thread is not one.
    pub workers: usize,
    /// Memory pools.
    pub pools: usize,
}

impl Capacity {
    /// Bytes that the region takes on a file system of this page size.
    pub fn bytes(&self, page: usize) -> usize {
        let words: usize = HEADER_WORDS + self.plan().iter().map(|section| section.words()).sum::<usize>();
        (words * 8).next_multiple_of(page)
    }

    fn plan(&self) -> [Section; SECTIONS] {
        let slots = |id: SectionId, words: usize, slots: usize| Section { id, words_per_slot: words, slots };
        let geometry = Geometry { first_word: 0, interfaces: self.interfaces, writers: self.workers + 1 };
        [
            slots(SectionId::Interfaces, Interface::WORDS + 1, self.interfaces),
            slots(SectionId::Addresses, Address::WORDS + 1, self.addresses),
            slots(SectionId::Routes4, Route4::WORDS + 1, self.routes4),
            slots(SectionId::Neighbors, Neighbor::WORDS + 1, self.neighbors),
            slots(SectionId::Workers, Worker::WORDS + 1, self.workers),
            slots(SectionId::Pools, Pool::WORDS + 1, self.pools),
            slots(SectionId::Counters, 1, geometry.cells()),
        ]
    }
}

const SECTIONS: usize = 7;

#[derive(Clone, Copy)]
enum SectionId {
    Interfaces,
    Addresses,
    Routes4,
    Neighbors,
    Workers,
    Pools,
    Counters,
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
        self.words().get(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn set(&self, index: usize, value: u64) {
        if let Some(word) = self.words().get(index) {
            word.store(value, Ordering::Release);
        }
    }

    fn placed(&self, id: SectionId) -> Placed {
        let header = FIRST_SECTION + id as usize * SECTION_WORDS;
        let field = |offset| usize::try_from(self.word(header + offset)).unwrap_or(usize::MAX);
        Placed { header, first_word: field(0), words_per_slot: field(1), slots: field(2) }
    }
}

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
    shared: Arc<Shared>,
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
        let io = |step| move |source| CreateError::Io { step, path: path.to_path_buf(), source };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove an old file at")(error)),
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(path)
            .map_err(io("create"))?;
        Self::fill(&file, path, group, capacity).inspect_err(|_| drop(std::fs::remove_file(path)))
    }

    fn fill(file: &File, path: &Path, group: Option<u32>, capacity: &Capacity) -> Result<Self, CreateError> {
        let io = |step| move |source| CreateError::Io { step, path: path.to_path_buf(), source };
        if group.is_some() {
            std::os::unix::fs::fchown(file, None, group).map_err(io("set the group of"))?;
        }
        let bytes = capacity.bytes(page_size(file).map_err(io("find the page size of"))?);
        let no_memory = |error: io::Error| match error.raw_os_error() {
            Some(libc::ENOMEM | libc::ENOSPC) => CreateError::NoMemory { path: path.to_path_buf(), bytes },
            _ => io("allocate")(error),
        };
        file.set_len(bytes as u64).map_err(no_memory)?;
        // fallocate takes the pages now: without it a page missing later would be SIGBUS.
        nix::fcntl::fallocate(file, nix::fcntl::FallocateFlags::empty(), 0, i64::try_from(bytes).unwrap_or(i64::MAX))
            .map_err(|errno| no_memory(errno.into()))?;
        let mapping = Mapping::writable(file, bytes).map_err(no_memory)?;
        let shared = Arc::new(Shared { mapping });

        let mut next = HEADER_WORDS;
        for section in capacity.plan() {
            let header = FIRST_SECTION + section.id as usize * SECTION_WORDS;
            for (offset, value) in [next, section.words_per_slot, section.slots, 0].into_iter().enumerate() {
                shared.set(header + offset, value as u64);
            }
            next += section.words();
        }
        let writer = ProcessId::current();
        let fields = [MAGIC, LAYOUT_HASH, u64::from(writer.pid), writer.start_time, bytes as u64];
        for (index, value) in fields.into_iter().enumerate() {
            shared.set(index, value);
        }
        let geometry = Geometry {
            first_word: shared.placed(SectionId::Counters).first_word,
            interfaces: capacity.interfaces,
            writers: capacity.workers + 1,
        };
        shared.set(FIRST_SECTION + SECTIONS * SECTION_WORDS, geometry.interfaces as u64);
        shared.set(FIRST_SECTION + SECTIONS * SECTION_WORDS + 1, geometry.writers as u64);
        Ok(Self {
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

    /// Says that the tables changed as a whole, so that a reader that looks twice can tell.
    pub fn bump_generation(&self) {
        self.shared.set(GENERATION, self.shared.word(GENERATION).wrapping_add(1));
    }

    /// Bytes of the region.
    pub fn bytes(&self) -> u64 {
        self.shared.word(LENGTH)
    }

    /// The counters that `writer` owns: 0 is the control thread, worker `n` is `n + 1`. `None` when there is no such
    /// writer or its block was handed out already.
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

    /// The neighbours, handed out once.
    pub fn neighbors(&self) -> Option<SlotTable<Neighbor>> {
        self.table(SectionId::Neighbors)
    }

    /// The workers, handed out once.
    pub fn workers(&self) -> Option<SlotTable<Worker>> {
        self.table(SectionId::Workers)
    }

    /// The memory pools, handed out once.
    pub fn pools(&self) -> Option<SlotTable<Pool>> {
        self.table(SectionId::Pools)
    }

    fn table<T: Record>(&self, id: SectionId) -> Option<SlotTable<T>> {
        let taken = self.sections_taken[id as usize].swap(true, Ordering::AcqRel);
        (!taken).then(|| SlotTable {
            placed: self.shared.placed(id),
            shared: self.shared.clone(),
            free: Vec::new(),
            high_water: 0,
            _record: PhantomData,
        })
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        // Nothing to do about a file that is gone already.
        drop(std::fs::remove_file(&self.path));
    }
}

/// The writer's side of one table: slots by number, free ones reused.
pub struct SlotTable<T> {
    shared: Arc<Shared>,
    placed: Placed,
    free: Vec<u32>,
    high_water: usize,
    _record: PhantomData<fn(T)>,
}

impl<T: Record> SlotTable<T> {
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

/// The longest record, in words.
const MAX_RECORD_WORDS: usize = Interface::WORDS;

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
    geometry: Geometry,
}

impl TableReader {
    /// Maps the region at `path` for reading and checks that this build understands it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_path_buf(), source };
        let not_ready = || OpenError::NotReady { path: path.to_path_buf() };
        let file = File::open(path).map_err(io)?;
        let bytes = usize::try_from(file.metadata().map_err(io)?.len()).unwrap_or(0);
        if bytes < HEADER_WORDS * 8 {
            return Err(not_ready());
        }
        let shared = Shared { mapping: Mapping::readable(&file, bytes).map_err(io)? };
        if shared.word(READY) != 1 || shared.word(0) != MAGIC || shared.word(LENGTH) != bytes as u64 {
            return Err(not_ready());
        }
        if shared.word(1) != LAYOUT_HASH {
            return Err(OpenError::Layout { path: path.to_path_buf(), found: shared.word(1) });
        }
        let field = |index| usize::try_from(shared.word(FIRST_SECTION + SECTIONS * SECTION_WORDS + index)).unwrap_or(0);
        let geometry = Geometry {
            first_word: shared.placed(SectionId::Counters).first_word,
            interfaces: field(0),
            writers: field(1),
        };
        Ok(Self { shared, geometry })
    }

    /// The process that writes the region.
    pub fn writer(&self) -> ProcessId {
        ProcessId { pid: u32::try_from(self.shared.word(2)).unwrap_or(0), start_time: self.shared.word(3) }
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

    /// Copies out the neighbours, in no order.
    pub fn neighbors(&self) -> Vec<(u32, Neighbor)> {
        self.copy_out(SectionId::Neighbors)
    }

    /// Copies out the workers.
    pub fn workers(&self) -> Vec<(u32, Worker)> {
        self.copy_out(SectionId::Workers)
    }

    /// Copies out the memory pools.
    pub fn pools(&self) -> Vec<(u32, Pool)> {
        self.copy_out(SectionId::Pools)
    }

    /// How many records a table can hold and up to which slot it was ever filled, by name.
    pub fn usage(&self) -> Vec<(&'static str, u64, u64)> {
        [
            ("interfaces", SectionId::Interfaces),
            ("addresses", SectionId::Addresses),
            ("routes4", SectionId::Routes4),
            ("neighbors", SectionId::Neighbors),
        ]
        .into_iter()
        .map(|(name, id)| {
            let placed = self.shared.placed(id);
            (name, self.shared.word(placed.header + 3), placed.slots as u64)
        })
        .collect()
    }

    fn copy_out<T: Record>(&self, id: SectionId) -> Vec<(u32, T)> {
        let placed = self.shared.placed(id);
        if placed.words_per_slot != T::WORDS + 1 {
            return Vec::new();
        }
        let high_water = usize::try_from(self.shared.word(placed.header + 3)).unwrap_or(0).min(placed.slots);
        let mut records = Vec::with_capacity(high_water);
        let mut buffer = [0u64; MAX_RECORD_WORDS];
        for index in 0..high_water {
            let Some(cells) = placed.slot(self.shared.words(), index) else { break };
            if slot::read(cells, &mut buffer[..T::WORDS]) != Found::Record {
                continue;
            }
            if let (Ok(record), Ok(index)) =
                (T::read_from_bytes(buffer[..T::WORDS].as_bytes()), u32::try_from(index))
            {
                records.push((index, record));
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{RouteKind, text};
    use zerocopy::FromZeros;

    const CAPACITY: Capacity =
        Capacity { interfaces: 4, addresses: 8, routes4: 100, neighbors: 10, workers: 2, pools: 2 };

    fn region() -> (tempfile::TempDir, PathBuf, TableWriter) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tg-test.tables");
        let writer = TableWriter::create(&path, None, &CAPACITY).unwrap();
        (directory, path, writer)
    }

    fn route(last: u8) -> Route4 {
        Route4 { prefix: [10, 0, last, 0], prefix_length: 24, kind: RouteKind::Blackhole as u8, ..Route4::new_zeroed() }
    }

    #[test]
    fn a_reader_sees_what_was_published_and_only_then() {
        let (_directory, path, writer) = region();
        let mut routes = writer.routes4().unwrap();
        let slots: Vec<_> = (0..5).map(|last| routes.insert(&route(last)).unwrap()).collect();
        assert!(matches!(TableReader::open(&path), Err(OpenError::NotReady { .. })));
        writer.publish();
        let reader = TableReader::open(&path).unwrap();
        assert_eq!(reader.writer(), ProcessId::current());
        routes.remove(slots[1]);
        routes.update(slots[2], &route(99));
        let seen: Vec<u8> = reader.routes4().iter().map(|(_, route)| route.prefix[2]).collect();
        assert_eq!(seen, [0, 99, 3, 4]);
    }

    #[test]
    fn a_full_table_refuses_and_a_freed_slot_is_used_again() {
        let (_directory, _path, writer) = region();
        let mut routes = writer.routes4().unwrap();
        for last in 0..100 {
            routes.insert(&route(last)).unwrap();
        }
        assert_eq!(routes.insert(&route(100)), None);
        routes.remove(7);
        assert_eq!(routes.insert(&route(100)), Some(7));
        assert_eq!(routes.len(), 100);
    }

    #[test]
    fn every_table_and_counter_block_has_one_writer() {
        let (_directory, _path, writer) = region();
        assert!(writer.interfaces().is_some());
        assert!(writer.interfaces().is_none());
        assert!(writer.counter_block(2).is_some());
        assert!(writer.counter_block(2).is_none());
        assert!(writer.counter_block(3).is_none());
    }

    #[test]
    fn counters_of_all_writers_add_up() {
        let (_directory, path, writer) = region();
        writer.publish();
        for index in 0..3 {
            let block = writer.counter_block(index).unwrap();
            block.add(3, InterfaceCounter::RxPackets, 10);
            block.drop(3, DropReason::NoRoute, index as u64);
            block.add(4, InterfaceCounter::RxPackets, 1);
            block.set_worker(WorkerCounter::Loops, index as u64 * 100);
        }
        let reader = TableReader::open(&path).unwrap();
        let counters = reader.counters();
        assert_eq!(counters.interface(3, InterfaceCounter::RxPackets), 30);
        assert_eq!(counters.drops(3, DropReason::NoRoute), 3);
        assert_eq!(counters.interface(2, InterfaceCounter::RxPackets), 0);
        assert_eq!(counters.worker(1, WorkerCounter::Loops), 200);
    }

    #[test]
    fn another_layout_is_refused_with_both_versions() {
        let (_directory, path, writer) = region();
        writer.publish();
        writer.shared.set(1, 0x1234);
        let message = TableReader::open(&path).err().unwrap().to_string();
        assert!(message.contains("0000000000001234") && message.contains(&format!("{LAYOUT_HASH:016x}")), "{message}");
    }

    #[test]
    fn a_file_that_is_no_region_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("garbage");
        for content in [vec![], vec![7; 8192]] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(TableReader::open(&path), Err(OpenError::NotReady { .. })));
        }
    }

    #[test]
    fn the_file_goes_with_its_writer() {
        let (_directory, path, writer) = region();
        assert!(path.exists());
        drop(writer);
        assert!(!path.exists());
    }

    #[test]
    fn interfaces_keep_their_names() {
        let (_directory, path, writer) = region();
        writer.publish();
        let mut table = writer.interfaces().unwrap();
        table.insert(&Interface { name: text("wan"), ..Interface::new_zeroed() }).unwrap();
        let seen = TableReader::open(&path).unwrap().interfaces();
        assert_eq!(crate::records::from_text(&seen[0].1.name), "wan");
    }
}
