//! Tunnels.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod control;
mod outer;
mod refused;
mod reload;
mod site;
mod through;
