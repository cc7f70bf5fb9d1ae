//! Two engines in virtual time, with a network between them that is as bad as a test wants it, and a data plane at each end that
//! checks what it is told.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

mod again;
mod attack;
mod certificates;
mod collisions;
mod exchanges;
mod network;
mod nonsense;
mod peers;
mod plane;
mod profiles;
mod rekeys;
mod reload;
mod restart;
mod setup;
mod speed;
mod storm;
mod strangers;
mod told;
mod trials;
mod world;

/// Whether tests are to run at full length.
fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}
