//! One packet.
//!
//! ```text
//!   ┌──────────┬──────────────────┬──────────┐   ┌───┬─────────────┬────┐
//!   │ headroom │ data             │ tailroom │ ► │   │ data        │    │ ► …
//!   └──────────┴──────────────────┴──────────┘   └───┴─────────────┴────┘
//!    prepend ◄─┤                  ├─ append goes to the last segment ──►
//!              ├─► trim_front     truncate ◄─┤
//! ```

mod chain;
mod header;
mod mark;
mod offload;

use std::fmt;
use std::ptr::NonNull;

use dpdk_sys::rte_mbuf;

use crate::cpu;
use crate::port::PortId;
pub use chain::Chain;
use header::Header;
pub(crate) use mark::register as register_mark;
pub use offload::{ChecksumStatus, OffloadFlags};

/// A packet, owned. Dropping it gives it back to its pool; in bulk, [`MbufBatch`](crate::MbufBatch) does that
/// cheaper. One pointer wide.
///
/// Most packets are one segment, which is what [`Mbuf::data`] shows; a frame longer than the pool's data room is a
/// chain of several.
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: a packet belongs to one owner, who may be any thread, and pools take it back from any thread. It is not
// Sync, which NonNull sees to: nothing is gained by two threads reading one packet.
unsafe impl Send for Mbuf {}

/// Why a packet was left as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MbufError {
    /// Not enough space before the data.
    #[error(
        "{needed} bytes do not fit before the packet, where {available} are free: use a pool with more headroom"
    )]
    NoHeadroom {
        /// Bytes to prepend.
        needed: usize,
        /// Bytes that are free.
        available: usize,
    },
    /// Not enough space after the data.
    #[error(
        "{needed} bytes do not fit behind the packet, where {available} are free: use a pool with more data room"
    )]
    NoTailroom {
        /// Bytes to append.
        needed: usize,
        /// Bytes that are free.
        available: usize,
    },
    /// The first segment has fewer bytes than are to be cut off.
    #[error("{wanted} bytes cannot be cut off a first segment of {available}: check the length first")]
    TooShort {
        /// Bytes to cut off.
        wanted: usize,
        /// Bytes in the first segment.
        available: usize,
    },
}

