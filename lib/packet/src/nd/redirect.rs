//! Redirects: a router tells a host of a better first hop (RFC 4861 §4.5, §4.6.1, §4.6.3).
//!
//! ```text
//!    0       1       2               4               8                24                40
//!   +-------+-------+---------------+---------------+-----------------+-----------------+
//!   |  137  |   0   | checksum      | reserved      | target          | destination     |
//!   +-------+-------+---------------+-------+-------+-----------------+-----------------+ - - - - - - - -
//!   |   2   |   1   | MAC address of target | 4 | n | reserved        | start of the packet that caused it
//!   +-------+-------+-----------------------+---+---+-----------------+ - - - - - - - - - - - - - - - - -
//!   40                                      48                        56
//! ```
//!
//! The headers are written in front of what is quoted of the packet.

use std::net::Ipv6Addr;

use super::{HOP_LIMIT, OPTION_LEN, TARGET_LINK_LAYER_ADDRESS};
use crate::checksum::Sum;
use crate::icmpv6::REDIRECT;
use crate::ipv6::{self, Ipv6Header};
use crate::{MacAddress, Protocol};

/// Bytes of the message before its options.
const LEN: usize = 40;
/// Bytes of the message before what it quotes.
const MESSAGE_LEN: usize = LEN + 2 * OPTION_LEN;
/// Bytes in front of the quote: IPv6 header, message and options.
pub const HEADERS_LEN: usize = ipv6::HEADER_LEN + MESSAGE_LEN;
const REDIRECTED_HEADER: u8 = 4;

/// How much of a packet of `packet_len` bytes a redirect quotes: as much as the minimum MTU allows (RFC 4861 §4.6.3), 1184
/// bytes, in whole units of eight, of which options consist.
#[inline]
pub const fn quote_len(packet_len: usize) -> usize {
    let most = ipv6::MIN_MTU - HEADERS_LEN;
    let len = if packet_len < most { packet_len } else { most };
    len & !7
}

/// Says where packets for a destination are better sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The link-local address of a better first hop, or the destination itself where that is on the link.
    pub target: Ipv6Addr,
    /// Where the packets go.
    pub destination: Ipv6Addr,
    /// The target's MAC address.
    pub target_link_layer: MacAddress,
}

impl Redirect {
    /// Writes the headers of a redirect from `source` to `host`, to be sent in front of `quote`, the first [`quote_len`] bytes of
    /// the packet.
    pub fn emit(&self, source: Ipv6Addr, host: Ipv6Addr, quote: &[u8], out: &mut [u8; HEADERS_LEN]) {
        let units = (OPTION_LEN + quote.len()) / 8;
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: 0,
            next_header: Protocol::ICMPV6,
            hop_limit: HOP_LIMIT,
            source,
            destination: host,
            payload_len: u16::try_from(MESSAGE_LEN + quote.len()).unwrap_or(u16::MAX),
        };
        // The array has room for all headers.
        let written = header.emit(out);
        debug_assert_eq!(written, Ok(ipv6::HEADER_LEN));
        let Some(message) = out.last_chunk_mut::<MESSAGE_LEN>() else {
            return;
        };
        *message = [0; MESSAGE_LEN];
        message[0] = REDIRECT;
        message[8..24].copy_from_slice(&self.target.octets());
        message[24..40].copy_from_slice(&self.destination.octets());
        message[40..42].copy_from_slice(&[TARGET_LINK_LAYER_ADDRESS, 1]);
        message[42..48].copy_from_slice(&self.target_link_layer.octets());
        message[48..50].copy_from_slice(&[REDIRECTED_HEADER, u8::try_from(units).unwrap_or(u8::MAX)]);
        let checksum = Sum::ZERO
            .pseudo_header(source, host, Protocol::ICMPV6, header.payload_len)
            .bytes(message)
            .bytes(quote)
            .checksum();
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Icmpv6, Ipv6, PacketBuilder};

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const BETTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
    const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);

    fn redirect(packet: &[u8]) -> Vec<u8> {
        let redirect = Redirect {
            target: BETTER,
            destination: FAR,
            target_link_layer: MacAddress([2, 0, 0, 0, 0x10, 2]),
        };
        let quote = &packet[..quote_len(packet.len())];
        let mut headers = [0xee; HEADERS_LEN];
        redirect.emit(ROUTER, HOST, quote, &mut headers);
        [&headers[..], quote].concat()
    }

    #[test]
    fn redirect_has_the_fields_of_rfc_4861_section_4_5() {
        let packet = PacketBuilder::ipv6(HOST, FAR).udp(1, 2, b"five!");
        let redirect = redirect(&packet);
        let ip = Ipv6::parse(&redirect).unwrap();
        assert_eq!((ip.source(), ip.destination()), (ROUTER, HOST));
        assert_eq!((ip.hop_limit(), ip.next_header()), (255, Protocol::ICMPV6));
        assert!(
            Icmpv6::parse(ip.payload())
                .unwrap()
                .checksum_is_valid(ROUTER, HOST)
        );
        let expected = [
            &[137, 0][..],
            &ip.payload()[2..4],
            &[0; 4],
            &BETTER.octets(),
            &FAR.octets(),
            &[2, 1, 2, 0, 0, 0, 0x10, 2],
            // 53 bytes are six units and five bytes, which are left out.
            &[4, 7, 0, 0, 0, 0, 0, 0],
            &packet[..48],
        ]
        .concat();
        assert_eq!(ip.payload(), expected);
    }

    #[test]
    fn redirect_has_at_most_the_minimum_mtu_and_whole_units() {
        for (len, expected) in [
            (40, 40),
            (47, 40),
            (48, 48),
            (1183, 1176),
            (1184, 1184),
            (65_575, 1184),
        ] {
            assert_eq!(quote_len(len), expected);
        }
        let packet = PacketBuilder::ipv6(HOST, FAR).udp(1, 2, &[7; 1400]);
        let redirect = redirect(&packet);
        assert_eq!(redirect.len(), 1280);
        assert_eq!(usize::from(redirect[40 + 49]), (1184 + 8) / 8);
    }
}
