//! Seals messages; see `protection` for what they look like.

use std::fmt;

use aws_lc_rs::{aead, cipher, hmac};

use super::protection::{Keys, MAX_FRAGMENTS, WrongKeys, wrong_keys};
use super::{IkeSuite, Random, Secret};
use crate::wire::{EncryptedFragment, HEADER_LEN, Header, PAYLOAD_HEADER_LEN, PayloadType, PayloadWriter};

/// Seals messages of one end of an IKE SA.
pub struct Sealer {
    suite: IkeSuite,
    keys: Keys<cipher::EncryptingKey>,
    next_iv: u64,
}

/// Why a message cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The payloads do not fit into a payload, or not into [`MAX_FRAGMENTS`].
    #[error("{len} bytes of payloads do not fit into {fragments} messages of at most {max} bytes; send less")]
    TooLong {
        /// Bytes of payloads.
        len: usize,
        /// Messages that there may be.
        fragments: u16,
        /// Bytes that each may have.
        max: usize,
    },
    /// All IVs have been used.
    #[error("the IKE SA has sealed as many messages as it may; rekey it")]
    Exhausted,
    /// The cryptographic library failed.
    #[error("a message could not be encrypted; see whether there is memory left")]
    Failed,
}

impl Sealer {
    /// For messages with these keys: SK_ei and SK_ai of the initiator's end, SK_er and SK_ar of the other. IVs of AEADs are
    /// counted from `next_iv`: 0, or where a process that is taken up from may have come to. An IV that comes twice gives the
    /// keys of AES-GCM away.
    pub fn new(suite: &IkeSuite, sk_e: &Secret, sk_a: &Secret, next_iv: u64) -> Result<Sealer, WrongKeys> {
        let keys = Keys::new(suite, sk_e, sk_a, cipher::EncryptingKey::cbc);
        let keys = keys.ok_or_else(|| wrong_keys(suite, sk_e, sk_a))?;
        Ok(Sealer {
            suite: *suite,
            keys,
            next_iv,
        })
    }

    /// The next IV of an AEAD: to be kept by those who outlive a process.
    pub fn next_iv(&self) -> u64 {
        self.next_iv
    }

    /// The message with `payloads` in an SK payload. `random` gives IVs of CBC.
    pub fn seal(
        &mut self,
        header: &Header,
        payloads: &PayloadWriter,
        random: &mut impl Random,
    ) -> Result<Vec<u8>, SealError> {
        let prefix = PAYLOAD_HEADER_LEN;
        self.seal_one(header, payloads.first(), None, payloads.bytes(), prefix, random)
    }

    /// Messages of at most `max_len` bytes, each with its part of `payloads` in an SKF payload (RFC 7383 §2.5), to be sent where
    /// both ends take fragments. All have the same message id.
    pub fn seal_fragments(
        &mut self,
        header: &Header,
        payloads: &PayloadWriter,
        max_len: usize,
        random: &mut impl Random,
    ) -> Result<Vec<Vec<u8>>, SealError> {
        let plain = payloads.bytes();
        let too_long = SealError::TooLong {
            len: plain.len(),
            fragments: MAX_FRAGMENTS,
            max: max_len,
        };
        let prefix = PAYLOAD_HEADER_LEN + EncryptedFragment::HEADER_LEN;
        let around = HEADER_LEN + prefix + self.suite.encryption.iv_len() + self.suite.icv_len();
        let block = self.suite.encryption.block_len();
        let room = max_len.min(usize::from(u16::MAX)).saturating_sub(around) / block * block;
        // The length of the padding takes the last byte.
        let room = room.checked_sub(1).filter(|room| *room > 0).ok_or(too_long)?;
        let total = plain.len().div_ceil(room).max(1);
        let total = u16::try_from(total)
            .ok()
            .filter(|total| *total <= MAX_FRAGMENTS)
            .ok_or(too_long)?;
        let mut parts = plain.chunks(room);
        let mut messages = Vec::with_capacity(usize::from(total));
        for number in 1..=total {
            let part = parts.next().unwrap_or_default();
            let first = if number == 1 {
                payloads.first()
            } else {
                PayloadType::NONE
            };
            messages.push(self.seal_one(header, first, Some((number, total)), part, prefix, random)?);
        }
        Ok(messages)
    }

    fn seal_one(
        &mut self,
        header: &Header,
        first: PayloadType,
        fragment: Option<(u16, u16)>,
        plain: &[u8],
        prefix: usize,
        random: &mut impl Random,
    ) -> Result<Vec<u8>, SealError> {
        let encryption = self.suite.encryption;
        let text = (plain.len() + 1).next_multiple_of(encryption.block_len());
        let payload = prefix + encryption.iv_len() + text + self.suite.icv_len();
        let (max, fragments) = (usize::from(u16::MAX), 1);
        let too_long = SealError::TooLong {
            len: plain.len(),
            fragments,
            max,
        };
        let payload_len = u16::try_from(payload).map_err(|_| too_long)?;
        let kind = if fragment.is_some() {
            PayloadType::ENCRYPTED_FRAGMENT
        } else {
            PayloadType::ENCRYPTED
        };
        let length = HEADER_LEN as u32 + u32::from(payload_len);

        let mut message = Vec::with_capacity(HEADER_LEN + payload);
        message.extend(
            Header {
                next_payload: kind,
                length,
                ..*header
            }
            .to_bytes(),
        );
        message.extend([first.0, 0]);
        message.extend(payload_len.to_be_bytes());
        if let Some((number, total)) = fragment {
            message.extend(number.to_be_bytes());
            message.extend(total.to_be_bytes());
        }
        // Padding may be anything (RFC 7296 §3.14): zeros, and their number behind them.
        let padding = text - plain.len() - 1;
        let extend = |message: &mut Vec<u8>, iv: &[u8]| {
            message.extend(iv);
            let start = message.len();
            message.extend(plain);
            message.resize(start + text - 1, 0);
            message.push(padding as u8);
            start
        };
        match &self.keys {
            Keys::Aead(aead) => {
                let iv = self.next_iv.to_be_bytes();
                self.next_iv = self.next_iv.checked_add(1).ok_or(SealError::Exhausted)?;
                let start = extend(&mut message, &iv);
                let (before, text) = message.split_at_mut(start);
                let associated = before.get(..start - iv.len()).unwrap_or_default();
                let tag = aead
                    .key
                    .seal_in_place_separate_tag(aead.nonce(iv), aead::Aad::from(associated), text)
                    .map_err(|_| SealError::Failed)?;
                message.extend(tag.as_ref());
            }
            Keys::Cbc { cipher, mac, icv_len } => {
                let mut iv = [0; 16];
                random.fill(&mut iv);
                let start = extend(&mut message, &iv);
                let context = cipher::EncryptionContext::Iv128(iv.into());
                let text = message.get_mut(start..).unwrap_or_default();
                cipher
                    .less_safe_encrypt(text, context)
                    .map_err(|_| SealError::Failed)?;
                let tag = hmac::sign(mac, &message);
                message.extend(tag.as_ref().get(..*icv_len).ok_or(SealError::Failed)?);
            }
        }
        Ok(message)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({}, ..)", self.suite)
    }
}
