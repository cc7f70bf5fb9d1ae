//! What is sealed is what others seal, what they seal is opened, and nothing else is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod crypto;
#[path = "crypto/reference.rs"]
mod reference;
mod runtime_directory;

use std::cell::RefCell;

use crypto::ANY;
use dpdk::crypto::{Aead, Auth, Cipher, Direction, Job, Outcome, Queue, Session, SessionPool, Transform};
use dpdk::{Mbuf, Pool};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One packet: what is before the text, the text, nonce and additional data.
#[derive(Clone, Debug)]
struct Text {
    headers: Vec<u8>,
    text: Vec<u8>,
    iv: [u8; 16],
    aad: [u8; 16],
}

/// Who does the jobs.
enum By<'queue> {
    ThisThread,
    Queue(&'queue mut Queue),
}

impl By<'_> {
    /// Does the jobs, each on its own packet, and answers what came of each.
    fn run(&mut self, session: &mut Session, packets: &mut Vec<Mbuf>, jobs: &mut [Job]) -> Vec<Outcome> {
        match self {
            Self::ThisThread => {
                let done = session.process(packets, jobs);
                let outcomes: Vec<_> = jobs.iter().map(|job| job.outcome).collect();
                assert_eq!(
                    done,
                    outcomes
                        .iter()
                        .filter(|&&outcome| outcome == Outcome::Done)
                        .count()
                );
                outcomes
            }
            Self::Queue(queue) => {
                let mut outcomes = vec![Outcome::Waiting; jobs.len()];
                let mut back: Vec<Option<Mbuf>> = packets.iter().map(|_| None).collect();
                for (tag, (packet, job)) in packets.drain(..).zip(jobs).enumerate() {
                    queue.enqueue(packet, session, job, tag as u64).unwrap();
                }
                while !queue.is_empty() {
                    queue.dequeue(|packet, tag, outcome| {
                        outcomes[tag as usize] = outcome;
                        assert!(back[tag as usize].replace(packet).is_none());
                    });
                }
                packets.extend(back.into_iter().map(Option::unwrap));
                outcomes
            }
        }
    }
}

#[test]
fn results_are_those_of_others() {
    let _directory = runtime_directory::temporary();
    let eal = crypto::start();
    let packets = crypto::packets(&eal);
    let (gcm, mut gcm_queue) = crypto::open(&eal, "crypto_aesni_gcm0");
    let (mb, mut mb_queue) = crypto::open(&eal, "crypto_aesni_mb0");
    let gcm_sessions = SessionPool::new(&gcm, "gcm", 4, ANY).unwrap();
    let mb_sessions = SessionPool::new(&mb, "mb", 4, ANY).unwrap();

    for transform in transforms() {
        for (sessions, queue) in [(&gcm_sessions, &mut gcm_queue), (&mb_sessions, &mut mb_queue)] {
            let device = if std::ptr::eq(sessions, &gcm_sessions) {
                &gcm
            } else {
                &mb
            };
            if !device.supports(&transform) {
                // The device of GCM does nothing else, and every transform has a device.
                assert_eq!(device.driver(), "crypto_aesni_gcm");
                assert!(mb.supports(&transform), "{transform}");
                continue;
            }
            the_reference_agrees(&packets, sessions, By::ThisThread, &transform);
            the_reference_agrees(&packets, sessions, By::Queue(queue), &transform);
        }
    }
    for vector in vectors() {
        for sessions in [&gcm_sessions, &mb_sessions] {
            if let Ok(session) = sessions.session(&vector.transform(), Direction::Seal) {
                vector.holds(&packets, session);
            }
        }
    }
    assert_eq!(packets.in_use(), 0);
    drop((gcm_sessions, mb_sessions, gcm_queue, mb_queue, gcm, mb, packets));
    eal.shutdown().unwrap();
}

/// Every transform of ESP, each with and without extended sequence numbers.
fn transforms() -> Vec<Transform<'static>> {
    const KEY: [u8; 64] = {
        let mut key = [0; 64];
        let mut at = 0;
        while at < key.len() {
            key[at] = (at * 37 + 11) as u8;
            at += 1;
        }
        key
    };
    let mut all = Vec::new();
    for aad_len in [8, 12] {
        for (algorithm, len) in [
            (Aead::AesGcm, 16),
            (Aead::AesGcm, 24),
            (Aead::AesGcm, 32),
            (Aead::ChaCha20Poly1305, 32),
        ] {
            all.push(Transform::Aead {
                algorithm,
                key: &KEY[..len],
                aad_len,
            });
        }
    }
    for clear_tail in [0, 4] {
        for auth in [Auth::HmacSha256, Auth::HmacSha384, Auth::HmacSha512] {
            for len in [0, 16, 24, 32] {
                all.push(Transform::Chain {
                    cipher: if len == 0 { Cipher::Null } else { Cipher::AesCbc },
                    cipher_key: &KEY[..len],
                    auth,
                    auth_key: &KEY[..auth.key_len()],
                    clear_head: 24,
                    clear_tail,
                });
            }
        }
    }
    all
}

