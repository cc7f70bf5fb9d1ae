//! Programs of the operator's that decide about packets: what they are asked, and what came of it.
//!
//! ```text
//!   relay ─ ask ─► queue of a helper ─► its thread ─► pipe or socket ─► helper
//!     ▲                                    │
//!     └── answers, late, gone ◄─ channel ◄─┘  and the relay is woken
//! ```
//!
//! The relay never waits for a helper. A packet beyond a helper's queue is not asked about, one that is not answered in time is
//! given up, and those of a helper that ends are given up at once. What is not asked about stays behind those of its flow that the
//! helper has, so that it does not overtake them.

mod carry;
mod exec;
mod listener;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ra_helper::Verdict;

use crate::config::HelperConfig;
use serve::Served;

pub use listener::SocketError;

/// A helper, for as long as it is in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HelperKey(pub u32);

/// All helpers of the relay, and the packets that they have. `T` is what the relay keeps of a packet meanwhile.
pub struct Helpers<T> {
    list: Vec<Helper>,
    waiting: HashMap<u64, Waiting<T>>,
    /// Those flows of which a helper has packets.
    flows: HashMap<(HelperKey, Flow), Queue<T>>,
    next_id: u64,
    next_key: u32,
    events: Receiver<Event>,
    sender: Sender<Event>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Threads of helpers that are not in the configuration any more.
    leaving: Vec<JoinHandle<()>>,
}

struct Helper {
    key: HelperKey,
    config: HelperConfig,
    timeout: Duration,
    served: Served,
    counts: HelperCounts,
    /// How many packets it has.
    has: u16,
    /// When each packet is given up, the first first; some were answered before.
    deadlines: VecDeque<(Instant, u64)>,
    /// Whether something was put into its queue that its thread was not told of.
    news: bool,
}

struct Waiting<T> {
    key: HelperKey,
    flow: Flow,
    kept: T,
}

/// A number that all packets of a flow have.
pub type Flow = u64;

/// The packets of a flow.
struct Queue<T> {
    /// How many the helper has; never none.
    asked: usize,
    /// What it is not asked about, since it had too many.
    behind: Vec<T>,
}

/// What a helper has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HelperCounts {
    /// Packets that it was asked about.
    pub asked: u64,
    /// Those that it answered about in time.
    pub answered: u64,
    /// Those that it did not.
    pub late: u64,
    /// Packets that it was not asked about, as it had too many or was not there, or that it had when it ended.
    pub dropped: u64,
    /// How often it ended, or its connection.
    pub ended: u64,
}

/// What a helper's thread tells.
#[derive(Debug)]
struct Event {
    key: HelperKey,
    what: What,
}

#[derive(Debug)]
enum What {
    /// It is there; a sentence for people.
    Ready(String),
    /// It is not there any more, or could not be started; why.
    Gone(String),
    /// It has answered.
    Answer(u64, Decision),
}

/// What a helper has decided, in memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on as it came.
    Forward,
    /// This packet goes on in its place.
    Changed(Vec<u8>),
    /// It is dropped.
    Drop,
    /// It is dropped, and its sender told.
    Prohibit,
    /// It goes on so much later.
    Hold(Duration),
}

impl From<Verdict<'_>> for Decision {
    fn from(verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::Forward => Self::Forward,
            Verdict::Changed(packet) => Self::Changed(packet.to_vec()),
            Verdict::Drop => Self::Drop,
            Verdict::Prohibited => Self::Prohibit,
            Verdict::Hold(milliseconds) => Self::Hold(Duration::from_millis(milliseconds.into())),
        }
    }
}

/// Why nobody decided about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Its helper has too many packets, is not there, or has ended.
    Dropped,
    /// Its helper did not answer in time.
    Late,
}

/// What came of asking.
pub enum Outcome<T> {
    /// About a packet.
    Settled(T, Result<Decision, Undecided>),
    /// Something that people should know.
    Notice(String),
}

/// Helpers that have begun and are not asked yet; `None` for each that was there.
pub struct Prepared(Vec<Option<Helper>>);

