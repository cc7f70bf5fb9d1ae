//! Packets for the gateway itself: ICMP echo is answered in place, RFC 1122 section 3.2.2.6.
//!
//! The reply leaves by the port, tag and MAC address that the request came from: the sender can be reached there, and
//! a lookup might choose a way that a filter on the way back does not know.

use packet::icmpv4::Icmpv4Error;
use packet::{Icmpv4, Ipv4, Protocol, ethernet, icmpv4, ipv4};
use shm::DropReason;

use super::punt::{self, Punts};
use super::{Disposition, InterfaceView, Note};

/// TTL of packets that the gateway makes itself, RFC 1700.
const TTL: u8 = 64;

/// Answers a packet that came in by `ingress`, leaves it to a tool, or drops it.
pub(super) fn run(
    interfaces: &[InterfaceView],
    punts: &Punts,
    ingress: u16,
    packet: &mut [u8],
    note: &mut Note,
) {
    if punt::ike(punts, packet, note) {
        return;
    }
    let Some(interface) = interfaces.get(usize::from(ingress)) else {
        return note.drop(DropReason::InterfaceDown);
    };
    match answer(
        interface,
        packet,
        usize::from(note.network),
        usize::from(note.length),
    ) {
        Ok(()) => {
            note.disposition = Disposition::Transmit(ingress);
            note.echo_reply = true;
        }
        Err(reason) => note.drop(reason),
    }
}

fn answer(
    interface: &InterfaceView,
    packet: &mut [u8],
    network: usize,
    end: usize,
) -> Result<(), DropReason> {
    let sender = packet.get(6..12).and_then(|mac| mac.first_chunk::<6>()).copied();
    let sender = sender.ok_or(DropReason::EthernetTruncated)?;
    let datagram = packet.get_mut(network..end).ok_or(DropReason::Ip4Truncated)?;
    let header = Ipv4::parse(datagram).map_err(|_| DropReason::Ip4Truncated)?;
    if header.is_fragment() {
        return Err(DropReason::LocalFragment);
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
    ethernet::rewrite(packet, sender.into(), interface.mac).map_err(|_| DropReason::EthernetTruncated)
}
