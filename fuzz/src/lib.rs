//! Fuzz targets for whatever reads bytes from outside: the network, tools, operators, shared memory.
//!
//! ```text
//!   wire      link, ipv4, ipv6, icmp_error, reassembly, router_alert, helper, esp_open, ike, ike_engine, ike_restore, certificate, tunnel, balance   frames, packets and messages, beside readings of their own
//!   gateway   stages                          packets through the primary's stages, beside an oracle by the RFCs
//!   filter    filter                          programs for captures, beside an interpreter
//!   text      control, config, routes, services, print  requests, configuration files, files of routes and services, what is printed of a packet
//!   sealed    (no target: keys keep a fuzzer out)   ESP packets of SAs with real cryptography, mutated, beside an oracle
//!   shared    tables, discovery, attachment, verdicts   memory that another process writes
//! ```
//!
//! A target is a function of bytes that panics where something is wrong. So the same function runs under libFuzzer
//! (`cargo xtask fuzz`), in an ordinary test over seeds and mutated seeds, and over the file of a crash
//! (`cargo run -p fuzz -- TARGET FILE`).

#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a target says that something is wrong by panicking")]

pub mod filter;
pub mod gateway;
pub mod mutate;
pub mod random;
pub mod sealed;
pub mod shared;
pub mod stages;
pub mod text;
pub mod wire;

use gateway::packets;

/// Something that reads bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Gives it bytes; panics if it does what it may not.
    pub body: fn(&[u8]),
    /// Bytes that make sense to it.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "link",
        body: wire::link::body,
        seeds: wire::link::seeds,
    },
    Target {
        name: "ipv4",
        body: wire::ipv4::body,
        seeds: || network_packets(0x08, 0x00),
    },
    Target {
        name: "ipv6",
        body: wire::ipv6::body,
        seeds: || network_packets(0x86, 0xdd),
    },
    Target {
        name: "icmp_error",
        body: wire::icmp_error::body,
        seeds: wire::icmp_error::seeds,
    },
    Target {
        name: "reassembly",
        body: wire::reassembly::body,
        seeds: wire::reassembly::seeds,
    },
    Target {
        name: "router_alert",
        body: wire::router_alert::body,
        seeds: wire::router_alert::seeds,
    },
    Target {
        name: "helper",
        body: wire::helper::body,
        seeds: wire::helper::seeds,
    },
    Target {
        name: "esp_open",
        body: wire::esp_open::body,
        seeds: wire::esp_open::seeds,
    },
    Target {
        name: "ike",
        body: wire::ike::body,
        seeds: wire::ike::seeds,
    },
    Target {
        name: "ike_engine",
        body: wire::ike_engine::body,
        seeds: wire::ike_engine::seeds,
    },
    Target {
        name: "ike_restore",
        body: wire::ike_restore::body,
        seeds: wire::ike_restore::seeds,
    },
    Target {
        name: "certificate",
        body: wire::certificate::body,
        seeds: wire::certificate::seeds,
    },
    Target {
        name: "tunnel",
        body: wire::tunnel::body,
        seeds: wire::tunnel::seeds,
    },
    Target {
        name: "balance",
        body: wire::balance::body,
        seeds: wire::balance::seeds,
    },
    Target {
        name: "stages",
        body: stages::body,
        seeds: stages::seeds,
    },
    Target {
        name: "filter",
        body: filter::body,
        seeds: filter::seeds,
    },
    Target {
        name: "control",
        body: text::control::body,
        seeds: text::control::seeds,
    },
    Target {
        name: "config",
        body: text::config::body,
        seeds: text::config::seeds,
    },
    Target {
        name: "routes",
        body: text::routes::body,
        seeds: text::routes::seeds,
    },
    Target {
        name: "services",
        body: text::services::body,
        seeds: text::services::seeds,
    },
    Target {
        name: "print",
        body: text::print,
        seeds: || packets::frames(0),
    },
    Target {
        name: "tables",
        body: shared::tables::body,
        seeds: shared::patches,
    },
    Target {
        name: "discovery",
        body: shared::discovery::body,
        seeds: shared::patches,
    },
    Target {
        name: "attachment",
        body: shared::attachment::body,
        seeds: shared::patches,
    },
    Target {
        name: "verdicts",
        body: shared::verdicts::body,
        seeds: shared::verdicts::seeds,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The packets of untagged frames with this EtherType.
fn network_packets(high: u8, low: u8) -> Vec<Vec<u8>> {
    let of_type = |frame: &Vec<u8>| frame.get(12..14) == Some(&[high, low]);
    let frames = packets::frames(0).into_iter().filter(of_type);
    frames.map(|frame| frame[14..].to_vec()).collect()
}
