//! Retransmission, liveness, deletes, NATs, fragments.

use ike_engine::{Event, Failure, Identity, Path, Settings, StartAction};
use ikev2::wire::{ExchangeType, Header};

use crate::network::NatBox;
use crate::profiles::{LEFT, OUTSIDE, child, ip, seconds};
use crate::world::{World, engine};

#[test]
fn an_answer_that_is_lost_is_repeated_byte_for_byte() {
    let mut world = World::plain();
    world.initiate(0);
    // The first answers do not arrive.
    world.run(5);
    world.network.loss = 100;
    world.run(10);
    world.network.loss = 0;
    world.run(510);
    assert_eq!(world.ends[1].sent.len(), 2);
    assert_eq!(world.ends[1].sent[0].2, world.ends[1].sent[1].2);
    world.network.loss = 100;
    world.run(5);
    world.network.loss = 0;
    world.run(2000);
    assert_eq!(world.counts(), (1, 1));
    let auths: Vec<&Vec<u8>> = world.ends[1]
        .sent
        .iter()
        .skip(2)
        .map(|(_, _, payload)| payload)
        .collect();
    assert!(auths.len() == 2 && auths[0] == auths[1], "{}", auths.len());
    assert_eq!(world.ends[1].engine.counters().repeated_answers, 2);
    assert_eq!(world.ends[0].engine.counters().retransmissions, 2);
}

#[test]
fn a_peer_that_is_silent_is_asked_and_one_that_is_dead_is_given_up() {
    let mut world = World::plain().established();
    world.traffic = false;
    world.run(100_000);
    assert_eq!(world.counts(), (1, 1));
    let asked = world.ends.iter().map(|end| end.sent.len()).sum::<usize>();
    assert!(asked > 8, "{asked}");
    world.ends[1].dead = true;
    // 39.5 s of attempts, after at most 30 s of silence.
    world.run(39_000);
    assert_eq!(world.ikes(0).len(), 1);
    world.run(31_000);
    assert_eq!(world.ikes(0).len(), 0);
    assert!(world.ends[0].plane.inbound.is_empty() && world.ends[0].plane.outbound.is_empty());
    let silent = Failure::NoAnswer {
        exchange: ExchangeType::INFORMATIONAL,
        attempts: 8,
    };
    assert!(
        world.ends[0]
            .events
            .iter()
            .any(|event| matches!(event, Event::IkeDown { reason, .. } if *reason == silent))
    );
}

#[test]
fn what_is_deleted_is_gone_on_both_ends_and_for_both_at_once() {
    for ends in [vec![0], vec![1], vec![0, 1]] {
        let mut world = World::plain().established();
        world.traffic = false;
        for end in &ends {
            world
                .call(*end, |engine, now| engine.delete_children(now, "pr1"))
                .unwrap();
        }
        world.run(10_000);
        assert_eq!(world.counts(), (1, 0), "child SAs by {ends:?}");
        assert!(
            world
                .ends
                .iter()
                .all(|end| end.plane.inbound.is_empty() && end.plane.outbound.is_empty())
        );
        for end in &ends {
            world
                .call(*end, |engine, now| engine.terminate(now, "pr1"))
                .unwrap();
        }
        world.run(100);
        assert_eq!(world.counts(), (0, 0), "IKE SA by {ends:?}");
        world.run(60_000);
        assert!(
            world
                .ends
                .iter()
                .all(|end| end.engine.ikes().count() == 0 && end.engine.deadline().is_none())
        );
    }
}

#[test]
fn a_delete_is_answered_from_memory_when_its_answer_is_lost() {
    let mut world = World::plain().established();
    world.traffic = false;
    world.call(0, |engine, now| engine.terminate(now, "pr1")).unwrap();
    world.run(5);
    world.network.loss = 100;
    world.run(10);
    world.network.loss = 0;
    assert_eq!(world.ikes(1).len(), 0);
    world.run(1000);
    assert_eq!(world.ikes(0).len(), 0);
    assert_eq!(world.ends[1].engine.counters().repeated_answers, 1);
}

