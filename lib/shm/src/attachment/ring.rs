//! A ring of slot numbers in memory that two processes map: an rte_ring with one producer and one consumer and elements of
//! four bytes, laid out as DPDK's `rte_ring_init` does, so that DPDK's own calls work on it too.
//!
//! Neither end believes the other: each keeps its own position, takes only the other's position from shared memory, and
//! refuses one that cannot be.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes before the elements: `sizeof(struct rte_ring)`.
pub const HEADER_BYTES: usize = 384;

/// Where the fields of `struct rte_ring` lie, in bytes.
pub mod offset {
    /// `flags`.
    pub const FLAGS: usize = 32;
    /// `size`.
    pub const SIZE: usize = 48;
    /// `mask`.
    pub const MASK: usize = 52;
    /// `capacity`.
    pub const CAPACITY: usize = 56;
    /// `prod.head`; `prod.tail` and `prod.sync_type` follow.
    pub const PRODUCER: usize = 128;
    /// `cons.head`; `cons.tail` and `cons.sync_type` follow.
    pub const CONSUMER: usize = 256;
}

/// `RING_F_SP_ENQ`, `RING_F_SC_DEQ` and `RING_F_EXACT_SZ`.
const FLAGS: u32 = 0b111;
/// `RTE_RING_SYNC_ST`.
const SINGLE: u32 = 1;

/// The other end has a position that it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end of a ring claims {claimed} elements in a ring of {capacity}")]
pub struct BadPosition {
    /// How many elements its position says there are.
    claimed: u32,
    /// How many there can be.
    capacity: u32,
}

/// Bytes of a ring for `capacity` elements, a whole number of cache line pairs.
pub const fn bytes(capacity: u32) -> usize {
    (HEADER_BYTES + size(capacity) as usize * 4).next_multiple_of(128)
}

const fn size(capacity: u32) -> u32 {
    (capacity + 1).next_power_of_two()
}

/// Makes `words`, which are zero, a ring for `capacity` elements.
pub fn format(words: &[AtomicU32], name: &str, capacity: u32) {
    let set = |byte: usize, value: u32| words[byte / 4].store(value, Ordering::Relaxed);
    for (index, part) in name.as_bytes()[..name.len().min(31)].chunks(4).enumerate() {
        let mut word = [0; 4];
        word[..part.len()].copy_from_slice(part);
        set(index * 4, u32::from_ne_bytes(word));
    }
    set(offset::FLAGS, FLAGS);
    set(offset::SIZE, size(capacity));
    set(offset::MASK, size(capacity) - 1);
    set(offset::CAPACITY, capacity);
    set(offset::PRODUCER + 8, SINGLE);
    set(offset::CONSUMER + 8, SINGLE);
}

/// What both ends have: their own idea of the ring's size, and their own position.
#[derive(Debug)]
struct End {
    mask: u32,
    capacity: u32,
    position: u32,
}

impl End {
    fn new(capacity: u32) -> Self {
        Self {
            mask: size(capacity) - 1,
            capacity,
            position: 0,
        }
    }

    #[inline]
    fn element<'a>(&self, words: &'a [AtomicU32], position: u32) -> &'a AtomicU32 {
        &words[HEADER_BYTES / 4 + (position & self.mask) as usize]
    }

    /// Makes the position known to the other end.
    #[inline]
    fn publish(&self, words: &[AtomicU32], side: usize) {
        words[side / 4].store(self.position, Ordering::Relaxed);
        words[side / 4 + 1].store(self.position, Ordering::Release);
    }
}

/// The producing end.
#[derive(Debug)]
pub struct Producer(End);

/// The consuming end.
#[derive(Debug)]
pub struct Consumer(End);

impl Producer {
    /// The end of a new ring for `capacity` elements.
    pub fn new(capacity: u32) -> Self {
        Self(End::new(capacity))
    }

    /// Writes an element that the other end sees after [`Producer::publish`]. The caller knows that there is room: never more
    /// elements than the capacity are on their way.
    #[inline]
    pub fn put(&mut self, words: &[AtomicU32], element: u32) {
        self.0
            .element(words, self.0.position)
            .store(element, Ordering::Relaxed);
        self.0.position = self.0.position.wrapping_add(1);
    }

    /// Shows the other end what was put.
    #[inline]
    pub fn publish(&self, words: &[AtomicU32]) {
        self.0.publish(words, offset::PRODUCER);
    }
}

impl Consumer {
    /// The end of a new ring for `capacity` elements.
    pub fn new(capacity: u32) -> Self {
        Self(End::new(capacity))
    }

    /// How many elements there are to take.
    #[inline]
    pub fn ready(&self, words: &[AtomicU32]) -> Result<u32, BadPosition> {
        let tail = words[offset::PRODUCER / 4 + 1].load(Ordering::Acquire);
        let claimed = tail.wrapping_sub(self.0.position);
        if claimed > self.0.capacity {
            return Err(BadPosition {
                claimed,
                capacity: self.0.capacity,
            });
        }
        Ok(claimed)
    }

    /// Takes the next element; only as many as [`Consumer::ready`] said.
    #[inline]
    pub fn take(&mut self, words: &[AtomicU32]) -> u32 {
        let element = self.0.element(words, self.0.position).load(Ordering::Relaxed);
        self.0.position = self.0.position.wrapping_add(1);
        element
    }

    /// Gives the places of what was taken back.
    #[inline]
    pub fn publish(&self, words: &[AtomicU32]) {
        self.0.publish(words, offset::CONSUMER);
    }
}
