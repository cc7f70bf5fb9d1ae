//! IKEv2: messages, payloads as they are behind decryption, and words for proposals.
//!
//! ```text
//!   input: │ 0 │ message │    │ 255 │ words │    │ type of the first payload │ payloads │
//! ```

use ikev2::proposal::{Prefer, Proposal, accept, choose};
use ikev2::wire::{
    Body, ConfigurationBuilder, ExchangeType, Flags, HEADER_LEN, Header, IkeSpi, KeyExchange,
    KeyExchangeMethod, MAX_PAYLOADS, Message, Notify, NotifyType, ParseError, Payload, PayloadType,
    PayloadWriter, Payloads, ProtocolId, Sa, SaBuilder, Selector, TrafficSelectors, TrafficSelectorsBuilder,
    Transform,
};

use super::u16_at;

use super::sure;

const MESSAGE: u8 = 0;
const WORDS: u8 = 255;
const IKE: &str = "aes256gcm16-aes128gcm16-prfsha384-prfsha256-curve25519-ecp256-modp2048";
const ESP: &str = "aes128-aes256-sha256-sha512-modp2048-modpnone-esn-noesn";
const HEADER: Header = Header::new(
    IkeSpi([1; 8]),
    IkeSpi([2; 8]),
    ExchangeType::IKE_SA_INIT,
    Flags::INITIATOR,
    0,
);

fn ours() -> [Proposal; 2] {
    let parsed = [(ProtocolId::IKE, IKE), (ProtocolId::ESP, ESP)];
    parsed.map(|(protocol, words)| sure(Proposal::parse(protocol, words)))
}

/// A message of IKE_SA_INIT, payloads of IKE_AUTH and of what else there is, and words.
pub fn seeds() -> Vec<Vec<u8>> {
    let [ike, esp] = ours();
    let (mut first, mut second) = (SaBuilder::new(), SaBuilder::new());
    sure(ike.write(1, &[], &mut first));
    sure(esp.write(1, &[1, 2, 3, 4], &mut second));
    sure(esp.write(2, &[1, 2, 3, 4], &mut second));
    let mut init = PayloadWriter::new();
    let public = KeyExchange::new(KeyExchangeMethod::CURVE25519, &[7; 32]);
    let cookie = Notify::new(NotifyType::COOKIE, &[9; 8]);
    let bodies = [
        Body::Notify(cookie),
        Body::Sa(first.view()),
        Body::KeyExchange(public),
        Body::Nonce(&[3; 32]),
        Body::VendorId(b"vendor"),
    ];
    bodies.iter().for_each(|body| sure(init.push(body)));
    let message = init.message(&HEADER);

    let mut seeds = vec![[&[MESSAGE][..], &message].concat()];
    // Byte by byte what has structure: IDi, AUTH, CP, TSi of both families, D, EAP, and one that is not known.
    let chain: [(u8, &[u8]); 8] = [
        (35, &[2, 0, 0, 0, b'a', b'.', b'b']),
        (39, &[2, 0, 0, 0, 1, 2, 3, 4]),
        (47, &[1, 0, 0, 0, 0, 1, 0, 0, 0x80, 3, 0, 4, 10, 0, 0, 1]),
        (
            44,
            &[1, 0, 0, 0, 7, 17, 0, 16, 0, 0, 255, 255, 10, 0, 0, 0, 10, 0, 0, 9],
        ),
        (45, &[1, 0, 0, 0, 9, 0, 0, 8, 1, 2, 3, 4]),
        (42, &[3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]),
        (48, &[1, 7, 0, 6, 26, 1]),
        (99, &[1, 2, 3]),
    ];
    let body = second.view().bytes();
    let mut payloads = [&[35, 0, 0, body.len() as u8 + 4], body].concat();
    for (at, (kind, body)) in chain.iter().enumerate() {
        let next = chain.get(at + 1).map_or(0, |(kind, _)| *kind);
        payloads.extend([next, 0, 0, body.len() as u8 + 4]);
        payloads.extend(*body);
        seeds.push([&[*kind, 0, 0, 0, body.len() as u8 + 4][..], body].concat());
    }
    seeds.push([&[33][..], &payloads].concat());
    // SK and SKF behind a header.
    for (kind, body) in [(46, &[1; 40][..]), (53, &[0, 1, 0, 2, 1, 1, 1, 1, 1])] {
        let length = HEADER_LEN as u32 + 4 + body.len() as u32;
        let header = Header {
            next_payload: PayloadType(kind),
            length,
            ..HEADER
        };
        seeds.push(
            [
                &[MESSAGE][..],
                &header.to_bytes(),
                &[35, 0, 0, body.len() as u8 + 4],
                body,
            ]
            .concat(),
        );
    }
    seeds.extend([IKE, ESP, "ke1_mlkem768-3des"].map(|words| [&[WORDS], words.as_bytes()].concat()));
    seeds
}

/// Reads it, beside a walk of its own, and writes it again from what was read.
pub fn body(input: &[u8]) {
    match input.split_first() {
        None => {}
        Some((&MESSAGE, bytes)) => message(bytes),
        Some((&WORDS, bytes)) => words(bytes),
        Some((&first, bytes)) => {
            let first = PayloadType(first);
            let read = Payloads::parse(first, bytes, HEADER_LEN);
            match &read {
                Ok(payloads) => assert_eq!(again(payloads).bytes(), bytes),
                Err(error) => refused(error, HEADER_LEN + bytes.len()),
            }
            walked(first, bytes, read.ok(), false);
        }
    }
}

