//! ICMP for IPv6 (RFC 4443): echo requests and replies, and the checksum of any message.
//!
//! ```text
//!    0       1       2               4               6               8
//!   +-------+-------+---------------+---------------+---------------+------
//!   | type  | code  | checksum      | identifier    | sequence      | data
//!   +-------+-------+---------------+---------------+---------------+------
//!     128 request, 129 reply        : any other message's body begins at 4
//! ```
//!
//! Unlike ICMP for IPv4 the checksum covers the pseudo-header (RFC 4443 §2.3). Neighbour discovery, whose messages
//! these are too, is in [`crate::nd`]; what a router sends in place of a packet is in [`crate::icmp_error`].

use std::net::Ipv6Addr;

pub use crate::icmpv4::{Echo, EchoKind};

use crate::checksum::{Sum, update16, update128};
use crate::{BufferTooShort, Protocol};

/// Bytes before the data of an echo message or the packet in an error.
pub const HEADER_LEN: usize = 8;

/// Type: no way to the destination (RFC 4443 §3.1).
pub const DESTINATION_UNREACHABLE: u8 = 1;
/// Type: the next link is too narrow (RFC 4443 §3.2).
pub const PACKET_TOO_BIG: u8 = 2;
/// Type: hop limit or reassembly time ran out (RFC 4443 §3.3).
pub const TIME_EXCEEDED: u8 = 3;
/// Type: a header cannot be processed (RFC 4443 §3.4).
pub const PARAMETER_PROBLEM: u8 = 4;
/// Type of an echo request (RFC 4443 §4.1).
pub const ECHO_REQUEST: u8 = 128;
/// Type of an echo reply (RFC 4443 §4.2).
pub const ECHO_REPLY: u8 = 129;
/// Type: which groups have listeners? (RFC 3810 §5.1)
pub const MULTICAST_LISTENER_QUERY: u8 = 130;
/// Type: a group has a listener (RFC 2710 §3.1).
pub const MULTICAST_LISTENER_REPORT: u8 = 131;
/// Type: a listener has left (RFC 2710 §3.1).
pub const MULTICAST_LISTENER_DONE: u8 = 132;
/// Type: who is a router? (RFC 4861 §4.1)
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type: the sender is a router (RFC 4861 §4.2).
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type: who has the target? (RFC 4861 §4.3)
pub const NEIGHBOR_SOLICITATION: u8 = 135;
/// Type: the target is here (RFC 4861 §4.4).
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// Type: there is a better first hop (RFC 4861 §4.5).
pub const REDIRECT: u8 = 137;
/// Type: which groups have listeners, as MLD version 2 says it (RFC 3810 §5.2).
pub const MULTICAST_LISTENER_REPORT_V2: u8 = 143;

/// Code of a parameter problem: a header field is wrong (RFC 4443 §3.4).
pub const ERRONEOUS_HEADER_FIELD: u8 = 0;
/// Code of a parameter problem: a next header is not known (RFC 4443 §3.4).
pub const UNRECOGNIZED_NEXT_HEADER: u8 = 1;
/// Code of a parameter problem: an option is not known (RFC 4443 §3.4).
pub const UNRECOGNIZED_OPTION: u8 = 2;
/// Code of a parameter problem: a first fragment ends before its upper-layer header does (RFC 7112 §5).
pub const INCOMPLETE_HEADER_CHAIN: u8 = 3;
/// Code of a parameter problem: an extension header is longer than who sends this takes (RFC 8883 §2.2).
pub const EXTENSION_HEADER_TOO_BIG: u8 = 6;
/// Code of a parameter problem: an extension header has more options than who sends this takes (RFC 8883 §2.5).
pub const TOO_MANY_OPTIONS: u8 = 9;

/// Why bytes are not the ICMPv6 message that was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Icmpv6Error {
    /// Fewer than 8 bytes.
    #[error("the ICMPv6 message is shorter than 8 bytes")]
    Truncated,
    /// Something else than an echo request was to be answered.
    #[error("the ICMPv6 message is not an echo request (type 128, code 0)")]
    NotEchoRequest,
}

/// Whether a message of this type is an error: the high bit is clear (RFC 4443 §2.1).
#[inline]
pub const fn is_error(message_type: u8) -> bool {
    message_type & 0x80 == 0
}

/// An ICMPv6 message of at least 8 bytes. Its checksum is unchecked until [`Icmpv6::checksum_is_valid`] says so.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv6<'a> {
    message: &'a [u8],
    header: &'a [u8; HEADER_LEN],
    data: &'a [u8],
}

