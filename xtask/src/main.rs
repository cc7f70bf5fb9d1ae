//! The commands of README and CI: demo, test, bench, lint

#![forbid(unsafe_code)]

fn main() {}
