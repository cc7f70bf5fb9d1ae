//! Messages sealed and opened, beside a peer with another library.

use ikev2::crypto::{
    Fragments, IkeSuite, MAX_FRAGMENTS, OpenError, Opened, Opener, SealError, Sealer, Secret, WrongKeys,
};
use ikev2::wire::{
    Body, ExchangeType, Flags, HEADER_LEN, Header, IkeSpi, Message, Notify, NotifyType, PayloadType,
    PayloadWriter,
};

use crate::peer::{Peer, SUITES};
use crate::random;

const HEADER: Header = Header::new(
    IkeSpi([1; 8]),
    IkeSpi([2; 8]),
    ExchangeType::CREATE_CHILD_SA,
    Flags::INITIATOR,
    7,
);

struct Pair {
    sealer: Sealer,
    opener: Opener,
    peer: Peer,
    iv_len: usize,
    icv_len: usize,
}

fn suite(words: &str) -> IkeSuite {
    let transforms: Vec<_> = words
        .split('-')
        .chain(["prfsha256", "ecp256"])
        .map(|word| word.parse().unwrap())
        .collect();
    IkeSuite::new(&transforms).unwrap()
}

fn pairs() -> impl Iterator<Item = Pair> {
    SUITES.into_iter().map(|(words, [e, a, iv_len, icv_len])| {
        let suite = suite(words);
        let sk_e: Vec<u8> = (1..=e as u8).collect();
        let sk_a: Vec<u8> = (101..101 + a as u8).collect();
        let (secret_e, secret_a) = (Secret::from(sk_e.clone()), Secret::from(sk_a.clone()));
        Pair {
            sealer: Sealer::new(&suite, &secret_e, &secret_a, 5).unwrap(),
            opener: Opener::new(&suite, &secret_e, &secret_a).unwrap(),
            peer: Peer {
                suite: words,
                sk_e,
                sk_a,
            },
            iv_len,
            icv_len,
        }
    })
}

/// A Vendor ID of `len` bytes.
fn payloads(len: usize) -> PayloadWriter {
    let mut payloads = PayloadWriter::new();
    let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
    payloads.push(&Body::VendorId(&bytes)).unwrap();
    payloads
}

impl Pair {
    fn open(&self, bytes: &[u8]) -> Result<Opened, OpenError> {
        self.opener.open(&Message::parse(bytes).unwrap())
    }

    /// The payloads of an SK message, as bytes.
    fn opened(&self, bytes: &[u8]) -> Vec<u8> {
        match self.open(bytes).unwrap() {
            Opened::Whole(clear) => rewritten(&clear),
            other => panic!("{other:?}"),
        }
    }

    /// A message of the peer's whose text is `plain` and this padding.
    fn peer_message(&self, first: PayloadType, plain: &[u8], padding: &[u8]) -> Vec<u8> {
        let text = [plain, padding, &[padding.len() as u8]].concat();
        let payload = 4 + self.iv_len + text.len() + self.icv_len;
        let length = (HEADER_LEN + payload) as u32;
        let header = Header {
            next_payload: PayloadType::ENCRYPTED,
            length,
            ..HEADER
        };
        let head = [
            &header.to_bytes()[..],
            &[first.0, 0],
            &(payload as u16).to_be_bytes(),
        ]
        .concat();
        let iv = vec![0x5a; self.iv_len];
        [&head[..], &self.peer.seal(&head, &iv, &text)].concat()
    }
}

fn rewritten(clear: &ikev2::crypto::Clear) -> Vec<u8> {
    let mut again = PayloadWriter::new();
    clear
        .payloads()
        .unwrap()
        .iter()
        .for_each(|payload| again.push(&payload.body).unwrap());
    again.bytes().to_vec()
}

