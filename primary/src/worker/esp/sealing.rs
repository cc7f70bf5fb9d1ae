//! One packet that is sealed: what is done before cryptography, and after it.

use dpdk::Mbuf;
use dpdk::crypto::Job;
use esp::lifetime::Life;
use esp::tunnel::Inner;
use esp::{AeadSealing, SealError, Sealing};
use packet::ethernet::HEADER_LEN;
use packet::ipv4;
use shm::DropReason;

use super::seal::AROUND;
use crate::ipsec::{OutboundSa, fill_in};

/// Puts around packet `number` of a burst what ESP puts there, but for what cryptography does, which is the job. Without [`AROUND`] it says
/// so, and nothing has been done. `kept` is written where something is left to be done afterwards.
#[inline(always)]
pub(super) fn begin(
    sa: &mut OutboundSa,
    mbuf: &mut Mbuf,
    link: &[u8; HEADER_LEN],
    life: &mut Life,
    number: usize,
    job: &mut Job,
    kept: &mut Option<Sealing>,
) -> Result<(), DropReason> {
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
    let sealing = sa.esp.seal(payload_len, front.next_header).map_err(unsealed)?;
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
    fill_in(job, number, HEADER_LEN + outer_len, &work);
    Ok(())
}

/// As [`begin`], where the SA is as most are.
#[inline(always)]
pub(super) fn begin_usual(
    sa: &mut OutboundSa,
    mbuf: &mut Mbuf,
    link: &[u8; HEADER_LEN],
    life: &mut Life,
    number: usize,
    job: &mut Job,
) -> Result<(), DropReason> {
    /// Bytes in front of the packet that is sealed.
    const FRONT: usize = HEADER_LEN + ipv4::HEADER_LEN + AeadSealing::HEAD_LEN;
    if !AROUND.is_around(mbuf) {
        return Err(DropReason::EspRoom);
    }
    let packet = mbuf.data().get(HEADER_LEN..).unwrap_or_default();
    let inner = Inner::read(packet).map_err(|_| DropReason::TunnelMalformed)?;
    *life = sa.lifetime.count(inner.len);
    if *life == Life::Ended {
        return Err(DropReason::EspLifetime);
    }
    let sealing = sa
        .esp
        .seal_aead(inner.len, inner.family.next_header())
        .map_err(unsealed)?;
    let end = FRONT + inner.len + sealing.trailer_len;
    let len = end + AeadSealing::ICV_LEN;
    mbuf.surround(FRONT - HEADER_LEN, len)
        .map_err(|_| DropReason::EspRoom)?;
    let esp_len = len - (FRONT - AeadSealing::HEAD_LEN);
    let outer = sa.outer.ipv4(&inner, esp_len, sealing.sequence);
    let (front, rest) = mbuf
        .data_mut()
        .split_first_chunk_mut::<FRONT>()
        .ok_or(DropReason::EspRoom)?;
    front[..HEADER_LEN].copy_from_slice(link);
    front[HEADER_LEN..HEADER_LEN + ipv4::HEADER_LEN].copy_from_slice(&outer);
    front[HEADER_LEN + ipv4::HEADER_LEN..].copy_from_slice(&sealing.head);
    let tail = rest.get_mut(inner.len..).and_then(<[u8]>::first_chunk_mut);
    *tail.ok_or(DropReason::EspRoom)? = sealing.tail;
    job.packet = number as u16;
    job.start = FRONT as u16;
    job.end = end as u16;
    job.digest = end as u16;
    job.iv = sealing.nonce;
    job.aad = sealing.aad;
    Ok(())
}

fn unsealed(error: SealError) -> DropReason {
    match error {
        SealError::SequenceEnded(_) => DropReason::EspSequence,
        SealError::TooLong(_) => DropReason::Oversize,
    }
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
