//! The two memfds of an attachment.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::MFdFlags;

use super::{COUNTERS, Dropped, FIRST_COUNTERS, Geometry, LAYOUT, MAGIC, SLOT_HEADER, Way, count, word};
use crate::mapping::Mapping;
use crate::sealed::sealed_memfd;

/// Huge pages set aside for one attachment, so that there is one whenever a tool comes.
pub struct Reservation {
    file: File,
    mapping: Mapping,
}

/// Why the huge pages could not be set aside.
#[derive(Debug, thiserror::Error)]
pub enum ReservationError {
    /// They are not there.
    #[error(
        "an attachment needs {bytes} bytes of huge pages and the kernel has not that many free: reserve more with \
         'tollgate-hugepage-setup reserve', or lower attachments in [limits]"
    )]
    NoMemory {
        /// Bytes needed.
        bytes: usize,
    },
    /// Anything else that the kernel refused.
    #[error("cannot {step} the memory of an attachment: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Reservation {
    /// Sets `bytes` aside, a whole number of huge pages of two megabytes; in ordinary pages where `huge` is false, for tests.
    pub fn new(bytes: usize, huge: bool) -> Result<Self, ReservationError> {
        let flags = if huge {
            MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB
        } else {
            MFdFlags::empty()
        };
        let (file, mapping) = create(c"tollgate-packets", flags, bytes)?;
        Ok(Self { file, mapping })
    }

    /// Bytes set aside.
    pub fn bytes(&self) -> usize {
        self.mapping.words().len() * 8
    }

    /// Makes it the memory of an attachment: from here on only this mapping can write to it.
    pub(super) fn share(self, geometry: Geometry) -> Result<Memory, ReservationError> {
        let io = |step| {
            move |errno: Errno| ReservationError::Io {
                step,
                source: errno.into(),
            }
        };
        fcntl(
            &self.file,
            FcntlArg::F_ADD_SEALS(SealFlag::from_bits_retain(FUTURE_WRITE)),
        )
        .map_err(io("seal"))?;
        let bytes = geometry.ring_bytes().next_multiple_of(4096);
        let (ring_file, rings) = create(c"tollgate-rings", MFdFlags::empty(), bytes)?;
        Ok(Memory {
            geometry,
            packet_file: self.file,
            packets: self.mapping,
            ring_file,
            rings,
        })
    }
}

/// `F_SEAL_FUTURE_WRITE`, fcntl(2): mappings that are there may be written to, others not, nor may the file be punched.
const FUTURE_WRITE: i32 = 0x10;

fn create(name: &std::ffi::CStr, flags: MFdFlags, bytes: usize) -> Result<(File, Mapping), ReservationError> {
    sealed_memfd(name, flags, bytes).map_err(|(step, source)| match source.raw_os_error() {
        Some(libc::ENOMEM | libc::ENOSPC) => ReservationError::NoMemory { bytes },
        _ => ReservationError::Io { step, source },
    })
}

/// Both memories of an attachment, as either side maps them.
pub(super) struct Memory {
    pub(super) geometry: Geometry,
    pub(super) packet_file: File,
    packets: Mapping,
    pub(super) ring_file: File,
    rings: Mapping,
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The time stamp counter's value when it came or went.
    pub ticks: u64,
    /// Index of the interface.
    pub interface: u16,
    /// Which way it went.
    pub way: Way,
    /// Its length, from the Ethernet header on, without FCS.
    pub wire_length: u32,
    /// The number of the rule for router alerts that it fits, if a tool is asked because of one; never `u16::MAX`.
    pub rule: Option<u16>,
    /// The same wherever this packet is seen, less than 2^48; 0 for none.
    pub id: u64,
    /// The queue of the port that it came or goes by, if it is one's; never `u16::MAX`.
    pub queue: Option<u16>,
    /// Of a dropped packet: why.
    pub dropped: Option<Dropped>,
}

impl Origin {
    /// A packet of which no more is known than that.
    pub const fn new(ticks: u64, interface: u16, way: Way, wire_length: u32) -> Self {
        Self {
            ticks,
            interface,
            way,
            wire_length,
            rule: None,
            id: 0,
            queue: None,
            dropped: None,
        }
    }
}

/// The rule of a packet that fits none, and the queue of one that is at no port.
const NONE: u16 = u16::MAX;

/// The stage of a packet that was not dropped.
const NO_STAGE: u8 = u8::MAX;

/// Bits of a packet's number; the reason of its drop lies above.
const ID_BITS: u32 = 48;

/// What is written before a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotHeader {
    pub(super) origin: Origin,
    /// Bytes of it in the slot.
    pub(super) captured: usize,
    /// Packets of the same worker that found no slot right before it.
    pub(super) lost_before: u32,
}

