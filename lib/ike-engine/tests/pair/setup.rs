//! IKE_SA_INIT and IKE_AUTH.

use std::sync::Arc;

use ike_engine::{Event, Identity, LocalAuth, Settings};
use ikev2::crypto::Secret;

use crate::profiles::{child, esp, ike, profile, range};
use crate::world::World;

#[test]
fn two_messages_each_make_an_ike_sa_and_a_child_sa() {
    let mut world = World::plain();
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    for end in &world.ends {
        assert_eq!(end.sent.len(), 2);
        let ups = end
            .events
            .iter()
            .filter(|event| matches!(event, Event::IkeUp { .. } | Event::ChildUp { .. }));
        assert_eq!(ups.count(), 2);
    }
    let view = world.ikes(0).remove(0);
    assert_eq!(
        view.suite.unwrap().to_string(),
        "aes256gcm16-prfsha256-curve25519"
    );
    assert_eq!(view.peer, Some(Identity::fqdn("right.example.org")));
    let child = &view.children[0];
    assert_eq!(
        (
            child.suite.to_string(),
            child.suite.has_extended_sequence_numbers()
        ),
        ("aes256gcm16".to_owned(), true)
    );
    assert!(child.in_use);
    // What comes in is taken before the answer goes out, and the answer is the last that is done.
    let first: Vec<&str> = world.ends[1]
        .plane
        .log
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(first, ["in+", "out+", "switch"]);
}

#[test]
fn selectors_are_narrowed_to_what_both_ends_allow() {
    let mut world = World::of(|end, profile| {
        let wide = vec![range("10.0.0.0", "10.255.255.255"), range("fd00::", "fd00::ffff")];
        if end == 0 {
            profile.children[0].remote = wide;
        }
    });
    world.initiate(0);
    world.run(1000);
    let child = world.ikes(0).remove(0).children.remove(0);
    assert_eq!(child.theirs, vec![range("10.1.0.0", "10.1.0.255")]);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn several_children_are_asked_for_one_after_the_other() {
    let mut world = World::of(|end, profile| {
        profile
            .children
            .extend([child(end as u8, 1), child(end as u8, 2)]);
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 3));
}

#[test]
fn childless_has_its_children_made_afterwards() {
    let mut world = World::of(|end, profile| profile.childless = end == 0);
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.ends[0].sent.len(), 3);

    let mut world = World::of(|_, profile| {
        profile.childless = true;
        profile.children.clear();
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 0));
}

