//! The FIB against a reference, change by change.

use std::cell::RefCell;
use std::sync::atomic::AtomicU32;

use crate::reference::{Reference, next_hop, prefix, range, writer};
use fib::{Fib4Reader, Fib4Writer, NextHop, Quiescence};
use ipnet::Ipv4Net;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[derive(Clone, Debug)]
enum Change {
    Insert(Ipv4Net, NextHop),
    Remove(Ipv4Net),
}

/// Prefixes that lie in and around each other: mostly in four /24s, so that they nest, cover and uncover; and some that are alone in
/// their /16.
fn prefixes() -> impl Strategy<Value = Ipv4Net> {
    let at = |address: u32, length: u8| Ipv4Net::new(address.into(), length).unwrap().trunc();
    prop_oneof![
        24 => (0u32..1024, 22u8..=32).prop_map(move |(low, length)| at(0x0a01_0000 | low, length)),
        8 => (any::<u16>(), 0u32..8, 15u8..=32)
            .prop_map(move |(low, second, length)| at(0x0b00_0000 | second << 16 | u32::from(low), length)),
        6 => (0u32..0x4_0000, 12u8..=24).prop_map(move |(low, length)| at(0x0a00_0000 | low, length)),
        2 => (any::<u32>(), 16u8..=32).prop_map(move |(address, length)| at(address, length)),
        1 => Just(at(0x0a00_0000, 8)),
        // The ends of the address space.
        2 => (any::<bool>(), 20u8..=32).prop_map(move |(top, length)| at(if top { u32::MAX } else { 0 }, length)),
    ]
}

/// Changes, and what is added to the first two octets of all: a /16 that ever had two prefixes is not as it was before.
fn changes() -> impl Strategy<Value = (u16, Vec<Change>)> {
    let change = prop_oneof![
        3 => (prefixes(), 0u32..6).prop_map(|(prefix, index)| Change::Insert(prefix, next_hop(index))),
        2 => prefixes().prop_map(Change::Remove),
    ];
    (any::<u16>(), proptest::collection::vec(change, 1..60))
}

impl Change {
    fn moved(&self, by: u16) -> Change {
        let moved = |prefix: Ipv4Net| {
            let address = prefix.addr().to_bits().wrapping_add(u32::from(by) << 16);
            Ipv4Net::new(address.into(), prefix.prefix_len()).unwrap().trunc()
        };
        match *self {
            Change::Insert(prefix, next_hop) => Change::Insert(moved(prefix), next_hop),
            Change::Remove(prefix) => Change::Remove(moved(prefix)),
        }
    }
}

struct Pair {
    fib: Fib4Writer<Box<[AtomicU32]>>,
    reader: Fib4Reader<Box<[AtomicU32]>>,
    reference: Reference,
}

impl Pair {
    fn new(groups: usize) -> Pair {
        let fib = writer(groups, 10_000);
        Pair {
            reader: fib.reader(),
            fib,
            reference: Reference::default(),
        }
    }

    /// Makes the change in both; what the FIB says of it must be what the reference says.
    fn apply(&mut self, change: &Change) {
        match *change {
            Change::Insert(prefix, next_hop) => {
                let previous = self.reference.routes.insert(prefix, next_hop);
                assert_eq!(self.fib.insert(prefix, next_hop), Ok(previous));
            }
            Change::Remove(prefix) => {
                assert_eq!(self.fib.remove(prefix), self.reference.routes.remove(&prefix));
            }
        }
        assert_eq!(self.fib.len(), self.reference.routes.len());
    }

    fn check(&self, addresses: &[u32]) {
        let mut found = vec![next_hop(77); addresses.len()];
        self.reader.lookup_burst(addresses, &mut found);
        for (&address, found) in addresses.iter().zip(found) {
            let expected = self.reference.longest_match(address);
            let next_hop = expected.map_or(NextHop::NONE, |(_, next_hop)| next_hop);
            let shown = std::net::Ipv4Addr::from(address);
            assert_eq!(found, next_hop, "burst lookup of {shown}");
            assert_eq!(self.reader.lookup(address), next_hop, "lookup of {shown}");
            assert_eq!(
                self.fib.longest_match(shown),
                expected,
                "longest match of {shown}"
            );
        }
    }

    /// At the borders of `prefix` and of all routes, inside and outside.
    fn check_borders(&self, prefix: Ipv4Net) {
        let borders = self
            .reference
            .routes
            .keys()
            .copied()
            .chain([prefix])
            .flat_map(|prefix| {
                let (first, last) = range(prefix);
                let middle = first + (last - first) / 2;
                [
                    first.wrapping_sub(1),
                    first,
                    middle,
                    middle.wrapping_add(1),
                    last,
                    last.wrapping_add(1),
                ]
            });
        self.check(&borders.collect::<Vec<_>>());
    }

