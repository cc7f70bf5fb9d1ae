//! ICMPv6 errors (RFC 4443 §2.4, §3).

use std::net::Ipv6Addr;

use crate::checksum::Sum;
use crate::extension::upper_layer_of_misordered;
use crate::icmpv6;
use crate::ipv6::{self, Ipv6Header};
use crate::{Ipv6, Protocol};

/// Bytes in front of the quote: IPv6 header and ICMPv6 header.
pub const HEADERS_LEN_V6: usize = ipv6::HEADER_LEN + icmpv6::HEADER_LEN;

/// The high bits of the type of an option that is reported even to those who sent it to a group (RFC 8200 §4.2).
const REPORTED_TO_ALL: u8 = 0b10;

/// Why an IPv6 packet was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv6Problem {
    /// No route to the destination (1/0).
    NoRoute,
    /// A filter forbids it (1/1).
    AdministrativelyProhibited,
    /// The packet would leave the scope of its source address (1/2).
    BeyondScope,
    /// The destination or the next hop does not answer (1/3).
    AddressUnreachable,
    /// The packet was for the router, where nobody listens on this port (1/4).
    PortUnreachable,
    /// Longer than the next link allows (2/0).
    PacketTooBig {
        /// Bytes that a packet may have there.
        mtu: u32,
    },
    /// The hop limit ran out (3/0).
    HopLimitExceeded,
    /// Fragments of the packet were missing for too long (3/1).
    ReassemblyTimeExceeded,
    /// A header cannot be processed (4).
    ParameterProblem {
        /// In what way: [`icmpv6::ERRONEOUS_HEADER_FIELD`] and what follows it there.
        code: u8,
        /// Where, from the start of the IPv6 header.
        pointer: u32,
    },
}

impl Icmpv6Problem {
    /// Type, code and the last four bytes of the ICMPv6 header.
    const fn fields(self) -> (u8, u8, u32) {
        match self {
            Icmpv6Problem::NoRoute => (icmpv6::DESTINATION_UNREACHABLE, 0, 0),
            Icmpv6Problem::AdministrativelyProhibited => (icmpv6::DESTINATION_UNREACHABLE, 1, 0),
            Icmpv6Problem::BeyondScope => (icmpv6::DESTINATION_UNREACHABLE, 2, 0),
            Icmpv6Problem::AddressUnreachable => (icmpv6::DESTINATION_UNREACHABLE, 3, 0),
            Icmpv6Problem::PortUnreachable => (icmpv6::DESTINATION_UNREACHABLE, 4, 0),
            Icmpv6Problem::PacketTooBig { mtu } => (icmpv6::PACKET_TOO_BIG, 0, mtu),
            Icmpv6Problem::HopLimitExceeded => (icmpv6::TIME_EXCEEDED, 0, 0),
            Icmpv6Problem::ReassemblyTimeExceeded => (icmpv6::TIME_EXCEEDED, 1, 0),
            Icmpv6Problem::ParameterProblem { code, pointer } => (icmpv6::PARAMETER_PROBLEM, code, pointer),
        }
    }

    /// Whether the sender is told of it although `packet` was for a group: too long for a link, or an option that asks
    /// for it (RFC 4443 §2.4 e.3).
    fn concerns_multicast(self, packet: &Ipv6<'_>) -> bool {
        match self {
            Icmpv6Problem::PacketTooBig { .. } => true,
            Icmpv6Problem::ParameterProblem {
                code: icmpv6::UNRECOGNIZED_OPTION,
                pointer,
            } => usize::try_from(pointer)
                .ok()
                .and_then(|pointer| pointer.checked_sub(ipv6::HEADER_LEN))
                .and_then(|offset| packet.payload().get(offset))
                .is_some_and(|option_type| option_type >> 6 == REPORTED_TO_ALL),
            _ => false,
        }
    }
}

