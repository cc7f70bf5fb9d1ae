//! ICMP errors for IPv4 packets, redirects among them (RFC 792, RFC 1191, RFC 1812 §4.3).

use std::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::icmpv4;
use crate::ipv4::{self, Ipv4Header};
use crate::{Ipv4, Protocol};

/// Bytes in front of the quote: IPv4 header and ICMP header.
pub const HEADERS_LEN_V4: usize = ipv4::HEADER_LEN + icmpv4::HEADER_LEN;

/// Most bytes of an error, its IPv4 header included (RFC 1812 §4.3.2.3).
const MAX_LEN: usize = 576;
/// Precedence 6, internetwork control (RFC 1812 §4.3.2.5).
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// Why an IPv4 packet was not forwarded, or that it need not have come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv4Problem {
    /// No route to the destination (3/0).
    NetUnreachable,
    /// The destination or the next hop does not answer (3/1).
    HostUnreachable,
    /// The packet was for the router, which does not know what it carries (3/2).
    ProtocolUnreachable,
    /// The packet was for the router, where nothing takes what comes to its port (3/3).
    PortUnreachable,
    /// Longer than the next link allows and not to be fragmented (3/4, RFC 1191 §4).
    FragmentationNeeded {
        /// Bytes that a packet may have there.
        mtu: u16,
    },
    /// A filter forbids it (3/13, RFC 1812 §5.2.7.1).
    CommunicationProhibited,
    /// It was forwarded to another station of its sender's own subnet (5/1, RFC 1812 §4.3.3.2).
    HostRedirect {
        /// Where packets for its destination are better sent to.
        gateway: Ipv4Addr,
    },
    /// The TTL ran out (11/0).
    TimeExceeded,
    /// Fragments of the packet were missing for too long (11/1).
    ReassemblyTimeExceeded,
    /// A header field is wrong (12/0).
    ParameterProblem {
        /// Where, from the start of the IPv4 header.
        pointer: u8,
    },
}

impl Icmpv4Problem {
    /// Type, code and the last four bytes of the ICMP header.
    const fn fields(self) -> (u8, u8, [u8; 4]) {
        match self {
            Icmpv4Problem::NetUnreachable => (icmpv4::DESTINATION_UNREACHABLE, 0, [0; 4]),
            Icmpv4Problem::HostUnreachable => (icmpv4::DESTINATION_UNREACHABLE, 1, [0; 4]),
            Icmpv4Problem::ProtocolUnreachable => (icmpv4::DESTINATION_UNREACHABLE, 2, [0; 4]),
            Icmpv4Problem::PortUnreachable => (icmpv4::DESTINATION_UNREACHABLE, 3, [0; 4]),
            Icmpv4Problem::FragmentationNeeded { mtu } => {
                let [mtu0, mtu1] = mtu.to_be_bytes();
                (icmpv4::DESTINATION_UNREACHABLE, 4, [0, 0, mtu0, mtu1])
            }
            Icmpv4Problem::CommunicationProhibited => (icmpv4::DESTINATION_UNREACHABLE, 13, [0; 4]),
            Icmpv4Problem::HostRedirect { gateway } => (icmpv4::REDIRECT, 1, gateway.octets()),
            Icmpv4Problem::TimeExceeded => (icmpv4::TIME_EXCEEDED, 0, [0; 4]),
            Icmpv4Problem::ReassemblyTimeExceeded => (icmpv4::TIME_EXCEEDED, 1, [0; 4]),
            Icmpv4Problem::ParameterProblem { pointer } => (icmpv4::PARAMETER_PROBLEM, 0, [pointer, 0, 0, 0]),
        }
    }
}

/// How much of a packet of `packet_len` bytes an error quotes: as much as 576 bytes in all allow, 548
/// (RFC 1812 §4.3.2.3).
#[inline]
pub const fn quote_len_v4(packet_len: usize) -> usize {
    if packet_len < MAX_LEN - HEADERS_LEN_V4 {
        packet_len
    } else {
        MAX_LEN - HEADERS_LEN_V4
    }
}

