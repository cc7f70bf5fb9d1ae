//! A worker's part in punts: packets that a tool decides about, or watches, and those that it hands back.

use control::message::{FailMode, PuntClass};
use dpdk::Mbuf;
use shm::attachment::{BadVerdict, Lane, Origin, Verdict, Way};

use super::parts::{Part, Parts};
use crate::path::punt::{PuntMode, Punts};
use crate::worker::Bucket;

/// The longest frame that a tool hands back, bytes.
const LONGEST: usize = 16_384;

/// One worker's part of one tool that decides about packets or watches them.
pub struct Consumer {
    id: u32,
    /// By class: whether it takes part.
    classes: [bool; PuntClass::COUNT],
    /// Whether it only watches.
    observes: bool,
    lane: Lane,
    /// By slot: the packet that the tool decides about, and its class.
    held: Vec<Option<(Mbuf, PuntClass)>>,
}

impl Part for Consumer {
    fn id(&self) -> u32 {
        self.id
    }

    fn end(&mut self) {
        self.lane.end();
    }
}

impl Consumer {
    /// Decides about the packets of `classes`, or only watches them.
    pub fn new(id: u32, classes: &[PuntClass], observes: bool, lane: Lane) -> Self {
        Self {
            id,
            classes: PuntClass::ALL.map(|class| classes.contains(&class)),
            observes,
            held: (0..lane.free()).map(|_| None).collect(),
            lane,
        }
    }

    /// Copies a packet to the tool and gives the slot, or nothing when it is behind.
    fn put(&mut self, ingress: u16, mbuf: &Mbuf, now: u64) -> Option<u32> {
        let origin = Origin {
            ticks: now,
            interface: ingress,
            way: Way::Rx,
            wire_length: mbuf.len() as u32,
        };
        self.lane.count_seen(1);
        self.lane.put(&origin, mbuf.segments())
    }
}

/// What a class is like on all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassPolicy {
    /// What becomes of its packets without a tool.
    pub fail: FailMode,
    /// Packets per second that may go to a tool, shared out among the workers.
    pub rate: u32,
    /// Packets that may go to a tool at once.
    pub burst: u32,
}

/// All tools of a worker that decide or watch.
pub struct Consumers {
    /// Its parts.
    pub parts: Parts<Consumer>,
    /// By class: the place of the part that decides.
    deciding: [Option<usize>; PuntClass::COUNT],
    buckets: [Bucket; PuntClass::COUNT],
    fail: [FailMode; PuntClass::COUNT],
    /// Among how many workers the rates are shared out.
    workers: u64,
    /// What a tool handed back, copied out before it is looked at.
    buffer: Vec<u8>,
}

/// Why a packet does not go to a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// More than the class's policer lets through.
    Policed,
    /// The tool is behind.
    Full,
}

/// A packet that a tool decided about, or that lost its tool.
pub enum HandedBack {
    /// It goes on as if no tool had been asked.
    Forward(Mbuf),
    /// It is forgotten.
    Drop(Mbuf),
    /// Its class has no tool any more and fails closed.
    Orphan(Mbuf),
    /// Other bytes, the first `usize` of [`Consumers::buffer`], go on in its place.
    Rewrite(Mbuf, shm::attachment::Stage, u16, usize),
    /// A packet of the tool's own: as many bytes of the buffer.
    Send(shm::attachment::Stage, u16, usize),
}

impl Consumers {
    /// The worker's share of the classes' policies.
    pub fn new(
        parts: Parts<Consumer>,
        policies: &[ClassPolicy; PuntClass::COUNT],
        workers: u64,
        tsc_hz: u64,
        now: u64,
    ) -> Self {
        Self {
            parts,
            deciding: [None; PuntClass::COUNT],
            buckets: buckets(policies, workers, tsc_hz, now),
            fail: policies.each_ref().map(|policy| policy.fail),
            workers,
            buffer: vec![0; LONGEST],
        }
    }

    /// Other policies from `now` on. What tools have in their hands goes the new way if they go.
    pub fn set_policies(&mut self, policies: &[ClassPolicy; PuntClass::COUNT], tsc_hz: u64, now: u64) {
        self.buckets = buckets(policies, self.workers, tsc_hz, now);
        self.fail = policies.each_ref().map(|policy| policy.fail);
    }

