//! What the processes of an instance share.
//!
//! ```text
//!   primary ── writes ──► table region    hugetlbfs file <file_prefix>.tables, read-only to all others
//!      │                  ├─ header       magic, layout hash, writer, where each section lies
//!      │                  ├─ sections     slots of interfaces, addresses, routes, neighbours, workers, rules for router alerts
//!      │                  └─ counters     one block per (worker, interface) and (worker, rule), written by that worker alone
//!      └──── writes ────► discovery page  POSIX segment: identity, heartbeat, last error; outlives a crash
//!   ctl … ── reads ─────► both, copying out before it believes anything
//! ```
//!
//! Packets go to a tool by an [`attachment`] of its own. [`keys`] of SAs are shared with nobody.
//! What a tool leaves to the one after it is in a [`journal`], whose descriptor the primary holds.
//!
//! Every word that two processes can touch at a time is an atomic; no reference into shared memory ever leaves this
//! crate except `&AtomicU64`. A record is written under a sequence word ([`slot`]), so that a reader sees all of a
//! change or nothing of it, and a writer that dies in the middle is noticed.

mod alert_counters;
pub mod attachment;
mod cells;
mod counters;
pub mod discovery;
pub mod journal;
pub mod keys;
mod mapping;
pub mod process;
mod protocol;
pub mod records;
mod region;
mod sa_counters;
mod sealed;
mod slot;
pub mod stages;

pub use alert_counters::{AlertCounter, PUNT_BUCKETS, punt_bucket, punt_bucket_start};
pub use cells::{CounterBlock, CounterView};
pub use counters::{DropReason, IcmpCounter, InterfaceCounter, WorkerCounter};
pub use discovery::{DiscoveryPage, DiscoveryReader, InstanceState, LastReload};
pub use process::ProcessId;
pub use region::{
    AlertRuleTable, Capacity, CreateError, LAYOUT_HASH, OpenError, SaPlace, SaTable, SlotTable, TableReader,
    TableWriter,
};
pub use sa_counters::{SaCells, SaCounter, SaCounts};
pub use stages::{Passed, PathStage, Ways};
