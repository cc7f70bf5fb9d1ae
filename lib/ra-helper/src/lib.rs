//! What the router-alert relay and a helper say to each other, and the helper's end of it.
//!
//! ```text
//!   tollgate-ra-relay ── Question: id, interface, time, value, family, rule, packet ─► helper
//!                     ◄─ Answer: id, verdict, packet if changed ─────────────────────
//! ```
//!
//! A helper is a program of the operator's that decides about packets with the router alert option. It is a child of the relay and talks
//! over its standard input and output ([`Helper::stdio`]), or connects to a socket of the relay's ([`Helper::connect`]); the messages are
//! the same, and docs/ra-helper-protocol.md has them for those who write one in another language.
//!
//! ```no_run
//! use ra_helper::{Helper, Verdict};
//!
//! let mut helper = Helper::stdio()?;
//! while let Some(packet) = helper.next() {
//!     let packet = packet?;
//!     // Standard output is the relay's.
//!     eprintln!("{} bytes with value {} by {}", packet.data.len(), packet.value, packet.interface);
//!     helper.answer(packet.id, Verdict::Forward)?;
//! }
//! # Ok::<(), ra_helper::HelperError>(())
//! ```

#![forbid(unsafe_code)]

mod client;
pub mod frame;

pub use client::{Helper, HelperError, Packet};
pub use frame::{Family, FrameError, Verdict};
