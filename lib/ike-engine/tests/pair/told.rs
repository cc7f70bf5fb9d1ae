//! What the data plane tells of child SAs.

use crate::exchanges::behind_nat;
use crate::profiles::child;
use crate::world::World;

#[test]
fn one_child_sa_is_rekeyed_by_its_spi_and_others_stay() {
    let mut world = World::of(|end, profile| profile.children.push(child(end as u8, 1))).established();
    world.run(2000);
    let spis = |world: &World| {
        let mut spis: Vec<u32> = world.ikes(0)[0]
            .children
            .iter()
            .map(|child| child.inbound)
            .collect();
        spis.sort_unstable();
        spis
    };
    let before = spis(&world);
    world.call(0, |engine, now| {
        engine.rekey_child(now, before[0]);
        // One that is not there is nobody's.
        engine.rekey_child(now, 7);
    });
    world.run(10_000);
    let after = spis(&world);
    assert_eq!(world.counts(), (1, 2));
    assert!(
        !after.contains(&before[0]) && after.contains(&before[1]),
        "{before:?} {after:?}"
    );
    world.assert_same();
}

#[test]
fn a_peer_behind_a_nat_is_followed_by_its_packets_and_another_is_not() {
    let elsewhere = "203.0.113.3:33333".parse().unwrap();
    for nat in [true, false] {
        let world = if nat { behind_nat() } else { World::plain() };
        let mut world = world.established();
        world.traffic = false;
        let before = world.ikes(1)[0].clone();
        let inbound = before.children[0].inbound;
        world.call(1, |engine, now| engine.peer_moved(now, inbound, elsewhere));
        let after = world.ikes(1)[0].clone();
        if nat {
            assert_eq!(after.path.remote, elsewhere);
            assert!(
                world.ends[1]
                    .plane
                    .outbound
                    .values()
                    .all(|sa| sa.path == after.path)
            );
        } else {
            assert_eq!(after.path, before.path);
        }
    }
}
