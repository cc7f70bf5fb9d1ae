//! Crypto devices, sessions and queues come and go, refuse what cannot be, and leave no key and no packet behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod crypto;
mod runtime_directory;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crypto::{ANY, open, packet};
use dpdk::crypto::{
    Aead, Auth, Cipher, Config, CryptoError, Device, Direction, Job, Outcome, Queue, Refusal, SessionError,
    SessionPool, SessionPoolError, Transform,
};
use dpdk::{Eal, Mbuf, Pool};

const KEY: [u8; 32] = [
    0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15, 0xf3, 0x9c, 0xc0, 0x60, 0x5c, 0xed, 0xc8, 0x34, 0x10,
    0x82, 0x27, 0x6b, 0xf3, 0xa2, 0x72, 0x51, 0xf8, 0x6c, 0x6a, 0x11, 0xd0, 0xc1, 0x8e, 0x95,
];

const GCM: Transform = Transform::Aead {
    algorithm: Aead::AesGcm,
    key: &KEY,
    aad_len: 8,
};

const CHACHA: Transform = Transform::Aead {
    algorithm: Aead::ChaCha20Poly1305,
    key: &KEY,
    aad_len: 8,
};

const CBC: Transform = Transform::Chain {
    cipher: Cipher::AesCbc,
    cipher_key: &KEY,
    auth: Auth::HmacSha256,
    auth_key: &KEY,
    clear_head: 24,
    clear_tail: 0,
};

#[test]
fn crypto_is_had_used_and_given_back() {
    let _directory = runtime_directory::temporary();
    let eal = crypto::start();
    let packets = crypto::packets(&eal);

    devices_are_opened_once_at_a_time(&eal);
    sessions_that_cannot_be_are_refused(&eal);
    keys_lie_in_locked_memory_and_go_with_their_session(&eal);
    a_session_works_on_another_thread(&eal, &packets);
    jobs_outside_their_packets_are_refused_alone(&eal, &packets);
    a_queue_gives_back_what_it_does_not_take(&eal, &packets);
    a_queue_works_on_many_sessions_at_a_time(&eal, &packets);
    sessions_dropped_with_packets_in_a_queue_stay_until_these_are_out(&eal, &packets);
    a_dropped_queue_frees_its_packets(&eal, &packets);
    what_is_left_is_named(eal, packets);
}

fn with_queues(queues: u16) -> Config {
    Config {
        queues,
        descriptors: 64,
        node: ANY,
    }
}

fn devices_are_opened_once_at_a_time(eal: &Eal) {
    for round in 0..3 {
        let (device, queues) = Device::open(eal, "crypto_aesni_mb0", &with_queues(7)).unwrap();
        assert_eq!(
            (device.name(), device.driver()),
            ("crypto_aesni_mb0", "crypto_aesni_mb")
        );
        assert_eq!(
            (queues.len(), device.is_synchronous()),
            (7, true),
            "round {round}"
        );
        let error = Device::open(eal, "crypto_aesni_mb0", &with_queues(1)).unwrap_err();
        assert!(matches!(error, CryptoError::InUse { .. }), "{error}");
    }
    let error = Device::open(eal, "crypto_aesni_mb0", &with_queues(8)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "crypto_aesni_mb0 has 7 queues beside the one that it needs itself, 8 were asked for: use fewer workers, or add \
         max_nb_queue_pairs= to its devargs"
    );
    let (_, queues) = Device::open(eal, "crypto_aesni_mb0,max_nb_queue_pairs=12", &with_queues(11)).unwrap();
    assert_eq!(queues.len(), 11);

    let error = Device::open(eal, "net_null0", &with_queues(0)).unwrap_err();
    assert!(matches!(error, CryptoError::NoCrypto { .. }), "{error}");
    let error = Device::open(eal, "crypto_none0", &with_queues(0)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the crypto device \"crypto_none0\" cannot be opened: "),
        "{error}"
    );
    let error = Device::open(eal, "crypto\0", &with_queues(0)).unwrap_err();
    assert!(matches!(error, CryptoError::ZeroByte { .. }), "{error}");
}