#[test]
fn what_is_sealed_here_another_library_opens() {
    for mut pair in pairs() {
        for len in (0..40).chain([1000, 60_000]) {
            let payloads = payloads(len);
            let sealed = pair
                .sealer
                .seal(&HEADER, &payloads, &mut random(len as u64))
                .unwrap();
            let text = pair.peer.open(&sealed, HEADER_LEN + 4).unwrap();
            let (padding, plain) = text.split_last().unwrap();
            let (plain, padding) = plain.split_at(plain.len() - usize::from(*padding));
            assert_eq!(plain, payloads.bytes(), "{}", pair.peer.suite);
            // No more of it than has to be.
            assert!(padding.len() < if pair.iv_len == 16 { 16 } else { 1 });
            assert_eq!(pair.opened(&sealed), payloads.bytes());
            let message = Message::parse(&sealed).unwrap();
            assert_eq!(
                (message.header.message_id, message.header.next_payload),
                (7, PayloadType::ENCRYPTED)
            );
        }
    }
}

#[test]
fn what_another_library_seals_opens_here_with_any_padding() {
    for pair in pairs() {
        let payloads = payloads(27);
        for blocks in 0..16 {
            // 31 bytes of payload, and one for the length of the padding.
            let padding: Vec<u8> = (0..blocks * 16).map(|at| at as u8 ^ 0xa5).collect();
            let bytes = pair.peer_message(payloads.first(), payloads.bytes(), &padding);
            assert_eq!(
                pair.opened(&bytes),
                payloads.bytes(),
                "{} {blocks}",
                pair.peer.suite
            );
        }
        // No payload at all, as in an answer to a liveness check.
        let bytes = pair.peer_message(PayloadType::NONE, &[], &[9; 15]);
        assert_eq!(pair.opened(&bytes), []);
    }
}

#[test]
fn empty_messages_are_sealed_too() {
    for mut pair in pairs() {
        let sealed = pair
            .sealer
            .seal(&HEADER, &PayloadWriter::new(), &mut random(1))
            .unwrap();
        assert_eq!(pair.opened(&sealed), []);
    }
}

#[test]
fn payloads_in_front_of_the_encrypted_one_are_covered() {
    for pair in pairs() {
        let payloads = payloads(11);
        let text = [payloads.bytes(), &[0]].concat();
        let payload = 4 + pair.iv_len + text.len() + pair.icv_len;
        let mut head = Header {
            next_payload: PayloadType::NOTIFY,
            length: (36 + payload) as u32,
            ..HEADER
        }
        .to_bytes()
        .to_vec();
        head.extend([46, 0, 0, 8, 0, 0, 0x40, 0, payloads.first().0, 0]);
        head.extend((payload as u16).to_be_bytes());
        let mut bytes = [&head[..], &pair.peer.seal(&head, &vec![1; pair.iv_len], &text)].concat();
        assert_eq!(pair.opened(&bytes), payloads.bytes());
        // INITIAL_CONTACT into SET_WINDOW_SIZE.
        bytes[35] = 1;
        assert_eq!(pair.open(&bytes).unwrap_err(), OpenError::Forged);
    }
}

#[test]
fn one_bit_anywhere_makes_a_message_forged() {
    for mut pair in pairs() {
        let sealed = pair.sealer.seal(&HEADER, &payloads(20), &mut random(1)).unwrap();
        let fragments = pair
            .sealer
            .seal_fragments(&HEADER, &payloads(100), 120, &mut random(2))
            .unwrap();
        for bytes in [&sealed, &fragments[0]] {
            for bit in 0..bytes.len() * 8 {
                let mut wrong = bytes.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                // Some are no messages any more, or of another kind.
                if let Ok(message) = Message::parse(&wrong) {
                    let error = pair.opener.open(&message).unwrap_err();
                    let expected = match message.encrypted() {
                        Some(_) => matches!(error, OpenError::Forged | OpenError::Length(_)),
                        None => error == OpenError::NotEncrypted,
                    };
                    assert!(expected, "{}: bit {bit}: {error}", pair.peer.suite);
                }
            }
        }
    }
}

