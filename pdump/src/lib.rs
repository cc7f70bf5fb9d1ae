//! Filtered packet capture on a running instance.
//!
//! ```text
//!   arguments ─► filter (libpcap's language) ─► source: an attachment to the primary
//!                                                  │ packets, counts
//!                                                  ▼
//!                                               capture: the loop ─► output: pcapng or pcap, in whole blocks
//!                                                  │                 print: a line per packet
//!                                                  ▼
//!                                               report: seen, filtered, written, lost
//! ```
//!
//! A library, so that tests can run captures whose packets come from elsewhere than a primary.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod capture;
pub mod failure;
pub mod filter;
pub mod live;
pub mod output;
pub mod print;
pub mod privileges;
pub mod report;
pub mod reread;
pub mod session;
pub mod source;

/// The name of the tool.
pub const TOOL: &str = "tollgate-pdump";
