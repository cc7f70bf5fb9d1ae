//! The reference: cryptography by RustCrypto, as [`Work`] says it, and a peer that knows ESP by itself.

use esp::{Cipher, Format, KeyParts, Keys, Transform, Work};

use crate::peer::{Aead, cbc_decrypt, cbc_encrypt};
pub(crate) use crate::peer::{Peer, hmac};

/// Keys that differ in every byte.
pub(crate) fn keys(transform: Transform, seed: u8) -> Keys {
    let bytes: Vec<u8> = (0..transform.key_len())
        .map(|at| (at as u8).wrapping_mul(7).wrapping_add(seed))
        .collect();
    Keys::new(transform, bytes.into()).unwrap()
}

/// Does what `work` says when sealing.
pub(crate) fn seal(keys: &KeyParts<'_>, format: Format, work: &Work, packet: &mut [u8]) {
    let transform = keys.transform();
    let nonce = &work.iv()[..transform.nonce_len()];
    let icv = match transform.integrity() {
        None => {
            let aead = Aead::new(transform.cipher(), keys.cipher());
            let aad = &work.aad()[..format.aad_len()];
            aead.encrypt(nonce, aad, &mut packet[work.cipher.range()])
        }
        Some(integrity) => {
            if transform.cipher() == Cipher::AesCbc {
                cbc_encrypt(keys.cipher(), nonce, &mut packet[work.cipher.range()]);
            }
            hmac(integrity, keys.integrity(), &[&packet[work.integrity.range()]])
        }
    };
    packet[work.icv.range()].copy_from_slice(&icv);
}

/// Does what `work` says when opening; gives whether the packet is authentic.
pub(crate) fn open(keys: &KeyParts<'_>, format: Format, work: &Work, packet: &mut [u8]) -> bool {
    let transform = keys.transform();
    let nonce = &work.iv()[..transform.nonce_len()];
    let icv = packet[work.icv.range()].to_vec();
    match transform.integrity() {
        None => {
            let aead = Aead::new(transform.cipher(), keys.cipher());
            let aad = &work.aad()[..format.aad_len()];
            aead.decrypt(nonce, aad, &mut packet[work.cipher.range()], &icv)
        }
        Some(integrity) => {
            let right = hmac(integrity, keys.integrity(), &[&packet[work.integrity.range()]]);
            if right == icv && transform.cipher() == Cipher::AesCbc {
                cbc_decrypt(keys.cipher(), nonce, &mut packet[work.cipher.range()]);
            }
            right == icv
        }
    }
}
