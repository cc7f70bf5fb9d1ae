//! Packets too long for the interface that they leave by: cut into fragments, all or none.

use std::ops::Range;

use dpdk::{Mbuf, MbufBatch, MbufError};
use packet::ethernet::HEADER_LEN;
use packet::fragment::{Cut, Cuts, cut_v4, cut_v6};
use packet::ipv6;
use shm::{DropReason, InterfaceCounter, PathStage};

use super::Engine;
use super::dispatch::Refused;
use crate::adjacency;
use crate::path::{Family, Note};

/// Fragments of the longest packet on the narrowest link.
pub(super) const MOST_FRAGMENTS: usize = 65_535 / 48 + 1;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Sends a packet in fragments of at most the MTU that its note says.
    #[cold]
    pub(super) fn fragment(
        &mut self,
        ingress: u16,
        egress: u16,
        mbuf: Mbuf,
        note: &Note,
    ) -> Result<(), Refused> {
        let network = usize::from(note.trim) + HEADER_LEN;
        let header = mbuf.data().get(network..).unwrap_or_default();
        let Some(cuts) = cut_v4(header, note.detail) else {
            return Err((mbuf, DropReason::TooBig));
        };
        let header_len = usize::from(header.first().copied().unwrap_or_default() & 0x0f) * 4;
        let link = mbuf
            .data()
            .get(usize::from(note.trim)..network)
            .unwrap_or_default();
        let payload = |range: Range<usize>| part(mbuf.segments(), offset(range, network + header_len));
        match self.send_fragments(ingress, egress, Some(&mbuf), link, payload, cuts) {
            Ok(()) => Ok(()),
            Err(reason) => Err((mbuf, reason)),
        }
    }

    /// Sends a packet that the gateway made itself, in fragments if it must be.
    #[cold]
    pub(super) fn send_frame(
        &mut self,
        ingress: u16,
        egress: u16,
        frame: &[u8],
        link_len: usize,
        family: Family,
    ) -> Result<(), DropReason> {
        let (link, packet) = frame
            .split_at_checked(link_len)
            .ok_or(DropReason::EthernetTruncated)?;
        let mtu = self.stages.mtu(egress);
        if packet.len() <= usize::from(mtu) {
            let mbuf = self.filled(ingress, &[frame]).map_err(|_| DropReason::NoBuffer)?;
            return self.leave(egress, mbuf).map_err(|(_, reason)| reason);
        }
        let (cuts, header_len) = match family {
            Family::Four => {
                let header_len = usize::from(packet.first().copied().unwrap_or_default() & 0x0f) * 4;
                (cut_v4(packet, mtu), header_len)
            }
            Family::Six => {
                let identification = self.identification6();
                let header = packet.first_chunk::<{ ipv6::HEADER_LEN }>();
                let cuts = header.and_then(|header| cut_v6(header, mtu, identification));
                (cuts, ipv6::HEADER_LEN)
            }
        };
        let cuts = cuts.ok_or(DropReason::TooBig)?;
        let payload = |range: Range<usize>| part(std::iter::once(packet), offset(range, header_len));
        self.send_fragments(ingress, egress, None, link, payload, cuts)
    }

    /// `payload` gives bytes of the payload by their range, of packet `of`, if it is one in a buffer.
    fn send_fragments<'p, P: Iterator<Item = &'p [u8]>>(
        &mut self,
        ingress: u16,
        egress: u16,
        of: Option<&Mbuf>,
        link: &[u8],
        payload: impl Fn(Range<usize>) -> P,
        cuts: Cuts,
    ) -> Result<(), DropReason> {
        // Freed together when one cannot be had.
        let mut made = MbufBatch::<MOST_FRAGMENTS>::new();
        for cut in cuts {
            let mut mbuf = self
                .fragment_of(ingress, link, &cut, payload(cut.payload.clone()))
                .map_err(|_| DropReason::NoBuffer)?;
            if let Some(of) = of {
                mbuf.copy_mark(of);
            }
            made.push(mbuf).map_err(|_| DropReason::NoBuffer)?;
        }
        let count = made.len() as u64;
        self.counters.add(egress, InterfaceCounter::Fragmented, 1);
        self.counters.add(egress, InterfaceCounter::Fragments, count);
        self.counters
            .add(egress, InterfaceCounter::Originated, count.saturating_sub(1));
        for mbuf in made.drain() {
            if let Err((mut mbuf, reason)) = self.leave(egress, mbuf) {
                self.drop_one(ingress, reason, PathStage::Fragment, &mut mbuf);
            }
        }
        Ok(())
    }

    /// The fragments of an outer packet of IPv6 that a tunnel sends, of at most `mtu` bytes each.
    #[cold]
    pub(super) fn outer_fragments(
        &mut self,
        tunnel: u16,
        mbuf: &Mbuf,
        mtu: u16,
    ) -> Result<MbufBatch<MOST_FRAGMENTS>, DropReason> {
        let (link, packet) = mbuf
            .data()
            .split_at_checked(HEADER_LEN)
            .ok_or(DropReason::TunnelMalformed)?;
        let identification = self.identification6();
        let cuts = packet
            .first_chunk()
            .and_then(|header| cut_v6(header, mtu, identification))
            .ok_or(DropReason::TooBig)?;
        self.cut(tunnel, mbuf, link, cuts, ipv6::HEADER_LEN)
    }

    /// The identification of the next IPv6 packet that is sent in fragments.
    pub(super) fn identification6(&mut self) -> u32 {
        self.identification = self.identification.wrapping_add(1);
        mixed(self.identification)
    }

    /// The fragments of a packet without tags whose header has `header_len` bytes, counted at `interface`, by which they came in as well.
    pub(super) fn cut(
        &self,
        interface: u16,
        mbuf: &Mbuf,
        link: &[u8],
        cuts: Cuts,
        header_len: usize,
    ) -> Result<MbufBatch<MOST_FRAGMENTS>, DropReason> {
        // Freed together when one cannot be had.
        let mut made = MbufBatch::<MOST_FRAGMENTS>::new();
        for cut in cuts {
            let payload = offset(cut.payload.clone(), HEADER_LEN + header_len);
            let mut fragment = self
                .fragment_of(interface, link, &cut, part(mbuf.segments(), payload))
                .map_err(|_| DropReason::NoBuffer)?;
            fragment.copy_mark(mbuf);
            made.push(fragment).map_err(|_| DropReason::NoBuffer)?;
        }
        let count = made.len() as u64;
        self.counters.add(interface, InterfaceCounter::Fragmented, 1);
        self.counters.add(interface, InterfaceCounter::Fragments, count);
        self.counters
            .add(interface, InterfaceCounter::Originated, count.saturating_sub(1));
        Ok(made)
    }

    fn fragment_of<'p>(
        &self,
        ingress: u16,
        link: &[u8],
        cut: &Cut,
        payload: impl Iterator<Item = &'p [u8]>,
    ) -> Result<Mbuf, MbufError> {
        let mut mbuf = self.filled(ingress, &[link, cut.headers()])?;
        for bytes in payload {
            mbuf.extend(&self.pool, bytes)?;
        }
        Ok(mbuf)
    }

    /// A new packet of these bytes that counts as received by `ingress`.
    pub(super) fn filled(&self, ingress: u16, parts: &[&[u8]]) -> Result<Mbuf, MbufError> {
        let mut mbuf = self.pool.alloc().ok_or(MbufError::NoTailroom {
            needed: parts.iter().map(|part| part.len()).sum(),
            available: 0,
        })?;
        if let Some(port) = self.port_of(ingress) {
            mbuf.set_port(port);
        }
        for bytes in parts {
            mbuf.extend(&self.pool, bytes)?;
        }
        Ok(mbuf)
    }

    /// Puts a packet where it leaves; one of several segments in one, where the port takes no other.
    #[inline]
    pub(super) fn leave(&mut self, egress: u16, mbuf: Mbuf) -> Result<(), Refused> {
        let mbuf = if mbuf.segment_count() == 1 {
            mbuf
        } else {
            self.in_segments_for(egress, mbuf)?
        };
        self.send(egress, mbuf).map_err(|mbuf| (mbuf, DropReason::TxFull))
    }

    #[cold]
    fn in_segments_for(&self, egress: u16, mbuf: Mbuf) -> Result<Mbuf, Refused> {
        if self.stages.interfaces.tunnel(egress).is_some() {
            // It comes by here again, for the port that its outer packet leaves by.
            return Ok(mbuf);
        }
        let port = self.stages.interfaces.port_of(egress);
        if self.takes_chains.get(usize::from(port)) == Some(&true) {
            return Ok(mbuf);
        }
        let Some(mut one) = self.pool.alloc() else {
            return Err((mbuf, DropReason::NoBuffer));
        };
        if let Some(port) = mbuf.port() {
            one.set_port(port);
        }
        one.copy_mark(&mbuf);
        if mbuf.len() > one.tailroom() {
            return Err((mbuf, DropReason::Segmented));
        }
        // There is room for each.
        let copied = mbuf.segments().try_for_each(|segment| one.append(segment));
        match copied {
            Ok(()) => Ok(one),
            Err(_) => Err((mbuf, DropReason::Segmented)),
        }
    }
}

