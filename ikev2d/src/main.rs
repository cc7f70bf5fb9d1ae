//! IKEv2 daemon that installs IPsec SAs in a running instance

#![forbid(unsafe_code)]

fn main() {}