#[test]
fn cookie_and_another_group_are_asked_for_in_one_negotiation() {
    let settings = Settings {
        cookie_threshold: 0,
        ..Settings::default()
    };
    let mut world = World::with([settings; 2], |end, profile| {
        profile.proposals = ike(if end == 0 {
            &["aes256gcm16-prfsha256-curve25519-ecp256"]
        } else {
            &["aes256gcm16-prfsha256-ecp256"]
        });
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    // Bare, with the cookie, with the cookie and the other group, IKE_AUTH.
    assert_eq!(world.ends[0].sent.len(), 4);
    assert_eq!(world.ends[1].engine.counters().cookies, 1);
    let suite = world.ikes(1).remove(0).suite.unwrap();
    assert_eq!(suite.to_string(), "aes256gcm16-prfsha256-ecp256");
}

#[test]
fn every_suite_carries_all_exchanges() {
    for (suite, child) in [
        ("aes128-sha256-modp2048", "aes128-sha256-modp2048"),
        ("aes256-sha512-ecp384", "aes256-sha384-ecp521"),
        ("chacha20poly1305-prfsha384-ecp521", "chacha20poly1305-curve25519"),
        ("aes128gcm16-prfsha512-ecp256", "null-sha256-esn"),
    ] {
        let mut world = World::of(|_, profile| {
            profile.proposals = ike(&[suite]);
            profile.children[0].proposals = esp(&[child]);
        });
        world.initiate(0);
        world.run(1000);
        world
            .call(1, |engine, now| engine.rekey_children(now, "pr1"))
            .unwrap();
        world.run(1000);
        world.call(0, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
        world.run(1000);
        assert_eq!(world.counts(), (1, 1), "{suite} {child}");
        assert_eq!(world.ends[0].engine.counters().ike_rekeys, 1);
        assert_eq!(world.ends[0].engine.counters().child_rekeys, 1);
    }
}

#[test]
fn a_wrong_key_ends_it_on_both_ends_with_a_sentence() {
    let mut world = World::of(|end, profile| {
        if end == 0 {
            profile.local_auth = LocalAuth::Psk(Arc::new(Secret::from(b"another".to_vec())));
        }
    });
    world.initiate(0);
    world.run(100);
    assert_eq!(world.counts(), (0, 0));
    assert!(world.failures(0)[0].starts_with("the peer refuses IKE_AUTH with AUTHENTICATION_FAILED"));
    assert_eq!(
        world.failures(1),
        ["the AUTH of peer left.example.org does not fit our key; see that both ends have the same PSK"]
    );
    // The last answer is kept for a while, and then nothing is left.
    world.run(60_000);
    assert_eq!(world.ends[1].engine.ikes().count(), 0);
}

#[test]
fn an_identity_that_nobody_expects_is_refused() {
    let mut world = World::of(|end, profile| {
        if end == 0 {
            profile.local_id = Identity::fqdn("else.example.org");
        }
    });
    world.initiate(0);
    world.run(100);
    assert_eq!(world.counts(), (0, 0));
    assert!(world.failures(1)[0].starts_with("peer says to be else.example.org and wants right.example.org"));
}

#[test]
fn a_peer_of_a_profile_with_other_proposals_than_were_agreed_on_is_refused_with_that_sentence() {
    let mut world = World::plain();
    let both = [0, 1].map(|number| {
        let mut profile = profile(1);
        if number == 0 {
            profile.remote_id = Some(Identity::fqdn("else.example.org"));
        } else {
            profile.name = "pr2".to_owned();
            profile.proposals = ike(&["aes256gcm16-prfsha256-ecp256"]);
        }
        profile
    });
    world.call(1, |engine, now| engine.set_profiles(now, both.to_vec(), &[]));
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(
        world.failures(1),
        [
            "peer left.example.org is of profile pr2, whose ike_proposals do not allow what another profile between the same addresses has \
          agreed to; give them the same ike_proposals"
        ]
    );
    assert!(world.failures(0)[0].contains("AUTHENTICATION_FAILED"));
}

#[test]
fn proposals_without_anything_in_common_are_told_in_one_sentence() {
    let mut world = World::of(|end, profile| {
        profile.proposals = ike(&[
            ["aes256gcm16-prfsha256-modp2048"],
            ["aes256gcm16-prfsha256-curve25519"],
        ][end]);
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(
        world.failures(1),
        ["peer wants modp2048, we allow curve25519: change ike_proposals of profile pr1 of one end"]
    );
    assert!(world.failures(0)[0].starts_with("the peer refuses IKE_SA_INIT with NO_PROPOSAL_CHOSEN"));
}

#[test]
fn a_child_sa_that_is_refused_leaves_the_ike_sa() {
    let mut world = World::of(|end, profile| {
        if end == 0 {
            profile.children[0].remote = vec![range("172.16.0.0", "172.16.0.255")];
        }
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 0));
    assert_eq!(
        world.failures(1),
        [
            "peer wants traffic 10.0.0.0-10.0.0.255 with 172.16.0.0-172.16.0.255, profile pr1 allows 10.0.0.0-10.0.0.255 with \
          10.1.0.0-10.1.0.255: change the traffic selectors of one end"
        ]
    );
    assert!(world.failures(0)[0].contains("TS_UNACCEPTABLE; compare the traffic selectors"));
}

#[test]
fn a_peer_that_is_not_there_is_given_up_after_all_attempts() {
    let mut world = World::plain();
    world.ends[1].dead = true;
    world.initiate(0);
    world.run(39_000);
    assert_eq!(world.ends[0].sent.len(), 8);
    assert_eq!(world.ikes(0).len(), 1);
    world.run(1000);
    assert_eq!(world.ikes(0).len(), 0);
    assert!(
        world.failures(0)[0].starts_with("the peer has not answered IKE_SA_INIT, which was sent 8 times")
    );
    // All are the same bytes.
    assert!(
        world.ends[0]
            .sent
            .iter()
            .all(|(_, _, payload)| *payload == world.ends[0].sent[0].2)
    );
}
