//! One packet that is sealed: what is done before cryptography, and after it.

use dpdk::Mbuf;
use esp::lifetime::Life;
use esp::tunnel::Inner;
use esp::{SealError, Sealing};
use packet::ethernet::HEADER_LEN;
use shm::DropReason;

use super::seal::AROUND;
use crate::ipsec::OutboundSa;

/// Puts around a packet what ESP puts there, but for what cryptography does. Without [`AROUND`] it says so, and nothing has been done. `kept` is written where something is left to be done then.
#[inline(always)]
pub(super) fn begin(
    sa: &mut OutboundSa,
    mbuf: &mut Mbuf,
    link: &[u8; HEADER_LEN],
    life: &mut Life,
    kept: &mut Option<Sealing>,
) -> Result<esp::Work, DropReason> {
    if !AROUND.is_around(mbuf) {
        return Err(DropReason::EspRoom);
    }
    let packet = mbuf.data().get(HEADER_LEN..).unwrap_or_default();
    let inner = Inner::read(packet).map_err(|_| DropReason::TunnelMalformed)?;
    let packet = packet.get(..inner.len).unwrap_or_default();
    let front = sa.fronts.of(inner.family);
    if !(front.may_go && sa.selectors.allow(packet)) {
        return Err(DropReason::EspSelector);
    }
    let payload_len = front.bytes().len() + inner.len;
    *life = sa.lifetime.count(payload_len);
    if *life == Life::Ended {
        return Err(DropReason::EspLifetime);
    }
    let sealing = sa
        .esp
        .seal(payload_len, front.next_header)
        .map_err(|error| match error {
            SealError::SequenceEnded(_) => DropReason::EspSequence,
            SealError::TooLong(_) => DropReason::Oversize,
        })?;
    if mbuf.len() > HEADER_LEN + inner.len {
        mbuf.truncate(HEADER_LEN + inner.len);
    }
    let outer_len = sa.outer.len();
    mbuf.prepend(outer_len + sealing.head_len() + front.bytes().len())
        .map_err(|_| DropReason::EspRoom)?;
    mbuf.grow(sealing.tail_len()).map_err(|_| DropReason::EspRoom)?;
    let (to, packet) = mbuf
        .data_mut()
        .split_first_chunk_mut()
        .ok_or(DropReason::EspRoom)?;
    *to = *link;
    sa.outer
        .write(&inner, sealing.sealed_len(), sealing.sequence(), packet)
        .map_err(|_| DropReason::Oversize)?;
    let esp = packet.get_mut(outer_len..).unwrap_or_default();
    let work = sealing.write(esp).map_err(|_| DropReason::EspRoom)?;
    for (place, byte) in esp.iter_mut().skip(sealing.head_len()).zip(front.bytes()) {
        *place = *byte;
    }
    if sa.has_end {
        *kept = Some(sealing);
    }
    Ok(work)
}

/// Finishes a packet that cryptography is done with.
pub(super) fn end(sa: &OutboundSa, mbuf: &mut Mbuf, sealing: &Sealing) -> Result<(), DropReason> {
    let begin = HEADER_LEN + sa.outer.len();
    let esp = mbuf.data_mut().get_mut(begin..).unwrap_or_default();
    let len = sealing.finish(esp).map_err(|_| DropReason::EspRoom)?;
    mbuf.truncate(begin + len);
    if sa.outer.needs_checksum() {
        sa.outer
            .complete(mbuf.data_mut().get_mut(HEADER_LEN..).unwrap_or_default());
    }
    Ok(())
}
