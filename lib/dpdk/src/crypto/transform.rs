//! What a session does: its algorithms, and the lengths that go with them.

use std::ffi::c_int;
use std::fmt;
use std::ptr;

use dpdk_sys::shim_crypto_transform;

use super::SessionError;

/// Ciphers that authenticate, each with a nonce of 12 bytes and a digest of 16.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aead {
    /// AES in Galois/Counter mode, by a key of 16, 24 or 32 bytes (RFC 4106).
    AesGcm,
    /// ChaCha20 and Poly1305, by a key of 32 bytes (RFC 7634).
    ChaCha20Poly1305,
}

/// Ciphers that do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cipher {
    /// None: the text is authenticated only (RFC 2410).
    Null,
    /// AES in cipher block chaining mode, by a key of 16, 24 or 32 bytes (RFC 3602). The text is whole blocks of 16 bytes.
    AesCbc,
}

/// HMAC with a hash of the SHA-2 family, its digest cut down to half (RFC 4868).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Auth {
    /// HMAC-SHA-256-128: a key of 32 bytes, a digest of 16.
    HmacSha256,
    /// HMAC-SHA-384-192: a key of 48 bytes, a digest of 24.
    HmacSha384,
    /// HMAC-SHA-512-256: a key of 64 bytes, a digest of 32.
    HmacSha512,
}

/// Which way a session works.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Enciphers and writes the digest.
    Seal,
    /// Compares the digest and deciphers.
    Open,
}

/// What a session does, and by which keys. Keys are shown by nothing here.
#[derive(Clone, Copy)]
pub enum Transform<'key> {
    /// An AEAD.
    Aead {
        /// Which.
        algorithm: Aead,
        /// Its key, without salt.
        key: &'key [u8],
        /// Bytes of additional authenticated data, at most [`Transform::MOST_AAD`]: 8 in ESP, 12 with extended
        /// sequence numbers.
        aad_len: u8,
    },
    /// A cipher, and authentication of what it makes (encrypt, then authenticate).
    Chain {
        /// Which cipher.
        cipher: Cipher,
        /// Its key; empty for [`Cipher::Null`].
        cipher_key: &'key [u8],
        /// Which authentication.
        auth: Auth,
        /// Its key.
        auth_key: &'key [u8],
        /// Bytes at the start of what is authenticated that are not enciphered: headers and initialisation vector.
        clear_head: u16,
        /// Bytes at its end that are not: in ESP the high half of an extended sequence number.
        clear_tail: u16,
    },
}

impl Aead {
    fn takes_key_of(self, len: usize) -> bool {
        match self {
            Self::AesGcm => matches!(len, 16 | 24 | 32),
            Self::ChaCha20Poly1305 => len == 32,
        }
    }
}

impl Cipher {
    fn takes_key_of(self, len: usize) -> bool {
        match self {
            Self::Null => len == 0,
            Self::AesCbc => matches!(len, 16 | 24 | 32),
        }
    }
}

impl Auth {
    /// Bytes of the key (RFC 4868 section 2.1.1).
    pub const fn key_len(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }

    /// Bytes of the digest (RFC 4868 section 2.3).
    pub const fn digest_len(self) -> usize {
        self.key_len() / 2
    }
}

impl Transform<'_> {
    /// The most additional authenticated data that an AEAD takes, bytes.
    pub const MOST_AAD: u8 = 16;

    const AEAD_DIGEST: u16 = 16;
    const AEAD_NONCE: u16 = 12;
    const CBC_BLOCK: u16 = 16;

    /// Bytes of the digest.
    pub const fn digest_len(&self) -> usize {
        match self {
            Self::Aead { .. } => Self::AEAD_DIGEST as usize,
            Self::Chain { auth, .. } => auth.digest_len(),
        }
    }

    /// Lengths that cannot be.
    pub(super) fn check(&self) -> Result<(), SessionError> {
        let (fits, len) = match *self {
            Self::Aead { algorithm, key, .. } => (algorithm.takes_key_of(key.len()), key.len()),
            Self::Chain {
                cipher, cipher_key, ..
            } => (cipher.takes_key_of(cipher_key.len()), cipher_key.len()),
        };
        let wrong = |len| SessionError::KeyLength {
            transform: self.to_string(),
            len,
        };
        if !fits {
            return Err(wrong(len));
        }
        match *self {
            Self::Aead { aad_len, .. } if aad_len > Self::MOST_AAD => {
                Err(SessionError::Aad { wanted: aad_len })
            }
            Self::Chain { auth, auth_key, .. } if auth_key.len() != auth.key_len() => {
                Err(wrong(auth_key.len()))
            }
            _ => Ok(()),
        }
    }

    /// As C takes it. It points to the keys.
    pub(super) fn as_raw(&self, direction: Direction) -> shim_crypto_transform {
        let mut raw = shim_crypto_transform {
            aead: 0,
            cipher: 0,
            auth: 0,
            seal: direction == Direction::Seal,
            key: ptr::null(),
            key_len: 0,
            auth_key: ptr::null(),
            auth_key_len: 0,
            iv_len: 0,
            digest_len: self.digest_len() as u16,
            aad_len: 0,
        };
        match *self {
            Self::Aead {
                algorithm,
                key,
                aad_len,
            } => {
                raw.aead = match algorithm {
                    Aead::AesGcm => dpdk_sys::RTE_CRYPTO_AEAD_AES_GCM,
                    Aead::ChaCha20Poly1305 => dpdk_sys::RTE_CRYPTO_AEAD_CHACHA20_POLY1305,
                } as c_int;
                (raw.key, raw.key_len) = (key.as_ptr(), key.len() as u16);
                raw.iv_len = Self::AEAD_NONCE;
                raw.aad_len = u16::from(aad_len);
            }
            Self::Chain {
                cipher,
                cipher_key,
                auth,
                auth_key,
                ..
            } => {
                if cipher == Cipher::AesCbc {
                    raw.cipher = dpdk_sys::RTE_CRYPTO_CIPHER_AES_CBC as c_int;
                    (raw.key, raw.key_len) = (cipher_key.as_ptr(), cipher_key.len() as u16);
                    raw.iv_len = Self::CBC_BLOCK;
                }
                raw.auth = match auth {
                    Auth::HmacSha256 => dpdk_sys::RTE_CRYPTO_AUTH_SHA256_HMAC,
                    Auth::HmacSha384 => dpdk_sys::RTE_CRYPTO_AUTH_SHA384_HMAC,
                    Auth::HmacSha512 => dpdk_sys::RTE_CRYPTO_AUTH_SHA512_HMAC,
                } as c_int;
                (raw.auth_key, raw.auth_key_len) = (auth_key.as_ptr(), auth_key.len() as u16);
            }
        }
        raw
    }

    /// What jobs are checked against.
    pub(super) fn shape(&self) -> Shape {
        let digest_len = self.digest_len() as u16;
        match *self {
            Self::Aead { .. } => Shape {
                aead: true,
                head: 0,
                tail: 0,
                block: 1,
                digest_len,
            },
            Self::Chain {
                cipher: Cipher::Null, ..
            } => Shape {
                aead: false,
                head: 0,
                tail: 0,
                block: 1,
                digest_len,
            },
            Self::Chain {
                cipher: Cipher::AesCbc,
                clear_head,
                clear_tail,
                ..
            } => Shape {
                aead: false,
                head: clear_head,
                tail: clear_tail,
                block: Self::CBC_BLOCK,
                digest_len,
            },
        }
    }
}