#[test]
fn payloads_that_are_too_short_or_no_whole_blocks_are_refused() {
    for pair in pairs() {
        let least = pair.iv_len + pair.icv_len + if pair.iv_len == 16 { 16 } else { 1 };
        for len in 0..least + 40 {
            let payload = len + 4;
            let header = Header {
                next_payload: PayloadType::ENCRYPTED,
                length: 28 + payload as u32,
                ..HEADER
            };
            let head = [&header.to_bytes()[..], &[0, 0], &(payload as u16).to_be_bytes()].concat();
            let bytes = [head, vec![0; len]].concat();
            let whole = len >= least && (pair.iv_len == 8 || (len - least).is_multiple_of(16));
            let expected = if whole {
                OpenError::Forged
            } else {
                OpenError::Length(len)
            };
            assert_eq!(
                pair.open(&bytes).unwrap_err(),
                expected,
                "{} {len}",
                pair.peer.suite
            );
        }
    }
}

#[test]
fn more_padding_than_text_is_refused() {
    for pair in pairs() {
        // 16 bytes of text whose last says that there were 16 before it.
        let bytes = pair.peer_message(PayloadType::NONE, &[16; 15], &[]);
        let mut text = vec![16; 15];
        text.push(16);
        let head = bytes[..HEADER_LEN + 4].to_vec();
        let bytes = [&head[..], &pair.peer.seal(&head, &vec![3; pair.iv_len], &text)].concat();
        assert_eq!(pair.open(&bytes).unwrap_err(), OpenError::Padding);
        text[15] = 15;
        let bytes = [&head[..], &pair.peer.seal(&head, &vec![3; pair.iv_len], &text)].concat();
        assert_eq!(pair.opened(&bytes), []);
    }
}

#[test]
fn messages_in_clear_are_not_opened() {
    let pair = pairs().next().unwrap();
    let bytes = payloads(3).message(&HEADER);
    assert_eq!(pair.open(&bytes).unwrap_err(), OpenError::NotEncrypted);
}

#[test]
fn keys_of_other_lengths_are_refused() {
    for (words, [e, a, ..]) in SUITES {
        let suite = suite(words);
        for given in [
            (e + 1, a),
            (e - 1, a),
            (e, a + 1),
            (e + 1, a.saturating_sub(1)),
            (0, 0),
        ] {
            let (sk_e, sk_a) = (Secret::from(vec![1; given.0]), Secret::from(vec![1; given.1]));
            let needed = (e, a);
            let expected = WrongKeys { given, needed };
            assert_eq!(Sealer::new(&suite, &sk_e, &sk_a, 0).unwrap_err(), expected);
            assert_eq!(Opener::new(&suite, &sk_e, &sk_a).unwrap_err(), expected);
        }
    }
}

#[test]
fn ivs_of_aeads_are_counted_and_never_come_twice() {
    for pair in pairs().filter(|pair| pair.iv_len == 8) {
        let mut sealer = pair.sealer;
        let iv = |bytes: &[u8]| u64::from_be_bytes(bytes[32..40].try_into().unwrap());
        let ivs: Vec<u64> = (0..3)
            .map(|_| iv(&sealer.seal(&HEADER, &payloads(1), &mut random(1)).unwrap()))
            .collect();
        assert_eq!(ivs, [5, 6, 7]);
        assert_eq!(sealer.next_iv(), 8);
        let keys = [&pair.peer.sk_e, &pair.peer.sk_a].map(|key| Secret::from(key.clone()));
        let mut last = Sealer::new(&suite(pair.peer.suite), &keys[0], &keys[1], u64::MAX).unwrap();
        assert_eq!(
            last.seal(&HEADER, &payloads(1), &mut random(1)),
            Err(SealError::Exhausted)
        );
    }
}

