//! Packets for the gateway itself that do not lie in one piece: in several segments, or in fragments.
//!
//! ```text
//!   Gather     ─► copied into one buffer ──────────┐
//!   Reassemble ─► kept until the last has come ────┴─► Stages::deliver ─► reply, tool, or drop
//! ```
//!
//! One worker has all fragments of a packet, whichever received them: [`super::join`]. A packet belongs to the interface by which its
//! first fragment came, that with offset 0: there it is answered.

use dpdk::Mbuf;
use packet::ethernet;
use reassembly::{Fragment, FragmentError, GivenUp, Inserted, Lost, Reassembler, Whole};
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::Engine;
use super::dispatch::Refused;
use super::ways::End;
use crate::adjacency;
use crate::path::punt::Punts;
use crate::path::{Disposition, Family, Note};

/// The longest frame of which a copy is made.
pub(super) const LONGEST_FRAME: usize = 1 << 16;

/// The end of a packet that a tool has.
const TO_TOOL: End = End {
    passed: Passed::NONE.with(PathStage::Punt).with(PathStage::Tool),
    refused: None,
};

/// A frame for the gateway itself, wherever its bytes lie.
pub(super) struct Arrived<'a> {
    /// By which it came.
    pub(super) ingress: u16,
    /// Its bytes.
    pub(super) frame: &'a [u8],
    /// What is marked on it.
    pub(super) mark: Option<u64>,
    /// Bytes of its link header.
    pub(super) link_len: usize,
    /// What is behind that.
    pub(super) family: Family,
}

