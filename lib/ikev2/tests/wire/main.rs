//! The wire format: what is read and written again is the same, what is wrong is told, and nothing upsets it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

mod generate;
mod limits;
mod refusals;
mod round_trip;
mod sa_init;