fn is_cbc(transform: &Transform) -> bool {
    matches!(
        transform,
        Transform::Chain {
            cipher: Cipher::AesCbc,
            ..
        }
    )
}

fn texts(transform: &Transform) -> impl Strategy<Value = Vec<Text>> + use<> {
    let (block, clear) = match *transform {
        Transform::Chain { clear_tail, .. } if is_cbc(transform) => (16, 24 + usize::from(clear_tail)),
        _ => (1, 0),
    };
    let bytes = |range| prop::collection::vec(any::<u8>(), range);
    let text = (bytes(0..70), bytes(1..1500), any::<[u8; 16]>(), any::<[u8; 16]>());
    let text = text.prop_map(move |(headers, mut text, iv, aad)| {
        let blocks = text.len().div_ceil(block);
        text.resize(clear + blocks * block, 0x5a);
        Text {
            headers,
            text,
            iv,
            aad,
        }
    });
    prop::collection::vec(text, 1..40)
}

fn the_reference_agrees(packets: &Pool, sessions: &SessionPool, by: By, transform: &Transform) {
    // A case that is run is no exclusive borrower of what it uses.
    let by = RefCell::new(by);
    let [seal, open] =
        [Direction::Seal, Direction::Open].map(|way| RefCell::new(sessions.session(transform, way).unwrap()));
    let run = |session: &RefCell<Session>, burst: &mut Vec<Mbuf>, jobs: &mut [Job]| {
        by.borrow_mut().run(&mut session.borrow_mut(), burst, jobs)
    };
    let digest_len = transform.digest_len();
    let damages = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
    let mut runner = TestRunner::new(Config::with_cases(6));
    let cases = (texts(transform), damages, any::<prop::sample::Index>());
    let result = runner.run(&cases, |(texts, damaged, damage)| {
        let mut burst: Vec<Mbuf> = texts
            .iter()
            .map(|text| {
                crypto::packet(
                    packets,
                    &[&text.headers, &text.text, &vec![0; digest_len], b"behind"],
                )
            })
            .collect();
        let mut jobs: Vec<Job> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| job(index, text))
            .collect();
        let sealed = run(&seal, &mut burst, &mut jobs);
        prop_assert!(sealed.iter().all(|&outcome| outcome == Outcome::Done));
        for (mbuf, text) in burst.iter().zip(&texts) {
            let mut expected = text.text.clone();
            let digest = reference::seal(transform, &text.iv, &text.aad, &mut expected);
            let expected = [&text.headers[..], &expected, &digest, b"behind"].concat();
            prop_assert_eq!(mbuf.data(), expected);
        }

        let damaged: Vec<usize> = damaged.iter().map(|index| index.index(texts.len())).collect();
        for &packet in &damaged {
            let text = &texts[packet];
            let at = text.headers.len() + damage.index(text.text.len() + digest_len);
            burst[packet].data_mut()[at] ^= 0xff;
        }
        // What is damaged twice, at the same place, is as it was.
        let odd = |packet: usize| damaged.iter().filter(|&&other| other == packet).count() % 2 == 1;
        let opened = run(&open, &mut burst, &mut jobs);
        for (packet, (mbuf, text)) in burst.iter().zip(&texts).enumerate() {
            if odd(packet) {
                prop_assert_eq!(opened[packet], Outcome::BadDigest);
                continue;
            }
            prop_assert_eq!(opened[packet], Outcome::Done);
            let text_at = text.headers.len()..text.headers.len() + text.text.len();
            prop_assert_eq!(&mbuf.data()[text_at], &text.text[..]);
            prop_assert_eq!(&mbuf.data()[..text.headers.len()], &text.headers[..]);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{transform}: {error}"));
    assert_eq!(packets.in_use(), 0, "{transform}");
}

fn job(index: usize, text: &Text) -> Job {
    let start = text.headers.len() as u16;
    let end = start + text.text.len() as u16;
    Job {
        packet: index as u16,
        start,
        end,
        digest: end,
        iv: text.iv,
        aad: text.aad,
        outcome: Outcome::Waiting,
    }
}

/// A published test case, in hex.
struct Vector {
    name: &'static str,
    algorithm: Algorithm,
    key: &'static str,
    auth_key: String,
    iv: &'static str,
    aad: &'static str,
    text: &'static str,
    /// The text, enciphered.
    sealed: &'static str,
    digest: &'static str,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Aead(Aead),
    Chain(Cipher, Auth),
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

impl Vector {
    fn transform(&self) -> Transform<'static> {
        let key = hex(self.key).leak();
        match self.algorithm {
            Algorithm::Aead(algorithm) => Transform::Aead {
                algorithm,
                key,
                aad_len: (self.aad.len() / 2) as u8,
            },
            Algorithm::Chain(cipher, auth) => Transform::Chain {
                cipher,
                cipher_key: key,
                auth,
                auth_key: hex(&self.auth_key).leak(),
                clear_head: 0,
                clear_tail: 0,
            },
        }
    }

    fn holds(&self, packets: &Pool, mut session: Session) {
        let text = hex(self.text);
        let room = vec![0; self.transform().digest_len()];
        let mut burst = [crypto::packet(packets, &[&text, &room])];
        let (mut iv, mut aad) = ([0; 16], [0; 16]);
        let (iv_bytes, aad_bytes) = (hex(self.iv), hex(self.aad));
        iv[..iv_bytes.len()].copy_from_slice(&iv_bytes);
        aad[..aad_bytes.len()].copy_from_slice(&aad_bytes);
        let text = Text {
            headers: Vec::new(),
            text,
            iv,
            aad,
        };
        assert_eq!(
            session.process(&mut burst, &mut [job(0, &text)]),
            1,
            "{}",
            self.name
        );
        let (sealed, digest) = burst[0].data().split_at(text.text.len());
        assert_eq!(sealed, hex(self.sealed), "{}", self.name);
        if !self.digest.is_empty() {
            assert_eq!(digest, hex(self.digest), "{}", self.name);
        }
    }
}

fn vectors() -> Vec<Vector> {
    let aead = |name, algorithm, key, iv, aad, text, sealed, digest| Vector {
        name,
        algorithm: Algorithm::Aead(algorithm),
        key,
        auth_key: String::new(),
        iv,
        aad,
        text,
        sealed,
        digest,
    };
    let cbc = |name, key, iv, text, sealed| Vector {
        name,
        algorithm: Algorithm::Chain(Cipher::AesCbc, Auth::HmacSha256),
        key,
        auth_key: "00".repeat(32),
        iv,
        aad: "",
        text,
        sealed,
        digest: "",
    };
    let hmac = |name, auth: Auth, byte: &str, text, digest| Vector {
        name,
        algorithm: Algorithm::Chain(Cipher::Null, auth),
        key: "",
        auth_key: byte.repeat(auth.key_len()),
        iv: "",
        aad: "",
        text,
        sealed: text,
        digest,
    };
    const GCM_TEXT: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                            1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
    const HI_THERE: &str = "4869205468657265";
    const DD_50: &str = "dddddddddddddddddddddddddddddddddddddddddddddddddd\
                         dddddddddddddddddddddddddddddddddddddddddddddddddd";
    vec![
        aead(
            "RFC 7634 appendix A",
            Aead::ChaCha20Poly1305,
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "a0a1a2a31011121314151617",
            "0102030400000005",
            "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f1011121314151617\
             18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204",
            "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c\
             4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0",
            "76aaa8266b7fb0f7b11b369907e1ad43",
        ),
        aead(
            "AES-GCM in ESP (RFC 4106) with extended sequence numbers, draft-mcgrew-gcm-test",
            Aead::AesGcm,
            "4c80cdefbb5d10da906ac73c3613a634",
            "2e443b684956ed7e3b244cfe",
            "000043218765432100000000",
            "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f756470037369700963\
             796265726369747902646b000021000101020201",
            "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e18\
             84f5ff6247aeabb786b93bce61bc17d768fd9732",
            "459018148f6cbe722fd04796562dfdb4",
        ),
        aead(
            "GCM, test case 9",
            Aead::AesGcm,
            "feffe9928665731c6d6a8f9467308308feffe9928665731c",
            "cafebabefacedbaddecaf888",
            "",
            GCM_TEXT,
            "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b\
             2fe324d9ccda2710acade256",
            "9924a7c8587336bfb118024db8674a14",
        ),
        aead(
            "GCM, test case 15",
            Aead::AesGcm,
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "",
            GCM_TEXT,
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e63\
             93ba7a0abcc9f662898015ad",
            "b094dac5d93471bdec1a502270e3cc6c",
        ),
        cbc(
            "RFC 3602 case 1",
            "06a9214036b8a15b512e03d534120006",
            "3dafba429d9eb430b422da802c9fac41",
            "53696e676c6520626c6f636b206d7367",
            "e353779c1079aeb82708942dbe77181a",
        ),
        cbc(
            "RFC 3602 case 2",
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
        ),
        hmac(
            "RFC 4868 AUTH256-1",
            Auth::HmacSha256,
            "0b",
            HI_THERE,
            "198a607eb44bfbc69903a0f1cf2bbdc5",
        ),
        hmac(
            "RFC 4868 AUTH256-3",
            Auth::HmacSha256,
            "aa",
            DD_50,
            "cdcb1220d1ecccea91e53aba3092f962",
        ),
        hmac(
            "RFC 4868 AUTH384-1",
            Auth::HmacSha384,
            "0b",
            HI_THERE,
            "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
        ),
        hmac(
            "RFC 4868 AUTH384-3",
            Auth::HmacSha384,
            "aa",
            DD_50,
            "809f439be00274321d4a538652164b53554a508184a0c316",
        ),
        hmac(
            "RFC 4868 AUTH512-1",
            Auth::HmacSha512,
            "0b",
            HI_THERE,
            "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
        ),
        hmac(
            "RFC 4868 AUTH512-3",
            Auth::HmacSha512,
            "aa",
            DD_50,
            "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
        ),
    ]
}