/// How much of a packet of `packet_len` bytes an error quotes: as much as the minimum MTU allows, 1232
/// (RFC 4443 §2.4 c).
#[inline]
pub const fn quote_len_v6(packet_len: usize) -> usize {
    if packet_len < ipv6::MIN_MTU - HEADERS_LEN_V6 {
        packet_len
    } else {
        ipv6::MIN_MTU - HEADERS_LEN_V6
    }
}

/// Writes the headers of the error that tells `destination` of `problem`, to be sent in front of `quote`, the first
/// [`quote_len_v6`] bytes of the packet.
pub fn emit_v6(
    problem: Icmpv6Problem,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    quote: &[u8],
    out: &mut [u8; HEADERS_LEN_V6],
) {
    let payload_len = u16::try_from(icmpv6::HEADER_LEN + quote.len()).unwrap_or(u16::MAX);
    let (message_type, code, field) = problem.fields();
    let [a, b, c, d] = field.to_be_bytes();
    let mut icmp = [message_type, code, 0, 0, a, b, c, d];
    let [sum0, sum1] = Sum::ZERO
        .pseudo_header(source, destination, Protocol::ICMPV6, payload_len)
        .bytes(&icmp)
        .bytes(quote)
        .checksum()
        .to_be_bytes();
    icmp[2] = sum0;
    icmp[3] = sum1;
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: 0,
        next_header: Protocol::ICMPV6,
        hop_limit,
        source,
        destination,
        payload_len,
    };
    // The array has room for both headers.
    let written = header.emit(out);
    debug_assert_eq!(written, Ok(ipv6::HEADER_LEN));
    if let Some(place) = out.last_chunk_mut() {
        *place = icmp;
    }
}

/// Whether the sender of `packet` may be told of `problem` (RFC 4443 §2.4 e). No, if the packet
///
/// * carries an ICMPv6 error or a redirect, or ends before that is known;
/// * was for a multicast group, unless the problem is [`Icmpv6Problem::PacketTooBig`] or an unrecognized option whose
///   type asks for the answer;
/// * came from an address that is no single node's: unspecified, loopback or multicast.
///
/// What a fragment other than the first carries is not known; it may be answered.
#[inline]
pub fn may_answer_v6(packet: &Ipv6<'_>, problem: Icmpv6Problem) -> bool {
    let source = packet.source();
    !source.is_unspecified()
        && !source.is_loopback()
        && !source.is_multicast()
        && (!packet.destination().is_multicast() || problem.concerns_multicast(packet))
        && !may_be_error(packet, problem)
}

