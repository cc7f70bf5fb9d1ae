//! Changes what is in a packet, and makes right what the change made wrong.
//!
//! ```text
//!   headers … │ UDP, TCP or ICMP header │ payload ───► another payload, shorter or longer
//!   length, checksum   length, checksum
//! ```
//!
//! Checksums are updated, not computed anew (RFC 1624 §3): one that was wrong stays wrong, so that the receiver still sees that
//! the packet was damaged, and one with another address in its pseudo-header, as behind a routing header, stays right.

mod checksum;
mod correct;

pub use correct::correct;

use packet::checksum::update16;
use packet::extension::ExtensionError;
use packet::ipv4::Ipv4Error;
use packet::ipv6::Ipv6Error;
use packet::{Ipv4, Ipv6, Protocol};

use crate::upper::Upper;

/// The highest DSCP: it has six bits (RFC 2474 §3).
const MOST_DSCP: u8 = 63;
/// What a length field can say.
const MOST_LENGTH: usize = u16::MAX as usize;

/// Why a packet is not changed. It is left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither IPv4 nor IPv6.
    #[error("the packet is neither IPv4 nor IPv6; give the bytes from the IP header on")]
    Version,
    /// No valid IPv4 packet.
    #[error("the packet cannot be changed: {0}")]
    Ipv4(#[from] Ipv4Error),
    /// No valid IPv6 packet.
    #[error("the packet cannot be changed: {0}")]
    Ipv6(#[from] Ipv6Error),
    /// Its extension headers cannot be followed.
    #[error("the packet cannot be changed: {0}")]
    Chain(#[from] ExtensionError),
    /// A DSCP above 63.
    #[error("{0} is no DSCP: it goes from 0 to 63")]
    Dscp(u8),
    /// It is part of a packet: its checksum is over bytes that are elsewhere.
    #[error("the payload of a fragment cannot be replaced; forward it as it is, or drop it")]
    Fragment,
    /// ESP or AH protects the payload.
    #[error("{0} protects the payload, which cannot be replaced; forward the packet as it is, or drop it")]
    Protected(Protocol),
    /// Its upper-layer header is not all there.
    #[error("the {0} header is cut short or malformed, so that no payload can be found; drop the packet")]
    UpperLayer(Protocol),
    /// Another version of IP than before.
    #[error("the changed packet is of another IP version than the original, or empty; send one of the same")]
    OtherFamily,
    /// Another protocol than before.
    #[error("the changed packet carries {1} and the original {0}; send one with the same protocol")]
    OtherProtocol(Protocol, Protocol),
    /// The packet would be longer than its length field can say.
    #[error("the payload is {beyond} bytes too long for an IP packet; shorten it")]
    TooLong {
        /// Bytes that do not fit.
        beyond: usize,
    },
}

/// Sets the DSCP of `packet` (RFC 2474), 0 to 63; ECN stays. Nothing but the header checksum of IPv4 depends on it, not even AH.
///
/// ```
/// use packet::PacketBuilder;
///
/// let (host, peer) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
/// let mut packet = PacketBuilder::ipv4(host, peer).udp(5000, 500, b"hello");
/// router_alert::rewrite::set_dscp(&mut packet, 46)?;
/// assert_eq!(packet, PacketBuilder::ipv4(host, peer).traffic_class(46 << 2).udp(5000, 500, b"hello"));
/// # Ok::<(), router_alert::rewrite::Refused>(())
/// ```
///
/// # Errors
///
/// Why not; the packet is as it was then.
pub fn set_dscp(packet: &mut [u8], dscp: u8) -> Result<(), Refused> {
    if dscp > MOST_DSCP {
        return Err(Refused::Dscp(dscp));
    }
    let is_four = View::of(packet)?.is_four();
    let Some([first, second, ..]) = packet.first_chunk_mut::<2>() else {
        return Ok(());
    };
    if is_four {
        let before = u16::from_be_bytes([*first, *second]);
        *second = dscp << 2 | *second & 3;
        let after = u16::from_be_bytes([*first, *second]);
        checksum::update(packet, 10, |old| update16(old, before, after));
    } else {
        // Four bits of version and the upper four of the class; its lower four and four of the flow label.
        let class = dscp << 2 | *second >> 4 & 3;
        *first = 0x60 | class >> 4;
        *second = class << 4 | *second & 0x0f;
    }
    Ok(())
}

/// Replaces the payload of `packet`, which is exactly an IP packet, and makes lengths and checksums right. The payload is what
/// follows the header of UDP and TCP, and the checksum of ICMP and ICMPv6. Of other protocols it is all that follows the IP
/// headers: what checksums they have, the new payload has to bring.
///
/// ```
/// use packet::PacketBuilder;
/// use router_alert::rewrite::replace_payload;
///
/// let (host, peer) = ("2001:db8::1".parse()?, "2001:db8:1::1".parse()?);
/// let packet = |payload| PacketBuilder::ipv6(host, peer).router_alert(5).udp(5000, 500, payload);
/// let mut changed = packet(b"hello");
/// replace_payload(&mut changed, b"good morning")?;
/// assert_eq!(changed, packet(b"good morning"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Why not; the packet is as it was then.
pub fn replace_payload(packet: &mut Vec<u8>, payload: &[u8]) -> Result<(), Refused> {
    let view = View::of(packet)?;
    let upper = view.upper()?;
    if upper.is_authenticated {
        return Err(Refused::Protected(Protocol::AH));
    }
    if upper.protocol == Protocol::ESP {
        return Err(Refused::Protected(Protocol::ESP));
    }
    if upper.part.is_some() {
        return Err(Refused::Fragment);
    }
    let (protocol, start) = (upper.protocol, upper.offset);
    let place = upper.payload().ok_or(Refused::UpperLayer(protocol))?;
    let place = start + place.start..start + place.end;
    let length = view.length() - place.len() + payload.len();
    let length = u16::try_from(length).map_err(|_| Refused::TooLong {
        beyond: length - MOST_LENGTH,
    })?;
    let is_four = view.is_four();

    checksum::replaced(packet, (protocol, start), place.clone(), payload);
    packet.splice(place, payload.iter().copied());
    let field = if is_four { 2 } else { 4 };
    let before = checksum::word(packet, field);
    checksum::set(packet, field, length);
    if is_four {
        checksum::update(packet, 10, |old| update16(old, before, length));
    }
    Ok(())
}

/// A packet of either family.
enum View<'a> {
    Four(Ipv4<'a>),
    Six(Ipv6<'a>),
}

impl<'a> View<'a> {
    fn of(packet: &'a [u8]) -> Result<Self, Refused> {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => Ok(View::Four(Ipv4::parse(packet)?)),
            Some(6) => Ok(View::Six(Ipv6::parse(packet)?)),
            _ => Err(Refused::Version),
        }
    }

    fn is_four(&self) -> bool {
        matches!(self, View::Four(_))
    }

    fn upper(&self) -> Result<Upper<'a>, Refused> {
        match self {
            View::Four(packet) => Ok(Upper::of_v4(packet)),
            View::Six(packet) => Ok(Upper::of_v6(packet)?),
        }
    }

    /// What the length field says.
    fn length(&self) -> usize {
        match self {
            View::Four(packet) => packet.total_len().into(),
            View::Six(packet) => packet.payload_len().into(),
        }
    }
}

#[cfg(test)]
mod tests;
