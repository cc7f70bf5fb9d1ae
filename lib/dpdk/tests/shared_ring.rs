//! The rings that `lib/shm` lays out for tools are DPDK's: either side can be rte_ring's own code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use shm::attachment::ring::{self, Consumer, Producer, offset};

/// Memory for a ring, aligned as DPDK wants it.
#[repr(C, align(64))]
struct Memory([AtomicU32; 1024]);

const CAPACITY: u32 = 100;

fn memory() -> Box<Memory> {
    Box::new(Memory([const { AtomicU32::new(0) }; 1024]))
}

fn rte_ring(memory: &Memory) -> *mut dpdk_sys::rte_ring {
    ptr::from_ref(memory).cast_mut().cast()
}

#[test]
fn fields_lie_where_dpdk_has_them() {
    for (ours, theirs) in [
        (ring::HEADER_BYTES, dpdk_sys::SHIM_RING_BYTES),
        (offset::FLAGS, dpdk_sys::SHIM_RING_FLAGS),
        (offset::SIZE, dpdk_sys::SHIM_RING_SIZE),
        (offset::MASK, dpdk_sys::SHIM_RING_MASK),
        (offset::CAPACITY, dpdk_sys::SHIM_RING_CAPACITY),
        (offset::PRODUCER, dpdk_sys::SHIM_RING_PRODUCER),
        (offset::CONSUMER, dpdk_sys::SHIM_RING_CONSUMER),
    ] {
        assert_eq!(ours, theirs as usize);
    }
}

#[test]
fn a_new_ring_is_what_rte_ring_init_makes() {
    let (ours, theirs) = (memory(), memory());
    ring::format(&ours.0, "filled", CAPACITY);
    let flags = dpdk_sys::SHIM_RING_F_SP_ENQ | dpdk_sys::SHIM_RING_F_SC_DEQ | dpdk_sys::SHIM_RING_F_EXACT_SZ;
    // SAFETY: the memory is aligned and larger than a ring of that many elements of four bytes, or of eight.
    let done = unsafe { dpdk_sys::rte_ring_init(rte_ring(&theirs), c"filled".as_ptr(), CAPACITY, flags) };
    assert_eq!(done, 0);
    for (index, (ours, theirs)) in ours.0.iter().zip(&theirs.0).enumerate() {
        assert_eq!(
            ours.load(Ordering::Relaxed),
            theirs.load(Ordering::Relaxed),
            "word {index}"
        );
    }
}

#[test]
fn either_end_can_be_dpdks() {
    let memory = memory();
    ring::format(&memory.0, "filled", CAPACITY);
    let mut producer = Producer::new(CAPACITY);
    let (mut next, mut expected) = (0u32, 0u32);
    for round in 0..50 {
        for _ in 0..round {
            producer.put(&memory.0, next);
            next += 1;
        }
        producer.publish(&memory.0);
        let mut taken = [0u32; 64];
        // SAFETY: it is a ring of elements of four bytes, and this is its only consumer.
        let count = unsafe {
            dpdk_sys::rte_ring_dequeue_burst_elem(
                rte_ring(&memory),
                taken.as_mut_ptr().cast::<c_void>(),
                4,
                64,
                ptr::null_mut(),
            )
        };
        assert_eq!(count, round);
        for element in &taken[..count as usize] {
            assert_eq!(*element, expected);
            expected += 1;
        }
    }

    let memory = self::memory();
    ring::format(&memory.0, "returned", CAPACITY);
    let mut consumer = Consumer::new(CAPACITY);
    for round in 0..50u32 {
        let given: Vec<u32> = (0..round).map(|number| round * 100 + number).collect();
        // SAFETY: it is a ring of elements of four bytes, and this is its only producer.
        let count = unsafe {
            dpdk_sys::rte_ring_enqueue_burst_elem(
                rte_ring(&memory),
                given.as_ptr().cast::<c_void>(),
                4,
                round,
                ptr::null_mut(),
            )
        };
        assert_eq!(count, round);
        assert_eq!(consumer.ready(&memory.0), Ok(round));
        let taken: Vec<u32> = given.iter().map(|_| consumer.take(&memory.0)).collect();
        assert_eq!(taken, given);
        consumer.publish(&memory.0);
    }
}
