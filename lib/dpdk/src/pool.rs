//! Pools of mbufs.
//!
//! A pool stays until EAL is shut down, even when its last handle is gone: an [`Mbuf`] is one pointer and knows
//! nothing of handles, and DPDK gives no moment at which a pool that packets came from can safely be unmapped.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::MbufBatch;
use crate::eal::Eal;
use crate::errno::{Errno, ErrorLines};
use crate::handles::{HandleKind, Lease, PoolInUse};
use crate::log;
use crate::mbuf::Mbuf;
use crate::numa::NumaNode;

/// A pool of mbufs of one size. Clones are handles to the same pool.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    mempool: NonNull<dpdk_sys::rte_mempool>,
    name: String,
    capacity: u32,
    data_room: u16,
    _lease: Lease,
}

// SAFETY: the pool is made without the single-producer and single-consumer flags, so DPDK lets any number of threads
// take from it and give back; the per-lcore caches are picked by the calling thread.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

/// Why a pool was not made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The name is no C string.
    #[error("the pool name {name:?} contains a zero byte: remove it")]
    Name {
        /// The name.
        name: String,
    },
    /// There is a pool of that name; pools stay until EAL is shut down.
    #[error("there is a pool or another DPDK object named {name} already: choose another name")]
    Exists {
        /// The name.
        name: String,
    },
    /// DPDK did not make it: most often there is not enough memory.
    #[error(
        "the pool {name} of {count} mbufs of {data_room} bytes on {node} cannot be made: {errno}{log}; give EAL more memory or make the pool smaller"
    )]
    Dpdk {
        /// The name.
        name: String,
        /// How many mbufs were asked for.
        count: u32,
        /// The size of each.
        data_room: u16,
        /// Where.
        node: NumaNode,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}

impl Pool {
    /// Bytes before the packet's data in a fresh mbuf, for headers that come later; part of the data room.
    pub const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;

    /// A data room that takes every frame of a 1500-byte MTU in one segment, and 2 KiB after the headroom, which
    /// many NICs want.
    pub const DATA_ROOM: u16 = 2048 + Self::HEADROOM;

    /// Makes a pool of `count` mbufs (best a power of two less one) with `data_room` bytes each, headroom
    /// included. Each lcore keeps up to 1.5 times `cache_size` of them for itself (at most 512, and at most
    /// `count` / 1.5; 0 for none). `name` is unique among DPDK's memory objects, at most 25 bytes.
    pub fn new(
        _eal: &Eal,
        name: &str,
        count: u32,
        cache_size: u32,
        data_room: u16,
        node: NumaNode,
    ) -> Result<Self, PoolError> {
        let c_name = CString::new(name).map_err(|_| PoolError::Name {
            name: name.to_owned(),
        })?;
        let (mempool, log) = log::collect_errors(|| {
            // SAFETY: EAL is running, the name is a C string that is copied, the numbers are checked by DPDK.
            unsafe {
                dpdk_sys::rte_pktmbuf_pool_create(
                    c_name.as_ptr(),
                    count,
                    cache_size,
                    0,
                    data_room,
                    node.as_raw(),
                )
            }
        });
        let Some(mempool) = NonNull::new(mempool) else {
            let name = name.to_owned();
            return Err(match Errno::last() {
                Errno::EXIST => PoolError::Exists { name },
                errno => PoolError::Dpdk {
                    name,
                    count,
                    data_room,
                    node,
                    errno,
                    log,
                },
            });
        };
        pools().push(Record {
            mempool,
            name: name.to_owned(),
            keeper: None,
        });
        let inner = Inner {
            mempool,
            name: name.to_owned(),
            capacity: count,
            data_room,
            _lease: Lease::new(HandleKind::Pool),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How many mbufs it has in all.
    pub fn capacity(&self) -> u32 {
        self.inner.capacity
    }

    /// Bytes in each mbuf, headroom included.
    pub fn data_room(&self) -> u16 {
        self.inner.data_room
    }

    /// How many mbufs are outside, with their owners or in a port's queues. Exact only while nobody takes or gives
    /// back; slow, since it goes over the caches of all lcores.
    pub fn in_use(&self) -> u32 {
        in_use(self.inner.mempool)
    }

    /// Takes an empty mbuf; none if there are none left.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool is alive while this handle is.
        let mbuf = NonNull::new(unsafe { dpdk_sys::rte_pktmbuf_alloc(self.as_ptr()) })?;
        // SAFETY: DPDK hands the mbuf to nobody else.
        Some(unsafe { Mbuf::from_raw(mbuf) })
    }

    /// Takes `count` empty mbufs, or as many as the batch has room for if that is less, onto the batch's end:
    /// all of them or, if the pool has not so many left, none. Answers how many.
    #[inline]
    pub fn alloc_batch<const N: usize>(&self, batch: &mut MbufBatch<N>, count: usize) -> usize {
        let room = batch.spare_slots();
        let count = count.min(room.len());
        // SAFETY: the pool is alive; there is room for `count` pointers, and a slot is one pointer.
        let result = unsafe {
            dpdk_sys::rte_pktmbuf_alloc_bulk(self.as_ptr(), room.as_mut_ptr().cast(), count as u32)
        };
        if result != 0 {
            return 0;
        }
        // SAFETY: DPDK has filled `count` slots with mbufs that nobody else has.
        unsafe { batch.grow(count) };
        count
    }

    /// Notes that a driver that has this pool does not give back all mbufs when its port is closed.
    pub(crate) fn note_keeper(&self, driver: &'static str) {
        for record in pools()
            .iter_mut()
            .filter(|record| record.mempool == self.inner.mempool)
        {
            record.keeper = Some(driver);
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.inner.mempool.as_ptr()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.inner.name)
            .field("capacity", &self.inner.capacity)
            .finish()
    }
}

/// Every pool of this process, with or without handles.
static POOLS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

struct Record {
    mempool: NonNull<dpdk_sys::rte_mempool>,
    name: String,
    keeper: Option<&'static str>,
}

// SAFETY: the pointer is to a pool that any thread may use, see `Inner`.
unsafe impl Send for Record {}

fn pools() -> std::sync::MutexGuard<'static, Vec<Record>> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_use(mempool: NonNull<dpdk_sys::rte_mempool>) -> u32 {
    // SAFETY: pools stay until EAL is shut down, when `forget_all` has emptied POOLS and no handle is left.
    unsafe { dpdk_sys::rte_mempool_in_use_count(mempool.as_ptr()) }
}

/// The pools with mbufs outside.
pub(crate) fn outstanding() -> Vec<PoolInUse> {
    pools()
        .iter()
        .map(|record| PoolInUse {
            pool: record.name.clone(),
            count: in_use(record.mempool),
            keeper: record.keeper,
        })
        .filter(|pool| pool.count > 0)
        .collect()
}

/// Forgets all pools, just before EAL unmaps them.
pub(crate) fn forget_all() {
    pools().clear();
}
