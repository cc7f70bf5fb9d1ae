//! Transforms: which cipher and which integrity algorithm an SA has, and how long everything of theirs is.
//!
//! ```text
//!                      cipher           key         salt  IV  block   integrity          key  ICV
//!   aes128gcm16        AES-GCM          16           4    8    4      (the cipher's own)  -    16   RFC 4106
//!   aes192gcm16                         24
//!   aes256gcm16                         32
//!   chacha20poly1305   ChaCha20         32           4    8    4      (the cipher's own)  -    16   RFC 7634
//!   aes128-sha256      AES-CBC          16           -   16   16      HMAC-SHA-256-128   32    16   RFC 3602, RFC 4868
//!   aes256-sha384                       32                            HMAC-SHA-384-192   48    24
//!   aes256-sha512                       32                            HMAC-SHA-512-256   64    32
//!   null-sha256        none (RFC 2410)   0           -    0    4      as above
//! ```

use std::fmt;
use std::str::FromStr;

/// What encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// Nothing: packets have integrity alone (RFC 2410).
    Null,
    /// AES in CBC mode (RFC 3602).
    AesCbc,
    /// AES in Galois/Counter mode, which also authenticates (RFC 4106).
    AesGcm,
    /// ChaCha20 and Poly1305, which also authenticate (RFC 7634).
    ChaCha20Poly1305,
}

/// What authenticates, where the cipher does not (RFC 4868 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// HMAC-SHA-256-128.
    HmacSha256,
    /// HMAC-SHA-384-192.
    HmacSha384,
    /// HMAC-SHA-512-256.
    HmacSha512,
}

impl Integrity {
    /// Bytes of the key: as many as the hash has (RFC 4868 §2.1.1).
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
}

/// What an SA does to its packets. As text it is one of the names above.
///
/// ```
/// use esp::Transform;
///
/// let transform: Transform = "aes256gcm16".parse()?;
/// assert_eq!((transform.key_len(), transform.icv_len()), (36, 16));
/// # Ok::<(), esp::TransformError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    /// AES-GCM with a key of 128 bits and an ICV of 16 bytes.
    Aes128Gcm16,
    /// AES-GCM with a key of 192 bits and an ICV of 16 bytes.
    Aes192Gcm16,
    /// AES-GCM with a key of 256 bits and an ICV of 16 bytes.
    Aes256Gcm16,
    /// ChaCha20 with Poly1305.
    ChaCha20Poly1305,
    /// AES-CBC with a key of 128 bits, and HMAC-SHA-256-128.
    Aes128Sha256,
    /// AES-CBC with a key of 256 bits, and HMAC-SHA-256-128.
    Aes256Sha256,
    /// AES-CBC with a key of 256 bits, and HMAC-SHA-384-192.
    Aes256Sha384,
    /// AES-CBC with a key of 256 bits, and HMAC-SHA-512-256.
    Aes256Sha512,
    /// AES-CBC with a key of 128 bits, and HMAC-SHA-384-192.
    Aes128Sha384,
    /// AES-CBC with a key of 128 bits, and HMAC-SHA-512-256.
    Aes128Sha512,
    /// No encryption, and HMAC-SHA-256-128.
    NullSha256,
    /// No encryption, and HMAC-SHA-384-192.
    NullSha384,
    /// No encryption, and HMAC-SHA-512-256.
    NullSha512,
}

/// The text is no transform's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no transform; write one of {names}", names = Names)]
pub struct TransformError(String);

/// The names of all transforms, for people.
struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, transform) in Transform::ALL.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}", transform.name())?;
        }
        Ok(())
    }
}

