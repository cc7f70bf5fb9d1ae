//! Layer-4 load balancing, as one worker does it: which service a packet is for, which connection it belongs to, and what it looks
//! like on the other side.
//!
//! Full-NAT translates both ends of a packet:
//!
//! ```text
//!   client ─► service (VIP)        becomes        local (LIP) ─► server (RS)
//!   client ◄─ service              becomes        local ◄─ server
//! ```
//!
//! Nothing here knows DPDK, sleeps, reads a clock or allocates for a packet. Connections belong to one worker: the one that received
//! the client's first packet. It takes a local port whose remainder by the number of workers is its own number, so that any worker
//! can tell whose a reply is.
#![forbid(unsafe_code)]

mod balancer;
mod config;
mod counts;
mod hash;
pub mod icmp;
mod lookup;
mod ports;
mod prepared;
pub mod rewrite;
mod schedule;
mod table;
mod tcp;
mod verdict;
pub mod view;

pub use balancer::{Balancer, Carried, Destination, Glance, Look};
pub use config::{Config, Fragments, Kind, Local, Policy, Scheduler, Server, Service, Timeouts};
pub use counts::{Count, Counts};
pub use icmp::IcmpCount;
pub use ports::ports_towards;
pub use prepared::Prepared;
pub use rewrite::{Ends, Sequence};
pub use verdict::{Buffer, Path, Refused, Row, State, Verdict};
pub use view::{Flow, Quoted, View, What, look};