impl Mbuf {
    /// # Safety
    /// `mbuf` is allocated, its pool alive, and nobody else has it or will free it.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(mbuf: NonNull<rte_mbuf>) -> Self {
        Self(mbuf)
    }

    /// For code that only reads the packet, and only while it is borrowed.
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut rte_mbuf {
        self.0.as_ptr()
    }

    /// Where the bytes of the first segment are, and how many, for code that hands them to DPDK while the packet is
    /// borrowed.
    #[inline(always)]
    pub(crate) fn first_segment(&mut self) -> (*mut u8, usize) {
        let header = self.header();
        (header.data(), header.data_len())
    }

    #[inline(always)]
    fn header(&self) -> Header {
        // SAFETY: the packet is this value's, exclusively; setters are used in `&mut self` functions only.
        unsafe { Header::new(self.0) }
    }

    /// The bytes of the first segment, starting with the Ethernet header.
    #[inline(always)]
    pub fn data(&self) -> &[u8] {
        slice(self.header())
    }

    /// The bytes of the first segment, to be changed.
    #[inline(always)]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let header = self.header();
        // SAFETY: as in `slice`, and the exclusive borrow of the packet covers its bytes.
        unsafe { std::slice::from_raw_parts_mut(header.data(), header.data_len()) }
    }

    /// Bytes in the whole packet, all segments.
    #[inline(always)]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a packet is not a collection; an empty one is nothing special"
    )]
    pub fn len(&self) -> usize {
        self.header().packet_len()
    }

    /// The bytes of each segment, in order; at least one segment.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::successors(Some(self.header()), |segment| segment.next()).map(slice)
    }

    /// How many segments the packet has, at least 1.
    #[inline]
    pub fn segment_count(&self) -> u16 {
        self.header().segment_count()
    }

    /// Bytes that [`Mbuf::prepend`] can add.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.header().headroom()
    }

    /// Bytes that [`Mbuf::append`] can add.
    #[inline]
    pub fn tailroom(&self) -> usize {
        self.last_segment().tailroom()
    }

    /// The port that the packet was received from, none if this program made it.
    #[inline]
    pub fn port(&self) -> Option<PortId> {
        PortId::from_raw(self.header().port())
    }

    /// Says that a packet which this program made counts as received from a port.
    #[inline]
    pub fn set_port(&mut self, port: PortId) {
        self.header().set_port(port.number());
    }

    /// What the port found out about the packet.
    #[inline]
    pub fn offload_flags(&self) -> OffloadFlags {
        OffloadFlags::from_bits_truncate(self.header().offload_flags())
    }

    /// The VLAN tag's control information (priority, DEI and identifier), if the port noted it; whether the tag is
    /// in the packet's bytes still is another question ([`OffloadFlags::VLAN_STRIPPED`]).
    #[inline]
    pub fn vlan_tci(&self) -> Option<u16> {
        self.offload_flags()
            .contains(OffloadFlags::VLAN)
            .then(|| self.header().vlan_tci())
    }

    /// Adds bytes to the end of the packet.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), MbufError> {
        let last = self.last_segment();
        let (len, available) = (last.data_len(), last.tailroom());
        if bytes.len() > available {
            return Err(MbufError::NoTailroom {
                needed: bytes.len(),
                available,
            });
        }
        // SAFETY: the tailroom is free space within the segment's buffer, it is at least that long, and `bytes`
        // cannot be part of it, since this packet is borrowed exclusively.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), last.data().add(len), bytes.len()) };
        last.set_data(last.headroom(), len + bytes.len());
        self.header().set_packet_len(self.len() + bytes.len());
        Ok(())
    }

    /// Adds `count` bytes to the end of a packet of one segment. They hold what an earlier packet left there: write them all.
    #[inline]
    pub fn grow(&mut self, count: usize) -> Result<(), MbufError> {
        let header = self.header();
        let available = if header.segment_count() == 1 {
            header.tailroom()
        } else {
            0
        };
        if count > available {
            return Err(MbufError::NoTailroom {
                needed: count,
                available,
            });
        }
        header.set_data(header.headroom(), header.data_len() + count);
        header.set_packet_len(header.packet_len() + count);
        Ok(())
    }

    /// Makes a packet of one segment begin `front` bytes earlier and be `len` bytes long. What is new holds what an earlier packet left
    /// there: write it all.
    #[inline(always)]
    pub fn surround(&mut self, front: usize, len: usize) -> Result<(), MbufError> {
        let header = self.header();
        let (headroom, data_len) = (header.headroom(), header.data_len());
        if front > headroom || header.segment_count() != 1 {
            return Err(MbufError::NoHeadroom {
                needed: front,
                available: headroom,
            });
        }
        let available = header.tailroom();
        let needed = len.saturating_sub(front + data_len);
        if needed > available {
            return Err(MbufError::NoTailroom { needed, available });
        }
        header.set_data(headroom - front, len);
        header.set_packet_len(len);
        Ok(())
    }

    /// Makes a packet of one segment begin `front` bytes later and be `len` bytes long: what was around it is gone.
    #[inline(always)]
    pub fn uncover(&mut self, front: usize, len: usize) -> Result<(), MbufError> {
        let header = self.header();
        let (headroom, data_len) = (header.headroom(), header.data_len());
        if header.segment_count() != 1 || front.saturating_add(len) > data_len {
            return Err(MbufError::TooShort {
                wanted: front.saturating_add(len),
                available: data_len,
            });
        }
        header.set_data(headroom + front, len);
        header.set_packet_len(len);
        Ok(())
    }

    /// Adds `count` bytes before the packet and shows them. They hold what an earlier packet left there: write
    /// them all.
    #[inline]
    pub fn prepend(&mut self, count: usize) -> Result<&mut [u8], MbufError> {
        let header = self.header();
        let available = header.headroom();
        if count > available {
            return Err(MbufError::NoHeadroom {
                needed: count,
                available,
            });
        }
        // DPDK's own limit: the length of a segment is 16 bits wide, as is that of its buffer.
        header.set_data(available - count, header.data_len() + count);
        header.set_packet_len(header.packet_len() + count);
        Ok(&mut self.data_mut()[..count])
    }

    /// Cuts `count` bytes off the start of the packet, all of which must be in the first segment.
    #[inline]
    pub fn trim_front(&mut self, count: usize) -> Result<(), MbufError> {
        let header = self.header();
        let available = header.data_len();
        if count > available {
            return Err(MbufError::TooShort {
                wanted: count,
                available,
            });
        }
        header.set_data(header.headroom() + count, available - count);
        header.set_packet_len(header.packet_len() - count);
        Ok(())
    }

    /// Cuts the packet down to `len` bytes; does nothing if it is not longer. Segments that are not needed any
    /// more go back to their pool.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        let mut segment = self.header();
        let (mut left, mut count) = (len, 1);
        while left > segment.data_len() {
            let Some(next) = segment.next() else { break };
            left -= segment.data_len();
            count += 1;
            segment = next;
        }
        segment.set_data(segment.headroom(), left.min(segment.data_len()));
        if let Some(rest) = segment.take_next() {
            // SAFETY: the rest of the chain was this packet's, and nothing refers to it any more.
            unsafe { dpdk_sys::rte_pktmbuf_free(rest.as_ptr()) };
        }
        self.header().set_segment_count(count);
        self.header().set_packet_len(len);
    }

    /// Asks for the first cache line of the data. A burst's packets are best asked for before the first is read.
    #[inline(always)]
    pub fn prefetch_data(&self) {
        cpu::prefetch_address(self.header().data());
    }

    fn last_segment(&self) -> Header {
        let mut segment = self.header();
        while let Some(next) = segment.next() {
            segment = next;
        }
        segment
    }
}

/// The bytes of a segment, for as long as the packet is borrowed: callers tie the lifetime to that.
#[inline(always)]
fn slice<'a>(segment: Header) -> &'a [u8] {
    // SAFETY: data_off and data_len stay within the segment's buffer, in DPDK and in `Mbuf`'s setters; the buffer is
    // pool memory, which was zeroed when it was mapped, so every byte is initialised; it belongs to the packet.
    unsafe { std::slice::from_raw_parts(segment.data(), segment.data_len()) }
}

impl AsRef<[u8]> for Mbuf {
    /// [`Mbuf::data`].
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl AsMut<[u8]> for Mbuf {
    /// [`Mbuf::data_mut`].
    #[inline(always)]
    fn as_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the packet is owned and not used again; its pool lives until EAL is shut down, which waits for it.
        unsafe { dpdk_sys::rte_pktmbuf_free(self.0.as_ptr()) }
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("len", &self.len())
            .field("segments", &self.segment_count())
            .field("port", &self.port())
            .finish()
    }
}

const _: () = assert!(size_of::<Mbuf>() == size_of::<*mut rte_mbuf>());
const _: () = assert!(size_of::<Option<Mbuf>>() == size_of::<Mbuf>());
