//! IPv4, by RFC 791, RFC 1122 and RFC 1812.

use std::net::Ipv4Addr;

use control::message::PuntClass;
use primary::path::punt::PuntMode;
use shm::DropReason;

use super::super::topology::{ROUTES4, Target, UNKNOWN4};
use super::{Expected, Packet, Reasons, fold, is_ike, is_udp, is_unfinished, routed, sum, u16_at};

/// What may become of the packet, and its length; 0 if it is not one.
pub(super) fn expected(packet: &Packet<'_>) -> (Expected, usize) {
    let bytes = packet.bytes;
    let mut faults = Reasons::default();
    let claims = if bytes.len() < 4 { 0 } else { u16_at(bytes, 2) };
    let oversize = packet.ingress.kernel_device && claims > packet.ingress.mtu;
    faults.add_if(oversize, DropReason::Oversize);
    let header_len = match header(bytes, &mut faults) {
        Some(length) => length,
        None => return (Expected::Drop(faults), 0),
    };
    let length = usize::from(claims);
    let bytes = &bytes[..length];
    addresses(packet, bytes, header_len, &mut faults);
    let options = options(&bytes[20..header_len]);
    faults.add_if(options.is_none(), DropReason::Ip4Options);
    let source_route = options.as_ref().is_some_and(|found| found.source_route);
    faults.add_if(source_route, DropReason::Ip4SourceRoute);
    if let Some(dropped) = faults.found() {
        return (dropped, length);
    }
    let options = options.unwrap_or_default();
    let punted = match options.router_alert {
        Some(_) if options.differ && packet.punts != PuntMode::Off => {
            return (
                Expected::Drop(Reasons::of(DropReason::RouterAlertDuplicate)),
                length,
            );
        }
        Some(_) => packet.punted(PuntClass::RouterAlert),
        None => None,
    };
    let expected = punted.unwrap_or_else(|| {
        let destination = Ipv4Addr::new(bytes[16], bytes[17], bytes[18], bytes[19]);
        match lookup(destination) {
            // RFC 1812 section 5.3.7; nobody may be answered who is the gateway itself, or everybody.
            Some(Target::Local) if is_from_here(bytes) => {
                Expected::Drop(Reasons::of(DropReason::Ip4MartianSource))
            }
            Some(Target::Local) => local(packet, bytes, header_len),
            target => {
                let length = (length, bytes[6] & 0x40 == 0);
                routed(target, length, bytes[8], destination.into(), UNKNOWN4.into())
            }
        }
    });
    (expected, length)
}

/// The header's length, unless there is a fault that makes all else meaningless: RFC 1812 section 5.2.2.
fn header(bytes: &[u8], faults: &mut Reasons) -> Option<usize> {
    if bytes.len() < 20 {
        faults.add(DropReason::Ip4Truncated);
        return None;
    }
    if bytes[0] >> 4 != 4 {
        faults.add(DropReason::Ip4Version);
        return None;
    }
    let header_len = usize::from(bytes[0] & 15) * 4;
    let total = usize::from(u16_at(bytes, 2));
    let is_short = header_len < 20;
    faults.add_if(is_short, DropReason::Ip4HeaderLength);
    let wrong_total = total > bytes.len() || total < header_len.max(20);
    faults.add_if(wrong_total, DropReason::Ip4TotalLength);
    let header = bytes.get(..header_len).filter(|_| !is_short);
    let wrong_sum = header.is_some_and(|header| fold(sum(0, header)) != 0xffff);
    faults.add_if(wrong_sum, DropReason::Ip4Checksum);
    (!is_short && !wrong_total && !wrong_sum).then_some(header_len)
}

/// RFC 1812 sections 5.3.4 and 5.3.7, and checksums that were left to hardware.
fn addresses(packet: &Packet<'_>, bytes: &[u8], header_len: usize, faults: &mut Reasons) {
    let nobody = |first: u8| first == 0 || first == 127;
    faults.add_if(
        nobody(bytes[12]) || bytes[12] >= 224,
        DropReason::Ip4MartianSource,
    );
    let to_all = bytes[16] & 0xf0 == 0xe0 || bytes[16..20] == [255; 4];
    faults.add_if(to_all, DropReason::Ip4Multicast);
    let reserved = bytes[16] >= 240 && !to_all;
    faults.add_if(nobody(bytes[16]) || reserved, DropReason::Ip4MartianDestination);
    faults.add_if(packet.group, DropReason::Ip4LinkBroadcast);
    let is_fragment = u16_at(bytes, 6) & 0x3fff != 0;
    let unfinished = packet.ingress.kernel_device
        && !is_fragment
        && is_unfinished(&bytes[12..20], bytes[9], &bytes[header_len..]);
    faults.add_if(unfinished, DropReason::PartialChecksum);
}

