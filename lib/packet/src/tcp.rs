//! TCP headers (RFC 9293 §3.1), as much as a gateway looks at.
//!
//! ```text
//!    0               2                4               8
//!   +---------------+----------------+---------------+---------------+
//!   | source port   |destination port| sequence      | acknowledgment|
//!   +---------------+----------------+---------------+---------------+
//!   12              14               16              18             20
//!   +---------------+----------------+---------------+---------------+- - - - +---------
//!   |offset| flags  | window         | checksum      | urgent        | options| payload
//!   +---------------+----------------+---------------+---------------+- - - - +---------
//! ```

use crate::checksum::{Address, Sum};
use crate::{BufferTooShort, Protocol, reserve};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Why bytes are no TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TcpError {
    /// Fewer than 20 bytes.
    #[error("the segment is shorter than a TCP header")]
    Truncated,
    /// The data offset is below 5 words or above the bytes that there are.
    #[error("the data offset of the TCP segment is below 20 bytes or above the bytes received")]
    DataOffset,
}

/// The control bits of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: TcpFlags = TcpFlags(0x01);
    /// Synchronises sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x02);
    /// Resets the connection.
    pub const RST: TcpFlags = TcpFlags(0x04);
    /// Asks to hand the data on at once.
    pub const PSH: TcpFlags = TcpFlags(0x08);
    /// The acknowledgment number counts.
    pub const ACK: TcpFlags = TcpFlags(0x10);

    /// These bits and `other`'s.
    pub const fn and(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }

    /// Has all of `other`'s bits.
    #[inline]
    pub const fn has(self, other: TcpFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A TCP segment whose data offset has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Takes the whole payload of a packet that is not a fragment.
    #[inline]
    pub fn parse(segment: &'a [u8]) -> Result<Tcp<'a>, TcpError> {
        let (header, rest) = segment
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(TcpError::Truncated)?;
        let options_len = (usize::from(header[12] >> 4) * 4)
            .checked_sub(HEADER_LEN)
            .ok_or(TcpError::DataOffset)?;
        let (options, payload) = rest.split_at_checked(options_len).ok_or(TcpError::DataOffset)?;
        Ok(Tcp {
            header,
            options,
            payload,
        })
    }

    /// Source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Sequence number.
    #[inline]
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.header[4], self.header[5], self.header[6], self.header[7]])
    }

    /// Acknowledgment number; counts with [`TcpFlags::ACK`] only.
    #[inline]
    pub fn acknowledgment(&self) -> u32 {
        u32::from_be_bytes([self.header[8], self.header[9], self.header[10], self.header[11]])
    }

    /// Control bits.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(self.header[13])
    }

    /// Window, unscaled.
    #[inline]
    pub fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }

    /// The checksum field, unchecked.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[16], self.header[17]])
    }

    /// The options, unchecked: empty or a multiple of 4 bytes, at most 40.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }

    /// What follows header and options.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// A TCP header without options, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window, unscaled.
    pub window: u16,
}

impl TcpHeader {
    /// Bytes on the wire.
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes header and `payload` with the checksum for a packet between these addresses to the start of `buffer`;
    /// gives the bytes written. A payload above 65,515 bytes fits no packet and is refused as too long for any buffer.
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
        let fields = self
            .source_port
            .to_be_bytes()
            .into_iter()
            .chain(self.destination_port.to_be_bytes())
            .chain(self.sequence.to_be_bytes())
            .chain(self.acknowledgment.to_be_bytes())
            .chain([0x50, self.flags.0])
            .chain(self.window.to_be_bytes())
            .chain([0; 4])
            .chain(payload.iter().copied());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        let checksum = Sum::ZERO
            .pseudo_header(source, destination, Protocol::TCP, len)
            .bytes(out)
            .checksum();
        if let Some(field) = out.get_mut(16..18) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        Ok(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HEADER: TcpHeader = TcpHeader {
        source_port: 40_000,
        destination_port: 179,
        sequence: 0x0102_0304,
        acknowledgment: 0xa1a2_a3a4,
        flags: TcpFlags::PSH.and(TcpFlags::ACK),
        window: 0x7210,
    };
    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn fields_come_back() {
        let mut bytes = [0; 23];
        assert_eq!(HEADER.emit(A, B, b"abc", &mut bytes), Ok(23));
        let tcp = Tcp::parse(&bytes).unwrap();
        let parsed = TcpHeader {
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            sequence: tcp.sequence(),
            acknowledgment: tcp.acknowledgment(),
            flags: tcp.flags(),
            window: tcp.window(),
        };
        assert_eq!((parsed, tcp.payload()), (HEADER, &b"abc"[..]));
        assert!(tcp.flags().has(TcpFlags::ACK) && !tcp.flags().has(TcpFlags::SYN));
    }

    #[test]
    fn data_offset_outside_the_segment_is_refused() {
        let mut bytes = [0; 24];
        HEADER.emit(A, B, &[1, 1, 1, 0], &mut bytes).unwrap();
        bytes[12] = 0x60;
        let tcp = Tcp::parse(&bytes).unwrap();
        assert_eq!((tcp.options(), tcp.payload()), (&[1, 1, 1, 0][..], &[][..]));
        for offset in [0x00, 0x40, 0x70, 0xf0] {
            bytes[12] = offset;
            assert_eq!(Tcp::parse(&bytes).unwrap_err(), TcpError::DataOffset);
        }
        assert_eq!(Tcp::parse(&bytes[..19]).unwrap_err(), TcpError::Truncated);
    }
}
