//! IPv4 headers (RFC 791) with the checks that a router makes before it forwards (RFC 1812 §5.2.2).
//!
//! ```text
//!    0       1       2               4               6
//!   +-------+-------+---------------+---------------+---------------+
//!   | 4 ihl | tos   | total length  |identification |fl| frag offset|
//!   +-------+-------+---------------+---------------+---------------+
//!    8       9      10              12              16             20
//!   +-------+-------+---------------+---------------+---------------+- - - -
//!   | ttl   | proto | checksum      | source        | destination   | options
//!   +-------+-------+---------------+---------------+---------------+- - - -
//! ```

mod change;

use std::net::Ipv4Addr;

pub use change::{
    clear_reserved_flag, decrement_ttl, decrement_ttl_above_zero, fill_checksum, make_whole,
    set_traffic_class, set_ttl, swap_addresses,
};

use crate::checksum::Sum;
use crate::{BufferTooShort, Protocol, reserve};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Why bytes are no valid IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ipv4Error {
    /// Fewer than 20 bytes.
    #[error("the packet is shorter than an IPv4 header")]
    Truncated,
    /// Version is not 4.
    #[error("the version of the IPv4 header is not 4")]
    Version,
    /// Header length is below 5 words.
    #[error("the IPv4 header says that it is shorter than 20 bytes")]
    HeaderLength,
    /// Total length is less than the header's or more than there is.
    #[error("the total length of the IPv4 packet is below its header's or above the bytes received")]
    TotalLength,
    /// The header checksum does not fit.
    #[error("the checksum of the IPv4 header is wrong")]
    Checksum,
}

/// A checked IPv4 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Checks the packet at the start of `bytes`. What follows its total length (Ethernet padding) is not part of it.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Ipv4<'a>, Ipv4Error> {
        Ipv4::parse_start(bytes, 0)
    }

    /// As [`Ipv4::parse`] where only the start of the packet is in `bytes`, its header and options at least, and `behind`
    /// bytes are elsewhere: the payload is what there is of it.
    #[inline(always)]
    pub fn parse_start(bytes: &'a [u8], behind: usize) -> Result<Ipv4<'a>, Ipv4Error> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Ipv4Error::Truncated)?;
        // Version 4 and no options, as almost always.
        if header[0] != 0x45 {
            return Ipv4::parse_with_options(bytes, header, behind);
        }
        let packet = start_of(bytes, header, behind).ok_or(Ipv4Error::TotalLength)?;
        let payload = packet.get(HEADER_LEN..).ok_or(Ipv4Error::TotalLength)?;
        if !Sum::ZERO.ipv4_header(header).is_valid() {
            return Err(Ipv4Error::Checksum);
        }
        let options = &[];
        Ok(Ipv4 {
            header,
            options,
            payload,
        })
    }

    /// The rest of `parse` for a header that is longer, or wrong.
    #[cold]
    fn parse_with_options(
        bytes: &'a [u8],
        header: &'a [u8; HEADER_LEN],
        behind: usize,
    ) -> Result<Ipv4<'a>, Ipv4Error> {
        if header[0] >> 4 != 4 {
            return Err(Ipv4Error::Version);
        }
        let header_len = usize::from(header[0] & 0x0f) * 4;
        if header_len < HEADER_LEN {
            return Err(Ipv4Error::HeaderLength);
        }
        let packet = start_of(bytes, header, behind).ok_or(Ipv4Error::TotalLength)?;
        let (whole_header, payload) = packet
            .split_at_checked(header_len)
            .ok_or(Ipv4Error::TotalLength)?;
        let (_, options) = whole_header
            .split_at_checked(HEADER_LEN)
            .ok_or(Ipv4Error::TotalLength)?;
        if !Sum::ZERO.ipv4_header(header).bytes(options).is_valid() {
            return Err(Ipv4Error::Checksum);
        }
        Ok(Ipv4 {
            header,
            options,
            payload,
        })
    }

    /// Bytes of the header, options included: 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Bytes of the packet, header included.
    #[inline]
    pub fn total_len(&self) -> u16 {
        self.word(2)
    }

    /// The byte that was type of service: DSCP (6 bits, RFC 2474) and ECN (2 bits, RFC 3168).
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.header[1]
    }

    /// Identification, the same in all fragments of a packet.
    #[inline]
    pub fn identification(&self) -> u16 {
        self.word(4)
    }

    /// May not be fragmented on its way.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.word(6) & DONT_FRAGMENT != 0
    }

    /// Another fragment follows this one.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.word(6) & MORE_FRAGMENTS != 0
    }

    /// Where the payload belongs in the whole packet's, in bytes: a multiple of 8.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.word(6) & FRAGMENT_OFFSET) * 8
    }

    /// Is part of a packet, be it the first.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.word(6) & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// Time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// What the payload is.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.header[9])
    }

    /// The header checksum, found right by `parse`.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.word(10)
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        let &[.., a, b, c, d, _, _, _, _] = self.header;
        Ipv4Addr::from([a, b, c, d])
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        let &[.., a, b, c, d] = self.header;
        Ipv4Addr::from([a, b, c, d])
    }

    /// The options, unchecked: empty or a multiple of 4 bytes, at most 40.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }

    /// What follows the header, up to the total length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    #[inline]
    fn word(&self, offset: usize) -> u16 {
        // Offsets are constants below 19 at every call, so that no check is left once this is inlined.
        u16::from_be_bytes([self.header[offset], self.header[offset + 1]])
    }
}