impl<'a> Icmpv6<'a> {
    /// Takes all that follows the IPv6 header and its extension headers in a packet that is not a fragment.
    #[inline]
    pub fn parse(message: &'a [u8]) -> Result<Icmpv6<'a>, Icmpv6Error> {
        let (header, data) = message.split_first_chunk().ok_or(Icmpv6Error::Truncated)?;
        Ok(Icmpv6 {
            message,
            header,
            data,
        })
    }

    /// Type of the message.
    #[inline]
    pub fn message_type(&self) -> u8 {
        self.header[0]
    }

    /// Code, which details the type.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// The checksum field.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The checksum fits the message in a packet between these addresses (RFC 4443 §2.3; reads all of it).
    #[inline]
    pub fn checksum_is_valid(&self, source: Ipv6Addr, destination: Ipv6Addr) -> bool {
        // What is longer than any payload length has not come in a packet.
        u16::try_from(self.message.len()).is_ok_and(|len| {
            Sum::ZERO
                .pseudo_header(source, destination, Protocol::ICMPV6, len)
                .bytes(self.message)
                .is_valid()
        })
    }

    /// What follows type, code and checksum: at least 4 bytes (RFC 4443 §2.1).
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.message.get(4..).unwrap_or_default()
    }

    /// What follows the first 8 bytes: the data of an echo message, the packet in an error.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The message as an echo request or reply; `None` if it is neither.
    #[inline]
    pub fn echo(&self) -> Option<Echo> {
        let &[message_type, code, _, _, id0, id1, seq0, seq1] = self.header;
        let kind = match (message_type, code) {
            (ECHO_REQUEST, 0) => EchoKind::Request,
            (ECHO_REPLY, 0) => EchoKind::Reply,
            _ => return None,
        };
        let identifier = u16::from_be_bytes([id0, id1]);
        Some(Echo {
            kind,
            identifier,
            sequence: u16::from_be_bytes([seq0, seq1]),
        })
    }
}

/// Writes an echo message with `data` and the checksum for a packet between these addresses to the start of `buffer`;
/// gives the bytes written. Data above 65,527 bytes fits no packet and is refused as too long for any buffer.
pub fn emit_echo(
    echo: &Echo,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    data: &[u8],
    buffer: &mut [u8],
) -> Result<usize, BufferTooShort> {
    let needed = echo.len_with(data);
    let available = buffer.len().min(usize::from(u16::MAX));
    let len = u16::try_from(needed).map_err(|_| BufferTooShort { needed, available })?;
    let message_type = match echo.kind {
        EchoKind::Request => ECHO_REQUEST,
        EchoKind::Reply => ECHO_REPLY,
    };
    let pseudo_header = Sum::ZERO.pseudo_header(source, destination, Protocol::ICMPV6, len);
    echo.emit_as(message_type, pseudo_header, data, buffer)
}

/// Turns an echo request into its reply in place: type and checksum change, identifier, sequence and data stay
/// (RFC 4443 §4.2). The checksum is updated, not computed anew, so that a wrong one stays wrong. It is right for the
/// packet with its addresses exchanged; where the reply has another source, [`update_address`] follows.
#[inline]
pub fn request_into_reply(message: &mut [u8]) -> Result<(), Icmpv6Error> {
    let header = message
        .first_chunk_mut::<HEADER_LEN>()
        .ok_or(Icmpv6Error::Truncated)?;
    let [message_type, code, sum0, sum1, ..] = *header;
    if (message_type, code) != (ECHO_REQUEST, 0) {
        return Err(Icmpv6Error::NotEchoRequest);
    }
    let checksum = u16::from_be_bytes([sum0, sum1]);
    let before = u16::from_be_bytes([ECHO_REQUEST, 0]);
    let [sum0, sum1] = update16(checksum, before, u16::from_be_bytes([ECHO_REPLY, 0])).to_be_bytes();
    header[0] = ECHO_REPLY;
    header[2] = sum0;
    header[3] = sum1;
    Ok(())
}

