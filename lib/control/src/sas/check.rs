//! What an SA must be like, whatever other SAs and tunnels there are.

use std::net::IpAddr;

use packet::Protocol;
use shm::records::SA_SELECTORS;

use crate::message::{ControlError, ErrorCode, Sa, SaDirection, SaId, SaLifetime, Selector};

/// The smallest SPI that may go over the wire, RFC 4303 section 2.1.
const FIRST_SPI: u32 = 256;
/// Windows that there can be, but for 0, which is none.
const WINDOWS: std::ops::RangeInclusive<u16> = 32..=4096;
/// The longest name of an interface, bytes.
const INTERFACE_NAME: usize = 15;
/// The longest lifetime: more than a hundred years.
const SECONDS: u64 = u32::MAX as u64;

/// Why there can be no such SA. Each sentence says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaError {
    /// An SPI that means something else.
    #[error("{0} is no SPI of an SA: use one from {FIRST_SPI} on")]
    Spi(u32),
    /// An end that no packet of ESP can have.
    #[error("{address} cannot be an end of the SA with {id}: use a unicast address")]
    Address {
        /// The SA.
        id: SaId,
        /// Its end.
        address: IpAddr,
    },
    /// Ends that no packet can have at once.
    #[error("the SA with {id} comes from {from}: use addresses of one family")]
    Families {
        /// The SA.
        id: SaId,
        /// Its source.
        from: IpAddr,
    },
    /// A tunnel that nobody can have.
    #[error("{name:?} is no tunnel: the SA with {id} needs one that 'tollgate-ctl tunnel' lists")]
    Tunnel {
        /// The SA.
        id: SaId,
        /// Its tunnel.
        name: String,
    },
    /// A window that is too small or too large.
    #[error(
        "a window of {window} cannot be: give the SA with {id} one from {} to {}, or 0 to take repeated packets",
        WINDOWS.start(),
        WINDOWS.end()
    )]
    Window {
        /// The SA.
        id: SaId,
        /// Its window.
        window: u16,
    },
    /// Numbers whose high half follows from the window, RFC 4303 appendix A2.1.
    #[error(
        "the SA with {id} has extended sequence numbers, which a window of 0 cannot follow: leave 'esn' out, or give it one from {} to {}",
        WINDOWS.start(),
        WINDOWS.end()
    )]
    WindowOff {
        /// The SA.
        id: SaId,
    },
    /// More than 32 bits of a number that has no more.
    #[error(
        "{sequence} is no sequence number of the SA with {id}, whose numbers have 32 bits: use 0 to 4294967295, or give it 'esn'"
    )]
    Sequence {
        /// The SA.
        id: SaId,
        /// The number.
        sequence: u64,
    },
    /// A UDP header that nobody answers.
    #[error("a port of the UDP header is 0: give the SA with {0} ports from 1 on, which are 4500 as a rule")]
    UdpPort(SaId),
    /// More selectors than there is room for.
    #[error(
        "the SA with {id} has {selectors} selectors and {SA_SELECTORS} have room: make several SAs of it"
    )]
    Selectors {
        /// The SA.
        id: SaId,
        /// How many it has.
        selectors: usize,
    },
    /// A selector that cannot be.
    #[error("a selector of the SA with {id} cannot be: {fault}")]
    Selector {
        /// The SA.
        id: SaId,
        /// What is wrong with it.
        fault: SelectorError,
    },
    /// A lifetime that ends at once, or never.
    #[error("{limit} {unit} are no lifetime of the SA with {id}: use 1 to {most}, or leave it out")]
    Lifetime {
        /// The SA.
        id: SaId,
        /// As it was written.
        limit: u64,
        /// Of what.
        unit: &'static str,
        /// The largest.
        most: u64,
    },
    /// Soft lifetimes end first, or say nothing.
    #[error(
        "the SA with {id} ends after {hard} {unit}, and its soft lifetime later: make 'soft' less than 'hard'"
    )]
    SoftAfterHard {
        /// The SA.
        id: SaId,
        /// When it ends.
        hard: u64,
        /// Of what.
        unit: &'static str,
    },
}

/// Why there can be no such selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Addresses that no packet can have at once.
    #[error("{0} and {1} are of different families, or IPv4 written as IPv6: use addresses of one family")]
    Families(IpAddr, IpAddr),
    /// A range that ends before it begins.
    #[error("the range from {0} to {1} is empty: write the lower address first")]
    Addresses(IpAddr, IpAddr),
    /// A range that ends before it begins.
    #[error("the range of ports from {0} to {1} is empty: write the lower one first")]
    Ports(u16, u16),
    /// Ports without a protocol.
    #[error("ports need a protocol: name it with 'proto'")]
    NoProtocol,
    /// Ports of a protocol that has none.
    #[error("{} has no ports: leave them out", Protocol(*.0))]
    NoPorts(u8),
}

