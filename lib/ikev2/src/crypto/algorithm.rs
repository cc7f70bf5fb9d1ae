//! Algorithms that IKE SAs and child SAs can have here, and how long everything of theirs is.
//!
//! ```text
//!                      key             salt  IV  block  ICV
//!   AES-CBC            16, 24, 32      -     16  16     -       RFC 3602
//!   AES-GCM-16         16, 24, 32      4     8   1      16      RFC 5282
//!   ChaCha20-Poly1305  32              4     8   1      16      RFC 7634
//!   HMAC-SHA2-256-128  32                              16       RFC 4868
//!   HMAC-SHA2-384-192  48                              24
//!   HMAC-SHA2-512-256  64                              32
//! ```

use aws_lc_rs::{aead, cipher, hmac};

use crate::wire::{EncryptionId, IntegrityId, Transform, TransformType};

/// What encrypts, with the bits of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// AES in CBC mode.
    AesCbc(KeyBits),
    /// AES in Galois/Counter mode with an ICV of 16 bytes.
    AesGcm16(KeyBits),
    /// ChaCha20 and Poly1305.
    ChaCha20Poly1305,
}

/// How long a key of AES is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyBits {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

impl KeyBits {
    const ALL: [KeyBits; 3] = [KeyBits::Bits128, KeyBits::Bits192, KeyBits::Bits256];

    /// As bytes.
    pub const fn bytes(self) -> usize {
        match self {
            KeyBits::Bits128 => 16,
            KeyBits::Bits192 => 24,
            KeyBits::Bits256 => 32,
        }
    }

    /// What an attribute of a transform says.
    pub const fn bits(self) -> u16 {
        match self {
            KeyBits::Bits128 => 128,
            KeyBits::Bits192 => 192,
            KeyBits::Bits256 => 256,
        }
    }
}

impl Encryption {
    /// The algorithm of a transform, if it is here.
    pub fn of(transform: Transform) -> Option<Encryption> {
        if transform.kind != TransformType::ENCR {
            return None;
        }
        let bits = || {
            KeyBits::ALL
                .into_iter()
                .find(|bits| Some(bits.bits()) == transform.key_length)
        };
        match EncryptionId(transform.id) {
            EncryptionId::AES_CBC => bits().map(Encryption::AesCbc),
            EncryptionId::AES_GCM_16 => bits().map(Encryption::AesGcm16),
            // It has keys of one length, which is never said (RFC 7634 §3).
            EncryptionId::CHACHA20_POLY1305 if transform.key_length.is_none() => {
                Some(Encryption::ChaCha20Poly1305)
            }
            _ => None,
        }
    }

    /// Its transform.
    pub const fn transform(self) -> Transform {
        match self {
            Encryption::AesCbc(bits) => Transform::encryption(EncryptionId::AES_CBC, Some(bits.bits())),
            Encryption::AesGcm16(bits) => Transform::encryption(EncryptionId::AES_GCM_16, Some(bits.bits())),
            Encryption::ChaCha20Poly1305 => Transform::encryption(EncryptionId::CHACHA20_POLY1305, None),
        }
    }

    /// Whether it authenticates as well.
    pub const fn is_aead(self) -> bool {
        !matches!(self, Encryption::AesCbc(_))
    }

    /// Bytes of the key without salt.
    pub(super) const fn cipher_key_len(self) -> usize {
        match self {
            Encryption::AesCbc(bits) | Encryption::AesGcm16(bits) => bits.bytes(),
            Encryption::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of SK_e, or of what a child SA takes for it: the key, and the salt behind it (RFC 5282 §7.1, RFC 7634 §2).
    pub const fn key_len(self) -> usize {
        self.cipher_key_len() + if self.is_aead() { 4 } else { 0 }
    }

    /// Bytes of the IV in a message.
    pub const fn iv_len(self) -> usize {
        if self.is_aead() { 8 } else { 16 }
    }

    /// What is encrypted is a multiple of this, padding and its length included.
    pub const fn block_len(self) -> usize {
        if self.is_aead() { 1 } else { 16 }
    }

    pub(super) fn aead(self) -> Option<&'static aead::Algorithm> {
        match self {
            Encryption::AesCbc(_) => None,
            Encryption::AesGcm16(KeyBits::Bits128) => Some(&aead::AES_128_GCM),
            Encryption::AesGcm16(KeyBits::Bits192) => Some(&aead::AES_192_GCM),
            Encryption::AesGcm16(KeyBits::Bits256) => Some(&aead::AES_256_GCM),
            Encryption::ChaCha20Poly1305 => Some(&aead::CHACHA20_POLY1305),
        }
    }

    pub(super) fn cbc(self) -> Option<&'static cipher::Algorithm> {
        match self {
            Encryption::AesCbc(KeyBits::Bits128) => Some(&cipher::AES_128),
            Encryption::AesCbc(KeyBits::Bits192) => Some(&cipher::AES_192),
            Encryption::AesCbc(KeyBits::Bits256) => Some(&cipher::AES_256),
            _ => None,
        }
    }
}

