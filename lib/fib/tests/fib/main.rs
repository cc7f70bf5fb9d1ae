//! The FIB as its users see it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

mod beside;
mod concurrent;
mod differential;
mod limits;
mod reference;
mod six;
