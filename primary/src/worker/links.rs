//! How workers learn of sub-interfaces and tunnels that come or go, of other policers and of other rules for router alerts: each gets all
//! interfaces anew and hands the old ones back, so that it neither allocates nor frees. The rules are kept for it by
//! [`crate::alerts::Told`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use control::message::PuntClass;
use shm::CounterBlock;

use super::AlertPolicy;
use crate::alerts::RuleSet;
use crate::attachments::ClassPolicy;
use crate::path::Interfaces;

/// Changes that a worker has not taken yet, at most.
const DEPTH: usize = 64;

/// What the classes of packets are like that are handed to others.
#[derive(Clone, Copy, Debug)]
pub struct Policies {
    /// By class.
    pub classes: [ClassPolicy; PuntClass::COUNT],
    /// What more holds for router alerts.
    pub alerts: AlertPolicy,
}

enum Change {
    Links {
        interfaces: Interfaces,
        /// The sub-interface or tunnel that is new: another may have had its place, and its counts.
        new: Option<u16>,
    },
    Policies(Policies),
    /// `None`: there are none any more.
    Rules(Option<Arc<RuleSet>>),
}

/// What a worker has to see to itself.
pub(super) enum News {
    /// Other policers and fail modes.
    Policies(Policies),
    /// Other rules for router alerts, or none.
    Rules(Option<Arc<RuleSet>>),
}

/// A worker's end.
pub struct LinkNews {
    changes: Receiver<Change>,
    mail: Arc<AtomicBool>,
    taken: SyncSender<Change>,
}

/// The control thread's end.
pub struct LinkControl {
    changes: SyncSender<Change>,
    mail: Arc<AtomicBool>,
    taken: Receiver<Change>,
    /// Changes that were not handed back yet.
    under_way: usize,
}

/// Both ends.
pub fn news() -> (LinkControl, LinkNews) {
    let (changes, told) = sync_channel(DEPTH);
    let (hand_back, taken) = sync_channel(DEPTH);
    let mail = Arc::new(AtomicBool::new(false));
    let worker = LinkNews {
        changes: told,
        mail: mail.clone(),
        taken: hand_back,
    };
    let control = LinkControl {
        changes,
        mail,
        taken,
        under_way: 0,
    };
    (control, worker)
}

impl LinkControl {
    /// Gives the worker these interfaces, of which one may be new. To be called only when [`has_room`](Self::has_room).
    pub fn tell(&mut self, interfaces: Interfaces, new: Option<u16>) {
        self.send(Change::Links { interfaces, new });
    }

    /// Gives the worker these policers and fail modes. To be called only when [`has_room`](Self::has_room).
    pub fn tell_policies(&mut self, policies: Policies) {
        self.send(Change::Policies(policies));
    }

    /// Gives the worker these rules for router alerts, or none. To be called only when [`has_room`](Self::has_room).
    pub fn tell_rules(&mut self, rules: Option<Arc<RuleSet>>) {
        self.send(Change::Rules(rules));
    }

    fn send(&mut self, change: Change) {
        if self.changes.try_send(change).is_ok() {
            self.under_way += 1;
            self.mail.store(true, Ordering::Release);
        }
    }

    /// Frees what the worker handed back; gives the number of changes that it still has to take.
    pub fn collect(&mut self) -> usize {
        self.under_way -= self.taken.try_iter().count().min(self.under_way);
        self.under_way
    }

    /// Whether the worker can be told of one more change.
    pub fn has_room(&mut self) -> bool {
        self.collect() < DEPTH
    }
}

impl LinkNews {
    /// Takes what changed, if anything did, up to what the worker has to see to itself. What comes behind that is taken next time.
    #[inline]
    pub(super) fn take(&mut self, interfaces: &mut Interfaces, counters: &CounterBlock) -> Option<News> {
        if self.mail.load(Ordering::Relaxed) {
            return self.take_changes(interfaces, counters);
        }
        None
    }

    #[cold]
    fn take_changes(&mut self, interfaces: &mut Interfaces, counters: &CounterBlock) -> Option<News> {
        self.mail.store(false, Ordering::Relaxed);
        // What was sent before the mark is seen with it; what comes later brings a mark of its own.
        std::sync::atomic::fence(Ordering::SeqCst);
        while let Ok(mut change) = self.changes.try_recv() {
            let news = match &mut change {
                Change::Links {
                    interfaces: told,
                    new,
                } => {
                    std::mem::swap(interfaces, told);
                    if let Some(new) = *new {
                        counters.clear(new);
                    }
                    None
                }
                Change::Policies(policies) => Some(News::Policies(*policies)),
                Change::Rules(rules) => Some(News::Rules(rules.clone())),
            };
            // There is room for as many as can be under way.
            let _ = self.taken.try_send(change);
            if news.is_some() {
                self.mail.store(true, Ordering::Relaxed);
                return news;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_under_way_until_the_worker_has_taken_it() {
        let (mut control, worker) = news();
        assert!(control.has_room());
        control.tell(Interfaces::default(), None);
        assert_eq!(control.collect(), 1);
        assert!(worker.mail.load(Ordering::Relaxed));
        worker.taken.send(worker.changes.recv().unwrap()).unwrap();
        assert_eq!(control.collect(), 0);
    }

    #[test]
    fn a_worker_that_takes_nothing_is_told_only_so_much() {
        let (mut control, worker) = news();
        let told = (0..).take_while(|_| {
            let room = control.has_room();
            control.tell(Interfaces::default(), None);
            room
        });
        assert_eq!(told.count(), DEPTH);
        assert_eq!(worker.changes.try_iter().count(), DEPTH);
    }

    #[test]
    fn req_ra_17_a_worker_takes_each_change_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let capacity = shm::Capacity {
            interfaces: 1,
            addresses: 1,
            routes4: 1,
            routes6: 1,
            neighbors: 1,
            next_hops: 1,
            workers: 1,
            pools: 1,
            sas: 4,
        };
        let region = shm::TableWriter::create(&folder.path().join("tables"), None, &capacity).unwrap();
        let counters = region.counter_block(1).unwrap();
        let mut interfaces = Interfaces::default();
        let (mut control, mut worker) = news();
        let rule = crate::alerts::tests::rule("any", "any");
        let rules = crate::alerts::tests::set(&[(3, rule)]);
        let policy = ClassPolicy {
            fail: control::message::FailMode::Open,
            rate: 1,
            burst: 1,
            deadline_ms: 1000,
        };
        control.tell_rules(Some(rules.clone()));
        control.tell(Interfaces::default(), None);
        control.tell_policies(Policies {
            classes: [policy; PuntClass::COUNT],
            alerts: AlertPolicy::DEFAULT,
        });
        control.tell_rules(None);
        assert_eq!(control.collect(), 4);
        let mut taken = Vec::new();
        while let Some(news) = worker.take(&mut interfaces, &counters) {
            taken.push(match news {
                News::Policies(_) => "policies",
                News::Rules(Some(told)) => {
                    assert!(Arc::ptr_eq(&told, &rules));
                    "rules"
                }
                News::Rules(None) => "no rules",
            });
        }
        assert_eq!(taken, ["rules", "policies", "no rules"]);
        assert_eq!(control.collect(), 0);
        assert_eq!(Arc::strong_count(&rules), 1, "what was handed back is freed here");
    }
}