/// What authenticates, where the cipher does not (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// HMAC-SHA2-256-128.
    HmacSha256,
    /// HMAC-SHA2-384-192.
    HmacSha384,
    /// HMAC-SHA2-512-256.
    HmacSha512,
}

impl Integrity {
    /// The algorithm of a transform, if it is here.
    pub fn of(transform: Transform) -> Option<Integrity> {
        if transform.kind != TransformType::INTEG || transform.key_length.is_some() {
            return None;
        }
        match IntegrityId(transform.id) {
            IntegrityId::HMAC_SHA2_256_128 => Some(Integrity::HmacSha256),
            IntegrityId::HMAC_SHA2_384_192 => Some(Integrity::HmacSha384),
            IntegrityId::HMAC_SHA2_512_256 => Some(Integrity::HmacSha512),
            _ => None,
        }
    }

    /// Its transform.
    pub const fn transform(self) -> Transform {
        Transform::integrity(match self {
            Integrity::HmacSha256 => IntegrityId::HMAC_SHA2_256_128,
            Integrity::HmacSha384 => IntegrityId::HMAC_SHA2_384_192,
            Integrity::HmacSha512 => IntegrityId::HMAC_SHA2_512_256,
        })
    }

    /// Bytes of the key: those of the hash (RFC 4868 §2.1.1).
    pub const fn key_len(self) -> usize {
        match self {
            Integrity::HmacSha256 => 32,
            Integrity::HmacSha384 => 48,
            Integrity::HmacSha512 => 64,
        }
    }

    /// Bytes of the ICV: the first half of the hash (RFC 4868 §2.3).
    pub const fn icv_len(self) -> usize {
        self.key_len() / 2
    }

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Integrity::HmacSha256 => hmac::HMAC_SHA256,
            Integrity::HmacSha384 => hmac::HMAC_SHA384,
            Integrity::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Transform> {
        text.split(' ').map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn lengths_are_those_of_the_rfcs() {
        // SK_e, IV, block.
        let expected = [
            ("aes128", (16, 16, 16)),
            ("aes192", (24, 16, 16)),
            ("aes256", (32, 16, 16)),
            ("aes128gcm16", (20, 8, 1)),
            ("aes192gcm16", (28, 8, 1)),
            ("aes256gcm16", (36, 8, 1)),
            ("chacha20poly1305", (36, 8, 1)),
        ];
        for (word, lengths) in expected {
            let transform = word.parse().unwrap();
            let encryption = Encryption::of(transform).unwrap();
            assert_eq!(
                (encryption.key_len(), encryption.iv_len(), encryption.block_len()),
                lengths,
                "{word}"
            );
            assert_eq!(encryption.transform(), transform);
            assert_eq!(encryption.aead().is_some(), encryption.is_aead());
            assert_eq!(encryption.cbc().is_none(), encryption.is_aead());
        }
        for (transform, key, icv) in words("sha256 sha384 sha512")
            .into_iter()
            .zip([32, 48, 64])
            .map(|(t, key)| (t, key, key / 2))
        {
            let integrity = Integrity::of(transform).unwrap();
            assert_eq!(
                (integrity.transform(), integrity.key_len(), integrity.icv_len()),
                (transform, key, icv)
            );
        }
    }

    #[test]
    fn what_is_not_here_or_of_another_type_is_none() {
        for transform in
            words("3des aes128ctr aes128gcm8 aes256ccm16 camellia128 null sha256 prfsha256 modp2048")
        {
            assert_eq!(Encryption::of(transform), None, "{transform}");
        }
        for transform in words("sha1 md5 aesxcbc prfsha256 aes128") {
            assert_eq!(Integrity::of(transform), None, "{transform}");
        }
        // Key lengths that are missing, wrong, or said where there is but one.
        for (id, key_length) in [
            (EncryptionId::AES_GCM_16, None),
            (EncryptionId::AES_CBC, Some(64)),
            (EncryptionId::CHACHA20_POLY1305, Some(256)),
        ] {
            assert_eq!(Encryption::of(Transform::encryption(id, key_length)), None);
        }
        let long = Transform {
            key_length: Some(256),
            ..Integrity::HmacSha256.transform()
        };
        assert_eq!(Integrity::of(long), None);
    }
}