/// Why a helper cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The relay cannot listen for it.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// It cannot have a thread.
    #[error("the helper '{name}' cannot have a thread of its own: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl<T> Helpers<T> {
    /// No helpers yet; their threads call `wake` when there is something to [`Helpers::settle`].
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (sender, events) = mpsc::channel();
        Self {
            list: Vec::new(),
            waiting: HashMap::new(),
            flows: HashMap::new(),
            next_id: 0,
            next_key: 0,
            events,
            sender,
            wake: Arc::new(wake),
            leaving: Vec::new(),
        }
    }

    /// Begins those helpers of `configs` that are not there already.
    ///
    /// # Errors
    ///
    /// A socket or a thread cannot be made; what began ends then.
    pub fn prepare(&mut self, configs: &[HelperConfig]) -> Result<Prepared, BeginError> {
        let begin = |config: &HelperConfig| match self.place(config) {
            Some(_) => Ok(None),
            None => self.begin(config).map(Some),
        };
        configs.iter().map(begin).collect::<Result<_, _>>().map(Prepared)
    }

    /// Has these helpers from now on, for which [`Helpers::prepare`] was asked. Those that are reached as before stay; others end.
    pub fn set(&mut self, configs: Vec<HelperConfig>, prepared: Prepared, deadline: Duration) {
        let mut list = Vec::with_capacity(configs.len());
        for (config, begun) in configs.into_iter().zip(prepared.0) {
            let there = begun.or_else(|| Some(self.list.swap_remove(self.place(&config)?)));
            list.extend(there.map(|helper| Helper {
                timeout: config.timeout(deadline),
                config,
                ..helper
            }));
        }
        // Those that are left go, and what they were asked is given up when it is looked at next.
        let gone = std::mem::replace(&mut self.list, list);
        self.leaving
            .extend(gone.into_iter().filter_map(|mut helper| helper.served.leave()));
    }

    /// The primary waits so long.
    pub fn set_deadline(&mut self, deadline: Duration) {
        for helper in &mut self.list {
            helper.timeout = helper.config.timeout(deadline);
        }
    }

    /// The place of the helper that has this name and is reached in this way.
    fn place(&self, config: &HelperConfig) -> Option<usize> {
        self.list.iter().position(|helper| {
            helper.config.name == config.name && helper.config.transport == config.transport
        })
    }

    fn begin(&mut self, config: &HelperConfig) -> Result<Helper, BeginError> {
        self.next_key += 1;
        let key = HelperKey(self.next_key);
        let (sender, wake) = (self.sender.clone(), self.wake.clone());
        let tell = move |what| {
            // Nobody listens when the relay ends.
            drop(sender.send(Event { key, what }));
            wake();
        };
        Ok(Helper {
            key,
            served: Served::begin(config, Box::new(tell))?,
            config: config.clone(),
            timeout: Duration::ZERO,
            counts: HelperCounts::default(),
            has: 0,
            deadlines: VecDeque::new(),
            news: false,
        })
    }

    /// The helper of a name.
    pub fn key(&self, name: &str) -> Option<HelperKey> {
        let is_it = |helper: &&Helper| helper.config.name == name;
        self.list.iter().find(is_it).map(|helper| helper.key)
    }

    /// Asks a helper about a packet of a flow; `message` makes the question of an id. Where it has too many, and others of the
    /// flow among them, the packet stays behind those.
    ///
    /// # Errors
    ///
    /// It is not there or has too many packets; `kept` comes back.
    pub fn ask(
        &mut self,
        key: Option<HelperKey>,
        flow: Flow,
        now: Instant,
        kept: T,
        message: impl FnOnce(u64, &T) -> Vec<u8>,
    ) -> Result<(), T> {
        let found = self.list.iter_mut().find(|helper| Some(helper.key) == key);
        let Some((key, helper)) = key.zip(found) else {
            return Err(kept);
        };
        let id = self.next_id + 1;
        let deadline = now + helper.timeout;
        let has_room = helper.has < helper.config.queue;
        let before = self.flows.get_mut(&(key, flow));
        let is_next = before.as_ref().is_none_or(|queue| queue.behind.is_empty());
        if !has_room || !is_next || !helper.served.ask(id, deadline, || message(id, &kept)) {
            helper.counts.dropped += 1;
            let Some(queue) = before else {
                return Err(kept);
            };
            queue.behind.push(kept);
            return Ok(());
        }
        self.next_id = id;
        helper.counts.asked += 1;
        helper.has += 1;
        helper.news = true;
        helper.deadlines.push_back((deadline, id));
        self.waiting.insert(id, Waiting { key, flow, kept });
        let queue = self.flows.entry((key, flow)).or_insert_with(|| Queue {
            asked: 0,
            behind: Vec::new(),
        });
        queue.asked += 1;
        Ok(())
    }

    /// Tells the helpers' threads what they were given: once per burst.
    pub fn flush(&mut self) {
        for helper in &mut self.list {
            if std::mem::take(&mut helper.news) {
                helper.served.ring();
            }
        }
    }

    /// When the next packet is given up, if any has to be.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let waiting = &self.waiting;
        let first = |helper: &mut Helper| {
            while let Some((deadline, id)) = helper.deadlines.front() {
                if waiting.contains_key(id) {
                    return Some(*deadline);
                }
                helper.deadlines.pop_front();
            }
            None
        };
        self.list.iter_mut().filter_map(first).min()
    }

    /// Hands out what came of asking.
    pub fn settle(&mut self, now: Instant, take: &mut dyn FnMut(Outcome<T>)) {
        while let Ok(Event { key, what }) = self.events.try_recv() {
            match what {
                What::Ready(sentence) => take(Outcome::Notice(sentence)),
                What::Gone(sentence) => {
                    take(Outcome::Notice(sentence));
                    if let Some(helper) = self.list.iter_mut().find(|helper| helper.key == key) {
                        helper.counts.ended += 1;
                    }
                    self.give_up(|waiting| waiting.key == key, take);
                }
                What::Answer(id, decision) => {
                    // One that was given up before is not looked at.
                    self.settle_one(id, Ok(decision), |counts| counts.answered += 1, take);
                }
            }
        }
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let due = |helper: &Helper| helper.deadlines.front().filter(|(at, _)| *at <= now).copied();
            for (_, id) in self.list.iter().filter_map(due).collect::<Vec<_>>() {
                self.settle_one(id, Err(Undecided::Late), |counts| counts.late += 1, take);
            }
        }
        // Of helpers that are not in the configuration any more.
        if self.waiting.len() > self.list.iter().map(|helper| usize::from(helper.has)).sum() {
            let keys: Vec<_> = self.list.iter().map(|helper| helper.key).collect();
            self.give_up(|waiting| !keys.contains(&waiting.key), take);
        }
    }

    /// Gives up all packets, in the order in which they came.
    pub fn give_up_all(&mut self, take: &mut dyn FnMut(Outcome<T>)) {
        self.give_up(|_| true, take);
    }

    fn give_up(&mut self, which: impl Fn(&Waiting<T>) -> bool, take: &mut dyn FnMut(Outcome<T>)) {
        let of = |(id, waiting): (&u64, &Waiting<T>)| which(waiting).then_some(*id);
        let mut ids: Vec<_> = self.waiting.iter().filter_map(of).collect();
        ids.sort_unstable();
        for id in ids {
            self.settle_one(id, Err(Undecided::Dropped), |counts| counts.dropped += 1, take);
        }
    }

    /// Hands out a packet that its helper has no more, unless that was done before, and what was behind it.
    fn settle_one(
        &mut self,
        id: u64,
        decided: Result<Decision, Undecided>,
        count: impl FnOnce(&mut HelperCounts),
        take: &mut dyn FnMut(Outcome<T>),
    ) {
        let Some(Waiting { key, flow, kept }) = self.waiting.remove(&id) else {
            return;
        };
        if let Some(helper) = self.list.iter_mut().find(|helper| helper.key == key) {
            helper.has = helper.has.saturating_sub(1);
            count(&mut helper.counts);
        }
        take(Outcome::Settled(kept, decided));
        if let Entry::Occupied(mut queue) = self.flows.entry((key, flow)) {
            queue.get_mut().asked -= 1;
            if queue.get().asked == 0 {
                for kept in queue.remove().behind {
                    take(Outcome::Settled(kept, Err(Undecided::Dropped)));
                }
            }
        }
    }

    /// What each helper has done, by name.
    pub fn counts(&self) -> impl Iterator<Item = (&str, HelperCounts)> {
        self.list
            .iter()
            .map(|helper| (helper.config.name.as_str(), helper.counts))
    }
}

impl<T> Drop for Helpers<T> {
    /// Ends all helpers, and waits until they have ended.
    fn drop(&mut self) {
        let leave = |mut helper: Helper| helper.served.leave();
        let threads: Vec<_> = self.list.drain(..).filter_map(leave).collect();
        for thread in threads.into_iter().chain(self.leaving.drain(..)) {
            // It has not panicked: panics abort.
            let _ = thread.join();
        }
    }
}
