//! What tools and primary say to each other, and where they find each other.
//!
//! ```text
//!   /run/tollgate/<instance>/lock            held by the primary while it lives
//!                            instance.json   who it is and what it claims         (module instance)
//!                            control.sock    SEQPACKET: requests and replies      (message, frame, client, server)
//!                                            captures begin here, packets go by shared memory   (capture)
//!                                            configurations go by memory of their own           (text)
//!                            events/         one-shot sockets of those who subscribed                (event)
//!                            events/ikev2d.sock   the IKEv2 daemon's                                  (ike)
//! ```
//!
//! The tables of a living instance are found by its description (tables); rules for router alerts among them (alerts), and SAs (sas).

#![forbid(unsafe_code)]

pub mod alerts;
pub mod arguments;
mod attached;
pub mod capture;
pub mod check;
pub mod choose;
pub mod client;
pub mod connections;
pub mod event;
mod frame;
pub mod ike;
pub mod instance;
pub mod message;
pub mod punt;
pub mod sas;
pub mod server;
pub mod tables;
pub mod text;
pub mod tool;

/// The version of the suite and of the DPDK that it is built for: what `--version` prints and what a primary and its
/// tools compare.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (DPDK ",
    env!("TOLLGATE_DPDK_VERSION"),
    ")"
);
