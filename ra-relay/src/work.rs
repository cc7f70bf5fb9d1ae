//! What becomes of packets: from what a rule says to the answer that the primary gets.
//!
//! ```text
//!   take: the rule's action ─► jobs ─► carry_out ─┬─► answered at once
//!                                                 ├─► held until its time ───────────► answered
//!                                                 └─► asked of a helper ─► decision ─► answered, or held
//! ```

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use control::alerts::RuleTable;
use control::message::{CaptureInterface, FailMode};
use control::punt::{Answer, Packet, Punted, Punts, Stage};
use ra_helper::frame::{self, Question};
use router_alert::Family;

use crate::class::Class;
use crate::helpers::{Decision, HelperKey, Helpers, Outcome, Undecided};
use crate::hold::Held;
use crate::judge::{self, Refused, Sight};
use crate::lines::{Lines, Shown};
use crate::report::{Report, RuleCounts};
use crate::rules::{Action, Names, Rules};

/// All that the relay does with packets.
pub(crate) struct Work<W> {
    table: RuleTable,
    rules: Rules,
    helpers: Helpers<Kept>,
    /// Numbers flows.
    flows: RandomState,
    class: Class,
    interfaces: Vec<CaptureInterface>,
    lines: Lines<W>,
    /// What came of writing lines since it was asked for.
    written: io::Result<()>,
    report: Report,
    held: Held<Kept>,
    jobs: Vec<Job>,
    outcomes: Vec<Outcome<Kept>>,
    spare: Vec<Vec<u8>>,
    notices: Vec<String>,
    /// When the first packet of a burst was looked at.
    burst: Option<Instant>,
}

/// A packet that the primary waits for an answer about.
pub(crate) struct Kept {
    punted: Punted,
    /// Where the report counts its rule, if it has one.
    place: Option<usize>,
    interface: u16,
    /// When the relay looked at it.
    since: Instant,
    /// What becomes of it if no helper decides.
    fail: FailMode,
    /// It, from the link header on, as it came or as it is to go on; empty where it goes on as it came.
    frame: Vec<u8>,
}

/// A packet that just came.
struct Job {
    kept: Kept,
    time_ns: u64,
    todo: Todo,
}

/// What is to be done about it.
enum Todo {
    End(End),
    Mirror(Option<u16>),
    Hold(Duration),
    Ask(Option<HelperKey>),
}

/// What becomes of a packet at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It goes on as it came.
    Relayed,
    /// What is in its frame goes on.
    Changed,
    Dropped,
    Prohibited,
    /// It goes on as it came, since what was wanted cannot be done.
    Refused(Refused),
}

impl<W: Write> Work<W> {
    /// Nothing to do yet; [`Work::resolve`] comes first.
    pub(crate) fn new(
        (table, interfaces): (RuleTable, Vec<CaptureInterface>),
        helpers: Helpers<Kept>,
        class: Class,
        lines: Lines<W>,
        report: Report,
    ) -> Self {
        Self {
            table,
            rules: Rules::default(),
            helpers,
            flows: RandomState::new(),
            class,
            interfaces,
            lines,
            written: Ok(()),
            report,
            held: Held::new(),
            jobs: Vec::new(),
            outcomes: Vec::new(),
            spare: Vec::new(),
            notices: Vec::new(),
            burst: None,
        }
    }

    /// Learns what the rules of the primary mean here and now.
    pub(crate) fn resolve(&mut self) {
        self.table.refresh();
        let helpers = &self.helpers;
        let names = Names {
            interfaces: &self.interfaces,
            helper: &|name| helpers.key(name),
            class: self.class,
        };
        let wrong = self.rules.set(self.table.rules(), &names, &mut self.report);
        self.notices.extend(wrong);
    }

    /// The helpers; after a change the rules are to be resolved.
    pub(crate) fn helpers(&mut self) -> &mut Helpers<Kept> {
        &mut self.helpers
    }

    /// What the class is like.
    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// The class is another.
    pub(crate) fn set_class(&mut self, class: Class) {
        self.class = class;
        self.helpers.set_deadline(class.deadline);
        self.resolve();
    }

    /// What people should know since this was asked.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// What was counted.
    pub(crate) fn report(&mut self) -> &Report {
        let named = |(name, counts): (&str, _)| (name.to_owned(), counts);
        self.report.helpers = self.helpers.counts().map(named).collect();
        &self.report
    }

    /// How long there is nothing to do by itself.
    pub(crate) fn patience(&mut self, now: Instant) -> Duration {
        let late = self.helpers.next_deadline();
        let late = late.map(|deadline| deadline.saturating_duration_since(now));
        let due = self.held.next(now);
        late.into_iter().chain(due).min().unwrap_or(Duration::MAX)
    }

