//! Other profiles while there are IKE SAs.

use ike_engine::{StartAction, UnknownProfile};

use crate::profiles::{esp, profile};
use crate::world::World;

#[test]
fn what_stays_is_left_alone_and_what_is_different_is_made_anew() {
    let mut world = World::plain().established();
    let before = world.ikes(0);
    world.call(0, |engine, now| {
        engine.set_profiles(now, vec![profile(0)], &["pr1"]);
    });
    world.run(1000);
    assert_eq!(world.ikes(0).len(), 1);
    assert_eq!(world.ikes(0)[0].spis, before[0].spis);

    let mut other = profile(0);
    other.name = "pr2".to_owned();
    other.start = StartAction::Start;
    other.children[0].proposals = esp(&["aes256gcm16-esn-noesn"]);
    world.call(0, |engine, now| engine.set_profiles(now, vec![other], &[]));
    world.run(3000);
    world.assert_same();
    assert_eq!(world.counts(), (1, 1));
    let after = world.ikes(0);
    let established = after.iter().find(|view| !view.children.is_empty()).unwrap();
    assert_eq!(established.profile, "pr2");
    assert_ne!(established.spis, before[0].spis);
    let gone = world.call(0, |engine, now| engine.initiate(now, "pr1"));
    assert_eq!(gone, Err(UnknownProfile("pr1".to_owned())));

    world.call(0, |engine, now| engine.set_profiles(now, Vec::new(), &[]));
    world.run(120_000);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(world.ikes(0).len(), 0);
    assert_eq!(world.ends[0].plane.inbound.len(), 0);
}

#[test]
fn a_peer_is_told_nothing_by_a_profile_that_is_gone() {
    let mut world = World::plain();
    world.call(1, |engine, now| engine.set_profiles(now, Vec::new(), &[]));
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(
        world.failures(1),
        ["no profile is for a peer at this address: add one"]
    );
}
