//! Two engines, seen from inside: for what cannot be seen from outside of this crate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ikev2::crypto::Secret;
use ikev2::proposal::Proposal;
use ikev2::wire::{ProtocolId, TrafficSelector};

use crate::{
    ChildProfile, Engine, Event, Identity, Lifetime, LocalAuth, Output, Profile, RemoteAuth, Settings,
    StartAction, Time,
};

pub(crate) const NOW: Time = Time::from_millis(1000);

/// The end that answers has address 0 and takes anybody who knows the key; the others have an identity of their own.
pub(crate) fn profile(end: u8) -> Profile {
    let [here, there] = if end == 0 { [0, 1] } else { [end, 0] };
    let address = |end: u8| IpAddr::from([192, 0, 2, end]);
    let all = || vec![TrafficSelector::new(0, (0, 0xffff), address(0), address(255)).unwrap()];
    let proposals = |protocol, text| vec![Proposal::parse(protocol, text).unwrap()];
    let lifetime = Lifetime {
        soft: Duration::from_secs(3600),
        jitter: Duration::from_secs(60),
        hard: Duration::from_secs(7200),
    };
    let key = Arc::new(Secret::from(b"of both".to_vec()));
    Profile {
        name: "pr1".to_owned(),
        local_address: address(here),
        remote_address: (end != 0).then(|| address(there)),
        local_id: Identity::address(address(here)),
        remote_id: (end != 0).then(|| Identity::address(address(there))),
        local_auth: LocalAuth::Psk(key.clone()),
        remote_auth: RemoteAuth::Psk(key),
        proposals: proposals(ProtocolId::IKE, "aes256gcm16-prfsha256-curve25519"),
        children: vec![ChildProfile {
            name: "net".to_owned(),
            proposals: proposals(ProtocolId::ESP, "aes256gcm16-esn"),
            local: all(),
            remote: all(),
            lifetime,
        }],
        childless: false,
        lifetime,
        liveness: Duration::from_secs(30),
        start: StartAction::None,
        dead_peer: None,
    }
}

pub(crate) fn engine(profiles: Vec<Profile>, seed: u64) -> Engine {
    let mut state = seed;
    let random = move |bytes: &mut [u8]| {
        bytes.fill_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
    };
    Engine::new(NOW, Settings::default(), profiles, Box::new(random))
}

/// Carries what an end says to the other; whether it said anything.
pub(crate) fn carry(now: Time, from: &mut Engine, to: &mut Engine) -> bool {
    let mut carried = false;
    while let Some(output) = from.output() {
        if let Output::Send(sent) = output {
            to.handle(now, sent.path.remote, sent.path.local, &sent.payload);
            carried = true;
        }
    }
    carried
}

/// Makes an IKE SA from an end that has just been started.
pub(crate) fn contact(now: Time, gateway: &mut Engine, end: u8, seed: u64) {
    let mut peer = engine(vec![profile(end)], seed);
    peer.initiate(now, "pr1").unwrap();
    while carry(now, &mut peer, gateway) | carry(now, gateway, &mut peer) {}
}

#[test]
fn a_responder_that_is_another_than_the_profile_expects_is_said_to_be() {
    let (mut gateway, mut peer) = (engine(vec![profile(0)], 1), engine(vec![profile(1)], 2));
    peer.initiate(NOW, "pr1").unwrap();
    carry(NOW, &mut peer, &mut gateway);
    carry(NOW, &mut gateway, &mut peer);
    carry(NOW, &mut peer, &mut gateway);
    // A responder need not be whom the initiator asks for. Ours refuses then, so that it was asked for as who it is.
    peer.core.profiles = vec![Arc::new(Profile {
        remote_id: Some(Identity::fqdn("else.example.org")),
        ..profile(1)
    })];
    carry(NOW, &mut gateway, &mut peer);
    let mut said = Vec::new();
    while let Some(output) = peer.output() {
        if let Output::Event(Event::Failed { reason, .. }) = output {
            said.push(reason.to_string());
        }
    }
    assert_eq!(
        said,
        [
            "the peer is 192.0.2.0, and profile pr1 expects else.example.org; change its remote_id, or the peer's identity"
        ]
    );
}

#[test]
fn nothing_is_left_of_profiles_that_are_gone() {
    let keys_of = |profile: &Profile| match &profile.local_auth {
        LocalAuth::Psk(key) => key.clone(),
        LocalAuth::Signature(_) => unreachable!(),
    };
    let (mut gateway, mut peer) = (engine(vec![profile(0)], 1), engine(Vec::new(), 2));
    for round in 0..10 {
        let mut next = profile(1);
        next.name = format!("pr{round}");
        let key = keys_of(&next);
        peer.set_profiles(NOW, vec![next], &[]);
        peer.initiate(NOW, &format!("pr{round}")).unwrap();
        while carry(NOW, &mut peer, &mut gateway) | carry(NOW, &mut gateway, &mut peer) {}
        assert_eq!(
            peer.core.contacts.of_profile(0) + peer.core.contacts.of_profile(1),
            1
        );
        peer.set_profiles(NOW, Vec::new(), &[]);
        // Its IKE SA is being deleted, and its key is nobody's but ours any more.
        assert_eq!(peer.ikes().count(), 1);
        assert_eq!(Arc::strong_count(&key), 1);
        // The last of all is not deleted before the next takes the place of one before it.
        if round % 3 != 0 {
            while carry(NOW, &mut peer, &mut gateway) | carry(NOW, &mut gateway, &mut peer) {}
            assert_eq!(peer.ikes().count(), 0);
        }
        assert!(peer.core.profiles.len() <= 2, "{}", peer.core.profiles.len());
    }
}
