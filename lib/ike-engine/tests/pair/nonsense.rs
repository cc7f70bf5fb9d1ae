//! A peer that knows the key and talks nonsense: whatever it says, nothing breaks, and nothing is left when it falls silent.

use std::net::SocketAddr;

use ike_engine::{Engine, Event, Output, Phase, Settings, Time};
use ikev2::crypto::{
    Group, IkeKeys, IkeSpis, IkeSuite, Nonces, Opener, PrivateKey, Sealer, SignedOctets, Skeyseed,
    shared_key_auth,
};
use ikev2::wire::{
    AuthMethod, Authentication, Body, Delete, ExchangeType, Flags, Header, IkeSpi, KeyExchange,
    KeyExchangeMethod, Message, Notify, NotifyType, PayloadType, PayloadWriter, ProtocolId, SaBuilder,
    TrafficSelectorsBuilder,
};

use crate::network::Dice;
use crate::plane::Plane;
use crate::profiles::{self, LEFT, RIGHT, ike, ip, lifetime, psk, range, seconds};
use crate::world::engine;

pub(crate) const SUITE: &str = "aes256gcm16-prfsha256-curve25519";

pub(crate) struct Peer {
    pub(crate) dice: Dice,
    pub(crate) spis: IkeSpis,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) next_request: u32,
}

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) plane: Plane,
    pub(crate) now: u64,
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

