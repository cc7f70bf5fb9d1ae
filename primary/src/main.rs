//! The DPDK primary: owns the NICs and the shared tables and forwards packets

#![forbid(unsafe_code)]

fn main() {}
