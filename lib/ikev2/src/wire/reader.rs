//! Reads bytes from front to back, and knows where in the message it is.

use super::{Fault, ParseError, PayloadType};

#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    payload: Option<PayloadType>,
}

impl<'a> Reader<'a> {
    /// `offset`: where in the message `bytes` begin.
    pub(super) fn new(bytes: &'a [u8], offset: usize, payload: Option<PayloadType>) -> Reader<'a> {
        Reader {
            bytes,
            offset,
            payload,
        }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// An error about what is read next.
    pub(super) fn fault(&self, fault: Fault) -> ParseError {
        ParseError {
            payload: self.payload,
            offset: self.offset,
            fault,
        }
    }

    pub(super) fn field(&self, field: &'static str, value: u32, expected: &'static str) -> ParseError {
        self.fault(Fault::Field {
            field,
            value,
            expected,
        })
    }

    pub(super) fn truncated(&self, what: &'static str, needed: usize) -> ParseError {
        self.fault(Fault::Truncated {
            what,
            needed,
            available: self.bytes.len(),
        })
    }

    pub(super) fn take(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(len)
            .ok_or_else(|| self.truncated(what, len))?;
        self.bytes = rest;
        self.offset += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ParseError> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or_else(|| self.truncated(what, N))?;
        self.bytes = rest;
        self.offset += N;
        Ok(*taken)
    }

    /// What is inside of something `len` bytes long, as a reader of its own.
    pub(super) fn inside(&mut self, what: &'static str, len: usize) -> Result<Reader<'a>, ParseError> {
        let offset = self.offset;
        let bytes = self.take(what, len)?;
        Ok(Reader {
            bytes,
            offset,
            payload: self.payload,
        })
    }

    /// Nothing may be left.
    pub(super) fn end(&self, what: &'static str) -> Result<(), ParseError> {
        match self.bytes.len() {
            0 => Ok(()),
            count => Err(self.fault(Fault::Trailing { what, count })),
        }
    }
}