impl Bench {
    pub(crate) fn new(settings: Settings, profile: ike_engine::Profile, seed: u64) -> Bench {
        Bench {
            engine: engine(0, settings, vec![profile], seed),
            plane: Plane::default(),
            now: 0,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.engine.output() {
            match output {
                Output::Send(datagram) => self.sent.push(datagram.payload),
                Output::Sa(command) => self.plane.apply(command),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    pub(crate) fn give(&mut self, message: &[u8]) {
        let [left, right]: [SocketAddr; 2] = [(ip(LEFT), 500).into(), (ip(RIGHT), 500).into()];
        self.engine
            .handle(Time::from_millis(self.now), right, left, message);
        self.drain();
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        let mut rounds = 0;
        while let Some(at) = self
            .engine
            .deadline()
            .map(Time::as_millis)
            .filter(|at| *at <= end)
        {
            rounds = if at > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 1000, "time stands still");
            self.now = self.now.max(at);
            self.engine.timeout(Time::from_millis(self.now));
            self.drain();
        }
        self.now = end;
    }
}

fn random(dice: &mut Dice) -> impl FnMut(&mut [u8]) + '_ {
    |bytes: &mut [u8]| bytes.fill_with(|| dice.next() as u8)
}

/// An SA payload of these words.
pub(crate) fn sa(protocol: ProtocolId, words: &str, spi: &[u8]) -> SaBuilder {
    let mut sa = SaBuilder::new();
    sa.proposal(1, protocol, spi).unwrap();
    words
        .split('-')
        .for_each(|word| sa.transform(word.parse().unwrap()).unwrap());
    sa
}

impl Peer {
    /// IKE_SA_INIT and IKE_AUTH as they are to be.
    pub(crate) fn establish(bench: &mut Bench, mut dice: Dice) -> Peer {
        let profile = profiles::profile(0);
        let key = PrivateKey::generate(Group::Curve25519, &mut random(&mut dice)).unwrap();
        let initiator = IkeSpi(dice.next().to_be_bytes());
        let mut payloads = PayloadWriter::new();
        let proposals = sa(ProtocolId::IKE, SUITE, &[]);
        payloads.push(&Body::Sa(proposals.view())).unwrap();
        payloads
            .push(&Body::KeyExchange(KeyExchange::new(
                KeyExchangeMethod::CURVE25519,
                key.public(),
            )))
            .unwrap();
        payloads.push(&Body::Nonce(&[7; 32])).unwrap();
        let header = Header::new(
            initiator,
            IkeSpi::ZERO,
            ExchangeType::IKE_SA_INIT,
            Flags::INITIATOR,
            0,
        );
        let request = payloads.message(&header);
        bench.sent.clear();
        bench.give(&request);
        let response = bench.sent.pop().unwrap();
        let response = Message::parse(&response).unwrap();
        let (mut theirs, mut nonce) = (Vec::new(), Vec::new());
        for payload in response.payloads.iter() {
            match payload.body {
                Body::KeyExchange(ke) => theirs = ke.data.to_vec(),
                Body::Nonce(data) => nonce = data.to_vec(),
                _ => {}
            }
        }
        let suite: Vec<_> = SUITE.split('-').map(|word| word.parse().unwrap()).collect();
        let suite = IkeSuite::new(&suite).unwrap();
        let nonces = Nonces {
            initiator: &[7; 32],
            responder: &nonce,
        };
        let responder = response.header.responder_spi;
        let spis = IkeSpis { initiator, responder };
        let seed = Skeyseed::initial(suite.prf(), &key.agree(&theirs).unwrap(), nonces);
        let keys = IkeKeys::derive(&suite, &seed, nonces, spis);
        let id = profile.local_id.payload();
        let signed = SignedOctets {
            message: &request,
            nonce: &nonce,
            id,
        };
        let auth = shared_key_auth(suite.prf(), &psk(), &signed.octets(suite.prf(), &keys.sk_pi));
        let mut peer = Peer {
            spis,
            sealer: Sealer::new(&suite, &keys.sk_ei, &keys.sk_ai, 0).unwrap(),
            opener: Opener::new(&suite, &keys.sk_er, &keys.sk_ar).unwrap(),
            next_request: 1,
            dice,
        };
        let mut payloads = PayloadWriter::new();
        payloads.push(&Body::IdInitiator(id)).unwrap();
        payloads
            .push(&Body::Authentication(Authentication::new(
                AuthMethod::SHARED_KEY_MIC,
                auth.expose(),
            )))
            .unwrap();
        let proposals = sa(
            ProtocolId::ESP,
            "aes256gcm16-esn",
            &peer.dice.next().to_be_bytes()[..4],
        );
        payloads.push(&Body::Sa(proposals.view())).unwrap();
        let ours = TrafficSelectorsBuilder::of(&[range("10.0.0.0", "10.0.0.255")]).unwrap();
        let theirs = TrafficSelectorsBuilder::of(&[range("10.1.0.0", "10.1.0.255")]).unwrap();
        payloads.push(&Body::TsInitiator(ours.view())).unwrap();
        payloads.push(&Body::TsResponder(theirs.view())).unwrap();
        let message = peer.seal(ExchangeType::IKE_AUTH, Flags::INITIATOR, 1, &payloads);
        peer.next_request = 2;
        bench.give(&message);
        assert!(peer.is_there(bench), "{:?}", bench.events);
        peer
    }

    pub(crate) fn is_there(&self, bench: &Bench) -> bool {
        bench
            .engine
            .ikes()
            .any(|view| view.spis == self.spis && view.phase != Phase::Closed)
    }

    pub(crate) fn seal(
        &mut self,
        exchange: ExchangeType,
        flags: Flags,
        id: u32,
        payloads: &PayloadWriter,
    ) -> Vec<u8> {
        let header = Header::new(self.spis.initiator, self.spis.responder, exchange, flags, id);
        self.sealer
            .seal(&header, payloads, &mut random(&mut self.dice))
            .unwrap()
    }

    /// An SPI that means something at the other end, or none.
    fn spi(&mut self, bench: &Bench) -> [u8; 4] {
        let mut known: Vec<u32> = bench
            .plane
            .inbound
            .values()
            .flat_map(|sa| [sa.pair.inbound, sa.pair.outbound])
            .collect();
        known.push(self.dice.next() as u32);
        known[self.dice.below(known.len() as u64) as usize].to_be_bytes()
    }

    fn payload(&mut self, bench: &Bench, writer: &mut PayloadWriter) {
        let dice = self.dice.below(100);
        let spi = self.spi(bench);
        let bytes: Vec<u8> = (0..self.dice.below(80)).map(|_| self.dice.next() as u8).collect();
        let pushed = match dice {
            0..18 => {
                let words = [
                    "aes256gcm16-esn",
                    "aes256gcm16-noesn",
                    "aes128-sha256-esn",
                    "aes256gcm16-curve25519-esn",
                ];
                writer.push(&Body::Sa(
                    sa(ProtocolId::ESP, words[self.dice.below(4) as usize], &spi).view(),
                ))
            }
            18..26 => {
                let spi = self.dice.next().to_be_bytes();
                let spi = if self.dice.percent(80) { &spi[..] } else { &[] };
                writer.push(&Body::Sa(sa(ProtocolId::IKE, SUITE, spi).view()))
            }
            26..42 => writer.push(&Body::Nonce(&[dice as u8; 32])),
            42..50 => {
                let key = PrivateKey::generate(Group::Curve25519, &mut random(&mut self.dice)).unwrap();
                let public = if self.dice.percent(70) {
                    key.public()
                } else {
                    &bytes
                };
                writer.push(&Body::KeyExchange(KeyExchange::new(
                    KeyExchangeMethod::CURVE25519,
                    public,
                )))
            }
            50..66 => {
                let end = self.dice.below(2);
                let of = range(&format!("10.{end}.0.0"), &format!("10.{end}.0.255"));
                let selectors = TrafficSelectorsBuilder::of(&[of]).unwrap();
                match self.dice.percent(50) {
                    true => writer.push(&Body::TsInitiator(selectors.view())),
                    false => writer.push(&Body::TsResponder(selectors.view())),
                }
            }
            66..84 => {
                let kinds = [
                    NotifyType::REKEY_SA,
                    NotifyType::REKEY_SA,
                    NotifyType::REKEY_SA,
                    NotifyType::TEMPORARY_FAILURE,
                    NotifyType::CHILD_SA_NOT_FOUND,
                    NotifyType::INVALID_KE_PAYLOAD,
                    NotifyType::NO_PROPOSAL_CHOSEN,
                    NotifyType::INITIAL_CONTACT,
                ];
                writer.push(&Body::Notify(Notify {
                    protocol: ProtocolId::ESP,
                    spi: &spi,
                    kind: kinds[self.dice.below(8) as usize],
                    data: &[0, 31],
                }))
            }
            84..93 => writer.push(&Body::Delete(Delete::new(ProtocolId::ESP, &spi).unwrap())),
            93 => writer.push(&Body::Delete(Delete::IKE)),
            // Any bytes, as a payload of any type: most have the IKE SA ended, since they make no sense.
            94 => writer.push(&Body::Unknown(
                PayloadType(33 + self.dice.below(16) as u8),
                &bytes,
            )),
            _ => writer.push(&Body::Unknown(PayloadType(200), &bytes)),
        };
        pushed.unwrap();
    }

    fn payloads(&mut self, bench: &Bench) -> PayloadWriter {
        let mut writer = PayloadWriter::new();
        // Half of all are whole requests for a child SA, and some for another IKE SA, so that there is something to be confused about.
        let whole = self.dice.below(100);
        if whole < 10 {
            let key = PrivateKey::generate(Group::Curve25519, &mut random(&mut self.dice)).unwrap();
            writer
                .push(&Body::Sa(
                    sa(ProtocolId::IKE, SUITE, &self.dice.next().to_be_bytes()).view(),
                ))
                .unwrap();
            writer.push(&Body::Nonce(&[whole as u8; 32])).unwrap();
            let public = KeyExchange::new(KeyExchangeMethod::CURVE25519, key.public());
            writer.push(&Body::KeyExchange(public)).unwrap();
        } else if whole < 60 {
            let spi = self.dice.next().to_be_bytes();
            if self.dice.percent(70) {
                let old = bench
                    .plane
                    .outbound
                    .values()
                    .next()
                    .map_or(0, |sa| sa.pair.outbound)
                    .to_be_bytes();
                let notify = Notify {
                    protocol: ProtocolId::ESP,
                    spi: &old,
                    kind: NotifyType::REKEY_SA,
                    data: &[],
                };
                writer.push(&Body::Notify(notify)).unwrap();
            }
            writer
                .push(&Body::Sa(
                    sa(ProtocolId::ESP, "aes256gcm16-esn", &spi[..4]).view(),
                ))
                .unwrap();
            writer.push(&Body::Nonce(&spi.repeat(4))).unwrap();
            let (ours, theirs) = (range("10.0.0.0", "10.0.0.255"), range("10.1.0.0", "10.1.0.255"));
            writer
                .push(&Body::TsInitiator(
                    TrafficSelectorsBuilder::of(&[ours]).unwrap().view(),
                ))
                .unwrap();
            writer
                .push(&Body::TsResponder(
                    TrafficSelectorsBuilder::of(&[theirs]).unwrap().view(),
                ))
                .unwrap();
        }
        for _ in 0..self.dice.below(5) {
            self.payload(bench, &mut writer);
        }
        writer
    }

    /// Answers what it was asked with anything, and takes note of answers.
    fn read(&mut self, bench: &mut Bench) {
        for message in std::mem::take(&mut bench.sent) {
            let message = Message::parse(&message).expect("what is sent can be read");
            if message.header.responder_spi != self.spis.responder {
                continue;
            }
            self.opener.open(&message).expect("what is sent can be opened");
            if !message.header.is_request() {
                self.next_request = self.next_request.max(message.header.message_id + 1);
            } else if self.dice.percent(80) {
                let payloads = self.payloads(bench);
                let flags = Flags::INITIATOR.with(Flags::RESPONSE);
                let answer = self.seal(
                    message.header.exchange,
                    flags,
                    message.header.message_id,
                    &payloads,
                );
                bench.give(&answer);
            }
        }
    }
}

fn nonsense(seed: u64) -> (u64, u64, usize) {
    let mut profile = profiles::profile(1);
    profile.proposals = ike(&[SUITE]);
    profile.children[0].proposals = profiles::esp(&["aes256gcm16-esn", "aes256gcm16-curve25519-esn"]);
    profile.children[0].lifetime = lifetime(30);
    profile.lifetime = lifetime(100);
    profile.liveness = seconds(10);
    let mut bench = Bench::new(Settings::default(), profile, seed);
    let mut peer = Peer::establish(&mut bench, Dice(seed));
    let mut most = 0;
    for _ in 0..60 {
        if !peer.is_there(&bench) {
            let dice = Dice(peer.dice.next());
            peer = Peer::establish(&mut bench, dice);
        }
        let exchanges = [
            ExchangeType::CREATE_CHILD_SA,
            ExchangeType::CREATE_CHILD_SA,
            ExchangeType::INFORMATIONAL,
        ];
        let exchange = exchanges[peer.dice.below(3) as usize];
        let id = peer.next_request.wrapping_add(peer.dice.percent(5).into());
        let payloads = peer.payloads(&bench);
        let message = peer.seal(exchange, Flags::INITIATOR, id, &payloads);
        bench.give(&message);
        let now = Time::from_millis(bench.now);
        match peer.dice.below(8) {
            0 => bench.engine.rekey_children(now, "pr1").unwrap(),
            1 => bench.engine.rekey_ike(now, "pr1").unwrap(),
            _ => {}
        }
        bench.drain();
        peer.read(&mut bench);
        let millis = peer.dice.below(4000);
        bench.pass(millis);
        peer.read(&mut bench);
        most = most.max(bench.plane.inbound.len());
    }
    // Nobody answers any more.
    bench.pass(400_000);
    let left: Vec<_> = bench.engine.ikes().collect();
    assert!(left.is_empty(), "seed {seed}: {left:?}");
    assert!(
        bench.plane.inbound.is_empty() && bench.plane.outbound.is_empty(),
        "seed {seed}"
    );
    assert_eq!(bench.engine.deadline(), None, "seed {seed}");
    let counters = bench.engine.counters();
    (counters.child_rekeys, counters.ike_rekeys, most)
}

#[test]
fn a_peer_that_talks_nonsense_breaks_nothing_and_leaves_nothing() {
    let (mut children, mut ikes) = (0, 0);
    for seed in 0..150 {
        let (child_rekeys, ike_rekeys, most) = nonsense(seed);
        children += child_rekeys;
        ikes += ike_rekeys;
        assert!(most < 64, "{most} child SAs");
    }
    assert!(children > 150 && ikes > 50, "{children} and {ikes} rekeyed");
}
