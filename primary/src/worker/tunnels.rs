//! Packets of tunnels, on their way in and out.
//!
//! ```text
//!   out  a stage or whoever sends ─► queue ─► outer headers put in front ─► the stages, as received by the tunnel
//!   in   dispatch, outer headers off ─► queue ─► the stages, as received by the tunnel
//! ```
//!
//! The queue is emptied at the end of a round, so that nothing here happens in the middle of something else. Packets leave it in the
//! order in which they came. A packet that comes back to it is one level deeper: some stay inside of each other for ever, those of a
//! tunnel that leads into itself.

use std::collections::VecDeque;

use dpdk::{Chain, Mbuf, MbufBatch, PortId};
use packet::ethernet::HEADER_LEN;
use shm::attachment::Way;
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::Engine;
use super::dispatch::Refused;
use super::join::Siblings;
use super::ways::End;
use crate::adjacency;
use crate::attachments::Seen;
use crate::ipsec::SaSignal;
use crate::path::{BURST, Disposition, LEARNED_SECONDS, NOTES, Note, Off, Wrapping};

/// Packets that wait for the end of a round. What is more is refused.
const DEPTH: usize = 4096;

/// Tunnels that a packet may be put into, or taken out of, one in the other.
pub(super) const LEVELS: u8 = 2;

/// Where the ways of outer packets begin.
pub(super) const ENCAPSULATED: Passed = Passed::NONE.with(PathStage::Encapsulated);

/// What is to be done to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It leaves by the tunnel.
    Encapsulate,
    /// It was inside.
    Receive,
}

/// A packet that waits.
struct Queued {
    step: Step,
    /// Tunnels that it was put into, or taken out of, before.
    level: u8,
    tunnel: u16,
    mbuf: Mbuf,
}

/// The tunnels' part of a worker.
pub(super) struct Tunnels {
    queue: VecDeque<Queued>,
    /// What is being done now, and how deep.
    serving: Option<(Step, u8)>,
    identifications: Identifications,
    /// How long it counts what is learned of a path.
    patience: u64,
}

impl Tunnels {
    /// Nothing waits, for one of several workers.
    pub(super) fn new(siblings: &Siblings) -> Self {
        Self {
            // Room for all, so that nothing is allocated later.
            queue: VecDeque::with_capacity(DEPTH),
            serving: None,
            identifications: Identifications::new(siblings.number(), siblings.count()),
            patience: LEARNED_SECONDS * dpdk::tsc_hz(),
        }
    }

    /// Takes a packet for the end of the round, or gives it back when there is no room.
    pub(super) fn put(&mut self, step: Step, tunnel: u16, mbuf: Mbuf) -> Result<(), Mbuf> {
        let level = self.level_of(step);
        self.put_at(step, level, tunnel, mbuf)
    }

    /// The identification of the next packet over IPv4 that the gateway sends and that routers may cut.
    pub(super) fn identification(&mut self) -> u16 {
        self.identifications.next()
    }

    /// How deep a packet is that comes now.
    pub(super) fn level_of(&self, step: Step) -> u8 {
        level(self.serving, step)
    }

    /// Notes what is being done now, and how deep; gives what was before.
    pub(super) fn serve(&mut self, serving: Option<(Step, u8)>) -> Option<(Step, u8)> {
        std::mem::replace(&mut self.serving, serving)
    }

    /// Whether nothing waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// As [`put`](Self::put), so deep.
    pub(super) fn put_at(&mut self, step: Step, level: u8, tunnel: u16, mbuf: Mbuf) -> Result<(), Mbuf> {
        if self.queue.len() == DEPTH {
            return Err(mbuf);
        }
        self.queue.push_back(Queued {
            step,
            level,
            tunnel,
            mbuf,
        });
        Ok(())
    }
}

/// How deep a packet is that comes to be while another is being served.
fn level(serving: Option<(Step, u8)>, step: Step) -> u8 {
    match serving {
        Some((served, level)) if served == step => level + 1,
        _ => 0,
    }
}

