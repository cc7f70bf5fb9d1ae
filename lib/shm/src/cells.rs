//! Counters: cells in the table region, each written by the one worker that owns it.
//!
//! A cell is one 64-bit word. Its owner adds with a plain load and store, no locked instruction; readers load. So a sum
//! over cells is never torn in one cell, yet the cells of a sum may be some microseconds apart.
//!
//! ```text
//!   writer 0 (control) │ interface 0: counters… drop reasons… │ interface 1: … │ worker counters, ICMP… │ stages… │ router alerts…
//!   writer 1 (worker)  │ …
//!   last writer (tap)  │ …
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::alert_counters::ALERT_CELLS;
use crate::counters::{
    DropReason, INTERFACE_CELLS, IcmpCounter, InterfaceCounter, WORKER_CELLS, WorkerCounter,
};
use crate::region::Shared;
use crate::stages::STAGE_CELLS;

/// Where the cells lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    /// First word of the section in the region.
    pub(crate) first_word: usize,
    pub(crate) interfaces: usize,
    /// Control thread, workers, and the thread of the taps.
    pub(crate) writers: usize,
}

impl Geometry {
    pub(crate) fn block_cells(&self) -> usize {
        self.interfaces * INTERFACE_CELLS + WORKER_CELLS + STAGE_CELLS + ALERT_CELLS
    }

    pub(crate) fn cells(&self) -> usize {
        self.block_cells() * self.writers
    }

    /// The same for numbers that a reader found; `None` if there cannot be as many.
    pub(crate) fn checked_cells(&self) -> Option<usize> {
        let interfaces = self.interfaces.checked_mul(INTERFACE_CELLS)?;
        interfaces
            .checked_add(WORKER_CELLS + STAGE_CELLS + ALERT_CELLS)?
            .checked_mul(self.writers)
    }
}

/// The cells that one thread owns. There is one for each writer; it can move to another thread, not be shared.
pub struct CounterBlock {
    shared: Arc<Shared>,
    first_word: usize,
    interfaces: usize,
    // `Cell` is Send and not Sync: two threads that add to one cell would lose counts.
    _one_thread: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl CounterBlock {
    pub(crate) fn new(shared: Arc<Shared>, geometry: Geometry, writer: usize) -> Self {
        Self {
            first_word: geometry.first_word + writer * geometry.block_cells(),
            interfaces: geometry.interfaces,
            shared,
            _one_thread: std::marker::PhantomData,
        }
    }

    /// Adds to a counter of an interface. An interface that does not exist is passed over.
    #[inline]
    pub fn add(&self, interface: u16, counter: InterfaceCounter, count: u64) {
        self.bump(interface, counter as usize, count);
    }

    /// The counter itself, for who wants to ask for it from memory.
    #[inline]
    pub fn cell(&self, interface: u16, counter: InterfaceCounter) -> Option<&AtomicU64> {
        let interface = usize::from(interface);
        let offset = interface * INTERFACE_CELLS + counter as usize;
        let cell = self.shared.words().get(self.first_word + offset);
        cell.filter(|_| interface < self.interfaces)
    }

    /// Takes from a counter that goes up and down: [`InterfaceCounter::Waiting`].
    #[inline]
    pub fn sub(&self, interface: u16, counter: InterfaceCounter, count: u64) {
        self.bump(interface, counter as usize, count.wrapping_neg());
    }

    /// Counts dropped packets.
    #[inline]
    pub fn drop(&self, interface: u16, reason: DropReason, count: u64) {
        self.bump(interface, InterfaceCounter::COUNT + reason as usize, count);
    }

    /// Sets all counters of an interface to zero: it is a new one.
    pub fn clear(&self, interface: u16) {
        if usize::from(interface) < self.interfaces {
            self.clear_cells(usize::from(interface) * INTERFACE_CELLS, INTERFACE_CELLS);
        }
    }

    /// Sets cells of [`crate::alert_counters`] to zero.
    pub(crate) fn clear_alerts(&self, offset: usize, count: usize) {
        self.clear_cells(self.alerts() + offset, count);
    }

    fn clear_cells(&self, first: usize, count: usize) {
        let cells = self.shared.words().iter().skip(self.first_word + first);
        for cell in cells.take(count) {
            cell.store(0, Ordering::Relaxed);
        }
    }

    /// Sets a counter of this writer as worker.
    #[inline]
    pub fn set_worker(&self, counter: WorkerCounter, value: u64) {
        self.set_cell(counter as usize, value);
    }

    /// Sets a counter of ICMP of this writer as worker.
    #[inline]
    pub fn set_icmp(&self, counter: IcmpCounter, value: u64) {
        self.set_cell(WorkerCounter::COUNT + counter as usize, value);
    }

    /// Sets one of the worker's cells.
    #[inline]
    fn set_cell(&self, offset: usize, value: u64) {
        let index = self.first_word + self.interfaces * INTERFACE_CELLS + offset;
        if let Some(cell) = self.shared.words().get(index) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn bump(&self, interface: u16, offset: usize, count: u64) {
        let interface = usize::from(interface);
        if interface < self.interfaces {
            self.bump_cell(interface * INTERFACE_CELLS + offset, count);
        }
    }

    /// Adds to one of the cells of [`crate::stages`].
    #[inline]
    pub(crate) fn bump_stage(&self, offset: usize, count: u64) {
        self.bump_cell(self.interfaces * INTERFACE_CELLS + WORKER_CELLS + offset, count);
    }

    /// Adds to one of the cells of [`crate::alert_counters`].
    #[inline]
    pub(crate) fn bump_alert(&self, offset: usize, count: u64) {
        self.bump_cell(self.alerts() + offset, count);
    }

    /// The first of the cells of [`crate::alert_counters`].
    #[inline]
    fn alerts(&self) -> usize {
        self.interfaces * INTERFACE_CELLS + WORKER_CELLS + STAGE_CELLS
    }

    #[inline]
    fn bump_cell(&self, cell: usize, count: u64) {
        if let Some(cell) = self.shared.words().get(self.first_word + cell) {
            // A load and a store suffice: nobody else writes this cell.
            cell.store(
                cell.load(Ordering::Relaxed).wrapping_add(count),
                Ordering::Relaxed,
            );
        }
    }
}

/// Reads the counters of a region.
pub struct CounterView<'a> {
    words: &'a [AtomicU64],
    geometry: Geometry,
}

impl<'a> CounterView<'a> {
    pub(crate) fn new(words: &'a [AtomicU64], geometry: Geometry) -> Self {
        Self { words, geometry }
    }

