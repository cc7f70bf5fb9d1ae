//! Profiles that traffic starts, and what becomes of those whose peer is dead.

use std::sync::Arc;

use ike_engine::{DeadPeerAction, LocalAuth, Profile, RemoteAuth, StartAction};
use ikev2::crypto::Secret;

use crate::profiles::{child, esp};
use crate::restart::kill;
use crate::world::{Kill, World};

/// A packet wants to leave by a child of the first end.
fn packet(world: &mut World, child: &str) {
    world.call(0, |engine, now| engine.acquire(now, "pr1", child));
}

fn trap(end: usize, profile: &mut Profile) {
    if end == 0 {
        profile.start = StartAction::Trap;
    }
}

/// So many IKE_SA_INIT the first end has begun.
fn begun(world: &World) -> u64 {
    world.ends[0].engine.counters().inits.0
}

#[test]
fn traffic_starts_a_profile_once_and_again_after_each_end() {
    let mut world = World::of(trap);
    world.run(60_000);
    assert_eq!(begun(&world), 0);
    // The first packet begins it, and those that follow before it is there begin nothing.
    for _ in 0..5 {
        packet(&mut world, "net0");
        world.run(2);
    }
    world.run(1000);
    assert_eq!((world.counts(), begun(&world)), ((1, 1), 1));
    packet(&mut world, "net0");
    world.run(1000);
    assert_eq!((world.counts(), begun(&world)), ((1, 1), 1), "it is there");
    for (end, expected) in [(1, 2), (0, 3)] {
        world
            .call(end, |engine, now| engine.terminate(now, "pr1"))
            .unwrap();
        world.run(100_000);
        assert_eq!(world.counts(), (0, 0), "it is not started by itself");
        packet(&mut world, "net0");
        world.run(1000);
        assert_eq!((world.counts(), begun(&world)), ((1, 1), expected));
    }
    // What is not to be started is not: another child, another profile, another start.
    packet(&mut world, "net9");
    world.call(0, |engine, now| engine.acquire(now, "pr9", "net0"));
    let mut plain = World::plain();
    packet(&mut plain, "net0");
    plain.run(1000);
    assert_eq!((begun(&plain), plain.counts()), (0, (0, 0)));
    world.assert_same();
}

#[test]
fn a_child_sa_alone_that_is_gone_comes_by_the_ike_sa_that_is_there() {
    for childless in [false, true] {
        let mut world = World::of(|end, profile| {
            trap(end, profile);
            profile.childless = childless;
            profile.children.push(child(end as u8, 1));
        });
        packet(&mut world, "net1");
        world.run(3000);
        assert_eq!(world.counts(), (1, 2), "all children come with the IKE SA");
        let spis = world.ikes(0)[0].spis;
        world
            .call(1, |engine, now| engine.delete_children(now, "pr1"))
            .unwrap();
        world.run(10_000);
        assert_eq!(world.counts(), (1, 0));
        packet(&mut world, "net1");
        packet(&mut world, "net1");
        world.run(1000);
        assert_eq!((world.counts(), begun(&world)), ((1, 1), 1));
        packet(&mut world, "net0");
        world.run(1000);
        assert_eq!((world.counts(), begun(&world)), ((1, 2), 1));
        assert_eq!(world.ikes(0)[0].spis, spis);
    }
}

#[test]
fn what_is_refused_is_not_begun_for_each_packet() {
    // By a key that is wrong, and by proposals of the child that do not fit.
    let wrong = |end: usize, profile: &mut Profile| {
        trap(end, profile);
        if end == 1 {
            let key = Arc::new(Secret::from(b"another".to_vec()));
            (profile.local_auth, profile.remote_auth) = (LocalAuth::Psk(key.clone()), RemoteAuth::Psk(key));
        }
    };
    let unfit = |end: usize, profile: &mut Profile| {
        trap(end, profile);
        if end == 1 {
            profile.children[0].proposals = esp(&["aes128gcm16-esn"]);
        }
    };
    let mut world = World::of(wrong);
    for _ in 0..1000 {
        packet(&mut world, "net0");
        world.run(100);
    }
    // At 0, 1, 3, 7, 15, 31 and 63 s.
    assert_eq!(begun(&world), 7);
    let mut world = World::of(unfit);
    for _ in 0..1000 {
        packet(&mut world, "net0");
        world.run(100);
    }
    assert_eq!((begun(&world), world.counts()), (1, (1, 0)));
    // One of them with IKE_AUTH.
    assert_eq!(world.failures(0).len(), 8);
}