/// Why a fragment is not kept, and the detail for who is told.
type NotKept = (DropReason, u16);

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Delivers a packet whose note says that it must be copied together or is a fragment.
    #[cold]
    pub(super) fn deliver(
        &mut self,
        ingress: u16,
        mbuf: Mbuf,
        note: &Note,
        punts: &Punts,
        now: u64,
    ) -> Result<End, Refused> {
        let end = self.deliver_one(ingress, mbuf, note, punts, now);
        self.place_joined(now);
        end
    }

    fn deliver_one(
        &mut self,
        ingress: u16,
        mut mbuf: Mbuf,
        note: &Note,
        punts: &Punts,
        now: u64,
    ) -> Result<End, Refused> {
        mbuf.truncate(usize::from(note.length));
        let (link_len, family) = (note.link_len(), note.family());
        let refuse = |engine: &mut Self, mbuf, (reason, detail): NotKept| {
            let at = PathStage::Reassembly;
            End::dropped(engine.refuse(ingress, mbuf, reason, detail, at, now), reason)
        };
        if note.disposition == Disposition::Reassemble {
            if let Some(worker) = self.joined_by(ingress, mbuf.data(), link_len, family) {
                return self.hand_fragment(worker, ingress, mbuf);
            }
            let arrived = Arrived {
                ingress,
                frame: mbuf.data(),
                mark: mbuf.mark(),
                link_len,
                family,
            };
            return Ok(match self.take_fragment(&arrived, punts, now) {
                Ok(end) => end,
                Err(not_kept) => refuse(self, mbuf, not_kept),
            });
        }
        // Taken out, since what follows changes the worker; it is put back before it is wanted again.
        let mut buffer = std::mem::take(&mut self.buffer);
        let length = mbuf.copy_to(&mut buffer);
        let frame = buffer.get_mut(..length).unwrap_or_default();
        let delivered = self.stages.deliver(ingress, punts, frame, link_len, family);
        let elsewhere = match delivered.disposition {
            Disposition::Reassemble => self.joined_by(ingress, frame, link_len, family),
            _ => None,
        };
        if let Some(worker) = elsewhere {
            self.buffer = buffer;
            return self.hand_fragment(worker, ingress, mbuf);
        }
        let kept = match delivered.disposition {
            Disposition::Transmit(_)
            | Disposition::Tunnelled(_)
            | Disposition::Esp
            | Disposition::EspError => {
                mbuf.overwrite(frame);
                None
            }
            Disposition::Reassemble => {
                let arrived = Arrived {
                    ingress,
                    frame,
                    mark: mbuf.mark(),
                    link_len,
                    family,
                };
                Some(self.take_fragment(&arrived, punts, now))
            }
            _ => None,
        };
        self.buffer = buffer;
        match (delivered.disposition, kept) {
            (_, Some(Ok(end))) => Ok(end),
            (_, Some(Err(not_kept))) => Ok(refuse(self, mbuf, not_kept)),
            (Disposition::Transmit(_), _) => {
                let mut reply = Note::of(delivered.disposition, delivered.end);
                reply.echo_reply = true;
                reply.trim = delivered.begin as u8;
                self.place(ingress, mbuf, &reply, now)
            }
            (Disposition::Tunnelled(_) | Disposition::TunnelMtu(_), _) => {
                let mut note = Note::of(delivered.disposition, delivered.end);
                note.detail = delivered.detail;
                self.place(ingress, mbuf, &note, now)
            }
            (Disposition::Esp | Disposition::EspError, _) => {
                let mut note = Note::of(delivered.disposition, delivered.end).behind_link(link_len, family);
                note.detail = delivered.detail;
                self.place(ingress, mbuf, &note, now)
            }
            (Disposition::Punt(class), _) => {
                self.punt_to_tool(class, None, ingress, mbuf, now)?;
                Ok(TO_TOOL)
            }
            (Disposition::Kernel(tap), _) => {
                self.hand_to_kernel(tap, mbuf, now)?;
                Ok(End::at(PathStage::Kernel))
            }
            (other, _) => Ok(refuse(self, mbuf, (not_taken(other), delivered.detail))),
        }
    }

    /// Keeps a fragment, or delivers the packet that it completes. What is the load balancer's waits for [`Engine::place_joined`].
    pub(super) fn take_fragment(
        &mut self,
        arrived: &Arrived<'_>,
        punts: &Punts,
        now: u64,
    ) -> Result<End, NotKept> {
        let ingress = arrived.ingress;
        let (link, packet) = arrived
            .frame
            .split_at_checked(arrived.link_len)
            .ok_or((DropReason::EthernetTruncated, 0))?;
        let fragment = match arrived.family {
            Family::Four => Fragment::parse_v4(packet),
            Family::Six => Fragment::parse_v6(packet, ingress),
        };
        let fragment = fragment.map_err(malformed)?.marked(arrived.mark);
        let mut table = std::mem::take(&mut self.reassembly);
        let kept = match table.insert(&fragment, link, ingress, now) {
            Inserted::Held { interface, evicted } => {
                self.counters.add(interface, InterfaceCounter::Waiting, 1);
                if let Some(evicted) = evicted {
                    self.count_lost(&evicted, DropReason::ReassemblyFull);
                }
                Ok(End::at(PathStage::Waiting))
            }
            Inserted::Copy => Err((DropReason::FragmentCopy, 0)),
            Inserted::Overlap(lost) => {
                self.count_lost(&lost, DropReason::ReassemblyOverlap);
                Err((DropReason::ReassemblyOverlap, 0))
            }
            Inserted::Refused => Err((DropReason::ReassemblyOverlap, 0)),
            Inserted::Whole(whole) => {
                let Lost { interface, fragments } = whole.made_of;
                let waited = u64::from(fragments.saturating_sub(1));
                self.counters.sub(interface, InterfaceCounter::Waiting, waited);
                self.counters.add(interface, InterfaceCounter::Delivered, waited);
                self.counters.add(ingress, InterfaceCounter::Delivered, 1);
                let at = whole.interface;
                self.counters.add(at, InterfaceCounter::Originated, 1);
                self.counters.add(at, InterfaceCounter::Reassembled, 1);
                if self.judge_whole(&whole, now) {
                    Ok(End::at(PathStage::Waiting))
                } else {
                    Ok(self.deliver_whole(at, whole, punts, now))
                }
            }
        };
        self.reassembly = table;
        kept
    }

    /// Delivers a packet that was put together from fragments, the first of which came in by `ingress`.
    fn deliver_whole(&mut self, ingress: u16, whole: Whole<'_>, punts: &Punts, now: u64) -> End {
        let (frame, link_len) = (whole.frame, whole.link_len);
        let family = if whole.six { Family::Six } else { Family::Four };
        let delivered = self.stages.deliver(ingress, punts, frame, link_len, family);
        let frame = frame.get(delivered.begin..delivered.end).unwrap_or_default();
        let result = match delivered.disposition {
            Disposition::Transmit(egress) => {
                let link_len = link_len - delivered.begin;
                let sent = self.send_frame(ingress, egress, frame, link_len, family);
                if sent.is_ok() {
                    self.counters.add(ingress, InterfaceCounter::EchoReplies, 1);
                }
                sent.map(|()| End::at(PathStage::Tx))
            }
            Disposition::Tunnelled(tunnel) => {
                let inner = frame.get(usize::from(delivered.detail)..).unwrap_or_default();
                match self.filled(ingress, &[inner]) {
                    Ok(mbuf) => self.emerges(ingress, tunnel, mbuf).map_err(|(_, reason)| reason),
                    Err(_) => Err(DropReason::NoBuffer),
                }
            }
            Disposition::TunnelMtu(tunnel) => {
                self.learn_mtu(tunnel, delivered.detail, now);
                Err(DropReason::TunnelError)
            }
            Disposition::EspError => Err(self.esp_error(frame, family, delivered.detail, now)),
            Disposition::Esp => match self.filled(ingress, &[frame]) {
                Ok(mbuf) => {
                    let mut note = Note::of(delivered.disposition, frame.len()).behind_link(link_len, family);
                    note.detail = delivered.detail;
                    self.open_later(ingress, mbuf, &note, now)
                        .map_err(|(_, reason)| reason)
                }
                Err(_) => Err(DropReason::NoBuffer),
            },
            Disposition::Punt(class) => match self.filled(ingress, &[frame]) {
                Ok(mbuf) => self
                    .punt_to_tool(class, None, ingress, mbuf, now)
                    .map(|()| TO_TOOL)
                    .map_err(|(_, reason)| reason),
                Err(_) => Err(DropReason::NoBuffer),
            },
            Disposition::Kernel(tap) => match self.filled(ingress, &[frame]) {
                Ok(mbuf) => self
                    .hand_to_kernel(tap, mbuf, now)
                    .map(|()| End::at(PathStage::Kernel))
                    .map_err(|(_, reason)| reason),
                Err(_) => Err(DropReason::NoBuffer),
            },
            other => Err(not_taken(other)),
        };
        result.unwrap_or_else(|reason| {
            self.drop_frame(ingress, reason, PathStage::Reassembly, frame);
            End::dropped(self.tell(ingress, frame, reason, delivered.detail, now), reason)
        })
    }

    /// Gives up packets whose fragments have not come in time, and tells their senders. Gives how many.
    #[cold]
    pub(super) fn expire_fragments(&mut self, now: u64) -> usize {
        let mut table = std::mem::take(&mut self.reassembly);
        let mut count = 0;
        while let Some(expired) = table.expire(now) {
            count += 1;
            let reason = DropReason::ReassemblyTimeout;
            self.count_lost(&expired.lost, reason);
            if let Some((ingress, first)) = expired.first {
                self.tell(ingress, first, reason, 0, now);
            }
        }
        self.reassembly = table;
        count
    }

    /// Counts what is still kept as dropped: the worker ends.
    pub(super) fn stop_fragments(&mut self) {
        let mut table: Reassembler = std::mem::take(&mut self.reassembly);
        while let Some(lost) = table.give_up() {
            self.count_lost(&lost, DropReason::Stopping);
        }
    }

    fn count_lost(&mut self, lost: &GivenUp<'_>, reason: DropReason) {
        let count = u64::from(lost.fragments);
        self.counters
            .sub(lost.interface, InterfaceCounter::Waiting, count);
        self.drop_given_up(lost, reason);
    }
}

/// Where a sender is told that its fragment is wrong: RFC 8200 section 4.5.
fn malformed(error: FragmentError) -> NotKept {
    /// Of an IPv6 header.
    const PAYLOAD_LENGTH: u16 = 4;
    match error {
        FragmentError::NoFragment => (DropReason::LocalFragment, 0),
        FragmentError::Length { len: 0 } | FragmentError::Headers { .. } => {
            (DropReason::FragmentMalformed, 0)
        }
        FragmentError::Length { .. } => (DropReason::FragmentMalformed, PAYLOAD_LENGTH),
        FragmentError::TooLong { pointer } => (DropReason::FragmentMalformed, pointer as u16),
    }
}

/// Why a packet ends for which there is no other end.
fn not_taken(disposition: Disposition) -> DropReason {
    match disposition {
        Disposition::Drop(reason) => reason,
        // RFC 6980 section 5: neighbour discovery is never in fragments, nor as long as several segments.
        Disposition::Nd => DropReason::NdMalformed,
        _ => DropReason::LocalFragment,
    }
}

/// Bytes of the buffer of a worker.
const _: () = assert!(LONGEST_FRAME > 9000 + ethernet::HEADER_LEN + 8);