impl Transform {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Transform; 13] = [
        Transform::Aes128Gcm16,
        Transform::Aes192Gcm16,
        Transform::Aes256Gcm16,
        Transform::ChaCha20Poly1305,
        Transform::Aes128Sha256,
        Transform::Aes256Sha256,
        Transform::Aes256Sha384,
        Transform::Aes256Sha512,
        Transform::Aes128Sha384,
        Transform::Aes128Sha512,
        Transform::NullSha256,
        Transform::NullSha384,
        Transform::NullSha512,
    ];

    /// Its name, as configuration and commands have it.
    pub const fn name(self) -> &'static str {
        match self {
            Transform::Aes128Gcm16 => "aes128gcm16",
            Transform::Aes192Gcm16 => "aes192gcm16",
            Transform::Aes256Gcm16 => "aes256gcm16",
            Transform::ChaCha20Poly1305 => "chacha20poly1305",
            Transform::Aes128Sha256 => "aes128-sha256",
            Transform::Aes256Sha256 => "aes256-sha256",
            Transform::Aes256Sha384 => "aes256-sha384",
            Transform::Aes256Sha512 => "aes256-sha512",
            Transform::Aes128Sha384 => "aes128-sha384",
            Transform::Aes128Sha512 => "aes128-sha512",
            Transform::NullSha256 => "null-sha256",
            Transform::NullSha384 => "null-sha384",
            Transform::NullSha512 => "null-sha512",
        }
    }

    /// What encrypts.
    pub const fn cipher(self) -> Cipher {
        match self {
            Transform::Aes128Gcm16 | Transform::Aes192Gcm16 | Transform::Aes256Gcm16 => Cipher::AesGcm,
            Transform::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
            Transform::Aes128Sha256
            | Transform::Aes128Sha384
            | Transform::Aes128Sha512
            | Transform::Aes256Sha256
            | Transform::Aes256Sha384
            | Transform::Aes256Sha512 => Cipher::AesCbc,
            Transform::NullSha256 | Transform::NullSha384 | Transform::NullSha512 => Cipher::Null,
        }
    }

    /// What authenticates; `None` where the cipher does it (AEAD).
    pub const fn integrity(self) -> Option<Integrity> {
        match self {
            Transform::Aes128Gcm16
            | Transform::Aes192Gcm16
            | Transform::Aes256Gcm16
            | Transform::ChaCha20Poly1305 => None,
            Transform::Aes128Sha256 | Transform::Aes256Sha256 | Transform::NullSha256 => {
                Some(Integrity::HmacSha256)
            }
            Transform::Aes128Sha384 | Transform::Aes256Sha384 | Transform::NullSha384 => {
                Some(Integrity::HmacSha384)
            }
            Transform::Aes128Sha512 | Transform::Aes256Sha512 | Transform::NullSha512 => {
                Some(Integrity::HmacSha512)
            }
        }
    }

    /// Whether one algorithm does both, with additional data beside what it encrypts (RFC 4303 §3.2.3).
    pub const fn is_aead(self) -> bool {
        self.integrity().is_none()
    }

    /// Bytes of the cipher's key, without salt.
    pub const fn cipher_key_len(self) -> usize {
        match self {
            Transform::Aes128Gcm16
            | Transform::Aes128Sha256
            | Transform::Aes128Sha384
            | Transform::Aes128Sha512 => 16,
            Transform::Aes192Gcm16 => 24,
            Transform::Aes256Gcm16
            | Transform::ChaCha20Poly1305
            | Transform::Aes256Sha256
            | Transform::Aes256Sha384
            | Transform::Aes256Sha512 => 32,
            Transform::NullSha256 | Transform::NullSha384 | Transform::NullSha512 => 0,
        }
    }

    /// Bytes of salt behind the cipher's key (RFC 4106 §8.1, RFC 7634 §2).
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 4 } else { 0 }
    }

    /// Bytes of the integrity algorithm's key.
    pub const fn integrity_key_len(self) -> usize {
        match self.integrity() {
            Some(integrity) => integrity.key_len(),
            None => 0,
        }
    }

    /// Bytes of all keys in the order in which key exchange makes them: cipher, salt, integrity (RFC 7296 §2.17).
    pub const fn key_len(self) -> usize {
        self.cipher_key_len() + self.salt_len() + self.integrity_key_len()
    }

    /// Bytes of IV in each packet (RFC 4106 §3.1, RFC 7634 §2, RFC 3602 §3).
    pub const fn iv_len(self) -> usize {
        match self.cipher() {
            Cipher::Null => 0,
            Cipher::AesCbc => 16,
            Cipher::AesGcm | Cipher::ChaCha20Poly1305 => 8,
        }
    }

    /// Bytes of ICV in each packet (RFC 4106 §6, RFC 7634 §2, RFC 4868 §2.6).
    pub const fn icv_len(self) -> usize {
        match self.integrity() {
            Some(integrity) => integrity.icv_len(),
            None => 16,
        }
    }

    /// Payload, padding and the two bytes behind it are a multiple of this: the cipher's block, and at least 4 bytes
    /// (RFC 4303 §2.4).
    pub const fn block_len(self) -> usize {
        match self.cipher() {
            Cipher::AesCbc => 16,
            Cipher::Null | Cipher::AesGcm | Cipher::ChaCha20Poly1305 => 4,
        }
    }

    /// Bytes of [`crate::Work::iv`] that the cipher takes: salt and IV for AEAD, a block for CBC.
    pub const fn nonce_len(self) -> usize {
        match self.cipher() {
            Cipher::Null => 0,
            Cipher::AesCbc => 16,
            Cipher::AesGcm | Cipher::ChaCha20Poly1305 => 12,
        }
    }
}

impl FromStr for Transform {
    type Err = TransformError;

    fn from_str(text: &str) -> Result<Self, TransformError> {
        let found = Transform::ALL
            .into_iter()
            .find(|transform| transform.name() == text);
        found.ok_or_else(|| TransformError(text.to_owned()))
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_nothing_else_is_a_name() {
        for transform in Transform::ALL {
            assert_eq!(transform.to_string().parse(), Ok(transform));
        }
        for text in ["", "AES256GCM16", "aes256gcm16 ", "aes192-sha256", "null"] {
            let refused = text.parse::<Transform>().unwrap_err().to_string();
            assert!(refused.contains("aes128gcm16, aes192gcm16"), "{refused}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_rfcs() {
        // Keys in all, IV, block, ICV.
        let expected = [
            ("aes128gcm16", (20, 8, 4, 16)),
            ("aes192gcm16", (28, 8, 4, 16)),
            ("aes256gcm16", (36, 8, 4, 16)),
            ("chacha20poly1305", (36, 8, 4, 16)),
            ("aes128-sha256", (48, 16, 16, 16)),
            ("aes256-sha256", (64, 16, 16, 16)),
            ("aes256-sha384", (80, 16, 16, 24)),
            ("aes256-sha512", (96, 16, 16, 32)),
            ("aes128-sha384", (64, 16, 16, 24)),
            ("aes128-sha512", (80, 16, 16, 32)),
            ("null-sha256", (32, 0, 4, 16)),
            ("null-sha384", (48, 0, 4, 24)),
            ("null-sha512", (64, 0, 4, 32)),
        ];
        let lengths = Transform::ALL.map(|transform| {
            let all = (
                transform.key_len(),
                transform.iv_len(),
                transform.block_len(),
                transform.icv_len(),
            );
            (transform.name(), all)
        });
        assert_eq!(lengths, expected);
    }
}
