//! What a peer may ask for that has shown who it is: it says what it likes, and has a limit all the same.

use ike_engine::{Event, Failure, Settings, Time};
use ikev2::crypto::{Group, Opened, Opener, PrivateKey, Sealer};
use ikev2::wire::{
    Body, ExchangeType, Flags, KeyExchange, Message, Notify, NotifyType, PayloadWriter, ProtocolId,
    TrafficSelectorsBuilder,
};

use crate::network::Dice;
use crate::nonsense::{Bench, Peer, SUITE, sa};
use crate::plane::Plane;
use crate::profiles::{lifetime, profile, range, seconds};
use crate::strangers::Talk;
use crate::world::{World, engine};

fn bench(settings: Settings) -> (Bench, Peer) {
    let mut profile = profile(1);
    profile.liveness = seconds(1_000_000);
    profile.lifetime = lifetime(100_000);
    let mut bench = Bench::new(settings, profile, 3);
    let peer = Peer::establish(&mut bench, Dice(3));
    (bench, peer)
}

/// Asks, and gives the notifies of the answer.
fn ask(bench: &mut Bench, peer: &mut Peer, payloads: &PayloadWriter) -> Vec<NotifyType> {
    let id = peer.next_request;
    peer.next_request += 1;
    let message = peer.seal(ExchangeType::CREATE_CHILD_SA, Flags::INITIATOR, id, payloads);
    bench.sent.clear();
    bench.give(&message);
    let answer = bench.sent.pop().unwrap();
    let answer = Message::parse(&answer).unwrap();
    assert_eq!(
        (answer.header.message_id, answer.header.is_request()),
        (id, false)
    );
    let Ok(Opened::Whole(clear)) = peer.opener.open(&answer) else {
        panic!("the answer cannot be opened");
    };
    let payloads = clear.payloads().unwrap();
    let notify = |body: Body<'_>| match body {
        Body::Notify(notify) => Some(notify.kind),
        _ => None,
    };
    payloads
        .iter()
        .filter_map(|payload| notify(payload.body))
        .collect()
}

/// A request for a child SA with this SPI, in place of another.
fn child(spi: u32, instead_of: Option<u32>) -> PayloadWriter {
    let mut writer = PayloadWriter::new();
    if let Some(old) = instead_of {
        let notify = Notify {
            protocol: ProtocolId::ESP,
            spi: &old.to_be_bytes(),
            kind: NotifyType::REKEY_SA,
            data: &[],
        };
        writer.push(&Body::Notify(notify)).unwrap();
    }
    let proposal = sa(ProtocolId::ESP, "aes256gcm16-esn", &spi.to_be_bytes());
    writer.push(&Body::Sa(proposal.view())).unwrap();
    writer.push(&Body::Nonce(&[9; 32])).unwrap();
    let [ours, theirs] = [0, 1].map(|end| range(&format!("10.{end}.0.0"), &format!("10.{end}.0.255")));
    let ours = TrafficSelectorsBuilder::of(&[ours]).unwrap();
    let theirs = TrafficSelectorsBuilder::of(&[theirs]).unwrap();
    writer.push(&Body::TsInitiator(ours.view())).unwrap();
    writer.push(&Body::TsResponder(theirs.view())).unwrap();
    writer
}

/// A request for another IKE SA in place of this one.
fn ike(suite: &str) -> PayloadWriter {
    let mut writer = PayloadWriter::new();
    let proposal = sa(ProtocolId::IKE, suite, &[8; 8]);
    writer.push(&Body::Sa(proposal.view())).unwrap();
    writer.push(&Body::Nonce(&[9; 32])).unwrap();
    let key = PrivateKey::generate(Group::Curve25519, &mut |bytes: &mut [u8]| bytes.fill(5)).unwrap();
    let public = KeyExchange::new(Group::Curve25519.method(), key.public());
    writer.push(&Body::KeyExchange(public)).unwrap();
    writer
}

/// The peer's end of the IKE SA that such a request has made.
fn successor(bench: &Bench) -> Peer {
    let mut ikes = bench.engine.ikes();
    let view = ikes.find(|view| view.spis.initiator.0 == [8; 8]).unwrap();
    let (suite, keys) = (view.suite.unwrap(), bench.engine.keys_of(view.ike).unwrap());
    Peer {
        dice: Dice(8),
        spis: view.spis,
        sealer: Sealer::new(&suite, &keys.sk_ei, &keys.sk_ai, 0).unwrap(),
        opener: Opener::new(&suite, &keys.sk_er, &keys.sk_ar).unwrap(),
        next_request: 0,
    }
}

fn outbound(bench: &Bench) -> u32 {
    bench.plane.outbound.values().next().unwrap().pair.outbound
}

