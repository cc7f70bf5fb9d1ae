//! IPv6 extension headers (RFC 8200 §4): what lies between the IPv6 header and the upper layer.
//!
//! ```text
//!   IPv6 ──next header──► hop-by-hop ──next header──► fragment ──next header──► UDP
//!                         0       1       2
//!                        +-------+-------+- - - - -
//!                        | next  | units | of 8 bytes, the first 8 not counted (AH: of 4, RFC 4302 §2.2)
//!                        +-------+-------+- - - - -
//! ```
//!
//! [`walk`] gives the headers one by one, [`upper_layer`] what is behind them. All offsets count from the start of the
//! IPv6 header, as the pointer of an ICMPv6 Parameter Problem does. The walk ends at the upper layer, at ESP, at "no
//! next header", at a header that it does not know and in a fragment other than the first, where the rest of the chain
//! is not; it takes [`MAX_HEADERS`] headers at most, so that no packet costs more.

mod contents;
mod options;

pub use contents::{Fragment, Routing};
pub use options::{HeaderOption, OptionError, Options, UnrecognizedAction, option_type};

use crate::ipv6::HEADER_LEN;
use crate::{Ipv6, Protocol, icmpv6, tcp, udp};

/// Most extension headers of one packet that are walked: more than the recommended order of RFC 8200 §4.1 has, twice
/// over.
pub const MAX_HEADERS: usize = 16;

/// Offset of the next header field in the IPv6 header.
const NEXT_HEADER: usize = 6;

/// Why the chain of extension headers of a packet cannot be followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// A header is not all there.
    #[error("the extension header {protocol} at byte {offset} of the IPv6 packet goes beyond its end")]
    Truncated {
        /// What the header is.
        protocol: Protocol,
        /// Where it begins.
        offset: usize,
    },
    /// Hop-by-hop options elsewhere than right behind the IPv6 header (RFC 8200 §4: Parameter Problem, code 1).
    #[error(
        "byte {pointer} of the IPv6 packet names hop-by-hop options, which may follow the IPv6 header alone"
    )]
    HopByHopNotFirst {
        /// Where the next header field is that names them.
        pointer: usize,
    },
    /// More than [`MAX_HEADERS`].
    #[error("the IPv6 packet has more than 16 extension headers")]
    TooMany,
}

/// An extension header that is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionHeader<'a> {
    /// What it is.
    pub protocol: Protocol,
    /// Where it begins.
    pub offset: usize,
    /// Where the next header field is that names it.
    pub named_at: usize,
    /// All of it, at least 8 bytes.
    pub bytes: &'a [u8],
}

/// What follows the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer<'a> {
    /// What it is: an upper-layer protocol, ESP, [`Protocol::NO_NEXT_HEADER`] or something unknown. In a fragment other
    /// than the first it is what the first begins with behind its fragment header, be that an extension header.
    pub protocol: Protocol,
    /// Where it begins.
    pub offset: usize,
    /// Where the next header field is that names it.
    pub named_at: usize,
    /// The rest of the packet.
    pub payload: &'a [u8],
    /// What the last fragment header said.
    pub fragment: Option<Fragment>,
    /// A routing header says that there are nodes to visit before the final destination.
    pub has_segments_left: bool,
}

impl UpperLayer<'_> {
    /// Is part of a packet, be it the first. A packet that has a fragment header and is whole (RFC 6946) is none.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment
            .is_some_and(|fragment| fragment.more || fragment.offset != 0)
    }

    /// Is a fragment other than the first: the payload begins somewhere in the middle.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }
}

/// Whether a walk goes on behind hop-by-hop options that are not first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misplaced {
    Refused,
    Passed,
}

/// The extension headers of a packet in order. Ends after an error.
#[derive(Clone, Debug)]
pub struct ExtensionHeaders<'a> {
    /// What is ahead.
    ahead: UpperLayer<'a>,
    /// Headers that may still come.
    left: usize,
    misplaced: Misplaced,
    failed: bool,
}

