//! The other end of an SA, made from the RFCs alone: nothing of lib/esp but names, so that an error in a layout is not made twice.
//! Whole-system tests have it too.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{AesGcm, Nonce, Tag};
use chacha20poly1305::ChaCha20Poly1305;
use esp::{Cipher, Integrity, Transform};
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// The first half of the HMAC (RFC 4868 §2.3).
pub(crate) fn hmac(integrity: Integrity, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    fn of<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = <M as Mac>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    }
    let mut whole = match integrity {
        Integrity::HmacSha256 => of::<Hmac<Sha256>>(key, parts),
        Integrity::HmacSha384 => of::<Hmac<Sha384>>(key, parts),
        Integrity::HmacSha512 => of::<Hmac<Sha512>>(key, parts),
    };
    whole.truncate(whole.len() / 2);
    whole
}

pub(crate) fn cbc_encrypt(key: &[u8], iv: &[u8], text: &mut [u8]) {
    fn blocks(mut cbc: impl BlockEncryptMut, text: &mut [u8]) {
        text.chunks_mut(16)
            .for_each(|block| cbc.encrypt_block_mut(GenericArray::from_mut_slice(block)));
    }
    match key.len() {
        16 => blocks(cbc::Encryptor::<Aes128>::new_from_slices(key, iv).unwrap(), text),
        _ => blocks(cbc::Encryptor::<Aes256>::new_from_slices(key, iv).unwrap(), text),
    }
}

pub(crate) fn cbc_decrypt(key: &[u8], iv: &[u8], text: &mut [u8]) {
    fn blocks(mut cbc: impl BlockDecryptMut, text: &mut [u8]) {
        text.chunks_mut(16)
            .for_each(|block| cbc.decrypt_block_mut(GenericArray::from_mut_slice(block)));
    }
    match key.len() {
        16 => blocks(cbc::Decryptor::<Aes128>::new_from_slices(key, iv).unwrap(), text),
        _ => blocks(cbc::Decryptor::<Aes256>::new_from_slices(key, iv).unwrap(), text),
    }
}

/// An AEAD with a nonce of 12 bytes and a tag of 16.
pub(crate) enum Aead {
    Gcm128(AesGcm<Aes128, U12>),
    Gcm192(AesGcm<Aes192, U12>),
    Gcm256(AesGcm<Aes256, U12>),
    ChaCha(ChaCha20Poly1305),
}

impl Aead {
    pub(crate) fn new(cipher: Cipher, key: &[u8]) -> Aead {
        match (cipher, key.len()) {
            (Cipher::AesGcm, 16) => Aead::Gcm128(KeyInit::new_from_slice(key).unwrap()),
            (Cipher::AesGcm, 24) => Aead::Gcm192(KeyInit::new_from_slice(key).unwrap()),
            (Cipher::AesGcm, _) => Aead::Gcm256(KeyInit::new_from_slice(key).unwrap()),
            _ => Aead::ChaCha(KeyInit::new_from_slice(key).unwrap()),
        }
    }

    pub(crate) fn encrypt(&self, nonce: &[u8], aad: &[u8], text: &mut [u8]) -> Vec<u8> {
        let nonce = Nonce::from_slice(nonce);
        let tag = match self {
            Aead::Gcm128(aead) => aead.encrypt_in_place_detached(nonce, aad, text),
            Aead::Gcm192(aead) => aead.encrypt_in_place_detached(nonce, aad, text),
            Aead::Gcm256(aead) => aead.encrypt_in_place_detached(nonce, aad, text),
            Aead::ChaCha(aead) => aead.encrypt_in_place_detached(nonce, aad, text),
        };
        tag.unwrap().to_vec()
    }

    pub(crate) fn decrypt(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        let (nonce, tag) = (Nonce::from_slice(nonce), Tag::from_slice(tag));
        match self {
            Aead::Gcm128(aead) => aead.decrypt_in_place_detached(nonce, aad, text, tag),
            Aead::Gcm192(aead) => aead.decrypt_in_place_detached(nonce, aad, text, tag),
            Aead::Gcm256(aead) => aead.decrypt_in_place_detached(nonce, aad, text, tag),
            Aead::ChaCha(aead) => aead.decrypt_in_place_detached(nonce, aad, text, tag),
        }
        .is_ok()
    }
}

