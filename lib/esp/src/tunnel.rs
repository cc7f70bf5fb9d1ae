//! Tunnel mode: the packet inside (RFC 4303 §3.1.2, RFC 4301 §5.1.2).
//!
//! ```text
//!   │ outer IP │ ESP │ inner IP … │ hides the length │ padding, trailer │ ICV
//!                    ╟── Inner ───╢
//!                    ╟── Payload ────────────────────╢
//! ```

use packet::tunnel::ecn::{self, Ecn};
use packet::{Protocol, ipv4, ipv6};

use crate::format::Span;
use crate::inbound::Payload;

/// What says in ESP that an IPv4 packet follows.
pub const IPV4: Protocol = Protocol(4);
/// What says in ESP that an IPv6 packet follows.
pub const IPV6: Protocol = Protocol(41);

/// The family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// What says in ESP that such a packet follows.
    #[inline]
    pub const fn next_header(self) -> Protocol {
        match self {
            Family::V4 => IPV4,
            Family::V6 => IPV6,
        }
    }
}

/// Why there is no packet inside that could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InnerError {
    /// The next header is not that of a packet: the SA is of transport mode at the other end.
    #[error("the ESP packet carries protocol {0} and no IP packet; the ends differ in the mode of the SA")]
    NoPacket(Protocol),
    /// It is not of the family that its next header says, or of none.
    #[error("the packet inside is not of the IP version that was said; its sender is at fault")]
    Version,
    /// It is shorter than it says, or than its header.
    #[error("the packet inside is cut off; its sender is at fault")]
    Truncated,
    /// There was congestion on the way, and the packet cannot say so (RFC 6040 §4.2).
    #[error(
        "the packet met congestion in the tunnel, and its ends do not understand ECN; it is dropped to tell them"
    )]
    Congestion,
}

/// What outer headers, selectors and forwarding want to know of an inner packet. Whether its header is right is found out where
/// every packet's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Its family.
    pub family: Family,
    /// Its bytes, as it says itself.
    pub len: usize,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Routers may not fragment it: always so for IPv6.
    pub dont_fragment: bool,
}

impl Inner {
    /// Reads the packet at the start of `bytes`; what is behind it is not its own.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Inner, InnerError> {
        let first = *bytes.first().ok_or(InnerError::Truncated)?;
        let inner = match first >> 4 {
            4 => {
                let header: &[u8; ipv4::HEADER_LEN] = bytes.first_chunk().ok_or(InnerError::Truncated)?;
                let &[_, traffic_class, l0, l1, _, _, flags, ..] = header;
                let len = usize::from(u16::from_be_bytes([l0, l1]));
                if len < ipv4::HEADER_LEN.max(usize::from(first & 0x0f) * 4) {
                    return Err(InnerError::Truncated);
                }
                Inner {
                    family: Family::V4,
                    len,
                    traffic_class,
                    dont_fragment: flags & 0x40 != 0,
                }
            }
            6 => {
                let header: &[u8; ipv6::HEADER_LEN] = bytes.first_chunk().ok_or(InnerError::Truncated)?;
                let &[class0, class1, _, _, l0, l1, ..] = header;
                Inner {
                    family: Family::V6,
                    len: ipv6::HEADER_LEN + usize::from(u16::from_be_bytes([l0, l1])),
                    traffic_class: class0 << 4 | class1 >> 4,
                    dont_fragment: true,
                }
            }
            _ => return Err(InnerError::Version),
        };
        if inner.len > bytes.len() {
            return Err(InnerError::Truncated);
        }
        Ok(inner)
    }
}

impl Payload {
    /// Takes the packet out of a tunnel: gives what it is and where, and makes its congestion mark what `outer_class`, the traffic
    /// class of the outer header, makes of it (RFC 6040 §4.2). The DSCP stays the inner one (RFC 4301 §5.1.2.1). `packet` begins
    /// with the ESP header.
    #[inline]
    pub fn decapsulate(&self, packet: &mut [u8], outer_class: u8) -> Result<(Inner, Span), InnerError> {
        let bytes = packet.get_mut(self.span.range()).ok_or(InnerError::Truncated)?;
        if self.next_header != IPV4 && self.next_header != IPV6 {
            return Err(InnerError::NoPacket(self.next_header));
        }
        let mut inner = Inner::read(bytes)?;
        if inner.family.next_header() != self.next_header {
            return Err(InnerError::Version);
        }
        let before = Ecn::of(inner.traffic_class);
        let after = ecn::decapsulated(before, Ecn::of(outer_class)).ok_or(InnerError::Congestion)?;
        if after != before {
            inner.traffic_class = after.put_into(inner.traffic_class);
            ecn::set_traffic_class(bytes, inner.traffic_class);
        }
        let span = Span::new(self.span.offset.into(), inner.len);
        Ok((inner, span))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use packet::{Ipv4, Ipv6, PacketBuilder};

    use super::*;

    fn four() -> packet::builder::Ipv4Builder {
        PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).traffic_class(0xb8)
    }