/// With a peer that died while there was an IKE SA, and is there again when it was found dead.
fn after_death(change: impl Fn(&mut Profile)) -> World {
    let mut world = World::of(|end, profile| {
        if end == 0 {
            change(profile);
        }
    });
    if world.ends[0].engine.deadline().is_none() {
        world.initiate(0);
    }
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    world.ends[1].dead = true;
    world.run(120_000);
    assert!(world.ikes(0).iter().all(|view| view.children.is_empty()));
    world.ends[1].dead = false;
    world
}

#[test]
fn a_dead_peer_is_called_again_or_left_alone_or_waits_for_traffic() {
    use DeadPeerAction::{Clear, Restart, Trap};
    use StartAction::{None as Never, Start};
    for (start, action, by_itself, by_traffic) in [
        (Never, None, false, false),
        (Never, Some(Restart), true, true),
        (Never, Some(Clear), false, false),
        (Never, Some(Trap), false, true),
        (Start, None, true, true),
        (Start, Some(Restart), true, true),
        (Start, Some(Clear), false, false),
        (Start, Some(Trap), false, true),
        (StartAction::Trap, None, false, true),
        (StartAction::Trap, Some(Restart), true, true),
        (StartAction::Trap, Some(Clear), false, true),
        (StartAction::Trap, Some(Trap), false, true),
    ] {
        let mut world = after_death(|profile| {
            profile.start = start;
            profile.dead_peer = action;
        });
        // The other end has its own of before still, for a while.
        world.run(300_000);
        let of = format!("{start:?} {action:?}");
        assert_eq!(world.ikes(0).len(), usize::from(by_itself), "{of}");
        packet(&mut world, "net0");
        world.run(1000);
        assert_eq!(world.ikes(0).len(), usize::from(by_traffic), "{of}");
        world.assert_same();
        // It was for the peer that was dead: what is deleted later goes as `start` says.
        if by_traffic {
            world.call(1, |engine, now| engine.terminate(now, "pr1")).unwrap();
            world.run(100_000);
            let again = start == Start && action != Some(Trap);
            assert_eq!(world.ikes(0).len(), usize::from(again), "{of}");
            packet(&mut world, "net0");
            world.run(1000);
            let again = again || start == StartAction::Trap;
            assert_eq!(world.ikes(0).len(), usize::from(again), "{of}");
        }
    }
}

#[test]
fn an_operator_who_terminates_it_ends_what_a_dead_peer_has_begun() {
    for action in [DeadPeerAction::Restart, DeadPeerAction::Trap] {
        let mut world = after_death(|profile| profile.dead_peer = Some(action));
        world.call(0, |engine, now| engine.terminate(now, "pr1")).unwrap();
        packet(&mut world, "net0");
        world.run(300_000);
        assert_eq!(world.counts(), (0, 0), "{action:?}");
    }
}

#[test]
fn what_a_dead_peer_has_begun_goes_on_in_the_next_process() {
    use DeadPeerAction::{Clear, Restart, Trap};
    for (start, action, by_itself, by_traffic) in [
        (StartAction::None, Restart, true, true),
        (StartAction::None, Trap, false, true),
        (StartAction::Start, Clear, false, false),
        (StartAction::Start, Trap, false, true),
    ] {
        let mut world = World::of(|end, profile| {
            if end == 0 {
                (profile.start, profile.dead_peer) = (start, Some(action));
            }
        })
        .keep();
        world.initiate(0);
        world.run(1000);
        world.ends[1].dead = true;
        world.run(120_000);
        kill(&mut world, 0, Kill::Doing(0), 10);
        world.run(1000);
        world.ends[1].dead = false;
        world.run(300_000);
        assert_eq!(
            world.ikes(0).len(),
            usize::from(by_itself),
            "{start:?} {action:?}"
        );
        packet(&mut world, "net0");
        world.run(1000);
        assert_eq!(
            world.ikes(0).len(),
            usize::from(by_traffic),
            "{start:?} {action:?}"
        );
    }
}
