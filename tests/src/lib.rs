//! Topologies of real network namespaces, links and processes for whole-system tests and the demo.
//!
//! Everything here is a guard: a [`Namespace`], a [`Process`], a [`Primary`] goes when its value is
//! dropped, processes by pid (SIGTERM, then SIGKILL after a bound). Declare what lives in a namespace after the
//! namespace, so that it is dropped first. What a killed test process could not take down, [`sweep()`] removes.
//!
//! ```text
//!   host-a  eth0 ───────── a0  gateway  b0 ───────── eth0  host-b
//!   192.168.1.2/24         the primary's ports         192.168.2.2/24
//!   2001:db8:1::2/64                                 2001:db8:2::2/64
//! ```
//!
//! ```no_run
//! # fn main() -> Result<(), tests::Error> {
//! use tests::{Privilege, TwoHosts};
//! let hosts = TwoHosts::create(Privilege::detect())?;
//! let mut primary = hosts.primary("gateway").start()?;
//! let pings = hosts.host_a.run("reaches host-b", &["ping", "-c", "3", "192.168.2.2"])?;
//! let neighbours = primary.ctl_json(&["neigh", "show"])?;
//! primary.terminate()?;
//! # Ok(()) }
//! ```
//!
//! Nothing here links a system library; the work is done by `ip`, `ethtool` and `nsenter`, as root or through
//! sudo ([`Privilege`]). A namespace is entered with `nsenter --net` and not with `ip netns exec`, which cannot
//! work in a chroot whose root is not a mount point.

#![forbid(unsafe_code)]

pub mod binaries;
mod capture;
mod command;
mod counters;
pub mod datagrams;
mod error;
mod family;
mod frames;
mod full_table;
mod interface;
pub mod interrupt;
pub mod machine;
pub mod memory;
mod mount_namespace;
pub mod mutate;
mod namespace;
mod pcap;
mod primary;
mod primary_builder;
mod privilege;
mod process;
mod process_builder;
mod random;
mod run_id;
pub mod side_by_side;
mod snapshot;
pub mod socket_relay;
pub mod streams;
mod sweep;
mod tables;
mod traffic;
mod two_gateways;
mod two_hosts;
mod waiting;
pub mod watch;
mod wire;

pub use command::{Captured, Wait, run, run_shown};
pub use counters::{Counters, InterfaceCounters};
pub use error::Error;
pub use family::Family;
pub use frames::{Listener, Sent};
pub use full_table::{FULL_TABLE4, FULL_TABLE6};
pub use interface::Interface;
pub use mount_namespace::apart;
pub use namespace::{Namespace, NamespaceOptions};
pub use pcap::{Recorded, read_pcap, read_pcapng};
pub use primary::Primary;
pub use primary_builder::PrimaryBuilder;
pub use privilege::Privilege;
pub use process::Process;
pub use process_builder::ProcessBuilder;
pub use random::{Random, SEED_VARIABLE};
pub use run_id::{RUN_ID_VARIABLE, RunId};
pub use snapshot::HostState;
pub use sweep::{Swept, sweep};
pub use tables::Tables;
pub use traffic::{Pinger, Pings, Receiver};
pub use two_gateways::TwoGateways;
pub use two_hosts::TwoHosts;
pub use waiting::wait_until;
pub use watch::Watch;
pub use wire::Wire;
