//! Captures whose packets come out of a list: what is in the files, and how captures end. Needs neither a primary nor
//! privileges, but tcpdump as a second reader.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at what it did not expect"
)]

mod endings;
mod files;
mod reread;
mod script;
mod series;
mod speed;
