//! Tunnels that ESP protects.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod life;
mod load;
mod nat;
mod scapy;
mod site;
mod through;
mod traced;
mod transport;
