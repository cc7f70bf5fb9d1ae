//! What is wrong with a packet whose router alert is looked for, and how a router answers.

use packet::extension::UnrecognizedAction;
use packet::icmpv6::{
    ERRONEOUS_HEADER_FIELD, EXTENSION_HEADER_TOO_BIG, TOO_MANY_OPTIONS, UNRECOGNIZED_OPTION,
};
use packet::ipv4::Ipv4Error;
use packet::ipv6::Ipv6Error;

/// Why a packet is refused whose router alert was looked for. Pointers count from the start of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither IPv4 nor IPv6.
    #[error("the packet is neither IPv4 nor IPv6; give the bytes from the IP header on")]
    Version,
    /// No valid IPv4 packet.
    #[error(transparent)]
    Ipv4(#[from] Ipv4Error),
    /// No valid IPv6 packet.
    #[error(transparent)]
    Ipv6(#[from] Ipv6Error),
    /// An IPv4 option has a length below 2, or goes beyond the header.
    #[error("byte {pointer} gives an IPv4 option a length that it cannot have; its sender must mend it")]
    Ipv4OptionLength {
        /// Its length octet, or its kind if nothing is behind it.
        pointer: usize,
    },
    /// The hop-by-hop header is not all there.
    #[error("byte {pointer} makes the hop-by-hop header longer than the packet; its sender must mend it")]
    HeaderLength {
        /// Its length octet, or the octet that names the header if nothing is behind it.
        pointer: usize,
    },
    /// An option goes beyond the hop-by-hop header.
    #[error("the IPv6 option at byte {pointer} goes beyond the hop-by-hop header; its sender must mend it")]
    OptionLength {
        /// Where the option begins.
        pointer: usize,
    },
    /// A router alert with another length than it has.
    #[error("byte {pointer} gives the router alert a length that it cannot have; its sender must mend it")]
    AlertLength {
        /// Its length octet.
        pointer: usize,
    },
    /// Padding of more than 7 bytes, or not zero, and the settings are strict.
    #[error(
        "the padding at byte {pointer} is longer than 7 bytes or not zero; lenient settings would allow it"
    )]
    Padding {
        /// The padding option that is refused.
        pointer: usize,
    },
    /// Two router alerts with different values, and the settings refuse that.
    #[error(
        "the router alert at byte {pointer} has another value than the one before; its sender must choose"
    )]
    Duplicate {
        /// The later one.
        pointer: usize,
    },
    /// A jumbo payload where it may not be, or not one (RFC 2675 §3).
    #[error(
        "byte {pointer} belongs to a jumbo payload option that does not fit the packet; its sender must mend it"
    )]
    Jumbo {
        /// What is wrong with it: its type, its length or its value.
        pointer: usize,
    },
    /// An option of a type that is not known and may not be skipped.
    #[error(
        "the IPv6 option at byte {pointer} is not known here and may not be skipped; its sender must omit it"
    )]
    Unrecognized {
        /// Its type octet.
        pointer: usize,
        /// What its type says.
        action: UnrecognizedAction,
    },
    /// The hop-by-hop header is longer than the settings allow.
    #[error(
        "the hop-by-hop header at byte {pointer} is longer than the limit; a higher limit would allow it"
    )]
    HeaderTooBig {
        /// Where the header begins.
        pointer: usize,
    },
    /// The hop-by-hop header has more options than the settings allow.
    #[error("the IPv6 option at byte {pointer} is one too many; a higher limit would allow it")]
    TooManyOptions {
        /// The first option beyond the limit.
        pointer: usize,
    },
}

/// A Parameter Problem as a router sends it: ICMPv4 type 12 (RFC 792), ICMPv6 type 4 (RFC 4443 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterProblem {
    /// Its code.
    pub code: u8,
    /// The octet that is at fault, from the start of the IP header.
    pub pointer: usize,
}

impl Fault {
    /// The octet that is at fault, from the start of the IP header; `None` if the IP header itself is wrong.
    pub const fn pointer(&self) -> Option<usize> {
        match *self {
            Fault::Version | Fault::Ipv4(_) | Fault::Ipv6(_) => None,
            Fault::Ipv4OptionLength { pointer }
            | Fault::HeaderLength { pointer }
            | Fault::OptionLength { pointer }
            | Fault::AlertLength { pointer }
            | Fault::Padding { pointer }
            | Fault::Duplicate { pointer }
            | Fault::Jumbo { pointer }
            | Fault::Unrecognized { pointer, .. }
            | Fault::HeaderTooBig { pointer }
            | Fault::TooManyOptions { pointer } => Some(pointer),
        }
    }

    /// How a router answers that drops the packet; `None` if it says nothing. Whether the packet may be answered at all, with its
    /// source and its `to_multicast` destination, the caller finds out; of the latter only this: it silences some answers.
    ///
    /// ```
    /// use router_alert::alert::Fault;
    ///
    /// let problem = Fault::AlertLength { pointer: 43 }.problem(false);
    /// assert_eq!(problem.map(|problem| (problem.code, problem.pointer)), Some((0, 43)));
    /// assert_eq!(Fault::Padding { pointer: 46 }.problem(false), None);
    /// ```
    pub fn problem(&self, to_multicast: bool) -> Option<ParameterProblem> {
        let code = match *self {
            Fault::Ipv4OptionLength { .. } | Fault::AlertLength { .. } | Fault::Jumbo { .. } => {
                ERRONEOUS_HEADER_FIELD
            }
            Fault::Unrecognized { action, .. } => match action {
                UnrecognizedAction::DiscardAndAnswer => UNRECOGNIZED_OPTION,
                UnrecognizedAction::DiscardAndAnswerUnlessMulticast if !to_multicast => UNRECOGNIZED_OPTION,
                _ => return None,
            },
            Fault::HeaderTooBig { .. } => EXTENSION_HEADER_TOO_BIG,
            Fault::TooManyOptions { .. } => TOO_MANY_OPTIONS,
            _ => return None,
        };
        let pointer = self.pointer()?;
        Some(ParameterProblem { code, pointer })
    }
}
