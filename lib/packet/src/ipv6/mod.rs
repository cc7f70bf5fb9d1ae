//! IPv6 headers (RFC 8200 §3) with the checks that a router makes before it forwards.
//!
//! ```text
//!    0               2               4               6       7       8
//!   +---------------+---------------+---------------+-------+-------+
//!   | 6 | class | flow label          | payload len | next  | hops  |
//!   +---------------+---------------+---------------+-------+-------+
//!    8                              24                             40
//!   +------------------------------+-------------------------------+---------
//!   | source                       | destination                   | payload
//!   +------------------------------+-------------------------------+---------
//! ```
//!
//! There is no header checksum. The payload begins with the extension headers, if there are any ([`crate::extension`]).
//! Jumbograms (RFC 2675) are not known: a payload length of 0 is an empty payload.

mod address;

use std::net::Ipv6Addr;

pub use address::{ALL_NODES, ALL_ROUTERS, is_solicited_node, link_local, multicast_mac, solicited_node};

use crate::{BufferTooShort, Protocol, reserve};

/// Bytes of the header.
pub const HEADER_LEN: usize = 40;
/// Every link carries packets of this many bytes (RFC 8200 §5).
pub const MIN_MTU: usize = 1280;

/// Why bytes are no valid IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ipv6Error {
    /// Fewer than 40 bytes.
    #[error("the packet is shorter than an IPv6 header")]
    Truncated,
    /// Version is not 6.
    #[error("the version of the IPv6 header is not 6")]
    Version,
    /// Payload length is more than there is.
    #[error("the payload length of the IPv6 packet is above the bytes received")]
    PayloadLength,
}

/// A checked IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Checks the packet at the start of `bytes`. What follows its payload (Ethernet padding) is not part of it.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Ipv6<'a>, Ipv6Error> {
        Ipv6::parse_start(bytes, 0)
    }

    /// As [`Ipv6::parse`] where only the start of the packet is in `bytes`, its header at least, and `behind` bytes are
    /// elsewhere: the payload is what there is of it.
    #[inline(always)]
    pub fn parse_start(bytes: &'a [u8], behind: usize) -> Result<Ipv6<'a>, Ipv6Error> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Ipv6Error::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(Ipv6Error::Version);
        }
        let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let payload = if behind == 0 {
            rest.get(..payload_len)
        } else {
            let all = payload_len <= rest.len().saturating_add(behind);
            rest.get(..payload_len.min(rest.len())).filter(|_| all)
        };
        let payload = payload.ok_or(Ipv6Error::PayloadLength)?;
        Ok(Ipv6 { header, payload })
    }

    /// DSCP (6 bits, RFC 2474) and ECN (2 bits, RFC 3168).
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// Flow label, 20 bits (RFC 6437).
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.header[1] & 0x0f, self.header[2], self.header[3]])
    }

    /// Bytes that follow the header, extension headers included.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Bytes of the packet, header included: 40 to 65,575.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(self.payload_len())
    }

    /// What follows the header: the first extension header or the upper layer.
    #[inline]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.header[6])
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        let (_, addresses) = self.header.split_at(8);
        addresses
            .first_chunk::<16>()
            .map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        self.header
            .last_chunk::<16>()
            .map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }

    /// What follows the header, up to the payload length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// An IPv6 header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label; its low 20 bits are written.
    pub flow_label: u32,
    /// What follows.
    pub next_header: Protocol,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Bytes that follow the header, extension headers included.
    pub payload_len: u16,
}

impl Ipv6Header {
    /// Bytes on the wire.
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the start of `buffer`; gives the bytes written, [`HEADER_LEN`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let out = reserve(buffer, HEADER_LEN)?;
        let first_word = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0x000f_ffff;
        let fields = first_word
            .to_be_bytes()
            .into_iter()
            .chain(self.payload_len.to_be_bytes())
            .chain([self.next_header.0, self.hop_limit])
            .chain(self.source.octets())
            .chain(self.destination.octets());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        Ok(HEADER_LEN)
    }
}

/// Counts the hop limit of a valid header down by one (RFC 8200 §3). Gives the new hop limit; `None`, and the header
/// as it was, if the hop limit is 0 or 1: such a packet may not be forwarded.
#[inline]
#[must_use = "a packet whose hop limit has run out may not be forwarded"]
pub fn decrement_hop_limit(header: &mut [u8; HEADER_LEN]) -> Option<u8> {
    let hop_limit = &mut header[7];
    if *hop_limit <= 1 {
        return None;
    }
    *hop_limit -= 1;
    Some(*hop_limit)
}

