//! The records of the table region: fixed width, no padding, no pointers, integers where Rust would have enums.
//!
//! A reader may run against a region of the same layout hash only, yet it still parses what it copies out: the raw
//! discriminants become enums through `from_raw`, which answers `None` for a value that it does not know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use crate::protocol::RouteProtocol;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A record that can lie in a slot: plain bytes, a multiple of eight of them.
pub trait Record: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + 'static {
    /// Name, fields and types as text: the layout hash is taken over it.
    const LAYOUT: &'static str;
    /// The record's length in 64-bit words.
    const WORDS: usize;
}

macro_rules! record {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident : $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Record for $name {
            const LAYOUT: &'static str = concat!(stringify!($name), $(" ", stringify!($field), ":", stringify!($type),)*);
            const WORDS: usize = {
                assert!(size_of::<$name>() % 8 == 0, "a record is a whole number of 64-bit words");
                size_of::<$name>() / 8
            };
        }
    };
}

macro_rules! raw_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant = $value,)* }

        impl $name {
            /// The value with this discriminant, or `None` when there is none.
            pub fn from_raw(raw: u8) -> Option<Self> {
                match raw { $($value => Some(Self::$variant),)* _ => None }
            }

            /// The name that tables and JSON show.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

mod alert_rule;
mod sa;
mod tunnel;

pub use alert_rule::{ALERT_RANGES, ALERT_RULES, AlertRule, HANDLER_TEXT, NO_PREFIX};
pub use sa::{SA_SELECTORS, Sa, SaSelector, TRANSFORM_NAME};
pub use tunnel::{TUNNEL_DRIVER, Tunnel, TunnelLack};

raw_enum! {
    /// How a packet that matches a route leaves.
    pub enum RouteKind {
        /// To a neighbour that is the next hop.
        Via = 1 => "via",
        /// The destination itself is the next hop: a connected subnet.
        Connected = 2 => "connected",
        /// The destination is an address of the gateway.
        Local = 3 => "local",
        /// Dropped in silence.
        Blackhole = 4 => "blackhole",
        /// A connected subnet's broadcast or network address: never forwarded, RFC 2644.
        Broadcast = 5 => "broadcast",
        /// To several neighbours, each flow to one of them.
        Multipath = 6 => "multipath",
        /// Dropped, and the sender is told that nobody is there.
        Unreachable = 7 => "unreachable",
        /// Dropped, and the sender is told that it is not allowed.
        Prohibit = 8 => "prohibit",
        /// The destination is the address of all routers of a connected subnet, RFC 4291 section 2.6.1.
        Anycast = 9 => "anycast",
    }
}

raw_enum! {
    /// How far address resolution got with a neighbour, named as in RFC 4861 section 7.3.2.
    pub enum NeighborState {
        /// Asked, not answered yet.
        Incomplete = 1 => "incomplete",
        /// Heard from within the reachable time.
        Reachable = 2 => "reachable",
        /// Not heard from lately, and not needed lately either.
        Stale = 3 => "stale",
        /// Not heard from lately and in use: being asked again, packets still go there.
        Probe = 4 => "probe",
        /// Did not answer; packets for it are dropped until it is asked again.
        Failed = 5 => "failed",
        /// Set by configuration or an operator; never asked.
        Permanent = 6 => "permanent",
    }
}

raw_enum! {
    /// Whether an address of the gateway is in use, named as in RFC 4862.
    pub enum AddressState {
        /// In use.
        Preferred = 1 => "preferred",
        /// Being looked for on the link: duplicate address detection, RFC 4862 section 5.4.
        Tentative = 2 => "tentative",
        /// Another host has it: not in use.
        Duplicate = 3 => "duplicate",
    }
}

raw_enum! {
    /// What an idle worker does.
    pub enum IdlePolicy {
        /// Backs off from spinning to sleeping.
        Adaptive = 1 => "adaptive",
        /// Polls without pause, for a dedicated core.
        Busy = 2 => "busy",
    }
}

raw_enum! {
    /// Which sums the counter `partial_checksum` or `oversize` warns of: a kernel device leaves work to hardware that is not there.
    pub enum OffloadHint {
        /// Nothing seen.
        None = 0 => "none",
        /// Packets came with unfinished TCP or UDP checksums.
        PartialChecksum = 1 => "partial_checksum",
        /// Packets came longer than the interface's MTU.
        Oversize = 2 => "oversize",
        /// Both were seen.
        Both = 3 => "partial_checksum,oversize",
    }
}

record! {
    /// A port with an IP side, a sub-interface of one, or a tunnel, whose driver is [`TUNNEL_DRIVER`].
    pub struct Interface {
        /// Name from the configuration, zero-padded.
        pub name: [u8; 16],
        /// The DPDK devargs that made the port, zero-padded.
        pub device: [u8; 128],
        /// Name of the PMD, zero-padded.
        pub driver: [u8; 32],
        /// Name of the kernel interface behind it, zero-padded; empty when there is none.
        pub netdev: [u8; 16],
        /// MAC address that it sends from.
        pub mac: [u8; 6],
        /// Longest IP packet, bytes.
        pub mtu: u16,
        /// Megabit per second; 0 when unknown.
        pub speed_mbps: u32,
        /// DPDK port id; `u16::MAX` for a tunnel, which has none.
        pub port: u16,
        /// Receive queues.
        pub rx_queues: u16,
        /// Transmit queues.
        pub tx_queues: u16,
        /// 1 when it carries packets.
        pub link_up: u8,
        /// 1 when an operator has not set it down.
        pub admin_up: u8,
        /// An [`OffloadHint`].
        pub offload_hint: u8,
        /// Zero.
        pub reserved: [u8; 3],
        /// Of a sub-interface: index of the interface that it was made on. `u16::MAX` for a tunnel.
        pub parent: u16,
        /// Of a sub-interface: EtherType of its tag.
        pub vlan_protocol: u16,
        /// VLAN identifier of a sub-interface; 0 for the interface of a port and for a tunnel.
        pub vlan_id: u16,
        /// Zero.
        pub reserved2: u16,
        /// Name of the kernel interface that gets what the gateway does not handle, zero-padded; empty when there is none.
        pub tap: [u8; 16],
    }
}

record! {
    /// An address of the gateway.
    pub struct Address {
        /// IPv4 addresses are IPv4-mapped, RFC 4291 section 2.5.5.2.
        pub address: [u8; 16],
        /// Length of the connected prefix in bits, in the address's own family.
        pub prefix_length: u8,
        /// An [`AddressState`].
        pub state: u8,
        /// Index of the interface.
        pub interface: u16,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// An IPv4 route.
    pub struct Route4 {
        /// Network address, network byte order.
        pub prefix: [u8; 4],
        /// Next hop, network byte order; the number of the group, big-endian, where there are several; zero where the kind has
        /// none.
        pub next_hop: [u8; 4],
        /// Index of the interface it leaves by; `u16::MAX` where the kind has none.
        pub interface: u16,
        /// Prefix length, 0 to 32.
        pub prefix_length: u8,
        /// A [`RouteKind`].
        pub kind: u8,
        /// A [`RouteProtocol`].
        pub protocol: u8,
        /// 1 when packets go by it; 0 while another one to the prefix is in its place.
        pub active: u8,
        /// The longest packet that it takes, bytes; 0 where only the interface's MTU counts.
        pub mtu: u16,
        /// Its metric: of the routes to a prefix, the usable one with the lowest counts.
        pub metric: u32,
        /// Source of the gateway's own packets by this route; zero where none is set.
        pub source: [u8; 4],
    }
}

record! {
    /// An IPv6 route.
    pub struct Route6 {
        /// Network address.
        pub prefix: [u8; 16],
        /// Next hop; the number of the group, big-endian, in the first four where there are several; zero where the kind has none.
        pub next_hop: [u8; 16],
        /// Index of the interface it leaves by; `u16::MAX` where the kind has none.
        pub interface: u16,
        /// Prefix length, 0 to 128.
        pub prefix_length: u8,
        /// A [`RouteKind`].
        pub kind: u8,
        /// A [`RouteProtocol`].
        pub protocol: u8,
        /// 1 when packets go by it; 0 while another one to the prefix is in its place.
        pub active: u8,
        /// The longest packet that it takes, bytes; 0 where only the interface's MTU counts.
        pub mtu: u16,
        /// Its metric: of the routes to a prefix, the usable one with the lowest counts.
        pub metric: u32,
        /// Source of the gateway's own packets by this route; zero where none is set.
        pub source: [u8; 16],
        /// Zero.
        pub reserved: [u8; 4],
    }
}

record! {
    /// One of several next hops that routes share.
    pub struct NextHop {
        /// IPv4 addresses are IPv4-mapped.
        pub address: [u8; 16],
        /// Number of the group; never that of an earlier one.
        pub group: u32,
        /// Index of the interface that it is on.
        pub interface: u16,
        /// Its share of the flows, beside the weights of the others: 1 to 256.
        pub weight: u16,
        /// 1 when it gets its share; 0 while it does not answer or its interface is down.
        pub in_service: u8,
        /// Its place in the group, from 0.
        pub place: u8,
        /// How many of the group's buckets lead to it now.
        pub buckets: u16,
        /// Zero.
        pub reserved: [u8; 4],
    }
}

record! {
    /// A host on a link and what is known of it.
    pub struct Neighbor {
        /// IPv4 addresses are IPv4-mapped.
        pub address: [u8; 16],
        /// Zero until it answered.
        pub mac: [u8; 6],
        /// Index of the interface.
        pub interface: u16,
        /// When the state last changed, nanoseconds of `CLOCK_BOOTTIME`.
        pub changed_ns: u64,
        /// A [`NeighborState`].
        pub state: u8,
        /// Requests sent since it last answered.
        pub probes: u8,
        /// Zero.
        pub reserved: [u8; 2],
        /// Number of its adjacency.
        pub adjacency: u32,
    }
}

record! {
    /// A worker.
    pub struct Worker {
        /// DPDK lcore id.
        pub lcore: u32,
        /// The CPU that it is pinned to.
        pub cpu: u32,
        /// An [`IdlePolicy`].
        pub idle: u8,
        /// Zero.
        pub reserved: [u8; 3],
        /// How many receive queues it polls.
        pub rx_queues: u32,
        /// The receive queues it polls, the first eight, as port << 16 | queue.
        pub queues: [u32; 8],
        /// Ticks of its time stamp counter per second.
        pub tsc_hz: u64,
    }
}

record! {
    /// A memory pool.
    pub struct Pool {
        /// Name, zero-padded.
        pub name: [u8; 32],
        /// Packet buffers in it.
        pub buffers: u32,
        /// Bytes of packet data that a buffer holds.
        pub data_room: u32,
        /// Buffers in use when last looked at.
        pub in_use: u32,
        /// Zero.
        pub reserved: u32,
        /// Bytes of hugepage memory that it takes.
        pub bytes: u64,
    }
}

/// Text as the fixed, zero-padded field of a record; cut at the field's length, never inside a character.
pub fn text<const N: usize>(value: &str) -> [u8; N] {
    let mut end = value.len().min(N);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    field[..end].copy_from_slice(&value.as_bytes()[..end]);
    field
}

/// The text in a zero-padded field; bytes that are not UTF-8 become the replacement character.
pub fn from_text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// An address as records hold it.
pub fn ip_field(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address in a record's field.
pub fn from_ip_field(field: [u8; 16]) -> IpAddr {
    let v6 = Ipv6Addr::from(field);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

/// The `interface` of a route that leaves by none.
pub const NO_INTERFACE: u16 = u16::MAX;

impl Route4 {
    /// The network address.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.prefix)
    }

    /// The next hop, where the kind has one.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        (self.kind == RouteKind::Via as u8).then(|| Ipv4Addr::from(self.next_hop))
    }

    /// The number of its next hops' group, where there are several.
    pub fn group(&self) -> Option<u32> {
        (self.kind == RouteKind::Multipath as u8).then(|| u32::from_be_bytes(self.next_hop))
    }
}

impl Route6 {
    /// The network address.
    pub fn network(&self) -> Ipv6Addr {
        Ipv6Addr::from(self.prefix)
    }

    /// The next hop, where the kind has one.
    pub fn gateway(&self) -> Option<Ipv6Addr> {
        (self.kind == RouteKind::Via as u8).then(|| Ipv6Addr::from(self.next_hop))
    }

    /// The number of its next hops' group, where there are several.
    pub fn group(&self) -> Option<u32> {
        let number = self.next_hop.first_chunk()?;
        (self.kind == RouteKind::Multipath as u8).then(|| u32::from_be_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_comes_back_whole_or_cut_at_a_character(value in "\\PC{0,24}") {
            let back = from_text(&text::<16>(&value));
            prop_assert!(value.starts_with(&back));
            prop_assert!(back == value || back.len() > 12);
        }

        #[test]
        fn addresses_keep_their_family(bytes: [u8; 4]) {
            let v4 = IpAddr::V4(bytes.into());
            prop_assert_eq!(from_ip_field(ip_field(v4)), v4);
        }
    }
}
