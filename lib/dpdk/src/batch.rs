//! A burst of packets.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use crate::mbuf::Mbuf;

/// Up to `N` packets, in order, in a fixed array: what queues fill and empty. Dropping it gives all packets back to
/// their pools in bulk.
///
/// It is a slice of [`Mbuf`] to whoever looks at or changes packets, and a queue to whoever moves them: each packet
/// leaves it by value, once.
// The length stands beside the first packets, so that a batch of few is one line of cache.
#[repr(C)]
pub struct MbufBatch<const N: usize = 32> {
    len: usize,
    /// The first `len` are packets.
    slots: [MaybeUninit<Mbuf>; N],
}

impl<const N: usize> MbufBatch<N> {
    /// How many packets it can hold.
    pub const CAPACITY: usize = N;

    /// A batch without packets.
    #[inline]
    pub const fn new() -> Self {
        const {
            assert!(
                N > 0 && N <= u16::MAX as usize,
                "DPDK counts the packets of a burst in 16 bits"
            )
        };
        Self {
            slots: [const { MaybeUninit::uninit() }; N],
            len: 0,
        }
    }

    /// How many packets still fit.
    #[inline]
    pub const fn room(&self) -> usize {
        N - self.len
    }

    /// True if no packet fits any more.
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.len == N
    }

    /// Adds a packet at the end; a full batch gives it back.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        match self.slots.get_mut(self.len) {
            Some(slot) => {
                slot.write(mbuf);
                self.len += 1;
                Ok(())
            }
            None => Err(mbuf),
        }
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        // SAFETY: the slot was within `len`, so it holds a packet, and it is no longer counted.
        Some(unsafe { self.slots[last].assume_init_read() })
    }

    /// The bytes of the first segment of packet `index`. Panics past the end, as slices do.
    #[inline]
    pub fn packet(&self, index: usize) -> &[u8] {
        self[index].data()
    }

    /// The bytes of the first segment of packet `index`, to be changed. Panics past the end, as slices do.
    #[inline]
    pub fn packet_mut(&mut self, index: usize) -> &mut [u8] {
        self[index].data_mut()
    }

    /// Takes all packets, the first one first. Those that are not asked for are freed when the iterator goes.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_, N> {
        let len = std::mem::take(&mut self.len);
        Drain {
            batch: self,
            next: 0,
            len,
        }
    }

    /// Takes the packets from `at` on, in order; none if there are not so many.
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut tail = Self::new();
        let count = self.len.saturating_sub(at);
        if count > 0 {
            // SAFETY: the slots from `at` to `len` hold packets; they are counted in `tail` from now on, and no
            // longer here.
            unsafe {
                std::ptr::copy_nonoverlapping(&raw const self.slots[at], &raw mut tail.slots[0], count)
            };
            self.len = at;
            tail.len = count;
        }
        tail
    }

    /// Moves packets from the start of `other` to the end of this batch, as many as fit, and answers how many.
    pub fn append<const M: usize>(&mut self, other: &mut MbufBatch<M>) -> usize {
        let count = self.room().min(other.len);
        // SAFETY: the first `count` slots of `other` hold packets and there is room for them here; they are counted
        // here from now on, and no longer there.
        unsafe {
            std::ptr::copy_nonoverlapping(other.slots.as_ptr(), self.slots.as_mut_ptr().add(self.len), count);
            other.forget_front(count);
        }
        self.len += count;
        count
    }

    /// Gives all packets back to their pools.
    #[inline]
    pub fn clear(&mut self) {
        let count = std::mem::take(&mut self.len);
        // SAFETY: these slots held the packets, and are no longer counted.
        unsafe { free(&mut self.slots[..count]) };
    }

    /// The slots that hold no packet, for DPDK to fill.
    #[inline]
    pub(crate) fn spare_slots(&mut self) -> &mut [MaybeUninit<Mbuf>] {
        &mut self.slots[self.len..]
    }

    /// Counts `count` more slots.
    ///
    /// # Safety
    /// The first `count` of [`Self::spare_slots`] have been filled with packets that nobody else has.
    #[inline]
    pub(crate) unsafe fn grow(&mut self, count: usize) {
        debug_assert!(count <= self.room());
        self.len += count;
    }

    /// The packets as DPDK's functions take them.
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut dpdk_sys::rte_mbuf {
        self.slots.as_mut_ptr().cast()
    }

    /// Forgets the first `count` packets and moves the others up.
    ///
    /// # Safety
    /// There are so many, and they belong to someone else now.
    #[inline]
    pub(crate) unsafe fn forget_front(&mut self, count: usize) {
        debug_assert!(count <= self.len);
        let left = self.len - count;
        if left > 0 && count > 0 {
            let slots = self.slots.as_mut_ptr();
            // SAFETY: both ranges are within the first `len` slots.
            unsafe { std::ptr::copy(slots.add(count), slots, left) };
        }
        self.len = left;
    }
}

impl<const N: usize> Deref for MbufBatch<N> {
    type Target = [Mbuf];

    #[inline]
    fn deref(&self) -> &[Mbuf] {
        // SAFETY: the first `len` slots hold packets, and MaybeUninit<Mbuf> is laid out as Mbuf.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr().cast(), self.len) }
    }
}

impl<const N: usize> DerefMut for MbufBatch<N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Mbuf] {
        // SAFETY: as in `deref`, and the batch is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.slots.as_mut_ptr().cast(), self.len) }
    }
}

impl<const N: usize> Drop for MbufBatch<N> {
    #[inline]
    fn drop(&mut self) {
        self.clear();
    }
}

impl<const N: usize> Default for MbufBatch<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for MbufBatch<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The packets of a batch on their way out, see [`MbufBatch::drain`].
#[derive(Debug)]
pub struct Drain<'a, const N: usize> {
    batch: &'a mut MbufBatch<N>,
    next: usize,
    /// Of the batch's slots, those from `next` to here hold packets, which are this iterator's.
    len: usize,
}

impl<const N: usize> Iterator for Drain<'_, N> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.len {
            return None;
        }
        // SAFETY: the slot holds a packet of this iterator, and is passed over from now on.
        let mbuf = unsafe { self.batch.slots[self.next].assume_init_read() };
        self.next += 1;
        Some(mbuf)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len - self.next;
        (left, Some(left))
    }
}

impl<const N: usize> ExactSizeIterator for Drain<'_, N> {}

impl<const N: usize> Drop for Drain<'_, N> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: these slots hold the packets that are left, and the iterator ends here.
        unsafe { free(&mut self.batch.slots[self.next..self.len]) };
    }
}

/// Frees the packets in these slots.
///
/// # Safety
/// Each slot holds a packet, and the caller does not use it again.
#[inline]
unsafe fn free(packets: &mut [MaybeUninit<Mbuf>]) {
    if !packets.is_empty() {
        // SAFETY: a slot is one pointer to an mbuf, which is the caller's to free; pools live until EAL is shut
        // down, which waits for their mbufs.
        unsafe { dpdk_sys::rte_pktmbuf_free_bulk(packets.as_mut_ptr().cast(), packets.len() as u32) };
    }
}

const _: () = assert!(size_of::<MaybeUninit<Mbuf>>() == size_of::<*mut dpdk_sys::rte_mbuf>());