fn sessions_that_cannot_be_are_refused(eal: &Eal) {
    let (gcm, _) = Device::open(eal, "crypto_aesni_gcm0", &with_queues(0)).unwrap();
    let error = SessionPool::new(&gcm, "zero\0", 1, ANY).unwrap_err();
    assert!(matches!(error, SessionPoolError::Name { .. }), "{error}");
    let error = SessionPool::new(&gcm, "none", 0, ANY).unwrap_err();
    assert!(matches!(error, SessionPoolError::Dpdk { .. }), "{error}");

    let sessions = SessionPool::new(&gcm, "few", 2, ANY).unwrap();
    let error = SessionPool::new(&gcm, "few", 2, ANY).unwrap_err();
    assert!(matches!(error, SessionPoolError::Dpdk { .. }), "{error}");
    let refused = |transform| {
        sessions
            .session(&transform, Direction::Open)
            .unwrap_err()
            .to_string()
    };
    let gcm_of = |key, aad_len| Transform::Aead {
        algorithm: Aead::AesGcm,
        key,
        aad_len,
    };
    assert_eq!(
        refused(gcm_of(&KEY[..20], 8)),
        "a key of 20 bytes is none of AES-GCM with a key of 160 bits: check which algorithm it was made for"
    );
    assert_eq!(
        refused(gcm_of(&KEY, 17)),
        "17 bytes of additional authenticated data are more than the 16 that are taken"
    );
    assert!(!gcm.supports(&CHACHA));
    assert_eq!(
        refused(CHACHA),
        "crypto_aesni_gcm0 does not support ChaCha20-Poly1305 with a key of 256 bits: use another crypto device"
    );

    let first = sessions.session(&GCM, Direction::Open).unwrap();
    let _second = sessions.session(&GCM, Direction::Seal).unwrap();
    assert_eq!((sessions.in_use(), sessions.capacity()), (2, 2));
    let error = sessions.session(&GCM, Direction::Open).unwrap_err();
    assert!(matches!(error, SessionError::Full { capacity: 2, .. }), "{error}");
    drop(first);
    assert_eq!(sessions.in_use(), 1);
    sessions.session(&GCM, Direction::Open).unwrap();
}

/// All of this process's memory that is locked and left out of core dumps.
fn locked_memory() -> Vec<u8> {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut range = (0, 0);
    let mut bytes = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some((start, end)) = words[0].split_once('-') {
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            range = (address(start), address(end));
        } else if words[0] == "VmFlags:" && words.contains(&"lo") && words.contains(&"dd") {
            let at = bytes.len();
            bytes.resize(at + (range.1 - range.0) as usize, 0);
            memory.read_exact_at(&mut bytes[at..], range.0).unwrap();
        }
    }
    bytes
}

fn has_a_key() -> bool {
    locked_memory()
        .windows(16)
        .any(|bytes| bytes == &KEY[..16] || bytes == &KEY[16..])
}

fn keys_lie_in_locked_memory_and_go_with_their_session(eal: &Eal) {
    assert_eq!(locked_memory().len(), 0);
    for (devargs, transform) in [
        ("crypto_aesni_gcm0", GCM),
        ("crypto_aesni_mb0", CHACHA),
        ("crypto_aesni_mb0", CBC),
    ] {
        let (device, _) = Device::open(eal, devargs, &with_queues(0)).unwrap();
        // More than one huge page.
        let sessions = SessionPool::new(&device, "keys", 2000, ANY).unwrap();
        assert!(locked_memory().len() > 2 << 20 && !has_a_key(), "{devargs}");
        let other = sessions.session(&transform, Direction::Seal).unwrap();
        let session = sessions.session(&transform, Direction::Seal).unwrap();
        assert!(has_a_key(), "{devargs}");
        drop(other);
        assert!(has_a_key(), "{devargs}");
        drop(sessions);
        assert!(has_a_key(), "{devargs}");
        drop(session);
        assert!(!has_a_key(), "{devargs}");
        assert_eq!(locked_memory().len(), 0, "{devargs}");
        let sessions = SessionPool::new(&device, "keys", 2000, ANY).unwrap();
        let all: Vec<_> = (0..2000)
            .map(|_| sessions.session(&transform, Direction::Open).unwrap())
            .collect();
        drop(all);
        assert!(!has_a_key(), "{devargs}");
    }
}

fn job(packet: u16, start: u16, end: u16, digest: u16) -> Job {
    Job {
        packet,
        start,
        end,
        digest,
        ..Job::default()
    }
}

fn a_session_works_on_another_thread(eal: &Eal, packets: &Pool) {
    let (device, _) = Device::open(eal, "crypto_aesni_gcm0", &with_queues(0)).unwrap();
    let sessions = SessionPool::new(&device, "threads", 8, ANY).unwrap();
    let mut session = sessions.session(&GCM, Direction::Seal).unwrap();
    let mut burst = [packet(packets, &[&[7; 100]])];
    assert_eq!(session.process(&mut burst, &mut [job(0, 14, 60, 60)]), 1);
    let expected = burst[0].data().to_vec();
    let prepared = sessions.clone();
    let mut again = [packet(packets, &[&[7; 100]])];
    let work = move || {
        prepared.prepare_thread().unwrap();
        let done = session.process(&mut again, &mut [job(0, 14, 60, 60)]);
        (done, again[0].data().to_vec())
    };
    assert_eq!(std::thread::spawn(work).join().unwrap(), (1, expected));
    assert_eq!(sessions.in_use(), 0);
}

