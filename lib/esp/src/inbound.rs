//! Opening: what an inbound SA does with an ESP packet (RFC 4303 §3.4).
//!
//! ```text
//!   Header::parse ──► SA found ──► Inbound::open ──► Opening ──► room made: spare_len behind
//!                                  length, window      │
//!                                                      └─ prepare ──► Work ──► cryptography ──► Inbound::finish
//!                                                                                               window, padding
//! ```
//!
//! Nothing that is decrypted is looked at, and no window moved, before the packet is known to be authentic. Bytes of the payload
//! are touched by cryptography alone.

use packet::Protocol;
use zeroize::Zeroizing;

use crate::aead::{AEAD_BLOCK_LEN, AEAD_HEAD_LEN, AEAD_ICV_LEN};
use crate::format::{Format, MAX_LEN, Span, TRAILER_LEN, Work};
use crate::header::{HEADER_LEN, Header, Spi};
use crate::keys::{KeyParts, Salt};
use crate::outbound::NoRoom;
use crate::sequence::SequenceNumber;
use crate::transform::Cipher;
use crate::window::{ReplayError, Window};

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than the SA's packets can be, or its ciphertext is no multiple of the block (RFC 4303 §2.4).
    #[error(
        "an ESP packet of {0} bytes cannot be one of this SA's; sender and receiver differ in its transform"
    )]
    Length(usize),
    /// Its sequence number is not acceptable.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The ICV is wrong.
    #[error(
        "the ESP packet is not authentic: it was changed or made by others, or the ends differ in their keys"
    )]
    Forged,
    /// Padding that is longer than the packet, or not 1, 2, 3 and so on (RFC 4303 §2.4).
    #[error("the padding of the ESP packet is not what RFC 4303 asks for; its sender is at fault")]
    Padding,
    /// The buffer is not the one that the packet was prepared in.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// An SA that receives.
#[derive(Debug)]
pub struct Inbound {
    spi: Spi,
    format: Format,
    salt: Zeroizing<Salt>,
    window: Window,
}

