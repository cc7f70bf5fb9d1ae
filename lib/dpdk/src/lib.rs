//! DPDK with Rust's ownership: what DPDK's manual asks of its callers is asked by types here.
//!
//! * [`Eal`] is DPDK itself, started once in a process. Everything else is made from it, and it can only be shut down
//!   when nothing is left: the check that finds leaks.
//! * [`Mbuf`] is one packet and owns it; [`MbufBatch`] is a burst of them. Both give their packets back to the
//!   [`Pool`] when dropped. Nothing here copies an mbuf or counts references to it.
//! * A [`Port`] is probed, then configured once, which gives each of its queues to the caller once. A queue may move
//!   to another thread but cannot be used by two.
//! * [`filter`] makes machine code of classic BPF.
//! * [`crypto`] enciphers and authenticates packets.
//! * [`ring`] has lock-free queues of plain values and of mbufs, [`HugeSlice`] arrays of atomics in hugepages.
//!
//! ```text
//!   Eal ──► Pool ──► Mbuf ─────────────┐
//!    ├────► Port ──► RxQueue ──► MbufBatch ──► TxQueue
//!    ├────► ring::spsc, mpsc, mbufs    └─────► MbufProducer ┄┄► MbufConsumer
//!    ├────► crypto::Device ──► SessionPool ──► Session
//!    └────► HugeSlice, LcoreHandle
//! ```

mod batch;
mod capture_service;
mod cpu;
pub mod crypto;
mod eal;
mod errno;
pub mod filter;
mod handles;
mod huge_pages;
mod huge_slice;
mod lcore;
pub mod log;
mod mbuf;
mod numa;
mod pool;
mod port;
pub mod ring;
mod runtime_directory;
mod whole_fragments;

pub use batch::{Drain, MbufBatch};
pub use capture_service::CaptureServiceError;
pub use cpu::{pause, prefetch, prefetch_address, tsc, tsc_hz};
pub use eal::{Eal, EalError, ShutdownError};
pub use errno::{Errno, ErrorLines};
pub use handles::{HandleKind, InUse, PoolInUse};
pub use huge_pages::prefer_huge_pages;
pub use huge_slice::{AtomicCell, HugeSlice, HugeSliceError};
pub use lcore::{LaunchError, LcoreHandle, LcoreId};
pub use mbuf::{Chain, ChecksumStatus, Mbuf, MbufError, OffloadFlags};
pub use numa::NumaNode;
pub use pool::{Pool, PoolError};
pub use port::{
    Device, LinkStatus, MacAddress, Port, PortConfig, PortError, PortId, PortInfo, PortStats, RunningPort,
    RxOffloads, RxQueue, StartedPort, TxOffloads, TxQueue,
};
pub use runtime_directory::{RuntimeDirectory, RuntimeDirectoryError, ThreadsRunning, set_runtime_directory};

/// The DPDK release that this program was compiled for, such as "22.11.11".
pub const DPDK_VERSION: &str = dpdk_sys::VERSION;