#[test]
fn a_profile_that_is_to_be_up_comes_up_again_with_longer_and_longer_pauses() {
    let mut world = World::of(|end, profile| {
        if end == 0 {
            profile.start = StartAction::Start;
        }
    });
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    world.ends[1].dead = true;
    world.run(600_000);
    let failed: Vec<u64> = world.ends[0]
        .sent
        .windows(2)
        .map(|two| two[1].0 - two[0].0)
        .collect();
    assert!(
        failed.contains(&(8000 + 1000)) && failed.contains(&(8000 + 32_000)),
        "{failed:?}"
    );
    world.ends[1].dead = false;
    world.run(120_000);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn a_child_sa_that_is_to_be_up_comes_again_unless_an_operator_has_it_deleted() {
    let start = |end: usize, profile: &mut ike_engine::Profile| {
        if end == 0 {
            profile.start = StartAction::Start;
        }
    };
    for (deletes, left) in [(1, 1), (0, 0)] {
        let mut world = World::of(start);
        world.run(1000);
        assert_eq!(world.counts(), (1, 1));
        world
            .call(deletes, |engine, now| engine.delete_children(now, "pr1"))
            .unwrap();
        world.run(500);
        assert_eq!(world.counts(), (1, 0));
        world.run(10_000);
        assert_eq!(world.counts(), (1, left));
    }
}

#[test]
fn what_an_operator_has_deleted_does_not_come_up_that_was_asked_for_before() {
    // One that the peer has deleted is to come again in a second or two.
    let mut world = World::of(|end, profile| {
        if end == 0 {
            profile.start = StartAction::Start;
        }
    });
    world.run(1000);
    world
        .call(1, |engine, now| engine.delete_children(now, "pr1"))
        .unwrap();
    world.run(500);
    assert_eq!(world.counts(), (1, 0));
    world
        .call(0, |engine, now| engine.delete_children(now, "pr1"))
        .unwrap();
    world.run(10_000);
    assert_eq!(world.counts(), (1, 0));

    // One that is under way is refused for now, because the peer rekeys the IKE SA; others wait for it.
    let mut world = World::of(|end, profile| {
        profile
            .children
            .extend([child(end as u8, 1), child(end as u8, 2)]);
    });
    world.initiate(0);
    world.run(45);
    world.call(1, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
    world
        .call(0, |engine, now| engine.delete_children(now, "pr1"))
        .unwrap();
    world.run(20_000);
    assert_eq!(world.counts(), (1, 0));
}

#[test]
fn a_peer_that_started_anew_takes_what_it_had_before_away() {
    let mut world = World::plain().established();
    world.traffic = false;
    world.run(1000);
    let profile = crate::profiles::profile(0);
    world.ends[0].engine = engine(world.now, Settings::default(), vec![profile], 99);
    world.ends[0].plane = crate::plane::Plane::default();
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    let gone = |event: &Event| {
        matches!(
            event,
            Event::IkeDown {
                reason: Failure::InitialContact,
                ..
            }
        )
    };
    assert!(world.ends[1].events.iter().any(gone));
}

pub(crate) fn behind_nat() -> World {
    let mut world = World::of(|end, profile| {
        if end == 1 {
            profile.remote_address = None;
        }
    });
    world.network.nat = Some(NatBox::new(ip(LEFT), ip(OUTSIDE)));
    world
}

#[test]
fn behind_a_nat_both_ends_move_to_4500_and_have_esp_in_udp() {
    let mut world = behind_nat().established();
    let view = world.ikes(0).remove(0);
    assert_eq!((view.nat.here, view.nat.there), (true, false));
    assert_eq!((view.path.local.port(), view.path.remote.port()), (4500, 4500));
    let view = world.ikes(1).remove(0);
    assert_eq!((view.nat.here, view.nat.there), (false, true));
    assert_eq!(
        (view.path.local.port(), view.path.remote.ip()),
        (4500, ip(OUTSIDE))
    );
    // The first message on 4500 and all others have the marker.
    assert!(
        world.ends[0].sent[1..]
            .iter()
            .all(|(_, _, payload)| payload.starts_with(&[0; 4]))
    );
    assert!(
        world.ends[1]
            .plane
            .outbound
            .values()
            .all(|sa| sa.in_udp && sa.path == view.path)
    );
    world.traffic = false;
    world.run(120_000);
    assert!(world.ends[0].engine.counters().keepalives >= 2);
    assert_eq!(world.ends[1].engine.counters().keepalives, 0);
}

#[test]
fn a_nat_that_rebinds_is_followed_with_the_next_message_that_is_new() {
    let mut world = behind_nat().established();
    world.traffic = false;
    let before: Path = world.ikes(1).remove(0).path;
    world.network.nat.as_mut().unwrap().rebind();
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(1000);
    let after = world.ikes(1).remove(0).path;
    assert_ne!(before.remote.port(), after.remote.port());
    assert!(world.ends[1].plane.outbound.values().all(|sa| sa.path == after));
    assert!(
        world.ends[1]
            .events
            .iter()
            .any(|event| matches!(event, Event::PeerMoved { .. }))
    );
    assert_eq!(world.counts(), (1, 1));
    // And the other end reaches it there.
    world.call(1, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
    world.run(5000);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn without_a_nat_nobody_is_followed_to_another_address() {
    let mut world = World::plain().established();
    world.traffic = false;
    let before = world.ikes(1).remove(0).path;
    // A NAT comes into being; what is behind it is not followed, and answered all the same.
    world.network.nat = Some(NatBox::new(ip(LEFT), ip(OUTSIDE)));
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(100);
    assert_eq!(world.ikes(1).remove(0).path, before);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.ends[0].engine.counters().child_rekeys, 1);
    assert!(
        world.ends[1]
            .sent
            .iter()
            .rev()
            .take(2)
            .all(|(_, path, _)| path.remote.ip() == ip(OUTSIDE)),
        "answers go to where the requests came from"
    );
}

#[test]
fn a_request_that_is_recorded_is_not_answered_for_ever() {
    let mut world = World::plain().established();
    world.traffic = false;
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(1000);
    let (_, path, request) = world.ends[0].sent.last().unwrap().clone();
    let before = world.ends[1].sent.len();
    for number in 0..1000 {
        let from = ([10, 9, 9, number as u8], 500).into();
        world.call(1, |engine, now| engine.handle(now, path.remote, from, &request));
    }
    assert_eq!(world.ends[1].sent.len() - before, 16);
    assert_eq!(world.ends[1].engine.counters().limited, 1000 - 16);
    // The next request is answered as ever.
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.ends[0].engine.counters().child_rekeys, 2);
}

#[test]
fn messages_that_do_not_fit_go_in_fragments() {
    let long = |byte| Identity::key_id(&vec![byte; 5000]);
    for mtu in [1280, 1500] {
        let mut world = World::of(|end, profile| {
            profile.local_id = long([b'a', b'b'][end]);
            profile.remote_id = Some(long([b'b', b'a'][end]));
        });
        world.network.mtu = mtu;
        world.network.loss = 30;
        world.network.duplicates = 20;
        world.network.delay = (5, 200);
        world.initiate(0);
        world.run(40_000);
        world.network.loss = 0;
        world.run(20_000);
        assert_eq!(world.counts(), (1, 1));
        assert_eq!(world.network.too_big, 0);
        let skf = |payload: &Vec<u8>| Header::parse(payload).unwrap().next_payload.0 == 53;
        assert!(
            world
                .ends
                .iter()
                .all(|end| end.sent.iter().filter(|(_, _, payload)| skf(payload)).count() >= 5)
        );
    }
}

#[test]
fn a_request_in_fragments_that_is_repeated_is_answered_once() {
    let long = |byte| Identity::key_id(&vec![byte; 5000]);
    let mut world = World::of(|end, profile| {
        profile.local_id = long([b'a', b'b'][end]);
        profile.remote_id = Some(long([b'b', b'a'][end]));
    });
    world.initiate(0);
    world.run(25);
    world.network.loss = 100;
    world.run(10);
    world.network.loss = 0;
    assert_eq!(world.ikes(1).len(), 1);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.ends[0].engine.counters().retransmissions, 1);
    assert_eq!(world.ends[1].engine.counters().repeated_answers, 1);
}

#[test]
fn a_responder_whose_message_was_changed_on_its_way_is_refused_and_told_so() {
    let mut world = World::plain();
    // The last byte of IKE_SA_INIT's answer but one is of a notify's number: another notify, which AUTH covers.
    world.tamper = Some(Box::new(|end, payload: &mut Vec<u8>| {
        if end == 1 && Header::parse(payload).is_ok_and(|header| header.exchange == ExchangeType::IKE_SA_INIT)
        {
            *payload.last_mut().unwrap() ^= 0x80;
        }
    }));
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(
        world.failures(0),
        ["the AUTH of peer right.example.org does not fit our key; see that both ends have the same PSK"]
    );
    let told = |event: &Event| {
        matches!(
            event,
            Event::IkeDown {
                reason: Failure::Deleted,
                ..
            }
        )
    };
    assert!(world.ends[1].events.iter().any(told));
    assert!(world.ends.iter().all(|end| end.plane.outbound.is_empty()));
}

#[test]
fn lifetimes_rekey_for_days_and_nothing_grows() {
    let mut world = World::of(|_, profile| profile.liveness = seconds(600)).established();
    world.traffic = false;
    world.run(3 * 24 * 3_600_000);
    assert_eq!(world.counts(), (1, 1));
    let counters = world.ends[0].engine.counters();
    assert!(
        counters.ike_rekeys >= 18 && counters.child_rekeys >= 72,
        "{counters:?}"
    );
    assert_eq!(counters.retransmissions, 0);
    world.run(10_000);
    assert_eq!(world.ends[0].engine.ikes().count(), 1);
    assert_eq!(
        (
            world.ends[0].plane.inbound.len(),
            world.ends[1].plane.inbound.len()
        ),
        (1, 1)
    );
}
