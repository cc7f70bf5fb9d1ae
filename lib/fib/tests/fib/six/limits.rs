//! What is refused, and that nothing has changed then; when units come back.

use super::reference::{
    Random, Reference, address, around, borders, next_hop, prefix, writer, writer_of, zeroed,
};
use fib::{Fib6Error, Fib6Writer, NextHop, Quiescence, words6};

#[test]
fn host_bits_are_refused_with_the_prefix_that_was_meant() {
    let mut fib = writer(10);
    let given = prefix("2001:db8::1/64");
    let refused = fib.insert(given, next_hop(1)).unwrap_err();
    assert_eq!(refused, Fib6Error::HostBits { prefix: given });
    assert!(
        refused.to_string().contains("did you mean 2001:db8::/64?"),
        "{refused}"
    );
    assert!(fib.is_empty() && fib.reader().lookup(address("2001:db8::1")) == NextHop::NONE);
    fib.insert(prefix("2001:db8::/64"), next_hop(1)).unwrap();
    assert_eq!((fib.get(given), fib.remove(given)), (None, None));
}

#[test]
fn next_hop_beyond_24_bits_is_refused() {
    let mut fib = writer(10);
    let refused = fib.insert(prefix("::/0"), next_hop(1 << 24)).unwrap_err();
    assert_eq!(
        refused,
        Fib6Error::NextHopTooLarge {
            next_hop: next_hop(1 << 24)
        }
    );
    assert!(refused.to_string().contains("at most 16777215"), "{refused}");
    assert!(fib.is_empty() && fib.reader().lookup(0) == NextHop::NONE);
    fib.insert(prefix("::/0"), next_hop((1 << 24) - 1)).unwrap();
    assert_eq!(fib.reader().lookup(u128::MAX), next_hop((1 << 24) - 1));
}

#[test]
fn route_limit_counts_routes_not_changes() {
    let mut fib = writer(2);
    fib.insert(prefix("2001::/16"), next_hop(1)).unwrap();
    fib.insert(prefix("2002::/48"), next_hop(1)).unwrap();
    assert_eq!(
        fib.insert(prefix("2003::/48"), next_hop(1)),
        Err(Fib6Error::RouteLimit { limit: 2 })
    );
    assert_eq!(fib.reader().lookup(address("2003::")), NextHop::NONE);
    assert_eq!(
        fib.insert(prefix("2002::/48"), next_hop(2)),
        Ok(Some(next_hop(1)))
    );
    assert_eq!(fib.remove(prefix("2001::/16")), Some(next_hop(1)));
    assert_eq!(fib.insert(prefix("2003::/48"), next_hop(1)), Ok(None));
}

#[test]
fn memory_of_the_wrong_size_is_refused_and_old_contents_are_cleared() {
    let root = 1 << 19;
    let refused = Fib6Writer::new(zeroed(root - 1), 1).err();
    assert_eq!(refused, Some(Fib6Error::MemoryLength { got: root - 1 }));
    let memory = zeroed(root + 4 * 100 + 3);
    memory
        .iter()
        .for_each(|word| word.store(0xc002_0000_2000_0005, std::sync::atomic::Ordering::Relaxed));
    let mut fib = Fib6Writer::new(memory, 1).unwrap();
    assert_eq!(fib.units().capacity, 100);
    let reader = fib.reader();
    let addresses = [0, 1, address("2001:db8::"), u128::MAX];
    assert!(
        addresses
            .iter()
            .all(|&address| reader.lookup(address) == NextHop::NONE)
    );
    fib.insert(prefix("2001:db8::/128"), next_hop(1)).unwrap();
    assert_eq!(
        addresses.map(|address| reader.lookup(address)),
        [NextHop::NONE, NextHop::NONE, next_hop(1), NextHop::NONE]
    );
}

#[test]
fn short_prefixes_need_no_units() {
    let mut fib = writer_of(0, 10);
    fib.insert(prefix("2001::/20"), next_hop(1)).unwrap();
    fib.insert(prefix("::/0"), next_hop(2)).unwrap();
    let reader = fib.reader();
    assert_eq!(
        (reader.lookup(address("2001:fff::")), reader.lookup(0)),
        (next_hop(1), next_hop(2))
    );
    assert_eq!(
        fib.insert(prefix("2001::/21"), next_hop(3)),
        Err(Fib6Error::Exhausted {
            capacity: 0,
            retired: 0
        })
    );
    assert_eq!(reader.lookup(address("2001::")), next_hop(1));
}

/// Each amount of memory ends at another step of some change; whichever it is, nothing has changed.
#[test]
fn refused_prefix_leaves_everything_as_it_was() {
    let (quiescence, _) = Quiescence::new(0);
    let mut refusals = 0;
    for units in 0..60 {
        let mut fib = writer_of(units, 1000);
        let reader = fib.reader();
        let mut reference = Reference::default();
        let mut random = Random(units as u64 + 1);
        for index in 1..100 {
            // Near to each other, so that nodes are divided, with long and short edges.
            let address =
                address("2001:db8::") | random.address() & random.address() & random.address() >> 32;
            let prefix = around(address, 21 + random.below(108) as u8);
            let before = fib.units();
            match fib.insert(prefix, next_hop(index)) {
                Ok(_) => drop(reference.routes.insert(prefix, next_hop(index))),
                Err(error) => {
                    let capacity = units;
                    assert_eq!(error, Fib6Error::Exhausted { capacity, retired: 0 });
                    assert_eq!((fib.get(prefix), fib.units()), (None, before));
                    refusals += 1;
                }
            }
            fib.reclaim(&quiescence);
            for address in reference.routes.keys().copied().chain([prefix]).flat_map(borders) {
                assert_eq!(reader.lookup(address), reference.lookup(address));
            }
        }
        // What is there can be changed without memory, and removed.
        for (prefix, _) in reference.routes.clone() {
            assert!(fib.insert(prefix, next_hop(7)).is_ok());
            assert_eq!(fib.remove(prefix), Some(next_hop(7)));
            fib.reclaim(&quiescence);
        }
        assert_eq!((fib.units().used, fib.units().retired), (0, 0));
    }
    assert!(refusals > 1000, "{refusals}");
}

