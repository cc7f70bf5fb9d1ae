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
        /// What it lacks to carry packets, beside being set up: bits of [`TunnelLack`].
        pub lacks: u8,
    }
}

/// Something without which a tunnel carries no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TunnelLack {
    /// An interface of the gateway with its local address in use.
    LocalAddress = 1,
    /// Of one that ESP protects: an SA by which packets come in.
    InboundSa = 2,
    /// Of one that ESP protects: an SA by which packets go out.
    OutboundSa = 4,
}

impl TunnelLack {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::LocalAddress, Self::InboundSa, Self::OutboundSa];

    /// Its name, as tools show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalAddress => "local_address",
            Self::InboundSa => "inbound_sa",
            Self::OutboundSa => "outbound_sa",
        }
    }

    /// Whether it is among these.
    pub const fn is_in(self, lacks: u8) -> bool {
        lacks & self as u8 != 0
    }
}
