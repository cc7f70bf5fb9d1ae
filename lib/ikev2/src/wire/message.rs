//! Whole messages.

use super::{HEADER_LEN, Header, ParseError, Payload, Payloads};

/// A checked message. It borrows from the datagram: from its first byte behind the non-ESP marker, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// Its payloads; the last may be an encrypted one.
    pub payloads: Payloads<'a>,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads and checks a message, all but what is encrypted. Time is linear in its length, and no memory is taken.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let header = Header::parse(bytes)?;
        let behind = bytes.get(HEADER_LEN..).unwrap_or_default();
        let payloads = Payloads::parse_clear(header.next_payload, behind, HEADER_LEN)?;
        Ok(Message {
            header,
            payloads,
            bytes,
        })
    }

    /// The message as received.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The encrypted payload, SK or SKF.
    pub fn encrypted(&self) -> Option<Payload<'a>> {
        self.payloads.encrypted()
    }
}
