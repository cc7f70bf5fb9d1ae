//! How the packets of an SA are laid out (RFC 4303 §2), and what of them the cipher and the integrity algorithm work on.
//!
//! ```text
//!   0         8          head_len                                      sealed_len
//!   ┌─────────┬──────────┬───────────────┬─────────┬─────┬──────┬───────────┐┌ ─ ─ ─ ┐
//!   │ SPI seq │ IV       │ payload       │ 1 2 3 … │ pad │ next │ ICV       │  spare      4 bytes, with ESN and no AEAD
//!   └─────────┴──────────┴───────────────┴─────────┴─────┴──────┴───────────┘└ ─ ─ ─ ┘
//!   AEAD                 ╟───────────── cipher ─────────────────╢ ICV       ╢
//!             nonce: salt and IV; additional data: SPI and sequence number
//!   others    (CBC: IV)  ╟───────────── cipher ─────────────────╢
//!   ╟─────────────────────── integrity ─────────────────────────╢ ICV       ╢
//!   with ESN
//!   ╟─────────────────────── integrity ──────────────────── seq high ╢ ICV           ╢
//! ```
//!
//! An AEAD authenticates SPI and sequence number, all 64 bits of it with ESN, as additional data (RFC 4106 §5, RFC 7634 §2.1). Other
//! algorithms authenticate the packet, and with ESN the high half of the number as if it followed (RFC 4303 §2.2.1). So that
//! they find all in one piece, it stands behind the packet while they work, and the ICV 4 bytes later than it is sent.

use std::ops::Range;

use crate::header::HEADER_LEN;
use crate::keys::Salt;
use crate::sequence::SequenceNumber;
use crate::transform::{Cipher, Transform};

/// Bytes of pad length and next header.
pub(crate) const TRAILER_LEN: usize = 2;
/// The longest ESP packet, bytes: what the shortest IP header leaves of the longest packet.
pub(crate) const MAX_LEN: usize = 65_515;

/// A piece of a packet, counted from its ESP header on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub offset: u16,
    /// How long it is.
    pub len: u16,
}

impl Span {
    /// Both are within the longest ESP packet.
    #[inline]
    pub(crate) const fn new(offset: usize, len: usize) -> Span {
        Span {
            offset: offset as u16,
            len: len as u16,
        }
    }

    /// Behind its last byte.
    #[inline]
    pub const fn end(self) -> usize {
        self.offset as usize + self.len as usize
    }

    /// As a slice takes it.
    #[inline]
    pub const fn range(self) -> Range<usize> {
        self.offset as usize..self.end()
    }
}

/// What cryptography does with a packet, which lies in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// What is encrypted or decrypted in its place; empty for NULL.
    pub cipher: Span,
    /// What the integrity algorithm reads, after encryption and before decryption; empty for an AEAD.
    pub integrity: Span,
    /// Where the ICV is written to, or lies and is compared.
    pub icv: Span,
    // As numbers, which stay in registers until somebody wants the bytes.
    iv: u128,
    aad: u128,
}

impl Work {
    /// The cipher's nonce or initial block: the first [`Transform::nonce_len`] bytes.
    #[inline]
    pub const fn iv(&self) -> [u8; 16] {
        self.iv.to_be_bytes()
    }

    /// What an AEAD authenticates beside the ciphertext: the first [`Format::aad_len`] bytes.
    #[inline]
    pub const fn aad(&self) -> [u8; 16] {
        self.aad.to_be_bytes()
    }
}

/// The layout of the packets of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    transform: Transform,
    esn: bool,
    head_len: u8,
    icv_len: u8,
    block_len: u8,
    spare: u8,
}

impl Format {
    /// The layout for a transform, with extended sequence numbers or without.
    pub const fn new(transform: Transform, esn: bool) -> Format {
        Format {
            transform,
            esn,
            head_len: (HEADER_LEN + transform.iv_len()) as u8,
            icv_len: transform.icv_len() as u8,
            block_len: transform.block_len() as u8,
            spare: if esn && !transform.is_aead() { 4 } else { 0 },
        }
    }

    /// Whose packets they are.
    pub const fn transform(&self) -> Transform {
        self.transform
    }

    /// Whether sequence numbers have 64 bits.
    pub const fn esn(&self) -> bool {
        self.esn
    }

    /// Bytes of additional data that an AEAD takes, 0 for others (RFC 4106 §5, RFC 7634 §2.1).
    pub const fn aad_len(&self) -> usize {
        match (self.transform.is_aead(), self.esn) {
            (false, _) => 0,
            (true, false) => 8,
            (true, true) => 12,
        }
    }

    /// Bytes in front of the payload: SPI, sequence number, IV.
    #[inline]
    pub const fn head_len(&self) -> usize {
        self.head_len as usize
    }

    /// Bytes in front of what is encrypted. With CBC the IV is (see [`crate::Outbound`] for why); what is decrypted begins behind
    /// [`Format::head_len`] always.
    #[inline]
    pub const fn encrypted_from(&self) -> usize {
        match self.transform.cipher() {
            Cipher::AesCbc => HEADER_LEN,
            Cipher::Null | Cipher::AesGcm | Cipher::ChaCha20Poly1305 => self.head_len(),
        }
    }