fn jobs_outside_their_packets_are_refused_alone(eal: &Eal, packets: &Pool) {
    let (device, _) = Device::open(eal, "crypto_aesni_mb0", &with_queues(0)).unwrap();
    let sessions = SessionPool::new(&device, "places", 2, ANY).unwrap();
    let mut session = sessions.session(&CBC, Direction::Seal).unwrap();
    const LEN: usize = 200;
    let good = job(0, 20, 20 + 24 + 48, 100);
    let bad = [
        job(1, 20, LEN as u16 + 1, 100),
        job(1, 20, 92, LEN as u16 - 15),
        job(1, 20, 20 + 24 + 47, 100),
        job(1, 20, 20 + 24, 100),
        job(1, 92, 20, 100),
        job(1, u16::MAX, u16::MAX, u16::MAX),
        job(2, 20, 92, 100),
        job(u16::MAX, 20, 92, 100),
    ];
    for bad in bad {
        let mut burst = [packet(packets, &[&[7; LEN]]), packet(packets, &[&[7; LEN]])];
        let mut jobs = [bad, good, bad];
        assert_eq!(session.process(&mut burst, &mut jobs), 1, "{bad:?}");
        assert_eq!(
            jobs.map(|job| job.outcome),
            [Outcome::Refused, Outcome::Done, Outcome::Refused],
            "{bad:?}"
        );
        assert_ne!(burst[0].data(), [7; LEN]);
        assert_eq!(burst[1].data(), [7; LEN], "{bad:?}");
    }

    let mut long = packet(packets, &[&[7; 1000]]);
    long.extend(packets, &[7; 3000]).unwrap();
    let first = long.data().len() as u16;
    let mut jobs = [
        job(0, 20, 92, first),
        job(0, 20, 92, first - 15),
        job(0, 20, 92, first - 16),
    ];
    assert_eq!(session.process(&mut [long], &mut jobs), 1);
    assert_eq!(jobs[2].outcome, Outcome::Done);
    assert_eq!(session.process(&mut [], &mut []), 0);
}

fn a_queue_gives_back_what_it_does_not_take(eal: &Eal, packets: &Pool) {
    let (gcm, mut queue) = open(eal, "crypto_aesni_gcm0");
    let (mb, _) = open(eal, "crypto_aesni_mb0");
    let gcm_sessions = SessionPool::new(&gcm, "gcm", 2, ANY).unwrap();
    let mb_sessions = SessionPool::new(&mb, "mb", 2, ANY).unwrap();
    let session = gcm_sessions.session(&GCM, Direction::Seal).unwrap();
    let other = mb_sessions.session(&GCM, Direction::Seal).unwrap();
    let good = job(0, 14, 60, 60);
    let mut refused = |session, job: &Job| {
        let error = queue
            .enqueue(packet(packets, &[&[7; 100]]), session, job, 0)
            .unwrap_err();
        assert_eq!(error.packet.data(), [7; 100]);
        error.reason
    };
    assert_eq!(refused(&other, &good), Refusal::OtherDevice);
    assert_eq!(refused(&session, &job(0, 14, 101, 60)), Refusal::Place);
    assert_eq!(refused(&session, &job(0, 14, 60, 85)), Refusal::Place);

    let mut long = packet(packets, &[&[7; 1000]]);
    long.extend(packets, &[7; 3000]).unwrap();
    let error = queue.enqueue(long, &session, &good, 0).unwrap_err();
    assert_eq!((error.reason, error.packet.len()), (Refusal::Place, 4000));
    drop(error);

    assert_eq!((queue.capacity(), queue.is_empty()), (63, true));
    for tag in 0..63 {
        queue
            .enqueue(packet(packets, &[&[7; 100]]), &session, &good, tag)
            .unwrap();
    }
    assert_eq!((queue.len(), packets.in_use()), (63, 63));
    let full = queue
        .enqueue(packet(packets, &[&[7; 100]]), &session, &good, 63)
        .unwrap_err();
    assert_eq!(full.reason, Refusal::Full);
    drop(full);
    let mut tags = Vec::new();
    while !queue.is_empty() {
        queue.dequeue(|_, tag, outcome| {
            assert_eq!(outcome, Outcome::Done);
            tags.push(tag);
        });
    }
    assert_eq!(tags, (0..63).collect::<Vec<_>>());
    assert_eq!((queue.dequeue(|_, _, _| ()), packets.in_use()), (0, 0));
}

fn drain(queue: &mut Queue) -> Vec<(Mbuf, u64, Outcome)> {
    let mut all = Vec::new();
    while !queue.is_empty() {
        queue.dequeue(|packet, tag, outcome| all.push((packet, tag, outcome)));
    }
    all
}

