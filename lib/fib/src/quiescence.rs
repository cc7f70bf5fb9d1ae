//! Quiescent points: when has every worker let go of what it had found?
//!
//! A worker finds things (a tbl8 group, an adjacency) while it works on a burst and holds on to none of them between
//! bursts. There it passes its [`Checkpoint`]. The control thread unlinks a thing, takes a [`Ticket`], and may reuse
//! the thing once the ticket has passed: every worker has been between bursts since, or is offline.
//!
//! ```text
//!   control   unlink ── ticket 8 ─────────── passed? no ────── passed? yes ── reuse
//!                          │                                      ▲
//!   worker    ── burst ────┼── burst ── pass (sees 8, says 8) ────┘── burst ── pass ──
//!                          ▼
//!                 target = 8                said = 8
//! ```
//!
//! # Why this is enough, in terms of memory ordering
//!
//! Two things must hold before reuse.
//!
//! *What the worker did before it passed is over.* `pass` stores what it saw with `Release` after all of the worker's
//! earlier loads; `passed` reads that with `Acquire` before the writer's reuse. So those loads happen before the reuse
//! and cannot see it.
//!
//! *What the worker does after it passed does not find the thing any more.* The unlinking store comes before
//! `ticket`'s read-modify-write of the target, which is `Release`; `pass` read this target or a later one (later ones
//! are read-modify-writes too, and so continue its release sequence) with `Acquire`. So the unlinking happens before
//! every later load of the worker, which sees it. The worker repeats the target instead of counting on its own for
//! this reason: a counter of its own would need a full fence in every `pass`.
//!
//! *Offline* workers are skipped, and there the direction turns round: a worker that comes online may not have read
//! the target from after the unlinking. `online` stores "here I am" and then executes a `SeqCst` fence, before the worker's
//! first load; `passed` executes one between the unlinking and its look at the worker. One fence comes first. If the
//! worker's: `passed` sees it online and waits for it. If the writer's: the worker's loads see the unlinking. Going
//! offline is a `Release` store like `pass`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

/// What an offline worker says: it has passed everything.
const OFFLINE: u64 = u64::MAX;

/// A word with cache lines of its own (two: processors fetch them in pairs).
#[repr(align(128))]
struct Padded(AtomicU64);

struct Shared {
    /// The last ticket given out.
    target: Padded,
    /// For each worker the last target that it saw at a quiescent point, or [`OFFLINE`].
    said: Box<[Padded]>,
}

/// The side of who unlinks things: the control thread's. A clone is for things that another thread unlinks.
#[derive(Clone)]
pub struct Quiescence {
    shared: Arc<Shared>,
}

/// A worker's side: one for each, not shared. Dropped, its worker counts as offline for ever.
pub struct Checkpoint {
    shared: Arc<Shared>,
    worker: usize,
    /// What this worker said last, kept here so that `pass` writes only when there is something new.
    said: u64,
}

/// A moment that all workers are to pass. Means something to the [`Quiescence`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// A worker that sleeps or does something else for long. It holds nothing and looks nothing up until it is back
/// [`online`](Offline::online), which dropping this does too.
#[must_use = "the worker is back online as soon as this is dropped"]
pub struct Offline<'a> {
    checkpoint: &'a mut Checkpoint,
}

impl Quiescence {
    /// For a fixed number of workers, all online. No ticket passes before each of them has, or has dropped its
    /// checkpoint.
    pub fn new(workers: usize) -> (Quiescence, Vec<Checkpoint>) {
        let padded = || Padded(AtomicU64::new(0));
        let said = std::iter::repeat_with(padded).take(workers).collect();
        let shared = Arc::new(Shared {
            target: padded(),
            said,
        });
        let checkpoint = |worker| Checkpoint {
            shared: Arc::clone(&shared),
            worker,
            said: 0,
        };
        let checkpoints = (0..workers).map(checkpoint).collect();
        (Quiescence { shared }, checkpoints)
    }

    /// A ticket for what has been unlinked up to now.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.shared.target.0.fetch_add(1, Release) + 1)
    }

    /// Whether every worker has passed a quiescent point since `ticket` was given, or is offline. Does not wait.
    /// Once true it stays true.
    pub fn passed(&self, ticket: &Ticket) -> bool {
        fence(SeqCst);
        self.shared
            .said
            .iter()
            .all(|said| said.0.load(Acquire) >= ticket.0)
    }
}

impl Checkpoint {
    /// The worker holds nothing that it has found. Call it once per loop. Costs a load of a line that seldom changes.
    #[inline]
    pub fn pass(&mut self) {
        let target = self.shared.target.0.load(Acquire);
        if target != self.said {
            self.say(target);
        }
    }

    /// As [`pass`](Checkpoint::pass), and for as long as the result lives.
    pub fn offline(&mut self) -> Offline<'_> {
        self.say(OFFLINE);
        Offline { checkpoint: self }
    }

    #[inline]
    fn say(&mut self, target: u64) {
        self.said = target;
        if let Some(said) = self.shared.said.get(self.worker) {
            said.0.store(target, Release);
        }
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.say(OFFLINE);
    }
}

impl Offline<'_> {
    /// Back to work.
    pub fn online(self) {}
}

impl Drop for Offline<'_> {
    fn drop(&mut self) {
        let target = self.checkpoint.shared.target.0.load(Acquire);
        self.checkpoint.say(target);
        fence(SeqCst);
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("worker", &self.worker)
            .field("said", &self.said)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_passes_when_the_last_worker_has() {
        let (quiescence, mut workers) = Quiescence::new(2);
        workers[0].pass();
        workers[1].pass();
        let ticket = quiescence.ticket();
        assert!(!quiescence.passed(&ticket));
        workers[0].pass();
        workers[0].pass();
        assert!(
            !quiescence.passed(&ticket),
            "a worker that passes twice does not stand in for another"
        );
        workers[1].pass();
        assert!(quiescence.passed(&ticket));
        let later = quiescence.ticket();
        assert!(!quiescence.passed(&later) && quiescence.passed(&ticket));
    }

    #[test]
    fn offline_and_ended_workers_hold_nothing_up() {
        let (quiescence, mut workers) = Quiescence::new(2);
        drop(workers.pop());
        let ticket = quiescence.ticket();
        let asleep = workers[0].offline();
        assert!(quiescence.passed(&ticket));
        let ticket = quiescence.ticket();
        assert!(quiescence.passed(&ticket));
        asleep.online();
        let ticket = quiescence.ticket();
        assert!(!quiescence.passed(&ticket), "a worker that is back counts again");
        workers[0].pass();
        assert!(quiescence.passed(&ticket));
    }

    #[test]
    fn without_workers_everything_has_passed() {
        let (quiescence, workers) = Quiescence::new(0);
        assert!(workers.is_empty() && quiescence.passed(&quiescence.ticket()));
    }
}
