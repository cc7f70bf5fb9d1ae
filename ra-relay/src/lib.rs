//! Relay for packets with the router alert option, RFC 2113 and RFC 2711.
//!
//! ```text
//!   configuration ─► rules ─► primary: finds the rule of each packet ◄─ rules of operators, by ctl
//!                                │ packet, rule
//!                                ▼
//!   judge ◄─ what the rule says: work ─► held for a time, or asked of a helper
//!     │                            │
//!     └─► changed packet ─► verdict┴─► primary: looked up again, and out        lines, report: for people
//! ```
//!
//! The primary forwards a packet that was relayed as one that it just received: counts its hop limit down, looks its destination up
//! and sends what is too long as the family wants it. It asks no tool about it again.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod class;
pub mod config;
pub mod failure;
pub mod helpers;
pub mod histogram;
pub mod hold;
pub mod judge;
pub mod lines;
pub mod notice;
pub mod observe;
pub mod relay;
pub mod report;
pub mod rules;
mod work;

/// The name of the tool.
pub const TOOL: &str = "tollgate-ra-relay";
