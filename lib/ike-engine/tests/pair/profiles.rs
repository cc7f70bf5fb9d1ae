//! Profiles that fit each other, to be changed by tests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ike_engine::{ChildProfile, Identity, Lifetime, LocalAuth, Profile, RemoteAuth, StartAction};
use ikev2::crypto::Secret;
use ikev2::proposal::Proposal;
use ikev2::wire::{ProtocolId, TrafficSelector};

pub(crate) const LEFT: &str = "192.0.2.1";
pub(crate) const RIGHT: &str = "198.51.100.2";
pub(crate) const OUTSIDE: &str = "203.0.113.3";

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn proposals(protocol: ProtocolId, texts: &[&str]) -> Vec<Proposal> {
    texts
        .iter()
        .map(|text| Proposal::parse(protocol, text).unwrap())
        .collect()
}

pub(crate) fn ike(texts: &[&str]) -> Vec<Proposal> {
    proposals(ProtocolId::IKE, texts)
}

pub(crate) fn esp(texts: &[&str]) -> Vec<Proposal> {
    proposals(ProtocolId::ESP, texts)
}

pub(crate) fn range(first: &str, last: &str) -> TrafficSelector {
    TrafficSelector::new(0, (0, 0xffff), ip(first), ip(last)).unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The subnets of one end, by number of the child.
fn subnet(end: u8, child: u8) -> Vec<TrafficSelector> {
    vec![range(
        &format!("10.{end}.{child}.0"),
        &format!("10.{end}.{child}.255"),
    )]
}

pub(crate) fn lifetime(soft: u64) -> Lifetime {
    Lifetime {
        soft: seconds(soft),
        jitter: seconds(soft / 5),
        hard: seconds(soft * 3),
    }
}

pub(crate) fn child(end: u8, number: u8) -> ChildProfile {
    ChildProfile {
        name: format!("net{number}"),
        proposals: esp(&["aes256gcm16-esn"]),
        local: subnet(end, number),
        remote: subnet(1 - end, number),
        lifetime: lifetime(3600),
    }
}

/// The key of both.
pub(crate) fn psk() -> Arc<Secret> {
    Arc::new(Secret::from(b"a long secret of both".to_vec()))
}

/// The profile of the first end (0) or of the other (1).
pub(crate) fn profile(end: u8) -> Profile {
    let names = ["left.example.org", "right.example.org"];
    let [here, there] = if end == 0 { [0, 1] } else { [1, 0] };
    Profile {
        name: "pr1".to_owned(),
        local_address: ip([LEFT, RIGHT][here]),
        remote_address: Some(ip([LEFT, RIGHT][there])),
        local_id: Identity::fqdn(names[here]),
        remote_id: Some(Identity::fqdn(names[there])),
        local_auth: LocalAuth::Psk(psk()),
        remote_auth: RemoteAuth::Psk(psk()),
        proposals: ike(&["aes256gcm16-prfsha256-curve25519"]),
        children: vec![child(end, 0)],
        childless: false,
        lifetime: lifetime(14_400),
        liveness: seconds(30),
        start: StartAction::None,
        dead_peer: None,
    }
}