/// Which places in a packet a session's jobs may name.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) aead: bool,
    /// Bytes at the start of the text that are not enciphered.
    pub(super) head: u16,
    /// Bytes at its end that are not.
    pub(super) tail: u16,
    /// What is enciphered is a multiple of this, a power of two.
    pub(super) block: u16,
    pub(super) digest_len: u16,
}

impl fmt::Display for Transform<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Aead { algorithm, key, .. } => {
                let name = match algorithm {
                    Aead::AesGcm => "AES-GCM",
                    Aead::ChaCha20Poly1305 => "ChaCha20-Poly1305",
                };
                write!(f, "{name} with a key of {} bits", key.len() * 8)
            }
            Self::Chain {
                cipher,
                cipher_key,
                auth,
                ..
            } => {
                match cipher {
                    Cipher::Null => f.write_str("no cipher")?,
                    Cipher::AesCbc => write!(f, "AES-CBC with a key of {} bits", cipher_key.len() * 8)?,
                }
                f.write_str(match auth {
                    Auth::HmacSha256 => ", HMAC-SHA-256-128",
                    Auth::HmacSha384 => ", HMAC-SHA-384-192",
                    Auth::HmacSha512 => ", HMAC-SHA-512-256",
                })
            }
        }
    }
}

impl fmt::Debug for Transform<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transform({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain<'key>(cipher_key: &'key [u8], auth_key: &'key [u8]) -> Transform<'key> {
        Transform::Chain {
            cipher: if cipher_key.is_empty() {
                Cipher::Null
            } else {
                Cipher::AesCbc
            },
            cipher_key,
            auth: Auth::HmacSha384,
            auth_key,
            clear_head: 24,
            clear_tail: 0,
        }
    }

    #[test]
    fn no_text_about_a_transform_has_its_keys() {
        let gcm = Transform::Aead {
            algorithm: Aead::AesGcm,
            key: &[0xab; 32],
            aad_len: 8,
        };
        assert_eq!(format!("{gcm:?}"), "Transform(AES-GCM with a key of 256 bits)");
        let cbc = chain(&[0xab; 16], &[0xab; 48]);
        assert_eq!(
            format!("{cbc:?}"),
            "Transform(AES-CBC with a key of 128 bits, HMAC-SHA-384-192)"
        );
    }

    #[test]
    fn a_key_has_a_length_of_its_algorithm() {
        for (cipher, auth, good) in [
            (16, 48, true),
            (32, 48, true),
            (0, 48, true),
            (17, 48, false),
            (16, 32, false),
        ] {
            let (cipher, auth) = (vec![0; cipher], vec![0; auth]);
            assert_eq!(
                chain(&cipher, &auth).check().is_ok(),
                good,
                "{} {}",
                cipher.len(),
                auth.len()
            );
        }
        for (algorithm, len, good) in [
            (Aead::AesGcm, 24, true),
            (Aead::AesGcm, 20, false),
            (Aead::ChaCha20Poly1305, 32, true),
            (Aead::ChaCha20Poly1305, 16, false),
        ] {
            let key = vec![0; len];
            let transform = Transform::Aead {
                algorithm,
                key: &key,
                aad_len: 16,
            };
            assert_eq!(transform.check().is_ok(), good, "{algorithm:?} {len}");
        }
    }
}