/// Whether `packet` carries an ICMPv6 error or a redirect, or does not say whether it does, unless that is the problem.
#[inline]
fn may_be_error(packet: &Ipv6<'_>, problem: Icmpv6Problem) -> bool {
    let unknown = !matches!(
        problem,
        Icmpv6Problem::ParameterProblem {
            code: icmpv6::INCOMPLETE_HEADER_CHAIN,
            ..
        }
    );
    // Misplaced hop-by-hop options are a reason for an answer, so they hide nothing.
    let Ok(upper) = upper_layer_of_misordered(packet) else {
        return unknown;
    };
    upper.protocol == Protocol::ICMPV6
        && !upper.is_later_fragment()
        && upper.payload.first().map_or(unknown, |&message_type| {
            icmpv6::is_error(message_type) || message_type == icmpv6::REDIRECT
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Ipv6Builder;
    use crate::extension::option_type;
    use crate::ipv6::ALL_NODES;
    use crate::{Icmpv6, PacketBuilder};

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
    const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
    const UNRECOGNIZED: Icmpv6Problem = Icmpv6Problem::ParameterProblem {
        code: icmpv6::UNRECOGNIZED_OPTION,
        pointer: 42,
    };

    fn error(problem: Icmpv6Problem, packet: &[u8]) -> Vec<u8> {
        let quote = &packet[..quote_len_v6(packet.len())];
        let mut headers = [0xee; HEADERS_LEN_V6];
        emit_v6(problem, ROUTER, HOST, 255, quote, &mut headers);
        [&headers[..], quote].concat()
    }

    fn may_answer(packet: &[u8]) -> bool {
        may_answer_v6(&Ipv6::parse(packet).unwrap(), Icmpv6Problem::HopLimitExceeded)
    }

    fn ip() -> Ipv6Builder {
        PacketBuilder::ipv6(HOST, FAR)
    }

    #[test]
    fn error_is_a_valid_packet_to_the_host_with_the_quote_behind() {
        let packet = ip().hop_limit(1).udp(33_434, 33_435, b"odd");
        let error = error(Icmpv6Problem::HopLimitExceeded, &packet);
        let ip = Ipv6::parse(&error).unwrap();
        assert_eq!(
            (ip.source(), ip.destination(), ip.hop_limit()),
            (ROUTER, HOST, 255)
        );
        assert_eq!(
            (ip.next_header(), ip.total_len()),
            (Protocol::ICMPV6, error.len())
        );
        let message = Icmpv6::parse(ip.payload()).unwrap();
        assert!(message.checksum_is_valid(ROUTER, HOST));
        assert_eq!(message.data(), packet);
    }

    #[test]
    fn each_problem_has_its_type_code_and_field() {
        let packet = ip().udp(1, 2, b"");
        let misplaced = Icmpv6Problem::ParameterProblem {
            code: icmpv6::UNRECOGNIZED_NEXT_HEADER,
            pointer: 0x0001_0203,
        };
        for (problem, expected) in [
            (Icmpv6Problem::NoRoute, [1, 0, 0, 0, 0, 0]),
            (Icmpv6Problem::AdministrativelyProhibited, [1, 1, 0, 0, 0, 0]),
            (Icmpv6Problem::BeyondScope, [1, 2, 0, 0, 0, 0]),
            (Icmpv6Problem::AddressUnreachable, [1, 3, 0, 0, 0, 0]),
            (Icmpv6Problem::PortUnreachable, [1, 4, 0, 0, 0, 0]),
            (
                Icmpv6Problem::PacketTooBig { mtu: 1400 },
                [2, 0, 0, 0, 0x05, 0x78],
            ),
            (Icmpv6Problem::HopLimitExceeded, [3, 0, 0, 0, 0, 0]),
            (Icmpv6Problem::ReassemblyTimeExceeded, [3, 1, 0, 0, 0, 0]),
            (misplaced, [4, 1, 0, 1, 2, 3]),
        ] {
            let error = error(problem, &packet);
            let message = Icmpv6::parse(Ipv6::parse(&error).unwrap().payload()).unwrap();
            assert!(message.checksum_is_valid(ROUTER, HOST), "{problem:?}");
            assert_eq!(
                (error[40], error[41], &error[44..48]),
                (expected[0], expected[1], &expected[2..])
            );
        }
    }

    #[test]
    fn error_has_at_most_the_minimum_mtu() {
        for (len, expected) in [
            (0, 0),
            (48, 48),
            (1231, 1231),
            (1232, 1232),
            (1233, 1232),
            (65_575, 1232),
        ] {
            assert_eq!(quote_len_v6(len), expected);
        }
        let packet = ip().udp(1, 2, &[7; 1400]);
        assert_eq!(
            error(Icmpv6Problem::PacketTooBig { mtu: 1400 }, &packet).len(),
            1280
        );
    }

    #[test]
    fn errors_and_redirects_are_not_answered() {
        for message_type in 0..=u8::MAX {
            let expected = message_type >= 128 && message_type != 137;
            let plain = ip().icmp(message_type, 0, &[0; 4]);
            assert_eq!(may_answer(&plain), expected, "type {message_type}");
            let hidden = ip()
                .router_alert(0)
                .routing(0, 0)
                .fragment(0, true, 1)
                .destination_options(&[])
                .icmp(message_type, 0, &[0; 4]);
            assert_eq!(
                may_answer(&hidden),
                expected,
                "type {message_type} behind headers"
            );
        }
    }

    #[test]
    fn packets_that_end_before_they_say_what_they_are_are_not_answered() {
        assert!(!may_answer(&ip().payload(Protocol::ICMPV6, &[])));
        assert!(!may_answer(
            &ip().destination_options(&[]).payload(Protocol::ICMPV6, &[])
        ));
        assert!(!may_answer(&ip().payload(Protocol::HOP_BY_HOP, &[58])));
        assert!(!may_answer(
            &ip().payload(Protocol::ROUTING, &[17, 1, 0, 0, 0, 0, 0, 0])
        ));
        let endless = (0..17).fold(ip(), |builder, _| builder.destination_options(&[]));
        assert!(!may_answer(&endless.udp(1, 2, b"")));
    }

    #[test]
    fn misplaced_hop_by_hop_options_are_answered_unless_they_hide_an_error() {
        assert!(may_answer(&ip().routing(0, 0).hop_by_hop(&[]).udp(1, 2, b"")));
        assert!(!may_answer(&ip().routing(0, 0).hop_by_hop(&[]).icmp(
            icmpv6::TIME_EXCEEDED,
            0,
            &[0; 4]
        )));
    }

    #[test]
    fn what_is_no_icmp_may_be_answered_and_so_may_later_fragments() {
        for protocol in [
            Protocol::UDP,
            Protocol::ESP,
            Protocol::NO_NEXT_HEADER,
            Protocol(200),
        ] {
            assert!(may_answer(&ip().payload(protocol, &[])), "{protocol}");
        }
        assert!(may_answer(
            &ip().fragment(8, false, 1).payload(Protocol::ICMPV6, &[1; 8])
        ));
    }

    #[test]
    fn packets_from_no_single_node_are_not_answered() {
        for source in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, ALL_NODES] {
            let packet = PacketBuilder::ipv6(source, FAR).udp(1, 2, b"");
            let ip = Ipv6::parse(&packet).unwrap();
            assert!(!may_answer_v6(&ip, Icmpv6Problem::NoRoute), "{source}");
            assert!(
                !may_answer_v6(&ip, Icmpv6Problem::PacketTooBig { mtu: 1280 }),
                "{source}"
            );
        }
    }

    #[test]
    fn packets_for_a_group_are_answered_if_too_big_or_by_an_option_that_asks_for_it() {
        let packet = |option_type: u8| {
            PacketBuilder::ipv6(HOST, ALL_NODES)
                .hop_by_hop(&[option_type, 4, 0, 0, 0, 0])
                .udp(1, 2, b"")
        };
        let asked =
            |problem, option_type: u8| may_answer_v6(&Ipv6::parse(&packet(option_type)).unwrap(), problem);
        assert!(asked(
            Icmpv6Problem::PacketTooBig { mtu: 1280 },
            option_type::PADN
        ));
        assert!(!asked(Icmpv6Problem::HopLimitExceeded, 0x80) && !asked(Icmpv6Problem::NoRoute, 0x80));
        for option_type in 0..=u8::MAX {
            assert_eq!(
                asked(UNRECOGNIZED, option_type),
                option_type >> 6 == 2,
                "type {option_type:#x}"
            );
        }
        for (code, pointer) in [(0, 42), (1, 42), (2, 6), (2, 5000), (2, u32::MAX)] {
            assert!(!asked(Icmpv6Problem::ParameterProblem { code, pointer }, 0x80));
        }
    }

    #[test]
    fn packets_for_a_group_that_carry_an_error_are_never_answered() {
        let packet = PacketBuilder::ipv6(HOST, ALL_NODES).icmp(icmpv6::PARAMETER_PROBLEM, 2, &[0; 4]);
        let ip = Ipv6::parse(&packet).unwrap();
        assert!(!may_answer_v6(&ip, Icmpv6Problem::PacketTooBig { mtu: 1280 }));
    }
}
