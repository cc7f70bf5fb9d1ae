//! The same by another implementation.

use aes::cipher::{BlockCipher, BlockEncryptMut, BlockSizeUser, KeyInit, KeyIvInit, consts::U16};
use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use dpdk::crypto::{Aead, Auth, Cipher, Transform};
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// Enciphers the text and answers its digest.
pub(crate) fn seal(transform: &Transform, iv: &[u8; 16], aad: &[u8; 16], text: &mut [u8]) -> Vec<u8> {
    match *transform {
        Transform::Aead {
            algorithm,
            key,
            aad_len,
        } => {
            let aad = &aad[..usize::from(aad_len)];
            match (algorithm, key.len()) {
                (Aead::ChaCha20Poly1305, _) => aead::<chacha20poly1305::ChaCha20Poly1305>(key, iv, aad, text),
                (Aead::AesGcm, 16) => aead::<Aes128Gcm>(key, iv, aad, text),
                (Aead::AesGcm, 24) => {
                    aead::<AesGcm<aes::Aes192, aes::cipher::consts::U12>>(key, iv, aad, text)
                }
                (Aead::AesGcm, _) => aead::<Aes256Gcm>(key, iv, aad, text),
            }
        }
        Transform::Chain {
            cipher,
            cipher_key,
            auth,
            auth_key,
            clear_head,
            clear_tail,
        } => {
            if cipher == Cipher::AesCbc {
                let end = text.len() - usize::from(clear_tail);
                let enciphered = &mut text[usize::from(clear_head)..end];
                match cipher_key.len() {
                    16 => cbc::<aes::Aes128>(cipher_key, iv, enciphered),
                    24 => cbc::<aes::Aes192>(cipher_key, iv, enciphered),
                    _ => cbc::<aes::Aes256>(cipher_key, iv, enciphered),
                }
            }
            let mut digest = match auth {
                Auth::HmacSha256 => hmac::<Hmac<Sha256>>(auth_key, text),
                Auth::HmacSha384 => hmac::<Hmac<Sha384>>(auth_key, text),
                Auth::HmacSha512 => hmac::<Hmac<Sha512>>(auth_key, text),
            };
            digest.truncate(digest.len() / 2);
            digest
        }
    }
}

fn aead<C: KeyInit + AeadInPlace>(key: &[u8], iv: &[u8; 16], aad: &[u8], text: &mut [u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).unwrap();
    let nonce = GenericArray::from_slice(&iv[..12]);
    cipher
        .encrypt_in_place_detached(nonce, aad, text)
        .unwrap()
        .to_vec()
}

fn cbc<C>(key: &[u8], iv: &[u8; 16], text: &mut [u8])
where
    C: BlockEncryptMut + BlockCipher + KeyInit + BlockSizeUser<BlockSize = U16>,
{
    let mut encryptor = cbc::Encryptor::<C>::new_from_slices(key, iv).unwrap();
    for block in text.chunks_exact_mut(16) {
        encryptor.encrypt_block_mut(GenericArray::from_mut_slice(block));
    }
}

fn hmac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
