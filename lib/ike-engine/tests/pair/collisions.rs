//! Both ends want something at once, in every order in which messages can cross (RFC 7296 §2.8.1, §2.8.2, §2.25).

use ike_engine::{Engine, Time, UnknownProfile};

use crate::world::World;

type Call = fn(&mut Engine, Time) -> Result<(), UnknownProfile>;

const REKEY_CHILD: Call = |engine, now| engine.rekey_children(now, "pr1");
const REKEY_IKE: Call = |engine, now| engine.rekey_ike(now, "pr1");
const DELETE_CHILD: Call = |engine, now| engine.delete_children(now, "pr1");
const TERMINATE: Call = |engine, now| engine.terminate(now, "pr1");

/// Has the first end call this, and the other end that, up to 60 ms apart: a message takes 10 ms one way, and more the other.
fn collide(first: Call, second: Call, check: impl Fn(&mut World)) {
    collide_and_wait(first, second, 4000, check);
}

fn collide_and_wait(first: Call, second: Call, wait: u64, check: impl Fn(&mut World)) {
    for (there, back) in [(10, 10), (10, 40)] {
        for apart in (0..60).step_by(2) {
            let mut world = World::plain().established();
            world.network.delay = (there, back);
            world.network.dice.0 = apart;
            world.call(0, first).unwrap();
            world.run(apart);
            world.call(1, second).unwrap();
            world.run(4000);
            world.traffic = false;
            world.run(wait);
            if let Some(difference) = world.difference() {
                panic!(
                    "{there} and {back} ms, {apart} ms apart: {difference}\n{}",
                    world.show()
                );
            }
            check(&mut world);
        }
    }
}

fn whole(world: &mut World) {
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.packets_lost, 0, "of {}\n{}", world.packets, world.show());
    // No SA is left in the data plane, and the one in use is that of the engine.
    for end in &world.ends {
        assert_eq!((end.plane.inbound.len(), end.plane.outbound.len()), (1, 1));
        let used = end.plane.current.values().next();
        assert_eq!(
            used,
            end.plane.outbound.keys().next(),
            "{:#?}\n{}",
            end.plane.log,
            world.show()
        );
    }
}

#[test]
fn both_rekey_the_child_sa() {
    collide(REKEY_CHILD, REKEY_CHILD, whole);
}

#[test]
fn both_rekey_the_ike_sa() {
    collide(REKEY_IKE, REKEY_IKE, whole);
}

#[test]
fn one_rekeys_the_ike_sa_and_the_other_the_child_sa() {
    collide(REKEY_IKE, REKEY_CHILD, whole);
    collide(REKEY_CHILD, REKEY_IKE, whole);
}

#[test]
fn one_deletes_the_child_sa_that_the_other_rekeys() {
    // Deleting wins: what the rekeying made is deleted with it, and what is being deleted is not rekeyed (RFC 7296 §2.25.1).
    let none = |world: &mut World| {
        assert_eq!(world.counts(), (1, 0));
        assert!(
            world
                .ends
                .iter()
                .all(|end| end.plane.inbound.is_empty() && end.plane.outbound.is_empty())
        );
    };
    collide(DELETE_CHILD, REKEY_CHILD, none);
    collide(REKEY_CHILD, DELETE_CHILD, none);
}

#[test]
fn a_child_sa_that_is_deleted_before_its_maker_has_heard_of_it_is_not_made() {
    let mut world = World::plain().established();
    world.traffic = false;
    world.call(0, REKEY_CHILD).unwrap();
    world.run(9);
    // The answer is lost.
    world.network.loss = 100;
    world.run(1);
    assert_eq!(world.ikes(1)[0].children.len(), 2);
    world.network.loss = 0;
    world.call(1, DELETE_CHILD).unwrap();
    world.run(200);
    assert_eq!(world.ikes(1)[0].children.len(), 0);
    world.run(5000);
    assert_eq!(world.counts(), (1, 0));
    assert!(
        world
            .ends
            .iter()
            .all(|end| end.plane.inbound.is_empty() && end.plane.outbound.is_empty())
    );
}

