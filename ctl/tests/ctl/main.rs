//! The built tool against a primary that forwards nothing, but is real in all that the tool sees: lock, description,
//! discovery page, table region, control socket. Needs neither DPDK nor privileges.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at what it did not expect"
)]

mod changes;
mod connections;
mod errors;
mod events;
mod fake_primary;
mod fake_services;
mod router_alerts;
mod run;
mod sas;
mod services;
mod shows;
mod speed;
mod watch;
