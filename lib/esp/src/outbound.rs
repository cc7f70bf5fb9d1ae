//! Sealing: what an outbound SA puts in front of a payload and behind it (RFC 4303 §3.3).
//!
//! ```text
//!   Outbound::seal ──► Sealing ──► room made: head_len in front, tail_len behind
//!                        │
//!                        └─ write ──► Work ──► cryptography ──► finish: spare bytes go
//! ```
//!
//! Bytes of the payload are touched by cryptography alone.

use packet::Protocol;
use zeroize::Zeroizing;

use crate::aead::{AEAD_BLOCK_LEN, AEAD_HEAD_LEN, AEAD_ICV_LEN, PADDING};
use crate::format::{Format, MAX_LEN, TRAILER_LEN, Work};
use crate::header::{HEADER_LEN, Header, Spi};
use crate::keys::{KeyParts, Salt};
use crate::sequence::{Sequence, SequenceEnded, SequenceNumber};
use crate::transform::Cipher;

/// Why a payload is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No sequence number is left.
    #[error(transparent)]
    SequenceEnded(#[from] SequenceEnded),
    /// No IP packet could carry it.
    #[error(
        "a payload of {0} bytes makes an ESP packet that is longer than any IP packet; send it in fragments"
    )]
    TooLong(usize),
}

/// The buffer is shorter than the packet with all that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ESP packet needs {needed} bytes in one piece and its buffer has {available}; make room for all of it first"
)]
pub struct NoRoom {
    /// Bytes from the ESP header on.
    pub needed: usize,
    /// Bytes that there are.
    pub available: usize,
}

/// 64 random bits of an SA's own. Should its keys be used again after a restart, against all rules, they keep almost all IVs
/// apart from those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IvMask(pub u64);

/// An SA that sends.
///
/// **IVs.** An AEAD's IV must be another for each packet (RFC 4106 §3.1): it is the sequence number, XORed with a mask that is the
/// SA's own. A CBC IV must not be foreseen (RFC 3602 §3): mask and sequence number are written to its place and encrypted
/// together with the rest, from an initial block of zeros. So it is the encryption of a block that is there once, which is the
/// first way that NIST SP 800-38A (appendix C) names, and no random bytes are needed for each packet.
#[derive(Debug)]
pub struct Outbound {
    spi: Spi,
    format: Format,
    salt: Zeroizing<Salt>,
    mask: u64,
    sequence: Sequence,
}

impl Outbound {
    /// An SA with these keys and sequence numbers. Of the keys the salt is kept.
    pub fn new(spi: Spi, keys: &KeyParts<'_>, sequence: Sequence, mask: IvMask) -> Outbound {
        Outbound {
            spi,
            format: Format::new(keys.transform(), sequence.esn()),
            salt: Zeroizing::new(keys.salt()),
            mask: mask.0,
            sequence,
        }
    }

    /// Its index.
    pub fn spi(&self) -> Spi {
        self.spi
    }

    /// How its packets are laid out.
    #[inline]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its sequence numbers.
    pub fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// Takes a sequence number for a payload of `payload_len` bytes that `next_header` says what it is: 4 and 41 for a packet in
    /// tunnel mode, the protocol of the upper layer in transport mode, 59 for a dummy (RFC 4303 §2.6).
    #[inline]
    pub fn seal(&mut self, payload_len: usize, next_header: Protocol) -> Result<Sealing, SealError> {
        if payload_len > MAX_LEN || self.format.sealed_len(payload_len) > MAX_LEN {
            return Err(SealError::TooLong(payload_len));
        }
        let sequence = self.sequence.next()?;
        Ok(Sealing {
            sequence,
            mask: self.mask,
            spi: self.spi,
            salt: *self.salt,
            format: self.format,
            // At most `MAX_LEN`.
            payload_len: payload_len as u16,
            next_header,
        })
    }
}

/// What an AEAD's packet has around its payload: all of [`Sealing::write`], but in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "its sequence number is not given to another packet"]
pub struct AeadSealing {
    /// Its number.
    pub sequence: SequenceNumber,
    /// What stands before the payload: SPI, sequence number, IV.
    pub head: [u8; AeadSealing::HEAD_LEN],
    /// What stands behind it, with bytes in the place of the ICV.
    pub tail: [u8; 8],
    /// Bytes of padding and trailer, which are enciphered as the payload is.
    pub trailer_len: usize,
    /// Salt and IV: the first [`Transform::nonce_len`](crate::Transform::nonce_len) bytes.
    pub nonce: [u8; 16],
    /// What is authenticated beside: the first [`Format::aad_len`] bytes.
    pub aad: [u8; 16],
}

