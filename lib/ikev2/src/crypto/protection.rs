//! Messages encrypted and authenticated: SK payloads whole (RFC 7296 §3.14, RFC 5282, RFC 7634) or in fragments (RFC 7383 §2.5).
//!
//! ```text
//!   │ IKE header │ header of SK │                    IV │ payloads │ padding, its length │ ICV │
//!   │ IKE header │ header of SKF │ number │ total │    IV │ part of them │ as above         │ ICV │
//!   └──────────── associated data ─────────────┘           └─────── encrypted ──────────┘   AEAD
//!   └──────────────────────────── authenticated ────────────────────────────────────────┘   CBC and HMAC
//! ```

use aws_lc_rs::{aead, cipher, hmac};
use zeroize::Zeroizing;

use super::{IkeSuite, Secret};

/// As many fragments are made of a message, and taken for one.
pub const MAX_FRAGMENTS: u16 = 64;

/// What an AEAD needs beside its key.
pub(super) struct Aead {
    pub(super) key: aead::LessSafeKey,
    salt: Zeroizing<[u8; 4]>,
}

impl Aead {
    pub(super) fn nonce(&self, iv: [u8; 8]) -> aead::Nonce {
        let [s0, s1, s2, s3] = *self.salt;
        let [i0, i1, i2, i3, i4, i5, i6, i7] = iv;
        aead::Nonce::assume_unique_for_key([s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, i6, i7])
    }
}

/// The keys are not those of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SK_e and SK_a have {} and {} bytes where the suite takes {} and {}; derive them for this suite",
    given.0, given.1, needed.0, needed.1)]
pub struct WrongKeys {
    /// Bytes of SK_e and of SK_a.
    pub given: (usize, usize),
    /// Bytes of both that the suite takes.
    pub needed: (usize, usize),
}

pub(super) fn wrong_keys(suite: &IkeSuite, sk_e: &Secret, sk_a: &Secret) -> WrongKeys {
    WrongKeys {
        given: (sk_e.len(), sk_a.len()),
        needed: (suite.encryption.key_len(), suite.integrity_key_len()),
    }
}

/// The keys of one direction, made ready; `C` is how its library has the cipher's.
pub(super) enum Keys<C> {
    Aead(Aead),
    Cbc {
        cipher: C,
        mac: Box<hmac::Key>,
        icv_len: usize,
    },
}

impl<C> Keys<C> {
    /// `None`: the keys are longer or shorter than the suite's.
    pub(super) fn new(
        suite: &IkeSuite,
        sk_e: &Secret,
        sk_a: &Secret,
        cbc: fn(cipher::UnboundCipherKey) -> Result<C, aws_lc_rs::error::Unspecified>,
    ) -> Option<Keys<C>> {
        if sk_e.len() != suite.encryption.key_len() || sk_a.len() != suite.integrity_key_len() {
            return None;
        }
        let (key, salt) = sk_e
            .expose()
            .split_at_checked(suite.encryption.cipher_key_len())?;
        if let Some(algorithm) = suite.encryption.aead() {
            let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, key).ok()?);
            return Some(Keys::Aead(Aead {
                key,
                salt: Zeroizing::new(salt.try_into().ok()?),
            }));
        }
        let integrity = suite.integrity?;
        let cipher = cbc(cipher::UnboundCipherKey::new(suite.encryption.cbc()?, key).ok()?).ok()?;
        let mac = Box::new(hmac::Key::new(integrity.hmac(), sk_a.expose()));
        Some(Keys::Cbc {
            cipher,
            mac,
            icv_len: integrity.icv_len(),
        })
    }
}