    /// What the last decision was about.
    pub fn bytes(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    /// What becomes of the packets of each class now.
    pub fn punts(&self) -> Punts {
        Punts::new(
            |class| match (self.deciding[class as usize], self.fail[class as usize]) {
                (Some(_), _) => PuntMode::Tool,
                (None, FailMode::Open) => PuntMode::Off,
                (None, FailMode::Closed) => PuntMode::Closed,
            },
        )
    }

    /// Does what the control thread has told, and gives what tools that went had in their hands to `orphans`.
    #[inline]
    pub fn serve(&mut self, orphans: &mut Vec<HandedBack>) {
        if self.parts.has_mail() {
            let fail = self.fail;
            self.parts.read_mail(|part| release(part, &fail, orphans));
            self.find_deciding();
        }
    }

    fn find_deciding(&mut self) {
        for class in PuntClass::ALL {
            self.deciding[class as usize] = self
                .parts
                .iter()
                .position(|part| !part.observes && part.classes[class as usize]);
        }
    }

    /// Gives a packet to the tool that decides about its class, and copies to those that watch. It comes back by
    /// [`Consumers::hand_back`].
    pub fn take(
        &mut self,
        class: PuntClass,
        ingress: u16,
        mbuf: Mbuf,
        now: u64,
    ) -> Result<(), (Mbuf, NotTaken)> {
        if !self.buckets[class as usize].admit(now) {
            return Err((mbuf, NotTaken::Policed));
        }
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            if part.observes && part.classes[class as usize] {
                part.put(ingress, &mbuf, now);
            }
            place += 1;
        }
        let part = self.deciding[class as usize].and_then(|place| self.parts.get_mut(place));
        let Some(part) = part else {
            return Err((mbuf, NotTaken::Full));
        };
        match part.put(ingress, &mbuf, now) {
            Some(slot) => {
                if let Some(held) = part.held.get_mut(slot as usize) {
                    *held = Some((mbuf, class));
                }
                Ok(())
            }
            None => Err((mbuf, NotTaken::Full)),
        }
    }

    /// Shows all tools what was put in.
    pub fn publish(&mut self) {
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            if part.lane.has_news() {
                part.lane.publish();
            }
            place += 1;
        }
    }

    /// The next packet that a tool has decided about. A tool that hands back nonsense is ended; its packets come one by one.
    pub fn hand_back(&mut self, orphans: &mut Vec<HandedBack>) -> Option<HandedBack> {
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            let decision = if part.observes {
                part.lane.reclaim().map(|()| None)
            } else {
                part.lane.decision(&mut self.buffer)
            };
            match decision {
                Ok(None) => place += 1,
                Ok(Some((verdict, length))) => {
                    if let Some(handed) = handed_back(part, verdict, length) {
                        return Some(handed);
                    }
                }
                Err(bad) => self.end(place, bad, orphans),
            }
        }
        None
    }

    #[cold]
    fn end(&mut self, place: usize, bad: BadVerdict, orphans: &mut Vec<HandedBack>) {
        if let Some(part) = self.parts.get_mut(place) {
            release(part, &self.fail, orphans);
        }
        self.parts.hand_back(place, Some(bad));
        self.find_deciding();
    }

    /// Ends all: the worker ends.
    pub fn stop(&mut self, orphans: &mut Vec<HandedBack>) {
        let fail = self.fail;
        self.parts.stop(|part| release(part, &fail, orphans));
        self.find_deciding();
    }
}

/// A worker's share of the rates, in full buckets.
fn buckets(
    policies: &[ClassPolicy; PuntClass::COUNT],
    workers: u64,
    tsc_hz: u64,
    now: u64,
) -> [Bucket; PuntClass::COUNT] {
    policies.each_ref().map(|policy| {
        let rate = u64::from(policy.rate).div_ceil(workers.max(1));
        Bucket::new(tsc_hz, rate, u64::from(policy.burst), now)
    })
}

fn handed_back(part: &mut Consumer, verdict: Verdict, length: usize) -> Option<HandedBack> {
    let mut held = |slot: u32| Some(part.held.get_mut(slot as usize)?.take()?.0);
    Some(match verdict {
        Verdict::Drop(slot) => HandedBack::Drop(held(slot)?),
        Verdict::Forward(slot) => HandedBack::Forward(held(slot)?),
        Verdict::Rewrite {
            slot,
            stage,
            interface,
        } => HandedBack::Rewrite(held(slot)?, stage, interface, length),
        Verdict::Send { stage, interface } => HandedBack::Send(stage, interface, length),
    })
}

/// What a tool that goes had in its hands goes the way of its class.
fn release(part: &mut Consumer, fail: &[FailMode; PuntClass::COUNT], orphans: &mut Vec<HandedBack>) {
    for (mbuf, class) in part.held.iter_mut().filter_map(Option::take) {
        orphans.push(match fail[class as usize] {
            FailMode::Open => HandedBack::Forward(mbuf),
            FailMode::Closed => HandedBack::Orphan(mbuf),
        });
    }
}
