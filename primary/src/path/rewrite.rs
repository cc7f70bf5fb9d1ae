//! The last stage before the wire: TTL, MTU, link header. RFC 1812 sections 5.3.1 and 4.2.2.7.

use packet::ethernet::HEADER_LEN;
use packet::{MacAddress, ipv4};
use shm::DropReason;

use super::{Burst, Disposition, InterfaceView};

/// Makes packet `number` ready to leave by interface `egress` for `destination`.
#[inline]
pub(super) fn run(
    interfaces: &[InterfaceView],
    egress: u16,
    destination: MacAddress,
    burst: &mut Burst<'_, '_>,
    number: usize,
) {
    let (Some(packet), Some(note)) = (burst.packets.get_mut(number), burst.notes.get_mut(number)) else {
        return;
    };
    let Some(out) = interfaces.get(usize::from(egress)).filter(|out| out.is_up()) else {
        return note.drop(DropReason::InterfaceDown);
    };
    let network = usize::from(note.network);
    let Some(header) = packet
        .get_mut(network..)
        .and_then(|packet| packet.first_chunk_mut::<{ ipv4::HEADER_LEN }>())
    else {
        return note.drop(DropReason::Ip4Truncated);
    };
    if note.length as usize - network > usize::from(out.mtu) {
        return note.drop(DropReason::TooBig);
    }
    if ipv4::decrement_ttl(header).is_none() {
        return note.drop(DropReason::TtlExpired);
    }
    // The new link header ends where the network header begins; a tag that was there goes.
    let trim = network - HEADER_LEN;
    let Some(link) = packet
        .get_mut(trim..)
        .and_then(|frame| frame.first_chunk_mut::<HEADER_LEN>())
    else {
        return note.drop(DropReason::EthernetTruncated);
    };
    link[..6].copy_from_slice(&destination.octets());
    link[6..12].copy_from_slice(&out.mac.octets());
    // The EtherType in front of the network header is IPv4 whether or not a tag was there.
    note.trim = trim as u8;
    note.disposition = Disposition::Transmit(egress);
}
