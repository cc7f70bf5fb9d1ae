//! Tunnels.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod control;
mod reload;
