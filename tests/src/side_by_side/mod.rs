//! The same frames through a router of the kernel and through Tollgate: what comes out of all links of both is the same, byte
//! for byte, but for what a document lists. A difference that is not listed fails, and so does an entry that nothing needs.
//!
//! ```text
//!   stimuli (scapy) ─┬─► Linux ────┬─► Exchanged ─► differences ─► Comparison ◄─ the document's table
//!                    └─► Tollgate ─┘
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests alone, which end where something is not as expected"
)]

mod allowed;
mod comparison;
mod exchanged;
mod frame;
mod topology;

pub use self::comparison::Comparison;
pub use self::topology::{Topology, builder, builder_with, connect};
