//! The primary of an instance: owns the NICs and the shared tables and forwards packets.
//!
//! The way of a packet is in [`path`], its stages top to bottom. Everything that packets look up is written by the
//! control thread alone ([`tables`]) and read by the workers without locks.

#![forbid(unsafe_code)]

pub mod adjacency;
pub mod alerts;
pub mod attachments;
pub mod balancer;
pub mod claims;
pub mod config;
pub mod control_thread;
pub mod flow;
pub mod ipsec;
pub mod kernel;
pub mod log;
pub mod netns;
pub mod path;
pub mod plan;
pub mod ports;
pub mod reload;
pub mod sources;
pub mod start;
pub mod tables;
pub mod trace;
pub mod worker;
