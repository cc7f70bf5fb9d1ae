//! What one side writes, the other reads.

use std::path::PathBuf;

use super::*;
use crate::records::{ALERT_RULES, AlertRule, RouteKind, text};
use crate::sa_counters::SaCounts;
use crate::{IcmpCounter, ProcessId};
use zerocopy::FromZeros;

const CAPACITY: Capacity = Capacity {
    interfaces: 4,
    addresses: 8,
    routes4: 100,
    routes6: 100,
    neighbors: 10,
    next_hops: 4,
    workers: 2,
    pools: 2,
    sas: 4,
};

fn region() -> (tempfile::TempDir, PathBuf, TableWriter) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tg-test.tables");
    let writer = TableWriter::create(&path, None, &CAPACITY).unwrap();
    (directory, path, writer)
}

fn route(last: u8) -> Route4 {
    Route4 {
        prefix: [10, 0, last, 0],
        prefix_length: 24,
        kind: RouteKind::Blackhole as u8,
        ..Route4::new_zeroed()
    }
}

#[test]
fn a_reader_sees_what_was_published_and_only_then() {
    let (_directory, path, writer) = region();
    let mut routes = writer.routes4().unwrap();
    let slots: Vec<_> = (0..5).map(|last| routes.insert(&route(last)).unwrap()).collect();
    assert!(matches!(
        TableReader::open(&path),
        Err(OpenError::NotReady { .. })
    ));
    writer.publish();
    let reader = TableReader::open(&path).unwrap();
    assert_eq!(reader.writer(), ProcessId::current());
    routes.remove(slots[1]);
    routes.update(slots[2], &route(99));
    let seen: Vec<u8> = reader
        .routes4()
        .iter()
        .map(|(_, route)| route.prefix[2])
        .collect();
    assert_eq!(seen, [0, 99, 3, 4]);
}

#[test]
fn a_full_table_refuses_and_a_freed_slot_is_used_again() {
    let (_directory, _path, writer) = region();
    let mut routes = writer.routes4().unwrap();
    for last in 0..100 {
        routes.insert(&route(last)).unwrap();
    }
    assert_eq!(routes.insert(&route(100)), None);
    routes.remove(7);
    assert_eq!(routes.insert(&route(100)), Some(7));
    assert_eq!(routes.len(), 100);
}

#[test]
fn every_table_and_counter_block_has_one_writer() {
    let (_directory, _path, writer) = region();
    assert!(writer.interfaces().is_some());
    assert!(writer.interfaces().is_none());
    assert!(writer.counter_block(2).is_some());
    assert!(writer.counter_block(2).is_none());
    assert!(writer.counter_block(3).is_some(), "that of the taps");
    assert!(writer.counter_block(4).is_none());
}

#[test]
fn counters_of_all_writers_add_up() {
    let (_directory, path, writer) = region();
    writer.publish();
    for index in 0..3 {
        let block = writer.counter_block(index).unwrap();
        block.add(3, InterfaceCounter::RxPackets, 10);
        block.drop(3, DropReason::NoRoute, index as u64);
        block.add(4, InterfaceCounter::RxPackets, 1);
        block.set_worker(WorkerCounter::Loops, index as u64 * 100);
        block.set_worker(WorkerCounter::HandedOver, 7);
        block.set_icmp(IcmpCounter::ErrIn, index as u64 * 1000);
        block.set_icmp(IcmpCounter::SisoMiss, index as u64 + 1);
    }
    let reader = TableReader::open(&path).unwrap();
    let counters = reader.counters();
    assert_eq!(counters.interface(3, InterfaceCounter::RxPackets), 30);
    assert_eq!(counters.drops(3, DropReason::NoRoute), 3);
    assert_eq!(counters.interface(2, InterfaceCounter::RxPackets), 0);
    assert_eq!(counters.worker(1, WorkerCounter::Loops), 200);
    assert_eq!(counters.worker(1, WorkerCounter::HandedOver), 7);
    assert_eq!(counters.icmp(1, IcmpCounter::ErrIn), 2000);
    assert_eq!(counters.icmp(0, IcmpCounter::SisoMiss), 2);
}

#[test]
fn another_layout_is_refused_with_both_versions() {
    let (_directory, path, writer) = region();
    writer.publish();
    writer.shared.set(1, 0x1234);
    let message = TableReader::open(&path).err().unwrap().to_string();
    assert!(
        message.contains("0000000000001234") && message.contains(&format!("{LAYOUT_HASH:016x}")),
        "{message}"
    );
}

#[test]
fn a_file_that_is_no_region_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("garbage");
    for content in [vec![], vec![7; 8192]] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(
            TableReader::open(&path),
            Err(OpenError::NotReady { .. })
        ));
    }
}

#[test]
fn the_file_goes_with_its_writer() {
    let (_directory, path, writer) = region();
    assert!(path.exists());
    drop(writer);
    assert!(!path.exists());
}

#[test]
fn interfaces_keep_their_names() {
    let (_directory, path, writer) = region();
    writer.publish();
    let mut table = writer.interfaces().unwrap();
    table
        .insert(&Interface {
            name: text("wan"),
            ..Interface::new_zeroed()
        })
        .unwrap();
    let seen = TableReader::open(&path).unwrap().interfaces();
    assert_eq!(crate::records::from_text(&seen[0].1.name), "wan");
}