#[test]
fn who_has_as_many_child_sas_as_there_may_be_rekeys_them_and_has_no_more() {
    let settings = Settings {
        max_children: 2,
        ..Settings::default()
    };
    let (mut bench, mut peer) = bench(settings);
    let first = outbound(&bench);
    assert_eq!(ask(&mut bench, &mut peer, &child(0x1000, None)), []);
    let one_more = ask(&mut bench, &mut peer, &child(0x1001, None));
    assert_eq!(one_more, [NotifyType::NO_ADDITIONAL_SAS]);
    // In place of one that is there it has another, though there are as many as there may be.
    assert_eq!(ask(&mut bench, &mut peer, &child(0x1002, Some(first))), []);
    assert_eq!(ask(&mut bench, &mut peer, &child(0x1003, Some(0x1002))), []);
    // But none that it has replaced is deleted by it.
    let again = ask(&mut bench, &mut peer, &child(0x1004, Some(0x1003)));
    assert_eq!(again, [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(bench.plane.outbound.len(), 4);
}

#[test]
fn an_spi_that_is_reserved_is_refused() {
    let (mut bench, mut peer) = bench(Settings::default());
    for spi in [0, 1, 255] {
        let told = ask(&mut bench, &mut peer, &child(spi, None));
        assert_eq!(told, [NotifyType::INVALID_SYNTAX], "{spi}");
        let reason = Failure::ReservedSpi(spi);
        let failed =
            |event: &Event| matches!(event, Event::ChildFailed { reason: why, .. } if *why == reason);
        assert!(bench.events.iter().any(failed));
    }
    assert_eq!(ask(&mut bench, &mut peer, &child(256, None)), []);
}

#[test]
fn a_request_that_makes_no_sense_leaves_our_own_rekeying_where_it_is() {
    let (mut bench, mut peer) = bench(Settings::default());
    let told = ask(&mut bench, &mut peer, &ike("aes256gcm16-prfsha512-curve25519"));
    assert_eq!(told, [NotifyType::NO_PROPOSAL_CHOSEN]);
    let failed = |event: &Event| matches!(event, Event::RekeyFailed { .. });
    assert!(bench.events.iter().any(failed));
    bench.sent.clear();
    bench.pass(60_000);
    assert_eq!(bench.sent, Vec::<Vec<u8>>::new());
}

#[test]
fn an_ike_sa_that_is_not_the_only_one_yet_is_not_rekeyed_nor_are_its_children() {
    let (mut bench, mut peer) = bench(Settings::default());
    // Ours is under way, so that the peer's does not take over the child SAs yet.
    bench.engine.rekey_ike(Time::from_millis(0), "pr1").unwrap();
    bench.drain();
    let first = outbound(&bench);
    assert_eq!(ask(&mut bench, &mut peer, &ike(SUITE)), []);
    assert_eq!(bench.engine.ikes().count(), 2);
    let mut next = successor(&bench);
    let told = ask(&mut bench, &mut next, &child(0x1000, Some(first)));
    assert_eq!(told, [NotifyType::TEMPORARY_FAILURE]);
    let told = ask(&mut bench, &mut next, &ike(SUITE));
    assert_eq!(told, [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(bench.engine.ikes().count(), 2);
}

fn few() -> Settings {
    Settings {
        max_ike_per_peer: 3,
        ..Settings::default()
    }
}

#[test]
fn a_peer_has_no_more_ike_sas_than_there_may_be_unless_it_has_forgotten_them() {
    let mut world = World::with([Settings::default(), few()], |_, _| {});
    for _ in 0..5 {
        world.initiate(0);
        world.run(1000);
    }
    assert_eq!(world.counts(), (3, 3));
    let refused = "peer left.example.org has 3 IKE SAs of profile pr1 and wants one more; have it delete some, or allow more with \
                   max_ike_per_peer";
    assert_eq!(world.failures(1), [refused; 2]);
    // One that is rekeyed is no more than there were, and one that is deleted makes room.
    world.call(0, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
    world.run(1000);
    assert_eq!(world.counts(), (3, 3));
    world.call(0, |engine, now| engine.terminate(now, "pr1")).unwrap();
    world.run(1000);
    for _ in 0..3 {
        world.initiate(0);
        world.run(1000);
    }
    assert_eq!(world.counts(), (3, 3));
    // Who was started anew says that those are no more.
    world.ends[0].engine = engine(world.now, Settings::default(), vec![profile(0)], 99);
    world.ends[0].plane = Plane::default();
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn initial_contacts_that_were_begun_at_once_have_the_same_limit() {
    let mut anybody = profile(1);
    anybody.remote_address = None;
    let mut gateway = engine(0, few(), vec![anybody], 1);
    let from = |number: u8| ([10, 9, 9, number], 500).into();
    let begin = Time::from_millis(0);
    let mut talks: Vec<Talk> = (0..6)
        .map(|number| Talk::new(begin, from(number), 100 + u64::from(number), |_| {}))
        .collect();
    for millis in 0..2 {
        for talk in &mut talks {
            talk.now = Time::from_millis(millis);
            talk.round(&mut gateway);
        }
    }
    assert_eq!(gateway.counters().established, 3);
}