    fn six() -> packet::builder::Ipv6Builder {
        PacketBuilder::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST).traffic_class(0xb8)
    }

    /// An opened ESP packet: 16 bytes in front of `payload`, and some behind.
    fn opened(next_header: Protocol, payload: &[u8]) -> (Payload, Vec<u8>) {
        let span = Span::new(16, payload.len());
        let packet = [&[9; 16][..], payload, &[9; 20]].concat();
        (Payload { next_header, span }, packet)
    }

    #[test]
    fn packets_of_both_families_are_found_without_what_hides_their_length() {
        for (next_header, packet) in [(IPV4, four().udp(1, 2, b"abc")), (IPV6, six().udp(1, 2, b"abc"))] {
            for hidden in [0, 1, 100] {
                let (payload, mut esp) = opened(next_header, &[&packet[..], &vec![0xaa; hidden]].concat());
                let (inner, span) = payload.decapsulate(&mut esp, 0).unwrap();
                assert_eq!(esp[span.range()], packet);
                assert_eq!((inner.len, inner.traffic_class), (packet.len(), 0xb8));
                assert_eq!(inner.family.next_header(), next_header);
                assert_eq!(inner.dont_fragment, next_header == IPV6);
            }
        }
        assert!(
            Inner::read(&four().dont_fragment().udp(1, 2, b""))
                .unwrap()
                .dont_fragment
        );
    }

    #[test]
    fn what_is_no_packet_or_not_all_of_one_is_refused() {
        let refused = |next_header, payload: &[u8]| {
            let (payload, mut esp) = opened(next_header, payload);
            payload.decapsulate(&mut esp, 0).unwrap_err()
        };
        let (four, six) = (four().udp(1, 2, b"abc"), six().udp(1, 2, b"abc"));
        assert_eq!(refused(Protocol::TCP, &four), InnerError::NoPacket(Protocol::TCP));
        assert_eq!(refused(IPV6, &four), InnerError::Version);
        assert_eq!(refused(IPV4, &six), InnerError::Version);
        assert_eq!(refused(IPV4, &[0x55; 60]), InnerError::Version);
        for (next_header, packet) in [(IPV4, four.clone()), (IPV6, six)] {
            for len in 0..packet.len() {
                assert_eq!(
                    refused(next_header, &packet[..len]),
                    InnerError::Truncated,
                    "{len}"
                );
            }
        }
        for (at, value) in [(0, 0x4f), (3, 19)] {
            let mut short = four.clone();
            short[at] = value;
            assert_eq!(refused(IPV4, &short), InnerError::Truncated);
        }
        let (mut payload, mut esp) = opened(IPV4, &four);
        payload.span.len = 1000;
        assert_eq!(payload.decapsulate(&mut esp, 0), Err(InnerError::Truncated));
    }

    #[test]
    fn congestion_outside_is_marked_inside_and_checksums_stay_right() {
        for (before, outer, after) in [
            (0xba, 0x03, Some(0xbb)),
            (0xb9, 0x03, Some(0xbb)),
            (0xba, 0x01, Some(0xb9)),
            (0xba, 0xfc, Some(0xba)),
            (0xb8, 0x02, Some(0xb8)),
            (0xb8, 0x03, None),
        ] {
            let packets = [
                (IPV4, four().traffic_class(before).udp(1, 2, b"abc")),
                (IPV6, six().traffic_class(before).udp(1, 2, b"abc")),
            ];
            for (next_header, mut packet) in packets {
                if next_header == IPV6 {
                    // A flow label.
                    packet[1] |= 0x0f;
                }
                let (payload, mut esp) = opened(next_header, &packet);
                let result = payload.decapsulate(&mut esp, outer);
                let Some(after) = after else {
                    assert_eq!(result, Err(InnerError::Congestion));
                    continue;
                };
                let (inner, span) = result.unwrap();
                assert_eq!(inner.traffic_class, after);
                let bytes = &esp[span.range()];
                let class = match inner.family {
                    Family::V4 => Ipv4::parse(bytes).unwrap().traffic_class(),
                    Family::V6 => Ipv6::parse(bytes).unwrap().traffic_class(),
                };
                assert_eq!(class, after);
                // Nothing else has changed.
                let behind = if inner.family == Family::V4 { 12 } else { 2 };
                assert_eq!(bytes[behind..], packet[behind..]);
                assert!(inner.family == Family::V4 || bytes[1] & 0x0f == 0x0f);
            }
        }
    }
}
