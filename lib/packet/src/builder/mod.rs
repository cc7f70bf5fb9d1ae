//! Whole packets with right lengths and checksums, for tests and for what the gateway originates.
//!
//! ```text
//!   PacketBuilder::ethernet ─► .vlan / .tag / .padded ─┬─► .arp ──────────────► Vec<u8>
//!                                                      ├─► .payload ──────────► Vec<u8>
//!   PacketBuilder::ipv4 ───────────────────────────────┼─► .ipv4 ─► .ttl …
//!                                                      │      ├─► .udp .tcp .echo_request .echo_reply ─► Vec<u8>
//!                                                      │      └─► .payload ─► Vec<u8>
//!   PacketBuilder::ipv6 ───────────────────────────────┴─► .ipv6 ─► .hop_limit … extension headers in order
//!                                                             ├─► .udp .tcp .echo_request .echo_reply .icmp ─► Vec<u8>
//!                                                             └─► .payload ─► Vec<u8>
//! ```
//!
//! ```
//! use packet::{MacAddress, PacketBuilder};
//! # let (host, gateway) = (MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]));
//! let frame = PacketBuilder::ethernet(gateway, host)
//!     .vlan(100)
//!     .ipv4([192, 168, 10, 2].into(), [192, 168, 20, 2].into())
//!     .ttl(3)
//!     .udp(5000, 500, b"hello");
//! assert_eq!(frame.len(), 14 + 4 + 20 + 8 + 5);
//! ```
//!
//! An IPv4 packet has at most 65,535 bytes, an IPv6 header as many behind it; what goes beyond is cut off the end of
//! the payload.

mod ipv4;
mod ipv6;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use ipv4::Ipv4Builder;
pub use ipv6::Ipv6Builder;

use crate::checksum::{Address, Sum};
use crate::ethernet::{MIN_FRAME_LEN, VlanTags};
use crate::tcp::{self, TcpHeader};
use crate::udp::{self, UdpHeader};
use crate::{Arp, BufferTooShort, EtherType, EthernetHeader, MacAddress, Protocol, VlanTag, arp};

/// Where packets begin.
#[derive(Debug)]
pub enum PacketBuilder {}

impl PacketBuilder {
    /// An Ethernet frame.
    pub fn ethernet(destination: MacAddress, source: MacAddress) -> EthernetBuilder {
        let tags = VlanTags::NONE;
        EthernetBuilder {
            header: EthernetHeader {
                destination,
                source,
                tags,
                ethertype: EtherType::IPV4,
            },
            min_len: 0,
        }
    }

    /// An IPv4 packet without a link header.
    pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4Builder {
        Ipv4Builder::new(None, source, destination)
    }

    /// An IPv6 packet without a link header.
    pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr) -> Ipv6Builder {
        Ipv6Builder::new(None, source, destination)
    }
}

/// A frame whose Ethernet header is known.
#[derive(Clone, Debug)]
pub struct EthernetBuilder {
    header: EthernetHeader,
    min_len: usize,
}

impl EthernetBuilder {
    /// Puts in a customer tag of VLAN `vid` behind those there are. A third tag is not put in.
    #[must_use]
    pub fn vlan(self, vid: u16) -> Self {
        self.tag(VlanTag::new(vid))
    }

    /// Puts in `tag` behind those there are. A third tag is not put in.
    #[must_use]
    pub fn tag(mut self, tag: VlanTag) -> Self {
        self.header.tags = self.header.tags.with_inner(tag).unwrap_or(self.header.tags);
        self
    }

    /// Fills the frame up to 60 bytes with zeros.
    #[must_use]
    pub fn padded(mut self) -> Self {
        self.min_len = MIN_FRAME_LEN;
        self
    }

    /// Goes on with an IPv4 packet.
    pub fn ipv4(self, source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4Builder {
        Ipv4Builder::new(Some(self), source, destination)
    }

    /// Goes on with an IPv6 packet.
    pub fn ipv6(self, source: Ipv6Addr, destination: Ipv6Addr) -> Ipv6Builder {
        Ipv6Builder::new(Some(self), source, destination)
    }

    /// Ends with an ARP message.
    pub fn arp(self, message: &Arp) -> Vec<u8> {
        self.payload(EtherType::ARP, &emitted(arp::LEN, |buffer| message.emit(buffer)))
    }

    /// Ends with `payload`.
    pub fn payload(mut self, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
        self.header.ethertype = ethertype;
        let mut frame = emitted(self.header.len(), |buffer| self.header.emit(buffer));
        frame.extend_from_slice(payload);
        frame.resize(frame.len().max(self.min_len), 0);
        frame
    }
}

/// What the checksum field of TCP and UDP gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransportChecksum {
    Complete,
    Partial,
    Absent,
}

impl TransportChecksum {
    /// A UDP datagram with this in its checksum field.
    fn udp<A: Address>(self, addresses: (A, A), header: UdpHeader, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = addresses;
        let mut datagram = emitted(udp::HEADER_LEN + payload.len(), |buffer| {
            header.emit(source, destination, payload, buffer)
        });
        self.replace(source, destination, Protocol::UDP, &mut datagram);
        datagram
    }

    /// A TCP segment, likewise.
    fn tcp<A: Address>(self, addresses: (A, A), header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = addresses;
        let mut segment = emitted(tcp::HEADER_LEN + payload.len(), |buffer| {
            header.emit(source, destination, payload, buffer)
        });
        self.replace(source, destination, Protocol::TCP, &mut segment);
        segment
    }

    /// Puts this into a segment of fewer than 65,536 bytes that has its right checksum.
    fn replace<A: Address>(self, source: A, destination: A, protocol: Protocol, segment: &mut [u8]) {
        let len = segment.len() as u16;
        let checksum = match self {
            TransportChecksum::Partial => Sum::ZERO.pseudo_header(source, destination, protocol, len).fold(),
            TransportChecksum::Absent if protocol == Protocol::UDP => 0,
            TransportChecksum::Absent | TransportChecksum::Complete => return,
        };
        let offset = if protocol == Protocol::UDP { 6 } else { 16 };
        if let Some(field) = segment.get_mut(offset..offset + 2) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
    }
}

/// A buffer of `len` bytes after `emit` has written it.
fn emitted(len: usize, emit: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooShort>) -> Vec<u8> {
    let mut buffer = vec![0; len];
    let written = emit(&mut buffer);
    debug_assert_eq!(written, Ok(len));
    buffer
}