impl From<SaError> for ControlError {
    fn from(error: SaError) -> Self {
        Self::new(ErrorCode::Invalid, error.to_string())
    }
}

/// Whether there can be such an SA, whatever others there are. Of the transform only the primary knows.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn check(sa: &Sa) -> Result<(), SaError> {
    let id = sa.id();
    if sa.spi < FIRST_SPI {
        return Err(SaError::Spi(sa.spi));
    }
    for address in [sa.source, sa.destination] {
        if !is_unicast(address) {
            return Err(SaError::Address { id, address });
        }
    }
    if sa.source.is_ipv4() != sa.destination.is_ipv4() {
        return Err(SaError::Families { id, from: sa.source });
    }
    if let Some(name) = sa.tunnel.as_ref().filter(|name| !is_name(name)) {
        let name = name.clone();
        return Err(SaError::Tunnel { id, name });
    }
    if sa.window == 0 && sa.esn && sa.direction == SaDirection::In {
        return Err(SaError::WindowOff { id });
    }
    if sa.window != 0 && !WINDOWS.contains(&sa.window) {
        let window = sa.window;
        return Err(SaError::Window { id, window });
    }
    if sa.udp.is_some_and(|(from, to)| from == 0 || to == 0) {
        return Err(SaError::UdpPort(id));
    }
    let selectors = sa.selectors.len();
    if selectors > SA_SELECTORS {
        return Err(SaError::Selectors { id, selectors });
    }
    for selector in &sa.selectors {
        check_selector(selector).map_err(|fault| SaError::Selector { id, fault })?;
    }
    check_lifetimes(id, &sa.soft, &sa.hard)
}

/// Whether an SA can have had this sequence number before it was installed.
///
/// # Errors
///
/// That it cannot.
pub fn check_sequence(sa: &Sa, sequence: u64) -> Result<(), SaError> {
    if sa.esn || sequence <= u32::MAX.into() {
        return Ok(());
    }
    let id = sa.id();
    Err(SaError::Sequence { id, sequence })
}

fn check_lifetimes(id: SaId, soft: &SaLifetime, hard: &SaLifetime) -> Result<(), SaError> {
    for (unit, soft, hard, most) in [
        ("bytes", soft.bytes, hard.bytes, u64::MAX),
        ("packets", soft.packets, hard.packets, u64::MAX),
        ("seconds", soft.seconds, hard.seconds, SECONDS),
    ] {
        let wrong = [soft, hard].into_iter().flatten();
        if let Some(limit) = wrong.into_iter().find(|limit| !(1..=most).contains(limit)) {
            return Err(SaError::Lifetime {
                id,
                limit,
                unit,
                most,
            });
        }
        if let Some((_, hard)) = soft.zip(hard).filter(|(soft, hard)| soft >= hard) {
            return Err(SaError::SoftAfterHard { id, hard, unit });
        }
    }
    Ok(())
}

/// Whether there can be such a selector.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn check_selector(selector: &Selector) -> Result<(), SelectorError> {
    let (first, _) = selector.source;
    for (low, high) in [selector.source, selector.destination] {
        for address in [low, high] {
            if address.is_ipv4() != first.is_ipv4() || address.to_canonical() != address {
                return Err(SelectorError::Families(first, address));
            }
        }
        if low > high {
            return Err(SelectorError::Addresses(low, high));
        }
    }
    for (low, high) in [selector.source_ports, selector.destination_ports] {
        if low > high && (low, high) != Selector::OPAQUE {
            return Err(SelectorError::Ports(low, high));
        }
    }
    let any = |ports| ports == Selector::ANY_PORT;
    if any(selector.source_ports) && any(selector.destination_ports) {
        return Ok(());
    }
    match selector.protocol {
        None => Err(SelectorError::NoProtocol),
        Some(protocol) if !has_ports(protocol) => Err(SelectorError::NoPorts(protocol)),
        Some(_) => Ok(()),
    }
}

/// Whether there is more to select by than the protocol, RFC 4301 section 4.4.1.1: ports, or a message type.
fn has_ports(protocol: u8) -> bool {
    // TCP, UDP, DCCP, SCTP, UDP-Lite; ICMP, ICMPv6, the mobility header.
    matches!(protocol, 6 | 17 | 33 | 132 | 136 | 1 | 58 | 135)
}

fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    // An IPv4 address in the form of IPv6 is in no packet.
    let canonical = address.to_canonical() == address;
    canonical && !broadcast && !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}

fn is_name(name: &str) -> bool {
    let plain = |character: char| !character.is_whitespace() && !character.is_control();
    (1..=INTERFACE_NAME).contains(&name.len()) && name.chars().all(plain)
}
