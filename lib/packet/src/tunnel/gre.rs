//! GRE headers: RFC 2784, with the key and the sequence number of RFC 2890.
//!
//! ```text
//!    0               2               4
//!   +---------------+---------------+---------------+---------------+
//!   |C  K S     ver | protocol type | checksum, zero   if C         |
//!   +---------------+---------------+---------------+---------------+
//!   | key                  if K     | sequence number      if S     |
//!   +---------------+---------------+---------------+---------------+
//! ```
//!
//! A checksum is checked and never written. A sequence number is read over: RFC 2890 section 2.2 leaves it to the receiver to want
//! packets in order.

use crate::checksum::Sum;
use crate::{BufferTooShort, EtherType, reserve};

/// Bytes of a header without optional fields.
const BASE_LEN: usize = 4;
/// Bytes of each optional field.
const FIELD_LEN: usize = 4;

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Bits 1, 4 and 5: a receiver that does not know RFC 1701 must discard what has them, RFC 2784 section 2.3.
const MUST_BE_ZERO: u16 = 0x4c00;
const VERSION: u16 = 0x0007;

/// Why bytes are no GRE header that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreError {
    /// Shorter than its fields.
    #[error("the packet is shorter than the GRE header that its flags name")]
    Truncated,
    /// Version is not 0.
    #[error("the version of the GRE header is not 0")]
    Version,
    /// A flag of RFC 1701 is set: source routes and the like.
    #[error("the GRE header has a flag that RFC 2784 section 2.3 says to discard")]
    Flags,
}

/// A GRE header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    message: &'a [u8],
    flags: u16,
    protocol: EtherType,
    key: Option<u32>,
    payload: &'a [u8],
}

