//! The gateway that packets go through: four interfaces and a route of each kind, as the [oracle](super::oracle) and the
//! [tables](super::Gateway) both read them.
//!
//! ```text
//!   0  192.168.1.1/24  2001:db8:1::1/64  fe80::1   kernel device   packets come in here
//!   1  192.168.2.1/24  2001:db8:2::1/64  fe80::2                   and here, where each hop-by-hop header is judged
//!   2  narrow: MTU 1300
//!   3  down
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

/// An interface.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Its MTU.
    pub mtu: u16,
    /// Whether a kernel interface feeds it.
    pub kernel_device: bool,
    /// Whether it is up.
    pub up: bool,
    /// Whether each hop-by-hop header is judged of what comes in by it.
    pub process: bool,
    /// Its addresses: IPv4, IPv6, link-local.
    pub addresses: (Ipv4Addr, Ipv6Addr, Ipv6Addr),
}

const fn interface(number: u8, mtu: u16, kernel_device: bool, up: bool) -> Interface {
    let last = number + 1;
    Interface {
        mac: [2, 0, 0, 0, 0, last],
        mtu,
        kernel_device,
        up,
        process: number == 1,
        addresses: (
            Ipv4Addr::new(192, 168, last, 1),
            Ipv6Addr::new(0x2001, 0xdb8, last as u16, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last as u16),
        ),
    }
}

/// All of them.
pub const INTERFACES: [Interface; 4] = [
    interface(0, 1500, true, true),
    interface(1, 1500, false, true),
    interface(2, 1300, false, true),
    interface(3, 1500, false, false),
];
/// Those that packets come in by, by index.
pub const INGRESSES: [u16; 2] = [0, 1];

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a neighbour on this interface, whose MAC address is [`neighbor`].
    Forward(u16),
    /// To the gateway itself.
    Local,
    /// Onto the link of this interface.
    Glean(u16),
    /// To a next hop on this interface that has not answered yet: [`UNKNOWN4`] or [`UNKNOWN6`].
    Incomplete(u16),
    /// To a next hop on this interface that does not answer.
    Failed(u16),
    /// To a subnet's broadcast address.
    Broadcast,
    /// Nowhere.
    Blackhole,
}

/// The MAC address of the neighbour on an interface.
pub const fn neighbor(interface: u16) -> [u8; 6] {
    [2, 0, 0, 0, 1, interface as u8]
}

/// The next hop that has not answered yet.
pub const UNKNOWN4: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 9);
/// The same for IPv6.
pub const UNKNOWN6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);

/// IPv4 routes: network, prefix length, target.
pub const ROUTES4: &[(Ipv4Addr, u8, Target)] = &[
    // Nothing may come here: it is refused before the lookup.
    (Ipv4Addr::new(0, 0, 0, 0), 8, Target::Forward(1)),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Target::Forward(1)),
    (Ipv4Addr::new(224, 0, 0, 0), 3, Target::Forward(1)),
    (Ipv4Addr::new(192, 168, 1, 0), 24, Target::Glean(0)),
    (Ipv4Addr::new(192, 168, 1, 255), 32, Target::Broadcast),
    (Ipv4Addr::new(192, 168, 1, 1), 32, Target::Local),
    (Ipv4Addr::new(192, 168, 1, 2), 32, Target::Forward(0)),
    (Ipv4Addr::new(192, 168, 2, 0), 24, Target::Glean(1)),
    (Ipv4Addr::new(192, 168, 2, 255), 32, Target::Broadcast),
    (Ipv4Addr::new(192, 168, 2, 1), 32, Target::Local),
    (Ipv4Addr::new(192, 168, 2, 2), 32, Target::Forward(1)),
    (Ipv4Addr::new(10, 1, 0, 0), 16, Target::Forward(1)),
    (Ipv4Addr::new(10, 2, 0, 0), 16, Target::Incomplete(1)),
    (Ipv4Addr::new(10, 3, 0, 0), 16, Target::Failed(1)),
    (Ipv4Addr::new(10, 4, 0, 0), 16, Target::Blackhole),
    (Ipv4Addr::new(10, 5, 0, 0), 16, Target::Forward(2)),
    (Ipv4Addr::new(10, 6, 0, 0), 16, Target::Forward(3)),
];

const fn six(words: [u16; 4], last: u16) -> Ipv6Addr {
    Ipv6Addr::new(words[0], words[1], words[2], words[3], 0, 0, 0, last)
}

/// IPv6 routes: network, prefix length, target.
pub const ROUTES6: &[(Ipv6Addr, u8, Target)] = &[
    // Nothing may come here: it is refused before the lookup.
    (Ipv6Addr::UNSPECIFIED, 64, Target::Forward(1)),
    (six([0xfe80, 0, 0, 0], 0), 10, Target::Forward(1)),
    (six([0xff00, 0, 0, 0], 0), 8, Target::Forward(1)),
    (six([0x2001, 0xdb8, 1, 0], 0), 64, Target::Glean(0)),
    (six([0x2001, 0xdb8, 1, 0], 1), 128, Target::Local),
    (six([0x2001, 0xdb8, 1, 0], 2), 128, Target::Forward(0)),
    (six([0x2001, 0xdb8, 2, 0], 0), 64, Target::Glean(1)),
    (six([0x2001, 0xdb8, 2, 0], 1), 128, Target::Local),
    (six([0x2001, 0xdb8, 2, 0], 2), 128, Target::Forward(1)),
    (six([0x2001, 0xdb8, 0x11, 0], 0), 48, Target::Forward(1)),
    (six([0x2001, 0xdb8, 0x12, 0], 0), 48, Target::Incomplete(1)),
    (six([0x2001, 0xdb8, 0x13, 0], 0), 48, Target::Failed(1)),
    (six([0x2001, 0xdb8, 0x14, 0], 0), 48, Target::Blackhole),
    (six([0x2001, 0xdb8, 0x15, 0], 0), 48, Target::Forward(2)),
    (six([0x2001, 0xdb8, 0x16, 0], 0), 48, Target::Forward(3)),
    // Unique local addresses, RFC 4193: routed, and outside 2000::/3.
    (six([0xfd00, 0x17, 0, 0], 0), 32, Target::Forward(1)),
];
