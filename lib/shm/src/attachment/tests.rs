//! Both sides of an attachment in one process, on ordinary pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::ring::{Consumer, Producer};
use super::*;
use crate::{DropReason, PathStage};

mod deciding;

const CLOCK: Clock = Clock {
    ticks: 1000,
    time_ns: 1_795_220_000_000_000_000,
    tick_ns_32: 1 << 31,
};

fn attach(workers: usize, snaplen: usize) -> (Attachment, Vec<Lane>, ToolEnd) {
    let reservation = Reservation::new(64 * 1024, false).unwrap();
    let (attachment, lanes) = Attachment::new(reservation, workers, snaplen).unwrap().unwrap();
    attachment.set_clock(&CLOCK);
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    let tool = ToolEnd::open(packets, rings).unwrap();
    (attachment, lanes, tool)
}

fn origin(ticks: u64) -> Origin {
    Origin::new(ticks, 3, Way::Tx, 1500)
}

fn put(lane: &mut Lane, ticks: u64, packet: &[u8]) {
    lane.count_seen(1);
    lane.put(&origin(ticks), [packet].into_iter());
}

#[test]
fn a_packet_says_at_which_point_it_was_seen() {
    let (_attachment, mut lanes, mut tool) = attach(1, 64);
    let ways = Way::ALL;
    for way in ways {
        let origin = Origin { way, ..origin(1000) };
        lanes[0].put(&origin, [&[1; 60][..]].into_iter());
    }
    lanes[0].publish();
    let mut seen = Vec::new();
    tool.receive(&mut |packet| seen.push(packet.way)).unwrap();
    assert_eq!(seen, ways);
    let bits = ways.map(Way::bit);
    assert_eq!(bits.iter().fold(0, |all, bit| all | bit).count_ones(), 7);
}

#[test]
fn a_packet_says_what_is_known_of_it() {
    let (_attachment, mut lanes, mut tool) = attach(2, 64);
    let dropped = Some(Dropped::new(DropReason::TtlExpired, PathStage::Rewrite));
    let origins = [
        Origin {
            id: (1 << 48) - 1,
            queue: Some(0),
            ..origin(1)
        },
        Origin {
            way: Way::Drop,
            dropped,
            ..origin(2)
        },
        Origin {
            queue: Some(u16::MAX - 1),
            ..origin(3)
        },
    ];
    for origin in &origins {
        lanes[1].put(origin, [&[1; 60][..]].into_iter());
    }
    lanes[1].publish();
    let mut seen = Vec::new();
    tool.receive(&mut |packet| seen.push((packet.worker, packet.id, packet.queue, packet.dropped)))
        .unwrap();
    let expected = origins.map(|origin| (Some(1), origin.id, origin.queue, origin.dropped));
    assert_eq!(seen, expected);
    let Some(Dropped { reason, stage }) = dropped else {
        panic!()
    };
    assert_eq!(
        (
            DropReason::from_index(reason.into()),
            PathStage::from_index(stage.into())
        ),
        (Some(DropReason::TtlExpired), Some(PathStage::Rewrite))
    );
}

#[test]
fn the_packet_after_a_gap_says_how_many_were_lost_in_it() {
    let (attachment, mut lanes, mut tool) = attach(1, 1000);
    let slots = u64::from(attachment.slots());
    let lane = &mut lanes[0];
    for number in 0..slots + 3 {
        put(lane, number, b"x");
    }
    lane.count_unsampled();
    lane.publish();
    let mut lost = Vec::new();
    tool.receive(&mut |packet| lost.push(packet.lost_before)).unwrap();
    assert!(lost.iter().all(|lost| *lost == 0));
    lane.reclaim().unwrap();
    put(lane, 90, b"y");
    put(lane, 91, b"y");
    lane.publish();
    lost.clear();
    tool.receive(&mut |packet| lost.push(packet.lost_before)).unwrap();
    assert_eq!(lost, [3, 0]);
    let counts = tool.counts();
    assert_eq!((counts.lost, counts.unsampled, counts.matched), (3, 1, slots + 6));
}

/// Times and bytes of what the tool gets in one call.
fn received(tool: &mut ToolEnd) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    tool.receive(&mut |packet| all.push((packet.time_ns, packet.data.to_vec())))
        .unwrap();
    all
}

