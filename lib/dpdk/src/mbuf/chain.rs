//! Packets of several segments: frames longer than the data room of their pool.

use super::{Mbuf, MbufError};
use crate::pool::Pool;

/// A packet that may have several segments, for who handles these otherwise than those of one. It is the same packet.
#[derive(Debug)]
#[repr(transparent)]
pub struct Chain(Mbuf);

impl Chain {
    /// The packets of a batch as such.
    #[inline]
    pub fn of(packets: &mut [Mbuf]) -> &mut [Chain] {
        let packets: *mut [Mbuf] = packets;
        // SAFETY: a Chain is an Mbuf and nothing else (repr(transparent)), and the exclusive borrow goes over to the result.
        unsafe { &mut *(packets as *mut [Chain]) }
    }

    /// A packet as such.
    #[inline]
    pub fn of_one(packet: &mut Mbuf) -> &mut Chain {
        &mut Chain::of(std::slice::from_mut(packet))[0]
    }

    /// The bytes of the first segment.
    #[inline]
    pub fn first_mut(&mut self) -> &mut [u8] {
        self.0.data_mut()
    }

    /// Bytes in the segments behind the first.
    #[inline]
    pub fn behind(&self) -> usize {
        self.0.len() - self.0.data().len()
    }
}

impl Mbuf {
    /// Copies the packet's bytes, all segments, to the start of `out`, as many as it takes; answers how many.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let mut copied = 0;
        for segment in self.segments() {
            let Some(place) = out.get_mut(copied..).filter(|place| !place.is_empty()) else {
                break;
            };
            let len = segment.len().min(place.len());
            place[..len].copy_from_slice(&segment[..len]);
            copied += len;
        }
        copied
    }

    /// Writes `bytes` over the packet's, from its start on, as many as it has.
    pub fn overwrite(&mut self, mut bytes: &[u8]) {
        let mut next = Some(self.header());
        while let Some(segment) = next {
            let len = segment.data_len().min(bytes.len());
            let (now, rest) = bytes.split_at(len);
            // SAFETY: the segment has `data_len` bytes, at least `len`; the packet is borrowed exclusively, so `bytes` are none
            // of them.
            unsafe { std::ptr::copy_nonoverlapping(now.as_ptr(), segment.data(), len) };
            bytes = rest;
            next = segment.next();
        }
    }

    /// Adds bytes to the end of the packet, in more segments of `pool` where they do not fit into the last.
    pub fn extend(&mut self, pool: &Pool, mut bytes: &[u8]) -> Result<(), MbufError> {
        loop {
            let (now, rest) = bytes.split_at(self.tailroom().min(bytes.len()));
            self.append(now)?;
            bytes = rest;
            if bytes.is_empty() {
                return Ok(());
            }
            let segment = pool.alloc().filter(|segment| segment.tailroom() > 0);
            let count = self.segment_count().checked_add(1);
            let (Some(segment), Some(count)) = (segment, count) else {
                return Err(MbufError::NoTailroom {
                    needed: bytes.len(),
                    available: 0,
                });
            };
            // The new one is empty, so that the packet's length stays; from now on it is freed with the packet.
            self.last_segment().set_next(segment.0);
            std::mem::forget(segment);
            self.header().set_segment_count(count);
        }
    }
}
