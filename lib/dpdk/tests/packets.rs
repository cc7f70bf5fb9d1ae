//! Packets and bursts of them: every change is checked, and every packet goes back to its pool once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod runtime_directory;

use dpdk::{Chain, Eal, Mbuf, MbufBatch, MbufError, NumaNode, OffloadFlags, Pool, PoolError};

const ROOM: u16 = 256;

fn packet(pool: &Pool, bytes: &[u8]) -> Mbuf {
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(bytes).unwrap();
    mbuf
}

fn numbered<const N: usize>(pool: &Pool, numbers: std::ops::Range<u8>) -> MbufBatch<N> {
    let mut batch = MbufBatch::new();
    for number in numbers {
        batch.push(packet(pool, &[number])).unwrap();
    }
    batch
}

fn numbers<const N: usize>(batch: &MbufBatch<N>) -> Vec<u8> {
    batch.iter().map(|mbuf| mbuf.data()[0]).collect()
}

#[test]
fn packets_are_changed_within_bounds_and_freed_once() {
    let _directory = runtime_directory::temporary();
    let eal = Eal::init(&[
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
    ])
    .unwrap();
    let pool = Pool::new(&eal, "packets", 127, 8, Pool::HEADROOM + ROOM, NumaNode::ANY).unwrap();
    assert_eq!((pool.capacity(), pool.in_use()), (127, 0));

    a_fresh_packet_is_empty_and_of_no_port(&pool);
    bytes_come_and_go_at_both_ends(&pool);
    what_does_not_fit_changes_nothing(&pool);
    an_empty_pool_gives_none(&pool);
    a_long_packet_lies_in_several_segments(&pool);
    a_packet_that_the_pool_cannot_hold_is_refused(&pool);
    packets_are_allocated_in_bulk_or_not_at_all(&pool);
    a_batch_keeps_its_order(&pool);
    a_batch_is_split_and_joined(&pool);
    a_full_batch_gives_the_packet_back(&pool);
    packets_of_an_unfinished_drain_are_freed(&pool);
    another_thread_may_free_a_packet(&pool);
    pools_refuse_bad_names_and_sizes(&eal);

    assert_eq!(pool.in_use(), 0);
    drop(pool);
    eal.shutdown().unwrap();
}

fn a_fresh_packet_is_empty_and_of_no_port(pool: &Pool) {
    let mbuf = pool.alloc().unwrap();
    assert_eq!(pool.in_use(), 1);
    assert_eq!((mbuf.len(), mbuf.data(), mbuf.segment_count()), (0, &[][..], 1));
    assert_eq!(
        (mbuf.headroom(), mbuf.tailroom()),
        (usize::from(Pool::HEADROOM), usize::from(ROOM))
    );
    assert_eq!(mbuf.port(), None);
    assert_eq!(
        (mbuf.offload_flags(), mbuf.vlan_tci()),
        (OffloadFlags::empty(), None)
    );
    drop(mbuf);
    assert_eq!(pool.in_use(), 0);
}

fn a_long_packet_lies_in_several_segments(pool: &Pool) {
    let bytes: Vec<u8> = (0..1000).map(|at| (at % 251) as u8).collect();
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(&bytes[..10]).unwrap();
    mbuf.extend(pool, &bytes[10..]).unwrap();
    assert_eq!((mbuf.len(), usize::from(mbuf.segment_count())), (1000, 4));
    assert_eq!(pool.in_use(), 4);
    assert_eq!(mbuf.segments().collect::<Vec<_>>().concat(), bytes);
    let mut copy = [0; 2000];
    assert_eq!(mbuf.copy_to(&mut copy), 1000);
    assert_eq!(copy[..1000], bytes);
    assert_eq!(mbuf.copy_to(&mut copy[..300]), 300);
    let other: Vec<u8> = bytes.iter().rev().copied().collect();
    mbuf.overwrite(&other);
    assert_eq!(mbuf.segments().collect::<Vec<_>>().concat(), other);

    let mut batch = MbufBatch::<4>::new();
    batch.push(mbuf).unwrap();
    batch.push(packet(pool, b"short")).unwrap();
    let chains = Chain::of(&mut batch);
    let lengths: Vec<_> = chains
        .iter_mut()
        .map(|chain| (chain.first_mut().len(), chain.behind()))
        .collect();
    let first = usize::from(ROOM);
    assert_eq!(lengths, [(first, 1000 - first), (5, 0)]);
    batch.clear();
    assert_eq!(pool.in_use(), 0);
}

