//! Whole packets with right lengths and checksums, for tests and for what the gateway originates.
//!
//! ```text
//!   PacketBuilder::ethernet ─► .vlan / .tag / .padded ─┬─► .arp ──────────────► Vec<u8>
//!                                                      ├─► .payload ──────────► Vec<u8>
//!   PacketBuilder::ipv4 ───────────────────────────────┴─► .ipv4 ─► .ttl …
//!                                                             ├─► .udp .tcp .echo_request .echo_reply ─► Vec<u8>
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
//! An IPv4 packet has at most 65,535 bytes; what goes beyond is cut off the end of the payload.

use std::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::ethernet::{MIN_FRAME_LEN, VlanTags};
use crate::icmpv4::{self, Echo, EchoKind};
use crate::ipv4::{self, Ipv4Header};
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

/// A packet whose IPv4 header is known but for protocol and length.
#[derive(Clone, Debug)]
pub struct Ipv4Builder {
    ethernet: Option<EthernetBuilder>,
    header: Ipv4Header,
    /// Flags and fragment offset.
    fragment: u16,
    options: Vec<u8>,
    checksum: TransportChecksum,
}

/// What the checksum field of TCP and UDP gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransportChecksum {
    Complete,
    Partial,
    Absent,
}

impl Ipv4Builder {
    fn new(ethernet: Option<EthernetBuilder>, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        let header = Ipv4Header {
            traffic_class: 0,
            identification: 0,
            dont_fragment: false,
            ttl: 64,
            protocol: Protocol(0),
            source,
            destination,
            payload_len: 0,
        };
        let checksum = TransportChecksum::Complete;
        Ipv4Builder {
            ethernet,
            header,
            fragment: 0,
            options: Vec::new(),
            checksum,
        }
    }

    /// Time to live; 64 if nothing is said.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.header.ttl = ttl;
        self
    }

    /// DSCP and ECN; 0 if nothing is said.
    #[must_use]
    pub fn traffic_class(mut self, traffic_class: u8) -> Self {
        self.header.traffic_class = traffic_class;
        self
    }

    /// Identification; 0 if nothing is said.
    #[must_use]
    pub fn identification(mut self, identification: u16) -> Self {
        self.header.identification = identification;
        self
    }

    /// Sets the don't-fragment flag.
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.header.dont_fragment = true;
        self
    }

    /// Makes the packet a fragment: `offset` in bytes (rounded down to a multiple of 8, below 65,536), `more` to follow.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = (offset / 8) | (u16::from(more) << 13);
        self
    }

    /// Sets the header's options: at most 40 bytes, filled up with End of Option List to a multiple of 4.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.iter().copied().take(40).collect();
        self.options.resize(self.options.len().next_multiple_of(4), 0);
        self
    }

    /// Leaves the checksum of TCP or UDP unfinished, as a host does that expects its NIC to finish it.
    #[must_use]
    pub fn partial_checksum(mut self) -> Self {
        self.checksum = TransportChecksum::Partial;
        self
    }

    /// Makes a UDP datagram without a checksum.
    #[must_use]
    pub fn no_udp_checksum(mut self) -> Self {
        self.checksum = TransportChecksum::Absent;
        self
    }

    /// Ends with a UDP datagram.
    pub fn udp(self, source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
        let payload = self.fitting(udp::HEADER_LEN, payload);
        let (source, destination) = (self.header.source, self.header.destination);
        let header = UdpHeader {
            source_port,
            destination_port,
        };
        let mut datagram = emitted(udp::HEADER_LEN + payload.len(), |buffer| {
            header.emit(source, destination, payload, buffer)
        });
        self.replace_checksum(Protocol::UDP, 6, &mut datagram);
        self.payload(Protocol::UDP, &datagram)
    }

    /// Ends with a TCP segment.
    pub fn tcp(self, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
        let payload = self.fitting(tcp::HEADER_LEN, payload);
        let (source, destination) = (self.header.source, self.header.destination);
        let mut segment = emitted(tcp::HEADER_LEN + payload.len(), |buffer| {
            header.emit(source, destination, payload, buffer)
        });
        self.replace_checksum(Protocol::TCP, 16, &mut segment);
        self.payload(Protocol::TCP, &segment)
    }

    /// Ends with an ICMP echo request.
    pub fn echo_request(self, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
        self.echo(
            Echo {
                kind: EchoKind::Request,
                identifier,
                sequence,
            },
            data,
        )
    }

    /// Ends with an ICMP echo reply.
    pub fn echo_reply(self, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
        self.echo(
            Echo {
                kind: EchoKind::Reply,
                identifier,
                sequence,
            },
            data,
        )
    }

    /// Ends with `payload`.
    pub fn payload(mut self, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
        let payload = self.fitting(0, payload);
        self.header.protocol = protocol;
        let header_len = ipv4::HEADER_LEN + self.options.len();
        let total_len = header_len + payload.len();
        let mut packet = emitted(ipv4::HEADER_LEN, |buffer| self.header.emit(buffer));
        packet.extend_from_slice(&self.options);
        // `fitting` has kept the total below 65,536, `options` the header within 60 bytes.
        let [len0, len1] = (total_len as u16).to_be_bytes();
        let [fragment0, fragment1] = self.fragment.to_be_bytes();
        if let [version_ihl, _, l0, l1, _, _, f0, f1, ..] = packet.as_mut_slice() {
            *version_ihl = 0x40 | (header_len / 4) as u8;
            (*l0, *l1) = (len0, len1);
            *f0 |= fragment0;
            *f1 |= fragment1;
        }
        ipv4::fill_checksum(&mut packet);
        packet.extend_from_slice(payload);
        match self.ethernet {
            Some(ethernet) => ethernet.payload(EtherType::IPV4, &packet),
            None => packet,
        }
    }

    fn echo(self, echo: Echo, data: &[u8]) -> Vec<u8> {
        let data = self.fitting(icmpv4::HEADER_LEN, data);
        let message = emitted(echo.len_with(data), |buffer| echo.emit(data, buffer));
        self.payload(Protocol::ICMP, &message)
    }

    /// As much of `payload` as a packet can hold behind the IPv4 header and `header_len` more bytes.
    fn fitting<'a>(&self, header_len: usize, payload: &'a [u8]) -> &'a [u8] {
        let room = usize::from(u16::MAX) - ipv4::HEADER_LEN - self.options.len() - header_len;
        payload.get(..room).unwrap_or(payload)
    }

    fn replace_checksum(&self, protocol: Protocol, offset: usize, segment: &mut [u8]) {
        // `fitting` has kept the segment below 65,536 bytes.
        let len = segment.len() as u16;
        let checksum = match self.checksum {
            TransportChecksum::Partial => Sum::ZERO
                .pseudo_header(self.header.source, self.header.destination, protocol, len)
                .fold(),
            TransportChecksum::Absent if protocol == Protocol::UDP => 0,
            TransportChecksum::Absent | TransportChecksum::Complete => return,
        };
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
