//! Has the sender finished its TCP or UDP checksum?
//!
//! A host that leaves checksums to its NIC writes only the sum over the pseudo-header into the field and lets the NIC
//! add the rest. Where there is no NIC (veth, tap, af_packet) such a packet arrives as it is, and whoever gets it
//! drops it: ping works, TCP hangs. So a gateway on such a device looks for them.
//!
//! ```text
//!   complete: field = !(pseudo-header + segment)        partial: field = pseudo-header
//! ```

use crate::checksum::{Address, Sum};
use crate::{Ipv4, Ipv6, Protocol, extension, tcp, udp};

/// What the checksum field of a TCP segment or UDP datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumState {
    /// The right checksum.
    Complete,
    /// UDP without a checksum, which is allowed over IPv4, and over IPv6 in tunnels (RFC 8200 §8.1).
    Absent,
    /// The sum over the pseudo-header alone: unfinished.
    Partial,
    /// Something else.
    Wrong,
}

/// A TCP segment or UDP datagram as far as its checksum is concerned.
struct Segment<'a> {
    bytes: &'a [u8],
    pseudo_header: Sum,
    field: u16,
    optional: bool,
}

impl<'a> Segment<'a> {
    #[inline]
    fn of_v4(ip: &Ipv4<'a>) -> Option<Segment<'a>> {
        if ip.is_fragment() {
            return None;
        }
        Segment::new(ip.source(), ip.destination(), ip.protocol(), ip.payload())
    }

    #[inline]
    fn of_v6(ip: &Ipv6<'a>) -> Option<Segment<'a>> {
        let upper = extension::upper_layer(ip).ok()?;
        // With segments left the checksum is for another destination, which only that routing header's type tells
        // (RFC 8200 §8.1).
        if upper.is_fragment() || upper.has_segments_left {
            return None;
        }
        Segment::new(ip.source(), ip.destination(), upper.protocol, upper.payload)
    }

    #[inline]
    fn new<A: Address>(
        source: A,
        destination: A,
        protocol: Protocol,
        bytes: &'a [u8],
    ) -> Option<Segment<'a>> {
        let (offset, header_len, optional) = match protocol {
            Protocol::TCP => (16, tcp::HEADER_LEN, false),
            Protocol::UDP => (6, udp::HEADER_LEN, true),
            _ => return None,
        };
        let field = bytes.get(..header_len)?.get(offset..)?.first_chunk()?;
        // UDP's own length may say less than IP's: the rest is then no part of the datagram.
        let bytes = if optional {
            bytes.get(..usize::from(u16::from_be_bytes(*bytes.get(4..)?.first_chunk()?)))?
        } else {
            bytes
        };
        let len = u16::try_from(bytes.len())
            .ok()
            .filter(|&len| usize::from(len) >= header_len)?;
        let pseudo_header = Sum::ZERO.pseudo_header(source, destination, protocol, len);
        Some(Segment {
            bytes,
            pseudo_header,
            field: u16::from_be_bytes(*field),
            optional,
        })
    }

    #[inline]
    fn is_complete(&self) -> bool {
        self.pseudo_header.bytes(self.bytes).is_valid()
    }

    #[inline]
    fn is_partial(&self) -> bool {
        self.field == self.pseudo_header.fold() && !self.is_complete()
    }

    fn state(&self) -> ChecksumState {
        if self.optional && self.field == 0 {
            ChecksumState::Absent
        } else if self.is_complete() {
            ChecksumState::Complete
        } else if self.is_partial() {
            ChecksumState::Partial
        } else {
            ChecksumState::Wrong
        }
    }
}

/// What the checksum field of `ip`'s payload holds. `None` if it has none to judge: neither TCP nor UDP, a fragment,
/// or too short. Reads the whole payload.
pub fn checksum_state(ip: &Ipv4<'_>) -> Option<ChecksumState> {
    Segment::of_v4(ip).map(|segment| segment.state())
}

/// As [`checksum_state`] for IPv6. `None` also if the segment is behind extension headers that cannot be followed or
/// behind a routing header with segments left.
pub fn checksum_state_v6(ip: &Ipv6<'_>) -> Option<ChecksumState> {
    Segment::of_v6(ip).map(|segment| segment.state())
}

/// Whether [`checksum_state`] is [`ChecksumState::Partial`]. Reads the headers alone in all but one of 65,536 cases,
/// so it can be asked of every packet.
#[inline]
pub fn checksum_is_partial(ip: &Ipv4<'_>) -> bool {
    Segment::of_v4(ip).is_some_and(|segment| segment.is_partial())
}

/// As [`checksum_is_partial`] for IPv6: whether [`checksum_state_v6`] is [`ChecksumState::Partial`].
#[inline]
pub fn checksum_is_partial_v6(ip: &Ipv6<'_>) -> bool {
    Segment::of_v6(ip).is_some_and(|segment| segment.is_partial())
}
