//! IPv6 packets for the gateway itself, or for a group that it is in: extension headers (RFC 8200 section 4), echo
//! (RFC 4443 section 4.2), neighbour discovery.
//!
//! As with IPv4, a reply leaves by the port, tag and MAC address that the request came from.

use packet::extension::{self, ExtensionError, OptionError, UnrecognizedAction, UpperLayer};
use packet::icmpv6::{self, Icmpv6Error, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION};
use packet::{Icmpv6, Ipv6, Protocol, Udp, ethernet, ipv6};
use shm::DropReason;

use super::punt::{self, Punts};
use super::{Disposition, InterfaceView, Note, vlan};

/// Hop limit of packets that the gateway makes itself.
pub(super) const HOP_LIMIT: u8 = 64;

/// What the addresses of a packet are beside one that is for the gateway.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    /// It says that it comes from the gateway itself: neighbour discovery alone is taken, as somebody else may have the address.
    pub(super) own_source: bool,
    /// It is for all routers of a subnet, RFC 4291 section 2.6.1: no packet may come from that address.
    pub(super) anycast: bool,
}

/// Answers a packet that came in by `interface`, leaves it to the control thread or to a tool, or drops it.
pub(super) fn run(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    packet: &mut [u8],
    note: &mut Note,
    ends: Ends,
) {
    let end = usize::from(note.length);
    if packet.len() < end {
        note.disposition = Disposition::Gather;
    } else if let Some(end) = answer(interface, ingress, punts, packet, end, note, ends) {
        // No longer than what came.
        note.length = end as u16;
        note.echo_reply = true;
        if interface.sub.is_some() {
            vlan::untag(packet, note);
        }
    }
}

/// As [`run`] for a packet of any length that ends at `end`; where the reply ends, if it is one now. It has the tags of the
/// request still.
pub(super) fn answer(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    packet: &mut [u8],
    end: usize,
    note: &mut Note,
    ends: Ends,
) -> Option<usize> {
    note.disposition = match take(interface, punts, packet, end, note, ends) {
        Ok(Taken::Reply(end)) => {
            note.disposition = Disposition::Transmit(ingress);
            return Some(end);
        }
        // There is nobody to find on a tunnel.
        Ok(Taken::Nd) if interface.tunnel.is_some() => Disposition::Drop(DropReason::LocalUnhandled),
        Ok(Taken::Nd) => Disposition::Nd,
        Ok(Taken::Fragment) => Disposition::Reassemble,
        Ok(Taken::Tool) => note.disposition,
        Err(reason) => Disposition::Drop(reason),
    };
    None
}

enum Taken {
    /// It is the reply now, which ends here.
    Reply(usize),
    Nd,
    /// It is a part of a packet.
    Fragment,
    /// What its note says.
    Tool,
}