fn offset(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// The bytes of a range over several pieces.
fn part<'p>(pieces: impl Iterator<Item = &'p [u8]>, range: Range<usize>) -> impl Iterator<Item = &'p [u8]> {
    let mut at = 0;
    pieces.filter_map(move |piece| {
        let begin = at;
        at += piece.len();
        let from = range.start.saturating_sub(begin).min(piece.len());
        let to = range.end.saturating_sub(begin).min(piece.len());
        piece.get(from..to).filter(|bytes| !bytes.is_empty())
    })
}

/// Makes of numbers in a row others that cannot be guessed from one another at a glance and are different still
/// (RFC 7739): each step can be undone.
fn mixed(mut number: u32) -> u32 {
    number ^= number >> 16;
    number = number.wrapping_mul(0x7feb_352d);
    number ^= number >> 15;
    number = number.wrapping_mul(0x846c_a68b);
    number ^ number >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_goes_over_pieces() {
        let pieces = || [&b"abc"[..], b"", b"defg", b"h"].into_iter();
        let of = |range| part(pieces(), range).collect::<Vec<_>>().concat();
        assert_eq!(of(0..8), b"abcdefgh");
        assert_eq!(of(2..4), b"cd");
        assert_eq!(of(3..7), b"defg");
        assert_eq!(of(7..9), b"h");
        assert_eq!(of(4..4), b"");
    }

    #[test]
    fn identifications_are_different_from_each_other() {
        let all: std::collections::HashSet<_> = (0..10_000).map(mixed).collect();
        assert_eq!(all.len(), 10_000);
    }
}
