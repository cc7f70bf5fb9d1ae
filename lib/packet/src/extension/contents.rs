//! What routing and fragment headers say (RFC 8200 §4.4, §4.5).
//!
//! ```text
//!    0       1       2       3       4                               8
//!   +-------+-------+-------+-------+- - - - - - - - - - - - - - - -
//!   | next  | units | type  | left  | by type                          routing
//!   +-------+-------+-------+-------+- - - - - - - - - - - - - - - -
//!   | next  |   0   | offset (13) 00M | identification               | fragment
//!   +-------+-------+-----------------+------------------------------+
//! ```

use super::{ExtensionHeader, Options};
use crate::Protocol;

/// What a fragment header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where the payload belongs in the whole packet's, in bytes: a multiple of 8.
    pub offset: u16,
    /// Another fragment follows this one.
    pub more: bool,
    /// Identification, the same in all fragments of a packet.
    pub identification: u32,
}

/// What every routing header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Which kind of routing header. Type 0 is deprecated (RFC 5095).
    pub routing_type: u8,
    /// Listed nodes that are still to be visited.
    pub segments_left: u8,
}

impl<'a> ExtensionHeader<'a> {
    /// The options, if this is a header of options.
    #[inline]
    pub fn options(&self) -> Option<Options<'a>> {
        match self.protocol {
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS => Some(Options::new(self)),
            _ => None,
        }
    }

    /// What the header says, if it is a fragment header.
    #[inline]
    pub fn fragment(&self) -> Option<Fragment> {
        let &[_, _, offset0, offset1, id0, id1, id2, id3] = self.bytes.first_chunk()?;
        let offset = u16::from_be_bytes([offset0, offset1]);
        (self.protocol == Protocol::FRAGMENT).then_some(Fragment {
            offset: offset & !7,
            more: offset & 1 != 0,
            identification: u32::from_be_bytes([id0, id1, id2, id3]),
        })
    }

    /// What the header says, if it is a routing header.
    #[inline]
    pub fn routing(&self) -> Option<Routing> {
        let &[_, _, routing_type, segments_left] = self.bytes.first_chunk()?;
        (self.protocol == Protocol::ROUTING).then_some(Routing {
            routing_type,
            segments_left,
        })
    }
}
