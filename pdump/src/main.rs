//! Filtered packet capture on a running instance

#![forbid(unsafe_code)]

fn main() {}