/// Why the memory is none that this tool can use.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Of another build, or no such memory.
    #[error("the attachment's memory is not what this tool expects: use tools of the primary's build")]
    Layout,
    /// The kernel refused it.
    #[error("cannot map the attachment's memory: {0}")]
    Io(#[from] io::Error),
}

impl Memory {
    /// Maps what a primary handed over: the memory of the packets, and that of the rings.
    pub(super) fn open(packets: OwnedFd, rings: OwnedFd) -> Result<Self, OpenError> {
        let (packet_file, ring_file) = (File::from(packets), File::from(rings));
        let length = |file: &File| -> io::Result<usize> {
            usize::try_from(file.metadata()?.len()).map_err(io::Error::other)
        };
        let bytes = length(&packet_file)?;
        let packets = Mapping::readable(&packet_file, bytes)?;
        let header = packets.words().get(..512).ok_or(OpenError::Layout)?;
        let [magic, layout, workers, slots, slot_bytes, snaplen, own, beside] = [
            word::MAGIC,
            word::LAYOUT,
            word::WORKERS,
            word::SLOTS,
            word::SLOT_BYTES,
            word::SNAPLEN,
            word::OWN,
            word::BESIDE,
        ]
        .map(|index| header[index].load(Ordering::Acquire));
        let small = workers <= 1024 && slots <= 1 << 20 && slot_bytes <= 1 << 20 && own <= 1 << 20;
        if magic != MAGIC
            || layout != LAYOUT
            || !small
            || slots == 0
            || beside > slots
            || slot_bytes < 64
            || slot_bytes % 64 != 0
            || snaplen > slot_bytes - SLOT_HEADER as u64
        {
            return Err(OpenError::Layout);
        }
        let geometry = Geometry {
            workers: workers as usize,
            slots: slots as u32,
            beside: beside as u32,
            slot_bytes: slot_bytes as usize,
            snaplen: snaplen as usize,
            own: (own > 0).then_some(own as u32),
        };
        let ring_bytes = length(&ring_file)?;
        if geometry.packet_bytes() > bytes || geometry.ring_bytes() > ring_bytes {
            return Err(OpenError::Layout);
        }
        let rings = Mapping::writable(&ring_file, ring_bytes)?;
        Ok(Self {
            geometry,
            packet_file,
            packets,
            ring_file,
            rings,
        })
    }

    #[inline]
    pub(super) fn header(&self) -> &[AtomicU64] {
        self.packets.words()
    }

    /// The counters of a worker.
    #[inline]
    pub(super) fn counter(&self, worker: usize, counter: usize) -> &AtomicU64 {
        &self.packets.words()[(FIRST_COUNTERS + worker * COUNTERS) / 8 + counter]
    }

    pub(super) fn counts(&self) -> super::Counts {
        // Memory that the other side writes may hold any numbers.
        let sum = |counter| {
            (0..self.geometry.lanes())
                .map(|lane| self.counter(lane, counter).load(Ordering::Acquire))
                .fold(0, u64::saturating_add)
        };
        // What is a part of a number is read before it, so that it is never more.
        let lost = sum(count::LOST);
        let unsampled = sum(count::UNSAMPLED);
        let matched = sum(count::MATCHED);
        super::Counts {
            seen: sum(count::SEEN),
            matched,
            lost,
            unsampled,
            late: sum(count::LATE),
        }
    }

    /// Whether all have ended their part.
    pub(super) fn has_ended(&self) -> bool {
        (0..self.geometry.lanes()).all(|lane| self.counter(lane, count::ENDED).load(Ordering::Acquire) != 0)
    }

    /// The rings of a worker: filled, returned.
    #[inline]
    pub(super) fn rings(&self, worker: usize) -> [&[AtomicU32]; 2] {
        let words = self.rings.halves();
        self.geometry.rings(worker).map(|range| &words[range])
    }

