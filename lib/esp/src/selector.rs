//! Selectors: which packets an SA may carry (RFC 4301 §4.4.1.1). What comes out of decryption has to fit one of those of its SA
//! (§5.2), or somebody with keys for one network could speak for another.
//!
//! ```text
//!   packet ──► Flow ──► does one of the selectors have it?
//!              addresses   ranges
//!              protocol    one, or any; not known in some fragments of IPv6
//!              ports       ranges, any, or opaque; none in fragments but the first
//!              ICMP        type and code as one number, 256 · type + code
//! ```
//!
//! A selector sees a packet in its own direction: `source` is the packet's. For ICMP, and for the mobility header of IPv6, there is
//! one value instead of two ports; both port selectors look at it, as either may have come from key exchange with it (RFC 7296
//! §3.13.1).

mod flow;

use std::net::IpAddr;

pub use flow::{Flow, Ports};
use packet::Protocol;

/// Most selectors of an SA.
pub const MAX_SELECTORS: usize = 16;

/// A range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why there is no such range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// An IPv4 and an IPv6 address.
    #[error("{0} and {1} are not of one family; a range has addresses of one")]
    Families(IpAddr, IpAddr),
    /// The end lies before the beginning.
    #[error("the range from {0} to {1} is empty; its first address is not the lower one")]
    Backwards(IpAddr, IpAddr),
    /// The prefix is longer than the address.
    #[error("{0} has no prefix of {1} bits; an IPv4 address has 32 bits and an IPv6 address 128")]
    PrefixLength(IpAddr, u8),
}

impl AddressRange {
    /// From `first` to `last`, both included.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<AddressRange, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            Err(RangeError::Families(first, last))
        } else if last < first {
            Err(RangeError::Backwards(first, last))
        } else {
            Ok(AddressRange { first, last })
        }
    }

    /// All that share the first `len` bits of `address`.
    pub fn prefix(address: IpAddr, len: u8) -> Result<AddressRange, RangeError> {
        let wrong = RangeError::PrefixLength(address, len);
        let (first, last) = match address {
            IpAddr::V4(address) => {
                let host = 32_u32.checked_sub(len.into()).ok_or(wrong)?;
                let mask = u32::MAX.checked_shl(host).unwrap_or(0);
                let bits = address.to_bits();
                (
                    IpAddr::V4((bits & mask).into()),
                    IpAddr::V4((bits | !mask).into()),
                )
            }
            IpAddr::V6(address) => {
                let host = 128_u32.checked_sub(len.into()).ok_or(wrong)?;
                let mask = u128::MAX.checked_shl(host).unwrap_or(0);
                let bits = address.to_bits();
                (
                    IpAddr::V6((bits & mask).into()),
                    IpAddr::V6((bits | !mask).into()),
                )
            }
        };
        Ok(AddressRange { first, last })
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether `address` is one of them; one of the other family is not.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address, self.last) {
            (IpAddr::V4(first), IpAddr::V4(address), IpAddr::V4(last)) => first <= address && address <= last,
            (IpAddr::V6(first), IpAddr::V6(address), IpAddr::V6(last)) => first <= address && address <= last,
            _ => false,
        }
    }
}

/// Which ports, or types and codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortSelector {
    /// All, and packets without, as other protocols and later fragments are.
    Any,
    /// Packets without, and no others (RFC 4301 §7.2).
    Opaque,
    /// From the first to the last, both included. All there are is the same as [`PortSelector::Any`].
    Range(u16, u16),
}

impl PortSelector {
    #[inline]
    fn has(self, port: Option<u16>) -> bool {
        match (self, port) {
            (PortSelector::Any | PortSelector::Range(0, u16::MAX), _) | (PortSelector::Opaque, None) => true,
            (PortSelector::Opaque, Some(_)) | (PortSelector::Range(..), None) => false,
            (PortSelector::Range(first, last), Some(port)) => first <= port && port <= last,
        }
    }
}

/// Packets of some hosts, of a protocol, of some ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Source addresses.
    pub source: AddressRange,
    /// Destination addresses.
    pub destination: AddressRange,
    /// The upper-layer protocol; `None` for any, known or not.
    pub protocol: Option<Protocol>,
    /// Source ports.
    pub source_ports: PortSelector,
    /// Destination ports.
    pub destination_ports: PortSelector,
}

impl Selector {
    /// Whether a packet of `flow` fits.
    #[inline]
    pub fn has(&self, flow: &Flow) -> bool {
        self.source.contains(flow.source)
            && self.destination.contains(flow.destination)
            && (self.protocol.is_none() || self.protocol == flow.protocol)
            && self.has_ports(flow.ports)
    }

    #[inline]
    fn has_ports(&self, ports: Ports) -> bool {
        let (source, destination) = match ports {
            Ports::None => (None, None),
            Ports::Both(source, destination) => (Some(source), Some(destination)),
            Ports::Message(message) => (Some(message), Some(message)),
        };
        self.source_ports.has(source) && self.destination_ports.has(destination)
    }
}

/// An SA has no selector, or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} selectors are none or too many for an SA; give 1 to 16, or have it carry anything")]
pub struct SelectorCountError(pub usize);

/// The selectors of an SA.
///
/// ```
/// use esp::selector::{AddressRange, PortSelector, Selector, Selectors};
/// use packet::{PacketBuilder, Protocol};
///
/// let selectors = Selectors::new(vec![Selector {
///     source: AddressRange::prefix("10.1.0.0".parse()?, 16)?,
///     destination: AddressRange::prefix("0.0.0.0".parse()?, 0)?,
///     protocol: Some(Protocol::UDP),
///     source_ports: PortSelector::Any,
///     destination_ports: PortSelector::Range(53, 53),
/// }])?;
/// let packet = |last| PacketBuilder::ipv4([10, last, 0, 1].into(), [192, 0, 2, 1].into());
/// assert!(selectors.allow(&packet(1).udp(5000, 53, b"?")));
/// assert!(!selectors.allow(&packet(2).udp(5000, 53, b"?")));
/// assert!(!selectors.allow(&packet(1).udp(5000, 80, b"?")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectors {
    /// None: anything.
    list: Vec<Selector>,
}

impl Selectors {
    /// Whether an SA carries anything.
    pub fn are_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// For an SA that carries anything.
    pub const fn anything() -> Selectors {
        Selectors { list: Vec::new() }
    }

    /// For an SA that carries what one of these has.
    pub fn new(list: Vec<Selector>) -> Result<Selectors, SelectorCountError> {
        match list.len() {
            1..=MAX_SELECTORS => Ok(Selectors { list }),
            count => Err(SelectorCountError(count)),
        }
    }

    /// Whether the SA may carry the packet at the start of `packet`. One that cannot be read fits no selector.
    #[inline]
    pub fn allow(&self, packet: &[u8]) -> bool {
        self.list.is_empty() || self.find(packet)
    }

    #[inline(never)]
    fn find(&self, packet: &[u8]) -> bool {
        let flow = Flow::of(packet);
        flow.is_some_and(|flow| self.list.iter().any(|selector| selector.has(&flow)))
    }
}

#[cfg(test)]
mod tests;
