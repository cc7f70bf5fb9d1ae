//! The records of security associations and of their selectors, RFC 4301 section 4.4. No key is in either.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Record;

/// The longest name of a transform, bytes.
pub const TRANSFORM_NAME: usize = 24;
/// The most selectors of a security association.
pub const SA_SELECTORS: usize = 16;

record! {
    /// A security association of ESP. Its counters lie beside it, by the number of its slot.
    pub struct Sa {
        /// Where its packets come from, as their outer header has it; IPv4 addresses are IPv4-mapped.
        pub source: [u8; 16],
        /// Where its packets go, as their outer header has it; IPv4 addresses are IPv4-mapped.
        pub destination: [u8; 16],
        /// Name of the tunnel whose packets it protects, zero-padded; empty when there is none.
        pub tunnel: [u8; 16],
        /// How its packets are protected, zero-padded.
        pub transform: [u8; TRANSFORM_NAME],
        /// When it was installed, nanoseconds of `CLOCK_BOOTTIME`.
        pub added_ns: u64,
        /// Bytes, packets and seconds after which another one should take its place; 0 for no limit.
        pub soft: [u64; 3],
        /// Bytes, packets and seconds after which it is used no more; 0 for no limit.
        pub hard: [u64; 3],
        /// By which its selectors are known; never that of an earlier one.
        pub number: u64,
        /// Its SPI.
        pub spi: u32,
        /// Sequence numbers behind the highest one in which packets may come late, 32 to 4096; 0 if no packet is refused for its
        /// number.
        pub window: u16,
        /// Source port of the UDP header before its packets; 0 for no such header.
        pub udp_source: u16,
        /// Destination port of the UDP header before its packets; 0 for no such header.
        pub udp_destination: u16,
        /// How many selectors it has.
        pub selectors: u8,
        /// 1 for packets that come in, 2 for packets that go out.
        pub direction: u8,
        /// 1 for tunnel mode, 2 for transport mode.
        pub mode: u8,
        /// 1 when its sequence numbers have 64 bits.
        pub esn: u8,
        /// 1 when it is installed, 2 when another one should have taken its place by now.
        pub state: u8,
        /// Of one that goes out in UDP: seconds without a packet after which it sends a NAT keepalive; 0 for none.
        pub keepalive: u8,
    }
}

record! {
    /// One of the selectors of a security association: packets that it may carry.
    pub struct SaSelector {
        /// The number of the security association.
        pub sa: u64,
        /// The first source address; IPv4 addresses are IPv4-mapped.
        pub source_first: [u8; 16],
        /// The last source address.
        pub source_last: [u8; 16],
        /// The first destination address; IPv4 addresses are IPv4-mapped.
        pub destination_first: [u8; 16],
        /// The last destination address.
        pub destination_last: [u8; 16],
        /// The first and the last source port.
        pub source_ports: [u16; 2],
        /// The first and the last destination port.
        pub destination_ports: [u16; 2],
        /// The protocol.
        pub protocol: u8,
        /// 1 when the protocol counts.
        pub has_protocol: u8,
        /// Its place among the selectors, from 0.
        pub place: u8,
        /// Zero.
        pub reserved: [u8; 5],
    }
}
