//! The FIB against a reference, change by change.

use std::cell::RefCell;
use std::net::Ipv6Addr;
use std::sync::atomic::AtomicU64;

use super::reference::{Random, Reference, Writer, address, around, borders, next_hop, prefix, writer};
use fib::{Fib6Reader, NextHop, Quiescence};
use ipnet::Ipv6Net;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// What all nested prefixes are near to.
const BASE: u128 = 0x2001_0db8_0a5a_c3c3_0123_4567_89ab_cdef;
/// What leaves can hold at most.
const MAX_NEXT_HOP: u32 = (1 << 24) - 1;

#[derive(Clone, Debug)]
enum Change {
    Insert(Ipv6Net, NextHop),
    Remove(Ipv6Net),
}

/// Prefixes that lie in and around each other.
fn prefixes() -> impl Strategy<Value = Ipv6Net> {
    prop_oneof![
        // On the way to one address, or beside it by one bit: edges of all lengths are divided and joined.
        8 => (0u8..=128, 0u32..128).prop_map(|(length, bit)| around(BASE ^ 1 << bit, length)),
        4 => (0u8..=128).prop_map(|length| around(BASE, length)),
        // In a few nodes: many entries, runs that are cut.
        12 => (0u128..256, 40u8..=52).prop_map(|(low, length)| around(BASE & !0 << 88 ^ low << 76, length)),
        4 => (0u128..64, 118u8..=128).prop_map(|(low, length)| around(BASE & !0 << 8 | low, length)),
        // About where the root table ends.
        4 => (0u128..16, 16u8..=27).prop_map(|(low, length)| around(BASE ^ low << 103, length)),
        2 => (any::<u128>(), 17u8..=128).prop_map(|(address, length)| around(address, length)),
        // The ends of the address space.
        2 => (any::<bool>(), 14u8..=128).prop_map(|(top, length)| around(if top { u128::MAX } else { 0 }, length)),
    ]
}

/// For each prefix around [`BASE`], an address that is in it and in no longer one.
fn beside() -> Vec<u128> {
    (0..128).map(|bit| BASE ^ 1 << bit).chain([BASE]).collect()
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let next_hops = prop_oneof![8 => 0u32..6, 1 => Just(MAX_NEXT_HOP)].prop_map(next_hop);
    let change = prop_oneof![
        3 => (prefixes(), next_hops).prop_map(|(prefix, next_hop)| Change::Insert(prefix, next_hop)),
        2 => prefixes().prop_map(Change::Remove),
        // Likely to be there.
        2 => any::<prop::sample::Index>().prop_map(|at| Change::Remove(around(BASE, at.index(129) as u8))),
    ];
    proptest::collection::vec(change, 1..80)
}

struct Pair {
    fib: Writer,
    reader: Fib6Reader<Box<[AtomicU64]>>,
    reference: Reference,
    quiescence: Quiescence,
}

