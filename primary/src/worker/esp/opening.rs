//! One packet that is opened: what is done before cryptography, and after it.

use std::net::SocketAddr;

use dpdk::Mbuf;
use dpdk::crypto::{Job, Outcome};
use esp::lifetime::Life;
use esp::tunnel::{Family as InnerFamily, InnerError};
use esp::{Header, OpenError, Opening, ReplayError};
use packet::ethernet::HEADER_LEN;
use shm::DropReason;

use super::open::Outer;
use crate::ipsec::{Arrived, InboundSa, fill_in, source_port};
use crate::path::Family;

/// Looks whether a packet may be opened, and makes it ready for cryptography.
#[inline(always)]
pub(super) fn begin(
    esp: &esp::Inbound,
    mbuf: &mut Mbuf,
    at: usize,
    number: usize,
    job: &mut Job,
    place: &mut Option<Opening>,
) -> Result<(), DropReason> {
    let packet = mbuf.data().get(at..).unwrap_or_default();
    let header = Header::parse(packet).map_err(|_| DropReason::EspMalformed)?;
    let opening = esp.open(header, packet.len()).map_err(refused)?;
    let spare_len = esp.format().spare_len();
    if spare_len != 0 {
        mbuf.grow(spare_len).map_err(|_| DropReason::EspRoom)?;
    }
    let packet = mbuf.data_mut().get_mut(at..).unwrap_or_default();
    let work = esp.prepare(&opening, packet).map_err(|_| DropReason::EspRoom)?;
    fill_in(job, number, at, &work);
    *place = Some(opening);
    Ok(())
}

/// As [`begin`], where the SA is as most are.
#[inline(always)]
pub(super) fn begin_usual(
    esp: &esp::Inbound,
    mbuf: &Mbuf,
    at: usize,
    number: usize,
    job: &mut Job,
    place: &mut Option<Opening>,
) -> Result<(), DropReason> {
    let packet = mbuf.data().get(at..).unwrap_or_default();
    let head = packet.first_chunk().ok_or(DropReason::EspMalformed)?;
    let opening = esp.open_aead(head, packet.len()).map_err(refused)?;
    let end = at + packet.len() - esp::AEAD_ICV_LEN;
    job.packet = number as u16;
    job.start = (at + esp::AEAD_HEAD_LEN) as u16;
    job.end = end as u16;
    job.digest = end as u16;
    job.iv = opening.nonce;
    job.aad = opening.aad;
    *place = Some(opening.opening);
    Ok(())
}

/// As [`end`], where the SA is as most are and so is what is inside. `None`: it is not, and nothing was done.
#[inline(always)]
pub(super) fn end_usual(
    sa: &mut InboundSa,
    mbuf: &mut Mbuf,
    opening: &Opening,
    arrived: &Arrived,
    link: &[[u8; HEADER_LEN]; 2],
    life: &mut Life,
) -> Option<Result<(), DropReason>> {
    let at = usize::from(arrived.at);
    let inner = opening.usual_inner(mbuf.data().get(at..)?, arrived.class)?;
    let begin = at + esp::AEAD_HEAD_LEN;
    // What is taken off is longer than a link header.
    let front = begin.checked_sub(HEADER_LEN)?;
    let place = mbuf.data_mut().get_mut(front..)?.first_chunk_mut()?;
    if let Err(error) = sa.esp.take(opening) {
        return Some(Err(refused(error)));
    }
    *life = sa.lifetime.count(inner.len);
    if *life == Life::Ended {
        return Some(Err(DropReason::EspLifetime));
    }
    let [four, six] = link;
    // From where it is: by way of the stack it would be written and read again in pieces of other sizes, which takes long.
    let place: &mut [u8; HEADER_LEN] = place;
    match inner.family {
        InnerFamily::V4 => place.copy_from_slice(four),
        InnerFamily::V6 => place.copy_from_slice(six),
    }
    let uncovered = mbuf.uncover(front, HEADER_LEN + inner.len);
    Some(uncovered.map_err(|_| DropReason::EspMalformed))
}

/// Takes what is inside out of a packet that cryptography is done with: it begins with a link header afterwards, `link` by family.
#[inline(always)]
pub(super) fn end(
    sa: &mut InboundSa,
    mbuf: &mut Mbuf,
    opening: Opening,
    outcome: Outcome,
    arrived: &Arrived,
    link: &[[u8; HEADER_LEN]; 2],
    life: &mut Life,
) -> Result<(), DropReason> {
    if matches!(outcome, Outcome::Refused | Outcome::Waiting) {
        return Err(DropReason::CryptoBusy);
    }
    let at = usize::from(arrived.at);
    let frame = mbuf.data_mut();
    let place = if arrived.moved {
        place_of(frame, arrived)
    } else {
        None
    };
    let sequence = opening.sequence().get();
    let packet = frame.get_mut(at..).unwrap_or_default();
    let opened = sa
        .esp
        .finish(opening, outcome == Outcome::Done, packet)
        .map_err(refused)?;
    if let (Some(place), Some(peer)) = (place, &mut sa.peer)
        && sequence == sa.esp.window().highest()
    {
        peer.came_from(place, dpdk::tsc(), dpdk::tsc_hz());
    }
    let esp::Opened::Packet(payload) = opened else {
        return Err(DropReason::EspDummy);
    };
    *life = sa.lifetime.count(payload.span.len.into());
    if *life == Life::Ended {
        return Err(DropReason::EspLifetime);
    }
    let payload = match &sa.behind {
        None => payload,
        Some(behind) => behind.inside(&payload, packet)?,
    };
    let (inner, span) = payload
        .decapsulate(packet, arrived.class)
        .map_err(|error| match error {
            InnerError::Congestion => DropReason::TunnelEcn,
            _ => DropReason::EspMalformed,
        })?;
    if !sa.selectors.allow(packet.get(span.range()).unwrap_or_default()) {
        return Err(DropReason::EspSelector);
    }
    let begin = at + usize::from(span.offset);
    let [four, six] = link;
    let link = match inner.family {
        InnerFamily::V4 => four,
        InnerFamily::V6 => six,
    };
    // What is taken off is longer than a link header.
    let front = begin.checked_sub(HEADER_LEN).ok_or(DropReason::EspMalformed)?;
    let place = frame.get_mut(front..).and_then(<[u8]>::first_chunk_mut);
    *place.ok_or(DropReason::EspMalformed)? = *link;
    mbuf.truncate(begin + usize::from(span.len));
    mbuf.trim_front(front).map_err(|_| DropReason::EspMalformed)
}

/// Where a packet in UDP came from.
#[cold]
fn place_of(frame: &[u8], arrived: &Arrived) -> Option<SocketAddr> {
    let link_len = usize::from(arrived.network);
    let packet = frame.get(link_len..)?;
    let family = match packet.first()? >> 4 {
        4 => Family::Four,
        _ => Family::Six,
    };
    let port = source_port(frame, link_len, family, arrived.at.into())?;
    Some(SocketAddr::new(Outer::of(family, packet)?.source, port))
}

fn refused(error: OpenError) -> DropReason {
    match error {
        OpenError::Length(_) | OpenError::Padding => DropReason::EspMalformed,
        OpenError::Replay(ReplayError::Replayed) => DropReason::EspReplayed,
        OpenError::Replay(_) => DropReason::EspOld,
        OpenError::Forged => DropReason::EspIcv,
        OpenError::NoRoom(_) => DropReason::EspRoom,
    }
}
