//! A key with what is done by it.

use std::ffi::c_void;
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use super::session_pool::Room;
use super::transform::{Direction, Shape, Transform};
use crate::cpu::prefetch_address;
use crate::errno::{Errno, ErrorLines};
use crate::log;

/// A key with what is done by it, in one direction. It may move to another thread but is used by one at a time. When it
/// is dropped, its memory is wiped and goes back to its pool, as soon as no queue has packets of it.
pub struct Session {
    pub(super) raw: NonNull<c_void>,
    pub(super) device: u8,
    pub(super) shape: Shape,
    /// Where in a packet's text the cipher begins and ends, as DPDK has it.
    pub(super) offsets: u64,
    direction: Direction,
    kept: Arc<Kept>,
}

// SAFETY: DPDK's sessions are not tied to a thread. It is not Sync, which NonNull sees to.
unsafe impl Send for Session {}

/// The session in its pool, which the session and packets in queues keep there.
pub(super) struct Kept {
    raw: NonNull<c_void>,
    room: Arc<Room>,
}

// SAFETY: nothing is done by it but to free the session once, which any thread may do.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A key of a length that the algorithm does not take.
    #[error("a key of {len} bytes is none of {transform}: check which algorithm it was made for")]
    KeyLength {
        /// The algorithms.
        transform: String,
        /// The length.
        len: usize,
    },
    /// Too much additional data.
    #[error(
        "{wanted} bytes of additional authenticated data are more than the {} that are taken",
        Transform::MOST_AAD
    )]
    Aad {
        /// How many were asked for.
        wanted: u8,
    },
    /// The device does not do it.
    #[error("{device} does not support {transform}: use another crypto device")]
    Unsupported {
        /// The device's name.
        device: String,
        /// The algorithms.
        transform: String,
    },
    /// There are as many sessions as the pool has room for.
    #[error(
        "the pool {pool} has room for {capacity} crypto sessions, and all are in use: delete one, or make it larger"
    )]
    Full {
        /// The pool's name.
        pool: String,
        /// How many there are.
        capacity: u32,
    },
    /// DPDK did not make it.
    #[error("{device} cannot make a session for {transform}: {errno}{log}")]
    Dpdk {
        /// The device's name.
        device: String,
        /// The algorithms.
        transform: String,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}

/// What drivers keep of a session, lines of cache: a header, the round keys, and of AES-GCM on AVX-512 48 powers of the hash key, the highest
/// first.
const LINES: usize = 18;
/// Powers that only packets of 528 bytes and more need, 16 bytes each.
const HIGH_POWERS: Range<usize> = 6..9;

impl Session {
    /// Asks for what the driver has of it and needs for packets of up to `longest` bytes, which comes while other work is done.
    #[inline]
    pub fn prefetch(&self, longest: usize) {
        let begin = self.raw.as_ptr().cast::<u8>();
        for line in 0..LINES {
            if longest > 528 || !HIGH_POWERS.contains(&line) {
                // Nothing is read by it, so it does not matter if another driver has it otherwise.
                prefetch_address(begin.wrapping_add(64 * line));
            }
        }
    }

    pub(super) fn new(
        room: &Arc<Room>,
        transform: &Transform,
        direction: Direction,
    ) -> Result<Self, SessionError> {
        transform.check()?;
        let device = room.device();
        if !device.supports(transform) {
            return Err(SessionError::Unsupported {
                device: device.name().to_owned(),
                transform: transform.to_string(),
            });
        }
        let request = transform.as_raw(direction);
        let (raw, log) = {
            let _alone = device.one_at_a_time();
            // SAFETY: device and pool exist, the pool was made for the device, and the keys outlive the call, which
            // copies them.
            log::collect_errors(|| unsafe {
                dpdk_sys::shim_crypto_session_create(device.id(), &raw const request, room.as_ptr())
            })
        };
        let Some(raw) = NonNull::new(raw) else {
            return Err(match Errno::last() {
                Errno::NO_MEMORY => SessionError::Full {
                    pool: room.name().to_owned(),
                    capacity: room.capacity(),
                },
                errno => SessionError::Dpdk {
                    device: device.name().to_owned(),
                    transform: transform.to_string(),
                    errno,
                    log,
                },
            });
        };
        let shape = transform.shape();
        Ok(Self {
            raw,
            device: device.id(),
            shape,
            // SAFETY: computes a number.
            offsets: unsafe { dpdk_sys::shim_crypto_offsets(shape.head, shape.tail) },
            direction,
            kept: Arc::new(Kept {
                raw,
                room: Arc::clone(room),
            }),
        })
    }

    /// Which way it works.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// What keeps the session in its pool.
    pub(super) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }
}

impl Drop for Kept {
    /// DPDK clears all of the session but its header, which has no key, and gives it back.
    fn drop(&mut self) {
        // SAFETY: the session is of this device, and nobody uses it any more.
        unsafe { dpdk_sys::rte_cryptodev_sym_session_free(self.room.device().id(), self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}
