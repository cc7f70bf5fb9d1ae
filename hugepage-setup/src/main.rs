//! Prepares a host for DPDK and cleans up after dead instances

#![forbid(unsafe_code)]

fn main() {}