    /// Bytes of ICV.
    #[inline]
    pub const fn icv_len(&self) -> usize {
        self.icv_len as usize
    }

    /// Bytes behind an ESP packet that cryptography needs while it works on it: 0 or 4. They end what is authenticated and are
    /// not encrypted.
    #[inline]
    pub const fn spare_len(&self) -> usize {
        self.spare as usize
    }

    #[inline]
    pub(crate) const fn block_len(&self) -> usize {
        self.block_len as usize
    }

    /// Bytes of padding behind a payload of `payload_len` bytes: no more than needed (RFC 4303 §2.4).
    #[inline]
    pub const fn pad_len(&self, payload_len: usize) -> usize {
        (payload_len + TRAILER_LEN).wrapping_neg() & (self.block_len as usize - 1)
    }

    /// Bytes of the ESP packet with a payload of `payload_len` bytes, from SPI to ICV.
    #[inline]
    pub const fn sealed_len(&self, payload_len: usize) -> usize {
        self.head_len() + payload_len + self.pad_len(payload_len) + TRAILER_LEN + self.icv_len()
    }

    /// The longest payload whose ESP packet has at most `room` bytes; `None` if not even an empty one fits.
    #[inline]
    pub const fn payload_room(&self, room: usize) -> Option<usize> {
        let Some(inner) = room.checked_sub(self.head_len() + self.icv_len()) else {
            return None;
        };
        (inner & !(self.block_len as usize - 1)).checked_sub(TRAILER_LEN)
    }

    /// What an AEAD authenticates of SPI and sequence number.
    #[inline(always)]
    pub(crate) fn aad(&self, spi: u32, sequence: SequenceNumber) -> u128 {
        let spi = u128::from(spi) << 96;
        let number = if self.esn {
            u128::from(sequence.get()) << 32
        } else {
            u128::from(sequence.low()) << 64
        };
        spi | number
    }

    /// Salt and IV, as an AEAD takes them (RFC 4106 §4, RFC 7634 §2).
    #[inline(always)]
    pub(crate) fn nonce(salt: Salt, iv: u64) -> u128 {
        u128::from(u32::from_be_bytes(salt.0)) << 96 | u128::from(iv) << 32
    }

    /// The work on a packet of `len` bytes from SPI to ICV. The cipher begins at `cipher_from`.
    #[inline(always)]
    pub(crate) fn work(&self, len: usize, cipher_from: usize, iv: u128, aad: u128) -> Work {
        let icv_from = len - self.icv_len();
        let cipher = match self.transform.cipher() {
            Cipher::Null => Span::new(cipher_from, 0),
            _ => Span::new(cipher_from, icv_from - cipher_from),
        };
        let integrity = if self.transform.is_aead() {
            Span::default()
        } else {
            Span::new(0, icv_from + self.spare_len())
        };
        Work {
            cipher,
            integrity,
            icv: Span::new(icv_from + self.spare_len(), self.icv_len()),
            iv,
            aad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: fn() -> Vec<Format> = || {
        let all = Transform::ALL.into_iter();
        all.flat_map(|transform| [false, true].map(|esn| Format::new(transform, esn)))
            .collect()
    };

    #[test]
    fn padding_is_the_least_that_fills_the_block() {
        for format in FORMATS() {
            let block = format.transform().block_len();
            for payload_len in 0..200 {
                let pad = format.pad_len(payload_len);
                assert!(pad < block);
                assert_eq!((payload_len + pad + 2) % block, 0);
            }
        }
    }

    #[test]
    fn the_longest_payload_of_a_room_fits_it_and_one_more_does_not() {
        for format in FORMATS() {
            for room in 0..400 {
                match format.payload_room(room) {
                    Some(payload) => {
                        assert!(format.sealed_len(payload) <= room);
                        assert!(format.sealed_len(payload + 1) > room);
                    }
                    None => assert!(format.sealed_len(0) > room),
                }
            }
        }
    }

    #[test]
    fn lengths_of_a_packet_of_84_bytes_are_those_of_the_examples() {
        // RFC 7634 appendix A: 8 + 8 + 84 + 2 + 2 + 16. RFC 3602 §4 case 7: 8 + 16 + 84 + 10 + 2, there without an ICV.
        let chacha = Format::new(Transform::ChaCha20Poly1305, false);
        assert_eq!((chacha.pad_len(84), chacha.sealed_len(84)), (2, 120));
        let cbc = Format::new(Transform::Aes128Sha256, false);
        assert_eq!((cbc.pad_len(84), cbc.sealed_len(84)), (10, 120 + 16));
    }

    #[test]
    fn only_integrity_of_its_own_needs_room_for_the_high_half() {
        for format in FORMATS() {
            let expected = if format.esn() && !format.transform().is_aead() {
                4
            } else {
                0
            };
            assert_eq!(format.spare_len(), expected);
        }
    }
}
