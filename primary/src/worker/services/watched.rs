//! Traced packets that the load balancer judges: what they were is one leg of their way, what they are translated to the next.

use dpdk::{Mbuf, MbufBatch};
use lb::Look;
use shm::{Passed, PathStage};

use super::super::Engine;
use super::judged::{Fate, Step};
use crate::adjacency;
use crate::path::{BURST, Disposition, Note, Tracer};
use crate::trace::{Followed, Judged, Leg};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Judges a packet that may be traced, and does what is to become of it. What goes through the stages from here on is counted as
    /// if they had received it.
    #[cold]
    pub(super) fn judge_watched(
        &mut self,
        look: &Look,
        asked: u8,
        ingress: u16,
        interface: u16,
        mbuf: Mbuf,
        now: u64,
    ) -> Fate {
        let mut one = MbufBatch::<BURST>::new();
        // An empty batch has room.
        drop(one.push(mbuf));
        let followed = self.begin_judged(ingress, &mut one);
        let Some(mut mbuf) = one.pop() else {
            return Fate::Dropped;
        };
        let step = self.step(look, interface, &mut mbuf, now);
        let Some(mut followed) = followed else {
            return self.act(step, asked, ingress, interface, mbuf);
        };
        let leg = followed.leg();
        let stage = Passed::NONE.with(PathStage::Service);
        let (passed, refused) = match &step {
            Step::Untouched | Step::Through => {
                leg.judged = Some(Judged::GoesOn);
                if let Some(followed) = followed.begin(Leg::judged(ingress, &mbuf)) {
                    drop(one.push(mbuf));
                    self.trace_on(followed, ingress, &mut one, now);
                    return Fate::Traced;
                }
                return self.act(step, asked, ingress, interface, mbuf);
            }
            Step::Leaves(egress, ready) => {
                leg.note = Note::of(Disposition::Transmit(*egress), ready.end);
                let leaves = mbuf.data().get(ready.begin..).unwrap_or_default();
                leg.watched.leaves(leaves);
                (stage.with(PathStage::Tx), None)
            }
            Step::Elsewhere { .. } => {
                leg.judged = Some(Judged::Elsewhere);
                (stage.with(PathStage::Waiting), None)
            }
            Step::Joins => (stage.with(PathStage::Reassembly).with(PathStage::Waiting), None),
            Step::Refused(reason) => (stage.with(PathStage::Drop), Some(*reason)),
        };
        leg.watched.recorder.end(passed, refused);
        followed.finish();
        self.doorbell.ring();
        self.act(step, asked, ingress, interface, mbuf)
    }

    /// Begins to write down where a packet is, if it is to be traced or is already.
    fn begin_judged(&mut self, ingress: u16, one: &mut MbufBatch<BURST>) -> Option<Followed> {
        if let Some(mut followed) = self.following.take(one.first()?) {
            let opened = followed.protection.take();
            return followed.begin(Leg::received(ingress, one.first()?, opened));
        }
        for place in 0.. {
            let part = self.traces.get_mut(place)?;
            if part.choose(ingress, one) != 0 {
                return Some(part.follow(Leg::received(ingress, one.first()?, None)));
            }
        }
        None
    }
}
