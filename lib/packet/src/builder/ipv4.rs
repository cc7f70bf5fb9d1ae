//! IPv4 packets.

use std::net::Ipv4Addr;

use super::{EthernetBuilder, TransportChecksum, emitted};
use crate::icmpv4::{self, Echo, EchoKind};
use crate::ipv4::{self, Ipv4Header};
use crate::tcp::{self, TcpHeader};
use crate::udp::{self, UdpHeader};
use crate::{EtherType, Protocol};

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

impl Ipv4Builder {
    pub(super) fn new(ethernet: Option<EthernetBuilder>, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
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
        let header = UdpHeader {
            source_port,
            destination_port,
        };
        let datagram = self.checksum.udp(self.addresses(), header, payload);
        self.payload(Protocol::UDP, &datagram)
    }

    /// Ends with a TCP segment.
    pub fn tcp(self, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
        let payload = self.fitting(tcp::HEADER_LEN, payload);
        let segment = self.checksum.tcp(self.addresses(), header, payload);
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

    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        (self.header.source, self.header.destination)
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
}
