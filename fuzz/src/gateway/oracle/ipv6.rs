//! IPv6, by RFC 8200, RFC 4291, RFC 4443 and RFC 4861.

use std::net::Ipv6Addr;

use control::message::PuntClass;
use primary::path::punt::PuntMode;
use shm::DropReason;

use super::super::topology::{INTERFACES, ROUTES6, Target, UNKNOWN6};
use super::hop_by_hop::{self, Judged};
use super::{Expected, Packet, Reasons, fold, is_ike, is_udp, is_unfinished, pseudo, routed, sum, u16_at};

/// What may become of the packet, and its length; 0 if it is not one.
pub(super) fn expected(packet: &Packet<'_>) -> (Expected, usize) {
    let bytes = packet.bytes;
    let mut faults = Reasons::default();
    let claims = if bytes.len() < 6 {
        0
    } else {
        40 + usize::from(u16_at(bytes, 4))
    };
    let oversize = packet.ingress.kernel_device && claims > usize::from(packet.ingress.mtu);
    faults.add_if(oversize, DropReason::Oversize);
    if bytes.len() < 40 {
        faults.add(DropReason::Ip6Truncated);
    } else if bytes[0] >> 4 != 6 {
        faults.add(DropReason::Ip6Version);
    } else {
        faults.add_if(claims > bytes.len(), DropReason::Ip6PayloadLength);
    }
    if bytes.len() < 40 || bytes[0] >> 4 != 6 || claims > bytes.len() {
        return (Expected::Drop(faults), 0);
    }
    let bytes = &bytes[..claims];
    let (source, destination) = (address(bytes, 8), address(bytes, 24));
    let here = addresses(packet, source, destination, &mut faults);
    let chain = Chain::of(bytes);
    let unfinished = packet.ingress.kernel_device
        && matches!(chain.ending, Ending::Upper)
        && !chain.is_fragment()
        && !chain.has_segments_left(bytes)
        && is_unfinished(&bytes[8..40], chain.protocol, &bytes[chain.offset..]);
    faults.add_if(unfinished, DropReason::PartialChecksum);
    let stays = [DropReason::Ip6Multicast, DropReason::Ip6LinkLocal];
    let stays = here || stays.into_iter().any(|reason| faults.contains(reason));
    let options = hop_by_hop::judge(packet, bytes, !stays);
    if stays && let Judged::Wrong(wrong) = options {
        // Said before where a packet may not go.
        faults = faults.union(wrong);
    }
    if let Some(dropped) = faults.found() {
        return (dropped, claims);
    }
    if here {
        // No lookup on this way: of the gateway's addresses it knows that of the link.
        let from_here = source == packet.ingress.addresses.2;
        return (local(packet, bytes, &chain, from_here), claims);
    }
    if let Some(dropped) = options.dropped() {
        return (dropped, claims);
    }
    if matches!(options, Judged::Alert)
        && let Some(punted) = packet.punted(PuntClass::RouterAlert)
    {
        return (punted, claims);
    }
    let target = lookup(destination);
    if target == Some(Target::Local) {
        let from_here = is_from_here(bytes, packet.ingress.addresses.2);
        return (local(packet, bytes, &chain, from_here), claims);
    }
    let mut expected = routed(
        target,
        (claims, false),
        bytes[7],
        destination.into(),
        UNKNOWN6.into(),
    );
    let stays = |interface: u16| INTERFACES[usize::from(interface)].mac == packet.ingress.mac;
    let leaves_link = match expected {
        Expected::Forward(interface) | Expected::Fragment(interface) | Expected::Wait(interface, _) => {
            !stays(interface)
        }
        _ => true,
    };
    if is_link_local(source) && leaves_link {
        // RFC 4291 section 2.5.6: it stays on its link, whatever else may be said of it.
        let mut faults = Reasons::of(DropReason::Ip6Scope);
        if let Expected::Drop(others) = expected {
            faults.0 |= others.0;
        }
        expected = Expected::Drop(faults);
    }
    (expected, claims)
}