    /// Takes a packet. What its rule says is done by [`Work::carry_out`].
    pub(crate) fn take(&mut self, punted: Punted, packet: &Packet<'_>) {
        // One word: a rule that came with this packet is known before it.
        if self.table.refresh() {
            self.resolve();
        }
        self.report.seen += 1;
        let mut kept = Kept {
            punted,
            place: None,
            interface: packet.interface,
            since: *self.burst.get_or_insert_with(Instant::now),
            fail: self.class.fail,
            frame: Vec::new(),
        };
        let Some(entry) = self.rules.of(self.rule_of(packet)) else {
            self.report.no_rule += 1;
            self.put(kept, packet, Todo::End(End::Relayed));
            return;
        };
        (kept.place, kept.fail) = (Some(entry.place), entry.fail);
        let mut spare = || self.spare.pop().unwrap_or_default();
        let (todo, frame) = match entry.action {
            Action::Relay => (Todo::End(End::Relayed), None),
            Action::Log => {
                let shown = Shown {
                    frame: packet.data,
                    interface: name_of(&self.interfaces, packet.interface),
                    rule: &entry.name,
                    time_ns: packet.time_ns,
                };
                let said = self.lines.packet(&shown, kept.since);
                self.written = std::mem::replace(&mut self.written, Ok(())).and(said);
                (Todo::End(End::Relayed), None)
            }
            Action::Drop => (Todo::End(End::Dropped), None),
            Action::Prohibit => (Todo::End(End::Prohibited), None),
            Action::Strip(how) => {
                let mut out = spare();
                let changed = judge::stripped(packet.data, how, &mut out);
                (Todo::End(end_of(changed)), Some(out))
            }
            Action::Dscp(dscp) => {
                let mut out = spare();
                let changed = judge::with_dscp(packet.data, dscp, &mut out);
                (Todo::End(end_of(changed)), Some(out))
            }
            Action::Mirror(interface) => (Todo::Mirror(interface), Some(copy(spare(), packet.data))),
            Action::Hold(time) => (Todo::Hold(time), None),
            Action::CannotHold => (Todo::End(End::Refused(Refused::Other)), None),
            Action::Ask(helper) => (Todo::Ask(helper), Some(copy(spare(), packet.data))),
        };
        kept.frame = frame.unwrap_or_default();
        self.put(kept, packet, todo);
    }

    /// The rule of a packet, as the primary has found it.
    fn rule_of(&self, packet: &Packet<'_>) -> Option<u16> {
        packet.rule
    }

    fn put(&mut self, kept: Kept, packet: &Packet<'_>, todo: Todo) {
        let time_ns = packet.time_ns;
        self.jobs.push(Job { kept, time_ns, todo });
    }

    /// Does what is to be done: about packets that came, about those that a helper has decided about, and about those whose time has
    /// come. The caller shows the primary what was answered.
    pub(crate) fn carry_out(&mut self, punts: &mut Punts, now: Instant) {
        self.burst = None;
        let mut jobs = std::mem::take(&mut self.jobs);
        let time = if jobs.is_empty() { 0 } else { nanoseconds() };
        for Job { kept, time_ns, todo } in jobs.drain(..) {
            match todo {
                Todo::End(end) => {
                    self.report.took.add(time.saturating_sub(time_ns));
                    self.end(punts, kept, end);
                }
                Todo::Mirror(interface) => {
                    self.mirror(punts, &kept, interface);
                    self.end(punts, kept, End::Relayed);
                }
                Todo::Hold(time) => self.hold(kept, now + time),
                Todo::Ask(helper) => self.ask(punts, kept, (helper, time_ns), now),
            }
        }
        self.jobs = jobs;
        self.helpers.flush();
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.helpers.settle(now, &mut |outcome| outcomes.push(outcome));
        for outcome in outcomes.drain(..) {
            self.settle(punts, outcome, now);
        }
        self.outcomes = outcomes;
        while let Some(kept) = self.held.due(now) {
            self.end(punts, kept, End::Relayed);
        }
    }

    /// Ends with what is still to be decided: what is held goes on, and what helpers have goes the way of fail.
    pub(crate) fn give_up_all(&mut self, punts: &mut Punts) {
        let mut outcomes = Vec::new();
        self.helpers.give_up_all(&mut |outcome| outcomes.push(outcome));
        for outcome in outcomes {
            self.settle(punts, outcome, Instant::now());
        }
        while let Some(kept) = self.held.take() {
            self.end(punts, kept, End::Relayed);
        }
    }

    /// Shows the lines.
    ///
    /// # Errors
    ///
    /// They could not be written.
    pub(crate) fn print(&mut self) -> io::Result<()> {
        self.report.suppressed = self.lines.suppressed();
        std::mem::replace(&mut self.written, Ok(()))?;
        self.lines.flush()
    }

    fn mirror(&mut self, punts: &mut Punts, kept: &Kept, interface: Option<u16>) {
        let sent = interface.is_some_and(|interface| punts.send(Stage::Output, interface, &kept.frame));
        self.count(kept, |counts| {
            counts.mirrored += u64::from(sent);
            counts.not_mirrored += u64::from(!sent);
        });
    }

