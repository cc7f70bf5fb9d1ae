//! Tunnels that ESP protects.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod events;
mod keys;
mod life;
mod load;
mod matrix;
mod nat;
mod outer;
mod rollover;
mod scapy;
mod sight;
mod site;
mod through;
mod traced;
mod transport;
