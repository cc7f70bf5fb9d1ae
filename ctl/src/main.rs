//! The operator's tool: reads the tables of an instance and asks it for changes

#![forbid(unsafe_code)]

fn main() {}