/// Identifications of outer packets, and of those put together for services. Workers take turns, since those of a tunnel, or of a local
/// address, have to differ whoever sends: RFC 6864 sections 4.3 and 5.3.
struct Identifications {
    last: u16,
    stride: u16,
}

impl Identifications {
    /// Of one of so many workers.
    fn new(number: usize, workers: usize) -> Self {
        Self {
            last: number as u16,
            stride: workers as u16,
        }
    }

    fn next(&mut self) -> u16 {
        self.last = self.last.wrapping_add(self.stride);
        self.last
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Takes the outer headers off a packet, as its note says: what is inside goes on at the end of the round.
    #[cold]
    pub(super) fn decapsulate(
        &mut self,
        ingress: u16,
        tunnel: u16,
        mut mbuf: Mbuf,
        note: &Note,
    ) -> Result<End, Refused> {
        mbuf.truncate(usize::from(note.length));
        if mbuf.trim_front(usize::from(note.detail)).is_err() {
            // The first segment ends before the inner packet begins.
            return Err((mbuf, DropReason::TunnelMalformed));
        }
        self.emerges(ingress, tunnel, mbuf)
    }

    /// A packet goes on that was inside of one that came in by `ingress`, and begins with its link header.
    pub(super) fn emerges(&mut self, ingress: u16, tunnel: u16, mbuf: Mbuf) -> Result<End, Refused> {
        self.tunnels
            .put(Step::Receive, tunnel, mbuf)
            .map_err(|mbuf| (mbuf, DropReason::NoBuffer))?;
        self.counters.add(ingress, InterfaceCounter::Decapsulated, 1);
        Ok(End::at(PathStage::Decapsulated))
    }

    /// A router on the path of a tunnel, or the tunnel's own egress interface, takes no outer packet of an inner one that is longer.
    #[cold]
    pub(super) fn learn_mtu(&mut self, tunnel: u16, mtu: u16, now: u64) {
        let Some(view) = self.stages.interfaces.tunnel(tunnel) else {
            return;
        };
        let until = now.saturating_add(self.tunnels.patience);
        if view.path_mtu.learn(mtu, now, until) {
            self.tell_once(SaSignal::PathMtu { tunnel, mtu });
        }
    }

    /// Does what is to be done to the packets of tunnels. Gives how many.
    #[inline]
    pub(super) fn serve_tunnels(&mut self, now: u64) -> usize {
        if self.tunnels.queue.is_empty() && self.esp.is_idle() && self.following.is_empty() {
            0
        } else {
            self.serve_queued(now)
        }
    }

    #[inline(never)]
    fn serve_queued(&mut self, now: u64) -> usize {
        let mut moved = self.send_keepalives(now);
        loop {
            self.open_all(now);
            moved += self.serve_queue(now);
            self.seal_all(now);
            if self.tunnels.queue.is_empty() && self.esp.is_idle() {
                if !self.following.is_empty() {
                    self.end_following();
                }
                return moved;
            }
        }
    }

    fn serve_queue(&mut self, now: u64) -> usize {
        let mut moved = 0;
        while let Some(queued) = self.tunnels.queue.pop_front() {
            if !self.waiting.is_empty() {
                // A next hop may have been resolved for which others wait: they leave first.
                self.serve_waiting(now);
            }
            let Queued {
                step,
                level,
                tunnel,
                mut mbuf,
            } = queued;
            moved += 1;
            let is_esp = step == Step::Encapsulate && self.stages.interfaces.is_esp(tunnel);
            if is_esp {
                match self.hand_clear(tunnel, level, mbuf) {
                    Ok(()) => continue,
                    Err((ours, None)) => mbuf = ours,
                    Err((mut refused, Some(reason))) => {
                        let interface = self.interface_of(&refused).unwrap_or(tunnel);
                        self.lose(&refused, tunnel, PathStage::Encapsulated, reason);
                        self.drop_one(interface, reason, PathStage::Encapsulated, &mut refused);
                        continue;
                    }
                }
            }
            mbuf.set_port(PortId::beyond_ports(tunnel));
            self.tunnels.serving = Some((step, level));
            match step {
                Step::Encapsulate => self.encapsulate(tunnel, level, mbuf, now),
                Step::Receive => {
                    let mut one = MbufBatch::<BURST>::new();
                    // An empty batch has room.
                    drop(one.push(mbuf));
                    self.emerged(tunnel, level, &mut one, now);
                }
            }
            self.tunnels.serving = None;
        }
        moved
    }

    /// Sends a packet that leaves by a tunnel.
    fn encapsulate(&mut self, tunnel: u16, level: u8, mut mbuf: Mbuf, now: u64) {
        let bytes = mbuf.len();
        self.left_by(tunnel, std::slice::from_mut(&mut mbuf), bytes);
        if level < LEVELS && self.stages.interfaces.is_esp(tunnel) {
            if let Err((mut mbuf, reason)) = self.seal_later(tunnel, level, mbuf, now) {
                self.drop_outer(tunnel, reason, &mut mbuf);
            }
            return;
        }
        let wrapped = if level < LEVELS {
            self.wrap(tunnel, &mut mbuf, now)
        } else {
            Err(DropReason::TunnelLoop)
        };
        let sent = wrapped.and_then(|wrapping| match wrapping.path_limit {
            None => Ok(None),
            Some(limit) => self.outer_fragments(tunnel, &mbuf, limit).map(Some),
        });
        match sent {
            Ok(None) => self.send_outer(tunnel, mbuf, now),
            Ok(Some(mut fragments)) => {
                self.follow_first(&mbuf, &fragments);
                for mbuf in fragments.drain() {
                    self.send_outer(tunnel, mbuf, now);
                }
            }
            Err(reason) => {
                self.lose(&mbuf, tunnel, PathStage::Encapsulated, reason);
                self.drop_outer(tunnel, reason, &mut mbuf);
            }
        }
    }

    /// Counts and shows packets of so many `bytes` that leave by a tunnel, before it wraps them up.
    #[inline]
    pub(super) fn left_by(&mut self, tunnel: u16, packets: &mut [Mbuf], bytes: usize) {
        let count = packets.len();
        let inside = bytes.saturating_sub(count * HEADER_LEN);
        let count = count as u64;
        self.counters.add(tunnel, InterfaceCounter::TxPackets, count);
        self.counters
            .add(tunnel, InterfaceCounter::TxBytes, inside as u64);
        self.counters.add(tunnel, InterfaceCounter::Encapsulated, count);
        self.transmit.taps.observe(&Seen::at(tunnel, Way::Tx), packets);
        if self.transmit.taps.see(Way::PreEncrypt) && self.stages.interfaces.is_esp(tunnel) {
            self.transmit
                .taps
                .observe(&Seen::at(tunnel, Way::PreEncrypt), packets);
        }
    }

    /// Drops a packet that a tunnel does not send.
    pub(super) fn drop_outer(&mut self, tunnel: u16, reason: DropReason, mbuf: &mut Mbuf) {
        self.drop_outers(tunnel, reason, std::slice::from_mut(mbuf));
    }

    /// Drops packets that a tunnel does not send.
    pub(super) fn drop_outers(&mut self, tunnel: u16, reason: DropReason, packets: &mut [Mbuf]) {
        let count = packets.len();
        self.drop_all(tunnel, reason, PathStage::Encapsulated, packets);
        self.counters
            .burst_of(ENCAPSULATED.with(PathStage::Drop), count as u64);
    }

    /// Puts outer headers in front.
    fn wrap(&mut self, tunnel: u16, mbuf: &mut Mbuf, now: u64) -> Result<Wrapping, DropReason> {
        let identification = self.tunnels.identification();
        let wrapping = self
            .stages
            .wrapping(tunnel, mbuf.data(), mbuf.len(), identification, now)?;
        mbuf.prepend(wrapping.overhead())
            .map_err(|_| DropReason::NoBuffer)?;
        wrapping.write(mbuf.data_mut())?;
        Ok(wrapping)
    }

    /// Sends an outer packet.
    pub(super) fn send_outer(&mut self, tunnel: u16, mut mbuf: Mbuf, now: u64) {
        if !self.following.is_empty()
            && let Some(followed) = self.following.take(&mbuf)
        {
            return self.send_followed(followed, tunnel, mbuf, now);
        }
        let note = self.stages.run_one(tunnel, Chain::of_one(&mut mbuf));
        self.learn_from(tunnel, &note, now);
        self.place_again(&mut Off, ENCAPSULATED, tunnel, mbuf, &note, now);
    }

    /// Learns what there is to be learned of an outer packet that the stages have dropped.
    pub(super) fn learn_from(&mut self, tunnel: u16, note: &Note, now: u64) {
        if note.disposition == Disposition::Drop(DropReason::TooBig)
            && let Some(view) = self.stages.interfaces.tunnel(tunnel)
        {
            let inner = note.detail.saturating_sub(view.overhead());
            self.learn_mtu(tunnel, inner, now);
        }
    }

    /// Takes packets that were inside of others through the stages.
    pub(super) fn emerged(&mut self, tunnel: u16, level: u8, batch: &mut MbufBatch<BURST>, now: u64) {
        let (mut bytes, mut segmented) = (0, false);
        for mbuf in batch.iter_mut() {
            mbuf.set_port(PortId::beyond_ports(tunnel));
            bytes += mbuf.len();
            segmented |= mbuf.segment_count() != 1;
        }
        let count = batch.len();
        self.counters
            .add(tunnel, InterfaceCounter::RxPackets, count as u64);
        let inside = bytes.saturating_sub(count * HEADER_LEN);
        self.counters
            .add(tunnel, InterfaceCounter::RxBytes, inside as u64);
        self.transmit.taps.observe(&Seen::at(tunnel, Way::Rx), batch);
        if self.transmit.taps.see(Way::PostDecrypt) && self.stages.interfaces.is_esp(tunnel) {
            self.transmit
                .taps
                .observe(&Seen::at(tunnel, Way::PostDecrypt), batch);
        }
        if level >= LEVELS {
            for mbuf in batch.iter() {
                self.lose(mbuf, tunnel, PathStage::Rx, DropReason::TunnelLoop);
            }
            self.drop_all(tunnel, DropReason::TunnelLoop, PathStage::Rx, batch);
            let way = Passed::NONE.with(PathStage::Rx).with(PathStage::Drop);
            self.counters.burst_of(way, count as u64);
            return batch.clear();
        }
        let before = self.tunnels.serve(Some((Step::Receive, level)));
        let mut notes = NOTES;
        self.received(tunnel, batch, bytes, segmented, &mut notes, now);
        self.tunnels.serve(before);
    }

    /// Frees what waits still.
    pub(super) fn stop_tunnels(&mut self) {
        for mut queued in std::mem::take(&mut self.tunnels.queue) {
            let (interface, stage) = match queued.step {
                // Where it came from.
                Step::Encapsulate => {
                    let interface = self.interface_of(&queued.mbuf).unwrap_or_default();
                    (interface, PathStage::Encapsulated)
                }
                Step::Receive => {
                    self.counters.add(queued.tunnel, InterfaceCounter::RxPackets, 1);
                    (queued.tunnel, PathStage::Rx)
                }
            };
            self.drop_one(interface, DropReason::Stopping, stage, &mut queued.mbuf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_of_the_same_is_deeper() {
        let (out, inside) = (Step::Encapsulate, Step::Receive);
        assert_eq!(level(None, out), 0);
        assert_eq!(level(Some((out, 0)), out), 1);
        assert_eq!(level(Some((inside, 1)), inside), 2);
        // What comes out of a tunnel, or an answer to it, may go into another.
        assert_eq!(level(Some((inside, 1)), out), 0);
    }

    #[test]
    fn no_two_workers_give_the_same_identification_for_a_long_time() {
        let mut workers: Vec<_> = (0..3).map(|number| Identifications::new(number, 3)).collect();
        let all = (0..20_000).flat_map(|_| workers.iter_mut().map(Identifications::next).collect::<Vec<_>>());
        let all: Vec<_> = all.collect();
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
