//! What is refused, and that nothing has changed then; when groups come back.

use std::sync::atomic::AtomicU32;

use crate::reference::{next_hop, prefix, writer};
use fib::{Fib4Writer, FibError, NextHop, Quiescence, Retired, TBL24_ENTRIES};

#[test]
fn host_bits_are_refused_with_the_prefix_that_was_meant() {
    let mut fib = writer(1, 10);
    let refused = fib.insert(prefix("10.1.2.3/24"), next_hop(1)).unwrap_err();
    assert_eq!(
        refused,
        FibError::HostBits {
            prefix: prefix("10.1.2.3/24")
        }
    );
    assert!(
        refused.to_string().contains("did you mean 10.1.2.0/24?"),
        "{refused}"
    );
    assert!(fib.is_empty() && fib.reader().lookup(0x0a01_0203) == NextHop::NONE);
    fib.insert(prefix("10.1.2.0/24"), next_hop(1)).unwrap();
    assert_eq!(
        (fib.get(prefix("10.1.2.3/24")), fib.remove(prefix("10.1.2.3/24"))),
        (None, None)
    );
}

#[test]
fn route_limit_counts_routes_not_changes() {
    let mut fib = writer(1, 2);
    fib.insert(prefix("10.0.0.0/8"), next_hop(1)).unwrap();
    fib.insert(prefix("11.0.0.0/8"), next_hop(1)).unwrap();
    assert_eq!(
        fib.insert(prefix("12.0.0.0/8"), next_hop(1)),
        Err(FibError::RouteLimit { limit: 2 })
    );
    assert_eq!(fib.reader().lookup(0x0c00_0000), NextHop::NONE);
    assert_eq!(
        fib.insert(prefix("11.0.0.0/8"), next_hop(2)),
        Ok(Some(next_hop(1)))
    );
    assert_eq!(fib.remove(prefix("10.0.0.0/8")), Some(next_hop(1)));
    assert_eq!(fib.insert(prefix("12.0.0.0/8"), next_hop(1)), Ok(None));
}

#[test]
fn exhausted_groups_refuse_a_new_one_and_change_nothing() {
    let mut fib = writer(1, 10);
    let reader = fib.reader();
    fib.insert(prefix("10.0.0.0/8"), next_hop(1)).unwrap();
    fib.insert(prefix("10.0.0.0/25"), next_hop(2)).unwrap();
    let refused = fib.insert(prefix("10.0.1.0/25"), next_hop(3));
    assert_eq!(
        refused,
        Err(FibError::Tbl8Exhausted {
            groups: 1,
            retired: 0
        })
    );
    assert_eq!((fib.len(), fib.get(prefix("10.0.1.0/25"))), (2, None));
    assert_eq!(reader.lookup(0x0a00_0100), next_hop(1));
    // The group that is there takes more.
    fib.insert(prefix("10.0.0.128/25"), next_hop(3)).unwrap();
    assert_eq!(reader.lookup(0x0a00_0080), next_hop(3));
}

#[test]
fn group_is_reused_only_after_every_worker_has_passed() {
    let mut fib = writer(1, 10);
    let (quiescence, mut workers) = Quiescence::new(2);
    fib.insert(prefix("10.0.0.0/32"), next_hop(1)).unwrap();
    fib.insert(prefix("10.0.0.1/32"), next_hop(1)).unwrap();
    fib.remove(prefix("10.0.0.0/32")).unwrap();
    assert_eq!(
        (fib.retired(), fib.free_groups()),
        (0, 0),
        "one prefix still lives in it"
    );
    fib.remove(prefix("10.0.0.1/32")).unwrap();
    assert_eq!((fib.retired(), fib.free_groups()), (1, 0));

    let insert = |fib: &mut Fib4Writer<_>| fib.insert(prefix("10.0.9.9/32"), next_hop(2));
    assert_eq!(fib.reclaim(&quiescence), 0);
    workers[0].pass();
    assert_eq!(fib.reclaim(&quiescence), 0);
    assert_eq!(
        insert(&mut fib),
        Err(FibError::Tbl8Exhausted {
            groups: 1,
            retired: 1
        })
    );
    workers[1].pass();
    assert_eq!(fib.reclaim(&quiescence), 1);
    assert_eq!((fib.retired(), fib.free_groups()), (0, 1));
    assert_eq!(insert(&mut fib), Ok(None));
    assert_eq!(fib.reader().lookup(0x0a00_0909), next_hop(2));
}

