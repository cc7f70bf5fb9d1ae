//! A device's queue: packets go in, and come out when the device has done with them.

use std::cell::Cell;
use std::ffi::CString;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dpdk_sys::{rte_crypto_op, rte_mempool};

use super::CryptoError;
use super::device::{Config, Running};
use super::job::{Job, Outcome};
use super::session::{Kept, Session};
use crate::errno::Errno;
use crate::log;
use crate::mbuf::Mbuf;

/// Packets that are handed to the device at a time.
const BURST: usize = 32;

/// How long a queue that is dropped waits for a device that gives nothing back.
const PATIENCE: Duration = Duration::from_secs(1);

/// A queue of a crypto device. It may move to another thread but is used by one at a time. Packets in it are its own;
/// dropped, it frees them.
pub struct Queue {
    device: Arc<Running>,
    index: u16,
    /// Operations that are not in use.
    spare: Vec<NonNull<rte_crypto_op>>,
    /// Operations that the device has not got yet: the first `prepared_count`.
    prepared: [*mut rte_crypto_op; BURST],
    prepared_count: usize,
    /// Operations that the device has.
    with_device: usize,
    capacity: usize,
    pool: NonNull<rte_mempool>,
    _not_sync: PhantomData<Cell<()>>,
}

// SAFETY: a queue of DPDK is for one thread at a time, whichever; what the pointers lead to is this value's.
unsafe impl Send for Queue {}

/// A packet that the queue did not take.
#[derive(Debug)]
pub struct Refused {
    /// The packet, as it was.
    pub packet: Mbuf,
    /// Why.
    pub reason: Refusal,
}

/// Why a queue did not take a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The queue is full: take out what is done.
    Full,
    /// The packet has several segments, the job's places are not all in it, or the text is no whole blocks.
    Place,
    /// The session is of another device.
    OtherDevice,
}

impl Queue {
    pub(super) fn new(device: &Arc<Running>, index: u16, config: &Config) -> Result<Self, CryptoError> {
        let capacity = config.capacity();
        // Without a zero byte, so there is no error.
        let name = CString::new(format!("crypto_ops_{}_{index}", device.id())).unwrap_or_default();
        // SAFETY: EAL is running, since there is a device; the name is copied.
        let (pool, log) = log::collect_errors(|| unsafe {
            dpdk_sys::shim_crypto_op_pool_create(name.as_ptr(), u32::from(capacity), config.node.as_raw())
        });
        let Some(pool) = NonNull::new(pool) else {
            return Err(device.failed("make a queue's operations", Errno::last(), log));
        };
        let mut queue = Self {
            device: Arc::clone(device),
            index,
            spare: Vec::new(),
            prepared: [ptr::null_mut(); BURST],
            prepared_count: 0,
            with_device: 0,
            capacity: usize::from(capacity),
            pool,
            _not_sync: PhantomData,
        };
        let mut ops = vec![ptr::null_mut(); queue.capacity];
        // SAFETY: the pool was just made, and there is room for so many pointers.
        let taken = unsafe { dpdk_sys::shim_crypto_op_alloc(pool.as_ptr(), ops.as_mut_ptr(), capacity) };
        queue.spare = ops
            .into_iter()
            .take(usize::from(taken))
            .filter_map(NonNull::new)
            .collect();
        if queue.spare.len() < queue.capacity {
            return Err(device.failed("make a queue's operations", Errno::NO_MEMORY, log));
        }
        Ok(queue)
    }

