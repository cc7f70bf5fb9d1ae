//! Packets before and after: what the balancer makes of them, beside packets made from scratch. Numbers in names are those of the
//! requirements of ICMP that a test is for.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed step fails the test")]

mod errors;
mod flows;
mod frames;
mod looks;
mod properties;
mod queries;
mod quotes;