#[test]
fn a_region_whose_sections_go_beyond_it_is_refused() {
    let (directory, path, writer) = region();
    writer.publish();
    let good = std::fs::read(&path).unwrap();
    // First word, words per slot, slots of the first section; interfaces and writers of the counters.
    for word in [8, 9, 10, GEOMETRY, GEOMETRY + 1] {
        for value in [u64::MAX, u64::MAX >> 1, 1 << 40] {
            let mut bad = good.clone();
            bad[word * 8..][..8].copy_from_slice(&value.to_ne_bytes());
            let path = directory.path().join("bad.tables");
            std::fs::write(&path, bad).unwrap();
            let opened = TableReader::open(&path);
            assert!(
                matches!(opened, Err(OpenError::Damaged { .. })),
                "word {word}, {value:#x}"
            );
        }
    }
}

#[test]
fn req_ra_17_rules_lie_in_the_slots_of_their_numbers_and_a_change_is_told_by_one_word() {
    let (_directory, path, writer) = region();
    let mut rules = writer.alert_rules().unwrap();
    assert!(writer.alert_rules().is_none(), "handed out once");
    writer.publish();
    let reader = TableReader::open(&path).unwrap();
    let named = |name| AlertRule {
        name: text(name),
        ..AlertRule::new_zeroed()
    };
    let before = reader.alert_generation();
    let last = ALERT_RULES as u16 - 1;
    for (number, name) in [(3, "a"), (last, "b"), (last + 1, "beyond")] {
        rules.set(number, &named(name));
    }
    assert_eq!(reader.alert_generation(), before);
    rules.changed();
    assert_ne!(reader.alert_generation(), before);
    let expected = [(3, named("a")), (u32::from(last), named("b"))];
    assert_eq!(reader.alert_rules(), expected);
    rules.set(3, &named("c"));
    rules.clear(last);
    assert_eq!(reader.alert_rules(), [(3, named("c"))]);
}

#[test]
fn security_associations_have_their_selectors_and_counters_that_begin_at_zero() {
    let (_directory, path, writer) = region();
    let mut table = writer.sas().unwrap();
    assert!(writer.sas().is_none(), "handed out once");
    writer.publish();
    let reader = TableReader::open(&path).unwrap();
    let sa = |number| Sa {
        number,
        spi: 0x1000 + number as u32,
        ..Sa::new_zeroed()
    };
    let selector = |sa, place| SaSelector {
        sa,
        place,
        ..SaSelector::new_zeroed()
    };
    let first = table.insert(&sa(1), &[selector(1, 0), selector(1, 1)]).unwrap();
    let second = table.insert(&sa(2), &[selector(2, 0)]).unwrap();
    let cells = table.cells(&second).unwrap();
    cells.add(SaCounter::Packets, 2);
    cells.add(SaCounter::Packets, 3);
    cells.set(SaCounter::Sequence, 1 << 33);
    let counts = reader.sa_counts(second.slot);
    let of = SaCounter::ALL.iter().map(|counter| counts.get(*counter));
    assert_eq!(of.collect::<Vec<_>>(), [5, 0, 0, 1 << 33, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(reader.sa_counts(first.slot), SaCounts::default());
    assert_eq!(reader.sa_counts(u32::MAX), SaCounts::default());
    let of_first = table.cells(&first).unwrap();
    of_first.add(SaCounter::BadIcv, 1);
    cells.reset();
    assert_eq!(reader.sa_counts(second.slot), SaCounts::default());
    assert_eq!(reader.sa_counts(first.slot).get(SaCounter::BadIcv), 1);
    of_first.reset();
    cells.set(SaCounter::LastUsed, 7);

    let slot = second.slot;
    table.remove(second);
    assert_eq!(reader.sas(), [(first.slot, sa(1))]);
    let left: Vec<u64> = reader
        .sa_selectors()
        .iter()
        .map(|(_, record)| record.sa)
        .collect();
    assert_eq!(left, [1, 1]);
    let third = table.insert(&sa(3), &[]).unwrap();
    assert_eq!(third.slot, slot, "a freed slot is used again");
    assert_eq!(reader.sa_counts(slot), SaCounts::default());
    let later = Sa { state: 2, ..sa(1) };
    table.update(&first, &later);
    assert_eq!(reader.sas(), [(first.slot, later), (slot, sa(3))]);
}

#[test]
fn a_full_table_of_security_associations_takes_nothing_of_another() {
    let (_directory, path, writer) = region();
    let mut table = writer.sas().unwrap();
    writer.publish();
    let reader = TableReader::open(&path).unwrap();
    let (sas, selectors) = table.room();
    assert_eq!((sas, selectors), (CAPACITY.sas, 2 * CAPACITY.sas + SA_SELECTORS));
    let most = [SaSelector::new_zeroed(); SA_SELECTORS];
    let first = table.insert(&Sa::new_zeroed(), &most).unwrap();
    assert_eq!(table.insert(&Sa::new_zeroed(), &most), None);
    assert_eq!(table.room(), (sas - 1, selectors - SA_SELECTORS));
    for _ in 1..sas {
        table.insert(&Sa::new_zeroed(), &[]).unwrap();
    }
    assert_eq!(table.insert(&Sa::new_zeroed(), &[]), None);
    assert_eq!(reader.sas().len(), sas);
    table.remove(first);
    assert_eq!(table.room(), (1, selectors));
}
