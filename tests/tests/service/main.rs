//! The load balancer: services of real servers, reached by Full-NAT.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod errors;
mod example;
mod flood;
mod flows;
mod fragments;
mod icmp_counters;
mod load;
mod mutated;
mod pings;
mod reload;
mod sides;
mod site;
mod toa;
mod traced;
