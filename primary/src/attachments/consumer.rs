//! A worker's part in punts: packets that a tool decides about, or watches, and those that it hands back.

use std::sync::Arc;

use control::message::{FailMode, PuntClass};
use dpdk::Mbuf;
use shm::attachment::{BadVerdict, Lane, Origin, Verdict, Way};
use shm::{AlertCounter, CounterBlock};

use super::class_policy::{buckets, deadlines};
use super::ends::{FailModes, Held, Stopwatch, Unanswered};
use super::flow_order::FlowOrder;
use super::handed_back::HandedBack;
use super::oldest::Oldest;
use super::parts::{Part, Parts};
use super::tap::id_of;
use super::window::Window;
use crate::alerts::RuleSet;
use crate::path::punt::{PuntMode, Punts};
use crate::worker::{AlertLimits, Bucket, Excess, Policies, Spent};

/// The longest frame that a tool hands back, bytes.
const LONGEST: usize = 16_384;

/// One worker's part of one tool that decides about packets or watches them.
pub struct Consumer {
    id: u32,
    /// By class: whether it takes part.
    pub(super) classes: [bool; PuntClass::COUNT],
    /// Whether it only watches.
    pub(super) observes: bool,
    pub(super) lane: Lane,
    /// By slot: the packet that the tool decides about.
    pub(super) held: Vec<Option<Held>>,
    /// By class: the slots of those packets, the oldest first.
    oldest: [Oldest; PuntClass::COUNT],
    /// Those packets by their flows, and what stays behind them.
    pub(super) order: FlowOrder<Mbuf>,
    /// How many it may have.
    pub(super) window: Window,
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
            oldest: PuntClass::ALL.map(|_| Oldest::new(lane.free() as u32)),
            order: FlowOrder::new(lane.free() as u32),
            window: Window::new(lane.free()),
            lane,
        }
    }

    /// Copies a packet to the tool and gives the slot, or nothing when it is behind.
    pub(super) fn put(&mut self, rule: Option<u16>, ingress: u16, mbuf: &Mbuf, now: u64) -> Option<u32> {
        let origin = Origin {
            rule,
            id: id_of(mbuf),
            ..Origin::new(now, ingress, Way::Rx, mbuf.len() as u32)
        };
        self.lane.count_seen(1);
        self.lane.put(&origin, mbuf.segments())
    }

    /// Keeps the packet of a slot until the tool has answered.
    fn hold(&mut self, slot: u32, held: Held) {
        if let Some(place) = self.held.get_mut(slot as usize) {
            self.oldest[held.class as usize].push(slot);
            let flow = self.order.flow_of(held.mbuf.data(), held.rule);
            self.order.enter(flow, slot);
            *place = Some(held);
        }
    }

    /// Gives up the packet of a slot, unless that was done before.
    pub(super) fn release(&mut self, slot: u32) -> Option<Held> {
        let held = self.held.get_mut(slot as usize)?.take()?;
        self.oldest[held.class as usize].remove(slot);
        self.order.leave(slot);
        Some(held)
    }

    /// Gives up the oldest packet of a class if it was given to the tool before `since`.
    fn release_late(&mut self, class: PuntClass, since: u64) -> Option<Held> {
        let slot = self.oldest[class as usize].first()?;
        let held = self.held.get(slot as usize)?.as_ref()?;
        // Counters of the CPU that differ by less than half of all values.
        if (held.since.wrapping_sub(since) as i64) > 0 {
            return None;
        }
        self.lane.count_late();
        self.release(slot)
    }

    /// Forgets which rules its packets fit, but for those that go on with their counters.
    fn keep_rules(&mut self, rules: Option<&RuleSet>) {
        let stays =
            |rule: u16| rules.is_some_and(|set| set.rule(rule).is_some() && !set.fresh().contains(&rule));
        for held in self.held.iter_mut().flatten() {
            held.rule = held.rule.filter(|rule| stays(*rule));
        }
    }
}

/// All tools of a worker that decide or watch.
pub struct Consumers {
    /// Its parts.
    pub parts: Parts<Consumer>,
    /// By class: the place of the part that decides.
    pub(super) deciding: [Option<usize>; PuntClass::COUNT],
    /// By class: whether any watch.
    pub(super) watched: [bool; PuntClass::COUNT],
    buckets: [Bucket; PuntClass::COUNT],
    /// Those of router alerts.
    limits: AlertLimits,
    pub(super) fail: FailModes,
    stopwatch: Stopwatch,
    /// By class: how long a tool may take, ticks.
    deadlines: [u64; PuntClass::COUNT],
    /// Among how many workers the rates are shared out.
    workers: u64,
    /// What a tool handed back, copied out before it is looked at.
    buffer: Vec<u8>,
    /// Whether what becomes of the classes has changed since it was asked for.
    changed: bool,
}

/// Why a packet does not go to a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// More than the class's policer lets through.
    Policed,
    /// A router alert, and more than a policer of those lets through; [`Consumers::excess`] is what becomes of it.
    Excess(Spent),
    /// The tool is behind.
    Full,
    /// There is no tool that decides, only such as watch.
    Nobody,
}

