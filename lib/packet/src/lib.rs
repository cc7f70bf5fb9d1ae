//! Wire formats: what a packet looks like, read with checks and written with right lengths and checksums.
//!
//! One module per protocol. Each has a *view* over received bytes whose `parse` does every check that the accessors
//! rely on, so that no accessor can fail or panic, and a *plain representation* with `len` and `emit` for writing.
//! Changes made to a packet in flight (MAC addresses, TTL or hop limit, an echo request into its reply) are functions over
//! the bytes in place. Whole packets come out of [`PacketBuilder`].
//!
//! ```text
//!   mac  ethernet  arp  nd               what is on the link
//!   ipv4  ipv4_options  ipv6  extension  the network layer: headers, options, and what IPv6 puts behind its header
//!   protocol  checksum                   what follows a header; RFC 1071 / RFC 1624 arithmetic
//!   icmpv4  icmpv6  icmp_error  udp  tcp what IP carries; what a router sends instead of a packet
//!   tunnel                               IP in IP and GRE: outer headers, and the packets inside
//!   transport                            has the sender finished its TCP or UDP checksum?
//!   builder                              packets for tests, ARP and echo
//! ```
//!
//! Nothing here knows DPDK, allocates (the builder aside) or panics on any input.
#![forbid(unsafe_code)]

pub mod arp;
pub mod builder;
pub mod checksum;
pub mod ethernet;
pub mod extension;
pub mod fragment;
pub mod icmp_error;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv4_options;
pub mod ipv6;
pub mod mac;
pub mod nd;
pub mod protocol;
pub mod tcp;
pub mod transport;
pub mod tunnel;
pub mod udp;

pub use arp::Arp;
pub use builder::PacketBuilder;
pub use ethernet::{EtherType, EthernetHeader, VlanTag};
pub use icmpv4::Icmpv4;
pub use icmpv6::Icmpv6;
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use mac::MacAddress;
pub use protocol::Protocol;
pub use tcp::Tcp;
pub use udp::Udp;

/// `emit` was given a buffer that cannot hold what it is to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes do not fit into a buffer of {available}; pass a buffer of at least `len()` bytes")]
pub struct BufferTooShort {
    /// Bytes that would be written.
    pub needed: usize,
    /// Bytes that the buffer has.
    pub available: usize,
}

/// The first `needed` bytes of `buffer`.
#[inline]
fn reserve(buffer: &mut [u8], needed: usize) -> Result<&mut [u8], BufferTooShort> {
    let available = buffer.len();
    buffer
        .get_mut(..needed)
        .ok_or(BufferTooShort { needed, available })
}
