//! The last stage before the wire: TTL, MTU, link header. RFC 1812 sections 5.3.1 and 4.2.2.7.

use packet::ethernet::HEADER_LEN;
use packet::{MacAddress, ipv4};
use shm::DropReason;

use super::{InterfaceView, Note};

/// Writes the headers of a packet that leaves by `out` for `destination`. Its first bytes are the new link header's; the
/// EtherType there is IPv4 already, since the last tag has the same place for it.
#[inline]
pub(super) fn run(
    out: &InterfaceView,
    destination: MacAddress,
    packet: &mut [u8],
    note: &Note,
) -> Result<(), DropReason> {
    let (link, rest) = packet
        .split_first_chunk_mut::<HEADER_LEN>()
        .ok_or(DropReason::EthernetTruncated)?;
    let header = rest
        .first_chunk_mut::<{ ipv4::HEADER_LEN }>()
        .ok_or(DropReason::Ip4Truncated)?;
    if note.length - u16::from(note.network) > out.mtu {
        return Err(DropReason::TooBig);
    }
    ipv4::decrement_ttl(header).ok_or(DropReason::TtlExpired)?;
    link[..6].copy_from_slice(&destination.octets());
    link[6..12].copy_from_slice(&out.mac.octets());
    Ok(())
}
