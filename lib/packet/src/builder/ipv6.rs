//! IPv6 packets with extension headers.

use std::net::Ipv6Addr;

use super::{EthernetBuilder, TransportChecksum, emitted};
use crate::checksum::Sum;
use crate::icmpv6::{self, Echo, EchoKind};
use crate::ipv6::{self, Ipv6Header};
use crate::tcp::{self, TcpHeader};
use crate::udp::{self, UdpHeader};
use crate::{EtherType, Protocol};

/// Most bytes of options that one header can hold: 256 units of 8 less two bytes.
const MAX_OPTIONS: usize = 2046;

/// A packet whose IPv6 header is known but for next header and length.
#[derive(Clone, Debug)]
pub struct Ipv6Builder {
    ethernet: Option<EthernetBuilder>,
    header: Ipv6Header,
    /// Extension headers one behind the other, each naming the next but for the last.
    extensions: Vec<u8>,
    /// Where the header begins that is last so far.
    last: Option<usize>,
    checksum: TransportChecksum,
}

impl Ipv6Builder {
    pub(super) fn new(ethernet: Option<EthernetBuilder>, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: 0,
            next_header: Protocol::NO_NEXT_HEADER,
            hop_limit: 64,
            source,
            destination,
            payload_len: 0,
        };
        Ipv6Builder {
            ethernet,
            header,
            extensions: Vec::new(),
            last: None,
            checksum: TransportChecksum::Complete,
        }
    }

    /// Hop limit; 64 if nothing is said.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.header.hop_limit = hop_limit;
        self
    }

    /// DSCP and ECN; 0 if nothing is said.
    #[must_use]
    pub fn traffic_class(mut self, traffic_class: u8) -> Self {
        self.header.traffic_class = traffic_class;
        self
    }

    /// Flow label, its low 20 bits; 0 if nothing is said.
    #[must_use]
    pub fn flow_label(mut self, flow_label: u32) -> Self {
        self.header.flow_label = flow_label;
        self
    }

    /// Puts in an extension header behind those there are, right or wrong: `bytes` is all of it, its first byte is
    /// replaced by what follows it. None is put in if there are no bytes, or no room for them and a TCP header.
    #[must_use]
    pub fn extension(mut self, protocol: Protocol, bytes: &[u8]) -> Self {
        let offset = self.extensions.len();
        let room = usize::from(u16::MAX) - tcp::HEADER_LEN;
        if !bytes.is_empty() && offset + bytes.len() <= room {
            self.name_next(protocol);
            self.extensions.extend_from_slice(bytes);
            self.last = Some(offset);
        }
        self
    }

    /// Puts in a hop-by-hop options header: at most 2,046 bytes of options, filled up with padding (RFC 8200 §4.3).
    #[must_use]
    pub fn hop_by_hop(self, options: &[u8]) -> Self {
        self.extension(Protocol::HOP_BY_HOP, &options_header(options))
    }

    /// Puts in a hop-by-hop options header with a router alert (RFC 2711 §2.1).
    #[must_use]
    pub fn router_alert(self, value: u16) -> Self {
        let [high, low] = value.to_be_bytes();
        self.hop_by_hop(&[5, 2, high, low])
    }

    /// Puts in a destination options header as [`Ipv6Builder::hop_by_hop`] does (RFC 8200 §4.6).
    #[must_use]
    pub fn destination_options(self, options: &[u8]) -> Self {
        self.extension(Protocol::DESTINATION_OPTIONS, &options_header(options))
    }

    /// Puts in a routing header of this type without data but for four zeros (RFC 8200 §4.4).
    #[must_use]
    pub fn routing(self, routing_type: u8, segments_left: u8) -> Self {
        self.extension(
            Protocol::ROUTING,
            &[0, 0, routing_type, segments_left, 0, 0, 0, 0],
        )
    }

    /// Makes the packet a fragment: `offset` in bytes (rounded down to a multiple of 8), `more` to follow
    /// (RFC 8200 §4.5).
    #[must_use]
    pub fn fragment(self, offset: u16, more: bool, identification: u32) -> Self {
        let [offset0, offset1] = (offset & !7 | u16::from(more)).to_be_bytes();
        let [id0, id1, id2, id3] = identification.to_be_bytes();
        self.extension(Protocol::FRAGMENT, &[0, 0, offset0, offset1, id0, id1, id2, id3])
    }

    /// Leaves the checksum of TCP or UDP unfinished, as a host does that expects its NIC to finish it.
    #[must_use]
    pub fn partial_checksum(mut self) -> Self {
        self.checksum = TransportChecksum::Partial;
        self
    }

    /// Makes a UDP datagram without a checksum, which only tunnels may send (RFC 6935).
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

    /// Ends with an ICMPv6 echo request.
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

    /// Ends with an ICMPv6 echo reply.
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

    /// Ends with any ICMPv6 message, right or wrong but for its checksum: `body` is what follows that.
    pub fn icmp(self, message_type: u8, code: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![message_type, code, 0, 0];
        message.extend_from_slice(self.fitting(message.len(), body));
        // `fitting` has kept the message below 65,536 bytes.
        let len = message.len() as u16;
        let checksum = Sum::ZERO
            .pseudo_header(self.header.source, self.header.destination, Protocol::ICMPV6, len)
            .bytes(&message)
            .checksum();
        if let Some(field) = message.get_mut(2..4) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        self.payload(Protocol::ICMPV6, &message)
    }

    /// Ends with `payload`.
    pub fn payload(mut self, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
        self.name_next(protocol);
        let payload = self.fitting(0, payload);
        // `fitting` has kept the sum below 65,536.
        self.header.payload_len = (self.extensions.len() + payload.len()) as u16;
        let mut packet = emitted(ipv6::HEADER_LEN, |buffer| self.header.emit(buffer));
        packet.extend_from_slice(&self.extensions);
        packet.extend_from_slice(payload);
        match self.ethernet {
            Some(ethernet) => ethernet.payload(EtherType::IPV6, &packet),
            None => packet,
        }
    }

    fn addresses(&self) -> (Ipv6Addr, Ipv6Addr) {
        (self.header.source, self.header.destination)
    }

    fn echo(self, echo: Echo, data: &[u8]) -> Vec<u8> {
        let data = self.fitting(icmpv6::HEADER_LEN, data);
        let (source, destination) = (self.header.source, self.header.destination);
        let message = emitted(echo.len_with(data), |buffer| {
            icmpv6::emit_echo(&echo, source, destination, data, buffer)
        });
        self.payload(Protocol::ICMPV6, &message)
    }

    /// Writes `protocol` where the last header so far says what follows it.
    fn name_next(&mut self, protocol: Protocol) {
        match self.last.and_then(|last| self.extensions.get_mut(last)) {
            Some(next_header) => *next_header = protocol.0,
            None => self.header.next_header = protocol,
        }
    }

    /// As much of `payload` as a packet can hold behind its headers so far and `header_len` more bytes.
    fn fitting<'a>(&self, header_len: usize, payload: &'a [u8]) -> &'a [u8] {
        let room = usize::from(u16::MAX).saturating_sub(self.extensions.len() + header_len);
        payload.get(..room).unwrap_or(payload)
    }
}

/// A header of options, its next header not named yet: padded with PadN, or Pad1 where one byte is missing, to a
/// multiple of 8 bytes (RFC 8200 §4.2).
fn options_header(options: &[u8]) -> Vec<u8> {
    let mut header = vec![0, 0];
    header.extend(options.iter().take(MAX_OPTIONS));
    let len = header.len().next_multiple_of(8);
    match len - header.len() {
        0 => {}
        1 => header.push(0),
        padding => header.extend([1, (padding - 2) as u8]),
    }
    header.resize(len, 0);
    if let [_, units, ..] = header.as_mut_slice() {
        *units = (len / 8 - 1) as u8;
    }
    header
}