fn message(bytes: &[u8]) {
    let read = Message::parse(bytes);
    match &read {
        Ok(message) => {
            assert_eq!(again(&message.payloads).message(&message.header), bytes);
            assert_eq!(message.bytes(), bytes);
        }
        Err(error) => refused(error, bytes.len()),
    }
    let whole = bytes.len() >= HEADER_LEN
        && bytes[17] >> 4 == 2
        && usize::from(u16_at(bytes, 24)) << 16 | usize::from(u16_at(bytes, 26)) == bytes.len();
    if whole {
        let payloads = read.ok().map(|message| message.payloads);
        walked(PayloadType(bytes[16]), &bytes[HEADER_LEN..], payloads, true);
    } else {
        assert!(read.is_err());
    }
}

/// A refusal is a sentence with a place inside of the message, and what is told is an error.
fn refused(error: &ParseError, len: usize) {
    assert!(error.offset <= len, "{error}");
    assert!(error.to_string().len() < 200);
    assert!(
        error
            .notify()
            .is_none_or(|notify| notify.kind.is_error() && notify.data.len() < 2)
    );
}

/// Walks from header to header: what is read has the same payloads, and what has no end is not read.
fn walked(first: PayloadType, bytes: &[u8], read: Option<Payloads<'_>>, clear: bool) {
    let (mut kind, mut at, mut seen) = (first.0, 0, Vec::new());
    let whole = loop {
        if kind == 0 {
            break at == bytes.len();
        }
        if bytes.len() < at + 4 || u16_at(bytes, at + 2) < 4 {
            break false;
        }
        let encrypted = kind == 46 || kind == 53;
        seen.push((kind, HEADER_LEN + at, bytes[at + 1]));
        let known = (33..=48).contains(&kind) || kind == 53;
        if encrypted && !clear || !known && bytes[at + 1] & 0x80 != 0 {
            break false;
        }
        kind = if encrypted { 0 } else { bytes[at] };
        at += usize::from(u16_at(bytes, at + 2));
    };
    let Some(read) = read else {
        return;
    };
    assert!(whole && seen.len() <= MAX_PAYLOADS);
    let found = read
        .iter()
        .map(|payload| (payload.body.kind().0, payload.offset, payload.flags.0));
    assert_eq!(found.collect::<Vec<_>>(), seen);
}

/// The payloads made anew, those with structure from their items.
fn again(payloads: &Payloads<'_>) -> PayloadWriter {
    let mut writer = PayloadWriter::new();
    for Payload { body, flags, .. } in payloads.iter() {
        sure(match body {
            Body::Sa(sa) => {
                negotiated(&sa);
                writer.push_with_flags(&Body::Sa(sa_again(&sa).view()), flags)
            }
            Body::TsInitiator(ts) => {
                writer.push_with_flags(&Body::TsInitiator(selectors_again(&ts).view()), flags)
            }
            Body::TsResponder(ts) => {
                writer.push_with_flags(&Body::TsResponder(selectors_again(&ts).view()), flags)
            }
            Body::Configuration(configuration) => {
                let mut again = ConfigurationBuilder::new(configuration.kind, configuration.reserved);
                configuration
                    .attributes()
                    .for_each(|attribute| sure(again.push(&attribute)));
                writer.push_with_flags(&Body::Configuration(again.view()), flags)
            }
            other => writer.push_with_flags(&other, flags),
        });
    }
    writer
}

fn sa_again(sa: &Sa<'_>) -> SaBuilder {
    let mut again = SaBuilder::new();
    for proposal in sa.proposals() {
        sure(again.proposal_with_reserved(
            proposal.number,
            proposal.protocol,
            proposal.spi,
            proposal.reserved,
        ));
        for transform in proposal.transforms() {
            let plain = Transform::new(transform.kind, transform.id);
            sure(again.transform_with(plain, transform.reserved, transform.attributes()));
        }
    }
    again
}

fn selectors_again(selectors: &TrafficSelectors<'_>) -> TrafficSelectorsBuilder {
    let all: Vec<Selector<'_>> = selectors.iter().collect();
    let mut again = TrafficSelectorsBuilder::new(&all[0]);
    all[1..].iter().for_each(|selector| sure(again.push(selector)));
    again.reserved(selectors.reserved());
    again
}

/// What is chosen was offered and is ours, and whoever offered it takes it.
fn negotiated(sa: &Sa<'_>) {
    let ours = ours();
    for prefer in [Prefer::Ours, Prefer::Theirs] {
        match choose(&ours, sa, prefer) {
            Ok(chosen) => {
                let offered = |proposal: &ikev2::wire::ProposalView<'_>| {
                    let all: Vec<_> = proposal
                        .transforms()
                        .filter_map(|transform| transform.plain())
                        .collect();
                    proposal.number == chosen.number && chosen.transforms.iter().all(|one| all.contains(one))
                };
                assert!(sa.proposals().any(|proposal| offered(&proposal)));
                for transform in &chosen.transforms {
                    let own = ours[chosen.ours].transforms().contains(transform);
                    assert!(own || transform.is_none() && ours[chosen.ours].of(transform.kind).count() == 0);
                }
            }
            Err(refusal) => assert!(refusal.to_string().len() < 8192),
        }
    }
    if let Ok(taken) = accept(&ours, sa) {
        assert!(
            taken
                .transforms
                .iter()
                .all(|transform| ours[taken.ours].transforms().contains(transform))
        );
    }
}

/// Words that make a proposal are shown as words that make the same.
fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for protocol in [ProtocolId::IKE, ProtocolId::ESP] {
        if let Ok(proposal) = Proposal::parse(protocol, text) {
            assert_eq!(Proposal::parse(protocol, &proposal.to_string()), Ok(proposal));
        }
    }
}
