//! ICMP for IPv4 (RFC 792): echo requests and replies, and the checksum of any message.
//!
//! ```text
//!    0       1       2               4               6               8
//!   +-------+-------+---------------+---------------+---------------+------
//!   | type  | code  | checksum      | identifier    | sequence      | data
//!   +-------+-------+---------------+---------------+---------------+------
//!     8 request, 0 reply
//! ```

use crate::checksum::{Sum, update16};
use crate::{BufferTooShort, reserve};

/// Bytes before the data of an echo message, and the least that any ICMP message has.
pub const HEADER_LEN: usize = 8;

/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type: the packet cannot be delivered.
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Type: there is a better next hop.
pub const REDIRECT: u8 = 5;
/// Type of an echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Type: the TTL or the time for reassembly ran out.
pub const TIME_EXCEEDED: u8 = 11;
/// Type: a header field is wrong.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Why bytes are not the ICMP message that was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Icmpv4Error {
    /// Fewer than 8 bytes.
    #[error("the ICMP message is shorter than 8 bytes")]
    Truncated,
    /// Something else than an echo request was to be answered.
    #[error("the ICMP message is not an echo request (type 8, code 0)")]
    NotEchoRequest,
}

/// An ICMP message of at least 8 bytes. Its checksum is unchecked until [`Icmpv4::checksum_is_valid`] says so.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv4<'a> {
    message: &'a [u8],
    header: &'a [u8; HEADER_LEN],
    data: &'a [u8],
}