/// What `bytes` have of the packet whose header this is, unless it is longer than they and `behind` more.
#[inline(always)]
fn start_of<'a>(bytes: &'a [u8], header: &[u8; HEADER_LEN], behind: usize) -> Option<&'a [u8]> {
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if behind == 0 {
        bytes.get(..total_len)
    } else {
        let all = total_len <= bytes.len().saturating_add(behind);
        bytes.get(..total_len.min(bytes.len())).filter(|_| all)
    }
}

/// An IPv4 header without options, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Identification.
    pub identification: u16,
    /// May not be fragmented.
    pub dont_fragment: bool,
    /// Time to live.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Bytes that follow the header, at most 65,515; more is written as 65,515.
    pub payload_len: u16,
}

impl Ipv4Header {
    /// Bytes on the wire.
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header with its checksum to the start of `buffer`; gives the bytes written, [`HEADER_LEN`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let out = reserve(buffer, HEADER_LEN)?;
        let total_len = self.payload_len.saturating_add(HEADER_LEN as u16).to_be_bytes();
        let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        let fields = [0x45, self.traffic_class]
            .into_iter()
            .chain(total_len)
            .chain(self.identification.to_be_bytes())
            .chain(flags.to_be_bytes())
            .chain([self.ttl, self.protocol.0, 0, 0])
            .chain(self.source.octets())
            .chain(self.destination.octets());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        fill_checksum(out);
        Ok(HEADER_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const HEADER: Ipv4Header = Ipv4Header {
        traffic_class: 0xb8,
        identification: 0x1234,
        dont_fragment: true,
        ttl: 64,
        protocol: Protocol::UDP,
        source: Ipv4Addr::new(192, 168, 10, 2),
        destination: Ipv4Addr::new(192, 168, 20, 2),
        payload_len: 8,
    };

    pub(super) fn packet() -> [u8; 32] {
        let mut bytes = [0xee; 32];
        HEADER.emit(&mut bytes).unwrap();
        bytes
    }

    /// Changes one byte and makes the checksum right again.
    pub(super) fn with(offset: usize, value: u8) -> [u8; 32] {
        let mut bytes = packet();
        bytes[offset] = value;
        fill_checksum(&mut bytes[..HEADER_LEN]);
        bytes
    }

    #[test]
    fn fields_come_back_and_padding_is_left_out() {
        let bytes = packet();
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!(
            (ip.header_len(), ip.total_len(), ip.payload()),
            (20, 28, &bytes[20..28])
        );
        assert_eq!(
            (ip.traffic_class(), ip.identification(), ip.ttl()),
            (0xb8, 0x1234, 64)
        );
        assert_eq!(
            (ip.protocol(), ip.source(), ip.destination()),
            (HEADER.protocol, HEADER.source, HEADER.destination)
        );
        assert!(ip.dont_fragment() && !ip.more_fragments() && !ip.is_fragment() && ip.options().is_empty());
    }

    #[test]
    fn each_malformation_has_its_error() {
        assert_eq!(Ipv4::parse(&packet()[..19]).unwrap_err(), Ipv4Error::Truncated);
        assert_eq!(Ipv4::parse(&with(0, 0x65)).unwrap_err(), Ipv4Error::Version);
        assert_eq!(Ipv4::parse(&with(0, 0x44)).unwrap_err(), Ipv4Error::HeaderLength);
        assert_eq!(Ipv4::parse(&with(3, 19)).unwrap_err(), Ipv4Error::TotalLength);
        assert_eq!(Ipv4::parse(&with(3, 33)).unwrap_err(), Ipv4Error::TotalLength);
        // 24 bytes of header do not fit into a total length of 20.
        let mut short = with(3, 20);
        short[0] = 0x46;
        assert_eq!(Ipv4::parse(&short).unwrap_err(), Ipv4Error::TotalLength);
        for offset in 10..HEADER_LEN {
            let mut bytes = packet();
            bytes[offset] ^= 0x10;
            assert_eq!(
                Ipv4::parse(&bytes).unwrap_err(),
                Ipv4Error::Checksum,
                "byte {offset}"
            );
        }
    }

    #[test]
    fn fragment_fields_are_told_apart() {
        let bytes = with(6, 0x20);
        let first = Ipv4::parse(&bytes).unwrap();
        assert!(first.is_fragment() && first.more_fragments() && first.fragment_offset() == 0);
        let mut bytes = with(6, 0x00);
        bytes[7] = 185;
        fill_checksum(&mut bytes[..HEADER_LEN]);
        let last = Ipv4::parse(&bytes).unwrap();
        assert!(last.is_fragment() && !last.more_fragments() && last.fragment_offset() == 1480);
    }
}
