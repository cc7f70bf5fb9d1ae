//! What is sealed is what RFCs and other publications say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod crypto;
mod runtime_directory;

use crypto::ANY;
use dpdk::Pool;
use dpdk::crypto::{Aead, Auth, Cipher, Direction, Job, Session, SessionPool, Transform};

#[test]
fn published_vectors_hold() {
    let _directory = runtime_directory::temporary();
    let eal = crypto::start();
    let packets = crypto::packets(&eal);
    for devargs in ["crypto_aesni_gcm0", "crypto_aesni_mb0"] {
        let (device, _) = crypto::open(&eal, devargs);
        let sessions = SessionPool::new(&device, "vectors", 2, ANY).unwrap();
        let mut held = 0;
        for vector in vectors() {
            let transform = vector.transform();
            if device.supports(&transform) {
                vector.holds(&packets, sessions.session(&transform, Direction::Seal).unwrap());
                held += 1;
            }
        }
        let all = device.driver() == "crypto_aesni_mb";
        assert_eq!(held, if all { vectors().len() } else { 3 }, "{devargs}");
    }
    assert_eq!(packets.in_use(), 0);
    drop(packets);
    eal.shutdown().unwrap();
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
        let end = text.len() as u16;
        let mut job = Job {
            end,
            digest: end,
            ..Job::default()
        };
        for (bytes, place) in [(self.iv, &mut job.iv), (self.aad, &mut job.aad)] {
            let bytes = hex(bytes);
            place[..bytes.len()].copy_from_slice(&bytes);
        }
        let room = vec![0; self.transform().digest_len()];
        let mut burst = [crypto::packet(packets, &[&text, &room])];
        assert_eq!(session.process(&mut burst, &mut [job]), 1, "{}", self.name);
        let (sealed, digest) = burst[0].data().split_at(text.len());
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