impl<'a> Icmpv4<'a> {
    /// Takes the whole payload of an IPv4 packet that is not a fragment.
    #[inline]
    pub fn parse(message: &'a [u8]) -> Result<Icmpv4<'a>, Icmpv4Error> {
        let (header, data) = message.split_first_chunk().ok_or(Icmpv4Error::Truncated)?;
        Ok(Icmpv4 {
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

    /// The checksum fits the message (RFC 792; reads all of it).
    #[inline]
    pub fn checksum_is_valid(&self) -> bool {
        Sum::ZERO.bytes(self.message).is_valid()
    }

    /// What follows the first 8 bytes.
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

/// Which half of an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoKind {
    /// Asks for the reply.
    Request,
    /// Brings the request's data back.
    Reply,
}

/// The fields of an echo message, of ICMP for either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Request or reply.
    pub kind: EchoKind,
    /// Tells one asker from another.
    pub identifier: u16,
    /// Tells the asker's requests apart.
    pub sequence: u16,
}

impl Echo {
    /// Bytes on the wire with `data` behind.
    pub const fn len_with(&self, data: &[u8]) -> usize {
        HEADER_LEN + data.len()
    }

    /// Writes the message with `data` and its checksum to the start of `buffer`; gives the bytes written.
    pub fn emit(&self, data: &[u8], buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let message_type = match self.kind {
            EchoKind::Request => ECHO_REQUEST,
            EchoKind::Reply => ECHO_REPLY,
        };
        self.emit_as(message_type, Sum::ZERO, data, buffer)
    }

    /// Writes the message, which both families have in the same form, with the type and for the pseudo-header of one.
    pub(crate) fn emit_as(
        &self,
        message_type: u8,
        pseudo_header: Sum,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let len = self.len_with(data);
        let out = reserve(buffer, len)?;
        let [id0, id1] = self.identifier.to_be_bytes();
        let [seq0, seq1] = self.sequence.to_be_bytes();
        let mut header = [message_type, 0, 0, 0, id0, id1, seq0, seq1];
        let [sum0, sum1] = pseudo_header.bytes(&header).bytes(data).checksum().to_be_bytes();
        header[2] = sum0;
        header[3] = sum1;
        for (to, from) in out.iter_mut().zip(header.iter().chain(data)) {
            *to = *from;
        }
        Ok(len)
    }
}

/// Turns an echo request into its reply in place: type and checksum change, identifier, sequence and data stay
/// (RFC 792, RFC 1812 §4.3.3.6). The checksum is updated, not computed anew, so that a wrong one stays wrong.
#[inline]
pub fn request_into_reply(message: &mut [u8]) -> Result<(), Icmpv4Error> {
    let header = message
        .first_chunk_mut::<HEADER_LEN>()
        .ok_or(Icmpv4Error::Truncated)?;
    let [message_type, code, sum0, sum1, ..] = *header;
    if (message_type, code) != (ECHO_REQUEST, 0) {
        return Err(Icmpv4Error::NotEchoRequest);
    }
    let checksum = u16::from_be_bytes([sum0, sum1]);
    let before = u16::from_be_bytes([ECHO_REQUEST, 0]);
    let updated = update16(checksum, before, u16::from_be_bytes([ECHO_REPLY, 0]));
    // Zero is right unless all else is zero, as only a reply can be; all ones are right then and otherwise.
    let [sum0, sum1] = if updated == 0 {
        [0xff; 2]
    } else {
        updated.to_be_bytes()
    };
    header[0] = ECHO_REPLY;
    header[2] = sum0;
    header[3] = sum1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_zeros_has_a_checksum_that_is_right() {
        let mut message = [8, 0, 0xf7, 0xff, 0, 0, 0, 0, 0, 0];
        request_into_reply(&mut message).unwrap();
        assert!(Icmpv4::parse(&message).unwrap().checksum_is_valid());
    }

    const REQUEST: Echo = Echo {
        kind: EchoKind::Request,
        identifier: 0x4711,
        sequence: 3,
    };

    #[test]
    fn request_becomes_the_reply_that_would_have_been_written() {
        for data in [&b""[..], b"x", b"some data of odd length"] {
            let mut bytes = vec![0; REQUEST.len_with(data)];
            REQUEST.emit(data, &mut bytes).unwrap();
            request_into_reply(&mut bytes).unwrap();
            let mut expected = vec![0; bytes.len()];
            Echo {
                kind: EchoKind::Reply,
                ..REQUEST
            }
            .emit(data, &mut expected)
            .unwrap();
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn corrupt_request_becomes_a_corrupt_reply() {
        let mut bytes = [0; 16];
        REQUEST.emit(b"12345678", &mut bytes).unwrap();
        bytes[12] ^= 1;
        assert!(!Icmpv4::parse(&bytes).unwrap().checksum_is_valid());
        request_into_reply(&mut bytes).unwrap();
        assert!(!Icmpv4::parse(&bytes).unwrap().checksum_is_valid());
    }

    #[test]
    fn only_echo_requests_are_turned() {
        for (message_type, code) in [(0, 0), (8, 1), (3, 3), (13, 0)] {
            let mut bytes = [message_type, code, 0, 0, 0, 0, 0, 0];
            assert_eq!(request_into_reply(&mut bytes), Err(Icmpv4Error::NotEchoRequest));
            assert_eq!(bytes, [message_type, code, 0, 0, 0, 0, 0, 0]);
        }
        assert_eq!(
            request_into_reply(&mut [8, 0, 0, 0, 0, 0, 0]),
            Err(Icmpv4Error::Truncated)
        );
    }

    #[test]
    fn fields_come_back() {
        let mut bytes = [0; 10];
        REQUEST.emit(b"ab", &mut bytes).unwrap();
        let message = Icmpv4::parse(&bytes).unwrap();
        assert!(message.checksum_is_valid());
        assert_eq!((message.echo(), message.data()), (Some(REQUEST), &b"ab"[..]));
        assert_eq!((message.message_type(), message.code()), (ECHO_REQUEST, 0));
        assert_eq!(Icmpv4::parse(&[3; 8]).unwrap().echo(), None);
        assert_eq!(Icmpv4::parse(&bytes[..7]).unwrap_err(), Icmpv4Error::Truncated);
    }
}
