//! What a frame is to the balancer: its family, where its headers are, whose flow it is.
//!
//! ```text
//!   │ Ethernet │ tags │ IPv4, options / IPv6, extension headers │ TCP, UDP, ICMP … │ padding │
//!                     ▲ network                                 ▲ transport        ▲ end
//! ```
//!
//! Whatever is wrong with the network layer is left to the stages, which have a reason for each fault: such a frame is
//! [`What::Other`]. What is wrong behind it is [`What::Bad`], with the addresses, since it counts only if it is for a service.
//! Checksums of TCP and UDP are not looked at: changed by a difference they stay as right or as wrong as they were. So packets whose
//! sender left them to hardware ([`packet::transport`]) are not to come here.

mod message;
mod network;
mod usual;

use std::net::Ipv4Addr;

use packet::ethernet::HEADER_LEN;
use packet::tcp::TcpFlags;
use packet::{EtherType, EthernetHeader};

pub(crate) use message::pseudo_header;
pub(crate) use usual::{Usual, usual, usual_destination};

use crate::{Kind, Refused};

/// Both ends of a packet. IPv4 addresses are mapped (RFC 4291 section 2.5.5.2).
///
/// An ICMP query has its identifier as source port and its reply as destination port; the other port is the query's type, of both. So
/// the flow of a reply is that of its query reversed, and queries of two types with one identifier have a flow each.
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
    /// It is an ICMP reply.
    pub is_reply: bool,
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

    /// Whether it is a query or reply of ICMP, or an error.
    pub fn is_icmp(&self) -> bool {
        matches!(
            self.what,
            What::Query { .. } | What::Reply { .. } | What::Error(_)
        )
    }
}

/// Looks at a frame whose packet is all there.
#[inline]
pub fn look(frame: &[u8]) -> View {
    look_start(frame, 0)
}

/// As [`look`] where `behind` more bytes of the frame are elsewhere, none of them of a header. An ICMP error is to be all there.
#[inline]
pub fn look_start(frame: &[u8], behind: usize) -> View {
    // Offsets have 16 bits; no mbuf has more.
    if frame.len() > usize::from(u16::MAX) {
        return View::OTHER;
    }
    match frame.first_chunk::<HEADER_LEN>() {
        // A frame for a group of hosts is nobody's flow.
        Some(&[group, ..]) if group & 1 != 0 => View::OTHER,
        Some(&[.., 0x08, 0x00]) => network::four(frame, HEADER_LEN, behind),
        Some(&[.., 0x86, 0xdd]) => network::six(frame, HEADER_LEN, behind),
        Some(&[.., 0x81, 0x00] | &[.., 0x88, 0xa8]) => tagged(frame, behind),
        _ => View::OTHER,
    }
}

/// The rest of `look` for a frame with tags; with more than two it is nothing to the balancer.
#[cold]
fn tagged(frame: &[u8], behind: usize) -> View {
    let Ok((header, _)) = EthernetHeader::parse(frame) else {
        return View::OTHER;
    };
    match header.ethertype {
        EtherType::IPV4 => network::four(frame, header.len(), behind),
        EtherType::IPV6 => network::six(frame, header.len(), behind),
        _ => View::OTHER,
    }
}

/// `address` as connections have it: mapped (RFC 4291 section 2.5.5.2).
#[inline]
pub fn mapped(address: Ipv4Addr) -> u128 {
    0xffff_0000_0000 | u128::from(u32::from(address))
}
