//! What becomes of packets as the load balancer judges them.

use dpdk::{Chain, Mbuf, MbufBatch};
use lb::{IcmpCount, Look, Path, Verdict};
use shm::{DropReason, Passed, PathStage};

use super::super::Engine;
use super::frame::Frame;
use super::handed::Label;
use crate::adjacency;
use crate::balancer::drop_reason;
use crate::path::{BURST, Burst, Hop, NOTES, Note, Off, Ready, Together};

/// What is to become of a packet.
pub(super) enum Step {
    /// Nothing: it goes through the stages as it came.
    Untouched,
    /// It is translated, and goes through the stages.
    Through,
    /// It is translated, and leaves by this interface: that part of its buffer.
    Leaves(u16, Ready),
    /// This worker is to judge it.
    Elsewhere {
        worker: usize,
        /// It is a message of ICMP.
        icmp: bool,
    },
    /// It is a fragment, to be put together with others.
    Joins,
    /// It is dropped.
    Refused(DropReason),
}

/// What became of a packet.
pub(super) enum Fate {
    /// Nothing: it goes through the stages as it came.
    Untouched(Mbuf),
    /// It is translated, and goes through the stages.
    Through(Mbuf),
    /// It leaves.
    Sent,
    /// Another worker gets it.
    Handed,
    /// It is a fragment, to be put together with others.
    Fragment(Mbuf),
    /// It is dropped, and counted.
    Dropped,
    /// It has gone through the stages already, with somebody who looks on.
    Traced,
}

/// What became of the packets of a burst.
pub(super) struct Fates {
    /// Go through the stages as they came.
    others: MbufBatch<BURST>,
    /// Are translated, and go through the stages.
    pub(super) through: MbufBatch<BURST>,
    sent: u64,
    handed: u64,
    dropped: u64,
}

impl Fates {
    pub(super) fn new() -> Self {
        Self {
            others: MbufBatch::new(),
            through: MbufBatch::new(),
            sent: 0,
            handed: 0,
            dropped: 0,
        }
    }
}

