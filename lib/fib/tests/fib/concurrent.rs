//! Readers beside a writer: every answer is one that was right at some moment of the lookup.

use crate::beside::{Reader, Writer, assert_answers};
use crate::reference::{Reference, next_hop, prefix, writer};
use fib::{Fib4Reader, Fib4Writer, FibError, NextHop, Quiescence, Storage};
use ipnet::Ipv4Net;

/// tbl8 groups: three /24s hold longer prefixes at once, so that each group must come back soon.
const GROUPS: usize = 6;

/// Sets a route (`Some`) or removes it.
type Change = crate::beside::Change<Ipv4Net>;

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
    // One prefix at a time beyond /16, with and without a covering route, each where the one before was or elsewhere.
    let alone = [
        ("10.9.64.0/18", Some(501)),
        ("10.9.0.0/16", Some(502)),
        ("10.9.64.0/18", Some(503)),
        ("10.9.0.0/16", Some(504)),
        ("10.9.64.0/18", None),
        ("10.9.64.4/30", Some(505)),
        ("10.9.0.0/16", None),
        ("10.9.64.4/30", Some(506)),
        ("10.9.64.4/30", None),
        ("10.9.255.255/32", Some(507)),
        ("10.9.255.255/32", None),
    ]
    .map(|(text, index)| (prefix(text), index.map(next_hop)));
    inserts
        .chain(changes)
        .chain(inside)
        .chain(once_more)
        .chain(others)
        .chain(bare)
        .chain(alone)
        .collect()
}

fn probes() -> Vec<u32> {
    let near = [0, 1, 6, 7, 8, 15, 16, 31, 32, 63, 64, 126, 127, 128, 200, 255];
    let mut probes: Vec<u32> = (0..4)
        .flat_map(|third| near.map(|last| 0x0a00_0000 | third << 8 | last))
        .collect();
    probes.extend([0x0a00_4000, 0x0a01_0000, 0x0300_0000, 0x0b00_0000]);
    probes.extend([
        0x0a09_0000,
        0x0a09_3fff,
        0x0a09_4000,
        0x0a09_4003,
        0x0a09_4004,
        0x0a09_4007,
    ]);
    probes.extend([0x0a09_4008, 0x0a09_7fff, 0x0a09_8000, 0x0a09_fffe, 0x0a09_ffff]);
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

impl<T: Storage> Reader<u32> for Fib4Reader<T> {
    fn lookup(&self, address: u32) -> NextHop {
        Fib4Reader::lookup(self, address)
    }

    fn lookup_burst(&self, addresses: &[u32], next_hops: &mut [NextHop]) {
        Fib4Reader::lookup_burst(self, addresses, next_hops);
    }
}

impl<T: Storage> Writer<u32, Ipv4Net> for Fib4Writer<T> {
    type Reader = Fib4Reader<T>;

    fn reader(&self) -> Fib4Reader<T> {
        Fib4Writer::reader(self)
    }

    fn insert(&mut self, prefix: Ipv4Net, next_hop: NextHop) -> bool {
        match Fib4Writer::insert(self, prefix, next_hop) {
            Ok(_) => true,
            Err(FibError::Tbl8Exhausted { retired: 1.., .. }) => false,
            Err(error) => panic!("{prefix}: {error}"),
        }
    }

    fn remove(&mut self, prefix: Ipv4Net) -> bool {
        Fib4Writer::remove(self, prefix).is_some()
    }

    fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        Fib4Writer::reclaim(self, quiescence)
    }

    fn is_empty(&self) -> bool {
        Fib4Writer::is_empty(self)
    }
}

#[test]
fn every_answer_beside_changes_was_right_at_some_moment_of_the_lookup() {
    let (circle, probes) = (circle(), probes());
    let answers = answers(&circle, &probes);
    assert_answers(writer(GROUPS, 100), &circle, &probes, &answers);
}
