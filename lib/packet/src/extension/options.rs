//! The options of hop-by-hop and destination options headers (RFC 8200 §4.2).
//!
//! ```text
//!    0       1       2
//!   +-------+-------+- - - - - - - +     type: AAc ttttt, AA says what to do where the type is not known,
//!   | type  | length| data         |           c that the data may change on the way
//!   +-------+-------+- - - - - - - +     Pad1 is its type alone
//! ```

use super::ExtensionHeader;

/// Types of options.
pub mod option_type {
    /// One byte of padding, without length and data (RFC 8200 §4.2).
    pub const PAD1: u8 = 0x00;
    /// Two bytes of padding and more (RFC 8200 §4.2).
    pub const PADN: u8 = 0x01;
    /// Asks the routers on the way to look at the packet (RFC 2711).
    pub const ROUTER_ALERT: u8 = 0x05;
    /// The payload length of a jumbogram (RFC 2675).
    pub const JUMBO: u8 = 0xc2;
}

/// Bytes before the first option: next header and length.
const START: usize = 2;

/// Why options cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// An option is not all in its header.
    #[error("the option at byte {offset} of the IPv6 packet goes beyond its header")]
    Overrun {
        /// Where the option begins, from the start of the IPv6 header.
        offset: usize,
    },
}

/// What to do with a packet that has an option of a type that is not known (RFC 8200 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnrecognizedAction {
    /// Go on behind the option.
    Skip,
    /// Drop the packet.
    Discard,
    /// Drop the packet and answer with Parameter Problem, code 2, pointing to the option's type.
    DiscardAndAnswer,
    /// As [`UnrecognizedAction::DiscardAndAnswer`], but no answer where the destination is multicast.
    DiscardAndAnswerUnlessMulticast,
}

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderOption<'a> {
    /// Its type, see [`option_type`].
    pub option_type: u8,
    /// Where it begins, from the start of the IPv6 header.
    pub offset: usize,
    /// What follows type and length; nothing in Pad1.
    pub data: &'a [u8],
}

impl HeaderOption<'_> {
    /// Is Pad1 or PadN.
    #[inline]
    pub const fn is_padding(&self) -> bool {
        self.option_type == option_type::PAD1 || self.option_type == option_type::PADN
    }

    /// What to do with the packet if this type is not known.
    #[inline]
    pub const fn unrecognized_action(&self) -> UnrecognizedAction {
        match self.option_type >> 6 {
            0b00 => UnrecognizedAction::Skip,
            0b01 => UnrecognizedAction::Discard,
            0b10 => UnrecognizedAction::DiscardAndAnswer,
            _ => UnrecognizedAction::DiscardAndAnswerUnlessMulticast,
        }
    }
}

/// The options of a header in order, padding included. Ends after an error.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Options<'a> {
    /// The options of `header`, which is a header of options.
    #[inline]
    pub(super) fn new(header: &ExtensionHeader<'a>) -> Options<'a> {
        Options {
            rest: header.bytes.get(START..).unwrap_or_default(),
            offset: header.offset + START,
        }
    }

    /// The option at the start of the rest, and what follows it.
    #[inline]
    fn split(&self) -> Option<(HeaderOption<'a>, &'a [u8])> {
        let offset = self.offset;
        let (&option_type, rest) = self.rest.split_first()?;
        let (data, rest) = if option_type == option_type::PAD1 {
            rest.split_at_checked(0)?
        } else {
            let (&len, rest) = rest.split_first()?;
            rest.split_at_checked(usize::from(len))?
        };
        let option = HeaderOption {
            option_type,
            offset,
            data,
        };
        Some((option, rest))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<HeaderOption<'a>, OptionError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((option, rest)) = self.split() else {
            self.rest = &[];
            return Some(Err(OptionError::Overrun { offset: self.offset }));
        };
        self.offset += self.rest.len() - rest.len();
        self.rest = rest;
        Some(Ok(option))
    }
}
