//! What a router sends to the source of a packet that it cannot forward: ICMP errors (RFC 792, RFC 1812 §4.3) and
//! ICMPv6 errors (RFC 4443).
//!
//! ```text
//!    +------------+------------+----------------------------+ - - - - - - - -
//!    | IP header  | ICMP header| start of the packet        | rest of it
//!    +------------+------------+----------------------------+ - - - - - - - -
//!    '- emit_v4: 28, emit_v6: 48 '- quote_len_v4, quote_len_v6: stays where it is
//! ```
//!
//! The headers are written in front of the packet, which becomes the quote where it lies. The caller asks
//! [`may_answer_v4`] or [`may_answer_v6`] before and limits the rate. What neither can know is left to it: that a
//! packet came by link-layer broadcast or multicast, and that an address is a subnet's broadcast or anycast address; such
//! packets are not answered either.

mod v4;
mod v6;

pub use v4::{HEADERS_LEN_V4, Icmpv4Problem, emit_v4, may_answer_v4, quote_len_v4};
pub use v6::{HEADERS_LEN_V6, Icmpv6Problem, emit_v6, may_answer_v6, quote_len_v6};
