//! Rekeying of both kinds: no packet is lost.

use ike_engine::{Event, Settings};

use crate::profiles::{esp, ike};
use crate::world::World;

#[test]
fn rekeying_loses_no_packet_whoever_asks() {
    for end in 0..2 {
        let mut world = World::plain().established();
        let before = world.ikes(0).remove(0);
        world
            .call(end, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(5000);
        assert_eq!(world.counts(), (1, 1));
        let after = world.ikes(0).remove(0);
        assert_ne!(before.children[0].inbound, after.children[0].inbound);
        world
            .call(end, |engine, now| engine.rekey_ike(now, "pr1"))
            .unwrap();
        world.run(5000);
        assert_eq!(world.counts(), (1, 1));
        assert_ne!(world.ikes(0)[0].spis, before.spis);
        assert_eq!(world.ikes(0)[0].children, after.children);
        // The new IKE SA is used as the old one was.
        world
            .call(1 - end, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(5000);
        assert_eq!(world.counts(), (1, 1));
        assert!(world.packets > 25_000);
        assert_eq!(world.packets_lost, 0);
        assert_eq!(world.ends[0].plane.inbound.len(), 1);
    }
}

#[test]
fn packets_that_are_slower_than_the_delete_of_their_sa_are_taken_still() {
    for end in 0..2 {
        let mut world = World::plain().established();
        world.packet_delay = 1500;
        world.run(2000);
        world
            .call(end, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(8000);
        assert_eq!(world.counts(), (1, 1));
        assert!(world.packets > 15_000);
        assert_eq!(world.packets_lost, 0);
        assert_eq!(world.ends[0].plane.inbound.len(), 1);
    }
}

#[test]
fn what_the_data_plane_is_told_is_in_the_order_that_loses_nothing() {
    let mut world = World::plain().established();
    world.ends.iter_mut().for_each(|end| end.plane.log.clear());
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(10_000);
    let words = |end: usize| -> Vec<String> {
        world.ends[end]
            .plane
            .log
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(words(0), ["in+", "out+", "switch", "out-", "in-"]);
    assert_eq!(words(1), words(0));
}

#[test]
fn perfect_forward_secrecy_with_the_group_of_the_other_end() {
    let mut world = World::of(|end, profile| {
        profile.children[0].proposals =
            esp(&[["aes256gcm16-curve25519-ecp256-esn", "aes256gcm16-ecp256-esn"][end]]);
        profile.proposals = ike(&[[
            "aes256gcm16-prfsha256-curve25519-ecp256",
            "aes256gcm16-prfsha256-ecp256-curve25519",
        ][end]]);
    })
    .established();
    assert_eq!(world.ikes(0)[0].children[0].suite.group(), None);
    for rekeyed in 1..3 {
        world
            .call(0, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(1000);
        assert_eq!(world.counts(), (1, 1));
        let group = world.ikes(0)[0].children[0].suite.group().unwrap();
        assert_eq!(group.to_string(), "ecp256");
        assert_eq!(world.ends[0].engine.counters().child_rekeys, rekeyed);
    }
    world.call(0, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
    world.run(1000);
    assert_eq!(world.ends[0].engine.counters().ike_rekeys, 1);
    assert_eq!(world.packets_lost, 0);
}

#[test]
fn a_mismatch_of_perfect_forward_secrecy_is_told_and_the_old_sa_stays() {
    let mut world = World::of(|end, profile| {
        profile.children[0].proposals = esp(&[["aes256gcm16-esn", "aes256gcm16-ecp256-esn"][end]]);
    })
    .established();
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.packets_lost, 0);
    assert_eq!(
        world.failures(1),
        [
            "peer wants no key exchange, we allow ecp256: change proposals of child net0 of profile pr1 of one end"
        ]
    );
    assert!(world.failures(0)[0].starts_with("the peer refuses CREATE_CHILD_SA with NO_PROPOSAL_CHOSEN"));
}

#[test]
fn with_a_third_of_the_messages_lost_rekeying_loses_no_packet() {
    let mut whole = 0;
    for seed in 0..40 {
        let mut world = World::with([Settings::default(); 2], |_, profile| {
            profile.children[0].lifetime = crate::profiles::lifetime(60);
            profile.children[0].lifetime.hard = crate::profiles::seconds(600);
        });
        world.network.dice.0 = seed;
        let mut world = world.established();
        world.network.loss = 30;
        world.network.duplicates = 10;
        world.network.delay = (5, 300);
        for round in 0..6 {
            let call = |world: &mut World, end: usize, ike: bool| {
                let rekey = |engine: &mut ike_engine::Engine, now| match ike {
                    true => engine.rekey_ike(now, "pr1"),
                    false => engine.rekey_children(now, "pr1"),
                };
                world.call(end, rekey).unwrap();
            };
            call(&mut world, round % 2, round % 3 == 2);
            call(&mut world, 1 - round % 2, round % 3 == 1);
            world.run(2000);
        }
        let lost = world
            .ends
            .iter()
            .flat_map(|end| &end.events)
            .any(|event| matches!(event, Event::IkeDown { .. }));
        if !lost {
            whole += 1;
            assert_eq!(
                world.packets_lost,
                0,
                "seed {seed} of {}\n{}",
                world.packets,
                world.show()
            );
        }
    }
    assert!(whole > 30, "{whole}");
}