    /// Writes a packet into a slot that is the caller's. What is longer than the slot is cut off.
    #[inline]
    pub(super) fn fill<'a>(
        &self,
        worker: usize,
        slot: u32,
        origin: &Origin,
        lost_before: u32,
        segments: impl Iterator<Item = &'a [u8]>,
    ) {
        let first = self.geometry.slot(worker, slot);
        let mut written = 0;
        for segment in segments {
            let length = segment.len().min(self.geometry.snaplen() - written);
            self.packets
                .write(first + SLOT_HEADER + written, &segment[..length]);
            written += length;
        }
        let words = &self.packets.words()[first / 8..first / 8 + SLOT_HEADER / 8];
        let lengths = u64::from(origin.wire_length) << 32 | written as u64;
        let number = |number: Option<u16>| u64::from(number.unwrap_or(NONE));
        let (reason, stage) = match origin.dropped {
            Some(Dropped { reason, stage }) => (reason, stage),
            None => (NONE, NO_STAGE),
        };
        let from = u64::from(origin.interface)
            | (origin.way as u64) << 16
            | u64::from(stage) << 24
            | number(origin.rule) << 32
            | number(origin.queue) << 48;
        let id = origin.id & ((1 << ID_BITS) - 1) | u64::from(reason) << ID_BITS;
        let header = [origin.ticks, lengths, from, id, u64::from(lost_before)];
        for (word, value) in words.iter().zip(header) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Asks for the first cache lines of a slot, to be written.
    #[inline]
    pub(super) fn prefetch(&self, worker: usize, slot: u32) {
        let first = self.geometry.slot(worker, slot);
        self.packets.prefetch(first);
        self.packets.prefetch(first + SLOT_HEADER);
    }

    /// The same, to be read.
    #[inline]
    pub(super) fn prefetch_to_read(&self, worker: usize, slot: u32) {
        let first = self.geometry.slot(worker, slot);
        self.packets.prefetch_to_read(first);
        self.packets.prefetch_to_read(first + SLOT_HEADER);
    }

    /// What lies in a slot; `None` when that cannot be.
    pub(super) fn slot_header(&self, worker: usize, slot: u32) -> Option<SlotHeader> {
        let first = self.geometry.slot(worker, slot) / 8;
        let word = |index: usize| self.packets.words()[first + index].load(Ordering::Relaxed);
        let (lengths, from, id) = (word(1), word(2), word(3));
        let number = |number: u64| Some(number as u16).filter(|number| *number != NONE);
        let way = Way::from_number((from >> 16) as u8)?;
        let stage = (from >> 24) as u8;
        let captured = (lengths & u64::from(u32::MAX)) as usize;
        (captured <= self.geometry.snaplen()).then_some(SlotHeader {
            origin: Origin {
                ticks: word(0),
                interface: from as u16,
                way,
                wire_length: (lengths >> 32) as u32,
                rule: number(from >> 32),
                id: id & ((1 << ID_BITS) - 1),
                queue: number(from >> 48),
                dropped: (stage != NO_STAGE).then_some(Dropped {
                    reason: (id >> ID_BITS) as u16,
                    stage,
                }),
            },
            captured,
            lost_before: word(4) as u32,
        })
    }

    /// Copies the packet in a slot out.
    pub(super) fn read(&self, worker: usize, slot: u32, into: &mut [u8]) {
        self.packets
            .read(self.geometry.slot(worker, slot) + SLOT_HEADER, into);
    }

    /// Writes what a tool has decided.
    pub(super) fn write_reply(&self, worker: usize, number: u32, head: u32, bytes: &[u8]) {
        let first = self.geometry.reply(worker, number);
        self.rings.write(first + SLOT_HEADER, bytes);
        let words = &self.rings.halves()[first / 4..first / 4 + 2];
        words[0].store(head, Ordering::Relaxed);
        words[1].store(bytes.len() as u32, Ordering::Relaxed);
    }

    /// What a tool says it has decided, and how many bytes there are to it: neither is checked.
    pub(super) fn reply_head(&self, worker: usize, number: u32) -> (u32, u32) {
        let first = self.geometry.reply(worker, number) / 4;
        let word = |index: usize| self.rings.halves()[first + index].load(Ordering::Relaxed);
        (word(0), word(1))
    }

    /// Copies a tool's bytes out.
    pub(super) fn read_reply(&self, worker: usize, number: u32, into: &mut [u8]) {
        self.rings
            .read(self.geometry.reply(worker, number) + SLOT_HEADER, into);
    }

    fn asleep(&self) -> &AtomicU32 {
        &self.rings.halves()[0]
    }

    /// Wakes the tool if it sleeps: a system call only then.
    #[inline]
    pub(super) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep().load(Ordering::Relaxed) != 0 {
            self.wake_sleeper();
        }
    }

    #[cold]
    fn wake_sleeper(&self) {
        if self.asleep().swap(0, Ordering::Relaxed) != 0 {
            // SAFETY: the address is that of a mapped word, which FUTEX_WAKE only uses as a name.
            unsafe { libc::syscall(libc::SYS_futex, self.asleep().as_ptr(), libc::FUTEX_WAKE, 1) };
        }
    }

    /// Sleeps until it is woken or `timeout` is over, unless `ready` says that there is something to do.
    pub(super) fn sleep(&self, timeout: Duration, ready: impl FnOnce() -> bool) {
        let word = self.asleep();
        word.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            let timeout = libc::timespec {
                tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
            };
            // SAFETY: the address is that of a mapped word, and the time outlives the call. It returns at once when the
            // word is not 1 any more.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    word.as_ptr(),
                    libc::FUTEX_WAIT,
                    1,
                    &raw const timeout,
                )
            };
        }
        word.store(0, Ordering::Relaxed);
    }
}