    /// A counter of an interface, summed over all writers.
    pub fn interface(&self, interface: u16, counter: InterfaceCounter) -> u64 {
        self.sum(interface, counter as usize)
    }

    /// Drops of an interface for a reason, summed over all writers.
    pub fn drops(&self, interface: u16, reason: DropReason) -> u64 {
        self.sum(interface, InterfaceCounter::COUNT + reason as usize)
    }

    /// A counter of worker `worker`, counted from 0.
    pub fn worker(&self, worker: usize, counter: WorkerCounter) -> u64 {
        self.worker_cell(worker, counter as usize)
    }

    /// A counter of ICMP of worker `worker`, counted from 0.
    pub fn icmp(&self, worker: usize, counter: IcmpCounter) -> u64 {
        self.worker_cell(worker, WorkerCounter::COUNT + counter as usize)
    }

    fn worker_cell(&self, worker: usize, offset: usize) -> u64 {
        // Writer 0 is the control thread.
        let block = (worker + 1) * self.geometry.block_cells();
        self.cell(block + self.geometry.interfaces * INTERFACE_CELLS + offset)
    }

    fn sum(&self, interface: u16, offset: usize) -> u64 {
        self.over_writers(usize::from(interface) * INTERFACE_CELLS + offset)
    }

    /// One of the cells of [`crate::stages`], summed over all writers.
    pub(crate) fn stage(&self, offset: usize) -> u64 {
        self.over_writers(self.geometry.interfaces * INTERFACE_CELLS + WORKER_CELLS + offset)
    }

    /// One of the cells of [`crate::alert_counters`], summed over all writers.
    pub(crate) fn alerts(&self, offset: usize) -> u64 {
        self.over_writers(self.geometry.interfaces * INTERFACE_CELLS + WORKER_CELLS + STAGE_CELLS + offset)
    }

    fn over_writers(&self, offset: usize) -> u64 {
        (0..self.geometry.writers)
            .map(|writer| self.cell(writer * self.geometry.block_cells() + offset))
            .fold(0, u64::wrapping_add)
    }

    fn cell(&self, cell: usize) -> u64 {
        self.words
            .get(self.geometry.first_word + cell)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }
}
