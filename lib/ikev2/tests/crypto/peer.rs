//! The other end, made from the RFCs and another library: nothing of the crate but names.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit, Nonce};
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, Mac};

type Aes192Gcm = AesGcm<aes::Aes192, aes_gcm::aead::consts::U12>;

/// The ciphers, with the integrity algorithm where one is needed, and bytes of SK_e, SK_a, IV and ICV.
pub(crate) const SUITES: [(&str, [usize; 4]); 9] = [
    ("aes128gcm16", [20, 0, 8, 16]),
    ("aes192gcm16", [28, 0, 8, 16]),
    ("aes256gcm16", [36, 0, 8, 16]),
    ("chacha20poly1305", [36, 0, 8, 16]),
    ("aes128-sha256", [16, 32, 16, 16]),
    ("aes192-sha256", [24, 32, 16, 16]),
    ("aes256-sha256", [32, 32, 16, 16]),
    ("aes256-sha384", [32, 48, 16, 24]),
    ("aes128-sha512", [16, 64, 16, 32]),
];

pub(crate) struct Peer {
    pub(crate) suite: &'static str,
    pub(crate) sk_e: Vec<u8>,
    pub(crate) sk_a: Vec<u8>,
}

impl Peer {
    fn is_aead(&self) -> bool {
        self.sk_a.is_empty()
    }

    fn aead(&self, seal: bool, iv: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let (key, salt) = self.sk_e.split_at(self.sk_e.len() - 4);
        let nonce = [salt, iv].concat();
        let nonce = Nonce::from_slice(&nonce);
        let payload = Payload { msg, aad };
        macro_rules! with {
            ($cipher:ty) => {{
                let cipher = <$cipher>::new_from_slice(key).unwrap();
                if seal {
                    cipher.encrypt(nonce, payload)
                } else {
                    cipher.decrypt(nonce, payload)
                }
                .ok()
            }};
        }
        match self.suite {
            "aes128gcm16" => with!(Aes128Gcm),
            "aes192gcm16" => with!(Aes192Gcm),
            "aes256gcm16" => with!(Aes256Gcm),
            _ => with!(ChaCha20Poly1305),
        }
    }

    fn cbc(&self, seal: bool, iv: &[u8], text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        let blocks = text.chunks_exact_mut(16).map(aes::Block::from_mut_slice);
        macro_rules! with {
            ($cipher:ty) => {
                if seal {
                    let mut cipher = cbc::Encryptor::<$cipher>::new_from_slices(&self.sk_e, iv).unwrap();
                    blocks.for_each(|block| cipher.encrypt_block_mut(block));
                } else {
                    let mut cipher = cbc::Decryptor::<$cipher>::new_from_slices(&self.sk_e, iv).unwrap();
                    blocks.for_each(|block| cipher.decrypt_block_mut(block));
                }
            };
        }
        match self.sk_e.len() {
            16 => with!(aes::Aes128),
            24 => with!(aes::Aes192),
            _ => with!(aes::Aes256),
        }
        text
    }

    fn icv(&self, covered: &[u8]) -> Vec<u8> {
        macro_rules! with {
            ($hash:ty) => {{
                let mut mac = <Hmac<$hash> as Mac>::new_from_slice(&self.sk_a).unwrap();
                mac.update(covered);
                let tag = mac.finalize().into_bytes();
                tag[..tag.len() / 2].to_vec()
            }};
        }
        match self.sk_a.len() {
            32 => with!(sha2::Sha256),
            48 => with!(sha2::Sha384),
            _ => with!(sha2::Sha512),
        }
    }

    /// What follows `head`, the message up to the IV: IV, ciphertext, ICV. `text` has its padding and their length.
    pub(crate) fn seal(&self, head: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
        if self.is_aead() {
            return [iv, &self.aead(true, iv, head, text).unwrap()].concat();
        }
        let content = [iv, &self.cbc(true, iv, text)].concat();
        let icv = self.icv(&[head, &content].concat());
        [content, icv].concat()
    }

    /// The text, with padding and its length, of a message whose IV begins at `start`; `None`: not authentic.
    pub(crate) fn open(&self, message: &[u8], start: usize) -> Option<Vec<u8>> {
        let (head, content) = message.split_at(start);
        if self.is_aead() {
            let (iv, sealed) = content.split_at(8);
            return self.aead(false, iv, head, sealed);
        }
        let (covered, icv) = message.split_at(message.len() - self.sk_a.len() / 2);
        let (iv, text) = covered[start..].split_at(16);
        (self.icv(covered) == icv).then(|| self.cbc(false, iv, text))
    }
}
