//! IKEv2 (RFC 7296) without I/O, clock or state of its own: what an engine for it is built on.
//!
//! ```text
//!   datagram ──► wire::Message ──► crypto::Opener ──► payloads ──► the engine
//!                                                                      │  proposal::choose, crypto::IkeKeys, crypto::ChildKeys
//!   datagram ◄── crypto::Sealer ◄── wire::PayloadWriter ◄──────────────┘
//! ```
//!
//! [`wire`] knows how everything looks, [`crypto`] what is computed, [`certificate`] whose a public key is, [`proposal`] which algorithms
//! two ends agree on. Nothing here knows of exchanges, timers or retransmission.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod crypto;
pub mod proposal;
pub mod wire;
