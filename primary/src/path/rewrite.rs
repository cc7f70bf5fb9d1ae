//! The last stage before the wire: TTL or hop limit, MTU, link header. RFC 1812 sections 5.3.1 and 4.2.2.7, RFC 8200
//! section 3.

use fib::NextHop;
use packet::ethernet::HEADER_LEN;
use packet::{MacAddress, ipv4, ipv6};
use shm::{DropReason, PathStage};

use super::redirect::Received;
use super::{Disposition, Family, InterfaceView, Note, Stages, Tracer};
use crate::adjacency;

/// Where a packet goes on to.
#[derive(Clone, Copy)]
pub(super) struct Onward {
    /// The adjacency that the other two are of.
    pub(super) next_hop: NextHop,
    pub(super) egress: u16,
    pub(super) mac: MacAddress,
    /// The longest IP packet that its route takes.
    pub(super) mtu: u16,
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Makes a packet that came in by the port of interface `ingress` ready to leave.
    pub(super) fn forward<T: Tracer>(
        &self,
        tracer: &mut T,
        ingress: u16,
        to: Onward,
        packet: &mut [u8],
        note: &mut Note,
    ) {
        let Some(out) = self.up(to.egress) else {
            // Routes of a tunnel that lacks SAs lead there all the same.
            return match self.interfaces.tunnel(to.egress) {
                Some(_) => {
                    note.detail = to.egress;
                    note.drop(DropReason::TunnelDown);
                }
                None => note.drop(DropReason::InterfaceDown),
            };
        };
        let received = if out.redirects && to.egress == note.ingress(ingress) {
            Received::of(packet, usize::from(note.network))
        } else {
            None
        };
        // The new link header ends where the network header begins; a tag that was there goes.
        note.trim = note.network.saturating_sub(HEADER_LEN as u8);
        let behind = note.behind(packet.len());
        let packet = packet.get_mut(usize::from(note.trim)..).unwrap_or_default();
        let rest = packet.get(HEADER_LEN..).unwrap_or_default();
        let mtu = match &out.tunnel {
            Some(tunnel) => to.mtu.min(tunnel.path_mtu.of(note.family)),
            None => to.mtu,
        };
        let result = if note.length - u16::from(note.network) > mtu {
            Err(too_long(mtu.min(out.mtu), rest, note))
        } else {
            run(out, to.mac, packet, note)
        };
        note.disposition = match result {
            Ok(()) => Disposition::Transmit(to.egress),
            Err(reason) => refused(reason, (to.egress, out), to.mac, packet, note),
        };
        if matches!(note.disposition, Disposition::Drop(_)) {
            return;
        }
        if let Some(received) = received {
            received.put_back(packet);
            if matches!(note.disposition, Disposition::Fragment(_)) {
                note.passed = note.passed.with(PathStage::Fragment);
            }
            note.passed = note.passed.with(PathStage::Redirect);
            note.disposition = Disposition::Redirect {
                interface: to.egress,
                adjacency: to.next_hop,
            };
        }
        if note.careful && note.family == Family::Four {
            note.passed = note.passed.with(PathStage::Ip4Record);
            tracer.enter(PathStage::Ip4Record);
            self.record(out, packet, behind);
        }
    }
}

/// Writes the headers of a packet that leaves by `out` for `destination`. Its first bytes are the new link header's; the
/// EtherType there is right already, since the last tag has the same place for it.
#[inline]
pub(super) fn run(
    out: &InterfaceView,
    destination: MacAddress,
    packet: &mut [u8],
    note: &mut Note,
) -> Result<(), DropReason> {
    let (link, rest) = packet
        .split_first_chunk_mut::<HEADER_LEN>()
        .ok_or(DropReason::EthernetTruncated)?;
    if note.length - u16::from(note.network) > out.mtu {
        return Err(too_long(out.mtu, rest, note));
    }
    headers(out, destination, link, rest, note)
}

/// What becomes of a packet that [`run`] refused: one of IPv4 that is too long for `out`, and may be cut, leaves in fragments.
#[cold]
pub(super) fn refused(
    reason: DropReason,
    (egress, out): (u16, &InterfaceView),
    destination: MacAddress,
    packet: &mut [u8],
    note: &mut Note,
) -> Disposition {
    const DONT_FRAGMENT: u8 = 0x40;
    let may_be_cut = reason == DropReason::TooBig && note.family == Family::Four;
    match packet.split_first_chunk_mut::<HEADER_LEN>() {
        Some((link, rest)) if may_be_cut && rest.get(6).is_some_and(|flags| flags & DONT_FRAGMENT == 0) => {
            match headers(out, destination, link, rest, note) {
                Ok(()) => Disposition::Fragment(egress),
                Err(reason) => Disposition::Drop(reason),
            }
        }
        _ => Disposition::Drop(reason),
    }
}

/// Writes the headers alone.
#[inline(always)]
pub(super) fn headers(
    out: &InterfaceView,
    destination: MacAddress,
    link: &mut [u8; HEADER_LEN],
    rest: &mut [u8],
    note: &Note,
) -> Result<(), DropReason> {
    match note.family {
        Family::Four => {
            let header = rest
                .first_chunk_mut::<{ ipv4::HEADER_LEN }>()
                .ok_or(DropReason::Ip4Truncated)?;
            ipv4::decrement_ttl(header).ok_or(DropReason::TtlExpired)?;
        }
        Family::Six => {
            let header = rest
                .first_chunk_mut::<{ ipv6::HEADER_LEN }>()
                .ok_or(DropReason::Ip6Truncated)?;
            ipv6::decrement_hop_limit(header).ok_or(DropReason::TtlExpired)?;
        }
    }
    link[..6].copy_from_slice(&destination.octets());
    link[6..12].copy_from_slice(&out.mac.octets());
    Ok(())
}

/// What becomes of a packet, from its IP header on, that is longer than `mtu`.
#[cold]
pub(super) fn too_long(mtu: u16, packet: &[u8], note: &mut Note) -> DropReason {
    if has_expired(note.family, packet) {
        return DropReason::TtlExpired;
    }
    note.detail = mtu;
    DropReason::TooBig
}

/// Whether a packet whose header this is may go no further. That is asked before its length and before its next hop's MAC
/// address: RFC 1812 section 5.2.1.2.
#[cold]
pub(super) fn has_expired(family: Family, header: &[u8]) -> bool {
    let ttl = match family {
        Family::Four => 8,
        Family::Six => 7,
    };
    header.get(ttl).is_none_or(|ttl| *ttl <= 1)
}
