//! Packets that tools decide about, from the worker's side: they wait as those for a neighbour do, and go on where the tool
//! says.

use control::message::PuntClass;
use dpdk::{Chain, Mbuf};
use shm::attachment::{Stage, Way};
use shm::{AlertCounter, DropReason, InterfaceCounter, Passed, PathStage};

use super::dispatch::Refused;
use super::links::News;
use super::{Engine, Excess};
use crate::adjacency;
use crate::attachments::{HandedBack, NotTaken, Seen};
use crate::path::{BURST, Disposition, Note, Off, Tracer};

/// Where their ways begin.
const FROM_TOOL: Passed = Passed::NONE.with(PathStage::FromTool);

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Gives a packet to the tool that decides about its class. One that is behind is gone by, if the class or the rule that the
    /// packet fits fails open.
    #[cold]
    pub(super) fn punt_to_tool(
        &mut self,
        class: PuntClass,
        rule: Option<u16>,
        ingress: u16,
        mbuf: Mbuf,
        now: u64,
    ) -> Result<(), Refused> {
        let Self {
            consumers,
            transmit,
            stages,
            away,
            ..
        } = self;
        let see = |mbuf: &mut Mbuf| {
            away.given(mbuf);
            let port = stages.interfaces.port_of(ingress);
            transmit.taps.observe_punt(port, class, mbuf);
        };
        let taken = consumers.take(class, rule, ingress, mbuf, now, see);
        let (counter, result) = match taken {
            Ok(()) => {
                self.counters.add(ingress, InterfaceCounter::Waiting, 1);
                (AlertCounter::Punted, Ok(()))
            }
            Err((mbuf, NotTaken::Policed)) => {
                (AlertCounter::LimitedGlobal, Err((mbuf, DropReason::PuntPoliced)))
            }
            Err((mbuf, NotTaken::Excess(spent))) => {
                let result = match self.consumers.excess() {
                    Excess::Forward => {
                        self.go_by_tool(class, rule, ingress, mbuf, now);
                        Ok(())
                    }
                    Excess::Drop => Err((mbuf, DropReason::PuntPoliced)),
                };
                (spent.counter(), result)
            }
            Err((mbuf, NotTaken::Full)) if self.consumers.fails_open(class, rule) => {
                self.go_by_tool(class, rule, ingress, mbuf, now);
                (AlertCounter::BypassFull, Ok(()))
            }
            Err((mbuf, NotTaken::Full)) => (AlertCounter::ClosedFull, Err((mbuf, DropReason::PuntRingFull))),
            Err((mbuf, NotTaken::Nobody)) if self.consumers.fails_open(class, rule) => {
                self.go_by_tool(class, rule, ingress, mbuf, now);
                (AlertCounter::BypassDead, Ok(()))
            }
            Err((mbuf, NotTaken::Nobody)) => (AlertCounter::ClosedDead, Err((mbuf, DropReason::PuntClosed))),
        };
        if let Some(rule) = rule {
            self.counters.alert(rule, counter, 1);
        }
        result
    }

    /// A packet goes on as if no tool were asked, after those of its flow that the tool has.
    fn go_by_tool(&mut self, class: PuntClass, rule: Option<u16>, ingress: u16, mut mbuf: Mbuf, now: u64) {
        loop {
            match self.consumers.keep_behind(class, rule, mbuf) {
                Ok(()) => return self.counters.add(ingress, InterfaceCounter::Waiting, 1),
                Err(back) => mbuf = back,
            }
            match self.consumers.make_room(class, rule, &mbuf, &self.counters, now) {
                Some(handed) => self.hand_on(handed, now),
                None => break,
            }
        }
        let ingress = self.interface_of(&mbuf).unwrap_or(ingress);
        self.reinject(&mut Off, mbuf, ingress, Stage::Input, now);
    }

    /// Lets tools come and go, and packets go on that they have decided about, a burst at a time. Gives how many moved.
    #[inline]
    pub(super) fn serve_tools(&mut self, now: u64) -> usize {
        if self.consumers.parts.is_empty() && !self.consumers.parts.has_mail() {
            return 0;
        }
        self.serve_attached(now)
    }

    /// Policers and fail modes as configured anew, or other rules for router alerts.
    #[cold]
    pub(super) fn learn(&mut self, news: News, now: u64) {
        match news {
            News::Policies(policies) => {
                let hz = dpdk::tsc_hz();
                self.policers.set(&policies.classes, hz, now);
                self.consumers.set_policies(&policies, hz, now);
            }
            News::Rules(rules) => {
                for rule in rules.iter().flat_map(|rules| rules.fresh()) {
                    self.counters.clear_alert(*rule);
                }
                self.consumers.set_rules(rules, now);
            }
        }
        self.stages.punts = self.consumers.punts();
    }

    #[inline(never)]
    fn serve_attached(&mut self, now: u64) -> usize {
        // What was put in by the last burst is shown now, so that a tool is woken once for all of it.
        self.consumers.publish();
        self.consumers.serve(&mut self.handed_back, &self.counters);
        let mut moved = 0;
        while moved < BURST
            && let Some(handed) = self
                .consumers
                .hand_back(&mut self.handed_back, &self.counters, now)
        {
            self.hand_on(handed, now);
            moved += 1;
        }
        while moved < BURST
            && let Some(handed) = self.consumers.late(now, &self.counters)
        {
            self.hand_on(handed, now);
            moved += 1;
        }
        if self.consumers.parts.take_news() {
            self.doorbell.ring();
        }
        if self.consumers.take_changed() {
            self.stages.punts = self.consumers.punts();
        }
        if !self.handed_back.is_empty() {
            // In the order in which they came.
            let mut orphans = std::mem::take(&mut self.handed_back);
            moved += orphans.len();
            for handed in orphans.drain(..) {
                self.hand_on(handed, now);
            }
            self.handed_back = orphans;
        }
        moved
    }

    /// Attachments that were ended because of what their tools handed back.
    pub(super) fn bad_verdicts(&self) -> u64 {
        self.consumers.parts.bad_verdicts() + self.transmit.taps.bad_verdicts()
    }

    /// A packet goes on that a tool has decided about, or that is its own.
    fn hand_on(&mut self, handed: HandedBack, now: u64) {
        if self.away.is_empty() {
            return self.go_on(&mut Off, handed, now);
        }
        self.go_on_traced(handed, now);
    }

    pub(super) fn go_on<T: Tracer>(&mut self, tracer: &mut T, handed: HandedBack, now: u64) {
        let goes_by = matches!(handed, HandedBack::Behind(_));
        let (mut mbuf, interface, stage) = match handed {
            HandedBack::Forward(mbuf) | HandedBack::Behind(mbuf) => {
                let ingress = self.back(&mbuf);
                (mbuf, ingress, Stage::Input)
            }
            HandedBack::Drop(mut mbuf) => {
                let ingress = self.back(&mbuf);
                return self.drop_from_tool(tracer, ingress, DropReason::PuntDropped, &mut mbuf);
            }
            HandedBack::Take(mbuf) => {
                let ingress = self.back(&mbuf);
                self.counters.add(ingress, InterfaceCounter::Delivered, 1);
                let passed = FROM_TOOL.with(PathStage::Tool);
                self.count_way(passed);
                return tracer.end(passed, None);
            }
            HandedBack::Refuse(mbuf) => {
                let ingress = self.back(&mbuf);
                let end = self.refuse(
                    ingress,
                    mbuf,
                    DropReason::PuntRefused,
                    0,
                    PathStage::FromTool,
                    now,
                );
                return self.count_way(FROM_TOOL.union(end));
            }
            HandedBack::Orphan(mut mbuf) => {
                let ingress = self.back(&mbuf);
                return self.drop_from_tool(tracer, ingress, DropReason::PuntClosed, &mut mbuf);
            }
            HandedBack::Rewrite(mut mbuf, stage, interface, length) => {
                let ingress = self.back(&mbuf);
                mbuf.truncate(0);
                if mbuf.append(self.consumers.bytes(length)).is_err() {
                    let reason = DropReason::NoBuffer;
                    return self.drop_bytes_of_tool(tracer, ingress, reason, mbuf.mark(), length);
                }
                (mbuf, interface, stage)
            }
            HandedBack::Send(stage, interface, length) => {
                if self.port_of(interface).is_none() {
                    // Of no interface, so it is counted on the first.
                    self.counters.add(0, InterfaceCounter::Originated, 1);
                    return self.drop_bytes_of_tool(tracer, 0, DropReason::PuntInterface, None, length);
                }
                self.counters.add(interface, InterfaceCounter::Originated, 1);
                match self.filled(interface, &[self.consumers.bytes(length)]) {
                    Ok(mbuf) => (mbuf, interface, stage),
                    Err(_) => {
                        let reason = DropReason::NoBuffer;
                        return self.drop_bytes_of_tool(tracer, interface, reason, None, length);
                    }
                }
            }
        };
        if !goes_by {
            let port = self.stages.interfaces.port_of(interface);
            let seen = std::slice::from_mut(&mut mbuf);
            self.transmit.taps.observe(&Seen::at(port, Way::Reinject), seen);
        }
        self.reinject(tracer, mbuf, interface, stage, now);
    }

    /// A packet that was with a tool is with the worker again; gives the interface that it came in by.
    fn back(&self, mbuf: &Mbuf) -> u16 {
        let ingress = self.interface_of(mbuf).unwrap_or_default();
        self.counters.sub(ingress, InterfaceCounter::Waiting, 1);
        ingress
    }

    fn reinject<T: Tracer>(
        &mut self,
        tracer: &mut T,
        mut mbuf: Mbuf,
        interface: u16,
        stage: Stage,
        now: u64,
    ) {
        let ingress = self.interface_of(&mbuf).unwrap_or_default();
        let note = match stage {
            Stage::Input if self.stages.interfaces.get(usize::from(interface)).is_none() => {
                Note::of(Disposition::Drop(DropReason::PuntInterface), mbuf.len())
            }
            // Asks no tool again: that is the mark against loops.
            // A frame of a sub-interface has its tags.
            Stage::Input => {
                let port = self.stages.interfaces.port_of(interface);
                self.stages.run_again(tracer, port, Chain::of_one(&mut mbuf))
            }
            // A tunnel's outer packets go the same way.
            Stage::Own => match self.stages.originate(interface, mbuf.data_mut()) {
                Ok(port) => self.stages.run_again(tracer, port, Chain::of_one(&mut mbuf)),
                Err(reason) => Note::of(Disposition::Drop(reason), mbuf.len()),
            },
            Stage::Output => {
                let refusal = self.stages.refusal(interface, mbuf.len());
                let disposition = refusal.map_or(Disposition::Transmit(interface), Disposition::Drop);
                Note::of(disposition, mbuf.len())
            }
        };
        if !self.waiting.is_empty() {
            // A next hop that the stages found resolved may still have packets waiting: they leave first.
            self.serve_waiting(now);
        }
        tracer.goes_on(&note, mbuf.data());
        self.place_again(tracer, FROM_TOOL, ingress, mbuf, &note, now);
    }

    /// Drops a packet that comes from a tool.
    fn drop_from_tool<T: Tracer>(
        &mut self,
        tracer: &mut T,
        interface: u16,
        reason: DropReason,
        mbuf: &mut Mbuf,
    ) {
        self.drop_one(interface, reason, PathStage::FromTool, mbuf);
        self.dropped_from_tool(tracer, reason);
    }

    /// The same for what a tool has decided that there was no buffer for, or no interface.
    fn drop_bytes_of_tool<T: Tracer>(
        &mut self,
        tracer: &mut T,
        interface: u16,
        reason: DropReason,
        mark: Option<u64>,
        length: usize,
    ) {
        self.drop_answer(interface, reason, mark, length);
        self.dropped_from_tool(tracer, reason);
    }

    fn dropped_from_tool<T: Tracer>(&mut self, tracer: &mut T, reason: DropReason) {
        let passed = FROM_TOOL.with(PathStage::Drop);
        self.count_way(passed);
        tracer.end(passed, Some(reason));
    }

    /// Takes back what tools have, each packet counted: the worker ends.
    pub(super) fn stop_tools(&mut self) {
        self.consumers.stop(&mut self.handed_back, &self.counters);
        while let Some(handed) = self.handed_back.pop() {
            if let HandedBack::Forward(mut mbuf)
            | HandedBack::Behind(mut mbuf)
            | HandedBack::Orphan(mut mbuf) = handed
            {
                let ingress = self.back(&mbuf);
                self.drop_one(ingress, DropReason::Stopping, PathStage::Tool, &mut mbuf);
            }
        }
    }
}
