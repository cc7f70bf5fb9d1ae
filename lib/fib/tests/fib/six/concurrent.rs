//! Readers beside a writer: every answer is one that was right at some moment of the lookup.

use std::collections::BTreeSet;

use super::reference::{Random, Reference, borders, next_hop, prefix, writer_of};
use crate::beside::{Reader, Writer, assert_answers};
use fib::{Fib6Error, Fib6Reader, Fib6Writer, NextHop, Quiescence, Storage6};
use ipnet::Ipv6Net;

/// Little more than the nodes need at once, so that each unit must come back soon, and now and then there is no room
/// to tidy.
const UNITS: usize = 56;

/// Sets a route (`Some`) or removes it.
type Change = crate::beside::Change<Ipv6Net>;

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

impl<T: Storage6> Reader<u128> for Fib6Reader<T> {
    fn lookup(&self, address: u128) -> NextHop {
        Fib6Reader::lookup(self, address)
    }

    fn lookup_burst(&self, addresses: &[u128], next_hops: &mut [NextHop]) {
        Fib6Reader::lookup_burst(self, addresses, next_hops);
    }
}

impl<T: Storage6> Writer<u128, Ipv6Net> for Fib6Writer<T> {
    type Reader = Fib6Reader<T>;

    fn reader(&self) -> Fib6Reader<T> {
        Fib6Writer::reader(self)
    }

    fn insert(&mut self, prefix: Ipv6Net, next_hop: NextHop) -> bool {
        match Fib6Writer::insert(self, prefix, next_hop) {
            Ok(_) => true,
            Err(Fib6Error::Exhausted { retired: 1.., .. }) => false,
            Err(error) => panic!("{prefix}: {error}"),
        }
    }

    fn remove(&mut self, prefix: Ipv6Net) -> bool {
        Fib6Writer::remove(self, prefix).is_some()
    }

    fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        Fib6Writer::reclaim(self, quiescence)
    }

    fn is_empty(&self) -> bool {
        Fib6Writer::is_empty(self)
    }
}

#[test]
fn every_answer_beside_changes_was_right_at_some_moment_of_the_lookup() {
    let (circle, probes) = (circle(), probes());
    let answers = answers(&circle, &probes);
    assert_answers(writer_of(UNITS, 100), &circle, &probes, &answers);
}
