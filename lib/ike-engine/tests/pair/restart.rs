//! Processes that are killed, and take up what they have written down.

use ike_engine::{Event, IV_SKIP, Path, RestoreError, Settings, StartAction, Time};
use ikev2::wire::IkeSpi;

use crate::profiles::{LEFT, OUTSIDE, RIGHT, child, ike, ip, profile, seconds};
use crate::world::{Kill, World, engine};

/// Both ends established, with what an operator or time makes them do next.
fn world() -> World {
    World::of(|end, profile| profile.children.push(child(end as u8, 1)))
        .keep()
        .established()
}

pub(crate) fn kill(world: &mut World, end: usize, how: Kill, later: u64) {
    world.ends[end].kept.kill = Some((how, world.now + later));
    // Whatever is called next.
    world.call(end, |engine, now| engine.timeout(now));
}

#[test]
fn an_ike_sa_is_taken_up_where_it_was_and_no_packet_is_lost() {
    let mut world = world();
    world.run(100);
    let before: Vec<_> = world.ikes(0);
    for end in [0, 1, 0] {
        kill(&mut world, end, Kill::Doing(0), 500);
        assert!(world.ends[end].dead);
        world.run(1000);
    }
    // The same SPIs, children, selectors, peer and age.
    let after: Vec<_> = world.ikes(0);
    assert_eq!(after.len(), 1);
    assert_eq!(
        (after[0].spis, &after[0].children, &after[0].peer),
        (before[0].spis, &before[0].children, &before[0].peer)
    );
    assert!(after[0].age.unwrap() - before[0].age.unwrap() >= seconds(2));
    // And it goes on: message ids, keys and IVs are right.
    for end in [0, 1] {
        world
            .call(end, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(500);
        world
            .call(end, |engine, now| engine.rekey_ike(now, "pr1"))
            .unwrap();
        world.run(500);
    }
    assert_eq!(world.counts(), (1, 2));
    assert_eq!(world.packets_lost, 0);
    assert!(world.packets > 10_000);
    // Nobody has been told that it was gone.
    for end in &world.ends {
        assert!(
            !end.events
                .iter()
                .any(|event| matches!(event, Event::IkeDown { .. } | Event::ChildFailed { .. }))
        );
    }
}

/// Kills an end in its calls, one after the other, while something is done at an end, and sees that both agree afterwards.
fn killed_while(what: impl Fn(&mut World, usize)) -> u64 {
    let mut kills = 0;
    for (end, by) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for skip in 0..6 {
            for how in [
                Kill::Writing(0),
                Kill::Writing(50),
                Kill::Doing(0),
                Kill::Doing(1),
                Kill::Doing(2),
                Kill::Doing(4),
            ] {
                let mut world = world();
                world.ends[end].kept.skip = skip;
                world.ends[end].kept.kill = Some((how, world.now + 40));
                what(&mut world, by);
                world.run(2500);
                world.ends[end].kept.kill = None;
                world.traffic = false;
                if world.ends[end].kept.kills == 0 {
                    continue;
                }
                kills += 1;
                world.run(100_000);
                assert_eq!(
                    world.packets_lost,
                    0,
                    "end {end} in call {skip} {how:?}: {}",
                    world.show()
                );
                assert_eq!(world.counts().0, 1, "end {end} in call {skip} {how:?}");
                assert_eq!(world.counts().1, 2, "end {end} in call {skip} {how:?}");
            }
        }
    }
    kills
}

