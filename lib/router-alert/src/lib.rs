//! Router alerts: the option by which a packet asks the routers on its way to look at it (RFC 2113 for IPv4, RFC 2711 for
//! IPv6).
//!
//! ```text
//!   packet ──► alert: which value, and where? ──► matching: which rule? ──► handler ──► strip, rewrite ──► packet
//!                                                    │
//!                        values: sets of values ◄────┘      decode: what is in it, for people
//! ```
//!
//! A packet here is the bytes from the IP header on. Nothing knows DPDK, a socket or a clock, and no input makes anything
//! panic. [`alert`] and [`matching::Rules::find`] allocate nothing.
//!
//! ```
//! use packet::PacketBuilder;
//! use router_alert::alert::{self, Settings};
//! use router_alert::{Family, values};
//!
//! let (host, peer) = ("2001:db8::1".parse()?, "2001:db8:1::1".parse()?);
//! let packet = PacketBuilder::ipv6(host, peer).router_alert(1).udp(5000, 500, b"hello");
//! let alert = alert::find(&packet, &Settings::default())?.ok_or("there is none")?;
//! assert_eq!(values::name(Family::Six, alert.value), Some("RSVP"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod alert;
pub mod decode;
pub mod handler;
pub mod matching;
pub mod rewrite;
pub mod strip;
pub mod values;

mod upper;
#[cfg(test)]
mod vectors;

use std::fmt;

use serde::{Deserialize, Serialize};

/// IPv4 or IPv6. Values of router alerts mean something else in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    Four,
    /// IPv6.
    #[serde(rename = "ipv6")]
    Six,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Four => "ipv4",
            Family::Six => "ipv6",
        })
    }
}
