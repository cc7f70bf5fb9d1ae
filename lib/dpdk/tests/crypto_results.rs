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
