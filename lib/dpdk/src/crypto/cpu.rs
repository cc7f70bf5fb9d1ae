//! Crypto on the caller's thread: done when the call returns.

use std::mem::MaybeUninit;
use std::ptr;

use dpdk_sys::{rte_crypto_sgl, rte_crypto_sym_vec, rte_crypto_va_iova_ptr, rte_crypto_vec};

use super::job::{Job, Outcome};
use super::session::Session;
use crate::errno::Errno;
use crate::mbuf::Mbuf;

/// Packets that are handed to the driver at a time.
const BURST: usize = 32;

impl Session {
    /// Does the jobs on the packets that they name, and notes with each what came of it. Answers how many are
    /// [`Outcome::Done`]. The more at a time, the faster; AES-CBC with HMAC is slow one by one.
    ///
    /// Packets that no job names are not touched, and the order of jobs is any. On a device that does not work
    /// on the caller's thread all are [`Outcome::Refused`].
    #[inline]
    pub fn process(&mut self, packets: &mut [Mbuf], jobs: &mut [Job]) -> usize {
        jobs.chunks_mut(BURST).map(|jobs| self.burst(packets, jobs)).sum()
    }

    fn burst(&mut self, packets: &mut [Mbuf], jobs: &mut [Job]) -> usize {
        let mut vectors = Vectors::new();
        let mut from = [0u8; BURST];
        for (index, job) in jobs.iter_mut().enumerate() {
            job.outcome = Outcome::Refused;
            let Some(packet) = packets.get_mut(usize::from(job.packet)) else {
                continue;
            };
            let (segment, len) = packet.first_segment();
            if self.shape.admits(job, len) {
                from[vectors.count] = index as u8;
                // SAFETY: `jobs` are at most BURST; the places of the job are within the segment.
                unsafe { vectors.push(segment, job) };
            }
        }
        // SAFETY: the packets are borrowed exclusively, and so are the jobs, which hold IVs and additional data.
        unsafe { self.run(&mut vectors) };
        let mut done = 0;
        for (&index, status) in from.iter().zip(vectors.statuses()) {
            let outcome = match *status {
                0 => Outcome::Done,
                status if status == Errno::BAD_MESSAGE.0 => Outcome::BadDigest,
                _ => Outcome::Refused,
            };
            jobs[usize::from(index)].outcome = outcome;
            done += usize::from(outcome == Outcome::Done);
        }
        done
    }

    /// Seals a few bytes that nobody sees.
    pub(super) fn process_nothing_of_worth(&mut self) {
        let mut bytes = [0u8; 64];
        let mut job = Job {
            end: 16,
            digest: 16,
            ..Job::default()
        };
        let mut vectors = Vectors::new();
        if self.shape.admits(&job, bytes.len()) {
            // SAFETY: the places of the job are within the bytes, which nobody else has.
            unsafe {
                vectors.push(bytes.as_mut_ptr(), &mut job);
                self.run(&mut vectors);
            }
        }
    }

    /// # Safety
    /// What the vectors point to is the caller's, exclusively, and fits the session.
    unsafe fn run(&mut self, vectors: &mut Vectors) {
        if vectors.count == 0 {
            return;
        }
        for (sgl, data) in vectors.sgl.iter_mut().zip(&mut vectors.data).take(vectors.count) {
            sgl.write(rte_crypto_sgl {
                vec: data.as_mut_ptr(),
                num: 1,
            });
        }
        let mut request = rte_crypto_sym_vec {
            num: vectors.count as u32,
            src_sgl: vectors.sgl.as_mut_ptr().cast(),
            dest_sgl: ptr::null_mut(),
            iv: vectors.iv.as_mut_ptr().cast(),
            digest: vectors.digest.as_mut_ptr().cast(),
            __bindgen_anon_1: dpdk_sys::rte_crypto_sym_vec__bindgen_ty_1 {
                aad: vectors.aad.as_mut_ptr().cast(),
            },
            status: vectors.status.as_mut_ptr(),
        };
        let offsets = dpdk_sys::rte_crypto_sym_ofs { raw: self.offsets };
        // SAFETY: the session is of this device and used by this thread alone; the first `num` of each array are
        // filled, and for the rest the caller answers.
        unsafe {
            dpdk_sys::rte_cryptodev_sym_cpu_crypto_process(
                self.device,
                self.raw.as_ptr(),
                offsets,
                &raw mut request,
            )
        };
    }
}

/// A burst as DPDK takes it. Only the first `count` of each array are filled.
struct Vectors {
    count: usize,
    data: [MaybeUninit<rte_crypto_vec>; BURST],
    sgl: [MaybeUninit<rte_crypto_sgl>; BURST],
    iv: [MaybeUninit<rte_crypto_va_iova_ptr>; BURST],
    digest: [MaybeUninit<rte_crypto_va_iova_ptr>; BURST],
    aad: [MaybeUninit<rte_crypto_va_iova_ptr>; BURST],
    status: [i32; BURST],
}

impl Vectors {
    /// No driver writes this as a status, so that what it does not look at does not count as done.
    const UNTOUCHED: i32 = i32::MIN;

    #[inline(always)]
    fn new() -> Self {
        Self {
            count: 0,
            data: [const { MaybeUninit::uninit() }; BURST],
            sgl: [const { MaybeUninit::uninit() }; BURST],
            iv: [const { MaybeUninit::uninit() }; BURST],
            digest: [const { MaybeUninit::uninit() }; BURST],
            aad: [const { MaybeUninit::uninit() }; BURST],
            status: [Self::UNTOUCHED; BURST],
        }
    }

    /// Adds a job on a segment that begins at `segment`.
    ///
    /// # Safety
    /// There is room, and the places of the job are within the segment.
    #[inline(always)]
    unsafe fn push(&mut self, segment: *mut u8, job: &mut Job) {
        let at = self.count;
        let len = u32::from(job.end - job.start);
        let address = |va: *mut u8| rte_crypto_va_iova_ptr {
            va: va.cast(),
            iova: 0,
        };
        // SAFETY: within the segment, as the caller promises.
        let (text, digest) = unsafe {
            (
                segment.add(usize::from(job.start)),
                segment.add(usize::from(job.digest)),
            )
        };
        self.data[at].write(rte_crypto_vec {
            base: text.cast(),
            iova: 0,
            len,
            tot_len: len,
        });
        self.iv[at].write(address(job.iv.as_mut_ptr()));
        self.digest[at].write(address(digest));
        self.aad[at].write(address(job.aad.as_mut_ptr()));
        self.count += 1;
    }

    fn statuses(&self) -> &[i32] {
        &self.status[..self.count]
    }
}
