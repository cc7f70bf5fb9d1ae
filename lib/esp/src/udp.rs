//! ESP in UDP (RFC 3948), for paths with address translation: on the port of IKE, told from it by the first four bytes.
//!
//! ```text
//!   │ UDP, 8 bytes │ SPI, never 0 │ sequence number …     ESP
//!   │ UDP          │ 00 00 00 00  │ IKE header …          IKE, behind the non-ESP marker
//!   │ UDP          │ ff │                                NAT keepalive
//! ```

use std::net::Ipv6Addr;

use packet::Protocol;
use packet::checksum::Sum;

/// The port of both ends (RFC 3948 §2.1); address translation may change the one of the end behind it.
pub const PORT: u16 = 4500;
/// Bytes of the UDP header.
pub const HEADER_LEN: usize = 8;
/// What IKE messages have where ESP has its SPI (RFC 3948 §2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// All of a keepalive (RFC 3948 §2.3). Sent when nothing else was for a while, so that the translation is not forgotten.
pub const KEEPALIVE: [u8; 1] = [0xff];

/// What a datagram on [`PORT`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// An ESP packet, or what may be one.
    Esp,
    /// An IKE message behind [`NON_ESP_MARKER`].
    Ike,
    /// It has done its work when it is here, and nobody is told (RFC 3948 §2.3).
    Keepalive,
    /// Too short to be anything.
    Runt,
}

/// What the datagram with this payload is.
///
/// ```
/// use esp::udp::{Datagram, KEEPALIVE, classify};
///
/// assert_eq!(classify(&KEEPALIVE), Datagram::Keepalive);
/// assert_eq!(classify(&[0xc0, 0, 0, 1, 0, 0, 0, 1]), Datagram::Esp);
/// ```
#[inline]
pub fn classify(payload: &[u8]) -> Datagram {
    match payload.first_chunk::<4>() {
        Some(&NON_ESP_MARKER) => Datagram::Ike,
        Some(_) => Datagram::Esp,
        None if payload == KEEPALIVE => Datagram::Keepalive,
        None => Datagram::Runt,
    }
}

/// The ports of a UDP encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

impl Ports {
    /// The UDP header in front of an ESP packet of `esp_len` bytes, at most 65,507, without a checksum: over IPv4 none should be
    /// sent (RFC 3948 §2.1), over IPv6 there must be one.
    #[inline]
    pub(crate) fn header(self, esp_len: u16) -> [u8; HEADER_LEN] {
        let [s0, s1] = self.source.to_be_bytes();
        let [d0, d1] = self.destination.to_be_bytes();
        let [l0, l1] = esp_len.saturating_add(HEADER_LEN as u16).to_be_bytes();
        [s0, s1, d0, d1, l0, l1, 0, 0]
    }
}

/// Writes the checksum of a datagram over IPv6 (RFC 8200 §8.1), of at most 65,535 bytes.
pub(crate) fn fill_checksum(source: Ipv6Addr, destination: Ipv6Addr, datagram: &mut [u8]) {
    let (Ok(len), Some(field)) = (u16::try_from(datagram.len()), datagram.get_mut(6..8)) else {
        return;
    };
    field.fill(0);
    let sum = Sum::ZERO
        .pseudo_header(source, destination, Protocol::UDP, len)
        .bytes(datagram);
    // Zero would say that there is none.
    let checksum = match sum.checksum() {
        0 => 0xffff,
        checksum => checksum,
    };
    if let Some(field) = datagram.get_mut(6..8) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_told_apart_by_their_first_four_bytes() {
        for (payload, expected) in [
            (&[][..], Datagram::Runt),
            (&[0xff], Datagram::Keepalive),
            (&[0xfe], Datagram::Runt),
            (&[0xff, 0xff], Datagram::Runt),
            (&[0, 0, 0], Datagram::Runt),
            (&[0, 0, 0, 0], Datagram::Ike),
            (&[0, 0, 0, 0, 1, 2, 3, 4], Datagram::Ike),
            (&[0, 0, 0, 1], Datagram::Esp),
            (&[0xff, 0xff, 0xff, 0xff], Datagram::Esp),
        ] {
            assert_eq!(classify(payload), expected, "{payload:x?}");
        }
    }

    #[test]
    fn the_header_has_ports_and_length_and_no_checksum() {
        let ports = Ports {
            source: 4500,
            destination: 1024,
        };
        assert_eq!(ports.header(100), [0x11, 0x94, 4, 0, 0, 108, 0, 0]);
    }
}