impl AeadSealing {
    /// Bytes before the payload.
    pub const HEAD_LEN: usize = AEAD_HEAD_LEN;
    /// Bytes of an ICV.
    pub const ICV_LEN: usize = AEAD_ICV_LEN;
}

/// Seals payloads of an AEAD one after the other. It has copies of what that takes, which stay in registers; [`Outbound::sealed`] takes it
/// back.
#[derive(Debug)]
#[must_use = "the sequence numbers that it gives are given again if it is not taken back"]
pub struct AeadSealer {
    spi: u32,
    format: Format,
    salt: Zeroizing<Salt>,
    mask: u64,
    sequence: Sequence,
}

impl AeadSealer {
    /// As [`Outbound::seal`], for an AEAD, whose packets have a head of [`AeadSealing::HEAD_LEN`] bytes.
    #[inline(always)]
    pub fn seal(&mut self, payload_len: usize, next_header: Protocol) -> Result<AeadSealing, SealError> {
        let pad_len = (payload_len + TRAILER_LEN).wrapping_neg() & (AEAD_BLOCK_LEN - 1);
        let trailer_len = pad_len + TRAILER_LEN;
        if AeadSealing::HEAD_LEN + payload_len + trailer_len + AeadSealing::ICV_LEN > MAX_LEN {
            return Err(SealError::TooLong(payload_len));
        }
        let sequence = self.sequence.next()?;
        let iv = self.mask ^ sequence.get();
        let head = u128::from(self.spi) << 96 | u128::from(sequence.low()) << 64 | u128::from(iv);
        let tail = PADDING[pad_len] | u64::from(next_header.0) << (8 * (pad_len + 1));
        Ok(AeadSealing {
            sequence,
            head: head.to_be_bytes(),
            tail: tail.to_le_bytes(),
            trailer_len,
            nonce: Format::nonce(*self.salt, iv).to_be_bytes(),
            aad: self.format.aad(self.spi, sequence).to_be_bytes(),
        })
    }
}

impl Outbound {
    /// Begins to seal payloads of an AEAD; others are not sealed so.
    #[inline(always)]
    pub fn sealer(&self) -> AeadSealer {
        debug_assert_eq!(self.format.head_len(), AeadSealing::HEAD_LEN);
        AeadSealer {
            spi: self.spi.get(),
            format: self.format,
            salt: Zeroizing::new(*self.salt),
            mask: self.mask,
            sequence: self.sequence,
        }
    }

    /// Ends it: goes on behind the last number that `sealer`, which is its own, has given.
    #[inline(always)]
    pub fn sealed(&mut self, sealer: &AeadSealer) {
        debug_assert!(sealer.sequence.last() >= self.sequence.last());
        self.sequence = sealer.sequence;
    }
}

/// A payload that has its sequence number and is to be sealed.
#[derive(Clone, Copy, Debug)]
#[must_use = "its sequence number is not given to another packet"]
pub struct Sealing {
    sequence: SequenceNumber,
    mask: u64,
    spi: Spi,
    salt: Salt,
    format: Format,
    payload_len: u16,
    next_header: Protocol,
}

impl Sealing {
    /// Its number.
    #[inline]
    pub fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// Bytes to be put in front of the payload.
    #[inline]
    pub fn head_len(&self) -> usize {
        self.format.head_len()
    }

    /// Bytes to be put behind the payload, those included that [`Sealing::finish`] takes off again.
    #[inline]
    pub fn tail_len(&self) -> usize {
        self.sealed_len() + self.format.spare_len() - self.head_len() - usize::from(self.payload_len)
    }

    /// Bytes of the ESP packet as it is sent.
    #[inline]
    pub fn sealed_len(&self) -> usize {
        self.format.sealed_len(self.payload_len.into())
    }

