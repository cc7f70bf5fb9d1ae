//! IKE_AUTH has no key exchange for its child SA: whether both ends agree on a group is tried right behind it (RFC 7296 §1.2).

use ike_engine::Profile;

use crate::profiles::{child, esp};
use crate::world::{Kill, World};

/// Both ends with these proposals for ESP.
fn proposing(texts: [&'static str; 2]) -> impl Fn(usize, &mut Profile) {
    move |end, profile| {
        profile
            .children
            .iter_mut()
            .for_each(|child| child.proposals = esp(&[texts[end]]));
    }
}

fn rekeys(world: &World) -> u64 {
    world.ends[0].engine.counters().child_rekeys
}

fn group(world: &World) -> Option<String> {
    let child = &world.ikes(0)[0].children[0];
    child.suite.group().map(|group| group.to_string())
}

#[test]
fn a_child_sa_of_ike_auth_is_rekeyed_once_and_soon() {
    let mut world = World::of(proposing(["aes256gcm16-curve25519-esn"; 2])).established();
    world.run(1900);
    assert_eq!((rekeys(&world), group(&world)), (0, None));
    world.run(6000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(
        (rekeys(&world), group(&world)),
        (1, Some("curve25519".to_owned()))
    );
    world.traffic = false;
    world.run(2_000_000);
    assert_eq!(rekeys(&world), 1);
    assert_eq!((world.failures(0), world.failures(1)), (vec![], vec![]));
    assert_eq!((world.counts(), world.packets_lost), ((1, 1), 0));
}

#[test]
fn nothing_is_tried_where_nothing_is_unknown() {
    // No group; a first child SA with a key exchange of its own; and a second one beside that of IKE_AUTH, which has one too.
    let cases: [(&str, bool, usize, u64); 3] = [
        ("aes256gcm16-esn", false, 1, 0),
        ("aes256gcm16-curve25519-esn", true, 1, 0),
        ("aes256gcm16-curve25519-esn", false, 2, 1),
    ];
    for (proposal, childless, children, expected) in cases {
        let mut world = World::of(|end, profile| {
            profile.childless = childless;
            profile
                .children
                .extend((1..children).map(|number| child(end as u8, number as u8)));
            proposing([proposal; 2])(end, profile);
        })
        .established();
        world.traffic = false;
        world.run(2_000_000);
        assert_eq!(rekeys(&world), expected, "{proposal} {childless} {children}");
        assert_eq!(world.counts(), (1, children));
    }
}

/// What is said of ends that do not agree.
const REFUSED: &str = "peer refuses curve25519 or ecp256 when the child SA is rekeyed, and has taken the rest before: it wants no key exchange, \
                       or another group; change proposals of child net0 of profile pr1 of one end";

#[test]
fn ends_that_do_not_agree_are_told_in_seconds_and_the_tunnel_goes_on() {
    for (theirs, wanted) in [
        ("aes256gcm16-esn", "we allow no key exchange"),
        ("aes256gcm16-modp2048-esn", "we allow modp2048"),
    ] {
        let ours = "aes256gcm16-curve25519-ecp256-esn";
        let mut world = World::of(proposing([ours, theirs])).established();
        let before = world.ikes(0).remove(0).children;
        world.run(10_000);
        assert_eq!(world.failures(0), [REFUSED]);
        let there = world.failures(1);
        assert!(
            there.len() == 1
                && there[0].contains("peer wants curve25519 or ecp256")
                && there[0].contains(wanted),
            "{there:?}"
        );
        assert_eq!(world.counts(), (1, 1));
        assert_eq!(world.ikes(0)[0].children, before);
        assert!(world.packets > 15_000);
        assert_eq!(world.packets_lost, 0);
        // It is tried again when it is to be rekeyed, and not before.
        world.traffic = false;
        world.run(2_800_000);
        assert_eq!(world.failures(0).len(), 1);
        world.run(1_000_000);
        assert!(world.failures(0).len() > 1);
        assert_eq!(world.ikes(0)[0].children, before);
    }
}

#[test]
fn the_next_process_tries_it_and_knows_when_to_try_again() {
    for (theirs, failures, rekeyed) in [
        ("aes256gcm16-curve25519-ecp256-esn", vec![], 1),
        ("aes256gcm16-esn", vec![REFUSED], 0),
    ] {
        let ours = "aes256gcm16-curve25519-ecp256-esn";
        let mut world = World::of(proposing([ours, theirs])).keep().established();
        let revived = world.now + 200;
        world.ends[0].kept.kill = Some((Kill::Doing(0), revived));
        // Any call is killed, so that of a packet that means nothing, too.
        world.call(0, |engine, now| engine.timeout(now));
        assert!(world.ends[0].dead);
        world.traffic = false;
        world.run(2_000_000);
        assert_eq!(world.ends[0].kept.kills, 1);
        assert_eq!(world.failures(0), failures);
        assert_eq!(world.counts(), (1, 1));
        assert_eq!(rekeys(&world), rekeyed);
    }
}