impl Consumers {
    /// The worker's share of the classes' policies.
    pub fn new(parts: Parts<Consumer>, policies: &Policies, workers: u64, tsc_hz: u64, now: u64) -> Self {
        let limits = AlertLimits::new(policies, workers, tsc_hz, now);
        let policies = &policies.classes;
        Self {
            parts,
            deciding: [None; PuntClass::COUNT],
            watched: [false; PuntClass::COUNT],
            buckets: buckets(policies, workers, tsc_hz, now),
            limits,
            fail: FailModes {
                classes: policies.each_ref().map(|policy| policy.fail),
                rules: None,
            },
            stopwatch: Stopwatch::new(tsc_hz),
            deadlines: deadlines(policies, tsc_hz),
            workers,
            buffer: vec![0; LONGEST],
            changed: false,
        }
    }

    /// Other policies from `now` on. What tools have in their hands goes the new way if they go.
    pub fn set_policies(&mut self, policies: &Policies, tsc_hz: u64, now: u64) {
        self.limits.set(policies, now);
        let policies = &policies.classes;
        self.buckets = buckets(policies, self.workers, tsc_hz, now);
        self.fail.classes = policies.each_ref().map(|policy| policy.fail);
        self.deadlines = deadlines(policies, tsc_hz);
        self.changed = true;
    }

    /// Other rules for router alerts, or none. What tools have in their hands goes the new way if they go.
    pub fn set_rules(&mut self, rules: Option<Arc<RuleSet>>, now: u64) {
        self.limits.set_rules(rules.as_deref(), now);
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            part.keep_rules(rules.as_deref());
            place += 1;
        }
        self.fail.rules = rules;
        self.changed = true;
    }

    /// What the last decision was about.
    pub fn bytes(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    /// Whether packets of a class, or of a rule in it, go on if their tool does not decide about them.
    pub fn fails_open(&self, class: PuntClass, rule: Option<u16>) -> bool {
        self.fail.of(class, rule) == FailMode::Open
    }

    /// What becomes of router alerts that are too many.
    pub fn excess(&self) -> Excess {
        self.limits.excess()
    }

    /// Whether [`Consumers::punts`] may be another than when this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What becomes of the packets of each class now.
    pub fn punts(&self) -> Punts {
        Punts::new(
            |class| match (self.deciding[class as usize], self.fail.of(class, None)) {
                (Some(_), _) => PuntMode::Tool,
                // They see what a tool would be asked about.
                (None, _) if self.watched[class as usize] => PuntMode::Tool,
                (None, FailMode::Open) => PuntMode::Off,
                (None, FailMode::Closed) => PuntMode::Closed,
            },
        )
        .with_rules(self.fail.rules.clone())
    }

    /// Does what the control thread has told, and gives what tools that went had in their hands to `orphans`.
    #[inline]
    pub fn serve(&mut self, orphans: &mut Vec<HandedBack>, counters: &CounterBlock) {
        if self.parts.has_mail() {
            let fail = &self.fail;
            self.parts
                .read_mail(|part| release(part, fail, orphans, counters));
            self.find_deciding();
        }
    }

    /// Whether packets wait for a tool to decide, or are seen with their time: then the worker does not sleep for long. Who negotiates keys does not
    /// notice a fraction of a millisecond.
    #[inline]
    pub fn are_urgent(&self) -> bool {
        let urgent = |class: &PuntClass| {
            let place = *class as usize;
            self.watched[place] || *class != PuntClass::Ike && self.deciding[place].is_some()
        };
        !self.parts.is_empty() && PuntClass::ALL.iter().any(urgent)
    }

    fn find_deciding(&mut self) {
        self.changed = true;
        for class in PuntClass::ALL {
            self.deciding[class as usize] = self
                .parts
                .iter()
                .position(|part| !part.observes && part.classes[class as usize]);
            self.watched[class as usize] = self
                .parts
                .iter()
                .any(|part| part.observes && part.classes[class as usize]);
        }
    }

    /// Gives a packet to the tool that decides about its class, and copies to those that watch. It comes back by
    /// [`Consumers::hand_back`]. A router alert may fit a rule. `see` is shown a packet that the tool has.
    pub fn take(
        &mut self,
        class: PuntClass,
        rule: Option<u16>,
        ingress: u16,
        mut mbuf: Mbuf,
        now: u64,
        see: impl FnOnce(&mut Mbuf),
    ) -> Result<(), (Mbuf, NotTaken)> {
        if class == PuntClass::RouterAlert {
            if let Err(spent) = self.limits.admit(ingress, rule, mbuf.data(), now) {
                return Err((mbuf, NotTaken::Excess(spent)));
            }
        } else if !self.buckets[class as usize].admit(now) {
            return Err((mbuf, NotTaken::Policed));
        }
        self.show(class, rule, ingress, &mbuf, now);
        let part = self.deciding[class as usize].and_then(|place| self.parts.get_mut(place));
        let Some(part) = part else {
            return Err((mbuf, NotTaken::Nobody));
        };
        if !part.window.is_open(part.lane.free()) && self.fail.of(class, rule) == FailMode::Open {
            part.lane.count_lost();
            return Err((mbuf, NotTaken::Full));
        }
        match part.put(rule, ingress, &mbuf, now) {
            Some(slot) => {
                see(&mut mbuf);
                let held = Held {
                    mbuf,
                    class,
                    rule,
                    since: now,
                };
                part.hold(slot, held);
                Ok(())
            }
            None => Err((mbuf, NotTaken::Full)),
        }
    }

    /// A packet whose tool has not answered in time goes the way of its class, or of its rule. What the tool answers later is not
    /// looked at.
    pub fn late(&mut self, now: u64, counters: &CounterBlock) -> Option<HandedBack> {
        if let Some(handed) = self.next_behind() {
            return Some(handed);
        }
        for class in PuntClass::ALL {
            let part = self.deciding[class as usize].and_then(|place| self.parts.get_mut(place));
            let since = now.wrapping_sub(self.deadlines[class as usize]);
            if let Some(held) = part.and_then(|part| part.release_late(class, since)) {
                return Some(self.fail.without_tool(held, Unanswered::Late, counters));
            }
        }
        None
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
    pub fn hand_back(
        &mut self,
        orphans: &mut Vec<HandedBack>,
        counters: &CounterBlock,
        now: u64,
    ) -> Option<HandedBack> {
        let stopwatch = self.stopwatch;
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            if let Some(mbuf) = part.order.next() {
                return Some(HandedBack::Behind(mbuf));
            }
            let decision = if part.observes {
                part.lane.reclaim().map(|()| None)
            } else {
                part.lane.decision(&mut self.buffer)
            };
            match decision {
                Ok(None) => place += 1,
                Ok(Some((verdict, length))) => {
                    let stop = |held: &Held| stopwatch.stop(held, now, counters);
                    if let Some(handed) = handed_back(part, verdict, length, counters, stop) {
                        return Some(handed);
                    }
                }
                Err(bad) => self.end(place, bad, orphans, counters),
            }
        }
        None
    }

    #[cold]
    fn end(&mut self, place: usize, bad: BadVerdict, orphans: &mut Vec<HandedBack>, counters: &CounterBlock) {
        if let Some(part) = self.parts.get_mut(place) {
            let slot = bad.slot().and_then(|slot| part.held.get(slot as usize));
            if let Some(Some(held)) = slot {
                held.count(AlertCounter::BadVerdict, counters);
            }
            release(part, &self.fail, orphans, counters);
        }
        self.parts.hand_back(place, Some(bad));
        self.find_deciding();
    }

    /// Ends all: the worker ends.
    pub fn stop(&mut self, orphans: &mut Vec<HandedBack>, counters: &CounterBlock) {
        let fail = &self.fail;
        self.parts.stop(|part| release(part, fail, orphans, counters));
        self.find_deciding();
    }
}

