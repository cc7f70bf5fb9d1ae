//! What strangers can do: little, and not for long.

use std::net::SocketAddr;

use ike_engine::{Phase, Settings};
use ikev2::wire::{
    Body, ExchangeType, Flags, Header, IkeSpi, Message, Notify, NotifyType, PayloadFlags, PayloadType,
    PayloadWriter,
};

use crate::network::Dice;
use crate::profiles::{LEFT, RIGHT, child, ip};
use crate::world::World;

/// A request of IKE_SA_INIT as an honest end makes it, with another SPI.
pub(crate) fn requests(count: u64) -> Vec<Vec<u8>> {
    let mut world = World::plain();
    world.initiate(0);
    let honest = world.ends[0].sent[0].2.clone();
    let other = |number: u64| {
        let mut request = honest.clone();
        request[..8].copy_from_slice(&(number + 1).to_be_bytes());
        request
    };
    (0..count).map(other).collect()
}

pub(crate) fn here() -> SocketAddr {
    (ip(RIGHT), 500).into()
}

pub(crate) fn half_open(world: &World) -> usize {
    world.ends[1]
        .engine
        .ikes()
        .filter(|view| view.phase == Phase::HalfOpen)
        .count()
}

#[test]
fn half_open_sas_are_bounded_and_an_honest_peer_gets_in_with_a_cookie() {
    let mut world = World::of(|end, profile| {
        if end == 1 {
            profile.remote_address = None;
        }
    });
    let sizes: Vec<usize> = requests(1).iter().map(Vec::len).collect();
    for (number, request) in requests(5000).into_iter().enumerate() {
        let from: SocketAddr = ([10, 9, (number >> 8) as u8, number as u8], 500).into();
        world.call(1, |engine, now| engine.handle(now, here(), from, &request));
    }
    // As many as the threshold; the others were asked for a cookie, with less than they sent.
    assert_eq!(half_open(&world), 64);
    let counters = world.ends[1].engine.counters();
    assert_eq!(counters.cookies, 5000 - 64);
    assert!(
        world.ends[1]
            .sent
            .iter()
            .skip(64)
            .all(|(_, _, payload)| payload.len() < sizes[0] / 2)
    );
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    world.run(60_000);
    assert_eq!(half_open(&world), 0);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn one_address_has_few_half_open_sas_and_all_have_a_limit() {
    let settings = Settings {
        cookie_threshold: usize::MAX,
        max_half_open: 100,
        ..Settings::default()
    };
    let mut world = World::with([settings; 2], |end, profile| {
        if end == 1 {
            profile.remote_address = None;
        }
    });
    let requests = requests(200);
    for request in &requests {
        let from: SocketAddr = (ip("10.9.9.9"), 500).into();
        world.call(1, |engine, now| engine.handle(now, here(), from, request));
    }
    // The other half of what it may have is for who shows a cookie, which an honest peer at that address does.
    assert_eq!(half_open(&world), settings.max_half_open_per_source / 2);
    assert_eq!(world.ends[1].engine.counters().cookies, 200 - 16);
    for (number, request) in requests.iter().enumerate() {
        let from: SocketAddr = ([10, 9, 8, number as u8], 500).into();
        world.call(1, |engine, now| engine.handle(now, here(), from, request));
    }
    assert_eq!(half_open(&world), 100);
    world.run(31_000);
    assert_eq!(world.ends[1].engine.ikes().count(), 0);
    assert!(world.ends[1].engine.deadline().is_none());
}

#[test]
fn who_takes_one_spi_for_many_requests_has_no_more_half_open_sas_than_others() {
    let mut world = World::plain();
    let request = requests(1).remove(0);
    let from: SocketAddr = (ip(LEFT), 500).into();
    for number in 0..1000_u32 {
        // A notify of nobody's behind the others, so that each is another request.
        let mut payloads = PayloadWriter::new();
        let message = Message::parse(&request).unwrap();
        for payload in message.payloads.iter() {
            payloads.push(&payload.body).unwrap();
        }
        let kind = NotifyType(50_000);
        payloads
            .push(&Body::Notify(Notify::new(kind, &number.to_be_bytes())))
            .unwrap();
        let other = payloads.message(&message.header);
        world.call(1, |engine, now| engine.handle(now, here(), from, &other));
    }
    assert_eq!(half_open(&world), 16);
    // Their name is taken in vain, and they get in all the same.
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    world.run(31_000);
    assert_eq!(half_open(&world), 0);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn nobody_is_answered_at_greater_length_than_he_asked() {
    let mut world = World::with(
        [Settings {
            cookie_threshold: 0,
            ..Settings::default()
        }; 2],
        |_, _| (),
    );
    let honest = requests(1).remove(0);
    let mut answered = 0;
    let kinds = [ExchangeType::IKE_SA_INIT, ExchangeType::INFORMATIONAL];
    for (kind, len) in kinds
        .into_iter()
        .flat_map(|kind| (0..100).map(move |len| (kind, len)))
    {
        let padding = vec![7; len];
        let mut payloads = PayloadWriter::new();
        if len > 0 {
            payloads.push(&Body::Unknown(PayloadType(200), &padding)).unwrap();
        }
        let responder = IkeSpi([u8::from(kind == ExchangeType::INFORMATIONAL); 8]);
        let header = Header::new(IkeSpi([1; 8]), responder, kind, Flags::INITIATOR, 0);
        for request in [payloads.message(&header), honest[..28 + len].to_vec()] {
            let before = world.ends[1].sent.len();
            world.call(1, |engine, now| {
                engine.handle(now, here(), (ip(LEFT), 500).into(), &request)
            });
            for (_, _, answer) in &world.ends[1].sent[before..] {
                answered += 1;
                assert!(answer.len() <= request.len(), "{kind} of {} bytes", request.len());
            }
        }
        world.run(200);
    }
    assert!(answered > 50, "{answered}");
}

#[test]
fn a_request_that_comes_for_ever_is_not_answered_for_ever() {
    let mut world = World::plain();
    let request = requests(1).remove(0);
    for _ in 0..1000 {
        let from: SocketAddr = (ip(LEFT), 500).into();
        world.call(1, |engine, now| engine.handle(now, here(), from, &request));
    }
    assert_eq!(half_open(&world), 1);
    assert_eq!(world.ends[1].sent.len(), 17);
}

#[test]
fn a_request_that_comes_twice_has_one_half_open_sa_and_the_same_answer() {
    let mut world = World::plain();
    let request = requests(1).remove(0);
    let from: SocketAddr = (ip(LEFT), 500).into();
    for _ in 0..3 {
        world.call(1, |engine, now| engine.handle(now, here(), from, &request));
    }
    assert_eq!(half_open(&world), 1);
    let sent = &world.ends[1].sent;
    assert!(sent.len() == 3 && sent[0].2 == sent[1].2 && sent[1].2 == sent[2].2);
}

#[test]
fn who_speaks_of_unknown_ike_sas_is_answered_rarely() {
    let mut world = World::plain().established();
    world.traffic = false;
    let before = world.ends[1].sent.len();
    let message = |number: u64, flags| {
        let header = Header::new(
            IkeSpi([1; 8]),
            IkeSpi(number.to_be_bytes()),
            ExchangeType::INFORMATIONAL,
            flags,
            7,
        );
        let mut payloads = PayloadWriter::new();
        payloads.push(&Body::Nonce(&[7; 16])).unwrap();
        payloads.message(&header)
    };
    for number in 1..=10_000 {
        let from: SocketAddr = ([10, 9, 9, 9], 500).into();
        let bytes = message(number, Flags::INITIATOR);
        world.call(1, |engine, now| engine.handle(now, here(), from, &bytes));
        // Nobody answers answers.
        let bytes = message(number, Flags::INITIATOR.with(Flags::RESPONSE));
        world.call(1, |engine, now| engine.handle(now, here(), from, &bytes));
    }
    let answers = &world.ends[1].sent[before..];
    assert_eq!(answers.len(), 16);
    assert_eq!(world.ends[1].engine.counters().limited, 10_000 - 16);
    let answer = Message::parse(&answers[0].2).unwrap();
    assert!(!answer.header.is_request() && answer.header.message_id == 7);
    let notify = answer.payloads.iter().next().unwrap();
    assert!(format!("{notify:?}").contains(&NotifyType::INVALID_IKE_SPI.to_string()));
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn a_later_version_is_answered_rarely_with_the_one_that_is_spoken() {
    let mut world = World::plain().established();
    world.traffic = false;
    let (before, limited) = (world.ends[1].sent.len(), world.ends[1].engine.counters().limited);
    let honest = requests(1).remove(0);
    let from: SocketAddr = ([10, 9, 9, 9], 500).into();
    let ask = |world: &mut World, change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = honest.clone();
        change(&mut message);
        world.call(1, |engine, now| engine.handle(now, here(), from, &message));
    };
    // Version 1 has no such notify, and answers are never answered.
    ask(&mut world, &|message| message[17] = 0x10);
    ask(&mut world, &|message| (message[17], message[19]) = (0x30, 0x28));
    // An answer is not longer than what was sent.
    ask(&mut world, &|message| {
        message[17] = 0x30;
        message.truncate(28);
    });
    assert_eq!(world.ends[1].sent.len(), before);
    world.run(1000);
    for number in 0..10_000_u32 {
        ask(&mut world, &|message| {
            message[..4].copy_from_slice(&number.to_be_bytes());
            // What is behind the header may be anything in another version.
            message[17] = [0x30, 0x31, 0xf0][number as usize % 3];
            message[24..].fill(0xff);
        });
    }
    let answers = &world.ends[1].sent[before..];
    assert_eq!(answers.len(), 16);
    assert_eq!(world.ends[1].engine.counters().limited, limited + 1 + 10_000 - 16);
    for (number, (_, path, answer)) in answers.iter().enumerate() {
        let answer = Message::parse(answer).unwrap();
        let header = answer.header;
        assert_eq!((header.version.0, header.is_request()), (0x20, false));
        assert_eq!(header.initiator_spi.0[..4], (number as u32).to_be_bytes());
        assert_eq!(
            (header.exchange, header.message_id),
            (ExchangeType::IKE_SA_INIT, 0)
        );
        assert_eq!(path.remote, from);
        let told: Vec<_> = answer.payloads.iter().collect();
        let [told] = &told[..] else { panic!("{told:?}") };
        let expected = Body::Notify(Notify::new(NotifyType::INVALID_MAJOR_VERSION, &[]));
        assert_eq!(told.body, expected);
    }
    assert_eq!(half_open(&world), 0);
    assert_eq!(world.counts(), (1, 1));
    // It is told to somebody else again when some time has passed.
    world.run(1000);
    let before = world.ends[1].sent.len();
    ask(&mut world, &|message| message[17] = 0x30);
    assert_eq!(world.ends[1].sent.len(), before + 1);
}

#[test]
fn what_is_changed_or_made_up_changes_nothing() {
    let mut world = World::plain().established();
    world.traffic = false;
    world
        .call(0, |engine, now| engine.rekey_children(now, "pr1"))
        .unwrap();
    world.run(1000);
    let recorded: Vec<(usize, Vec<u8>)> = (0..2)
        .flat_map(|end| {
            world.ends[end]
                .sent
                .iter()
                .map(move |(_, _, payload)| (1 - end, payload.clone()))
        })
        .collect();
    let before = world.ikes(0);
    let mut dice = Dice(3);
    for round in 0..20_000 {
        let (to, mut payload) = recorded[dice.below(recorded.len() as u64) as usize].clone();
        // Some are old ones as they were, some are damaged in one byte, some are cut.
        match round % 4 {
            0 => {}
            1 => payload.truncate(dice.below(payload.len() as u64) as usize),
            _ => {
                let at = dice.below(payload.len() as u64) as usize;
                payload[at] ^= 1 << dice.below(8);
            }
        }
        let [left, right]: [SocketAddr; 2] = [(ip(LEFT), 500).into(), (ip(RIGHT), 500).into()];
        let (local, remote) = if to == 0 { (left, right) } else { (right, left) };
        world.call(to, |engine, now| engine.handle(now, local, remote, &payload));
    }
    let same = |one: &ike_engine::IkeView, other: &ike_engine::IkeView| {
        (one.spis, &one.children, one.path) == (other.spis, &other.children, other.path)
    };
    world.run(1000);
    assert!(same(&before[0], &world.ikes(0)[0]));
    assert_eq!(world.counts(), (1, 1));
    world.call(1, |engine, now| engine.rekey_ike(now, "pr1")).unwrap();
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn a_first_request_with_a_critical_payload_that_is_not_known_is_told_so() {
    let mut world = World::plain();
    let mut payloads = PayloadWriter::new();
    payloads
        .push_with_flags(
            &Body::Unknown(PayloadType(200), b"brand new"),
            PayloadFlags::CRITICAL,
        )
        .unwrap();
    let header = Header::new(
        IkeSpi([1; 8]),
        IkeSpi::ZERO,
        ExchangeType::IKE_SA_INIT,
        Flags::INITIATOR,
        0,
    );
    let request = payloads.message(&header);
    world.call(1, |engine, now| {
        engine.handle(now, here(), (ip(LEFT), 500).into(), &request)
    });
    let answer = Message::parse(&world.ends[1].sent[0].2).unwrap();
    let notify = Notify::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, &[200]);
    assert_eq!(answer.payloads.iter().next().unwrap().body, Body::Notify(notify));
    // Within an IKE SA nothing that anybody can send is answered.
    let header = Header {
        responder_spi: IkeSpi([2; 8]),
        ..header
    };
    let request = payloads.message(&header);
    world.call(1, |engine, now| {
        engine.handle(now, here(), (ip(LEFT), 500).into(), &request)
    });
    assert_eq!(world.ends[1].sent.len(), 1);
}

#[test]
fn a_refusal_that_somebody_else_sends_first_is_not_believed() {
    for kind in [
        NotifyType::NO_PROPOSAL_CHOSEN,
        NotifyType::INVALID_KE_PAYLOAD,
        NotifyType::INVALID_SYNTAX,
    ] {
        let mut world = World::plain();
        world.initiate(0);
        let request = world.ends[0].sent[0].2.clone();
        let asked = Message::parse(&request).unwrap().header;
        let mut payloads = PayloadWriter::new();
        payloads.push(&Body::Notify(Notify::new(kind, &[0, 99]))).unwrap();
        let forged = Header::new(
            asked.initiator_spi,
            IkeSpi::ZERO,
            asked.exchange,
            Flags::RESPONSE,
            0,
        );
        let forged = payloads.message(&forged);
        let [left, right]: [SocketAddr; 2] = [(ip(LEFT), 500).into(), (ip(RIGHT), 500).into()];
        world.call(0, |engine, now| engine.handle(now, left, right, &forged));
        world.run(1000);
        assert_eq!(world.counts(), (1, 1));

        // When nothing better comes, that was it.
        let mut world = World::plain();
        world.ends[1].dead = true;
        world.initiate(0);
        let mut forged = forged;
        let asked = Header::parse(&world.ends[0].sent[0].2).unwrap();
        forged[..8].copy_from_slice(&asked.initiator_spi.0);
        world.call(0, |engine, now| engine.handle(now, left, right, &forged));
        world.run(1000);
        assert_eq!(world.ikes(0).len(), 0);
        assert!(world.failures(0)[0].contains(&kind.to_string()));
    }
}

#[test]
fn what_changes_nothing_is_counted() {
    let mut world = World::plain();
    world.initiate(0);
    world.run(25);
    let dropped = |world: &World| world.ends[0].engine.counters().dropped;
    let [left, right]: [SocketAddr; 2] = [(ip(LEFT), 500).into(), (ip(RIGHT), 500).into()];
    let answer = world.ends[1].sent[0].2.clone();
    // An answer that comes once more, one that nobody has asked for, and a request before anybody has shown who it is.
    let mut forged = answer.clone();
    forged[18] = 35;
    forged[23] = 1;
    let mut early = forged.clone();
    early[19] = 0;
    for (number, message) in [answer, forged, early].iter().enumerate() {
        world.call(0, |engine, now| engine.handle(now, left, right, message));
        assert_eq!(dropped(&world), number as u64 + 1);
    }
    world.run(1000);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(dropped(&world), 3);
}

#[test]
fn a_peer_has_no_more_child_sas_than_there_may_be() {
    let settings = Settings {
        max_children: 2,
        ..Settings::default()
    };
    let mut world = World::with([settings; 2], |end, profile| {
        profile
            .children
            .extend((1..4).map(|number| child(end as u8, number)));
    });
    world.initiate(0);
    world.run(1000);
    assert_eq!(world.counts(), (1, 2));
    let refused = "the peer wants more than 2 child SAs in one IKE SA; it has to delete some before";
    assert_eq!(world.failures(1), [refused, refused]);
    assert!(world.failures(0)[0].contains("NO_ADDITIONAL_SAS; it takes no more"));
}
