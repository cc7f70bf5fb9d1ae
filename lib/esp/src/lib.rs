//! ESP (RFC 4303): everything about an SA and its packets but cryptography.
//!
//! ```text
//!                  keys, transform        what an SA is made of
//!   packet ──► tunnel, outer         ┐
//!              udp                   ├──► outbound ──► Work ──► cryptography ──► ESP packet
//!              selector, lifetime    ┘    sequence
//!
//!   ESP packet ──► header ──► SA ──► inbound ──► Work ──► cryptography ──► Inbound::finish ──► tunnel ──► packet
//!                                    window
//! ```
//!
//! A packet lies in one buffer, in one piece. What is done to it is said in offsets ([`Work`]); who calls makes room, runs the
//! cryptography over a burst, and comes back. No type borrows a buffer for longer than a call. Nothing here knows DPDK, allocates
//! for a packet, or panics on any input.
//!
//! ```
//! use esp::{Header, Inbound, IvMask, Keys, Opened, Outbound, Sequence, Spi, Transform, Window};
//! use packet::Protocol;
//!
//! let keys = Keys::new(Transform::Aes256Gcm16, vec![7; 36].into())?;
//! let spi = Spi::new(0xc000_0001).ok_or("reserved")?;
//! let mut outbound = Outbound::new(spi, &keys.parts(), Sequence::new(true), IvMask(0x1234));
//! let mut inbound = Inbound::new(spi, &keys.parts(), Window::new(1024, true)?);
//!
//! // 60 bytes of a TCP segment, and what the SA puts around them.
//! let sealing = outbound.seal(60, Protocol::TCP)?;
//! let mut packet = vec![0; sealing.head_len() + 60 + sealing.tail_len()];
//! let work = sealing.write(&mut packet)?;
//! assert_eq!(work.cipher.range(), 16..80);
//! // Encrypted by others, with the ICV at `work.icv`.
//! let len = sealing.finish(&mut packet)?;
//! packet.truncate(len);
//!
//! let header = Header::parse(&packet)?;
//! let opening = inbound.open(header, packet.len())?;
//! packet.resize(packet.len() + inbound.format().spare_len(), 0);
//! let work = inbound.prepare(&opening, &mut packet)?;
//! assert_eq!((work.cipher.range(), work.icv.range()), (16..80, 80..96));
//! // Decrypted by others, and found authentic.
//! let Opened::Packet(payload) = inbound.finish(opening, true, &packet)? else {
//!     return Err("a dummy".into());
//! };
//! assert_eq!((payload.next_header, payload.span.range()), (Protocol::TCP, 16..76));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod lifetime;
pub mod outer;
pub mod selector;
pub mod tunnel;
pub mod udp;

mod aead;
mod format;
mod header;
mod inbound;
mod keys;
mod outbound;
mod sequence;
mod transform;
mod window;

pub use aead::{AEAD_HEAD_LEN, AEAD_ICV_LEN, UsualInner};
pub use format::{Format, Span, Work};
pub use header::{HEADER_LEN, Header, HeaderError, Spi};
pub use inbound::{AeadOpening, Inbound, OpenError, Opened, Opening, Payload};
pub use keys::{KeyLengthError, KeyParts, Keys};
pub use outbound::{AeadSealer, AeadSealing, IvMask, NoRoom, Outbound, SealError, Sealing};
pub use sequence::{Sequence, SequenceEnded, SequenceNumber};
pub use transform::{Cipher, Integrity, Transform, TransformError};
pub use window::{MAX_WINDOW, MIN_WINDOW, ReplayError, Window, WindowSizeError};
