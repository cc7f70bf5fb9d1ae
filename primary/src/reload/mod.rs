//! From what runs to what a configuration says, changing what differs and nothing else.
//!
//! ```text
//!   what runs, as a Config ─┐                       ┌─► --dry-run: its text
//!   new Config ─────────────┼─► restart ─► plan ────┤
//!                           │   refused    changes  └─► step after step to the tables
//!                           │                              │ one is refused
//!                           └── what ran ◄─────────────────┘ the same way back
//! ```
//!
//! Nothing here has a clock, does I/O or knows DPDK but [`running`], which reads the region. Routes are compared as
//! [`routes::normal`] writes them.

mod change;
mod hop_by_hop;
mod link_local;
mod links;
mod plan;
mod reach;
mod redirects;
mod restart;
mod routes;
mod running;
mod services;
mod steps;
#[cfg(test)]
mod tests;

pub use self::change::{Change, Verb};
pub use self::link_local::check_sources;
pub use self::plan::{plan, shown};
pub use self::restart::check as check_restart;
pub use self::routes::is_by_hand;
pub use self::running::{Unreadable, read_tables};
pub use self::steps::{Step, change_tables, next_step};