/// The other end of an SA, made from the RFCs.
pub(crate) struct Peer<'k> {
    pub(crate) spi: u32,
    pub(crate) esn: bool,
    /// Cipher key, salt, integrity key.
    pub(crate) keys: &'k [u8],
    pub(crate) transform: Transform,
}

impl Peer<'_> {
    /// Lengths of cipher key and IV, by the transform's name.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        match self.transform.name() {
            "aes128gcm16" => (16, 8),
            "aes192gcm16" => (24, 8),
            "aes256gcm16" | "chacha20poly1305" => (32, 8),
            name if name.starts_with("aes128-") => (16, 16),
            name if name.starts_with("aes256-") => (32, 16),
            name if name.starts_with("null-") => (0, 0),
            other => panic!("{other} is new to the reference"),
        }
    }

    pub(crate) fn aad(&self, number: u64) -> Vec<u8> {
        let low = (number as u32).to_be_bytes();
        if self.esn {
            [&self.spi.to_be_bytes()[..], &number.to_be_bytes()].concat()
        } else {
            [self.spi.to_be_bytes(), low].concat()
        }
    }

    /// The packet number `number`, with `pad_len` bytes of padding and this IV.
    pub(crate) fn seal(
        &self,
        number: u64,
        iv: &[u8],
        payload: &[u8],
        pad_len: u8,
        next_header: u8,
    ) -> Vec<u8> {
        let (key_len, _) = self.lengths();
        let (key, rest) = self.keys.split_at(key_len);
        let mut text = payload.to_vec();
        text.extend(1..=pad_len);
        text.extend([pad_len, next_header]);
        let head = [&self.spi.to_be_bytes()[..], &(number as u32).to_be_bytes(), iv].concat();
        let Some(integrity) = self.transform.integrity() else {
            let nonce = [rest, iv].concat();
            let tag = Aead::new(self.transform.cipher(), key).encrypt(&nonce, &self.aad(number), &mut text);
            return [head, text, tag].concat();
        };
        if !iv.is_empty() {
            cbc_encrypt(key, iv, &mut text);
        }
        let high = ((number >> 32) as u32).to_be_bytes();
        let high: &[u8] = if self.esn { &high } else { &[] };
        let icv = hmac(integrity, rest, &[&head, &text, high]);
        [head, text, icv].concat()
    }

    /// Payload and next header of the packet number `number`; `None` if it is not authentic, or its padding is wrong.
    pub(crate) fn open(&self, number: u64, packet: &[u8]) -> Option<(Vec<u8>, u8)> {
        let (key_len, iv_len) = self.lengths();
        let (key, rest) = self.keys.split_at(key_len);
        let (head, sealed) = packet.split_at(8 + iv_len);
        assert_eq!(head[..4], self.spi.to_be_bytes());
        assert_eq!(head[4..8], (number as u32).to_be_bytes());
        let iv = &head[8..];
        let text = if let Some(integrity) = self.transform.integrity() {
            let (text, icv) = sealed.split_at(sealed.len() - rest.len() / 2);
            let high = ((number >> 32) as u32).to_be_bytes();
            let high: &[u8] = if self.esn { &high } else { &[] };
            if hmac(integrity, rest, &[head, text, high]) != icv {
                return None;
            }
            let mut text = text.to_vec();
            if !iv.is_empty() {
                cbc_decrypt(key, iv, &mut text);
            }
            text
        } else {
            let (text, tag) = sealed.split_at(sealed.len() - 16);
            let mut text = text.to_vec();
            let nonce = [rest, iv].concat();
            if !Aead::new(self.transform.cipher(), key).decrypt(&nonce, &self.aad(number), &mut text, tag) {
                return None;
            }
            text
        };
        let (padded, trailer) = text.split_at(text.len() - 2);
        let (payload, padding) = padded.split_at_checked(padded.len().checked_sub(trailer[0].into())?)?;
        let is_right = padding.iter().copied().eq(1..=trailer[0]);
        is_right.then(|| (payload.to_vec(), trailer[1]))
    }
}
