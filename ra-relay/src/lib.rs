//! Relay for packets with the router alert option, RFC 2113 and RFC 2711.
//!
//! ```text
//!   configuration ─► rules, each with a handler
//!                        │
//!   primary ─► relay ─► judge: the first rule that fits ─► handler ─► verdict ─► primary: looked up again, and out
//!                        │                                   │
//!                        └─► report: counters, how long it took      └─► lines of what is in the packets
//! ```
//!
//! The primary forwards a packet that was relayed as one that it just received: counts its hop limit down, looks its destination up
//! and sends what is too long as the family wants it. It asks no tool about it again.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod config;
pub mod failure;
pub mod histogram;
pub mod judge;
pub mod lines;
pub mod relay;
pub mod report;

/// The name of the tool.
pub const TOOL: &str = "tollgate-ra-relay";