#[test]
fn a_packet_arrives_as_it_was_put_in_and_cut_at_the_snapshot_length() {
    let (attachment, mut lanes, mut tool) = attach(1, 96);
    lanes[0].count_seen(2);
    let parts: [&[u8]; 2] = [&[1; 60], &[2; 60]];
    lanes[0].put(&origin(1010), parts.into_iter());
    assert_eq!(received(&mut tool), [], "nothing is seen before it is published");
    lanes[0].publish();
    let mut packets = 0;
    tool.receive(&mut |packet| {
        packets += 1;
        assert_eq!(
            (packet.interface, packet.way, packet.wire_length),
            (3, Way::Tx, 1500)
        );
        assert_eq!(packet.time_ns, CLOCK.time_ns + 5);
        assert_eq!(packet.data, [[1; 60].as_slice(), &[2; 36]].concat());
    })
    .unwrap();
    assert_eq!(packets, 1);
    let counts = Counts {
        seen: 2,
        matched: 1,
        lost: 0,
        unsampled: 0,
        late: 0,
    };
    assert_eq!((attachment.counts(), tool.counts()), (counts, counts));
}

#[test]
fn what_finds_no_free_slot_is_lost_and_counted_until_the_tool_returns_some() {
    let (attachment, mut lanes, mut tool) = attach(1, 1000);
    let slots = u64::from(attachment.slots());
    for number in 0..slots + 5 {
        put(&mut lanes[0], number, &number.to_le_bytes());
    }
    lanes[0].publish();
    assert_eq!(attachment.counts().lost, 5);
    let first = received(&mut tool);
    assert_eq!(first.len() as u64, slots);
    assert_eq!(first[0].1, 0u64.to_le_bytes());
    lanes[0].reclaim().unwrap();
    put(&mut lanes[0], 7, b"again");
    lanes[0].publish();
    assert_eq!(received(&mut tool)[0].1, b"again");
    assert_eq!(attachment.counts().lost, 5);
}

#[test]
fn packets_of_several_workers_are_handed_out_by_their_time() {
    let (_attachment, mut lanes, mut tool) = attach(2, 64);
    for (lane, ticks) in [(0, 10), (1, 5), (0, 30), (1, 20)] {
        put(&mut lanes[lane], ticks, &[ticks as u8]);
    }
    lanes.iter_mut().for_each(Lane::publish);
    let order: Vec<u8> = received(&mut tool).iter().map(|(_, data)| data[0]).collect();
    assert_eq!(order, [5, 10, 20, 30]);
}

#[test]
fn threads_beside_the_workers_have_a_few_slots_and_are_no_worker() {
    let reservation = Reservation::new(64 * 1024, false).unwrap();
    let made = Attachment::within(reservation, 64 * 1024, 2, true, 64).unwrap();
    let (attachment, mut lanes) = made.unwrap();
    attachment.set_clock(&CLOCK);
    let descriptors = attachment.descriptors();
    let [packets, rings] = descriptors.map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    let mut tool = ToolEnd::open(packets, rings).unwrap();
    let [workers, others] = [&lanes[0], &lanes[2]].map(|lane| lane.free() as u64);
    assert_eq!(lanes.len(), 3);
    assert!((1..=workers / 3).contains(&others), "{others} beside {workers}");
    // Round and round, each slot full, and the last of them lies where there is memory.
    for round in 0..3u64 {
        put(&mut lanes[0], 2 * round, b"worker");
        for number in 0..=others {
            put(&mut lanes[2], 2 * round + 1, &number.to_le_bytes());
        }
        lanes.iter_mut().for_each(Lane::publish);
        let mut seen = Vec::new();
        while tool
            .receive(&mut |packet| seen.push((packet.worker, packet.data.to_vec())))
            .unwrap()
            > 0
        {}
        let expected: Vec<_> = (0..others)
            .map(|number| (None, number.to_le_bytes().to_vec()))
            .collect();
        assert_eq!(seen[0], (Some(0), b"worker".to_vec()));
        assert_eq!(seen[1..], expected);
        lanes[0].reclaim().unwrap();
        lanes[2].reclaim().unwrap();
    }
    assert_eq!(attachment.counts().lost, 3);
    assert!(!tool.has_ended());
    lanes[..2].iter_mut().for_each(Lane::end);
    assert!(!tool.has_ended(), "the other threads have not");
    lanes[2].end();
    assert!(tool.has_ended());
}

#[test]
fn slots_go_round_any_number_of_times() {
    let (attachment, mut lanes, mut tool) = attach(1, 64);
    for round in 0..10_000u64 {
        for _ in 0..=round % 3 {
            put(&mut lanes[0], 0, &round.to_le_bytes());
        }
        lanes[0].publish();
        let packets = received(&mut tool);
        assert_eq!(packets.len() as u64, round % 3 + 1);
        for (_, data) in packets {
            assert_eq!(data, round.to_le_bytes());
        }
        lanes[0].reclaim().unwrap();
    }
    assert_eq!(attachment.counts().lost, 0);
}

