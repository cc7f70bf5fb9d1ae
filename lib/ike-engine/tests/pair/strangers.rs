//! What is kept of who has not shown who it is, and how often it is answered.

use std::net::SocketAddr;
use std::sync::Arc;

use ike_engine::{Datagram, Engine, LocalAuth, Output, Phase, Profile, Settings, Time};
use ikev2::crypto::Secret;
use ikev2::wire::{Body, ExchangeType, Flags, Header, IkeSpi, Message, NotifyType, PayloadWriter};

use crate::attack::{half_open, here, requests};
use crate::profiles::{LEFT, RIGHT, ike, ip, profile};
use crate::world::{World, engine};

/// Datagrams that an engine wants to send.
fn datagrams(engine: &mut Engine) -> Vec<Datagram> {
    let mut sent = Vec::new();
    while let Some(output) = engine.output() {
        if let Output::Send(datagram) = output {
            sent.push(datagram);
        }
    }
    sent
}

fn sent(engine: &mut Engine) -> Vec<Vec<u8>> {
    let sent = datagrams(engine).into_iter();
    sent.map(|datagram| datagram.payload).collect()
}

/// An initiator, and the end that it speaks to from any address.
pub(crate) struct Talk {
    peer: Engine,
    from: SocketAddr,
    pub(crate) now: Time,
}

impl Talk {
    pub(crate) fn new(now: Time, from: SocketAddr, seed: u64, change: impl Fn(&mut Profile)) -> Talk {
        let mut profile = profile(0);
        change(&mut profile);
        let mut peer = engine(now.as_millis(), Settings::default(), vec![profile], seed);
        peer.initiate(now, "pr1").unwrap();
        Talk { peer, from, now }
    }

    /// One message, and what is answered to it. The initiator finds a NAT, which its address is of.
    pub(crate) fn round(&mut self, other: &mut Engine) -> Vec<Vec<u8>> {
        for Datagram { path, payload } in datagrams(&mut self.peer) {
            let from = SocketAddr::new(self.from.ip(), path.local.port());
            other.handle(self.now, path.remote, from, &payload);
        }
        let answers = datagrams(other);
        for Datagram { path, payload } in &answers {
            let port = path.local.port();
            let [left, right]: [SocketAddr; 2] = [(ip(LEFT), port).into(), (ip(RIGHT), port).into()];
            self.peer.handle(self.now, left, right, payload);
        }
        answers.into_iter().map(|datagram| datagram.payload).collect()
    }
}

fn anybody(change: impl Fn(&mut Profile)) -> Profile {
    let mut profile = profile(1);
    profile.remote_address = None;
    change(&mut profile);
    profile
}

#[test]
fn who_is_refused_counts_until_its_refusal_goes_and_is_not_written_down() {
    let settings = Settings {
        cookie_threshold: usize::MAX,
        max_half_open: 20,
        ..Settings::default()
    };
    let mut gateway = engine(0, settings, vec![anybody(|_| {})], 1);
    gateway.changes();
    let wrong = |profile: &mut Profile| {
        profile.local_auth = LocalAuth::Psk(Arc::new(Secret::from(b"a guess".to_vec())));
    };
    let now = Time::from_millis(0);
    for number in 0..100_u8 {
        let from: SocketAddr = ([10, 9, 9, number], 500).into();
        let mut talk = Talk::new(now, from, 100 + u64::from(number), wrong);
        talk.round(&mut gateway);
        talk.round(&mut gateway);
        assert!(gateway.changes().is_none(), "a stranger was written down");
    }
    // Each was refused, and there were no more of them than there may be.
    let refused = gateway.ikes().filter(|view| view.phase == Phase::Closed).count();
    assert_eq!((refused, gateway.ikes().count()), (20, 20));
    assert_eq!(gateway.counters().limited, 80);
    // When the refusals go there is room again, for one address as well.
    let later = Time::from_millis(60_000);
    gateway.timeout(later);
    assert_eq!(gateway.ikes().count(), 0);
    let from: SocketAddr = ([10, 9, 9, 9], 500).into();
    let mut honest = Talk::new(later, from, 7, |_| {});
    honest.round(&mut gateway);
    honest.round(&mut gateway);
    assert_eq!(gateway.counters().established, 1);
}