#[test]
fn killed_at_any_step_of_a_rekeying_of_children() {
    let kills = killed_while(|world, by| {
        world
            .call(by, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
    });
    assert!(kills > 100, "{kills}");
}

#[test]
fn killed_at_any_step_of_a_rekeying_of_the_ike_sa() {
    let kills = killed_while(|world, by| {
        world
            .call(by, |engine, now| engine.rekey_ike(now, "pr1"))
            .unwrap();
    });
    assert!(kills > 50, "{kills}");
}

#[test]
fn killed_at_any_step_of_rekeyings_that_cross() {
    let kills = killed_while(|world, _| {
        for end in 0..2 {
            world
                .call(end, |engine, now| engine.rekey_children(now, "pr1"))
                .unwrap();
        }
    });
    assert!(kills > 100, "{kills}");
}

#[test]
fn killed_at_any_step_of_a_negotiation_both_ends_end_clean() {
    for end in 0..2 {
        for skip in 0..4 {
            for how in [
                Kill::Writing(0),
                Kill::Writing(60),
                Kill::Doing(0),
                Kill::Doing(3),
            ] {
                let mut world = World::of(|end, profile| {
                    if end == 0 {
                        profile.start = StartAction::Start;
                    }
                })
                .keep();
                world.ends[end].kept.skip = skip;
                world.ends[end].kept.kill = Some((how, 30));
                world.run(120_000);
                assert_eq!(
                    world.counts(),
                    (1, 1),
                    "end {end} in call {skip} {how:?}: {}",
                    world.show()
                );
            }
        }
    }
}

#[test]
fn what_was_terminated_or_waits_is_so_afterwards() {
    let start = |end: usize, profile: &mut ike_engine::Profile| {
        if end == 0 {
            profile.start = StartAction::Start;
        }
    };
    let mut world = World::of(start).keep();
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    // One that is up is not begun once more.
    kill(&mut world, 0, Kill::Doing(0), 10);
    world.run(60_000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.ends[0].engine.counters().inits.0, 0);
    world.call(0, |engine, now| engine.terminate(now, "pr1")).unwrap();
    world.run(1000);
    kill(&mut world, 0, Kill::Doing(0), 10);
    world.run(60_000);
    assert_eq!(world.counts(), (0, 0));
    // Until somebody wants it.
    world.initiate(0);
    world.run(1000);
    kill(&mut world, 0, Kill::Doing(0), 10);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));

    // Back-off goes on where it was.
    let mut world = World::of(start).keep();
    world.ends[1].dead = true;
    world.run(300_000);
    let begun = |world: &World| world.ends[0].sent.len();
    let before = begun(&world);
    for _ in 0..20 {
        kill(&mut world, 0, Kill::Doing(0), 10);
        world.run(20);
    }
    assert!(
        begun(&world) - before <= 20 + 8,
        "{} times",
        begun(&world) - before
    );
}