/// Sets the hop limit.
#[inline]
pub fn set_hop_limit(header: &mut [u8; HEADER_LEN], hop_limit: u8) {
    header[7] = hop_limit;
}

/// Sets DSCP and ECN.
#[inline]
pub fn set_traffic_class(header: &mut [u8; HEADER_LEN], traffic_class: u8) {
    header[0] = header[0] & 0xf0 | traffic_class >> 4;
    header[1] = traffic_class << 4 | header[1] & 0x0f;
}

/// Exchanges source and destination. Checksums of the upper layers stay right: the sum over the pseudo-header does not
/// depend on the order of its words.
#[inline]
pub fn swap_addresses(header: &mut [u8; HEADER_LEN]) {
    let (source, destination) = header[8..].split_at_mut(16);
    source.swap_with_slice(destination);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Ipv6Header = Ipv6Header {
        traffic_class: 0xb8,
        flow_label: 0xa_bcde,
        next_header: Protocol::UDP,
        hop_limit: 64,
        source: Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6),
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf),
        payload_len: 8,
    };

    fn packet() -> [u8; 52] {
        let mut bytes = [0xee; 52];
        assert_eq!(HEADER.emit(&mut bytes), Ok(HEADER_LEN));
        bytes
    }

    #[test]
    fn header_has_the_bytes_of_rfc_8200_section_3() {
        let expected = [
            0x6b, 0x8a, 0xbc, 0xde, 0, 8, 17,
            64, // version, class, flow label, length, next header, hop limit
            0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, // source
            0x20, 0x01, 0x0d, 0xb8, 0, 0xa, 0, 0xb, 0, 0xc, 0, 0xd, 0, 0xe, 0, 0xf, // destination
        ];
        assert_eq!(packet()[..HEADER_LEN], expected);
        let mut short = [0; HEADER_LEN - 1];
        let refused = BufferTooShort {
            needed: 40,
            available: 39,
        };
        assert_eq!(HEADER.emit(&mut short), Err(refused));
    }

    #[test]
    fn fields_come_back_and_padding_is_left_out() {
        let bytes = packet();
        let ip = Ipv6::parse(&bytes).unwrap();
        assert_eq!(
            (ip.payload_len(), ip.total_len(), ip.payload()),
            (8, 48, &bytes[40..48])
        );
        assert_eq!(
            (ip.traffic_class(), ip.flow_label(), ip.hop_limit()),
            (0xb8, 0xa_bcde, 64)
        );
        assert_eq!(
            (ip.next_header(), ip.source(), ip.destination()),
            (HEADER.next_header, HEADER.source, HEADER.destination)
        );
    }

    #[test]
    fn each_malformation_has_its_error() {
        let good = packet();
        for cut in 0..HEADER_LEN {
            assert_eq!(Ipv6::parse(&good[..cut]).unwrap_err(), Ipv6Error::Truncated);
        }
        for cut in HEADER_LEN..48 {
            assert_eq!(Ipv6::parse(&good[..cut]).unwrap_err(), Ipv6Error::PayloadLength);
        }
        for version in (0..16).filter(|&version| version != 6) {
            let mut bytes = good;
            bytes[0] = version << 4 | 0xb;
            assert_eq!(Ipv6::parse(&bytes).unwrap_err(), Ipv6Error::Version);
        }
        let mut long = good;
        long[4] = 1;
        assert_eq!(Ipv6::parse(&long).unwrap_err(), Ipv6Error::PayloadLength);
    }

    #[test]
    fn hop_limit_counts_down_to_one_and_no_further() {
        let mut bytes = packet();
        for expected in (1..64).rev() {
            let header = bytes.first_chunk_mut().unwrap();
            assert_eq!(decrement_hop_limit(header), Some(expected));
            assert_eq!(Ipv6::parse(&bytes).unwrap().hop_limit(), expected);
        }
        for hop_limit in [1, 0] {
            set_hop_limit(bytes.first_chunk_mut().unwrap(), hop_limit);
            let before = bytes;
            assert_eq!(decrement_hop_limit(bytes.first_chunk_mut().unwrap()), None);
            assert_eq!(bytes, before);
        }
        set_hop_limit(bytes.first_chunk_mut().unwrap(), 64);
        assert_eq!(bytes, packet());
    }

    #[test]
    fn swapped_addresses_change_places_and_nothing_else() {
        let mut bytes = packet();
        swap_addresses(bytes.first_chunk_mut().unwrap());
        let ip = Ipv6::parse(&bytes).unwrap();
        assert_eq!(
            (ip.source(), ip.destination()),
            (HEADER.destination, HEADER.source)
        );
        swap_addresses(bytes.first_chunk_mut().unwrap());
        assert_eq!(bytes, packet());
    }
}
