//! What the sender of a dropped packet is told: ICMP errors, RFC 1812 section 4.3 and RFC 4443 section 3.
//!
//! ```text
//!   dropped     │ Ethernet │ (tag) │ IP header … payload …           │
//!   error   │ Ethernet │ IP │ ICMP │ IP header … as much as may be   │
//! ```
//!
//! An error is written in front of what it quotes, so that nothing is copied. It goes back by the port and to the MAC
//! address that the packet came from: the sender can be reached there, and no route need lead to it.

use packet::ethernet::{self, EthernetHeader, VlanTags};
use packet::icmp_error::{
    HEADERS_LEN_V4, HEADERS_LEN_V6, Icmpv4Problem, Icmpv6Problem, emit_v4, emit_v6, may_answer_v4,
    may_answer_v6, quote_len_v4, quote_len_v6,
};
use packet::nd::redirect;
use packet::{EtherType, Ipv4, Ipv6, Protocol, extension, icmpv6};
use shm::DropReason;

use super::{InterfaceView, Stages, local4, local6};
use crate::adjacency;

/// The longest that stands in front of a quote: the headers of a redirect.
const MAX_HEADERS: usize = ethernet::HEADER_LEN + redirect::HEADERS_LEN;

/// An error instead of a packet, or a redirect beside it.
#[derive(Debug)]
pub struct IcmpError {
    pub(super) headers: [u8; MAX_HEADERS],
    len: usize,
    /// Where in the frame the quote begins.
    pub quote_at: usize,
    /// How long it is.
    pub quote_len: usize,
    /// Whether what it is about comes from an address of the gateway itself.
    pub about_own: bool,
}

impl IcmpError {
    /// With room for `headers_len` bytes behind the link header, in front of `quote_len` bytes of a frame from `quote_at` on.
    pub(super) fn new(headers_len: usize, quote_at: usize, quote_len: usize) -> Self {
        Self {
            headers: [0; MAX_HEADERS],
            len: ethernet::HEADER_LEN + headers_len,
            quote_at,
            quote_len,
            about_own: false,
        }
    }

    /// What to write in front of the quote.
    pub fn headers(&self) -> &[u8] {
        self.headers.get(..self.len).unwrap_or_default()
    }
}

/// Whether a packet that is dropped for this reason may be answered at all.
#[inline]
pub fn is_told(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::NoRoute
            | DropReason::TtlExpired
            | DropReason::TooBig
            | DropReason::NeighborFailed
            | DropReason::LocalUnhandled
            | DropReason::Ip4Options
            | DropReason::Ip4MartianDestination
            | DropReason::Ip6MartianDestination
            | DropReason::Ip6Scope
            | DropReason::Ip6Option
            | DropReason::Ip6ExtensionHeader
            | DropReason::Ip6RoutingHeader
            | DropReason::Ip6FirstFragment
            | DropReason::Unreachable
            | DropReason::Prohibited
            | DropReason::FragmentMalformed
            | DropReason::ReassemblyTimeout
            | DropReason::PuntRefused
            | DropReason::HopByHopOption
            | DropReason::HopByHopTooBig
            | DropReason::HopByHopTooMany
            | DropReason::JumboPayload
            | DropReason::RouterAlertLength
            | DropReason::TunnelUnknown
    )
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// The ICMP error for a frame that came in by `ingress` and was dropped, if its sender is to be told.
    pub fn error_for(
        &self,
        ingress: u16,
        frame: &[u8],
        reason: DropReason,
        detail: u16,
    ) -> Option<IcmpError> {
        let error = self.error_about(ingress, frame, reason, detail);
        error.filter(|error| !error.about_own)
    }

    /// The same, also where the sender is the gateway itself, as of what its load balancer has translated.
    pub fn error_about(
        &self,
        ingress: u16,
        frame: &[u8],
        reason: DropReason,
        detail: u16,
    ) -> Option<IcmpError> {
        let interface = self.up(ingress)?;
        let is_own = |packet: &[u8]| self.is_for_one_of_us(interface, packet);
        let mut error = error_for(interface, frame, reason, detail, is_own)?;
        let about = frame.get(error.quote_at..).unwrap_or_default();
        let link_local = interface.sources.link_local();
        let from_own = Ipv6::parse(about).is_ok_and(|packet| Some(packet.source()) == link_local);
        error.about_own = self.is_from_here(about, 0);
        (!from_own).then_some(error)
    }
}