fn a_queue_works_on_many_sessions_at_a_time(eal: &Eal, packets: &Pool) {
    let (device, mut queue) = open(eal, "crypto_aesni_mb0");
    let sessions = SessionPool::new(&device, "many", 128, ANY).unwrap();
    let keys: Vec<[u8; 32]> = (0..60).map(|number| [number; 32]).collect();
    let transform = |number: usize| match number % 3 {
        0 => Transform::Aead {
            algorithm: Aead::AesGcm,
            key: &keys[number],
            aad_len: 8,
        },
        1 => Transform::Aead {
            algorithm: Aead::ChaCha20Poly1305,
            key: &keys[number],
            aad_len: 12,
        },
        _ => Transform::Chain {
            cipher: Cipher::AesCbc,
            cipher_key: &keys[number],
            auth: Auth::HmacSha256,
            auth_key: &keys[number],
            clear_head: 24,
            clear_tail: 0,
        },
    };
    let both = |number| {
        [Direction::Seal, Direction::Open].map(|way| sessions.session(&transform(number), way).unwrap())
    };
    let all: Vec<_> = (0..60).map(both).collect();
    let job = job(0, 14, 14 + 24 + 160, 14 + 24 + 160);
    for (number, [seal, _]) in all.iter().enumerate() {
        let text = packet(packets, &[&[number as u8; 300]]);
        queue.enqueue(text, seal, &job, number as u64).unwrap();
    }
    let mut sealed = drain(&mut queue);
    assert_eq!(sealed.len(), 60);
    // One is opened by the key of another.
    sealed[5].1 = (sealed[5].1 + 3) % 60;
    for (packet, number, outcome) in sealed {
        assert_eq!(outcome, Outcome::Done);
        assert_ne!(packet.data()[40..190], [number as u8; 150]);
        queue
            .enqueue(packet, &all[number as usize][1], &job, number)
            .unwrap();
    }
    let opened = drain(&mut queue);
    let bad = opened
        .iter()
        .filter(|(_, _, outcome)| *outcome == Outcome::BadDigest);
    assert_eq!((opened.len(), bad.count()), (60, 1));
    for (packet, number, outcome) in &opened {
        if *outcome == Outcome::Done {
            assert_eq!(packet.data()[..198], [*number as u8; 198]);
        }
    }
}

fn sessions_dropped_with_packets_in_a_queue_stay_until_these_are_out(eal: &Eal, packets: &Pool) {
    let (device, mut queue) = open(eal, "crypto_aesni_mb0");
    let sessions = SessionPool::new(&device, "dropped", 4, ANY).unwrap();
    let session = sessions.session(&CBC, Direction::Seal).unwrap();
    for tag in 0..40 {
        queue
            .enqueue(
                packet(packets, &[&[7; 300]]),
                &session,
                &job(0, 14, 198, 198),
                tag,
            )
            .unwrap();
    }
    drop(session);
    assert_eq!(sessions.in_use(), 1);
    let all = drain(&mut queue);
    assert!(all.len() == 40 && all.iter().all(|(_, _, outcome)| *outcome == Outcome::Done));
    assert_eq!(sessions.in_use(), 0);
}

fn a_dropped_queue_frees_its_packets(eal: &Eal, packets: &Pool) {
    for (devargs, transform) in [("crypto_aesni_mb0", CBC), ("crypto_aesni_gcm0", GCM)] {
        let (device, mut queue) = open(eal, devargs);
        let sessions = SessionPool::new(&device, "freed", 4, ANY).unwrap();
        let session = sessions.session(&transform, Direction::Seal).unwrap();
        // The first 32 are with the device, the others not yet.
        for tag in 0..50 {
            queue
                .enqueue(
                    packet(packets, &[&[7; 300]]),
                    &session,
                    &job(0, 14, 198, 198),
                    tag,
                )
                .unwrap();
        }
        drop(session);
        assert_eq!((packets.in_use(), sessions.in_use()), (50, 1), "{devargs}");
        drop(queue);
        assert_eq!((packets.in_use(), sessions.in_use()), (0, 0), "{devargs}");
    }
}

fn what_is_left_is_named(eal: Eal, packets: Pool) {
    let (device, queue) = open(&eal, "crypto_aesni_mb0");
    let sessions = SessionPool::new(&device, "left", 4, ANY).unwrap();
    let mut session = sessions.session(&CBC, Direction::Seal).unwrap();
    drop((device, sessions));
    let error = eal.shutdown().unwrap_err();
    assert_eq!(
        error.to_string(),
        "DPDK is not shut down because it is still in use: 1 pool, 1 crypto device, 1 crypto session pool"
    );
    // A session keeps its pool and device alive.
    let mut burst = [packet(&packets, &[&[7; 300]])];
    assert_eq!(session.process(&mut burst, &mut [job(0, 14, 198, 198)]), 1);
    drop((session, queue));
}