    fn hold(&mut self, kept: Kept, until: Instant) {
        self.count(&kept, |counts| counts.held += 1);
        self.held.put(until, kept);
    }

    fn ask(
        &mut self,
        punts: &mut Punts,
        kept: Kept,
        (helper, time_ns): (Option<HelperKey>, u64),
        now: Instant,
    ) {
        let Some(sight) = Sight::of(&kept.frame) else {
            // Nothing that a helper could be asked about.
            self.end(punts, kept, End::Refused(Refused::Other));
            return;
        };
        let flow = self.flows.hash_one((kept.place, sight.addresses(&kept.frame)));
        let rule = kept.place.and_then(|place| self.report.rules.get(place));
        let interfaces = &self.interfaces;
        let question = |id, kept: &Kept| {
            let question = Question {
                id,
                time_ns,
                value: sight.value,
                family: match sight.family {
                    Family::Four => frame::Family::Four,
                    Family::Six => frame::Family::Six,
                },
                interface: name_of(interfaces, kept.interface),
                rule: rule.map_or("", |(name, _)| name),
                packet: sight.packet(&kept.frame),
            };
            question.encode()
        };
        if let Err(kept) = self.helpers.ask(helper, flow, now, kept, question) {
            self.settle(punts, Outcome::Settled(kept, Err(Undecided::Dropped)), now);
        }
    }

    fn settle(&mut self, punts: &mut Punts, outcome: Outcome<Kept>, now: Instant) {
        let (mut kept, decided) = match outcome {
            Outcome::Notice(sentence) => {
                self.notices.push(sentence);
                return;
            }
            Outcome::Settled(kept, decided) => (kept, decided),
        };
        let end = match decided {
            Ok(Decision::Forward) => End::Relayed,
            Ok(Decision::Drop) => End::Dropped,
            Ok(Decision::Prohibit) => End::Prohibited,
            Ok(Decision::Changed(packet)) => {
                let mut out = self.spare.pop().unwrap_or_default();
                let changed = judge::with_packet(&kept.frame, &packet, &mut out);
                self.spare.push(std::mem::replace(&mut kept.frame, out));
                end_of(changed)
            }
            // The primary would have gone its own way before.
            Ok(Decision::Hold(time)) if kept.since.elapsed() + time >= self.class.deadline => {
                End::Refused(Refused::Other)
            }
            Ok(Decision::Hold(time)) => {
                self.hold(kept, now + time);
                return;
            }
            Err(undecided) => {
                self.count(&kept, |counts| match undecided {
                    Undecided::Dropped => counts.helper_dropped += 1,
                    Undecided::Late => counts.helper_late += 1,
                });
                match kept.fail {
                    FailMode::Open => End::Relayed,
                    FailMode::Closed => End::Dropped,
                }
            }
        };
        self.end(punts, kept, end);
    }

    /// Answers about a packet, and counts it.
    fn end(&mut self, punts: &mut Punts, kept: Kept, end: End) {
        // The primary would drop what it has no room for.
        let end = match end {
            End::Changed if kept.frame.len() > punts.longest() => End::Refused(Refused::Other),
            end => end,
        };
        self.count(&kept, |counts| match end {
            End::Relayed => counts.relayed += 1,
            End::Changed => counts.changed += 1,
            End::Dropped => counts.dropped += 1,
            End::Prohibited => counts.prohibited += 1,
            End::Refused(refused) => {
                counts.refused += 1;
                counts.rewrite_fragment += u64::from(refused == Refused::Fragment);
            }
        });
        let answer = match end {
            End::Relayed | End::Refused(_) => Answer::Forward,
            End::Dropped => Answer::Drop,
            End::Prohibited => Answer::Refuse,
            End::Changed => Answer::Replace {
                stage: Stage::Input,
                interface: kept.interface,
                frame: &kept.frame,
            },
        };
        punts.answer(kept.punted, answer);
        if kept.frame.capacity() > 0 {
            self.spare.push(kept.frame);
        }
    }

    #[inline]
    fn count(&mut self, kept: &Kept, count: impl FnOnce(&mut RuleCounts)) {
        if let Some(place) = kept.place {
            self.report.count(place, count);
        }
    }
}

fn end_of(changed: Result<(), Refused>) -> End {
    changed.map_or_else(End::Refused, |()| End::Changed)
}

fn copy(mut into: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    into.clear();
    into.extend_from_slice(bytes);
    into
}

/// The name of the interface of an index.
pub(crate) fn name_of(interfaces: &[CaptureInterface], index: u16) -> &str {
    interfaces
        .iter()
        .find(|interface| interface.index == index)
        .map_or("?", |interface| interface.name.as_str())
}

/// Now, in nanoseconds since 1970.
fn nanoseconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}