/// The extension headers of `packet`.
#[inline]
pub fn walk<'a>(packet: &Ipv6<'a>) -> ExtensionHeaders<'a> {
    ExtensionHeaders {
        ahead: UpperLayer {
            protocol: packet.next_header(),
            offset: HEADER_LEN,
            named_at: NEXT_HEADER,
            payload: packet.payload(),
            fragment: None,
            has_segments_left: false,
        },
        left: MAX_HEADERS,
        misplaced: Misplaced::Refused,
        failed: false,
    }
}

/// What follows the extension headers of `packet`.
#[inline]
pub fn upper_layer<'a>(packet: &Ipv6<'a>) -> Result<UpperLayer<'a>, ExtensionError> {
    walk(packet).upper_layer()
}

/// As [`upper_layer`] for whoever wants to know what a packet is although its hop-by-hop options are misplaced.
#[inline]
pub(crate) fn upper_layer_of_misordered<'a>(packet: &Ipv6<'a>) -> Result<UpperLayer<'a>, ExtensionError> {
    let mut headers = walk(packet);
    headers.misplaced = Misplaced::Passed;
    headers.upper_layer()
}

/// Whether the walk goes through headers of this protocol.
#[inline]
pub const fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AH
            | Protocol::DESTINATION_OPTIONS
    )
}

impl<'a> ExtensionHeaders<'a> {
    /// Goes through the headers that are left to what follows the last.
    #[inline]
    pub fn upper_layer(mut self) -> Result<UpperLayer<'a>, ExtensionError> {
        for header in self.by_ref() {
            header?;
        }
        Ok(self.ahead)
    }

    /// Whether a first fragment has the headers that are left, up to and with that of the upper layer, as RFC 8200 §4.5 asks. Of
    /// an upper layer that is not known, a byte is enough.
    pub fn is_complete(self) -> bool {
        let least = |protocol| match protocol {
            Protocol::TCP => tcp::HEADER_LEN,
            Protocol::UDP => udp::HEADER_LEN,
            Protocol::ICMPV6 => icmpv6::HEADER_LEN,
            Protocol::NO_NEXT_HEADER => 0,
            _ => 1,
        };
        match self.upper_layer() {
            Ok(upper) => upper.is_later_fragment() || upper.payload.len() >= least(upper.protocol),
            Err(ExtensionError::Truncated { .. }) => false,
            // All there, and wrong in another way.
            Err(ExtensionError::HopByHopNotFirst { .. } | ExtensionError::TooMany) => true,
        }
    }

    /// The header ahead, which is an extension header.
    fn step(&mut self) -> Result<ExtensionHeader<'a>, ExtensionError> {
        let UpperLayer {
            protocol,
            offset,
            named_at,
            payload,
            ..
        } = self.ahead;
        if protocol == Protocol::HOP_BY_HOP && named_at != NEXT_HEADER && self.misplaced == Misplaced::Refused
        {
            return Err(ExtensionError::HopByHopNotFirst { pointer: named_at });
        }
        self.left = self.left.checked_sub(1).ok_or(ExtensionError::TooMany)?;
        let truncated = ExtensionError::Truncated { protocol, offset };
        let &[next, units] = payload.first_chunk().ok_or(truncated)?;
        let len = match protocol {
            Protocol::FRAGMENT => 8,
            Protocol::AH => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        let (bytes, rest) = payload.split_at_checked(len).ok_or(truncated)?;
        let header = ExtensionHeader {
            protocol,
            offset,
            named_at,
            bytes,
        };
        self.ahead = UpperLayer {
            protocol: Protocol(next),
            offset: offset + len,
            named_at: offset,
            payload: rest,
            fragment: header.fragment().or(self.ahead.fragment),
            has_segments_left: self.ahead.has_segments_left
                || header.routing().is_some_and(|routing| routing.segments_left > 0),
        };
        Ok(header)
    }
}

impl<'a> Iterator for ExtensionHeaders<'a> {
    type Item = Result<ExtensionHeader<'a>, ExtensionError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || !is_extension(self.ahead.protocol) || self.ahead.is_later_fragment() {
            return None;
        }
        let header = self.step();
        self.failed = header.is_err();
        Some(header)
    }
}

#[cfg(test)]
mod tests;
