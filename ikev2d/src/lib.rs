//! IKEv2 daemon: negotiates with peers and installs SAs in a running instance.
//!
//! ```text
//!   peers ─ UDP 500, 4500 ─► primary ─ punt ─► datagram ─► engine ─┬─► datagram ─ own packet ─► primary ─► peers
//!                               ▲                  ▲               ├─► plane ─ SA requests ──► primary
//!                               │                  │               └─► notices, failures: for people
//!                               └─ SA events ─► mail ◄─ tollgate-ctl ike ...
//! ```
//!
//! One thread does all of that (`daemon`); others wait for events (`events`) and for tools (`listener`) and wake it. What is negotiated
//! is decided in `ike_engine`, which does no I/O. SAs live in the primary: they go on while there is no daemon.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod config;
pub mod confinement;
pub mod daemon;
mod datagram;
mod events;
pub mod failure;
mod failures;
mod fits;
mod listener;
mod mail;
pub mod notice;
mod plane;
mod selectors;
mod show;

/// The name of the tool.
pub const TOOL: &str = "tollgate-ikev2d";