/// Writes the headers of the error that tells `destination` of `problem`, to be sent in front of `quote`, the first
/// [`quote_len_v4`] bytes of the packet. Small enough never to be fragmented, it may not be, and so needs no
/// identification (RFC 6864 §4.1).
pub fn emit_v4(
    problem: Icmpv4Problem,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    quote: &[u8],
    out: &mut [u8; HEADERS_LEN_V4],
) {
    let (message_type, code, [a, b, c, d]) = problem.fields();
    let mut icmp = [message_type, code, 0, 0, a, b, c, d];
    let [sum0, sum1] = Sum::ZERO.bytes(&icmp).bytes(quote).checksum().to_be_bytes();
    icmp[2] = sum0;
    icmp[3] = sum1;
    let header = Ipv4Header {
        traffic_class: INTERNETWORK_CONTROL,
        identification: 0,
        dont_fragment: true,
        ttl,
        protocol: Protocol::ICMP,
        source,
        destination,
        payload_len: u16::try_from(icmpv4::HEADER_LEN + quote.len()).unwrap_or(u16::MAX),
    };
    // The array has room for both headers.
    let written = header.emit(out);
    debug_assert_eq!(written, Ok(ipv4::HEADER_LEN));
    if let Some(place) = out.last_chunk_mut() {
        *place = icmp;
    }
}

/// Whether the sender of `packet` may be told what became of it (RFC 1812 §4.3.2.7, RFC 1122 §3.2.2). No, if the packet
///
/// * carries an ICMP message that is not known to be a query: errors beget no errors;
/// * was for a multicast group or for everybody;
/// * is a fragment other than the first;
/// * came from an address that is no single host's: of network 0 or 127, multicast or class E.
#[inline]
pub fn may_answer_v4(packet: &Ipv4<'_>) -> bool {
    let destination = packet.destination();
    packet.fragment_offset() == 0
        && is_single_host(packet.source())
        && !destination.is_multicast()
        && !destination.is_broadcast()
        && (packet.protocol() != Protocol::ICMP || packet.payload().first().copied().is_some_and(is_query))
}

#[inline]
const fn is_single_host(source: Ipv4Addr) -> bool {
    let [network, ..] = source.octets();
    network != 0 && network != 127 && network < 224
}