fn a_packet_that_the_pool_cannot_hold_is_refused(pool: &Pool) {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.extend(pool, &[1; 60_000]).is_err());
    drop(mbuf);
    assert_eq!(pool.in_use(), 0);
}

fn bytes_come_and_go_at_both_ends(pool: &Pool) {
    let mut mbuf = packet(pool, b"payload");
    mbuf.prepend(3).unwrap().copy_from_slice(b"ip ");
    mbuf.append(b" end").unwrap();
    assert_eq!(mbuf.data(), b"ip payload end");
    mbuf.trim_front(3).unwrap();
    mbuf.truncate(7);
    mbuf.truncate(100);
    mbuf.data_mut()[0] = b'P';
    assert_eq!((mbuf.data(), mbuf.len()), (&b"Payload"[..], 7));
    assert_eq!(mbuf.segments().collect::<Vec<_>>(), [b"Payload"]);
    mbuf.truncate(0);
    assert_eq!((mbuf.data(), mbuf.len()), (&[][..], 0));
    mbuf.append(b"inside").unwrap();
    mbuf.surround(4, 12).unwrap();
    mbuf.data_mut()[..4].copy_from_slice(b"head");
    mbuf.data_mut()[10..].copy_from_slice(b"ed");
    assert_eq!((mbuf.data(), mbuf.len()), (&b"headinsideed"[..], 12));
    mbuf.uncover(4, 6).unwrap();
    assert_eq!((mbuf.data(), mbuf.len()), (&b"inside"[..], 6));
}

fn what_does_not_fit_changes_nothing(pool: &Pool) {
    let mut mbuf = packet(pool, b"1234");
    let (headroom, room) = (mbuf.headroom(), usize::from(ROOM));
    assert_eq!(
        mbuf.append(&[0; ROOM as usize]),
        Err(MbufError::NoTailroom {
            needed: room,
            available: room - 4
        })
    );
    assert_eq!(
        mbuf.prepend(headroom + 1),
        Err(MbufError::NoHeadroom {
            needed: headroom + 1,
            available: headroom
        })
    );
    assert_eq!(
        mbuf.prepend(usize::MAX).map(|_| ()),
        Err(MbufError::NoHeadroom {
            needed: usize::MAX,
            available: headroom
        })
    );
    assert_eq!(
        mbuf.trim_front(5),
        Err(MbufError::TooShort {
            wanted: 5,
            available: 4
        })
    );
    assert_eq!(
        mbuf.surround(headroom + 1, 4),
        Err(MbufError::NoHeadroom {
            needed: headroom + 1,
            available: headroom
        })
    );
    assert_eq!(
        mbuf.surround(2, room + 3),
        Err(MbufError::NoTailroom {
            needed: room - 3,
            available: room - 4
        })
    );
    assert_eq!(
        mbuf.uncover(2, 3),
        Err(MbufError::TooShort {
            wanted: 5,
            available: 4
        })
    );
    assert_eq!((mbuf.data(), mbuf.headroom()), (&b"1234"[..], headroom));

    mbuf.append(&vec![b'x'; room - 4]).unwrap();
    mbuf.prepend(headroom).unwrap().fill(b'y');
    assert_eq!(
        (mbuf.len(), mbuf.headroom(), mbuf.tailroom()),
        (headroom + room, 0, 0)
    );
}

fn an_empty_pool_gives_none(pool: &Pool) {
    let mut all: Vec<Mbuf> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((all.len(), pool.in_use()), (127, 127));
    assert!(pool.alloc().is_none());
    all.pop();
    assert!(pool.alloc().is_some());
}