#[test]
fn who_is_refused_has_as_few_as_others_at_one_address() {
    let mut gateway = engine(0, Settings::default(), vec![anybody(|_| {})], 1);
    let wrong = |profile: &mut Profile| {
        profile.local_auth = LocalAuth::Psk(Arc::new(Secret::from(b"a guess".to_vec())));
    };
    let from: SocketAddr = ([10, 9, 9, 9], 500).into();
    for number in 0..100 {
        let mut talk = Talk::new(Time::from_millis(0), from, 100 + number, wrong);
        // With a cookie one round more.
        (0..3).for_each(|_| drop(talk.round(&mut gateway)));
    }
    let refused = gateway.ikes().filter(|view| view.phase == Phase::Closed);
    assert_eq!(refused.count(), Settings::default().max_half_open_per_source);
}

/// What is answered to a first request of another group than ours.
fn asked_for_another_group(gateway: &mut Engine) -> bool {
    let from: SocketAddr = ([10, 8, 8, 8], 500).into();
    let other_first = |profile: &mut Profile| {
        profile.proposals = ike(&["aes256gcm16-prfsha256-curve25519-ecp256"]);
    };
    let mut talk = Talk::new(Time::from_millis(0), from, 5, other_first);
    let answers = talk.round(gateway);
    answers
        .iter()
        .any(|answer| says(answer, NotifyType::INVALID_KE_PAYLOAD))
}

fn says(message: &[u8], kind: NotifyType) -> bool {
    let message = Message::parse(message).unwrap();
    message
        .payloads
        .iter()
        .any(|payload| matches!(payload.body, Body::Notify(notify) if notify.kind == kind))
}

#[test]
fn who_uses_up_answers_of_one_kind_has_not_used_up_the_others() {
    let profile = anybody(|profile| profile.proposals = ike(&["aes256gcm16-prfsha256-ecp256"]));
    let settings = Settings {
        cookie_threshold: usize::MAX,
        ..Settings::default()
    };
    let mut gateway = engine(0, settings, vec![profile], 1);
    let (now, from): (Time, SocketAddr) = (Time::from_millis(0), ([10, 9, 9, 9], 500).into());
    let unknown = |number: u64| {
        let ours = IkeSpi(number.to_be_bytes());
        let header = Header::new(
            IkeSpi([1; 8]),
            ours,
            ExchangeType::INFORMATIONAL,
            Flags::INITIATOR,
            7,
        );
        let mut payloads = PayloadWriter::new();
        payloads.push(&Body::Nonce(&[7; 16])).unwrap();
        payloads.message(&header)
    };
    for number in 1..1000 {
        gateway.handle(now, here(), from, &unknown(number));
    }
    assert_eq!(sent(&mut gateway).len(), 16);
    assert!(asked_for_another_group(&mut gateway));
    // Of requests with nothing in common 16 are told so, whatever was asked of unknown IKE SAs.
    for request in requests(1000) {
        gateway.handle(now, here(), from, &request);
    }
    let refusals = sent(&mut gateway);
    assert!(
        refusals
            .iter()
            .all(|answer| says(answer, NotifyType::NO_PROPOSAL_CHOSEN))
    );
    assert_eq!(refusals.len(), 16);
    assert!(asked_for_another_group(&mut gateway));
}

#[test]
fn a_network_of_ipv6_has_as_many_half_open_sas_as_an_address() {
    let settings = Settings {
        cookie_threshold: usize::MAX,
        ..Settings::default()
    };
    let mut world = World::with([settings; 2], |end, profile| {
        if end == 1 {
            profile.local_address = ip("2001:db8::2");
            profile.remote_address = None;
        }
    });
    let here: SocketAddr = (ip("2001:db8::2"), 500).into();
    for (number, request) in requests(100).iter().enumerate() {
        let from: SocketAddr = (ip(&format!("2001:db8:1:1:{number:x}::1")), 500).into();
        world.call(1, |engine, now| engine.handle(now, here, from, request));
    }
    assert_eq!(half_open(&world), settings.max_half_open_per_source / 2);
    // The next network has its own.
    let from: SocketAddr = (ip("2001:db8:1:2::1"), 500).into();
    let request = requests(1).remove(0);
    world.call(1, |engine, now| engine.handle(now, here, from, &request));
    assert_eq!(half_open(&world), settings.max_half_open_per_source / 2 + 1);
}

#[test]
fn a_late_copy_of_a_first_request_makes_nothing() {
    let mut world = World::plain();
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    let (_, path, first) = world.ends[0].sent[0].clone();
    let answers = world.ends[1].sent.len();
    let late = |world: &mut World| {
        world.call(1, |engine, now| {
            engine.handle(now, path.remote, path.local, &first)
        });
    };
    late(&mut world);
    assert_eq!((half_open(&world), world.ends[1].sent.len()), (0, answers));
    // Nobody remembers it for ever.
    world.run(31_000);
    late(&mut world);
    assert_eq!(half_open(&world), 1);
}