#[test]
fn an_answer_that_was_not_sent_is_sent_from_memory() {
    let mut world = world();
    world.ends[1].kept.kill = Some((Kill::Doing(0), world.now + 100));
    world.call(0, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
    world.run(5000);
    assert_eq!(world.counts(), (1, 2));
    assert_eq!(world.ends[1].engine.counters().repeated_answers, 1);
    assert_eq!(world.ends[0].engine.counters().retransmissions, 1);
}

#[test]
fn packets_that_are_on_their_way_are_taken_by_one_who_was_killed_meanwhile() {
    for (end, later) in [(0, 0), (1, 0), (0, 300), (1, 300)] {
        let mut world = world();
        world.packet_delay = 500;
        world.run(1000);
        world
            .call(0, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(100);
        // The old ones linger at both ends, and go in time.
        assert_eq!(world.ends[end].plane.inbound.len(), 4);
        kill(&mut world, end, Kill::Doing(9), later);
        world.run(2000);
        assert_eq!(world.ends[end].plane.inbound.len(), 4);
        world.run(2000);
        assert_eq!(world.ends[end].plane.inbound.len(), 2);
        assert_eq!(world.packets_lost, 0, "end {end}");
        assert_eq!(world.counts(), (1, 2));
    }
}

#[test]
fn ivs_go_on_far_behind_those_that_were_written_down() {
    let mut world = world();
    let iv = |message: &[u8]| u64::from_be_bytes(message[32..40].try_into().unwrap());
    let last = iv(&world.ends[0].sent.last().unwrap().2);
    assert!(last < 10);
    for times in 1..4 {
        kill(&mut world, 0, Kill::Doing(0), 10);
        world.run(20);
        world
            .call(0, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        let next = iv(&world.ends[0].sent.last().unwrap().2);
        assert!(
            (times * IV_SKIP..times * IV_SKIP + 40).contains(&next),
            "{next:x}"
        );
        world.run(1000);
    }
}

#[test]
fn nothing_is_written_down_for_what_changes_nothing() {
    let mut world = World::plain();
    world.initiate(0);
    world.run(1000);
    let [left, right] = [(ip(LEFT), 500).into(), (ip(RIGHT), 500).into()];
    let sent: Vec<(Path, Vec<u8>)> = world.ends[0]
        .sent
        .iter()
        .map(|(_, path, bytes)| (*path, bytes.clone()))
        .collect();
    let now = world.time();
    let engine = &mut world.ends[1].engine;
    assert!(engine.changes().is_some());
    assert!(engine.changes().is_none());
    // Repeated, forged, of strangers.
    for (_, mut message) in sent {
        engine.handle(now, right, left, &message);
        assert!(engine.changes().is_none());
        let end = message.len() - 1;
        message[end] ^= 1;
        engine.handle(now, right, (ip(OUTSIDE), 500).into(), &message);
        assert!(engine.changes().is_none());
    }
    // A snapshot stands for all.
    let snapshot = engine.snapshot();
    assert!(engine.changes().is_none());
    let per_ike = snapshot.len();
    println!("an IKE SA with a child SA takes {per_ike} bytes");
    assert!(per_ike < 2000, "{per_ike}");
}

#[test]
fn what_came_before_anybody_wrote_and_what_goes_after_a_snapshot_is_known() {
    let mut world = World::plain();
    world.initiate(0);
    world.run(1000);
    let restored = |bytes: &[u8]| {
        let mut engine = engine(2000, Settings::default(), vec![profile(0)], 5);
        engine.restore(Time::from_millis(2000), bytes).ikes
    };
    let mut bytes = world.ends[0].engine.changes().unwrap().expose().to_vec();
    assert_eq!(restored(&bytes), 1);
    for snapshot in [false, true] {
        if snapshot {
            world.initiate(0);
            world.run(500);
            bytes = world.ends[0].engine.snapshot().expose().to_vec();
            assert_eq!(restored(&bytes), 1);
        }
        world.call(0, |engine, now| engine.terminate(now, "pr1")).unwrap();
        world.run(200);
        bytes.extend(world.ends[0].engine.changes().unwrap().expose());
        assert_eq!(restored(&bytes), 0, "after a snapshot: {snapshot}");
    }
}

#[test]
fn what_does_not_fit_any_more_is_left_out_with_a_sentence() {
    let mut world = World::of(|_, _| {}).keep();
    world.initiate(0);
    world.run(1000);
    let kept = world.ends[0].kept.bytes.clone();
    let spi = IkeSpi(world.ikes(0)[0].ike.0);
    let restore = |now: u64, change: fn(&mut ike_engine::Profile), bytes: &[u8]| {
        let mut profile = profile(0);
        change(&mut profile);
        let mut engine = engine(now, Settings::default(), vec![profile], 5);
        let restored = engine.restore(Time::from_millis(now), bytes);
        // Nothing of it is left, and it works.
        assert_eq!(engine.ikes().count(), restored.ikes);
        engine.reconcile(Time::from_millis(now), &[]);
        engine.timeout(Time::from_millis(now + 100_000));
        restored
    };
    let fits = restore(2000, |_| {}, &kept);
    assert_eq!((fits.ikes, fits.left_out.len(), fits.ignored), (1, 0, 0));
    let gone = restore(2000, |profile| profile.name = "pr2".to_owned(), &kept);
    assert_eq!(gone.left_out, [(spi, RestoreError::NoProfile("pr1".to_owned()))]);
    let gone = restore(2000, |profile| profile.children.clear(), &kept);
    assert!(matches!(&gone.left_out[..], [(_, RestoreError::NoChild { child, .. })] if child == "net0"));
    let early = restore(10, |_| {}, &kept);
    assert_eq!(early.left_out, [(spi, RestoreError::Clock)]);
    // Other proposals make no difference: what was agreed on is written down.
    let other = restore(
        2000,
        |profile| profile.proposals = ike(&["aes128-sha256-modp2048"]),
        &kept,
    );
    assert_eq!((other.ikes, other.left_out.len()), (1, 0));
    // Whatever is cut off or changed breaks nothing.
    for len in (0..kept.len()).step_by(7) {
        let cut = restore(2000, |_| {}, &kept[..len]);
        assert_eq!(cut.left_out, []);
        let mut damaged = kept.clone();
        damaged[len] ^= 0x10;
        assert_eq!(restore(2000, |_| {}, &damaged).left_out, []);
    }
}