#[test]
fn what_is_deleted_while_it_is_rekeyed_is_not_there_afterwards() {
    for apart in [0, 5, 15, 25] {
        let mut world = World::plain().established();
        world.traffic = false;
        world.call(0, REKEY_CHILD).unwrap();
        world.run(apart);
        world.call(0, DELETE_CHILD).unwrap();
        world.run(5000);
        assert_eq!(world.counts(), (1, 0), "{apart}");
    }
}

#[test]
fn a_new_ike_sa_asks_for_nothing_before_the_old_one_is_gone() {
    let mut world = World::plain().established();
    world.traffic = false;
    world.call(0, REKEY_IKE).unwrap();
    world.run(12);
    let sent = world.ends[1].sent.len();
    world.call(1, REKEY_CHILD).unwrap();
    world.run(10);
    assert_eq!(world.ends[1].sent.len(), sent);
    // The first end has had its answer, and deletes the old one; then the other begins.
    world.run(18);
    assert_eq!(world.ends[1].sent.len(), sent + 2);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.ends[1].engine.counters().child_rekeys, 1);
}

#[test]
fn one_deletes_the_child_sa_while_the_other_rekeys_the_ike_sa() {
    let none = |world: &mut World| assert_eq!(world.counts(), (1, 0));
    collide(DELETE_CHILD, REKEY_IKE, none);
    collide(REKEY_IKE, DELETE_CHILD, none);
}

#[test]
fn one_deletes_the_ike_sa_and_nothing_is_left() {
    let none = |world: &mut World| assert_eq!(world.counts(), (0, 0));
    for other in [REKEY_CHILD, REKEY_IKE, DELETE_CHILD, TERMINATE] {
        // An IKE SA that one end has made and the other has never heard of goes when nobody answers.
        collide_and_wait(TERMINATE, other, 40_000, none);
        collide_and_wait(other, TERMINATE, 40_000, none);
    }
}

#[test]
fn both_make_an_ike_sa_at_once_and_neither_takes_the_others_away() {
    for apart in 0..60 {
        let mut world = World::plain();
        world.network.delay = (10, 60);
        world.network.dice.0 = apart;
        world.initiate(0);
        world.run(apart);
        world.initiate(1);
        world.run(5000);
        // Both say that theirs is the only one, and it was when they began.
        let (ikes, children) = world.counts();
        assert!(
            (1..=2).contains(&ikes) && ikes == children,
            "{apart}: {ikes} {children}"
        );
    }
}

#[test]
fn what_is_terminated_while_it_is_rekeyed_is_gone_by_its_new_name_too() {
    for apart in [0, 5, 12, 19, 25] {
        let mut world = World::plain().established();
        world.traffic = false;
        world.call(0, REKEY_IKE).unwrap();
        world.run(apart);
        world.call(0, TERMINATE).unwrap();
        world.run(5000);
        assert_eq!(world.counts(), (0, 0), "{apart}");
    }
}

#[test]
fn of_two_ike_sas_with_the_same_peer_the_one_that_stays_takes_the_traffic() {
    for lost in 0..2 {
        let mut world = World::plain();
        world.initiate(0);
        world.initiate(1);
        world.run(1000);
        assert_eq!(world.counts(), (2, 2));
        // One of both is silenced, and given up.
        let silenced = world.ikes(0)[lost].spis.initiator.0;
        world.tamper = Some(Box::new(move |_, payload: &mut Vec<u8>| {
            if payload.starts_with(&silenced) {
                payload.truncate(1);
            }
        }));
        world.run(80_000);
        assert_eq!(world.counts(), (1, 1));
        for end in &world.ends {
            assert_eq!(
                end.plane.current.values().next(),
                end.plane.outbound.keys().next()
            );
        }
    }
}