#[test]
fn prefix_longer_than_24_bits_takes_one_group_for_its_24() {
    let mut fib = writer(3, 1000);
    for last in 0..=255u8 {
        fib.insert(
            prefix(&format!("10.0.0.{last}/32")),
            next_hop(u32::from(last) + 1),
        )
        .unwrap();
    }
    fib.insert(prefix("10.0.1.0/25"), next_hop(1)).unwrap();
    assert_eq!(fib.free_groups(), 1);
    // All entries equal, and yet of routes that are there.
    fib.insert(prefix("10.0.1.128/25"), next_hop(1)).unwrap();
    assert_eq!((fib.free_groups(), fib.retired()), (1, 0));
}

#[test]
fn a_prefix_alone_in_its_16_takes_no_group() {
    let mut fib = writer(1, 1000);
    for second in 0..=255u8 {
        fib.insert(prefix(&format!("10.{second}.0.0/25")), next_hop(1))
            .unwrap();
    }
    assert_eq!(fib.free_groups(), 1);
    fib.insert(prefix("10.7.0.128/25"), next_hop(2)).unwrap();
    assert_eq!(fib.free_groups(), 0);
    // Two in one /16 need two groups, and the one that was there stays as it was.
    let refused = fib.insert(prefix("10.8.1.0/25"), next_hop(2));
    assert!(
        matches!(refused, Err(FibError::Tbl8Exhausted { .. })),
        "{refused:?}"
    );
    let reader = fib.reader();
    let lookups = [0x0a08_0000, 0x0a08_007f, 0x0a08_0080, 0x0a08_0100, 0x0a07_0080];
    let expected = [1, 1, 0, 0, 2].map(next_hop);
    assert_eq!(lookups.map(|address| reader.lookup(address)), expected);
    assert_eq!(fib.remove(prefix("10.8.0.0/25")), Some(next_hop(1)));
    assert_eq!(reader.lookup(0x0a08_0000), NextHop::NONE);
}

#[test]
fn a_prefix_that_flaps_beside_a_worker_that_hangs_is_never_refused() {
    let mut fib = writer(1, 10);
    let (quiescence, _hangs) = Quiescence::new(1);
    let reader = fib.reader();
    for round in 1..70_000 {
        fib.insert(prefix("10.1.0.0/24"), next_hop(round)).unwrap();
        assert_eq!(reader.lookup(0x0a01_0000), next_hop(round));
        fib.remove(prefix("10.1.0.0/24")).unwrap();
        assert_eq!(reader.lookup(0x0a01_0000), NextHop::NONE);
        assert_eq!(fib.reclaim(&quiescence), 0);
    }
}

#[test]
fn memory_of_the_wrong_size_is_refused_and_old_contents_are_cleared() {
    let memory =
        |entries: usize, value| -> Vec<AtomicU32> { (0..entries).map(|_| AtomicU32::new(value)).collect() };
    let refused = Fib4Writer::new(memory(10, 0), memory(256, 0), 1).err();
    assert_eq!(refused, Some(FibError::Tbl24Length { got: 10 }));
    let refused = Fib4Writer::new(memory(TBL24_ENTRIES, 0), memory(257, 0), 1).err();
    assert_eq!(refused, Some(FibError::Tbl8Length { got: 257 }));
    let dirty = Fib4Writer::new(memory(TBL24_ENTRIES, 0x8000_0005), memory(256, 0x1234_5678), 1);
    let mut fib = dirty.unwrap();
    let reader = fib.reader();
    assert!(
        [0, 0x0a00_0001, u32::MAX]
            .iter()
            .all(|&address| reader.lookup(address) == NextHop::NONE)
    );
    fib.insert(prefix("10.0.0.1/32"), next_hop(1)).unwrap();
    assert_eq!(
        (reader.lookup(0x0a00_0001), reader.lookup(0x0a00_0002)),
        (next_hop(1), NextHop::NONE)
    );
}

#[test]
fn retired_items_come_back_in_order_and_batch_by_batch() {
    let (quiescence, mut workers) = Quiescence::new(1);
    let mut slots = Retired::new();
    let mut free = Vec::new();
    slots.push(1);
    slots.push(2);
    assert_eq!(slots.reclaim(&quiescence, |slot| free.push(slot)), 0);
    slots.push(3);
    workers[0].pass();
    assert_eq!(
        slots.reclaim(&quiescence, |slot| free.push(slot)),
        2,
        "3 came after the ticket that passed"
    );
    assert_eq!(slots.len(), 1);
    workers[0].pass();
    assert_eq!(slots.reclaim(&quiescence, |slot| free.push(slot)), 1);
    assert_eq!((free, slots.is_empty()), (vec![1, 2, 3], true));
    slots.push(4);
    let asleep = workers[0].offline();
    assert_eq!(slots.reclaim(&quiescence, |slot| assert_eq!(slot, 4)), 1);
    asleep.online();
}