#[derive(Default)]
struct Options {
    /// The value of the first.
    router_alert: Option<u16>,
    /// There is another with another value.
    differ: bool,
    /// A source route, which nobody follows: RFC 7126 section 4.3.5.
    source_route: bool,
    /// Record route and timestamp, which are there once at most.
    written: [bool; 2],
}

/// RFC 791 section 3.1; `None` if they are malformed.
fn options(mut options: &[u8]) -> Option<Options> {
    let mut found = Options::default();
    loop {
        match options {
            [] | [0, ..] => return Some(found),
            [1, rest @ ..] => options = rest,
            [kind, length, ..] => {
                let length = usize::from(*length);
                if length < 2 || length > options.len() {
                    return None;
                }
                match kind {
                    // RFC 2113 section 2.1.
                    148 if length == 4 => {
                        let value = u16_at(options, 2);
                        found.differ |= *found.router_alert.get_or_insert(value) != value;
                    }
                    148 => return None,
                    131 | 137 if length < 3 || options[2] < 4 => return None,
                    // RFC 1812 section 5.2.4.1.
                    131 | 137 if found.source_route => return None,
                    131 | 137 => found.source_route = true,
                    7 | 68 => {
                        let seen = &mut found.written[usize::from(*kind == 68)];
                        if *seen || !has_room_or_is_full(&options[..length]) {
                            return None;
                        }
                        *seen = true;
                    }
                    _ => {}
                }
                options = &options[length..];
            }
            [_] => return None,
        }
    }
}

/// RFC 791 section 3.1, of a record route or timestamp option: the next entry fits, or there is room for nothing; a full timestamp
/// counts up to 15.
fn has_room_or_is_full(option: &[u8]) -> bool {
    let is_time = option[0] == 68;
    let least = if is_time { 4 } else { 3 };
    if option.len() < least || usize::from(option[2]) <= least {
        return false;
    }
    let (left, flag) = (option.len() + 1, if is_time { option[3] & 15 } else { 0 });
    let left = left.saturating_sub(usize::from(option[2]));
    match (left, flag) {
        (0, 3) => true,
        (0, _) => !is_time || option[3] >> 4 < 15,
        (_, 0) => left >= 4,
        (_, 1 | 3) => left >= 8,
        _ => true,
    }
}

/// Whether the source is an address of the gateway, or a subnet's broadcast address.
pub(in super::super) fn is_from_here(bytes: &[u8]) -> bool {
    let source = Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]);
    matches!(lookup(source), Some(Target::Local | Target::Broadcast))
}

/// A packet for the gateway itself: RFC 1122 sections 3.2.2 and 3.3.
fn local(packet: &Packet<'_>, bytes: &[u8], header_len: usize) -> Expected {
    if u16_at(bytes, 6) & 0x3fff != 0 {
        return Expected::Reassemble;
    }
    let payload = &bytes[header_len..];
    if bytes[9] == 17 && !is_udp(&bytes[12..20], payload, true) {
        return Expected::Drop(Reasons::of(DropReason::UdpMalformed));
    }
    if packet.punts != PuntMode::Off
        && is_ike(bytes[9], payload)
        && let Some(punted) = packet.punted(PuntClass::Ike)
    {
        return punted;
    }
    let reason = if bytes[9] != 1 {
        DropReason::LocalUnhandled
    } else if payload.len() < 8 || fold(sum(0, payload)) != 0xffff {
        DropReason::IcmpMalformed
    } else if payload[..2] == [8, 0] {
        return Expected::EchoReply;
    } else {
        DropReason::LocalUnhandled
    };
    Expected::Drop(Reasons::of(reason))
}

/// The longest prefix that matches, one by one.
fn lookup(destination: Ipv4Addr) -> Option<Target> {
    let matching = |(network, length, _): &&(Ipv4Addr, u8, Target)| {
        let differ = network.to_bits() ^ destination.to_bits();
        *length == 0 || differ >> (32 - u32::from(*length)) == 0
    };
    let longest = ROUTES4
        .iter()
        .filter(matching)
        .max_by_key(|(_, length, _)| *length);
    longest.map(|(_, _, target)| *target)
}
