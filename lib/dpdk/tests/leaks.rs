//! The leak detector: EAL is not shut down under anything that uses it, and its memory stays usable.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod runtime_directory;

use std::sync::atomic::{AtomicU64, Ordering};

use dpdk::{Eal, HandleKind, HugeSlice, NumaNode, Pool, PoolInUse, Port, ShutdownError, ring};

#[test]
fn shutdown_names_what_is_still_in_use() {
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
    let pool = Pool::new(&eal, "leaky", 15, 0, Pool::DATA_ROOM, NumaNode::ANY).unwrap();
    let dropped = Pool::new(&eal, "dropped", 15, 0, Pool::DATA_ROOM, NumaNode::ANY).unwrap();
    let mut mbuf = pool.alloc().unwrap();
    std::mem::forget(dropped.alloc());
    std::mem::forget(dropped.alloc());
    drop(dropped);
    let port = Port::probe(&eal, "net_null0").unwrap();
    let slice = HugeSlice::<AtomicU64>::new(&eal, 8, NumaNode::ANY).unwrap();
    let (mut producer, mut consumer) = ring::spsc::<u32>(&eal, "ring", 8).unwrap();

    let error = eal.shutdown().unwrap_err();
    assert_eq!(
        error.to_string(),
        "DPDK is not shut down because it is still in use: 1 port, 1 pool, 1 ring, 1 hugepage slice, \
         1 mbuf of pool leaky, 2 mbufs of pool dropped"
    );
    let ShutdownError::InUse { in_use } = error else {
        panic!("{error}")
    };
    assert_eq!(in_use.handles[0], (HandleKind::Port, 1));
    let mbufs = |pool: &str, count| PoolInUse {
        pool: pool.to_owned(),
        count,
        keeper: None,
    };
    assert_eq!(in_use.mbufs, [mbufs("leaky", 1), mbufs("dropped", 2)]);
    assert!(in_use.is_leak());

    mbuf.append(b"still there").unwrap();
    slice[7].store(7, Ordering::Relaxed);
    assert_eq!(producer.enqueue(&[1, 2]), 2);
    assert_eq!(consumer.dequeue(&mut [0; 4]), 2);
    assert_eq!(pool.in_use(), 1);
    drop((mbuf, port));
    assert_eq!(pool.in_use(), 0);
}
