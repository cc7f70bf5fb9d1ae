//! IPv4 packets for the gateway itself: ICMP echo is answered in place, RFC 1122 section 3.2.2.6.
//!
//! The reply leaves by the port, tag and MAC address that the request came from: the sender can be reached there, and
//! a lookup might choose a way that a filter on the way back does not know.

use packet::icmpv4::Icmpv4Error;
use packet::{Icmpv4, Ipv4, Protocol, Udp, ethernet, icmpv4, ipv4};
use shm::DropReason;

use super::punt::{self, Punts};
use super::{Disposition, InterfaceView, Note, ip4_record, vlan};

/// TTL of packets that the gateway makes itself, RFC 1700.
pub(super) const TTL: u8 = 64;

/// Answers a packet that came in by `interface`, leaves it to a tool, or drops it.
pub(super) fn run(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    packet: &mut [u8],
    note: &mut Note,
) {
    let end = usize::from(note.length);
    if packet.len() < end {
        note.disposition = Disposition::Gather;
    } else if let Some(end) = answer(interface, ingress, punts, packet, end, note) {
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
) -> Option<usize> {
    note.disposition = match take(interface, punts, packet, end, note) {
        Ok(Taken::Reply(end)) => {
            note.disposition = Disposition::Transmit(ingress);
            return Some(end);
        }
        Ok(Taken::Fragment) => Disposition::Reassemble,
        Ok(Taken::Tool) => note.disposition,
        Err(reason) => Disposition::Drop(reason),
    };
    None
}

enum Taken {
    /// It is the reply now, which ends here.
    Reply(usize),
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
) -> Result<Taken, DropReason> {
    let sender = packet.get(6..12).and_then(|mac| mac.first_chunk::<6>()).copied();
    let sender = sender.ok_or(DropReason::EthernetTruncated)?;
    let datagram = packet
        .get_mut(usize::from(note.network)..end)
        .ok_or(DropReason::Ip4Truncated)?;
    let header = Ipv4::parse(datagram).map_err(|_| DropReason::Ip4Truncated)?;
    if header.is_fragment() {
        return Ok(Taken::Fragment);
    }
    if header.protocol() == Protocol::UDP && !udp_is_valid(&header) {
        return Err(DropReason::UdpMalformed);
    }
    if header.protocol() == Protocol::UDP && punt::ike(punts, header.payload(), note) {
        return Ok(Taken::Tool);
    }
    if header.protocol() != Protocol::ICMP {
        return Err(DropReason::LocalUnhandled);
    }
    let header_len = header.header_len();
    let message = Icmpv4::parse(header.payload()).map_err(|_| DropReason::IcmpMalformed)?;
    if !message.checksum_is_valid() {
        return Err(DropReason::IcmpMalformed);
    }
    icmpv4::request_into_reply(datagram.get_mut(header_len..).unwrap_or_default()).map_err(|error| {
        match error {
            Icmpv4Error::Truncated => DropReason::IcmpMalformed,
            Icmpv4Error::NotEchoRequest => DropReason::LocalUnhandled,
        }
    })?;
    let header = datagram
        .first_chunk_mut::<{ ipv4::HEADER_LEN }>()
        .ok_or(DropReason::Ip4Truncated)?;
    ipv4::swap_addresses(header);
    ipv4::set_ttl(header, TTL);
    ipv4::clear_reserved_flag(header);
    let shorter = if header_len > ipv4::HEADER_LEN {
        rewrite_options(datagram, header_len)
    } else {
        0
    };
    ethernet::rewrite(packet, sender.into(), interface.mac).map_err(|_| DropReason::EthernetTruncated)?;
    Ok(Taken::Reply(end - shorter))
}

/// RFC 1122 section 4.1.3.4.
fn udp_is_valid(packet: &Ipv4<'_>) -> bool {
    Udp::parse(packet.payload()).is_ok_and(|udp| udp.checksum_is_valid(packet.source(), packet.destination()))
}

/// Gives a reply the options that it is to have, in place of those of the request; the bytes by which it is shorter.
#[cold]
fn rewrite_options(reply: &mut [u8], header_len: usize) -> usize {
    let Some((header, _)) = reply.split_at_checked(header_len) else {
        return 0;
    };
    let (first, options) = header.split_at(ipv4::HEADER_LEN);
    let address = first
        .get(12..)
        .and_then(<[u8]>::first_chunk::<4>)
        .copied()
        .unwrap_or_default();
    let (options, len) = ip4_record::for_reply(options, address.into());
    let new_len = ipv4::HEADER_LEN + len;
    let total = (reply.len() - (header_len - new_len)) as u16;
    reply.copy_within(header_len.., new_len);
    if let Some(header) = reply.get_mut(..new_len) {
        header[0] = 0x40 | (new_len / 4) as u8;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[ipv4::HEADER_LEN..].copy_from_slice(&options[..len]);
        ipv4::fill_checksum(header);
    }
    header_len - new_len
}