    /// How many packets it holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many packets are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.prepared_count + self.with_device
    }

    /// True if no packet is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a packet and the job to do on it; `job.packet` and `job.outcome` are not looked at. The device gets packets
    /// in bursts, the last ones at the next [`Queue::dequeue`]. `tag` comes back with the packet.
    #[inline]
    pub fn enqueue(&mut self, packet: Mbuf, session: &Session, job: &Job, tag: u64) -> Result<(), Refused> {
        let reason = if session.device != self.device.id() {
            Refusal::OtherDevice
        } else if packet.segment_count() != 1 || !session.shape.admits(job, packet.data().len()) {
            Refusal::Place
        } else if self.prepared_count == BURST && self.submit() == 0 {
            Refusal::Full
        } else if let Some(op) = self.spare.pop() {
            self.prepare(op, packet, session, job, tag);
            return Ok(());
        } else {
            Refusal::Full
        };
        Err(Refused { packet, reason })
    }

    fn prepare(&mut self, op: NonNull<rte_crypto_op>, packet: Mbuf, session: &Session, job: &Job, tag: u64) {
        let (op, shape) = (op.as_ptr(), &session.shape);
        let [start, end, digest] = [job.start, job.end, job.digest].map(u32::from);
        let owner = Arc::into_raw(Arc::clone(session.kept())).cast();
        let (raw, mbuf) = (session.raw.as_ptr(), packet.as_ptr());
        // The operation has it now.
        std::mem::forget(packet);
        // SAFETY: the operation is this queue's and not in use; the session, kept by `owner`, is of this device; the
        // packet is the operation's alone, and the job's places are within it.
        unsafe {
            if shape.aead {
                dpdk_sys::shim_crypto_op_set_aead(
                    op,
                    raw,
                    mbuf,
                    start,
                    end - start,
                    digest,
                    job.iv.as_ptr(),
                    job.aad.as_ptr(),
                    owner,
                    tag,
                );
            } else {
                dpdk_sys::shim_crypto_op_set_chain(
                    op,
                    raw,
                    mbuf,
                    start,
                    end - start,
                    u32::from(shape.head),
                    u32::from(shape.tail),
                    digest,
                    job.iv.as_ptr(),
                    owner,
                    tag,
                );
            }
        }
        self.prepared[self.prepared_count] = op;
        self.prepared_count += 1;
    }

    /// Hands what is prepared to the device, as much as it takes; answers how many.
    #[inline]
    fn submit(&mut self) -> usize {
        if self.prepared_count == 0 {
            return 0;
        }
        // SAFETY: the device is started and has this queue, which only this value uses; so many operations are
        // prepared, and what they point to stays until they come back.
        let taken = unsafe {
            dpdk_sys::rte_cryptodev_enqueue_burst(
                self.device.id(),
                self.index,
                self.prepared.as_mut_ptr(),
                self.prepared_count as u16,
            )
        };
        let taken = usize::from(taken);
        self.prepared.copy_within(taken..self.prepared_count, 0);
        self.prepared_count -= taken;
        self.with_device += taken;
        taken
    }

    /// Takes out packets that are done, at most 32, and gives each to `each` with its tag and what came of it. Answers how
    /// many. Never waits: a device of the CPU does its work here, another may not be ready.
    #[inline]
    pub fn dequeue(&mut self, mut each: impl FnMut(Mbuf, u64, Outcome)) -> usize {
        self.submit();
        let mut ops = [ptr::null_mut(); BURST];
        // SAFETY: as in `submit`; DPDK fills at most as many places as there are.
        let count = unsafe {
            dpdk_sys::rte_cryptodev_dequeue_burst(
                self.device.id(),
                self.index,
                ops.as_mut_ptr(),
                BURST as u16,
            )
        };
        let ops = &ops[..usize::from(count)];
        self.with_device -= ops.len();
        for &op in ops {
            // SAFETY: the device gave it back, and it was filled by `prepare`.
            if let Some((packet, tag, outcome)) = unsafe { self.finish(op) } {
                each(packet, tag, outcome);
            }
        }
        ops.len()
    }

    /// Takes an operation apart and puts it back to the spare ones.
    ///
    /// # Safety
    /// It is this queue's, filled by `prepare`, and the device does not have it.
    #[inline]
    unsafe fn finish(&mut self, op: *mut rte_crypto_op) -> Option<(Mbuf, u64, Outcome)> {
        let (mut packet, mut owner, mut tag) = (ptr::null_mut(), ptr::null(), 0);
        // SAFETY: as the caller promises; the three are written before the call ends.
        let status = unsafe { dpdk_sys::shim_crypto_op_result(op, &mut packet, &mut owner, &mut tag) };
        // SAFETY: `prepare` made it of an Arc, and the operation is done with.
        drop(unsafe { Arc::from_raw(owner.cast::<Kept>()) });
        self.spare.push(NonNull::new(op)?);
        // SAFETY: `prepare` took the packet from its owner, and the device does not use it any more.
        let packet = unsafe { Mbuf::from_raw(NonNull::new(packet)?) };
        let outcome = match u32::from(status) {
            dpdk_sys::RTE_CRYPTO_OP_STATUS_SUCCESS => Outcome::Done,
            dpdk_sys::RTE_CRYPTO_OP_STATUS_AUTH_FAILED => Outcome::BadDigest,
            _ => Outcome::Refused,
        };
        Some((packet, tag, outcome))
    }
}

impl Drop for Queue {
    /// Waits for the device, but not for ever: what it never gives back is lost, and found by `Eal::shutdown`.
    fn drop(&mut self) {
        let mut last = Instant::now();
        while self.with_device > 0 && last.elapsed() < PATIENCE {
            if self.dequeue(|_, _, _| ()) > 0 {
                last = Instant::now();
            }
        }
        while self.prepared_count > 0 {
            self.prepared_count -= 1;
            // SAFETY: prepared, and never handed to the device.
            drop(unsafe { self.finish(self.prepared[self.prepared_count]) });
        }
        if self.with_device == 0 {
            // SAFETY: none of its operations is in use.
            unsafe { dpdk_sys::rte_mempool_free(self.pool.as_ptr()) }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("device", &self.device.name())
            .field("index", &self.index)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
