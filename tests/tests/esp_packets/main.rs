//! ESP packets that a reference outside of DPDK makes and opens, through a primary packet by packet.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod gateway;
mod mutated;
#[path = "../../../lib/esp/tests/esp/peer.rs"]
mod peer;
mod refused;
mod vectors;
