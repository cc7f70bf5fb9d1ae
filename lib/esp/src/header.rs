//! What every ESP packet begins with (RFC 4303 §2.1, §2.2). The rest is the SA's to read.
//!
//! ```text
//!    0                               4                               8
//!   +-------------------------------+-------------------------------+- - - - -
//!   | security parameters index     | sequence number, low 32 bits  | IV, ...
//!   +-------------------------------+-------------------------------+- - - - -
//! ```

use std::fmt;

/// Bytes of SPI and sequence number.
pub const HEADER_LEN: usize = 8;

/// A security parameters index: with its destination it names an SA. Those below 256 are reserved (RFC 4303 §2.1), so none is
/// one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(u32);

impl Spi {
    /// The least.
    pub const MIN: Spi = Spi(256);

    /// The index of this number; `None` below 256.
    pub const fn new(number: u32) -> Option<Spi> {
        if number < Spi::MIN.0 {
            None
        } else {
            Some(Spi(number))
        }
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Why bytes cannot be the beginning of an ESP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than 8 bytes.
    #[error("the packet ends within the ESP header; its sender or a fragment of it is at fault")]
    Truncated,
    /// The SPI is reserved.
    #[error(
        "the SPI {0} of the ESP packet is below 256 and reserved: it is no SA's, and its sender is at fault"
    )]
    Reserved(u32),
}

/// SPI and the part of the sequence number that packets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// By which the SA is found.
    pub spi: Spi,
    /// The low 32 bits of the sequence number. Nothing is known of it before the packet is authenticated.
    pub sequence_low: u32,
}

impl Header {
    /// Reads the header at the start of `packet`: what follows the outer IP header, or the UDP header.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Header, HeaderError> {
        let &[s0, s1, s2, s3, n0, n1, n2, n3] = packet.first_chunk().ok_or(HeaderError::Truncated)?;
        let number = u32::from_be_bytes([s0, s1, s2, s3]);
        let spi = Spi::new(number).ok_or(HeaderError::Reserved(number))?;
        let sequence_low = u32::from_be_bytes([n0, n1, n2, n3]);
        Ok(Header { spi, sequence_low })
    }

    /// The header as packets have it.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; HEADER_LEN] {
        let [s0, s1, s2, s3] = self.spi.0.to_be_bytes();
        let [n0, n1, n2, n3] = self.sequence_low.to_be_bytes();
        [s0, s1, s2, s3, n0, n1, n2, n3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let header = Header {
            spi: Spi::new(0xc123_4567).unwrap(),
            sequence_low: 0x0102_0304,
        };
        assert_eq!(header.bytes(), [0xc1, 0x23, 0x45, 0x67, 1, 2, 3, 4]);
        assert_eq!(
            Header::parse(&[&header.bytes()[..], &[9; 40]].concat()),
            Ok(header)
        );
        assert_eq!(header.spi.to_string(), "0xc1234567");
    }

    #[test]
    fn short_packets_and_reserved_indices_are_refused() {
        for len in 0..HEADER_LEN {
            assert_eq!(Header::parse(&vec![1; len]), Err(HeaderError::Truncated));
        }
        for number in [0, 1, 255] {
            let bytes = [number, 1].map(u32::to_be_bytes).concat();
            assert_eq!(Header::parse(&bytes), Err(HeaderError::Reserved(number)));
            assert_eq!(Spi::new(number), None);
        }
        assert_eq!(Spi::new(256), Some(Spi::MIN));
    }
}
