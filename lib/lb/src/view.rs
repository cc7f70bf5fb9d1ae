//! What a frame is to the balancer: its family, where its headers are, whose flow it is.
//!
//! ```text
//!   │ Ethernet │ tags │ IPv4, options / IPv6, extension headers │ TCP, UDP, ICMP … │ padding │
//!                     ▲ network                                 ▲ transport        ▲ end
//! ```
//!
//! Whatever is wrong with the network layer is left to the stages, which have a reason for each fault: such a frame is
//! [`What::Other`]. What is wrong behind it is [`What::Bad`], with the addresses, since it counts only if it is for a service.

use packet::tcp::TcpFlags;

use crate::{Kind, Refused};

/// Both ends of a packet. IPv4 addresses are mapped (RFC 4291 section 2.5.5.2).
///
/// An ICMP query has its identifier as source port and its reply as destination port; the other port is 0. So the flow of
/// a reply is that of its query reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Source address.
    pub source: u128,
    /// Destination address.
    pub destination: u128,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

impl Flow {
    /// The flow of what comes back.
    #[inline]
    #[must_use]
    pub const fn reversed(&self) -> Flow {
        Flow {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

/// The packet that an ICMP error is about, as far as it is quoted. It was sent by the error's destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its flow, as it was sent.
    pub flow: Flow,
    /// What it is.
    pub kind: Kind,
    /// Where its network header begins in the frame.
    pub network: u16,
    /// Where its transport header begins, of which at least 8 bytes are there.
    pub transport: u16,
    /// Where the quote ends in the frame; extensions (RFC 4884) may follow.
    pub end: u16,
    /// The checksum of its IPv4 header is right; always so over IPv6.
    pub sound: bool,
    /// Type of the error.
    pub message_type: u8,
    /// Code of the error.
    pub code: u8,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A TCP segment whose header is all there.
    Segment {
        /// Control bits.
        flags: TcpFlags,
        /// Bytes of the header, 20 to 60.
        header: u8,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgment number; counts with [`TcpFlags::ACK`] only.
        acknowledgment: u32,
    },
    /// A UDP datagram whose header is all there.
    Datagram,
    /// An ICMP query: of IPv4 echo, timestamp, information or address mask (RFC 792, RFC 950), of IPv6 echo.
    Query {
        /// Its identifier.
        id: u16,
        /// Its type.
        message_type: u8,
    },
    /// The reply to such a query.
    Reply {
        /// Its identifier.
        id: u16,
        /// Its type.
        message_type: u8,
    },
    /// An ICMP error whose checksum is right: of IPv4 types 3, 4, 11 and 12, of IPv6 1 to 4.
    Error(Quoted),
    /// Part of a packet, be it the first. The flow has no ports.
    Fragment,
    /// Nothing that the balancer knows, or that the stages are to judge. There may be no flow.
    Other,
    /// To be dropped for this if it is for a service or a local address. The flow has no ports.
    Bad(Refused),
}

/// What was seen of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Both ends, as far as `what` says.
    pub flow: Flow,
    /// What it is.
    pub what: What,
    /// Where the network header begins.
    pub network: u16,
    /// Where what the network layer carries begins.
    pub transport: u16,
    /// Where the packet ends, or the frame if more of it is elsewhere: what follows is padding.
    pub end: u16,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// It is IPv6.
    pub six: bool,
    /// There are neither IPv4 options nor extension headers, which only the stages heed.
    pub plain: bool,
}

impl View {
    /// Of a frame that is nothing to the balancer.
    pub const OTHER: View = View {
        flow: Flow {
            source: 0,
            destination: 0,
            source_port: 0,
            destination_port: 0,
        },
        what: What::Other,
        network: 0,
        transport: 0,
        end: 0,
        traffic_class: 0,
        ttl: 0,
        six: false,
        plain: false,
    };

    /// Whether its sender left the TCP or UDP checksum to hardware (see [`packet::transport`]), as the kernel does on a device
    /// of its own. Such a packet is left to the stages, which drop it and say why.
    pub fn is_unfinished(&self, _frame: &[u8]) -> bool {
        false
    }
}

/// Looks at the frame in `frame`, whose packet is all there.
#[inline]
pub fn look(frame: &[u8]) -> View {
    look_start(frame, 0)
}

/// As [`look`] where `behind` more bytes of the frame are elsewhere.
#[inline]
pub fn look_start(_frame: &[u8], _behind: usize) -> View {
    View::OTHER
}