    /// Writes all but the ICV around the payload. `packet` begins [`Sealing::head_len`] bytes before it and has at least
    /// [`Sealing::tail_len`] bytes behind it.
    #[inline(always)]
    pub fn write(&self, packet: &mut [u8]) -> Result<Work, NoRoom> {
        let (len, head_len) = (self.sealed_len(), self.head_len());
        let needed = len + self.format.spare_len();
        let available = packet.len();
        let no_room = NoRoom { needed, available };
        let packet = packet.get_mut(..needed).ok_or(no_room)?;

        let header = Header {
            spi: self.spi,
            sequence_low: self.sequence.low(),
        };
        let (to, rest) = packet.split_first_chunk_mut::<HEADER_LEN>().ok_or(no_room)?;
        *to = header.bytes();
        let iv = match self.format.transform().cipher() {
            Cipher::Null => 0,
            Cipher::AesCbc => {
                let block = u128::from(self.mask) << 64 | u128::from(self.sequence.get());
                *rest.first_chunk_mut().ok_or(no_room)? = block.to_be_bytes();
                0
            }
            Cipher::AesGcm | Cipher::ChaCha20Poly1305 => {
                let iv = self.mask ^ self.sequence.get();
                *rest.first_chunk_mut().ok_or(no_room)? = iv.to_be_bytes();
                Format::nonce(self.salt, iv)
            }
        };

        let payload_len = usize::from(self.payload_len);
        let pad_len = self.format.pad_len(payload_len);
        let (padding, rest) = packet
            .get_mut(head_len + payload_len..)
            .and_then(|tail| tail.split_at_mut_checked(pad_len))
            .ok_or(no_room)?;
        for (byte, number) in padding.iter_mut().zip(1..=u8::MAX) {
            *byte = number;
        }
        // Less than a block.
        *rest.first_chunk_mut().ok_or(no_room)? = [pad_len as u8, self.next_header.0];
        if self.format.spare_len() != 0 {
            let behind = rest.get_mut(TRAILER_LEN..).and_then(<[u8]>::first_chunk_mut);
            *behind.ok_or(no_room)? = self.sequence.high().to_be_bytes();
        }
        let aad = self.format.aad(self.spi.get(), self.sequence);
        Ok(self.format.work(len, self.format.encrypted_from(), iv, aad))
    }

    /// Puts the ICV where it is sent, once cryptography is done; gives the bytes of the ESP packet, what is behind is to be taken
    /// off.
    #[inline]
    pub fn finish(&self, packet: &mut [u8]) -> Result<usize, NoRoom> {
        let len = self.sealed_len();
        let spare = self.format.spare_len();
        if spare != 0 {
            let available = packet.len();
            let needed = len + spare;
            let icv = len - self.format.icv_len();
            let packet = packet.get_mut(..needed).ok_or(NoRoom { needed, available })?;
            packet.copy_within(icv + spare.., icv);
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::Transform;

    #[test]
    fn an_aead_is_sealed_in_registers_as_in_a_buffer() {
        let spi = Spi::new(0xc0ff_ee01).unwrap();
        let aeads = Transform::ALL.into_iter().filter(|transform| transform.is_aead());
        for (transform, esn) in aeads.flat_map(|transform| [(transform, false), (transform, true)]) {
            let bytes: Vec<u8> = (0..).take(transform.key_len()).collect();
            let keys = transform.split(&bytes).unwrap();
            for payload_len in (0..40).chain([1400, MAX_LEN - 40, MAX_LEN - 34, MAX_LEN - 33, MAX_LEN + 1]) {
                let made = || {
                    let sequence = Sequence::resumed(esn, 0xffff_fff0);
                    Outbound::new(spi, &keys, sequence, IvMask(0x0123_4567_89ab_cdef))
                };
                let (mut one, mut other) = (made(), made());
                let expected = one.seal(payload_len, Protocol(41));
                let mut sealer = other.sealer();
                let found = sealer.seal(payload_len, Protocol(41));
                other.sealed(&sealer);
                assert_eq!(other.sequence().last(), one.sequence().last());
                let Ok(expected) = expected else {
                    assert_eq!(found.unwrap_err(), expected.unwrap_err());
                    continue;
                };
                let found = found.unwrap();
                let mut packet = vec![0; expected.sealed_len()];
                let work = expected.write(&mut packet).unwrap();
                let end = AeadSealing::HEAD_LEN + payload_len + found.trailer_len;
                assert_eq!(expected.sealed_len(), end + AeadSealing::ICV_LEN);
                assert_eq!(work.cipher.range(), AeadSealing::HEAD_LEN..end);
                assert_eq!(work.icv.range().start, end);
                assert_eq!((found.nonce, found.aad), (work.iv(), work.aad()));
                assert_eq!(found.head, packet[..AeadSealing::HEAD_LEN]);
                let trailer = end - found.trailer_len..end;
                assert_eq!(found.tail[..found.trailer_len], packet[trailer]);
                assert_eq!(found.sequence, expected.sequence());
            }
        }
    }
}
