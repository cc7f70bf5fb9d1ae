//! What threads share: rings of values and of packets, slices in hugepages, functions on lcores.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod runtime_directory;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use dpdk::ring::{self, Arrivals, RingError};
use dpdk::{Eal, HugeSlice, LaunchError, LcoreId, MbufBatch, NumaNode, Pool, pause, tsc, tsc_hz};

#[derive(Clone, Copy, PartialEq, Debug)]
struct Event {
    source: u32,
    number: u64,
}

#[test]
fn threads_share_values_and_packets() {
    let _directory = runtime_directory::temporary();
    // Two worker lcores on the first CPU, so that any machine will do.
    let args = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "--lcores",
        "0@0,3@0,5@0",
    ];
    let eal = Eal::init(&args).unwrap();
    let pool = Pool::new(&eal, "threads", 255, 0, Pool::DATA_ROOM, NumaNode::ANY).unwrap();
    assert_eq!(eal.version(), dpdk::DPDK_VERSION);
    assert_eq!(eal.lcores(), [LcoreId::new(3), LcoreId::new(5)]);
    assert_eq!(eal.main_lcore(), LcoreId::new(0));
    assert_eq!(eal.numa_of_lcore(LcoreId::new(77)), NumaNode::ANY);

    a_ring_takes_what_fits_and_keeps_the_order(&eal);
    several_producers_lose_nothing(&eal);
    rings_refuse_bad_names_and_sizes(&eal);
    packets_change_owner_through_a_ring(&eal, &pool);
    what_is_put_into_one_of_several_rings_is_noted(&eal, &pool);
    a_ring_frees_what_is_left_in_it(&eal, &pool);
    a_slice_is_zero_and_aligned(&eal);
    an_lcore_runs_one_function_at_a_time(&eal);
    the_cycle_counter_runs();

    drop(pool);
    eal.shutdown().unwrap();
}

fn a_ring_takes_what_fits_and_keeps_the_order(eal: &Eal) {
    let (mut producer, mut consumer) = ring::spsc::<u64>(eal, "values", 100).unwrap();
    assert_eq!((producer.free_count(), consumer.is_empty()), (100, true));
    let values: Vec<u64> = (0..120).collect();
    assert_eq!(producer.enqueue(&values), 100);
    assert_eq!(producer.enqueue(&values), 0);
    let mut taken = [u64::MAX; 64];
    assert_eq!(consumer.dequeue(&mut taken), 64);
    assert_eq!(taken[..], values[..64]);
    assert_eq!(
        (consumer.len(), producer.len(), producer.free_count()),
        (36, 36, 64)
    );
    assert_eq!(consumer.dequeue(&mut taken), 36);
    assert_eq!(taken[..36], values[64..100]);
    assert_eq!(consumer.dequeue(&mut taken), 0);
}

fn several_producers_lose_nothing(eal: &Eal) {
    const EACH: u64 = 20_000;
    let (producer, mut consumer) = ring::mpsc::<Event>(eal, "events", 64).unwrap();
    let lcores = eal.lcores();
    let handles: Vec<_> = lcores
        .iter()
        .map(|&lcore| {
            let mut producer = producer.clone();
            let work = move || {
                for number in 0..EACH {
                    let event = Event {
                        source: u32::from(lcore.number()),
                        number,
                    };
                    while producer.enqueue(&[event]) == 0 {
                        std::thread::yield_now();
                    }
                }
            };
            eal.launch(lcore, work).unwrap()
        })
        .collect();
    let mut next = std::collections::BTreeMap::new();
    let mut events = [Event { source: 0, number: 0 }; 32];
    while next.values().sum::<u64>() < EACH * lcores.len() as u64 {
        let count = consumer.dequeue(&mut events);
        for event in &events[..count] {
            let expected = next.entry(event.source).or_insert(0);
            assert_eq!(event.number, *expected);
            *expected += 1;
        }
        if count == 0 {
            std::thread::yield_now();
        }
    }
    handles.into_iter().for_each(dpdk::LcoreHandle::join);
    assert_eq!(next.into_iter().collect::<Vec<_>>(), [(3, EACH), (5, EACH)]);
}

fn rings_refuse_bad_names_and_sizes(eal: &Eal) {
    let (_producer, _consumer) = ring::spsc::<u32>(eal, "twice", 8).unwrap();
    assert!(matches!(
        ring::spsc::<u32>(eal, "twice", 8),
        Err(RingError::Exists { .. })
    ));
    assert!(matches!(
        ring::mbufs(eal, "zero\0", 8),
        Err(RingError::Name { .. })
    ));
    let too_large = ring::mpsc::<u64>(eal, "large", 100_000_000)
        .unwrap_err()
        .to_string();
    assert!(too_large.contains("100000000 elements"), "{too_large}");
}