/// What was seen of a packet that is to be judged, and the interface that it came in by.
pub(super) type Seen = Option<(Look, u16)>;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Looks at a received burst before the stages do: takes out of it what is for services, or from servers of theirs. Gives the bytes
    /// of the packets that are left.
    #[inline(never)]
    pub(in crate::worker) fn services_first(
        &mut self,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        now: u64,
    ) -> usize {
        self.judge_burst(Passed::NONE.with(PathStage::Rx), 0, ingress, batch, now);
        batch.iter().map(Mbuf::len).sum()
    }

    /// Judges packets that came in by `ingress`, and leaves in the batch what is none of the load balancer's. Their ways begin with `from`;
    /// `asked` other workers had them before.
    pub(super) fn judge_burst(
        &mut self,
        from: Passed,
        asked: u8,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        now: u64,
    ) {
        let is_watched = self.looks_on();
        if !is_watched && self.judge_usual(from, asked, ingress, batch, now) {
            return;
        }
        let mut looks: [Seen; BURST] = [None; BURST];
        if !self.look_at_burst(ingress, batch, &mut looks) {
            return;
        }
        let judged = from.with(PathStage::Service);
        let mut fates = Fates::new();
        for (mut mbuf, look) in batch.drain().zip(&looks) {
            let fate = match look {
                Some((look, interface)) if is_watched => {
                    self.judge_watched(look, asked, ingress, *interface, mbuf, now)
                }
                Some((look, interface)) => {
                    let step = self.step(look, *interface, &mut mbuf, now);
                    self.act(step, asked, ingress, *interface, mbuf)
                }
                None => Fate::Untouched(mbuf),
            };
            let interface = look.map_or(ingress, |(_, interface)| interface);
            self.take_fate(&mut fates, fate, judged, ingress, interface, now);
        }
        self.finish_judged(from, ingress, fates, batch, now);
    }

    /// Keeps what became of a packet, which came in by `interface`; a fragment is put with others.
    #[inline]
    pub(super) fn take_fate(
        &mut self,
        fates: &mut Fates,
        fate: Fate,
        judged: Passed,
        ingress: u16,
        interface: u16,
        now: u64,
    ) {
        match fate {
            // Each has room for all of a burst.
            Fate::Untouched(mbuf) => drop(fates.others.push(mbuf)),
            Fate::Through(mbuf) => drop(fates.through.push(mbuf)),
            Fate::Sent => fates.sent += 1,
            Fate::Handed => fates.handed += 1,
            Fate::Fragment(mbuf) => self.join_fragment(judged, ingress, interface, mbuf, now),
            Fate::Dropped => fates.dropped += 1,
            Fate::Traced => {}
        }
    }

    /// Counts what became of a burst, takes through the stages what is translated, and leaves the rest in the batch.
    pub(super) fn finish_judged(
        &mut self,
        from: Passed,
        ingress: u16,
        mut fates: Fates,
        batch: &mut MbufBatch<BURST>,
        now: u64,
    ) {
        *batch = fates.others;
        let judged = from.with(PathStage::Service);
        for (end, count) in [
            (PathStage::Tx, fates.sent),
            (PathStage::Waiting, fates.handed),
            (PathStage::Drop, fates.dropped),
        ] {
            if count > 0 {
                self.counters.burst_of(judged.with(end), count);
            }
        }
        if fates.handed > 0 {
            self.hand_over_balanced();
        }
        if !fates.through.is_empty() {
            self.all_go_through(judged, ingress, &mut fates.through, now);
        }
    }

    /// Takes packets through the stages that have been judged: no tool is asked about them. Mostly they all leave by one interface.
    fn all_go_through(&mut self, from: Passed, ingress: u16, batch: &mut MbufBatch<BURST>, now: u64) {
        if batch.iter().any(|mbuf| mbuf.segment_count() != 1) {
            return batch
                .drain()
                .for_each(|mbuf| self.go_through(from, ingress, mbuf, now));
        }
        let mut notes = NOTES;
        let mut burst = Burst {
            packets: batch,
            notes: &mut notes,
        };
        let together = self.stages.run_judged(ingress, &mut burst);
        self.follow_judged(from, ingress, together, batch, &mut notes, now);
    }

    /// Does what the stages say of packets that have been judged.
    pub(super) fn follow_judged(
        &mut self,
        from: Passed,
        ingress: u16,
        together: Option<Together>,
        batch: &mut MbufBatch<BURST>,
        notes: &mut [Note; BURST],
        now: u64,
    ) {
        if let Some(Together { egress, six }) = together {
            // A next hop that was found resolved may still have packets waiting: those leave first.
            if self.transmit.has(egress) && self.waiting.is_empty() {
                return self.leave_together(from, ingress, egress, six.into(), batch);
            }
            for (mbuf, note) in batch.iter().zip(notes.iter_mut()) {
                *note = Note::usual(egress, mbuf.data());
            }
        }
        for (mbuf, note) in batch.drain().zip(notes.iter()) {
            self.place_judged(from, ingress, mbuf, note, now);
        }
    }

    /// Sends packets that all leave by one interface as the stages have left them.
    fn leave_together(
        &mut self,
        from: Passed,
        ingress: u16,
        egress: u16,
        six: u64,
        batch: &mut MbufBatch<BURST>,
    ) {
        let count = batch.len() as u64;
        let bytes = batch.iter().map(Mbuf::len).sum();
        self.transmit.append(egress, batch, bytes, &self.counters);
        let mut sent = [count - six, six];
        for mut mbuf in batch.drain() {
            let way = Note::usual(egress, mbuf.data()).passed;
            sent[usize::from(way != Passed::USUAL4)] -= 1;
            self.drop_one(ingress, DropReason::TxFull, PathStage::Tx, &mut mbuf);
            self.count_way(from.union(way).with(PathStage::Drop));
        }
        for (packets, way) in sent.into_iter().zip([Passed::USUAL4, Passed::USUAL6]) {
            if packets > 0 {
                self.counters
                    .burst_of(from.union(way).with(PathStage::Tx), packets);
            }
        }
    }

    /// Looks at all of a burst, so that what is looked up for the first comes while the others are looked at. Whether one is to be judged;
    /// `looks` has what was seen of those.
    fn look_at_burst(&self, ingress: u16, batch: &MbufBatch<BURST>, looks: &mut [Seen; BURST]) -> bool {
        let Some(receiver) = self.stages.receiver(ingress) else {
            return false;
        };
        let balancer = &self.services.balancer;
        let mut any = false;
        for (mbuf, place) in batch.iter().zip(looks.iter_mut()) {
            let frame = mbuf.data();
            let behind = mbuf.len() - frame.len();
            let Some(interface) = self.stages.came_by(ingress, receiver, frame) else {
                continue;
            };
            let look = balancer.look_start(frame, behind, dpdk::prefetch_address);
            if look.is_ours() && !receiver.has_left_work(frame, behind) {
                *place = Some((look, interface));
                any = true;
            }
        }
        if any {
            for (look, _) in looks.iter().flatten() {
                balancer.warm(look, dpdk::prefetch_address);
            }
        }
        any
    }

    /// Judges a packet that came in by `interface`, and translates it.
    #[inline]
    pub(super) fn step(&mut self, look: &Look, interface: u16, mbuf: &mut Mbuf, now: u64) -> Step {
        let verdict = self
            .services
            .balancer
            .judge(look, &mut Frame(mbuf), interface, now);
        match verdict {
            Verdict::NotOurs => Step::Untouched,
            Verdict::Forward { path } => match path {
                Some(path) => match self.leaves_by(&path, Hop::Counted, mbuf) {
                    Some(leaves) => leaves,
                    None => {
                        self.services.balancer.count_way_lost(look);
                        Step::Through
                    }
                },
                None => Step::Through,
            },
            Verdict::Elsewhere { worker } => Step::Elsewhere {
                worker,
                icmp: look.view().is_icmp(),
            },
            Verdict::Next => Step::Elsewhere {
                worker: self.next_worker(),
                icmp: look.view().is_icmp(),
            },
            Verdict::Join => Step::Joins,
            Verdict::Drop(refused) => Step::Refused(drop_reason(refused)),
        }
    }

    /// How a translated packet leaves by the way that its connection has learned; `None` if it cannot.
    #[inline]
    pub(super) fn leaves_by(&self, path: &Path, hop: Hop, mbuf: &mut Mbuf) -> Option<Step> {
        let behind = mbuf.len() - mbuf.data().len();
        let ready = self.stages.leave_by(path, hop, mbuf.data_mut(), behind)?;
        Some(Step::Leaves(path.interface, ready))
    }

    /// Does what is to become of a packet that came in by `interface`, which the port of `ingress` has received.
    #[inline]
    pub(super) fn act(&mut self, step: Step, asked: u8, ingress: u16, interface: u16, mbuf: Mbuf) -> Fate {
        match step {
            Step::Untouched => Fate::Untouched(mbuf),
            Step::Through => Fate::Through(mbuf),
            Step::Leaves(egress, ready) => self.send_ready(egress, ready, ingress, interface, mbuf),
            Step::Elsewhere { worker, icmp } => self.hand_one(worker, icmp, asked, ingress, interface, mbuf),
            Step::Joins => Fate::Fragment(mbuf),
            Step::Refused(reason) => self.refuse_one(reason, ingress, interface, mbuf),
        }
    }

    #[inline]
    fn send_ready(
        &mut self,
        egress: u16,
        ready: Ready,
        ingress: u16,
        interface: u16,
        mut mbuf: Mbuf,
    ) -> Fate {
        self.came_in(ingress, interface, &mut mbuf);
        if mbuf.len() != ready.end {
            mbuf.truncate(ready.end);
        }
        let trimmed = ready.begin == 0 || mbuf.trim_front(ready.begin).is_ok();
        let left = if trimmed {
            self.leave(egress, mbuf)
        } else {
            Err((mbuf, DropReason::EthernetTruncated))
        };
        match left {
            Ok(()) => Fate::Sent,
            Err((mut mbuf, reason)) => {
                self.drop_one(interface, reason, PathStage::Service, &mut mbuf);
                Fate::Dropped
            }
        }
    }

    /// The worker that is asked after this one.
    pub(super) fn next_worker(&self) -> usize {
        (self.services.handover.number() + 1) % self.services.handover.workers().max(1)
    }

    fn hand_one(
        &mut self,
        worker: usize,
        icmp: bool,
        asked: u8,
        ingress: u16,
        interface: u16,
        mbuf: Mbuf,
    ) -> Fate {
        // Each worker but the first has had it from another.
        let asked = asked.saturating_add(1);
        if usize::from(asked) >= self.services.handover.workers() {
            // Of what is no error all workers know whose it is.
            if icmp {
                self.services.balancer.count_error_of_none();
            }
            return self.refuse_one(DropReason::ServiceErrorNoConnection, ingress, interface, mbuf);
        }
        match self.hand_to_balancer(worker, Label { asked, longest: 0 }, ingress, mbuf) {
            Ok(()) => {
                if icmp {
                    self.services.balancer.count_icmp(IcmpCount::Redirected);
                }
                Fate::Handed
            }
            Err(mbuf) => self.refuse_one(DropReason::SpreadRingFull, ingress, interface, mbuf),
        }
    }

    fn refuse_one(&mut self, reason: DropReason, ingress: u16, interface: u16, mut mbuf: Mbuf) -> Fate {
        self.came_in(ingress, interface, &mut mbuf);
        self.drop_one(interface, reason, PathStage::Service, &mut mbuf);
        Fate::Dropped
    }

    /// Counts a packet of a sub-interface there, which the stages do of those that go through them.
    #[inline]
    pub(super) fn came_in(&mut self, ingress: u16, interface: u16, mbuf: &mut Mbuf) {
        if interface != ingress {
            self.received_tagged(interface, mbuf);
        }
    }

    /// Counts a packet of a sub-interface there that is to be dropped; the interface that it came in by.
    pub(super) fn balanced_by(&mut self, ingress: u16, mbuf: &mut Mbuf) -> u16 {
        let receiver = self.stages.receiver(ingress);
        let interface = receiver.and_then(|receiver| self.stages.came_by(ingress, receiver, mbuf.data()));
        let interface = interface.unwrap_or(ingress);
        self.came_in(ingress, interface, mbuf);
        interface
    }

    /// Takes a packet through the stages that has been judged: no tool is asked about it.
    pub(super) fn go_through(&mut self, from: Passed, ingress: u16, mut mbuf: Mbuf, now: u64) {
        let note = self.stages.run_one(ingress, Chain::of_one(&mut mbuf));
        self.place_judged(from, ingress, mbuf, &note, now);
    }

    /// Does what the stages have noted of a packet that has been judged.
    fn place_judged(&mut self, from: Passed, ingress: u16, mut mbuf: Mbuf, note: &Note, now: u64) {
        let mut ingress = ingress;
        if let Some(sub_interface) = note.sub_interface() {
            self.received_tagged(sub_interface, &mut mbuf);
            ingress = sub_interface;
        }
        self.place_again(&mut Off, from, ingress, mbuf, note, now);
    }
}