/// RFC 4291 section 2; whether the packet is for this link and the gateway takes it.
fn addresses(packet: &Packet<'_>, source: Ipv6Addr, destination: Ipv6Addr, faults: &mut Reasons) -> bool {
    let mapped = |address: Ipv6Addr| address.segments()[..6] == [0, 0, 0, 0, 0, 0xffff];
    let own = |address: Ipv6Addr| address == Ipv6Addr::LOCALHOST || mapped(address);
    let unspecified = source == Ipv6Addr::UNSPECIFIED;
    let is_group = |address: Ipv6Addr| address.octets()[0] == 0xff;
    let martian = is_group(source) || own(source) || unspecified && !is_group(destination);
    faults.add_if(martian, DropReason::Ip6MartianSource);
    if is_group(destination) {
        // Sections 2.7.1 and 2.8.
        let segments = destination.segments();
        let all = segments[..7] == [0xff02, 0, 0, 0, 0, 0, 0] && matches!(segments[7], 1 | 2);
        let (_, six, link_local) = packet.ingress.addresses;
        let is_for = |own: Ipv6Addr| own.octets()[13..] == destination.octets()[13..];
        let solicited = segments[..6] == [0xff02, 0, 0, 0, 0, 1]
            && segments[6] >> 8 == 0xff
            && (is_for(six) || is_for(link_local));
        faults.add_if(!all && !solicited, DropReason::Ip6Multicast);
        return true;
    }
    let nobody = destination == Ipv6Addr::UNSPECIFIED || own(destination);
    faults.add_if(nobody, DropReason::Ip6MartianDestination);
    faults.add_if(packet.group, DropReason::Ip6LinkMulticast);
    let own = [packet.ingress.addresses.2, LINK_ROUTERS];
    let others = is_link_local(destination) && !own.contains(&destination);
    faults.add_if(others, DropReason::Ip6LinkLocal);
    is_link_local(destination)
}

/// All routers of the link: RFC 4291 section 2.6.1.
pub(in super::super) const LINK_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

fn address(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    octets.into()
}

/// How a chain of extension headers ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    Upper,
    /// A header goes beyond the packet, or there are more than 16.
    Broken,
    /// Hop-by-hop options that are not first.
    Misplaced,
}

/// Extension headers, RFC 8200 section 4.
pub(in super::super) struct Chain {
    /// Protocol, offset and length of each.
    headers: [(u8, usize, usize); 16],
    count: usize,
    fragment: Option<(u16, bool)>,
    pub(in super::super) ending: Ending,
    /// What follows the last header.
    pub(in super::super) protocol: u8,
    pub(in super::super) offset: usize,
}

impl Chain {
    pub(in super::super) fn of(bytes: &[u8]) -> Self {
        Self::read(bytes, false)
    }

    /// As `of`, but misplaced hop-by-hop options do not end it.
    pub(in super::super) fn through_misplaced(bytes: &[u8]) -> Self {
        Self::read(bytes, true)
    }

    fn read(bytes: &[u8], through_misplaced: bool) -> Self {
        let mut chain = Self {
            headers: [(0, 0, 0); 16],
            count: 0,
            fragment: None,
            ending: Ending::Upper,
            protocol: bytes[6],
            offset: 40,
        };
        while matches!(chain.protocol, 0 | 43 | 44 | 51 | 60) && !chain.is_later_fragment() {
            if chain.protocol == 0 && chain.offset != 40 && !through_misplaced {
                chain.ending = Ending::Misplaced;
                break;
            }
            let left = bytes.len() - chain.offset;
            let length = match (left, chain.protocol) {
                (0 | 1, _) => usize::MAX,
                (_, 44) => 8,
                (_, 51) => (usize::from(bytes[chain.offset + 1]) + 2) * 4,
                _ => (usize::from(bytes[chain.offset + 1]) + 1) * 8,
            };
            if chain.count == 16 || length > left {
                chain.ending = Ending::Broken;
                break;
            }
            if chain.protocol == 44 {
                let word = u16_at(bytes, chain.offset + 2);
                chain.fragment = Some((word >> 3, word & 1 == 1));
            }
            chain.headers[chain.count] = (chain.protocol, chain.offset, length);
            chain.count += 1;
            chain.protocol = bytes[chain.offset];
            chain.offset += length;
        }
        chain
    }

    fn headers(&self) -> &[(u8, usize, usize)] {
        &self.headers[..self.count]
    }

    fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|(offset, more)| offset != 0 || more)
    }

    pub(in super::super) fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|(offset, _)| offset != 0)
    }

    /// Whether the packet, a first fragment, ends before the header of its upper layer does.
    fn is_short(&self, bytes: &[u8]) -> bool {
        let least = match self.protocol {
            6 => 20,
            17 | 58 => 8,
            59 => 0,
            _ => 1,
        };
        match self.ending {
            Ending::Upper => !self.is_later_fragment() && bytes.len() - self.offset < least,
            Ending::Broken => self.count < 16,
            Ending::Misplaced => false,
        }
    }

    fn has_segments_left(&self, bytes: &[u8]) -> bool {
        let mut headers = self.headers().iter();
        headers.any(|(protocol, offset, _)| *protocol == 43 && bytes[offset + 3] != 0)
    }
}

