//! What must hold of every parser, for any bytes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

mod checksums;
mod exercise;
mod ipv4;
mod ipv6;
mod neighbors;
mod strategies;
