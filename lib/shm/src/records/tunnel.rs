//! The record of a tunnel.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Record;

/// The `driver` of a tunnel's interface.
pub const TUNNEL_DRIVER: &str = "tunnel";

record! {
    /// What makes an interface a tunnel.
    pub struct Tunnel {
        /// Source of outer packets; IPv4 addresses are IPv4-mapped.
        pub local: [u8; 16],
        /// Destination of outer packets; IPv4 addresses are IPv4-mapped.
        pub remote: [u8; 16],
        /// The key of GRE, where there is one.
        pub key: u32,
        /// Index of the interface.
        pub interface: u16,
        /// Index of the interface whose addresses it uses; [`NO_INTERFACE`](super::NO_INTERFACE) where it does not.
        pub unnumbered: u16,
        /// Number of `control::message::TunnelMode`.
        pub mode: u8,
        /// 1 when there is a key.
        pub has_key: u8,
        /// 1 when the interface's MTU was set by an operator, 0 when it follows from the outer headers.
        pub has_mtu: u8,
        /// TTL or hop limit of outer packets.
        pub ttl: u8,
        /// Number of `control::message::Df`.
        pub df: u8,
        /// Number of `control::message::Dscp`.
        pub dscp: u8,
        /// 1 when SAs of transport mode protect its outer packets.
        pub protected: u8,
        /// Zero.
        pub reserved: u8,
    }
}