impl Pair {
    fn new() -> Pair {
        let fib = writer(10_000);
        Pair {
            reader: fib.reader(),
            fib,
            reference: Reference::default(),
            quiescence: Quiescence::new(0).0,
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
        self.fib.reclaim(&self.quiescence);
        assert_eq!(self.fib.len(), self.reference.routes.len());
        assert!(
            self.fib.units().used <= 4 * self.fib.len(),
            "more than is planned for: {:?} for {} routes",
            self.fib.units(),
            self.fib.len()
        );
    }

    fn check(&self, addresses: &[u128]) {
        let mut found = vec![next_hop(77); addresses.len()];
        self.reader.lookup_burst(addresses, &mut found);
        for (&address, found) in addresses.iter().zip(found) {
            let expected = self.reference.longest_match(address);
            let next_hop = expected.map_or(NextHop::NONE, |(_, next_hop)| next_hop);
            let shown = Ipv6Addr::from(address);
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
    fn check_borders(&self, prefix: Ipv6Net) {
        let routes = self.reference.routes.keys().copied().chain([prefix]);
        self.check(&routes.flat_map(borders).collect::<Vec<_>>());
    }

    /// Removes everything in this order; nothing may be left behind.
    fn drain(&mut self, mut order: impl FnMut(&Ipv6Net) -> u64) {
        let mut routes: Vec<_> = self.fib.iter().collect();
        assert!(
            routes
                .iter()
                .all(|(prefix, next_hop)| self.reference.routes.get(prefix) == Some(next_hop))
        );
        assert_eq!(routes.len(), self.reference.routes.len());
        routes.sort_by_cached_key(|(prefix, _)| order(prefix));
        for (prefix, _) in routes {
            self.apply(&Change::Remove(prefix));
            self.check_borders(prefix);
        }
        assert!(self.fib.is_empty());
        let units = self.fib.units();
        assert_eq!((units.used, units.retired, units.free()), (0, 0, units.capacity));
    }
}

/// One FIB for all cases: each must leave it empty.
#[test]
fn any_sequence_of_changes_leaves_the_answers_of_the_reference() {
    let pair = RefCell::new(Pair::new());
    let afresh = RefCell::new(Pair::new());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        cases: 150,
        ..Config::default()
    });
    let strategy = (changes(), any::<[u128; 32]>(), 1u64..);
    let result = runner.run(&strategy, |(changes, addresses, seed)| {
        let (mut pair, mut afresh) = (pair.borrow_mut(), afresh.borrow_mut());
        for change in &changes {
            pair.apply(change);
            let (Change::Insert(prefix, _) | Change::Remove(prefix)) = *change;
            pair.check_borders(prefix);
        }
        pair.check(&addresses);
        pair.check(&beside());
        // The memory that routes take depends on nothing but their prefixes: not on changes, next hops or order.
        for prefix in pair.reference.routes.keys() {
            afresh.apply(&Change::Insert(*prefix, next_hop(1)));
        }
        assert_eq!(pair.fib.units(), afresh.fib.units());
        let mut random = Random(seed);
        pair.drain(|_| random.next());
        afresh.drain(|prefix| prefix.prefix_len().into());
        Ok(())
    });
    result.unwrap();
}

/// All lengths around one address, inserted and removed in several orders.
#[test]
fn every_prefix_length_takes_and_gives_back_exactly_its_range() {
    let mut pair = Pair::new();
    let nested = |length: u8| around(BASE, length);
    let beside = beside();
    // Of the lengths that sweep over much of the root table, a few are enough.
    let worthwhile = |length: &u8| matches!(length, 0 | 5 | 8..);
    let rising: Vec<u8> = (0..=128).filter(worthwhile).collect();
    let falling: Vec<u8> = rising.iter().rev().copied().collect();
    let mixed: Vec<u8> = (0..129)
        .map(|i| (i * 50 % 129) as u8)
        .filter(worthwhile)
        .collect();
    for (inserts, removes) in [(&rising, &falling), (&mixed, &rising), (&falling, &mixed)] {
        for &length in inserts {
            pair.apply(&Change::Insert(nested(length), next_hop(u32::from(length) + 1)));
            pair.check(&[&borders(nested(length)), &beside[..]].concat());
        }
        // Changing a route leaves those inside it alone.
        for &length in &mixed {
            pair.apply(&Change::Insert(nested(length), next_hop(u32::from(length) + 200)));
            pair.check(&[&borders(nested(length)), &beside[..]].concat());
        }
        for &length in removes {
            pair.apply(&Change::Remove(nested(length)));
            pair.check(&[&borders(nested(length)), &beside[..]].concat());
        }
        assert_eq!(pair.fib.units().used, 0);
    }
}

#[test]
fn default_route_answers_for_all_that_nothing_else_does() {
    let mut pair = Pair::new();
    for (index, text) in (1..).zip([
        "2001:db8::/32",
        "2001:db8:1:2::/64",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
        "::/128",
        "8000::/1",
    ]) {
        pair.apply(&Change::Insert(prefix(text), next_hop(index)));
    }
    let mut random = Random(6);
    let spread: Vec<u128> = (0..4096).map(|_| random.address()).collect();
    for change in [
        Change::Insert(prefix("::/0"), next_hop(9)),
        Change::Insert(prefix("::/0"), next_hop(MAX_NEXT_HOP)),
        // A next hop that reads like none, of a route that is there.
        Change::Insert(prefix("::/0"), NextHop::NONE),
        Change::Remove(prefix("::/0")),
    ] {
        pair.apply(&change);
        pair.check_borders(prefix("::/0"));
        pair.check(&spread);
    }
}

#[test]
fn hosts_under_one_64_are_told_apart() {
    let mut pair = Pair::new();
    let mut random = Random(64);
    let network = address("2001:db8:1:2::");
    let mut hosts = Vec::new();
    for index in 0..3000 {
        // Half of them numbered, half of them random.
        let host = if index % 2 == 0 { index } else { random.next() };
        hosts.push(network | u128::from(host));
        pair.apply(&Change::Insert(
            around(hosts[index as usize], 128),
            next_hop(index as u32 + 1),
        ));
    }
    pair.apply(&Change::Insert(prefix("2001:db8:1:2::/64"), next_hop(9999)));
    pair.check(&[&hosts[..300], &[network | 1, network | 5000]].concat());
    let mut found = vec![NextHop::NONE; hosts.len()];
    pair.reader.lookup_burst(&hosts, &mut found);
    assert!(found.into_iter().eq((1..=3000).map(next_hop)));
}

#[test]
fn burst_stops_at_the_shorter_slice_and_keeps_the_rest() {
    let mut pair = Pair::new();
    pair.apply(&Change::Insert(prefix("2001:db8::/48"), next_hop(1)));
    let (inside, outside) = (address("2001:db8::1"), address("2001:db8:1::"));
    let mut found = [next_hop(77); 3];
    pair.reader.lookup_burst(&[inside, outside], &mut found);
    assert_eq!(found, [next_hop(1), NextHop::NONE, next_hop(77)]);
    pair.reader.lookup_burst(&[inside; 5], &mut found[..1]);
    assert_eq!(found, [next_hop(1), NextHop::NONE, next_hop(77)]);
    pair.reader.lookup_burst(&[], &mut found);
    assert_eq!(found, [next_hop(1), NextHop::NONE, next_hop(77)]);
    // More than are looked up side by side, and one more.
    let many: Vec<u128> = (0..97)
        .map(|i| if i % 3 == 0 { inside } else { outside })
        .collect();
    let mut found = [next_hop(77); 100];
    pair.reader.lookup_burst(&many, &mut found);
    let expected = (0..97).map(|i| if i % 3 == 0 { next_hop(1) } else { NextHop::NONE });
    assert!(expected.chain([next_hop(77); 3]).eq(found));
}