impl Inbound {
    /// An SA with these keys and this replay window. Of the keys the salt is kept.
    pub fn new(spi: Spi, keys: &KeyParts<'_>, window: Window) -> Inbound {
        Inbound {
            spi,
            format: Format::new(keys.transform(), window.esn()),
            salt: Zeroizing::new(keys.salt()),
            window,
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

    /// What it has received.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Looks whether a packet of `len` bytes, from the ESP header to its end, may be decrypted. `header` is what
    /// [`Header::parse`] has read of it.
    #[inline]
    pub fn open(&self, header: Header, len: usize) -> Result<Opening, OpenError> {
        debug_assert_eq!(header.spi, self.spi);
        let around = self.format.head_len() + self.format.icv_len();
        let block_len = self.format.block_len();
        let inner = len.checked_sub(around).ok_or(OpenError::Length(len))?;
        if inner == 0 || inner & (block_len - 1) != 0 || len > MAX_LEN {
            return Err(OpenError::Length(len));
        }
        let sequence = self.window.check(header.sequence_low)?;
        Ok(Opening {
            sequence,
            // At most `MAX_LEN`.
            len: len as u16,
        })
    }

    /// Makes a packet ready for cryptography. `packet` begins with the ESP header and has [`Format::spare_len`] bytes behind its end.
    #[inline(always)]
    pub fn prepare(&self, opening: &Opening, packet: &mut [u8]) -> Result<Work, NoRoom> {
        let (len, spare) = (usize::from(opening.len), self.format.spare_len());
        let needed = len + spare;
        let available = packet.len();
        let no_room = NoRoom { needed, available };
        let packet = packet.get_mut(..needed).ok_or(no_room)?;
        let head_len = self.format.head_len();
        let ivs = packet.get(HEADER_LEN..).ok_or(no_room)?;
        let iv = match self.format.transform().cipher() {
            Cipher::Null => 0,
            Cipher::AesCbc => u128::from_be_bytes(*ivs.first_chunk().ok_or(no_room)?),
            Cipher::AesGcm | Cipher::ChaCha20Poly1305 => {
                let iv = *ivs.first_chunk().ok_or(no_room)?;
                Format::nonce(*self.salt, u64::from_be_bytes(iv))
            }
        };
        if spare != 0 {
            let icv = len - self.format.icv_len();
            packet.copy_within(icv..len, icv + spare);
            let high = packet.get_mut(icv..).and_then(<[u8]>::first_chunk_mut);
            *high.ok_or(no_room)? = opening.sequence.high().to_be_bytes();
        }
        let aad = self.format.aad(self.spi.get(), opening.sequence);
        Ok(self.format.work(len, head_len, iv, aad))
    }

    /// As [`Inbound::open`] and [`Inbound::prepare`] in one, for an AEAD: `head` is what the packet of `len` bytes begins with. Others are
    /// not opened so.
    #[inline(always)]
    pub fn open_aead(&self, head: &[u8; AEAD_HEAD_LEN], len: usize) -> Result<AeadOpening, OpenError> {
        debug_assert_eq!(self.format.head_len(), AEAD_HEAD_LEN);
        const AROUND: usize = AEAD_HEAD_LEN + AEAD_ICV_LEN;
        if len <= AROUND || len & (AEAD_BLOCK_LEN - 1) != 0 || len > MAX_LEN {
            return Err(OpenError::Length(len));
        }
        let head = u128::from_be_bytes(*head);
        debug_assert_eq!((head >> 96) as u32, self.spi.get());
        let sequence = self.window.check((head >> 64) as u32)?;
        Ok(AeadOpening {
            opening: Opening {
                sequence,
                // At most `MAX_LEN`.
                len: len as u16,
            },
            nonce: Format::nonce(*self.salt, head as u64).to_be_bytes(),
            aad: self.format.aad(self.spi.get(), sequence).to_be_bytes(),
        })
    }

    /// Takes the sequence number of a packet that is authentic: the part of [`Inbound::finish`] that changes something.
    #[inline]
    pub fn take(&mut self, opening: &Opening) -> Result<(), OpenError> {
        Ok(self.window.take(opening.sequence)?)
    }

    /// Takes what cryptography has left of a packet in its buffer, if its ICV was right: `authentic`. The sequence number is
    /// taken, then the padding is checked.
    #[inline]
    pub fn finish(&mut self, opening: Opening, authentic: bool, packet: &[u8]) -> Result<Opened, OpenError> {
        if !authentic {
            return Err(OpenError::Forged);
        }
        self.window.take(opening.sequence)?;
        opening.read(self.format, packet)
    }
}

/// A packet that may be decrypted.
#[derive(Clone, Copy, Debug)]
#[must_use = "the packet is not decrypted yet"]
pub struct Opening {
    sequence: SequenceNumber,
    pub(crate) len: u16,
}

/// An AEAD's packet that may be decrypted, with what that takes: all of [`Inbound::prepare`], but in registers.
#[derive(Clone, Copy, Debug)]
#[must_use = "the packet is not decrypted yet"]
pub struct AeadOpening {
    /// What is asked for afterwards.
    pub opening: Opening,
    /// Salt and IV: the first [`Transform::nonce_len`](crate::Transform::nonce_len) bytes.
    pub nonce: [u8; 16],
    /// What is authenticated beside: the first [`Format::aad_len`] bytes.
    pub aad: [u8; 16],
}

impl Opening {
    /// Its number, if it is authentic.
    #[inline]
    pub fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// What is in the decrypted packet (RFC 4303 §2.4 to §2.6).
    #[inline]
    fn read(&self, format: Format, packet: &[u8]) -> Result<Opened, OpenError> {
        let needed = usize::from(self.len);
        let available = packet.len();
        let end = needed - format.icv_len();
        let head_len = format.head_len();
        let (padded, trailer) = packet
            .get(head_len..end)
            .and_then(<[u8]>::split_last_chunk::<TRAILER_LEN>)
            .ok_or(NoRoom { needed, available })?;
        let &[pad_len, next_header] = trailer;
        let payload_len = padded
            .len()
            .checked_sub(pad_len.into())
            .ok_or(OpenError::Padding)?;
        let padding = padded.get(payload_len..).unwrap_or_default();
        if !padding
            .iter()
            .zip(1..=u8::MAX)
            .all(|(byte, number)| *byte == number)
        {
            return Err(OpenError::Padding);
        }
        let next_header = Protocol(next_header);
        if next_header == Protocol::NO_NEXT_HEADER {
            return Ok(Opened::Dummy);
        }
        Ok(Opened::Packet(Payload {
            next_header,
            span: Span::new(head_len, payload_len),
        }))
    }
}

/// What was in an authentic packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A payload.
    Packet(Payload),
    /// Nothing: it was sent so that nobody sees when there is something to say. It goes without a word (RFC 4303 §2.6).
    Dummy,
}

/// A payload in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What it is: 4 or 41 for a packet in tunnel mode, an upper layer in transport mode.
    pub next_header: Protocol,
    /// Where it is, counted from the ESP header. In tunnel mode bytes that hide the length of the packet may follow it
    /// (RFC 4303 §2.7).
    pub span: Span,
}
