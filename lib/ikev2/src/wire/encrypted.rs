//! Encrypted payloads as they are on the wire; `crypto` opens and seals them.
//!
//! ```text
//!   SK     │ IV │ payloads, padding, its length: encrypted │ ICV │                              RFC 7296 §3.14
//!   SKF    │ number, 2 │ total, 2 │ IV │ part of the payloads, as above │ ICV │                RFC 7383 §2.5
//! ```

use super::reader::Reader;
use super::{Fault, ParseError, PayloadType};

/// An SK payload: its own header names the first of the payloads inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted<'a> {
    /// What the first payload inside is.
    pub first: PayloadType,
    /// IV, ciphertext and ICV.
    pub content: &'a [u8],
}

impl<'a> Encrypted<'a> {
    pub(super) fn parse(first: PayloadType, reader: Reader<'a>) -> Encrypted<'a> {
        Encrypted {
            first,
            content: reader.rest(),
        }
    }
}

/// An SKF payload: one of several that together have what an SK payload would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedFragment<'a> {
    /// What the first payload inside of all of them is; named by the first fragment alone.
    pub first: PayloadType,
    /// Number of the fragment, from 1.
    pub number: u16,
    /// How many fragments there are.
    pub total: u16,
    /// IV, ciphertext and ICV.
    pub content: &'a [u8],
}

impl<'a> EncryptedFragment<'a> {
    /// Bytes in front of the IV.
    pub const HEADER_LEN: usize = 4;

    pub(super) fn parse(first: PayloadType, mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let start = reader;
        let [number0, number1, total0, total1] = reader.array("the header of an encrypted fragment")?;
        let number = u16::from_be_bytes([number0, number1]);
        let total = u16::from_be_bytes([total0, total1]);
        if number == 0 || number > total {
            return Err(start.fault(Fault::FragmentNumber { number, total }));
        }
        Ok(EncryptedFragment {
            first,
            number,
            total,
            content: reader.rest(),
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.number.to_be_bytes());
        out.extend(self.total.to_be_bytes());
        out.extend(self.content);
    }
}