fn packets_change_owner_through_a_ring(eal: &Eal, pool: &Pool) {
    let (mut producer, mut consumer) = ring::mbufs(eal, "packets", 20).unwrap();
    let mut batch = MbufBatch::<32>::new();
    assert_eq!(pool.alloc_batch(&mut batch, 32), 32);
    for (number, mbuf) in batch.iter_mut().enumerate() {
        mbuf.append(&[number as u8]).unwrap();
    }
    assert_eq!(producer.enqueue(&mut batch), 20);
    assert_eq!(
        batch.iter().map(|mbuf| mbuf.data()[0]).collect::<Vec<_>>(),
        (20..32).collect::<Vec<_>>()
    );
    assert_eq!(
        (producer.len(), producer.free_count(), producer.is_empty()),
        (20, 0, false)
    );

    let work = move || {
        let mut taken = MbufBatch::<16>::new();
        let first = consumer.dequeue(&mut taken);
        let none = consumer.dequeue(&mut taken);
        (first, none, taken, consumer)
    };
    let (first, none, mut taken, mut consumer) = eal.launch(eal.lcores()[0], work).unwrap().join();
    assert_eq!((first, none), (16, 0));
    assert_eq!(
        taken.iter().map(|mbuf| mbuf.data()[0]).collect::<Vec<_>>(),
        (0..16).collect::<Vec<_>>()
    );
    assert_eq!(pool.in_use(), 32);
    taken.clear();
    assert_eq!(
        (
            consumer.dequeue(&mut taken),
            consumer.is_empty(),
            consumer.free_count()
        ),
        (4, true, 20)
    );
    drop((batch, taken));
    assert_eq!(pool.in_use(), 0);
}

fn what_is_put_into_one_of_several_rings_is_noted(eal: &Eal, pool: &Pool) {
    const EACH: usize = 20_000;
    let arrivals = Arrivals::default();
    assert!(!arrivals.take());
    let mut consumers = Vec::new();
    let mut producers = Vec::new();
    for name in ["first", "second"] {
        let (producer, consumer) = ring::mbufs(eal, name, 20).unwrap();
        producers.push(producer.noting(&arrivals));
        consumers.push(consumer);
    }
    std::thread::scope(|scope| {
        for mut producer in producers {
            scope.spawn(move || {
                let mut batch = MbufBatch::<7>::new();
                let mut left = EACH;
                while left > 0 || !batch.is_empty() {
                    left -= pool.alloc_batch(&mut batch, left.min(7));
                    if producer.enqueue(&mut batch) == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut taken = 0;
        let mut batch = MbufBatch::<16>::new();
        // Looks into no ring unless it was noted that there is something: a lost note would leave packets there for ever.
        while taken < 2 * EACH {
            if !arrivals.take() {
                std::thread::yield_now();
                continue;
            }
            for consumer in &mut consumers {
                taken += consumer.dequeue(&mut batch);
                batch.clear();
                if !consumer.is_empty() {
                    arrivals.note();
                }
            }
        }
    });
    assert!(!arrivals.take() || consumers.iter().all(ring::MbufConsumer::is_empty));
    assert_eq!(pool.in_use(), 0);
}

fn a_ring_frees_what_is_left_in_it(eal: &Eal, pool: &Pool) {
    let (mut producer, consumer) = ring::mbufs(eal, "left", 200).unwrap();
    let mut batch = MbufBatch::<100>::new();
    pool.alloc_batch(&mut batch, 100);
    assert_eq!((producer.enqueue(&mut batch), pool.in_use()), (100, 100));
    drop(consumer);
    assert_eq!(pool.in_use(), 0);
    pool.alloc_batch(&mut batch, 100);
    assert_eq!((producer.enqueue(&mut batch), pool.in_use()), (100, 100));
    drop(producer);
    assert_eq!(pool.in_use(), 0);
    ring::mbufs(eal, "left", 200).unwrap();
}

fn a_slice_is_zero_and_aligned(eal: &Eal) {
    for round in 0..2 {
        let bytes = HugeSlice::<AtomicU8>::new(eal, 3, NumaNode::ANY).unwrap();
        let words = HugeSlice::<AtomicU32>::new(eal, 100_000, NumaNode::ANY).unwrap();
        let longs = HugeSlice::<AtomicU64>::new(eal, 0, NumaNode::ANY).unwrap();
        assert_eq!((bytes.len(), words.len(), longs.len()), (3, 100_000, 0));
        assert!(
            words.iter().all(|word| word.load(Ordering::Relaxed) == 0),
            "round {round}"
        );
        assert!(words.as_ptr().addr().is_multiple_of(64) && bytes.as_ptr().addr().is_multiple_of(64));
        words
            .iter()
            .for_each(|word| word.store(u32::MAX, Ordering::Relaxed));
    }
    let too_large = HugeSlice::<AtomicU64>::new(eal, usize::MAX, NumaNode::ANY).unwrap_err();
    assert_eq!(too_large.bytes, usize::MAX);
    assert!(HugeSlice::<AtomicU64>::new(eal, 1 << 30, NumaNode::ANY).is_err());
}

fn an_lcore_runs_one_function_at_a_time(eal: &Eal) {
    let lcore = eal.lcores()[1];
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let handle = eal
        .launch(lcore, move || wait.recv().map(|()| "done").unwrap())
        .unwrap();
    assert_eq!(handle.lcore(), lcore);
    assert_eq!(eal.launch(lcore, || ()).unwrap_err(), LaunchError::Busy { lcore });
    go.send(()).unwrap();
    assert_eq!(handle.join(), "done");
    eal.launch(lcore, || ()).unwrap().join();

    for lcore in [eal.main_lcore(), LcoreId::new(1), LcoreId::new(u16::MAX)] {
        assert_eq!(
            eal.launch(lcore, || ()).unwrap_err(),
            LaunchError::NotAWorker { lcore }
        );
    }
}

fn the_cycle_counter_runs() {
    let start = tsc();
    pause();
    assert!(tsc() > start);
    assert!(tsc_hz() > 1_000_000);
}
