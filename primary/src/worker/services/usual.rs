//! Bursts of usual packets, of which the load balancer carries those of its connections with little ado.

use dpdk::{Mbuf, MbufBatch};
use lb::{Carried, Destination, Glance, Path};
use shm::{Passed, PathStage};

use super::super::Engine;
use super::judged::{Fate, Fates, Step};
use crate::adjacency;
use crate::path::{BURST, Burst, Hop, NOTES};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// As [`judge_burst`](Self::judge_burst), for a burst of usual packets that nobody looks on. `false`: it is not one, and nothing is done.
    pub(super) fn judge_usual(
        &mut self,
        from: Passed,
        asked: u8,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        now: u64,
    ) -> bool {
        let mut glances = [Glance::NONE; BURST];
        match self.glance_at_burst(ingress, batch, &mut glances) {
            None => return false,
            Some(false) => return true,
            Some(true) => {}
        }
        let mut destinations = [0; BURST];
        let mut way = None;
        let carried = self.carry_front(ingress, batch, &glances, &mut destinations, &mut way, now);
        let judged = from.with(PathStage::Service);
        if carried == batch.len() {
            self.services.balancer.count();
            self.all_carried_go_through(judged, ingress, batch, &destinations, now);
            return true;
        }
        let mut fates = Fates::new();
        for (number, (mbuf, glance)) in batch.drain().zip(&glances).enumerate() {
            let fate = if number < carried {
                Fate::Through(mbuf)
            } else if !glance.is_ours() {
                Fate::Untouched(mbuf)
            } else {
                let way = way.filter(|_| number == carried);
                self.judge_glanced(glance, way, asked, ingress, mbuf, now)
            };
            self.take_fate(&mut fates, fate, judged, ingress, ingress, now);
        }
        self.services.balancer.count();
        self.finish_judged(from, ingress, fates, batch, now);
        true
    }

    /// Glances at a burst, so that what is looked up for the first comes while the others are looked at. Whether one is to be judged; `None` if
    /// one may be which is not usual.
    #[inline(never)]
    fn glance_at_burst(
        &self,
        ingress: u16,
        batch: &MbufBatch<BURST>,
        glances: &mut [Glance; BURST],
    ) -> Option<bool> {
        let receiver = self.stages.receiver(ingress)?;
        let balancer = &self.services.balancer;
        let mut last = Destination::default();
        let mut any = false;
        for (mbuf, place) in batch.iter().zip(glances.iter_mut()) {
            let frame = mbuf.data();
            if mbuf.len() != frame.len() || !receiver.is_for(frame) || receiver.has_left_work(frame, 0) {
                return None;
            }
            *place = balancer.glance(frame, &mut last, dpdk::prefetch_address)?;
            any |= place.is_ours();
        }
        if any {
            for glance in glances.iter_mut().take(batch.len()) {
                balancer.seek(glance, dpdk::prefetch_address);
            }
        }
        Some(any)
    }

    /// Translates the first packets of a burst where they are, up to one that is not carried so, or leaves by the way that its connection has
    /// learned, `way`. How many; `destinations` has where they go now.
    #[inline(never)]
    fn carry_front(
        &mut self,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        glances: &[Glance; BURST],
        destinations: &mut [u32; BURST],
        way: &mut Option<Path>,
        now: u64,
    ) -> usize {
        let balancer = &mut self.services.balancer;
        let lanes = batch.iter_mut().zip(glances).zip(destinations);
        for (number, ((mbuf, glance), destination)) in lanes.enumerate() {
            match balancer.carry_usual(glance, mbuf.data_mut(), ingress, now) {
                Some(Carried {
                    path: None,
                    destination: to,
                }) => *destination = to,
                other => {
                    *way = other.and_then(|carried| carried.path);
                    return number;
                }
            }
        }
        batch.len()
    }

    /// As [`all_go_through`](Self::all_go_through), for whole packets that were carried to these destinations.
    fn all_carried_go_through(
        &mut self,
        from: Passed,
        ingress: u16,
        batch: &mut MbufBatch<BURST>,
        destinations: &[u32; BURST],
        now: u64,
    ) {
        let mut notes = NOTES;
        let mut burst = Burst {
            packets: batch,
            notes: &mut notes,
        };
        let together = self.stages.run_carried(ingress, &mut burst, destinations);
        self.follow_judged(from, ingress, together, batch, &mut notes, now);
    }

    /// Judges a packet that was glanced at, unless it is translated already and leaves by `way`, and does what is to become of it.
    fn judge_glanced(
        &mut self,
        glance: &Glance,
        way: Option<Path>,
        asked: u8,
        ingress: u16,
        mut mbuf: Mbuf,
        now: u64,
    ) -> Fate {
        let balancer = &mut self.services.balancer;
        let carried = match way {
            Some(_) => Some(way),
            None => balancer
                .carry_usual(glance, mbuf.data_mut(), ingress, now)
                .map(|carried| carried.path),
        };
        let step = match carried {
            Some(Some(way)) => self
                .leaves_by(&way, Hop::Counted, &mut mbuf)
                .unwrap_or(Step::Through),
            Some(None) => Step::Through,
            None => {
                balancer.count();
                let look = balancer.look(mbuf.data(), |_| {});
                self.step(&look, ingress, &mut mbuf, now)
            }
        };
        self.act(step, asked, ingress, ingress, mbuf)
    }
}