/// Offset and type of each option of a header, and at last `None` if one goes beyond it.
pub(super) fn options(
    bytes: &[u8],
    offset: usize,
    length: usize,
) -> impl Iterator<Item = Option<(u8, usize)>> {
    let end = offset + length;
    let mut at = offset + 2;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let option = (bytes[at], at);
        let length = match bytes[at] {
            0 => 1,
            _ if at + 1 == end => usize::MAX,
            _ => 2 + usize::from(bytes[at + 1]),
        };
        if length > end - at {
            at = end;
            return Some(None);
        }
        at += length;
        Some(Some(option))
    })
}

/// What the extension headers of a packet for the gateway itself say: against it, or that it is a part of one.
fn refused(bytes: &[u8], chain: &Chain) -> Option<Expected> {
    let mut faults = Reasons::default();
    for (protocol, offset, length) in chain.headers() {
        if matches!(protocol, 0 | 60) {
            for option in options(bytes, *offset, *length) {
                match option {
                    None => faults.add(DropReason::Ip6ExtensionHeader),
                    // Padding, router alert, and what says that it may be skipped: section 4.2.
                    Some((kind, _)) if kind >> 6 == 0 => continue,
                    Some(_) => faults.add(DropReason::Ip6Option),
                }
                return faults.found();
            }
        }
        if *protocol == 43 && bytes[offset + 3] != 0 {
            faults.add(DropReason::Ip6RoutingHeader);
            return faults.found();
        }
        if *protocol == 44 && u16_at(bytes, offset + 2) & 0xfff9 != 0 {
            // Headers are processed in order: what follows is seen once the packet is whole, but must be there, section 4.5.
            faults.add_if(
                u16_at(bytes, offset + 2) >> 3 == 0 && chain.is_short(bytes),
                DropReason::Ip6FirstFragment,
            );
            return faults.found().or(Some(Expected::Reassemble));
        }
    }
    faults.add_if(chain.ending != Ending::Upper, DropReason::Ip6ExtensionHeader);
    faults.found()
}

/// A packet for the gateway itself, or for a group that it is in.
fn local(packet: &Packet<'_>, bytes: &[u8], chain: &Chain, from_here: bool) -> Expected {
    if let Some(expected) = refused(bytes, chain) {
        return expected;
    }
    let payload = &bytes[chain.offset..];
    if from_here && chain.protocol != 58 {
        return Expected::Drop(Reasons::of(DropReason::Ip6MartianSource));
    }
    if chain.protocol == 17 && !is_udp(&bytes[8..40], payload, false) {
        return Expected::Drop(Reasons::of(DropReason::UdpMalformed));
    }
    if packet.punts != PuntMode::Off
        && is_ike(chain.protocol, payload)
        && let Some(punted) = packet.punted(PuntClass::Ike)
    {
        return punted;
    }
    let dropped = |reason| Expected::Drop(Reasons::of(reason));
    if chain.protocol != 58 {
        return dropped(DropReason::LocalUnhandled);
    }
    let expected = pseudo(&bytes[8..40], 58, payload.len());
    if payload.len() < 8 || fold(sum(expected, payload)) != 0xffff {
        return dropped(DropReason::IcmpMalformed);
    }
    if matches!(payload[0], 135 | 136) {
        return Expected::Nd;
    }
    let mut faults = Reasons::default();
    faults.add_if(from_here || bytes[8..24] == [0; 16], DropReason::Ip6MartianSource);
    faults.add_if(bytes[24] == 0xff && payload[0] != 128, DropReason::Ip6Multicast);
    faults.found().unwrap_or(if payload[..2] == [128, 0] {
        Expected::EchoReply
    } else {
        dropped(DropReason::LocalUnhandled)
    })
}

/// Whether the source is an address of the gateway; of the link-local ones, that of this link.
pub(in super::super) fn is_from_here(bytes: &[u8], link_local: Ipv6Addr) -> bool {
    is_own(address(bytes, 8), link_local)
}

/// Whether the destination is.
pub(in super::super) fn is_for_here(bytes: &[u8], link_local: Ipv6Addr) -> bool {
    is_own(address(bytes, 24), link_local)
}

fn is_own(address: Ipv6Addr, link_local: Ipv6Addr) -> bool {
    address == link_local || matches!(lookup(address), Some(Target::Local))
}

/// The longest prefix that matches, one by one.
fn lookup(destination: Ipv6Addr) -> Option<Target> {
    let matching = |(network, length, _): &&(Ipv6Addr, u8, Target)| {
        let differ = network.to_bits() ^ destination.to_bits();
        *length == 0 || differ >> (128 - u32::from(*length)) == 0
    };
    let longest = ROUTES6
        .iter()
        .filter(matching)
        .max_by_key(|(_, length, _)| *length);
    longest.map(|(_, _, target)| *target)
}