fn take(
    interface: &InterfaceView,
    punts: &Punts,
    packet: &mut [u8],
    end: usize,
    note: &mut Note,
    ends: Ends,
) -> Result<Taken, DropReason> {
    let network = usize::from(note.network);
    let datagram = packet.get_mut(network..end).ok_or(DropReason::Ip6Truncated)?;
    let header = Ipv6::parse(datagram).map_err(|_| DropReason::Ip6Truncated)?;
    let Some(upper) = read_extensions(&header, note)? else {
        return Ok(Taken::Fragment);
    };
    let own_source = ends.own_source || interface.sources.link_local() == Some(header.source());
    match upper.protocol {
        Protocol::ICMPV6 => {}
        _ if own_source => return Err(DropReason::Ip6MartianSource),
        Protocol::UDP if !udp_is_valid(&header, &upper) => return Err(DropReason::UdpMalformed),
        Protocol::UDP if punt::ike(punts, upper.payload, note) => return Ok(Taken::Tool),
        Protocol::TCP | Protocol::UDP | Protocol::NO_NEXT_HEADER => return Err(DropReason::LocalUnhandled),
        _ => {
            // RFC 8200 section 4: the next header field that names it is what is wrong.
            note.detail = upper.named_at as u16;
            return Err(DropReason::LocalUnhandled);
        }
    }
    let message = Icmpv6::parse(upper.payload).map_err(|_| DropReason::IcmpMalformed)?;
    if !message.checksum_is_valid(header.source(), header.destination()) {
        return Err(DropReason::IcmpMalformed);
    }
    if matches!(
        message.message_type(),
        NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT
    ) {
        return Ok(Taken::Nd);
    }
    let (source, destination, traffic_class) =
        (header.source(), header.destination(), header.traffic_class());
    if source.is_unspecified() || own_source {
        return Err(DropReason::Ip6MartianSource);
    }
    let multicast = destination.is_multicast();
    if multicast && message.message_type() != icmpv6::ECHO_REQUEST {
        return Err(DropReason::Ip6Multicast);
    }
    let own = if multicast || ends.anycast {
        interface.sources.towards6(source)
    } else {
        Some(destination)
    };
    let own = own.ok_or(DropReason::Ip6Multicast)?;
    let offset = upper.offset;
    let message = datagram.get_mut(offset..).ok_or(DropReason::IcmpMalformed)?;
    icmpv6::request_into_reply(message).map_err(|error| match error {
        Icmpv6Error::Truncated => DropReason::IcmpMalformed,
        Icmpv6Error::NotEchoRequest => DropReason::LocalUnhandled,
    })?;
    icmpv6::update_address(message, destination, own).map_err(|_| DropReason::IcmpMalformed)?;
    let length = message.len();
    // The reply has no extension headers.
    datagram.copy_within(offset.., ipv6::HEADER_LEN);
    let reply = ipv6::Ipv6Header {
        traffic_class,
        flow_label: 0,
        next_header: Protocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        source: own,
        destination: source,
        payload_len: length as u16,
    };
    reply.emit(datagram).map_err(|_| DropReason::Ip6Truncated)?;
    let sender = packet.get(6..12).and_then(|mac| mac.first_chunk::<6>()).copied();
    let sender = sender.ok_or(DropReason::EthernetTruncated)?;
    ethernet::rewrite(packet, sender.into(), interface.mac).map_err(|_| DropReason::EthernetTruncated)?;
    Ok(Taken::Reply(network + ipv6::HEADER_LEN + length))
}

/// What lies behind the extension headers, once each has been followed or refused; `None` for a part of a packet, of which
/// what is behind the fragment header is seen once it is whole.
fn read_extensions<'a>(packet: &Ipv6<'a>, note: &mut Note) -> Result<Option<UpperLayer<'a>>, DropReason> {
    let mut refused = |reason, offset: usize| {
        note.detail = offset as u16;
        reason
    };
    let mut headers = extension::walk(packet);
    for header in headers.by_ref() {
        let header = header.map_err(|error| match error {
            ExtensionError::HopByHopNotFirst { pointer } => refused(DropReason::Ip6ExtensionHeader, pointer),
            ExtensionError::Truncated { .. } | ExtensionError::TooMany => DropReason::Ip6ExtensionHeader,
        })?;
        for option in header.options().into_iter().flatten() {
            let option = option.map_err(|OptionError::Overrun { .. }| DropReason::Ip6ExtensionHeader)?;
            if option.is_padding() || is_known(option.option_type) {
                continue;
            }
            match option.unrecognized_action() {
                UnrecognizedAction::Skip => {}
                UnrecognizedAction::Discard => return Err(DropReason::Ip6Option),
                UnrecognizedAction::DiscardAndAnswer
                | UnrecognizedAction::DiscardAndAnswerUnlessMulticast => {
                    return Err(refused(DropReason::Ip6Option, option.offset));
                }
            }
        }
        if let Some(fragment) = header.fragment()
            && (fragment.more || fragment.offset != 0)
        {
            return if fragment.offset != 0 || headers.is_complete() {
                Ok(None)
            } else {
                Err(DropReason::Ip6FirstFragment)
            };
        }
        if let Some(routing) = header.routing()
            && routing.segments_left != 0
        {
            // The type, RFC 8200 section 4.4.
            return Err(refused(DropReason::Ip6RoutingHeader, header.offset + 2));
        }
    }
    let upper = headers
        .upper_layer()
        .map_err(|_| DropReason::Ip6ExtensionHeader)?;
    Ok(Some(upper))
}

/// RFC 8200 section 8.1.
fn udp_is_valid(packet: &Ipv6<'_>, upper: &UpperLayer<'_>) -> bool {
    Udp::parse(upper.payload).is_ok_and(|udp| udp.checksum_is_valid(packet.source(), packet.destination()))
}

/// The router alert changes nothing for a packet that has arrived.
fn is_known(option_type: u8) -> bool {
    option_type == extension::option_type::ROUTER_ALERT
}