impl<'a> Gre<'a> {
    /// Reads the header at the start of `message`, which is all that follows the IP header, or of a quote as much as there is.
    pub fn parse(message: &'a [u8]) -> Result<Gre<'a>, GreError> {
        let (&[flags0, flags1, protocol0, protocol1], mut rest) = message
            .split_first_chunk::<BASE_LEN>()
            .ok_or(GreError::Truncated)?;
        let flags = u16::from_be_bytes([flags0, flags1]);
        if flags & VERSION != 0 {
            return Err(GreError::Version);
        }
        if flags & MUST_BE_ZERO != 0 {
            return Err(GreError::Flags);
        }
        let mut field = |flag| {
            if flags & flag == 0 {
                return Ok(None);
            }
            let (field, behind) = rest.split_first_chunk::<FIELD_LEN>().ok_or(GreError::Truncated)?;
            rest = behind;
            Ok(Some(u32::from_be_bytes(*field)))
        };
        field(CHECKSUM)?;
        let key = field(KEY)?;
        field(SEQUENCE)?;
        Ok(Gre {
            message,
            flags,
            protocol: EtherType(u16::from_be_bytes([protocol0, protocol1])),
            key,
            payload: rest,
        })
    }

    /// What the payload is. Zero is a keepalive of some makers.
    pub fn protocol(&self) -> EtherType {
        self.protocol
    }

    /// The key, if there is one.
    pub fn key(&self) -> Option<u32> {
        self.key
    }

    /// Whether the checksum fits header and payload, if there is one (RFC 2784 section 2.5; reads all of it).
    pub fn checksum_is_valid(&self) -> bool {
        self.flags & CHECKSUM == 0 || Sum::ZERO.bytes(self.message).is_valid()
    }

    /// Bytes of the header: 4 to 16.
    pub fn header_len(&self) -> usize {
        self.message.len() - self.payload.len()
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Bytes of the header that [`emit`] writes.
pub const fn len(key: Option<u32>) -> usize {
    match key {
        Some(_) => BASE_LEN + FIELD_LEN,
        None => BASE_LEN,
    }
}

/// Writes a header in front of `protocol`, with a key if there is one, to the start of `buffer`; gives the bytes written.
pub fn emit(protocol: EtherType, key: Option<u32>, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
    let out = reserve(buffer, len(key))?;
    let flags = if key.is_some() { KEY } else { 0 };
    let fields = flags.to_be_bytes().into_iter().chain(protocol.0.to_be_bytes());
    let fields = fields.chain(key.unwrap_or_default().to_be_bytes());
    for (to, from) in out.iter_mut().zip(fields) {
        *to = from;
    }
    Ok(len(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message with these flags, fields and payload; a checksum is right.
    fn message(flags: u16, protocol: u16, fields: &[u32], payload: &[u8]) -> Vec<u8> {
        let mut bytes = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
        bytes.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
        bytes.extend(payload);
        if flags & CHECKSUM != 0 {
            let sum = Sum::ZERO.bytes(&bytes).checksum().to_be_bytes();
            bytes[4..6].copy_from_slice(&sum);
        }
        bytes
    }

    #[test]
    fn each_flag_has_its_field() {
        for (flags, fields, key) in [
            (0, &[][..], None),
            (KEY, &[7], Some(7)),
            (SEQUENCE, &[9], None),
            (CHECKSUM, &[0], None),
            (CHECKSUM | KEY | SEQUENCE, &[0, 0xffff_ffff, 9], Some(0xffff_ffff)),
        ] {
            let bytes = message(flags, 0x0800, fields, b"payload");
            let gre = Gre::parse(&bytes).unwrap();
            assert_eq!((gre.key(), gre.payload()), (key, &b"payload"[..]), "{flags:x}");
            assert_eq!(gre.protocol(), EtherType::IPV4);
            assert_eq!(gre.header_len(), 4 + 4 * fields.len());
            assert!(gre.checksum_is_valid());
            for cut in 0..gre.header_len() {
                assert_eq!(Gre::parse(&bytes[..cut]).unwrap_err(), GreError::Truncated);
            }
        }
    }

    #[test]
    fn a_wrong_checksum_is_seen_in_header_and_payload() {
        let bytes = message(CHECKSUM | KEY, 0x86dd, &[0, 5], b"payload of an odd size!");
        assert_eq!(bytes.len() % 2, 1);
        // The reserved flags are passed over and summed up as all else is.
        for at in (2..bytes.len()).chain([1]) {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x08;
            assert!(!Gre::parse(&wrong).unwrap().checksum_is_valid(), "{at}");
        }
    }

    #[test]
    fn versions_and_flags_of_other_documents_are_refused() {
        for version in 1..8 {
            let bytes = message(version, 0x880b, &[], b"");
            assert_eq!(Gre::parse(&bytes).unwrap_err(), GreError::Version);
        }
        for bit in 0..13 {
            let flag = 0x8000 >> bit;
            let is_refused = [1, 4, 5].contains(&bit);
            let bytes = message(flag, 0x0800, &[0], b"");
            let expected = is_refused.then_some(GreError::Flags);
            assert_eq!(Gre::parse(&bytes).err(), expected, "bit {bit}");
        }
    }

    #[test]
    fn without_a_key_four_bytes_are_written() {
        let mut out = [0xee; 9];
        assert_eq!(emit(EtherType::IPV6, None, &mut out), Ok(4));
        assert_eq!(out[..5], [0, 0, 0x86, 0xdd, 0xee]);
        assert_eq!(emit(EtherType::IPV4, Some(0x0102_0304), &mut out), Ok(8));
        assert_eq!(out, [0x20, 0, 0x08, 0x00, 1, 2, 3, 4, 0xee]);
        assert!(emit(EtherType::IPV4, Some(1), &mut out[..7]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(protocol: u16, key: Option<u32>, payload in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut bytes = vec![0; len(key)];
            prop_assert_eq!(emit(EtherType(protocol), key, &mut bytes), Ok(len(key)));
            bytes.extend(&payload);
            let gre = Gre::parse(&bytes).unwrap();
            prop_assert_eq!((gre.protocol(), gre.key()), (EtherType(protocol), key));
            prop_assert_eq!((gre.header_len(), gre.payload()), (len(key), &payload[..]));
            prop_assert!(gre.checksum_is_valid());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(gre) = Gre::parse(&bytes) {
                prop_assert_eq!(gre.header_len() + gre.payload().len(), bytes.len());
                gre.checksum_is_valid();
            }
        }
    }
}
