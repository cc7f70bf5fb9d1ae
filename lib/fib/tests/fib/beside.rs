//! Changes beside lookups, for the FIB of either family: a writer goes round a circle of changes while readers look up, and every
//! answer must be one that was right at some moment of the lookup.
//!
//! The right answer of every probed address in every state is known beforehand. The writer says how many changes it has begun and
//! how many it has finished; a reader notes the one after and the other before its lookups, and so knows which states its
//! answers may come from.

use std::fmt::{Debug, Display};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use fib::{Checkpoint, NextHop, Quiescence};

/// A reader of either family, by the number of an address.
pub(crate) trait Reader<I>: Send {
    fn lookup(&self, address: I) -> NextHop;
    fn lookup_burst(&self, addresses: &[I], next_hops: &mut [NextHop]);
}

/// A writer of either family.
pub(crate) trait Writer<I, P> {
    type Reader: Reader<I>;

    fn reader(&self) -> Self::Reader;
    /// Whether there was room; there may be once readers have let go of something.
    fn insert(&mut self, prefix: P, next_hop: NextHop) -> bool;
    /// Whether it was there.
    fn remove(&mut self, prefix: P) -> bool;
    fn reclaim(&mut self, quiescence: &Quiescence) -> usize;
    fn is_empty(&self) -> bool;
}

/// Inserts or, with `None`, removes.
pub(crate) type Change<P> = (P, Option<NextHop>);

#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    finished: AtomicU64,
    /// Lookups whose answer had to come from one of two states, or from one.
    narrow: AtomicU64,
    over: AtomicBool,
}

/// Goes round `circle`, which begins and ends with an empty FIB, beside two readers of `probes`. `answers` has a row for each state, the
/// first of the empty FIB, and a column for each probe.
pub(crate) fn assert_answers<I: Copy + Sync + Debug, P: Copy + Display>(
    mut fib: impl Writer<I, P>,
    circle: &[Change<P>],
    probes: &[I],
    answers: &[Vec<NextHop>],
) {
    let (quiescence, checkpoints) = Quiescence::new(2);
    let progress = Progress::default();
    let mut changes = 0u64;
    let mut reclaimed = 0;
    thread::scope(|scope| {
        for mut checkpoint in checkpoints {
            let reader = fib.reader();
            let progress = &progress;
            scope.spawn(move || {
                // Whoever ends first, by a failed assertion too, ends all.
                let _over = Over(&progress.over);
                read(&reader, &mut checkpoint, progress, probes, answers);
            });
        }
        let _over = Over(&progress.over);
        let start = Instant::now();
        let is_enough = |changes, reclaimed| {
            changes >= 10_000 && reclaimed >= 1_000 && progress.narrow.load(Relaxed) >= 10_000
        };
        // A second, and as much longer as a busy machine needs to do something worth the name.
        while start.elapsed() < Duration::from_secs(1)
            || !is_enough(changes, reclaimed) && start.elapsed() < Duration::from_secs(60)
        {
            for (prefix, next_hop) in circle {
                progress.begun.store(changes + 1, Release);
                match next_hop {
                    Some(next_hop) => reclaimed += insert(&mut fib, *prefix, *next_hop, &quiescence),
                    None => assert!(fib.remove(*prefix), "{prefix} was not there"),
                }
                changes += 1;
                progress.finished.store(changes, Release);
                reclaimed += fib.reclaim(&quiescence);
            }
            if progress.over.load(Relaxed) {
                break;
            }
        }
        assert!(
            is_enough(changes, reclaimed),
            "{changes} changes, {reclaimed} times memory was reused, {:?}",
            progress.narrow
        );
    });
    assert!(fib.is_empty());
}

fn read<I: Copy + Debug>(
    reader: &impl Reader<I>,
    checkpoint: &mut Checkpoint,
    progress: &Progress,
    probes: &[I],
    answers: &[Vec<NextHop>],
) {
    let mut found = vec![NextHop::NONE; probes.len()];
    let mut round = 0usize;
    while !progress.over.load(Relaxed) {
        round += 1;
        // Few changes go by beside a single lookup, so it allows few answers; a long burst keeps memory in hand for long.
        let size = [1, 32, 1, 512][round % 4];
        let at = round * 7 % (probes.len() - size + 1);
        let (addresses, found) = (&probes[at..at + size], &mut found[..size]);
        let finished = progress.finished.load(Acquire);
        if size == 1 {
            found[0] = reader.lookup(addresses[0]);
        } else {
            reader.lookup_burst(addresses, found);
        }
        let begun = progress.begun.load(Acquire);
        for (column, next_hop) in (at..).zip(&*found) {
            let mut states = (finished..=begun).take(answers.len());
            assert!(
                states.any(|state| answers[state as usize % answers.len()][column] == *next_hop),
                "{:x?} gave {next_hop:?} between changes {finished} and {begun}",
                probes[column],
            );
        }
        if begun - finished <= 1 {
            progress.narrow.fetch_add(size as u64, Relaxed);
        }
        if round.is_multiple_of(64) {
            checkpoint.offline().online();
        } else {
            checkpoint.pass();
        }
    }
}

/// Inserts, waiting for the readers to let go of memory if need be; gives how much came back.
fn insert<I, P: Copy>(
    fib: &mut impl Writer<I, P>,
    prefix: P,
    next_hop: NextHop,
    quiescence: &Quiescence,
) -> usize {
    let mut reclaimed = 0;
    while !fib.insert(prefix, next_hop) {
        reclaimed += fib.reclaim(quiescence);
        thread::yield_now();
    }
    reclaimed
}

/// Tells the others to end when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
