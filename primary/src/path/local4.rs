//! IPv4 packets for the gateway itself: ICMP echo is answered in place, RFC 1122 section 3.2.2.6.
//!
//! The reply leaves by the port, tag and MAC address that the request came from: the sender can be reached there, and
//! a lookup might choose a way that a filter on the way back does not know.

use packet::icmpv4::Icmpv4Error;
use packet::{Icmpv4, Ipv4, Protocol, ethernet, icmpv4, ipv4};
use shm::DropReason;

use super::punt::{self, Punts};
use super::{Disposition, InterfaceView, Note, ip4_options};

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
    } else if answer(interface, ingress, punts, packet, end, note) {
        note.echo_reply = true;
    }
}

/// As [`run`] for a packet of any length that ends at `end`; whether it is a reply now, of the same length.
pub(super) fn answer(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    packet: &mut [u8],
    end: usize,
    note: &mut Note,
) -> bool {
    match take(interface, punts, packet, end, note) {
        Ok(Taken::Reply) => {
            note.disposition = Disposition::Transmit(ingress);
            true
        }
        Ok(Taken::Fragment) => {
            note.disposition = Disposition::Reassemble;
            false
        }
        Ok(Taken::Tool) => false,
        Err(reason) => {
            note.drop(reason);
            false
        }
    }
}

enum Taken {
    /// It is the reply now.
    Reply,
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
    if !header.options().is_empty() && ip4_options::has_further_stations(datagram) {
        return Err(DropReason::Ip4SourceRoute);
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
    ethernet::rewrite(packet, sender.into(), interface.mac).map_err(|_| DropReason::EthernetTruncated)?;
    Ok(Taken::Reply)
}