/// A worker that never passes: no unit comes back, and yet every route can go.
#[test]
fn removal_needs_no_memory() {
    let (quiescence, mut workers) = Quiescence::new(1);
    let mut fib = writer_of(500, 1000);
    let reader = fib.reader();
    let mut reference = Reference::default();
    let mut random = Random(500);
    let mut is_full = false;
    while !is_full {
        let address = address("2001:db8::") | random.address() & random.address() >> 32;
        let prefix = around(address, 24 + random.below(105) as u8);
        match fib.insert(prefix, next_hop(1)) {
            Ok(_) => drop(reference.routes.insert(prefix, next_hop(1))),
            Err(_) => is_full = true,
        }
        fib.reclaim(&quiescence);
    }
    // No scrap is left, either.
    while fib.units().free() > 0 {
        let prefix = around(random.address(), 32);
        if fib.insert(prefix, next_hop(2)).is_ok() {
            reference.routes.insert(prefix, next_hop(2));
        }
    }
    let routes: Vec<_> = reference.routes.keys().copied().collect();
    assert!(routes.len() > 50, "{}", routes.len());
    let (some, others) = routes.split_at(routes.len() / 2);
    for &prefix in some {
        assert_eq!(fib.remove(prefix), reference.routes.remove(&prefix));
        fib.reclaim(&quiescence);
        for address in routes.iter().copied().flat_map(borders) {
            assert_eq!(reader.lookup(address), reference.lookup(address));
        }
    }
    // Once the worker passes, what could not be made smaller is.
    for _ in 0..10 {
        workers[0].pass();
        fib.reclaim(&quiescence);
    }
    let mut afresh = writer(1000);
    for prefix in others {
        afresh.insert(*prefix, next_hop(1)).unwrap();
    }
    assert_eq!((fib.units().used, fib.units().retired), (afresh.units().used, 0));
    for &prefix in others {
        assert!(fib.remove(prefix).is_some());
    }
    assert_eq!(fib.units().used, 0);
}

#[test]
fn unit_is_reused_only_after_every_worker_has_passed() {
    // Two: one prefix, and its node made anew with another in it.
    let mut fib = writer_of(3, 10);
    let (quiescence, mut workers) = Quiescence::new(2);
    let used = |fib: &Fib6Writer<_>| (fib.units().used, fib.units().retired, fib.units().free());
    fib.insert(prefix("2001:db8::/48"), next_hop(1)).unwrap();
    assert_eq!(used(&fib), (1, 0, 2));
    fib.insert(prefix("2001:db8:1::/48"), next_hop(1)).unwrap();
    assert_eq!(used(&fib), (2, 1, 0));
    fib.remove(prefix("2001:db8::/48")).unwrap();
    assert_eq!(used(&fib), (2, 1, 0), "no room to make it smaller");

    let insert = |fib: &mut Fib6Writer<_>| fib.insert(prefix("3001::/48"), next_hop(2));
    assert_eq!(fib.reclaim(&quiescence), 0);
    workers[0].pass();
    assert_eq!(fib.reclaim(&quiescence), 0);
    let full = Err(Fib6Error::Exhausted {
        capacity: 3,
        retired: 1,
    });
    assert_eq!(insert(&mut fib), full);
    workers[1].pass();
    assert_eq!(fib.reclaim(&quiescence), 1);
    assert_eq!(used(&fib), (1, 2, 0), "it is smaller now");
    assert_eq!(fib.reclaim(&quiescence), 0);
    workers.iter_mut().for_each(|worker| worker.pass());
    assert_eq!(fib.reclaim(&quiescence), 2);
    assert_eq!(insert(&mut fib), Ok(None));
    assert_eq!(fib.reader().lookup(address("3001::1")), next_hop(2));
    assert_eq!(fib.reader().lookup(address("2001:db8:1::1")), next_hop(1));
}

#[test]
fn planned_memory_is_enough_for_prefixes_that_need_most() {
    // Sixteen hosts in each of 125 slots of the root table. They part in pairs, four times in the bits 20 to 43; from
    // there on each has a long edge.
    const ROUTES: usize = 2000;
    let (quiescence, _) = Quiescence::new(0);
    let mut fib = Fib6Writer::new(zeroed(words6(ROUTES)), ROUTES).unwrap();
    for host in 0..ROUTES as u128 {
        let parts = (0..4).fold(0, |parts, bit| parts | (host >> bit & 1) << (84 + bit * 6));
        let spread = host >> 4 << 108 | parts;
        fib.insert(around(spread, 128), next_hop(1)).unwrap();
        fib.reclaim(&quiescence);
    }
    assert_eq!(fib.len(), ROUTES);
    assert!(fib.units().used > ROUTES * 7 / 2, "{:?}", fib.units());
}
