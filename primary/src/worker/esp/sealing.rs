//! One packet that is sealed: what is done before cryptography, and after it.

use dpdk::Mbuf;
use dpdk::crypto::Job;
use esp::lifetime::Life;
use esp::tunnel::Inner;
use esp::{AeadSealer, AeadSealing, SealError, Sealing, SequenceNumber};
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

/// As [`begin`], for the first packets of a burst, where the SA is as most are and nothing is to be said of them. Gives how many: what comes
/// then is for [`begin`]. Their outer headers have passed so many `hops`.
#[inline(always)]
pub(super) fn begin_usual(
    sa: &mut OutboundSa,
    packets: &mut [Mbuf],
    link: &[u8; HEADER_LEN],
    hops: u8,
    jobs: &mut [Job],
) -> usize {
    // At least what they carry.
    let most = packets.iter().map(Mbuf::len).sum();
    if !sa.lifetime.has_room(packets.len(), most) {
        return 0;
    }
    let mut sealer = sa.esp.sealer();
    let (mut count, mut bytes) = (0, 0);
    for (mbuf, job) in packets.iter_mut().zip(jobs) {
        let head = |inner: &Inner, len, sequence| sa.outer.ipv4(inner, len, sequence, hops);
        let Some(inner_len) = begin_one_usual(&mut sealer, head, mbuf, link, count, job) else {
            break;
        };
        count += 1;
        bytes += inner_len;
    }
    sa.esp.sealed(&sealer);
    sa.lifetime.carry(count, bytes);
    count
}

/// Puts around packet `number` of a burst what ESP puts there. `None`: something is not as usual, and nothing has been done to it. Gives the
/// bytes that were in it.
#[inline(always)]
fn begin_one_usual(
    sealer: &mut AeadSealer,
    head: impl Fn(&Inner, usize, SequenceNumber) -> [u8; ipv4::HEADER_LEN],
    mbuf: &mut Mbuf,
    link: &[u8; HEADER_LEN],
    number: usize,
    job: &mut Job,
) -> Option<usize> {
    /// Bytes in front of the packet that is sealed.
    const FRONT: usize = HEADER_LEN + ipv4::HEADER_LEN + AeadSealing::HEAD_LEN;
    if !AROUND.is_around(mbuf) {
        return None;
    }
    let inner = Inner::read(mbuf.data().get(HEADER_LEN..)?).ok()?;
    let sealing = sealer.seal(inner.len, inner.family.next_header()).ok()?;
    let end = FRONT + inner.len + sealing.trailer_len;
    let len = end + AeadSealing::ICV_LEN;
    let outer = head(&inner, len - (FRONT - AeadSealing::HEAD_LEN), sealing.sequence);
    // There is room around it.
    mbuf.surround(FRONT - HEADER_LEN, len).ok()?;
    let (front, rest) = mbuf.data_mut().split_first_chunk_mut::<FRONT>()?;
    front[..HEADER_LEN].copy_from_slice(link);
    front[HEADER_LEN..HEADER_LEN + ipv4::HEADER_LEN].copy_from_slice(&outer);
    front[HEADER_LEN + ipv4::HEADER_LEN..].copy_from_slice(&sealing.head);
    *rest.get_mut(inner.len..)?.first_chunk_mut()? = sealing.tail;
    job.packet = number as u16;
    job.start = FRONT as u16;
    job.end = end as u16;
    job.digest = end as u16;
    job.iv = sealing.nonce;
    job.aad = sealing.aad;
    Some(inner.len)
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
