//! What is written down, seen from inside: which IKE SAs a call is about, and records that are damaged in batches that are whole.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ikev2::proposal::Proposal;
use ikev2::wire::{ProtocolId, TrafficSelector};

use super::*;
use crate::{ChildProfile, Identity, Lifetime, LocalAuth, Output, Profile, RemoteAuth, Settings};

const NOW: Time = Time::from_millis(1000);

/// The end that answers has address 0 and takes anybody who knows the key; the others have an identity of their own.
fn profile(end: u8) -> Profile {
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
    }
}

fn engine(profiles: Vec<Profile>, seed: u64) -> Engine {
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
fn carry(now: Time, from: &mut Engine, to: &mut Engine) -> bool {
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
fn contact(now: Time, gateway: &mut Engine, end: u8, seed: u64) {
    let mut peer = engine(vec![profile(end)], seed);
    peer.initiate(now, "pr1").unwrap();
    while carry(now, &mut peer, gateway) | carry(now, gateway, &mut peer) {}
}

#[test]
fn a_call_is_about_the_ike_sas_that_it_does_something_with() {
    let other = Profile {
        name: "pr2".to_owned(),
        ..profile(0)
    };
    let mut gateway = engine(vec![profile(0), other], 1);
    gateway.changes();
    (1..=5).for_each(|end| contact(NOW, &mut gateway, end, end.into()));
    assert_eq!(gateway.sas.len(), 5);
    gateway.changes();
    // One of them has forgotten everything, and says so: it is about the new IKE SA, and about the old one.
    contact(NOW + Duration::from_secs(1), &mut gateway, 3, 99);
    assert_eq!(gateway.sas.len(), 5);
    assert_eq!(gateway.kept.marked.len(), 2);
    gateway.changes();
    // A profile without any.
    gateway.delete_children(NOW, "pr2").unwrap();
    gateway.rekey_ike(NOW, "pr2").unwrap();
    gateway.rekey_children(NOW, "pr2").unwrap();
    gateway.set_profiles(NOW, Vec::new(), &["pr1"]);
    assert_eq!(gateway.kept.marked, BTreeSet::new());
    assert_eq!(gateway.sas.len(), 5);
}
