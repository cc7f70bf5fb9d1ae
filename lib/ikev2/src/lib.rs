//! IKEv2 (RFC 7296) without I/O, clock or state of its own: what an engine for it is built on.

#![forbid(unsafe_code)]

pub mod crypto;
pub mod wire;
