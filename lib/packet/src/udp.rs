//! UDP datagrams (RFC 768).
//!
//! ```text
//!    0               2                4               6               8
//!   +---------------+----------------+---------------+---------------+---------
//!   | source port   |destination port| length        | checksum      | payload
//!   +---------------+----------------+---------------+---------------+---------
//! ```

use crate::checksum::{Address, Sum};
use crate::{BufferTooShort, Protocol, reserve};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// Why bytes are no UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UdpError {
    /// Fewer than 8 bytes.
    #[error("the datagram is shorter than a UDP header")]
    Truncated,
    /// The length field is below 8 or above the bytes that there are.
    #[error("the length of the UDP datagram is below its header's or above the bytes received")]
    Length,
}

/// A UDP datagram whose length has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Takes the payload of a packet that is not a fragment; what follows the datagram's length is not part of it.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Udp<'a>, UdpError> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(UdpError::Truncated)?;
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let payload = bytes.get(HEADER_LEN..len).ok_or(UdpError::Length)?;
        Ok(Udp { header, payload })
    }

    /// Source port; 0 if the sender wants no answer.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Bytes of the datagram, header included.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a datagram has at least its header")]
    pub fn len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The checksum field, unchecked. 0: the sender made none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// What follows the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is that of a packet between these addresses. None at all is right in IPv4 (RFC 768) and wrong in
    /// IPv6 (RFC 8200 §8.1).
    #[inline]
    pub fn checksum_is_valid<A: Address>(&self, source: A, destination: A) -> bool {
        if self.checksum() == 0 {
            return A::UDP_CHECKSUM_IS_OPTIONAL;
        }
        Sum::ZERO
            .pseudo_header(source, destination, Protocol::UDP, self.len())
            .bytes(self.header)
            .bytes(self.payload)
            .is_valid()
    }
}

/// A UDP header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

impl UdpHeader {
    /// Bytes on the wire.
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes header and `payload` with the checksum for a packet between these addresses to the start of `buffer`;
    /// gives the bytes written. A payload above 65,527 bytes has no length field and is refused as too long for any
    /// buffer.
    pub fn emit<A: Address>(
        &self,
        source: A,
        destination: A,
        payload: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let needed = HEADER_LEN + payload.len();
        let available = buffer.len().min(usize::from(u16::MAX));
        let len = u16::try_from(needed).map_err(|_| BufferTooShort { needed, available })?;
        let out = reserve(buffer, needed)?;
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [len0, len1] = len.to_be_bytes();
        let mut header = [s0, s1, d0, d1, len0, len1, 0, 0];
        let pseudo_header = Sum::ZERO.pseudo_header(source, destination, Protocol::UDP, len);
        let checksum = match pseudo_header.bytes(&header).bytes(payload).checksum() {
            // Zero would say that there is none.
            0 => 0xffff,
            checksum => checksum,
        };
        let [sum0, sum1] = checksum.to_be_bytes();
        header[6] = sum0;
        header[7] = sum1;
        for (to, from) in out.iter_mut().zip(header.iter().chain(payload)) {
            *to = *from;
        }
        Ok(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HEADER: UdpHeader = UdpHeader {
        source_port: 5000,
        destination_port: 500,
    };
    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn fields_come_back_and_trailing_bytes_are_left_out() {
        let mut bytes = [0xee; 14];
        assert_eq!(HEADER.emit(A, B, b"abc", &mut bytes), Ok(11));
        let udp = Udp::parse(&bytes).unwrap();
        assert_eq!(
            (udp.source_port(), udp.destination_port(), udp.len()),
            (5000, 500, 11)
        );
        assert_eq!(udp.payload(), b"abc");
        for cut in 0..HEADER_LEN {
            assert_eq!(Udp::parse(&bytes[..cut]).unwrap_err(), UdpError::Truncated);
        }
        for cut in HEADER_LEN..11 {
            assert_eq!(Udp::parse(&bytes[..cut]).unwrap_err(), UdpError::Length);
        }
        bytes[5] = 7;
        assert_eq!(Udp::parse(&bytes).unwrap_err(), UdpError::Length);
    }

    #[test]
    fn a_wrong_checksum_is_found_and_a_missing_one_is_right_in_ipv4_alone() {
        let mut bytes = [0; 11];
        HEADER.emit(A, B, b"abc", &mut bytes).unwrap();
        assert!(Udp::parse(&bytes).unwrap().checksum_is_valid(A, B));
        assert!(!Udp::parse(&bytes).unwrap().checksum_is_valid(A, A));
        for at in [0, 7, 10] {
            let mut bad = bytes;
            bad[at] ^= 0x40;
            assert!(!Udp::parse(&bad).unwrap().checksum_is_valid(A, B), "byte {at}");
        }
        bytes[6..8].fill(0);
        assert!(Udp::parse(&bytes).unwrap().checksum_is_valid(A, B));
        let six = std::net::Ipv6Addr::LOCALHOST;
        assert!(!Udp::parse(&bytes).unwrap().checksum_is_valid(six, six));
    }

    #[test]
    fn checksum_that_comes_out_as_zero_is_written_as_ones() {
        // Two payload bytes that make the sum 0xffff.
        let mut bytes = [0; 10];
        HEADER.emit(A, B, &[0, 0], &mut bytes).unwrap();
        let missing = [bytes[6], bytes[7]];
        HEADER.emit(A, B, &missing, &mut bytes).unwrap();
        assert_eq!(Udp::parse(&bytes).unwrap().checksum(), 0xffff);
    }

    #[test]
    fn datagram_above_the_length_field_is_refused() {
        let mut buffer = vec![0; 70_000];
        let refused = HEADER.emit(A, B, &[0; 65_528], &mut buffer).unwrap_err();
        assert_eq!(
            refused,
            BufferTooShort {
                needed: 65_536,
                available: 65_535
            }
        );
        assert_eq!(HEADER.emit(A, B, &[0; 65_527], &mut buffer), Ok(65_535));
    }
}
