//! Ends that show who they are by certificates (those of lib/ikev2/tests/certificates).

use std::sync::Arc;
use std::time::Duration;

use ike_engine::{Event, Identity, LocalAuth, Profile, RemoteAuth, Settings};
use ikev2::certificate::{Authorities, Clock, Credentials, X509, distinguished_name};
use ikev2::crypto::{RsaPadding, Secret, SigningKey};
use ikev2::wire::{Body, Message, NotifyType};

use crate::network::Network;
use crate::profiles::{self, ip, psk};
use crate::world::World;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../../ikev2/tests/certificates/", $name))
    };
}

/// 1 March 2027: certificates of ends are valid until August 2029, those of CAs for 27 years.
pub(crate) const NOW: Clock = Duration::from_secs(1_803_859_200);

/// What an end shows: RSA comes with the certificate between it and the CA.
fn files(end: usize, kind: &str) -> (String, &'static str) {
    let (chain, key) = match (end, kind) {
        (0, "ecdsa256") => (file!("left-ecdsa256.pem"), file!("left-ecdsa256.key")),
        (0, "ecdsa384") => (file!("left-ecdsa384.pem"), file!("left-ecdsa384.key")),
        (0, "ed25519") => (file!("left-ed25519.pem"), file!("left-ed25519.key")),
        (0, _) => (file!("left-rsa.pem"), file!("left-rsa.key")),
        (_, "ecdsa256") => (file!("right-ecdsa256.pem"), file!("right-ecdsa256.key")),
        (_, "ecdsa384") => (file!("right-ecdsa384.pem"), file!("right-ecdsa384.key")),
        (_, "ed25519") => (file!("right-ed25519.pem"), file!("right-ed25519.key")),
        (_, _) => (file!("right-rsa.pem"), file!("right-rsa.key")),
    };
    let between = if kind.starts_with("rsa") {
        file!("intermediate.pem")
    } else {
        ""
    };
    (format!("{chain}{between}"), key)
}

pub(crate) fn credentials(end: usize, kind: &str) -> LocalAuth {
    let (chain, key) = files(end, kind);
    let key = SigningKey::from_pem(&Secret::from(key.as_bytes().to_vec())).unwrap();
    let padding = match kind {
        "rsa-pss" => RsaPadding::Pss,
        _ => RsaPadding::Pkcs1,
    };
    LocalAuth::Signature(Arc::new(Credentials::new(&chain, key, padding).unwrap()))
}

pub(crate) fn authorities(pem: &str) -> RemoteAuth {
    RemoteAuth::Signature(Arc::new(Authorities::from_pem(pem).unwrap()))
}

/// Has both ends authenticate by such certificates of the CA that both believe.
pub(crate) fn set(end: usize, profile: &mut Profile, kind: &str) {
    profile.local_auth = credentials(end, kind);
    profile.remote_auth = authorities(file!("root.pem"));
}

pub(crate) fn tell_time(world: &mut World) {
    world.tell_time(NOW);
}

fn world(change: impl Fn(usize, &mut Profile)) -> World {
    let mut world = World::of(change);
    tell_time(&mut world);
    world
}

/// Initiates, and gives the sentences of both ends: each refuses once, or is told that it is refused.
fn refused(mut world: World) -> [Vec<String>; 2] {
    world.initiate(0);
    world.run(2000);
    assert_eq!(world.counts(), (0, 0), "{}", world.show());
    // Nothing but a last answer is left, and that not for long.
    world.run(60_000);
    for end in &world.ends {
        assert_eq!(end.engine.ikes().count(), 0);
        assert!(end.plane.inbound.is_empty());
    }
    [world.failures(0), world.failures(1)]
}

const KINDS: [&str; 5] = ["rsa", "rsa-pss", "ecdsa256", "ecdsa384", "ed25519"];

