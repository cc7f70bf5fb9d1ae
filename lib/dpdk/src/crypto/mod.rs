//! Symmetric crypto on packets: AEAD, and ciphers with authentication, by DPDK's cryptodev.
//!
//! ```text
//!   Device::open ──► Device ──► SessionPool ──► Session ──process──► on the caller's thread, in bursts
//!        └─────────► Queue…                        └──► Queue: enqueue ┄┄► dequeue
//! ```
//!
//! * A [`Device`] is a crypto device of DPDK, named by devargs: `crypto_aesni_gcm0`, `crypto_aesni_mb0`, a PCI
//!   address. The devices of the CPU (aesni) work on the caller's thread, which is what they are fastest at.
//! * A [`Session`] is a key with what is done by it, in one direction. It lies in a [`SessionPool`] of memory that no
//!   other process sees, that is not swapped out and in no core dump, and is wiped when it goes.
//! * A [`Job`] says where in a packet the text and its digest are, and has nonce and additional data. Everything lies
//!   in the first segment of the packet; in a queue packets have no other.
//! * A [`Queue`] is for devices beside the CPU, and for bursts of many sessions with few packets each: the multi-buffer
//!   driver then works on packets of different sessions at a time.
//!
//! Two calls decide about speed: [`Session::process`] with as many packets of the session as there are, and
//! [`SessionPool::prepare_thread`], once in each thread before its first packet.

mod cpu;
mod device;
mod job;
mod memory;
mod queue;
mod session;
mod session_pool;
mod transform;

use crate::errno::{Errno, ErrorLines, probe_reason};

pub use device::{Config, Device};
pub use job::{Job, Outcome};
pub use memory::MemoryError;
pub use queue::{Queue, Refusal, Refused};
pub use session::{Session, SessionError};
pub use session_pool::{SessionPool, SessionPoolError};
pub use transform::{Aead, Auth, Cipher, Direction, Transform};

/// Why a crypto device cannot be had, or not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The devargs are no C string.
    #[error("the crypto device {devargs:?} contains a zero byte: remove it")]
    ZeroByte {
        /// The devargs.
        devargs: String,
    },
    /// DPDK cannot make a device of it.
    #[error("the crypto device \"{devargs}\" cannot be opened: {}", probe_reason(*.errno, .log))]
    Probe {
        /// The devargs.
        devargs: String,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
    /// There is a device, but none for symmetric crypto.
    #[error("the device \"{devargs}\" does no symmetric crypto: check its driver{log}")]
    NoCrypto {
        /// The devargs.
        devargs: String,
        /// What DPDK logged.
        log: ErrorLines,
    },
    /// The device has an owner in this process.
    #[error("the crypto device \"{devargs}\" is in use in this process already: open each device once")]
    InUse {
        /// The devargs.
        devargs: String,
    },
    /// More queues than the device has.
    #[error(
        "{device} has {most} queues beside the one that it needs itself, {wanted} were asked for: use fewer workers, or add max_nb_queue_pairs= to its devargs"
    )]
    TooManyQueues {
        /// The device's name.
        device: String,
        /// How many were asked for.
        wanted: u16,
        /// How many there are.
        most: u32,
    },
    /// A DPDK function failed.
    #[error("{device}: cannot {action}: {errno}{log}")]
    Dpdk {
        /// The device's name.
        device: String,
        /// What was tried.
        action: &'static str,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}
