//! Router-alert relay for a running instance

#![forbid(unsafe_code)]

fn main() {}