    /// Removes everything; nothing may be left behind.
    fn drain(&mut self, quiescence: &Quiescence, groups: usize) {
        let routes: Vec<_> = self.fib.iter().collect();
        assert!(
            routes
                .iter()
                .all(|(prefix, next_hop)| self.reference.routes.get(prefix) == Some(next_hop))
        );
        assert_eq!(routes.len(), self.reference.routes.len());
        for (prefix, _) in routes {
            self.apply(&Change::Remove(prefix));
            self.check_borders(prefix);
        }
        assert!(self.fib.is_empty());
        self.fib.reclaim(quiescence);
        assert_eq!((self.fib.free_groups(), self.fib.retired()), (groups, 0));
    }
}

/// One FIB for all cases: each must leave it empty, and clearing 64 MiB for each would be most of the test.
#[test]
fn any_sequence_of_changes_leaves_the_answers_of_the_reference() {
    const GROUPS: usize = 64;
    let pair = RefCell::new(Pair::new(GROUPS));
    let (quiescence, _) = Quiescence::new(0);
    let nested = |by: u16| {
        let nested = 0x0a00_ff00..0x0a01_0500u32;
        nested
            .map(|address| address.wrapping_add(u32::from(by) << 16))
            .collect::<Vec<_>>()
    };
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        cases: 100,
        ..Config::default()
    });
    let result = runner.run(&changes(), |(by, changes)| {
        let mut pair = pair.borrow_mut();
        for change in &changes {
            let change = change.moved(by);
            pair.apply(&change);
            let (Change::Insert(prefix, _) | Change::Remove(prefix)) = change;
            pair.check_borders(prefix);
            pair.fib.reclaim(&quiescence);
        }
        pair.check(&nested(by));
        pair.drain(&quiescence, GROUPS);
        Ok(())
    });
    result.unwrap();
}

/// All lengths around one address, inserted and removed in several orders.
#[test]
fn every_prefix_length_takes_and_gives_back_exactly_its_range() {
    const GROUPS: usize = 8;
    let mut pair = Pair::new(GROUPS);
    let (quiescence, _) = Quiescence::new(0);
    let address = 0xc0a8_0a81u32;
    let nested = |length: u8| Ipv4Net::new(address.into(), length).unwrap().trunc();
    // Of the lengths that sweep over much of tbl24, a few are enough.
    let worthwhile = |length: &u8| matches!(length, 0 | 5 | 8..);
    let rising: Vec<u8> = (0..=32).filter(worthwhile).collect();
    let falling: Vec<u8> = rising.iter().rev().copied().collect();
    let mixed: Vec<u8> = (0..33).map(|i| (i * 13 % 33) as u8).filter(worthwhile).collect();
    for (inserts, removes) in [(&rising, &falling), (&mixed, &rising)] {
        for &length in inserts {
            pair.apply(&Change::Insert(nested(length), next_hop(u32::from(length) + 1)));
            pair.check_borders(nested(length));
        }
        // Changing a route leaves those inside it alone.
        for &length in &mixed {
            pair.apply(&Change::Insert(nested(length), next_hop(u32::from(length) + 100)));
            pair.check_borders(nested(length));
        }
        for &length in removes {
            pair.apply(&Change::Remove(nested(length)));
            pair.check_borders(nested(length));
        }
        pair.fib.reclaim(&quiescence);
        assert_eq!((pair.fib.free_groups(), pair.fib.retired()), (GROUPS, 0));
    }
}

#[test]
fn default_route_answers_for_all_that_nothing_else_does() {
    let mut pair = Pair::new(4);
    for (index, text) in (1..).zip([
        "10.0.0.0/8",
        "10.1.2.128/25",
        "255.255.255.255/32",
        "0.0.0.0/32",
        "128.0.0.0/1",
    ]) {
        pair.apply(&Change::Insert(prefix(text), next_hop(index)));
    }
    let spread: Vec<u32> = (0..4096).map(|i: u32| i.wrapping_mul(0x0010_0401)).collect();
    for change in [
        Change::Insert(prefix("0.0.0.0/0"), next_hop(9)),
        Change::Insert(prefix("0.0.0.0/0"), NextHop::MAX),
        Change::Remove(prefix("0.0.0.0/0")),
    ] {
        pair.apply(&change);
        pair.check_borders(prefix("0.0.0.0/0"));
        pair.check(&spread);
    }
}

#[test]
fn burst_stops_at_the_shorter_slice_and_keeps_the_rest() {
    let mut pair = Pair::new(1);
    pair.apply(&Change::Insert(prefix("10.0.0.0/25"), next_hop(1)));
    let mut found = [next_hop(77); 3];
    pair.reader.lookup_burst(&[0x0a00_0000, 0x0a00_0080], &mut found);
    assert_eq!(found, [next_hop(1), NextHop::NONE, next_hop(77)]);
    pair.reader.lookup_burst(&[0x0a00_0001; 5], &mut found[..1]);
    assert_eq!(found, [next_hop(1), NextHop::NONE, next_hop(77)]);
    pair.reader.lookup_burst(&[], &mut found);
    assert_eq!(found, [next_hop(1), NextHop::NONE, next_hop(77)]);
}