#[test]
fn a_tool_that_sleeps_is_woken_by_the_first_packet_and_by_the_end() {
    let (_attachment, mut lanes, mut tool) = attach(1, 64);
    let lane = &mut lanes[0];
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let begin = Instant::now();
            tool.wait(Duration::from_secs(60));
            let packets = received(&mut tool).len();
            tool.wait(Duration::from_secs(60));
            (packets, tool.has_ended(), begin.elapsed())
        });
        std::thread::sleep(Duration::from_millis(20));
        put(lane, 0, b"one");
        lane.publish();
        std::thread::sleep(Duration::from_millis(20));
        lane.end();
        let (packets, ended, time) = sleeper.join().unwrap();
        assert!(
            packets == 1 && ended && time < Duration::from_secs(50),
            "{time:?}"
        );
    });
}

#[test]
fn the_tool_can_neither_write_to_packets_nor_cut_the_memory_short() {
    let (attachment, _lanes, _tool) = attach(1, 64);
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| std::fs::File::from(descriptor.try_clone_to_owned().unwrap()));
    // SAFETY: the mapping is not made.
    assert!(memmap2::MmapOptions::new().map_raw(&packets).is_err());
    for file in [&packets, &rings] {
        assert!(file.set_len(0).is_err());
    }
    let punch =
        nix::fcntl::FallocateFlags::FALLOC_FL_PUNCH_HOLE | nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE;
    assert!(nix::fcntl::fallocate(&packets, punch, 0, 4096).is_err());
}

#[test]
fn memory_of_something_else_is_refused() {
    let other = || std::os::fd::OwnedFd::from(tempfile::tempfile().unwrap());
    assert!(ToolEnd::open(other(), other()).is_err());
    let (attachment, ..) = attach(1, 64);
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    assert!(matches!(ToolEnd::open(rings, packets), Err(OpenError::Layout)));
}

proptest! {
    #[test]
    fn whatever_a_tool_writes_the_worker_refuses_it_or_has_its_slots_back(
        writes in prop::collection::vec((0usize..200, any::<u32>()), 1..50),
    ) {
        let (attachment, mut lanes, _tool) = attach(1, 500);
        let rings = attachment.descriptors()[1].try_clone_to_owned().unwrap();
        let hostile = crate::mapping::Mapping::writable(
            &std::fs::File::from(rings),
            Geometry::fit(64 * 1024, 1, 500).unwrap().ring_bytes().next_multiple_of(4096),
        )
        .unwrap();
        let words = hostile.halves();
        let slots = attachment.slots();
        for (place, value) in writes {
            // The positions more often than the rest.
            let range = Geometry::fit(64 * 1024, 1, 500).unwrap().rings(0)[1].clone();
            words[range.start + place % range.len()].store(value, Ordering::Relaxed);
            words[range.start + ring::offset::PRODUCER / 4 + 1].store(value % (slots + 2), Ordering::Release);
            for _ in 0..slots {
                put(&mut lanes[0], 0, &[0; 500]);
            }
            lanes[0].publish();
            if lanes[0].reclaim().is_err() {
                return Ok(());
            }
        }
    }
}

#[test]
fn a_clock_reads_times_before_and_after_its_own() {
    // 2 GHz.
    let clock = Clock::between((1000, 1_000_000), (2_000_001_000, 1_001_000_000));
    assert_eq!(clock.time_ns(2_000_001_000), 1_001_000_000);
    assert_eq!(clock.time_ns(2_000_003_000), 1_001_001_000);
    assert_eq!(clock.time_ns(1000), 1_000_000);
}

#[test]
fn two_threads_pass_numbers_through_a_ring_in_order() {
    const CAPACITY: u32 = 100;
    let words: Arc<Vec<AtomicU32>> = Arc::new(
        (0..ring::bytes(CAPACITY) / 4)
            .map(|_| AtomicU32::new(0))
            .collect(),
    );
    ring::format(&words, "numbers", CAPACITY);
    let theirs = words.clone();
    let taken = Arc::new(AtomicU32::new(0));
    let seen = taken.clone();
    let consumer = std::thread::spawn(move || {
        let mut consumer = Consumer::new(CAPACITY);
        let mut next = 0;
        while next < 100_000 {
            for _ in 0..consumer.ready(&theirs).unwrap() {
                assert_eq!(consumer.take(&theirs), next);
                next += 1;
            }
            consumer.publish(&theirs);
            seen.store(next, Ordering::Release);
            std::thread::yield_now();
        }
    });
    let mut producer = Producer::new(CAPACITY);
    for number in 0..100_000 {
        while number - taken.load(Ordering::Acquire) >= CAPACITY {
            std::thread::yield_now();
        }
        producer.put(&words, number);
        producer.publish(&words);
    }
    consumer.join().unwrap();
}
