//! Readers beside a writer: every answer is one that was right at some moment of the lookup.
//!
//! The writer walks round a fixed circle of changes, so that the right answer of every probed address in every state
//! is known beforehand. It says how many changes it has begun and how many it has finished; a reader notes the one
//! after and the other before its lookups, and so knows which states its answers may come from.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use super::reference::{Random, Reference, borders, next_hop, prefix, writer_of};
use fib::{Checkpoint, Fib6Error, Fib6Reader, Fib6Writer, NextHop, Quiescence, Storage6};
use ipnet::Ipv6Net;

/// Little more than the nodes need at once, so that each unit must come back soon, and now and then there is no room
/// to tidy.
const UNITS: usize = 56;

/// Sets a route (`Some`) or removes it.
type Change = (Ipv6Net, Option<NextHop>);

/// Prefixes in and beside each other that divide and join edges, share nodes, cut runs and cover nodes below. None is
/// so short that most of the time would go into the root table.
fn prefixes() -> Vec<Ipv6Net> {
    let texts = [
        "2000::/8",
        "2001::/18",
        "2001::/20",
        "2001:d00::/24",
        "2001:db8::/32",
        "2001:db8::/36",
        "2001:db8::/45",
        "2001:db8::/47",
        "2001:db8::/48",
        "2001:db8:1::/48",
        "2001:db8:2::/48",
        "2001:db8:2::/50",
        "2001:db8:2:4000::/50",
        "2001:db8:2:4000::/51",
        "2001:db8:7::/48",
        "2001:db8:100::/40",
        "2001:db8:1:2::/64",
        "2001:db8:1:2::1/128",
        "2001:db8:1:2::2/128",
        "2001:db8:1:2::40/128",
        "2001:db8:1:2::40/122",
        "2001:db8:1:2:a::/80",
        "2001:db8:1:2:a::1/128",
        "2001:db8:1:3::/64",
        "2001:dff::/32",
        "2001:800::1/128",
        "3fff::1/128",
    ];
    texts.map(prefix).into()
}

/// From nothing through many states back to nothing. Each next hop belongs to one change of one prefix, so that an
/// answer from elsewhere is noticed.
fn circle() -> Vec<Change> {
    let prefixes = prefixes();
    let mut random = Random(0x7011_6a7e);
    let mut there = BTreeSet::new();
    let mut circle = Vec::new();
    for index in 1..600 {
        let prefix = prefixes[random.below(prefixes.len())];
        // Now mostly coming, now mostly going.
        let comes = random.below(100) < if index % 100 < 50 { 75 } else { 25 };
        if comes {
            there.insert(prefix);
            circle.push((prefix, Some(next_hop(index))));
        } else if there.remove(&prefix) {
            circle.push((prefix, None));
        }
    }
    circle.extend(there.into_iter().map(|prefix| (prefix, None)));
    circle
}

fn probes() -> Vec<u128> {
    let borders: BTreeSet<u128> = prefixes().into_iter().flat_map(borders).collect();
    Vec::from_iter(borders).repeat(16)
}

/// Row by state, column by probe. State 0 is the empty table; state n the one after n changes.
fn answers(circle: &[Change], probes: &[u128]) -> Vec<Vec<NextHop>> {
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

fn read<T: Storage6>(
    reader: &Fib6Reader<T>,
    checkpoint: &mut Checkpoint,
    progress: &Progress,
    probes: &[u128],
    answers: &[Vec<NextHop>],
) {
    let mut found = vec![NextHop::NONE; probes.len()];
    let mut round = 0usize;
    while !progress.over.load(Relaxed) {
        round += 1;
        // Few changes go by beside a single lookup, so it allows few answers; a long burst keeps nodes for long.
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
                std::net::Ipv6Addr::from(probes[column]),
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
    let mut fib = writer_of(UNITS, 100);
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
            "{changes} changes, {reclaimed} units reused, {:?}",
            progress.narrow
        );
    });
    assert!(fib.is_empty());
}

/// Inserts, waiting for the readers to let go of a node if need be; gives the number of units that came back.
fn insert<T: Storage6>(
    fib: &mut Fib6Writer<T>,
    prefix: Ipv6Net,
    next_hop: NextHop,
    quiescence: &Quiescence,
) -> usize {
    let mut reclaimed = 0;
    loop {
        match fib.insert(prefix, next_hop) {
            Ok(_) => return reclaimed,
            Err(Fib6Error::Exhausted { retired: 1.., .. }) => {
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
