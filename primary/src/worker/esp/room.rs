//! Buffers that cryptography can work in: it takes a packet in one segment, with room on both sides for what ESP puts there.
//!
//! ```text
//!   long or without room ──► a long buffer ──► sealed or opened ──► segments as the stages have them
//! ```
//!
//! A long packet is in a long buffer only while its burst waits and is done, so the few that there are serve all: none is ever in the queue of
//! a port or of a next hop.

use dpdk::{Mbuf, MbufError, Pool};
use shm::DropReason;

use super::super::Engine;
use super::super::dispatch::Refused;
use crate::adjacency;
use crate::path::{BURST, LONGEST_BEHIND};

/// Long buffers for each worker: four bursts.
pub const LONG_BUFFERS: u32 = 4 * BURST as u32;

/// More than ESP and its cryptography put behind a packet.
const BEHIND: usize = 64;

/// Bytes of a long buffer with its headroom, where others have so many: it holds whatever the stages let pass in segments of those.
pub fn long_room(data_room: u16) -> u16 {
    let room = usize::from(data_room) + LONGEST_BEHIND + BEHIND;
    u16::try_from(room.next_multiple_of(64)).unwrap_or(u16::MAX)
}

/// Bytes that must be free around a packet.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) head: usize,
    pub(super) tail: usize,
}

impl Around {
    /// Whether a packet is in one segment, with so much room around it.
    #[inline]
    pub(super) fn is_around(self, mbuf: &Mbuf) -> bool {
        mbuf.segment_count() == 1 && mbuf.headroom() >= self.head && mbuf.tailroom() >= self.tail
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// The same packet in one segment with so much room around it.
    #[inline]
    pub(super) fn with_room(&mut self, mbuf: Mbuf, around: Around) -> Result<Mbuf, Refused> {
        if around.is_around(&mbuf) {
            Ok(mbuf)
        } else {
            self.copied(&mbuf, around.tail).map_err(|reason| (mbuf, reason))
        }
    }

    /// Puts a packet where it has so much room around it.
    #[cold]
    pub(super) fn move_to_room(&mut self, mbuf: &mut Mbuf, around: Around) -> Result<(), DropReason> {
        *mbuf = self.copied(mbuf, around.tail)?;
        Ok(())
    }

    #[cold]
    fn copied(&mut self, mbuf: &Mbuf, tail: usize) -> Result<Mbuf, DropReason> {
        let needed = usize::from(Pool::HEADROOM) + mbuf.len() + tail;
        let fits = |pool: &&Pool| needed <= usize::from(pool.data_room());
        let pools = [Some(&self.pool), self.esp.long.as_ref()];
        let Some(pool) = pools.into_iter().flatten().find(fits) else {
            return Err(DropReason::EspRoom);
        };
        let Some(mut whole) = pool.alloc() else {
            return Err(DropReason::NoBuffer);
        };
        self.esp.has_lent |= pool.data_room() > self.pool.data_room();
        if let Some(port) = mbuf.port() {
            whole.set_port(port);
        }
        if mbuf.segments().all(|segment| whole.append(segment).is_ok()) {
            whole.copy_mark(mbuf);
            self.following.moves(mbuf, &whole);
            Ok(whole)
        } else {
            Err(DropReason::EspRoom)
        }
    }

    /// Puts a packet that is in a long buffer into others.
    pub(super) fn leave_long_buffer(&mut self, mbuf: &mut Mbuf) -> Result<(), DropReason> {
        let room = mbuf.headroom() + mbuf.data().len() + mbuf.tailroom();
        if room > usize::from(self.pool.data_room()) {
            let usual = self.in_segments(mbuf).map_err(|_| DropReason::NoBuffer)?;
            self.following.moves(mbuf, &usual);
            *mbuf = usual;
        }
        Ok(())
    }

    #[cold]
    fn in_segments(&self, long: &Mbuf) -> Result<Mbuf, MbufError> {
        let mut mbuf = self.pool.alloc().ok_or(MbufError::NoTailroom {
            needed: long.len(),
            available: 0,
        })?;
        if let Some(port) = long.port() {
            mbuf.set_port(port);
        }
        mbuf.copy_mark(long);
        mbuf.extend(&self.pool, long.data())?;
        Ok(mbuf)
    }
}
