//! Where sessions lie.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use super::device::{Device, Running};
use super::memory::{Memory, MemoryError};
use super::session::{Session, SessionError};
use super::transform::{Aead, Auth, Cipher, Direction, Transform};
use crate::errno::{Errno, ErrorLines};
use crate::handles::{HandleKind, Lease};
use crate::log;
use crate::numa::NumaNode;

/// Room for sessions of one device. Clones are handles to the same pool; sessions keep it alive.
///
/// Sessions of drivers of the CPU lie in memory of this process alone, which is locked and not dumped. Devices
/// beside the CPU reach sessions by the bus, so theirs lie in DPDK's memory.
#[derive(Clone)]
pub struct SessionPool {
    room: Arc<Room>,
}

/// The pool itself, freed when dropped, which is when no session is left.
pub(super) struct Room {
    mempool: NonNull<dpdk_sys::rte_mempool>,
    name: String,
    capacity: u32,
    /// What the pool lies in, unmapped after it is freed; none if that is DPDK's.
    _memory: Option<Memory>,
    device: Arc<Running>,
    // Last, so that the pool is freed before EAL may go.
    _lease: Lease,
}

// SAFETY: the pool is made for any number of threads that take from it and give back.
unsafe impl Send for Room {}
// SAFETY: as above.
unsafe impl Sync for Room {}

/// Why there is no pool of sessions.
#[derive(Debug, thiserror::Error)]
pub enum SessionPoolError {
    /// The name is no C string.
    #[error("the name {name:?} of a pool of crypto sessions contains a zero byte: remove it")]
    Name {
        /// The name.
        name: String,
    },
    /// There is no memory to keep keys in.
    #[error("the pool {name} of {count} crypto sessions cannot be made: {source}")]
    Memory {
        /// The name.
        name: String,
        /// How many sessions were asked for.
        count: u32,
        /// What is wrong.
        source: MemoryError,
    },
    /// DPDK did not make it.
    #[error(
        "the pool {name} of {count} crypto sessions cannot be made: {errno}{log}; choose another name, or give EAL more memory"
    )]
    Dpdk {
        /// The name.
        name: String,
        /// How many sessions were asked for.
        count: u32,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}

impl SessionPool {
    /// Makes room for `count` sessions of the device. `name` is unique among DPDK's memory objects, at most 25 bytes.
    pub fn new(device: &Device, name: &str, count: u32, node: NumaNode) -> Result<Self, SessionPoolError> {
        let c_name = CString::new(name).map_err(|_| SessionPoolError::Name {
            name: name.to_owned(),
        })?;
        let running = device.running();
        let failed = |errno, log| SessionPoolError::Dpdk {
            name: name.to_owned(),
            count,
            errno,
            log,
        };
        // SAFETY: the device exists.
        let session_bytes = unsafe { dpdk_sys::rte_cryptodev_sym_get_private_session_size(running.id()) };
        let hardware = running.is_hardware();
        // SAFETY: EAL is running, since there is a device; the name is a C string that is copied; DPDK checks the numbers.
        let (mempool, log) = log::collect_errors(|| unsafe {
            if hardware {
                dpdk_sys::rte_cryptodev_sym_session_pool_create(
                    c_name.as_ptr(),
                    count,
                    session_bytes,
                    0,
                    0,
                    node.as_raw(),
                )
            } else {
                dpdk_sys::shim_crypto_session_pool_create_empty(
                    c_name.as_ptr(),
                    count,
                    session_bytes,
                    node.as_raw(),
                )
            }
        });
        let mempool = NonNull::new(mempool).ok_or_else(|| failed(Errno::last(), log))?;
        let mut room = Room {
            mempool,
            name: name.to_owned(),
            capacity: count,
            _memory: None,
            device: Arc::clone(running),
            _lease: Lease::new(HandleKind::SessionPool),
        };
        if !hardware {
            room.populate().map_err(|error| match error {
                NotPopulated::Memory(source) => SessionPoolError::Memory {
                    name: name.to_owned(),
                    count,
                    source,
                },
                NotPopulated::Dpdk(errno, log) => failed(errno, log),
            })?;
        }
        Ok(Self { room: Arc::new(room) })
    }

    /// Makes a session. The keys are copied; wipe yours when they are not needed any more.
    pub fn session(&self, transform: &Transform, direction: Direction) -> Result<Session, SessionError> {
        Session::new(&self.room, transform, direction)
    }

    /// How many sessions it has room for.
    pub fn capacity(&self) -> u32 {
        self.room.capacity
    }

    /// How many sessions there are.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool is alive while this handle is.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.room.mempool.as_ptr()) }
    }

    /// Has the driver make what it keeps for the calling thread, which takes it milliseconds, before a packet waits for
    /// it. Does nothing for devices that do not work on the caller's thread. The pool needs room for one session more.
    pub fn prepare_thread(&self) -> Result<(), SessionError> {
        const KEY: [u8; 32] = [0; 32];
        let candidates = [
            Transform::Aead {
                algorithm: Aead::AesGcm,
                key: &KEY,
                aad_len: 8,
            },
            Transform::Chain {
                cipher: Cipher::Null,
                cipher_key: &[],
                auth: Auth::HmacSha256,
                auth_key: &KEY,
                clear_head: 0,
                clear_tail: 0,
            },
        ];
        let device = &self.room.device;
        if let Some(transform) = candidates.iter().find(|transform| device.supports(transform)) {
            self.session(transform, Direction::Seal)?
                .process_nothing_of_worth();
        }
        Ok(())
    }
}

impl Room {
    pub(super) fn device(&self) -> &Arc<Running> {
        &self.device
    }

    pub(super) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.mempool.as_ptr()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Gives the pool its memory.
    fn populate(&mut self) -> Result<(), NotPopulated> {
        // SAFETY: the pool is this value's.
        let bytes = unsafe { dpdk_sys::shim_mempool_bytes(self.as_ptr()) };
        let memory = Memory::new(bytes).map_err(NotPopulated::Memory)?;
        let (held, log) = log::collect_errors(|| {
            // SAFETY: the memory is that long, and stays until the pool is freed.
            unsafe { dpdk_sys::shim_mempool_populate(self.as_ptr(), memory.as_ptr(), memory.bytes()) }
        });
        self._memory = Some(memory);
        match Errno::check(held) {
            Err(errno) => Err(NotPopulated::Dpdk(errno, log)),
            Ok(()) if held as u32 != self.capacity => Err(NotPopulated::Dpdk(Errno::NO_SPACE, log)),
            Ok(()) => Ok(()),
        }
    }
}

enum NotPopulated {
    Memory(MemoryError),
    Dpdk(Errno, ErrorLines),
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: no session is left, since each keeps this value; the memory goes after this, with the fields.
        unsafe { dpdk_sys::rte_mempool_free(self.mempool.as_ptr()) }
    }
}

impl fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionPool")
            .field("name", &self.room.name)
            .field("capacity", &self.room.capacity)
            .finish_non_exhaustive()
    }
}