#[test]
fn every_kind_of_certificate_is_taken_from_both_ends() {
    for (at, kind) in KINDS.into_iter().enumerate() {
        for other in [kind, KINDS[(at + 1) % KINDS.len()]] {
            let mut world = world(|end, profile| set(end, profile, [kind, other][end]));
            world.initiate(0);
            world.run(1000);
            assert_eq!(world.counts(), (1, 1), "{kind} {other}");
            let view = world.ikes(1).remove(0);
            assert_eq!(view.peer, Some(Identity::fqdn("left.example.org")));
            world.call(1, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
            world.run(1000);
            assert_eq!(world.counts(), (1, 1), "{kind} {other}");
        }
    }
}

#[test]
fn one_end_may_have_a_certificate_and_the_other_a_key() {
    for (certified, kind) in [(0, "ecdsa256"), (1, "rsa")] {
        let mut world = world(|end, profile| {
            if end == certified {
                profile.local_auth = credentials(end, kind);
            } else {
                profile.remote_auth = authorities(file!("root.pem"));
            }
        });
        world.initiate(0);
        world.run(1000);
        assert_eq!(world.counts(), (1, 1), "end {certified}: {}", world.show());
    }
}

#[test]
fn identities_of_all_types_are_those_of_the_certificate() {
    let names = [
        ["left", "192.0.2.1", "2001:db8::1"],
        ["right", "192.0.2.2", "2001:db8::2"],
    ];
    let of: [&dyn Fn(usize) -> Identity; 5] = [
        &|end| Identity::mail(&format!("{}@example.org", names[end][0])),
        &|end| Identity::address(ip(names[end][1])),
        &|end| Identity::address(ip(names[end][2])),
        &|end| {
            let LocalAuth::Signature(credentials) = credentials(end, "ed25519") else {
                unreachable!()
            };
            Identity::distinguished_name(credentials.leaf().map_or(&[], X509::subject))
        },
        // As an operator writes it: in other cases and strings of another type.
        &|end| {
            let name = format!("C=AQ, O=tollgate tests, CN={}", names[end][0]);
            Identity::distinguished_name(&distinguished_name(&name).unwrap())
        },
    ];
    for identity in of {
        let mut world = world(|end, profile| {
            set(end, profile, "ed25519");
            profile.local_id = identity(end);
            profile.remote_id = Some(identity(1 - end));
        });
        world.initiate(0);
        world.run(1000);
        assert_eq!(world.counts(), (1, 1), "{}: {}", identity(0), world.show());
    }
}

#[test]
fn large_certificates_go_in_fragments_through_a_small_mtu() {
    let both = [0, 1].map(|end| {
        let mut profile = profiles::profile(end);
        set(end.into(), &mut profile, "rsa");
        profile
    });
    let mut network = Network::good(3);
    network.mtu = 1280;
    network.loss = 20;
    let mut world = World::new(3, [Settings::default(); 2], both, network);
    tell_time(&mut world);
    world.initiate(0);
    world.run(30_000);
    assert_eq!(world.counts(), (1, 1), "{}", world.show());
    assert_eq!(world.network.too_big, 0);
    // IKE_SA_INIT is one datagram, IKE_AUTH several.
    assert!(world.ends[1].sent.len() > 3);
}

#[test]
fn certificates_and_hashes_are_asked_for_where_they_are_wanted_and_nowhere_else() {
    let asks = |world: &World, end: usize| {
        let (_, _, message) = &world.ends[end].sent[0];
        let message = Message::parse(message).unwrap();
        let (mut hashes, mut requests) = (0, Vec::new());
        for payload in message.payloads.iter() {
            match payload.body {
                Body::Notify(notify) if notify.kind == NotifyType::SIGNATURE_HASH_ALGORITHMS => hashes += 1,
                Body::CertificateRequest(request) => requests.push(request.data.len()),
                _ => {}
            }
        }
        (hashes, requests)
    };
    let mut plain = World::plain();
    plain.initiate(0);
    plain.run(1000);
    let mut world = world(|end, profile| {
        set(end, profile, "ecdsa256");
        profile.remote_auth = authorities(concat!(file!("root.pem"), file!("root.pem"), file!("other.pem")));
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!([asks(&plain, 0), asks(&plain, 1)], [(0, vec![]), (0, vec![])]);
    // The responder asks by a hash for each CA, the initiator does so in IKE_AUTH.
    assert_eq!([asks(&world, 0), asks(&world, 1)], [(1, vec![]), (1, vec![40])]);
}

#[test]
fn another_ca_is_refused_by_either_end() {
    let other = |refuses: usize| {
        world(move |end, profile| {
            set(end, profile, "ecdsa256");
            if end == refuses {
                profile.remote_auth = authorities(file!("impostor.pem"));
            }
        })
    };
    for refuses in 0..2 {
        let sentences = refused(other(refuses));
        let name = ["right", "left"][refuses];
        assert_eq!(
            sentences[refuses],
            [format!(
                "the certificate of C=AQ, O=Tollgate tests, CN={name} is issued by C=AQ, O=Tollgate tests, CN=root, and no chain leads from \
                 there to a CA of ours: C=AQ, O=Tollgate tests, CN=root; add its CA, or have the peer send the certificates between"
            )]
        );
    }
    assert!(refused(other(1))[0][0].starts_with("the peer refuses IKE_AUTH with AUTHENTICATION_FAILED"));
}

#[test]
fn a_certificate_counts_in_its_time_only() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for (clock, sentence) in [
        (NOW + days(1200), "CN=left expired"),
        (NOW - days(300), "CN=left is valid in"),
    ] {
        let mut world = World::of(|end, profile| set(end, profile, "ecdsa256"));
        tell_time(&mut world);
        world.call(1, |engine, now| engine.set_time_of_day(now, clock));
        let sentences = refused(world);
        assert!(sentences[1][0].contains(sentence), "{sentences:?}");
    }
    // The clock goes on by itself.
    let mut world = World::of(|end, profile| set(end, profile, "ecdsa256"));
    tell_time(&mut world);
    world.run(1200 * 86_400_000);
    assert!(refused(world)[1][0].contains("CN=left expired"));
    // And nothing is taken without one.
    let sentences = refused(World::of(|end, profile| set(end, profile, "ecdsa256")));
    assert!(
        sentences[1][0].contains("the time of day is not known"),
        "{sentences:?}"
    );
}

#[test]
fn who_says_to_be_another_is_refused_whatever_its_certificate() {
    let sentences = refused(world(|end, profile| {
        set(end, profile, "ed25519");
        if end == 0 {
            profile.local_id = Identity::fqdn("else.example.org");
        } else {
            profile.remote_id = None;
        }
    }));
    assert!(
        sentences[1][0]
            .starts_with("the peer says to be else.example.org, and its certificate is for subject C=AQ"),
        "{sentences:?}"
    );
    // The initiator looks as well.
    let sentences = refused(world(|end, profile| {
        set(end, profile, "ed25519");
        if end == 1 {
            profile.local_id = Identity::fqdn("else.example.org");
        } else {
            profile.remote_id = None;
        }
    }));
    assert!(
        sentences[0][0].starts_with("the peer says to be else.example.org"),
        "{sentences:?}"
    );
}

#[test]
fn a_hash_that_the_peer_does_not_take_ends_it_with_a_sentence() {
    let mut world = world(|end, profile| set(end, profile, "ecdsa256"));
    world.tamper = Some(Box::new(|end, bytes| {
        let hashes = [0, 2, 0, 3, 0, 4, 0, 5];
        if end == 1
            && let Some(at) = bytes.windows(8).position(|window| window == hashes)
        {
            bytes[at..at + 8].copy_from_slice(&[0, 4, 0, 4, 0, 4, 0, 1]);
        }
    }));
    world.initiate(0);
    world.run(60_000);
    assert_eq!(
        world.failures(0),
        [
            "the peer takes signatures with SHA2-512, and our key for ECDSA P-256 needs SHA2-256: allow that at the peer, or use another key"
        ]
    );
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn another_way_to_authenticate_is_refused() {
    let sentences = refused(world(|end, profile| {
        if end == 0 {
            set(end, profile, "ecdsa256");
        }
    }));
    // It takes no signatures, so that the old way to sign is all that is left.
    assert!(
        sentences[1][0].starts_with(
            "peer authenticates by ECDSA with SHA-256 on the P-256 curve, and its profile wants a shared key"
        ),
        "{sentences:?}"
    );
    let sentences = refused(world(|end, profile| {
        if end == 1 {
            set(end, profile, "rsa");
        } else {
            profile.local_auth = LocalAuth::Psk(psk());
        }
    }));
    assert!(
        sentences[1][0].contains("its profile wants a signature and a certificate"),
        "{sentences:?}"
    );
}

#[test]
fn signatures_cover_what_was_sent() {
    // A NAT payload that is changed on the way is found by who checks the signature.
    let mut world = world(|end, profile| set(end, profile, "ed25519"));
    world.tamper = Some(Box::new(|end, bytes| {
        let marker = [0, 2, 0, 3, 0, 4, 0, 5];
        if end == 0
            && let Some(at) = bytes.windows(8).position(|window| window == marker)
        {
            bytes[at + 1] = 4;
        }
    }));
    let sentences = refused(world);
    assert!(
        sentences[1][0].starts_with("the peer's signature, Ed25519, is not by the key of its certificate"),
        "{sentences:?}"
    );
}

#[test]
fn what_is_refused_makes_no_event_of_an_ike_sa() {
    let mut world = world(|end, profile| {
        set(end, profile, "rsa");
        if end == 0 {
            profile.remote_auth = authorities(file!("other.pem"));
        }
    });
    world.initiate(0);
    world.run(2000);
    assert!(
        !world.ends[0]
            .events
            .iter()
            .any(|event| matches!(event, Event::IkeUp { .. }))
    );
    // The responder had it, and was told to delete it.
    assert!(
        world.ends[1]
            .events
            .iter()
            .any(|event| matches!(event, Event::IkeDown { .. }))
    );
}