/// Updates the checksum of `message` after an address of its packet changed from `old` to `new`: the reply to a request
/// that went to a multicast address comes from another (RFC 4443 §4.2).
#[inline]
pub fn update_address(message: &mut [u8], old: Ipv6Addr, new: Ipv6Addr) -> Result<(), Icmpv6Error> {
    let header = message
        .first_chunk_mut::<HEADER_LEN>()
        .ok_or(Icmpv6Error::Truncated)?;
    let checksum = u16::from_be_bytes([header[2], header[3]]);
    let [sum0, sum1] = update128(checksum, old.to_bits(), new.to_bits()).to_be_bytes();
    header[2] = sum0;
    header[3] = sum1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv6::ALL_NODES;

    const REQUEST: Echo = Echo {
        kind: EchoKind::Request,
        identifier: 0x4711,
        sequence: 3,
    };
    const REPLY: Echo = Echo {
        kind: EchoKind::Reply,
        ..REQUEST
    };
    const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2);

    fn message(echo: &Echo, source: Ipv6Addr, destination: Ipv6Addr, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; echo.len_with(data)];
        assert_eq!(
            emit_echo(echo, source, destination, data, &mut bytes),
            Ok(bytes.len())
        );
        bytes
    }

    #[test]
    fn request_has_the_checksum_of_rfc_4443_section_2_3() {
        // Pseudo-header: 2001+0db8+0001 + fe80+00ff+fe00+0002 + 000a + 003a; message: 8000+4711+0003+6162.
        // That is 0x3_53f5, folded 0x53f8, complement 0xac07.
        let expected = [128, 0, 0xac, 0x07, 0x47, 0x11, 0, 3, b'a', b'b'];
        assert_eq!(message(&REQUEST, A, B, b"ab"), expected);
    }

    #[test]
    fn request_becomes_the_reply_that_would_have_been_written() {
        for data in [&b""[..], b"x", b"some data of odd length"] {
            let mut bytes = message(&REQUEST, A, B, data);
            request_into_reply(&mut bytes).unwrap();
            assert_eq!(bytes, message(&REPLY, B, A, data));
        }
    }

    #[test]
    fn reply_to_a_multicast_request_comes_from_another_address() {
        let mut bytes = message(&REQUEST, A, ALL_NODES, b"data");
        request_into_reply(&mut bytes).unwrap();
        assert!(!Icmpv6::parse(&bytes).unwrap().checksum_is_valid(B, A));
        update_address(&mut bytes, ALL_NODES, B).unwrap();
        assert_eq!(bytes, message(&REPLY, B, A, b"data"));
        assert_eq!(update_address(&mut bytes[..7], A, B), Err(Icmpv6Error::Truncated));
    }

    #[test]
    fn corrupt_request_becomes_a_corrupt_reply() {
        let mut bytes = message(&REQUEST, A, ALL_NODES, b"12345678");
        bytes[12] ^= 1;
        assert!(!Icmpv6::parse(&bytes).unwrap().checksum_is_valid(A, ALL_NODES));
        request_into_reply(&mut bytes).unwrap();
        update_address(&mut bytes, ALL_NODES, B).unwrap();
        assert!(!Icmpv6::parse(&bytes).unwrap().checksum_is_valid(B, A));
    }

    #[test]
    fn only_echo_requests_are_turned() {
        for (message_type, code) in [(129, 0), (128, 1), (8, 0), (135, 0)] {
            let mut bytes = [message_type, code, 0, 0, 0, 0, 0, 0];
            assert_eq!(request_into_reply(&mut bytes), Err(Icmpv6Error::NotEchoRequest));
            assert_eq!(bytes, [message_type, code, 0, 0, 0, 0, 0, 0]);
        }
        assert_eq!(
            request_into_reply(&mut [128, 0, 0, 0, 0, 0, 0]),
            Err(Icmpv6Error::Truncated)
        );
    }

    #[test]
    fn fields_come_back() {
        let bytes = message(&REQUEST, A, B, b"ab");
        let parsed = Icmpv6::parse(&bytes).unwrap();
        assert!(parsed.checksum_is_valid(A, B) && parsed.checksum_is_valid(B, A));
        assert!(!parsed.checksum_is_valid(A, A));
        assert_eq!((parsed.echo(), parsed.data()), (Some(REQUEST), &b"ab"[..]));
        assert_eq!(parsed.body(), &bytes[4..]);
        assert_eq!((parsed.message_type(), parsed.code()), (ECHO_REQUEST, 0));
        assert_eq!(Icmpv6::parse(&[3; 8]).unwrap().echo(), None);
        assert_eq!(Icmpv6::parse(&bytes[..7]).unwrap_err(), Icmpv6Error::Truncated);
    }

    #[test]
    fn errors_are_the_types_below_128() {
        for message_type in 0..=u8::MAX {
            assert_eq!(is_error(message_type), message_type < 128);
        }
    }
}
