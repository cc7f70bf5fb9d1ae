//! Opens messages; see `protection` for what they look like.

use std::fmt;

use aws_lc_rs::{aead, cipher, hmac};

use super::protection::{Keys, WrongKeys, wrong_keys};
use super::{IkeSuite, Secret, equal};
use crate::wire::{
    Body, Encrypted, EncryptedFragment, Message, PAYLOAD_HEADER_LEN, ParseError, PayloadType, Payloads,
};

/// Opens messages of the other end of an IKE SA.
pub struct Opener {
    suite: IkeSuite,
    keys: Keys<cipher::DecryptingKey>,
}

/// Why a message is not opened. Such are dropped (RFC 7296 §2.21.2): anybody can send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The message has neither SK nor SKF.
    #[error("the message is not encrypted; it is dropped")]
    NotEncrypted,
    /// The payload has no room for IV, one block and ICV, or no whole blocks.
    #[error("the encrypted payload has {0} bytes, which no message of this IKE SA has; it is dropped")]
    Length(usize),
    /// Forged, damaged, or with keys of something else.
    #[error("the message is not authentic; it is dropped")]
    Forged,
    /// There is more padding than text.
    #[error("the peer has padded its message wrongly; it is dropped")]
    Padding,
}

/// What was encrypted in a message.
#[derive(Debug)]
pub enum Opened {
    /// All of it.
    Whole(Clear),
    /// A part.
    Fragment(Fragment),
}

/// Payloads that were encrypted. They are wiped when dropped.
pub struct Clear {
    first: PayloadType,
    bytes: Secret,
    offset: usize,
}

impl Clear {
    pub(super) fn new(first: PayloadType, bytes: Secret, offset: usize) -> Clear {
        Clear { first, bytes, offset }
    }

    /// The payloads.
    pub fn payloads(&self) -> Result<Payloads<'_>, ParseError> {
        Payloads::parse(self.first, self.bytes.expose(), self.offset)
    }
}

impl fmt::Debug for Clear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clear({} bytes)", self.bytes.len())
    }
}

/// One of the fragments of a message, authentic.
#[derive(Debug)]
pub struct Fragment {
    /// What the first payload is; of fragment 1.
    pub first: PayloadType,
    /// Its number, from 1.
    pub number: u16,
    /// How many there are.
    pub total: u16,
    /// Its part of the payloads.
    pub bytes: Secret,
}

impl Opener {
    /// For messages with these keys: SK_ei and SK_ai where the initiator sent them, SK_er and SK_ar where the other end did.
    pub fn new(suite: &IkeSuite, sk_e: &Secret, sk_a: &Secret) -> Result<Opener, WrongKeys> {
        let keys = Keys::new(suite, sk_e, sk_a, cipher::DecryptingKey::cbc);
        let keys = keys.ok_or_else(|| wrong_keys(suite, sk_e, sk_a))?;
        Ok(Opener { suite: *suite, keys })
    }

    /// Checks that the message is authentic, and decrypts a copy of it.
    pub fn open(&self, message: &Message<'_>) -> Result<Opened, OpenError> {
        let payload = message.encrypted().ok_or(OpenError::NotEncrypted)?;
        let start = payload.offset + PAYLOAD_HEADER_LEN;
        match payload.body {
            Body::Encrypted(Encrypted { first, content }) => {
                let bytes = self.decrypt(message.bytes(), start, content)?;
                Ok(Opened::Whole(Clear::new(
                    first,
                    bytes,
                    start + self.suite.encryption.iv_len(),
                )))
            }
            Body::EncryptedFragment(EncryptedFragment {
                first,
                number,
                total,
                content,
            }) => {
                let bytes = self.decrypt(message.bytes(), start + EncryptedFragment::HEADER_LEN, content)?;
                Ok(Opened::Fragment(Fragment {
                    first,
                    number,
                    total,
                    bytes,
                }))
            }
            _ => Err(OpenError::NotEncrypted),
        }
    }

    /// `content` begins at `start` of the message, and is the end of it.
    fn decrypt(&self, message: &[u8], start: usize, content: &[u8]) -> Result<Secret, OpenError> {
        let wrong = OpenError::Length(content.len());
        let (iv, rest) = content
            .split_at_checked(self.suite.encryption.iv_len())
            .ok_or(wrong)?;
        let len = rest.len().checked_sub(self.suite.icv_len()).ok_or(wrong)?;
        let (text, icv) = rest.split_at_checked(len).ok_or(wrong)?;
        if text.is_empty() || !text.len().is_multiple_of(self.suite.encryption.block_len()) {
            return Err(wrong);
        }
        let mut plain = Secret::concat(&[text]);
        match &self.keys {
            Keys::Aead(aead) => {
                let iv = iv.try_into().map_err(|_| wrong)?;
                let associated = aead::Aad::from(message.get(..start).ok_or(wrong)?);
                aead.key
                    .open_in_place_separate_tag(aead.nonce(iv), associated, icv, plain.expose_mut())
                    .map_err(|_| OpenError::Forged)?;
            }
            Keys::Cbc { cipher, mac, icv_len } => {
                let covered = message
                    .get(..message.len().saturating_sub(*icv_len))
                    .ok_or(wrong)?;
                let tag = hmac::sign(mac, covered);
                if !equal(tag.as_ref().get(..*icv_len).unwrap_or_default(), icv) {
                    return Err(OpenError::Forged);
                }
                let iv: [u8; 16] = iv.try_into().map_err(|_| wrong)?;
                let context = cipher::DecryptionContext::Iv128(iv.into());
                cipher
                    .decrypt(plain.expose_mut(), context)
                    .map_err(|_| OpenError::Forged)?;
            }
        }
        // It is authentic, so whoever padded it has our keys: there is nothing to learn from how long this takes.
        let padding = plain.expose().last().map_or(0, |padding| usize::from(*padding));
        let len = plain.len().checked_sub(padding + 1).ok_or(OpenError::Padding)?;
        plain.truncate(len);
        Ok(plain)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({}, ..)", self.suite)
    }
}
