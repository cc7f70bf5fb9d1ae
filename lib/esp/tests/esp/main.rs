//! What must hold of ESP, with the cryptography of a reference implementation.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

mod flips;
mod hmac_vectors;
mod modes;
mod oracle;
mod peer;
mod replay;
mod round_trips;
mod vectors;