#[test]
fn ivs_of_cbc_are_the_random_bytes() {
    for mut pair in pairs().filter(|pair| pair.iv_len == 16) {
        let mut random = |bytes: &mut [u8]| bytes.fill(0xc3);
        let sealed = pair.sealer.seal(&HEADER, &payloads(1), &mut random).unwrap();
        assert_eq!(sealed[32..48], [0xc3; 16]);
    }
}

#[test]
fn fragments_are_as_long_as_they_may_be_and_open_in_any_order() {
    for mut pair in pairs() {
        for (len, max) in [
            (0, 200),
            (3000, 576),
            (3000, 1248),
            (3000, 1249),
            (60_000, 1248),
            (1100, 65_535),
        ] {
            let payloads = payloads(len);
            let messages = pair
                .sealer
                .seal_fragments(&HEADER, &payloads, max, &mut random(9))
                .unwrap();
            let total = messages.len() as u16;
            let (last, others) = messages.split_last().unwrap();
            assert!(last.len() <= max);
            for (message, number) in others.iter().zip(1..) {
                assert!(
                    max - message.len() < 16 && message.len() <= max,
                    "{} of {max}",
                    message.len()
                );
                assert_eq!(message[32..36], [0, number as u8, 0, total as u8]);
                assert_eq!(message[28], if number == 1 { payloads.first().0 } else { 0 });
                assert!(pair.peer.open(message, HEADER_LEN + 8).is_some());
            }
            let mut fragments = Fragments::new();
            let mut clear = None;
            for message in messages.iter().rev() {
                assert!(clear.is_none());
                match pair.open(message).unwrap() {
                    Opened::Fragment(fragment) => clear = fragments.add(fragment).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(
                rewritten(&clear.unwrap()),
                payloads.bytes(),
                "{}",
                pair.peer.suite
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_not_sealed() {
    for mut pair in pairs() {
        let small = 28 + 8 + pair.iv_len + pair.icv_len;
        let mut fragments = |len, max| {
            pair.sealer
                .seal_fragments(&HEADER, &payloads(len), max, &mut random(9))
        };
        for max in [0, small, small + 1] {
            let refused = fragments(10, max).unwrap_err();
            assert_eq!(
                refused,
                SealError::TooLong {
                    len: 14,
                    fragments: MAX_FRAGMENTS,
                    max
                }
            );
        }
        assert!(matches!(fragments(60_000, 900), Err(SealError::TooLong { .. })));
        let mut two = payloads(60_000);
        two.push(&Body::VendorId(&[0; 6_000])).unwrap();
        let whole = pair.sealer.seal(&HEADER, &two, &mut random(9)).unwrap_err();
        assert_eq!(
            whole,
            SealError::TooLong {
                len: 66_008,
                fragments: 1,
                max: 65_535
            }
        );
    }
}

#[test]
fn nothing_of_keys_or_payloads_is_shown() {
    for mut pair in pairs() {
        let mut payloads = PayloadWriter::new();
        payloads
            .push(&Body::Notify(Notify::new(NotifyType::COOKIE2, &[0xab; 8])))
            .unwrap();
        let sealed = pair.sealer.seal(&HEADER, &payloads, &mut random(1)).unwrap();
        let words = format!("{}-prfsha256-ecp256, ..)", pair.peer.suite);
        assert_eq!(format!("{:?}", pair.sealer), format!("Sealer({words}"));
        assert_eq!(format!("{:?}", pair.opener), format!("Opener({words}"));
        assert_eq!(
            format!("{:?}", pair.open(&sealed).unwrap()),
            "Whole(Clear(16 bytes))"
        );
        let fragments = pair
            .sealer
            .seal_fragments(&HEADER, &payloads, 200, &mut random(1))
            .unwrap();
        let shown = format!("{:?}", pair.open(&fragments[0]).unwrap());
        assert_eq!(
            shown,
            "Fragment(Fragment { first: N, number: 1, total: 1, bytes: Secret(16 bytes) })"
        );
    }
}
