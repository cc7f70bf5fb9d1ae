//! Packets inside of packets: IP in IP (RFC 2003, RFC 4213, RFC 2473) and GRE (RFC 2784 with the key of RFC 2890).
//!
//! ```text
//!   IP in IP   │ outer IPv4 or IPv6 │ inner IPv4 or IPv6 …
//!   GRE        │ outer IPv4 or IPv6 │ GRE │ inner IPv4 or IPv6 …
//! ```
//!
//! [`Outer`] writes what stands in front of a packet, [`Carried`] reads what stands behind an outer IP header, [`ecn`] says what
//! becomes of the congestion marks of both (RFC 6040). Of IPv6 the extension headers between outer and inner header, such as the
//! tunnel encapsulation limit of RFC 2473 section 4.1.1, are the caller's to pass over; none is written.

mod carried;
pub mod ecn;
pub mod gre;
mod outer;

pub use carried::{Carried, CarriedError};
pub use gre::{Gre, GreError};
pub use outer::{Ends, Outer, OuterError};
