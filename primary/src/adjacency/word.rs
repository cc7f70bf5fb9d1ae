//! What an adjacency stands for, as one word of 64 bits.

use packet::MacAddress;

/// The kind of [`Adjacency::Forward`].
pub(super) const FORWARD: u64 = 7;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjacency {
    /// No route leads there.
    NoRoute,
    /// A route says drop.
    Blackhole,
    /// An address of the gateway, on this interface.
    Local {
        /// The interface that has the address.
        interface: u16,
    },
    /// A connected subnet's broadcast or network address.
    Broadcast,
    /// A connected subnet: the destination itself is the next hop, and not known as a neighbour.
    Glean {
        /// The interface of the subnet.
        interface: u16,
    },
    /// A neighbour whose MAC address is not known yet.
    Incomplete {
        /// The interface that it is on.
        interface: u16,
    },
    /// A neighbour that did not answer.
    Failed {
        /// The interface that it was looked for on.
        interface: u16,
    },
    /// A neighbour, by its MAC address.
    Forward {
        /// The interface that it is on.
        interface: u16,
        /// Where the frame goes.
        mac: MacAddress,
    },
    /// A route says that nobody is there.
    Unreachable,
    /// A route says that it is not allowed.
    Prohibit,
    /// The address of all routers of a subnet, of which the gateway is one: RFC 4291 section 2.6.1.
    Anycast {
        /// The interface of the subnet.
        interface: u16,
    },
}

impl Adjacency {
    #[inline]
    pub(super) fn from_word(word: u64) -> Self {
        let interface = ((word >> 48) & 0xfff) as u16;
        match word >> 60 {
            1 => Self::Blackhole,
            2 => Self::Local { interface },
            3 => Self::Broadcast,
            4 => Self::Glean { interface },
            5 => Self::Incomplete { interface },
            6 => Self::Failed { interface },
            FORWARD => Self::Forward {
                interface,
                mac: from_frame(word),
            },
            8 => Self::Unreachable,
            9 => Self::Prohibit,
            10 => Self::Anycast { interface },
            _ => Self::NoRoute,
        }
    }

    pub(super) fn to_word(self) -> u64 {
        let word =
            |kind: u64, interface: u16, mac: u64| kind << 60 | u64::from(interface & 0xfff) << 48 | mac;
        match self {
            Self::NoRoute => 0,
            Self::Blackhole => word(1, 0, 0),
            Self::Local { interface } => word(2, interface, 0),
            Self::Broadcast => word(3, 0, 0),
            Self::Glean { interface } => word(4, interface, 0),
            Self::Incomplete { interface } => word(5, interface, 0),
            Self::Failed { interface } => word(6, interface, 0),
            Self::Forward { interface, mac } => word(FORWARD, interface, in_frame(mac)),
            Self::Unreachable => word(8, 0, 0),
            Self::Prohibit => word(9, 0, 0),
            Self::Anycast { interface } => word(10, interface, 0),
        }
    }
}

/// A MAC address as the first six bytes of a little-endian number, as a frame has it.
#[inline(always)]
pub fn in_frame(mac: MacAddress) -> u64 {
    let [a, b, c, d, e, f] = mac.octets();
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The MAC address in the first six bytes of a little-endian number.
#[inline(always)]
pub(super) fn from_frame(word: u64) -> MacAddress {
    let [a, b, c, d, e, f, ..] = word.to_le_bytes();
    MacAddress([a, b, c, d, e, f])
}
