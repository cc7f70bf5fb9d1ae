//! Readers beside a writer: every answer is one that was right at some moment of the lookup.
//!
//! The writer walks round a fixed circle of changes, so that the right answer of every probed address in every state
//! is known beforehand. It says how many changes it has begun and how many it has finished; a reader notes the one
//! after and the other before its lookups, and so knows which states its answers may come from.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use crate::reference::{Reference, next_hop, prefix, writer};
use fib::{Checkpoint, Fib4Reader, Fib4Writer, FibError, NextHop, Quiescence, Storage};
use ipnet::Ipv4Net;

/// tbl8 groups: three /24s hold longer prefixes at once, so that each group must come back soon.
const GROUPS: usize = 6;

/// Sets a route (`Some`) or removes it.
type Change = (Ipv4Net, Option<NextHop>);

/// From nothing through nested routes back to nothing. Each next hop belongs to one change of one prefix, so that an
/// answer from elsewhere is noticed.
fn circle() -> Vec<Change> {
    let covering = ["10.0.0.0/22", "10.0.0.0/16", "10.0.1.0/24", "0.0.0.0/6"];
    let long = [
        "10.0.0.128/25",
        "10.0.1.0/26",
        "10.0.1.16/28",
        "10.0.2.7/32",
        "10.0.2.0/25",
    ];
    let texts = || long.iter().chain(&covering).chain(&long[..2]);
    let inserts = texts()
        .zip(1..)
        .map(|(text, index)| (prefix(text), Some(next_hop(index))));
    let changes = texts()
        .rev()
        .zip(101..)
        .map(|(text, index)| (prefix(text), Some(next_hop(index))));
    // Within a group that stays, next hops and lengths of many entries change again and again.
    let inside = (201..220).flat_map(|index| {
        let half = prefix("10.0.2.0/25");
        [(half, None), (half, Some(next_hop(index)))]
    });
    // Long prefixes come and go once more, so that groups collapse with and without a covering route.
    let once_more = long.iter().zip(301..).flat_map(|(text, index)| {
        [
            (prefix(text), None),
            (prefix(text), Some(next_hop(index))),
            (prefix(text), None),
        ]
    });
    let others = covering.iter().map(|text| (prefix(text), None));
    let bare = long
        .iter()
        .zip(401..)
        .flat_map(|(text, index)| [(prefix(text), Some(next_hop(index))), (prefix(text), None)]);
    inserts
        .chain(changes)
        .chain(inside)
        .chain(once_more)
        .chain(others)
        .chain(bare)
        .collect()
}

fn probes() -> Vec<u32> {
    let near = [0, 1, 6, 7, 8, 15, 16, 31, 32, 63, 64, 126, 127, 128, 200, 255];
    let mut probes: Vec<u32> = (0..4)
        .flat_map(|third| near.map(|last| 0x0a00_0000 | third << 8 | last))
        .collect();
    probes.extend([0x0a00_4000, 0x0a01_0000, 0x0300_0000, 0x0b00_0000]);
    probes.repeat(16)
}

/// Row by state, column by probe. State 0 is the empty table; state n the one after n changes.
fn answers(circle: &[Change], probes: &[u32]) -> Vec<Vec<NextHop>> {
    let mut reference = Reference::default();
    let mut rows = Vec::new();
    for (prefix, next_hop) in circle {
        rows.push(probes.iter().map(|&address| reference.lookup(address)).collect());
        match next_hop {
            Some(next_hop) => reference.routes.insert(*prefix, *next_hop),
            None => reference.routes.remove(prefix),
        };
    }
    assert!(reference.routes.is_empty(), "the circle closes");
    rows
}

#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    finished: AtomicU64,
    /// Lookups whose answer had to come from one of two states, or from one.
    narrow: AtomicU64,
    over: AtomicBool,
}

fn read<T: Storage>(
    reader: &Fib4Reader<T>,
    checkpoint: &mut Checkpoint,
    progress: &Progress,
    probes: &[u32],
    answers: &[Vec<NextHop>],
) {
    let mut found = vec![NextHop::NONE; probes.len()];
    let mut round = 0usize;
    while !progress.over.load(Relaxed) {
        round += 1;
        // Few changes go by beside a single lookup, so it allows few answers; a long burst keeps groups in hand for long.
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
                "{} gave {next_hop:?} between changes {finished} and {begun}",
                std::net::Ipv4Addr::from(probes[column]),
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

#[test]
fn every_answer_beside_changes_was_right_at_some_moment_of_the_lookup() {
    let (circle, probes) = (circle(), probes());
    let answers = answers(&circle, &probes);
    let mut fib = writer(GROUPS, 100);
    let (quiescence, checkpoints) = Quiescence::new(2);
    let progress = Progress::default();
    let mut changes = 0u64;
    let mut reclaimed = 0;
    thread::scope(|scope| {
        for mut checkpoint in checkpoints {
            let reader = fib.reader();
            let (progress, probes, answers) = (&progress, &probes, &answers);
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
            for (prefix, next_hop) in &circle {
                progress.begun.store(changes + 1, Release);
                match next_hop {
                    Some(next_hop) => reclaimed += insert(&mut fib, *prefix, *next_hop, &quiescence),
                    None => assert!(fib.remove(*prefix).is_some()),
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
            "{changes} changes, {reclaimed} groups reused, {:?}",
            progress.narrow
        );
    });
    assert!(fib.is_empty());
}

/// Inserts, waiting for the readers to let go of a group if need be; gives the number of groups that came back.
fn insert<T: Storage>(
    fib: &mut Fib4Writer<T>,
    prefix: Ipv4Net,
    next_hop: NextHop,
    quiescence: &Quiescence,
) -> usize {
    let mut reclaimed = 0;
    loop {
        match fib.insert(prefix, next_hop) {
            Ok(_) => return reclaimed,
            Err(FibError::Tbl8Exhausted { retired: 1.., .. }) => {
                reclaimed += fib.reclaim(quiescence);
                thread::yield_now();
            }
            Err(error) => panic!("{prefix}: {error}"),
        }
    }
}

/// Tells the others to end when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