/// The error for a frame that came in by `interface` and was dropped, if its sender is to be told. `detail` is that of the
/// packet's note; `is_own` says of an IPv6 packet whether it was for an address of the gateway alone.
#[cold]
fn error_for(
    interface: &InterfaceView,
    frame: &[u8],
    reason: DropReason,
    detail: u16,
    is_own: impl FnOnce(&[u8]) -> bool,
) -> Option<IcmpError> {
    let (link, _) = EthernetHeader::parse(frame).ok()?;
    if link.destination.is_multicast()
        && !matches!(reason, DropReason::Ip6Option | DropReason::HopByHopOption)
    {
        return None;
    }
    let quote_at = link.len();
    let packet = frame.get(quote_at..)?;
    let mut error = IcmpError::new(0, quote_at, 0);
    let (place, rest) = error
        .headers
        .split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
    let (ethertype, len) = match link.ethertype {
        EtherType::IPV4 => {
            let header = Ipv4::parse(packet).ok()?;
            let problem = problem4(&header, reason, detail)?;
            if !may_answer_v4(&header) {
                return None;
            }
            let limit = usize::from(interface.mtu).saturating_sub(HEADERS_LEN_V4);
            error.quote_len = quote_len_v4(usize::from(header.total_len())).min(limit);
            let quote = packet.get(..error.quote_len)?;
            let source = interface.sources.towards4(header.source())?;
            let out = rest.first_chunk_mut::<HEADERS_LEN_V4>()?;
            emit_v4(problem, source, header.source(), local4::TTL, quote, out);
            (EtherType::IPV4, HEADERS_LEN_V4)
        }
        EtherType::IPV6 => {
            let header = Ipv6::parse(packet).ok()?;
            let problem = problem6(&header, reason, detail)?;
            if !may_answer_v6(&header, problem) {
                return None;
            }
            error.quote_len = quote_len_v6(header.total_len());
            let quote = packet.get(..error.quote_len)?;
            // RFC 4443 section 2.2 (a): who sent to an address of the gateway is answered from it.
            let source = if is_own(packet) {
                header.destination()
            } else {
                interface.sources.towards6(header.source())?
            };
            let out = rest.first_chunk_mut::<HEADERS_LEN_V6>()?;
            emit_v6(problem, source, header.source(), local6::HOP_LIMIT, quote, out);
            (EtherType::IPV6, HEADERS_LEN_V6)
        }
        _ => return None,
    };
    let ethernet = EthernetHeader {
        destination: link.source,
        source: interface.mac,
        tags: VlanTags::NONE,
        ethertype,
    };
    ethernet.emit(place).ok()?;
    error.len += len;
    Some(error)
}

fn problem4(packet: &Ipv4<'_>, reason: DropReason, detail: u16) -> Option<Icmpv4Problem> {
    Some(match reason {
        DropReason::NoRoute => Icmpv4Problem::NetUnreachable,
        // No route ever leads to the others, RFC 1812 section 4.3.3.1. These two stay inside a host, section 4.2.2.11.
        DropReason::Ip4MartianDestination
            if !packet.destination().is_loopback() && !packet.destination().is_unspecified() =>
        {
            Icmpv4Problem::NetUnreachable
        }
        DropReason::NeighborFailed | DropReason::Unreachable => Icmpv4Problem::HostUnreachable,
        DropReason::Prohibited | DropReason::PuntRefused => Icmpv4Problem::CommunicationProhibited,
        DropReason::TtlExpired => Icmpv4Problem::TimeExceeded,
        DropReason::ReassemblyTimeout => Icmpv4Problem::ReassemblyTimeExceeded,
        DropReason::TooBig if packet.dont_fragment() => Icmpv4Problem::FragmentationNeeded { mtu: detail },
        DropReason::Ip4Options => Icmpv4Problem::ParameterProblem {
            pointer: u8::try_from(detail).ok()?,
        },
        // RFC 1122 section 3.2.2.1; TCP says it by itself.
        DropReason::LocalUnhandled | DropReason::TunnelUnknown => match packet.protocol() {
            Protocol::TCP | Protocol::ICMP => return None,
            Protocol::UDP => Icmpv4Problem::PortUnreachable,
            _ => Icmpv4Problem::ProtocolUnreachable,
        },
        _ => return None,
    })
}

fn problem6(packet: &Ipv6<'_>, reason: DropReason, detail: u16) -> Option<Icmpv6Problem> {
    // Offset 0 is the version, and nothing that is wrong there leads to an error.
    let parameter = |code| {
        let pointer = u32::from(detail);
        (pointer != 0).then_some(Icmpv6Problem::ParameterProblem { code, pointer })
    };
    Some(match reason {
        DropReason::NoRoute | DropReason::Unreachable => Icmpv6Problem::NoRoute,
        // No route ever leads to the others, RFC 4443 section 3.1; RFC 4291 section 2.5.3 has the loopback dropped.
        DropReason::Ip6MartianDestination if !packet.destination().is_loopback() => Icmpv6Problem::NoRoute,
        DropReason::Prohibited | DropReason::PuntRefused => Icmpv6Problem::AdministrativelyProhibited,
        DropReason::NeighborFailed => Icmpv6Problem::AddressUnreachable,
        DropReason::TtlExpired => Icmpv6Problem::HopLimitExceeded,
        DropReason::ReassemblyTimeout => Icmpv6Problem::ReassemblyTimeExceeded,
        DropReason::TooBig => Icmpv6Problem::PacketTooBig {
            mtu: u32::from(detail),
        },
        DropReason::Ip6Scope => Icmpv6Problem::BeyondScope,
        // RFC 7112 section 5: the pointer is zero.
        DropReason::Ip6FirstFragment => Icmpv6Problem::ParameterProblem {
            code: icmpv6::INCOMPLETE_HEADER_CHAIN,
            pointer: 0,
        },
        DropReason::Ip6Option | DropReason::HopByHopOption => return parameter(icmpv6::UNRECOGNIZED_OPTION),
        DropReason::Ip6ExtensionHeader => return parameter(icmpv6::UNRECOGNIZED_NEXT_HEADER),
        DropReason::Ip6RoutingHeader
        | DropReason::FragmentMalformed
        | DropReason::JumboPayload
        | DropReason::RouterAlertLength => return parameter(icmpv6::ERRONEOUS_HEADER_FIELD),
        DropReason::HopByHopTooBig => return parameter(icmpv6::EXTENSION_HEADER_TOO_BIG),
        DropReason::HopByHopTooMany => return parameter(icmpv6::TOO_MANY_OPTIONS),
        DropReason::LocalUnhandled | DropReason::TunnelUnknown => {
            let udp = extension::upper_layer(packet).is_ok_and(|upper| upper.protocol == Protocol::UDP);
            if udp {
                Icmpv6Problem::PortUnreachable
            } else {
                return parameter(icmpv6::UNRECOGNIZED_NEXT_HEADER);
            }
        }
        _ => return None,
    })
}