/// Whether ICMP messages of this type ask or answer: echo, router discovery (RFC 1256), timestamp, information, address
/// mask (RFC 950) and extended echo (RFC 8335).
#[inline]
const fn is_query(message_type: u8) -> bool {
    matches!(message_type, 0 | 8..=10 | 13..=18 | 42 | 43)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Ipv4Builder;
    use crate::{Icmpv4, PacketBuilder};

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);
    const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 2);
    const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

    fn error(problem: Icmpv4Problem, packet: &[u8]) -> Vec<u8> {
        let quote = &packet[..quote_len_v4(packet.len())];
        let mut headers = [0xee; HEADERS_LEN_V4];
        emit_v4(problem, ROUTER, HOST, 64, quote, &mut headers);
        [&headers[..], quote].concat()
    }

    fn may_answer(packet: &[u8]) -> bool {
        may_answer_v4(&Ipv4::parse(packet).unwrap())
    }

    fn ip() -> Ipv4Builder {
        PacketBuilder::ipv4(HOST, FAR)
    }

    #[test]
    fn error_is_a_valid_packet_to_the_host_with_the_quote_behind() {
        let packet = ip().ttl(1).udp(33_434, 33_435, b"odd");
        let error = error(Icmpv4Problem::TimeExceeded, &packet);
        let ip = Ipv4::parse(&error).unwrap();
        assert_eq!((ip.source(), ip.destination(), ip.ttl()), (ROUTER, HOST, 64));
        assert_eq!((ip.traffic_class(), ip.protocol()), (0xc0, Protocol::ICMP));
        assert!(ip.dont_fragment() && usize::from(ip.total_len()) == error.len());
        let message = Icmpv4::parse(ip.payload()).unwrap();
        assert!(message.checksum_is_valid());
        assert_eq!(message.data(), packet);
    }

    #[test]
    fn each_problem_has_its_type_code_and_field() {
        let packet = ip().udp(1, 2, b"");
        for (problem, expected) in [
            (Icmpv4Problem::NetUnreachable, [3, 0, 0, 0, 0, 0]),
            (Icmpv4Problem::HostUnreachable, [3, 1, 0, 0, 0, 0]),
            (Icmpv4Problem::ProtocolUnreachable, [3, 2, 0, 0, 0, 0]),
            (
                Icmpv4Problem::FragmentationNeeded { mtu: 1400 },
                [3, 4, 0, 0, 0x05, 0x78],
            ),
            (Icmpv4Problem::CommunicationProhibited, [3, 13, 0, 0, 0, 0]),
            (
                Icmpv4Problem::HostRedirect { gateway: HOST },
                [5, 1, 192, 168, 10, 2],
            ),
            (Icmpv4Problem::TimeExceeded, [11, 0, 0, 0, 0, 0]),
            (Icmpv4Problem::ReassemblyTimeExceeded, [11, 1, 0, 0, 0, 0]),
            (
                Icmpv4Problem::ParameterProblem { pointer: 22 },
                [12, 0, 22, 0, 0, 0],
            ),
        ] {
            let error = error(problem, &packet);
            let message = Icmpv4::parse(Ipv4::parse(&error).unwrap().payload()).unwrap();
            assert!(message.checksum_is_valid(), "{problem:?}");
            assert_eq!(
                (error[20], error[21], &error[24..28]),
                (expected[0], expected[1], &expected[2..])
            );
        }
    }

    #[test]
    fn error_has_at_most_576_bytes() {
        for (len, expected) in [
            (0, 0),
            (28, 28),
            (547, 547),
            (548, 548),
            (549, 548),
            (65_535, 548),
        ] {
            assert_eq!(quote_len_v4(len), expected);
        }
        let packet = ip().udp(1, 2, &[7; 1400]);
        assert_eq!(error(Icmpv4Problem::NetUnreachable, &packet).len(), 576);
    }

    #[test]
    fn queries_are_answered_and_no_other_icmp_message() {
        for message_type in 0..=u8::MAX {
            let packet = ip().payload(Protocol::ICMP, &[message_type, 0, 0, 0, 0, 0, 0, 0]);
            let query = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43].contains(&message_type);
            assert_eq!(may_answer(&packet), query, "type {message_type}");
        }
        assert!(!may_answer(&ip().payload(Protocol::ICMP, &[])), "type not there");
        assert!(may_answer(&ip().payload(Protocol::UDP, &[])));
    }

    #[test]
    fn first_fragments_are_answered_and_no_others() {
        assert!(may_answer(
            &ip().fragment(0, true).payload(Protocol::UDP, &[0; 8])
        ));
        assert!(!may_answer(
            &ip().fragment(8, true).payload(Protocol::UDP, &[0; 8])
        ));
        assert!(!may_answer(
            &ip().fragment(65_528, false).payload(Protocol::UDP, &[0; 7])
        ));
    }

    #[test]
    fn packets_for_many_are_not_answered() {
        for (destination, expected) in [
            ([223, 255, 255, 255], true),
            ([224, 0, 0, 1], false),
            ([239, 255, 255, 255], false),
            ([240, 0, 0, 1], true),
            ([255, 255, 255, 254], true),
            ([255, 255, 255, 255], false),
        ] {
            let packet = PacketBuilder::ipv4(HOST, destination.into()).udp(1, 2, b"");
            assert_eq!(may_answer(&packet), expected, "{destination:?}");
        }
    }

    #[test]
    fn packets_from_no_single_host_are_not_answered() {
        for (source, expected) in [
            ([0, 0, 0, 0], false),
            ([0, 255, 255, 255], false),
            ([1, 0, 0, 0], true),
            ([126, 255, 255, 255], true),
            ([127, 0, 0, 1], false),
            ([128, 0, 0, 1], true),
            ([223, 255, 255, 255], true),
            ([224, 0, 0, 1], false),
            ([240, 0, 0, 1], false),
            ([255, 255, 255, 255], false),
        ] {
            let packet = PacketBuilder::ipv4(source.into(), FAR).udp(1, 2, b"");
            assert_eq!(may_answer(&packet), expected, "{source:?}");
        }
    }
}