fn packets_are_allocated_in_bulk_or_not_at_all(pool: &Pool) {
    let mut batch = MbufBatch::<100>::new();
    assert_eq!(pool.alloc_batch(&mut batch, 60), 60);
    assert_eq!(pool.alloc_batch(&mut batch, 60), 40);
    assert_eq!((batch.len(), pool.in_use()), (100, 100));
    let mut more = MbufBatch::<100>::new();
    assert_eq!(pool.alloc_batch(&mut more, 100), 0);
    assert!(more.is_empty());
    batch.clear();
    assert_eq!(pool.in_use(), 0);
    assert_eq!(pool.alloc_batch(&mut more, 0), 0);
}

fn a_batch_keeps_its_order(pool: &Pool) {
    let mut batch: MbufBatch = numbered(pool, 0..20);
    batch.packet_mut(3)[0] = 33;
    assert_eq!(batch.packet(3), [33]);
    for data in batch.iter_mut().map(Mbuf::data_mut) {
        data[0] += 100;
    }
    let mut even = MbufBatch::<32>::new();
    let mut odd = MbufBatch::<32>::new();
    for (index, mbuf) in batch.drain().enumerate() {
        let to = if index % 2 == 0 { &mut even } else { &mut odd };
        to.push(mbuf).unwrap();
    }
    assert!(batch.is_empty());
    assert_eq!(numbers(&even), (100..120).step_by(2).collect::<Vec<u8>>());
    assert_eq!(numbers(&odd)[..3], [101, 133, 105]);
    assert_eq!(odd.pop().unwrap().data(), [119]);
    assert_eq!(pool.in_use(), 19);
}

fn a_batch_is_split_and_joined(pool: &Pool) {
    let mut batch: MbufBatch<16> = numbered(pool, 0..10);
    let mut tail = batch.split_off(6);
    assert_eq!(
        (numbers(&batch), numbers(&tail)),
        ((0..6).collect(), (6..10).collect())
    );
    assert!(batch.split_off(6).is_empty());
    assert!(batch.split_off(99).is_empty());

    let mut small: MbufBatch<8> = numbered(pool, 20..25);
    assert_eq!(small.append(&mut tail), 3);
    assert_eq!(
        (numbers(&small), numbers(&tail)),
        (vec![20, 21, 22, 23, 24, 6, 7, 8], vec![9])
    );
    assert_eq!(small.append(&mut tail), 0);
    assert_eq!(batch.append(&mut small), 8);
    assert_eq!(numbers(&batch), [0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 6, 7, 8]);
    assert_eq!(pool.in_use(), 15);
}

fn a_full_batch_gives_the_packet_back(pool: &Pool) {
    let mut batch: MbufBatch<4> = numbered(pool, 0..4);
    assert!(batch.is_full());
    let back = batch.push(packet(pool, b"back")).unwrap_err();
    assert_eq!(back.data(), b"back");
    assert_eq!((batch.len(), batch.room(), pool.in_use()), (4, 0, 5));
}

fn packets_of_an_unfinished_drain_are_freed(pool: &Pool) {
    let mut batch: MbufBatch<8> = numbered(pool, 0..8);
    let mut drain = batch.drain();
    let first = drain.next().unwrap();
    assert_eq!(drain.len(), 7);
    drop(drain);
    assert_eq!((first.data(), batch.len(), pool.in_use()), (&[0][..], 0, 1));
}

fn another_thread_may_free_a_packet(pool: &Pool) {
    let batch: MbufBatch = numbered(pool, 0..32);
    let mbuf = packet(pool, b"x");
    std::thread::spawn(move || drop((batch, mbuf))).join().unwrap();
    assert_eq!(pool.in_use(), 0);
}

fn pools_refuse_bad_names_and_sizes(eal: &Eal) {
    let make = |name: &str, count, cache| Pool::new(eal, name, count, cache, Pool::DATA_ROOM, NumaNode::ANY);
    assert!(matches!(make("packets", 15, 0), Err(PoolError::Exists { .. })));
    assert!(matches!(make("zero\0", 15, 0), Err(PoolError::Name { .. })));
    let too_large = make("large", 1_000_000, 0).unwrap_err().to_string();
    assert!(
        too_large.contains("1000000 mbufs") && too_large.contains("Cannot allocate memory"),
        "{too_large}"
    );
    let too_long = make(&"n".repeat(40), 15, 0).unwrap_err().to_string();
    assert!(too_long.contains("File name too long"), "{too_long}");
}