/// What becomes of a packet after its tool's verdict; `stop` sees those that go on.
fn handed_back(
    part: &mut Consumer,
    verdict: Verdict,
    length: usize,
    counters: &CounterBlock,
    stop: impl Fn(&Held),
) -> Option<HandedBack> {
    let mut release = |slot: u32, counter: Option<AlertCounter>| {
        let held = part.release(slot)?;
        part.window.answered(part.order.any_behind());
        if let Some(counter) = counter {
            held.count(counter, counters);
        }
        Some(held)
    };
    Some(match verdict {
        Verdict::Drop(slot) => HandedBack::Drop(release(slot, Some(AlertCounter::Dropped))?.mbuf),
        // Its interface counts it as delivered; a rule for router alerts has no word for that.
        Verdict::Take(slot) => HandedBack::Take(release(slot, None)?.mbuf),
        Verdict::Forward(slot) => {
            let held = release(slot, Some(AlertCounter::Relayed))?;
            stop(&held);
            HandedBack::Forward(held.mbuf)
        }
        Verdict::Refuse(slot) => HandedBack::Refuse(release(slot, Some(AlertCounter::Refused))?.mbuf),
        Verdict::Rewrite {
            slot,
            stage,
            interface,
        } => {
            let held = release(slot, Some(AlertCounter::Replaced))?;
            stop(&held);
            HandedBack::Rewrite(held.mbuf, stage, interface, length)
        }
        Verdict::Send { stage, interface } => HandedBack::Send(stage, interface, length),
    })
}

/// What a tool that goes had in its hands goes the way of its class or rule, those of a class in the order in which they came, and
/// what is behind them after them.
fn release(part: &mut Consumer, fail: &FailModes, orphans: &mut Vec<HandedBack>, counters: &CounterBlock) {
    let behind = |part: &mut Consumer, orphans: &mut Vec<HandedBack>| {
        orphans.extend(std::iter::from_fn(|| part.order.next()).map(HandedBack::Behind));
    };
    behind(part, orphans);
    for class in PuntClass::ALL {
        while let Some(slot) = part.oldest[class as usize].first() {
            let released = part.release(slot);
            orphans.extend(released.map(|held| fail.without_tool(held, Unanswered::Died, counters)));
            behind(part, orphans);
        }
    }
}
