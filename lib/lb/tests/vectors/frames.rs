//! Frames made byte by byte, with checksums of their own arithmetic: nothing here is of the code under test.

use std::net::IpAddr;

use lb::{Ends, Sequence};

/// Address, and port or identifier.
pub(crate) type End = (IpAddr, u16);

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// The four ends of the tests: of dpvs-like Full-NAT with two arms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    pub(crate) client: End,
    pub(crate) service: End,
    pub(crate) local: End,
    pub(crate) server: End,
    /// A router of the client's side.
    pub(crate) wan_router: IpAddr,
    /// A router of the server's side.
    pub(crate) lan_router: IpAddr,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn net4() -> Net {
    Net {
        client: (ip("10.0.0.48"), 37177),
        service: (ip("10.0.0.100"), 80),
        local: (ip("192.168.100.200"), 1030),
        server: (ip("192.168.100.2"), 8080),
        wan_router: ip("10.0.0.1"),
        lan_router: ip("192.168.100.254"),
    }
}

pub(crate) fn net6() -> Net {
    Net {
        client: (ip("2001:db8:1::48"), 37177),
        service: (ip("2001:db8::100"), 80),
        local: (ip("2001:db8:100::200"), 1030),
        server: (ip("2001:db8:100::2"), 8080),
        wan_router: ip("2001:db8:1::1"),
        lan_router: ip("2001:db8:100::254"),
    }
}

pub(crate) fn nets() -> [Net; 2] {
    [net4(), net6()]
}

impl Net {
    pub(crate) fn six(&self) -> bool {
        self.client.0.is_ipv6()
    }

    /// As a ping with these identifiers.
    pub(crate) fn ping(self, client: u16, local: u16) -> Net {
        let query_type = self.echo_types().0.into();
        Net {
            client: (self.client.0, client),
            service: (self.service.0, query_type),
            local: (self.local.0, local),
            server: (self.server.0, query_type),
            ..self
        }
    }

    pub(crate) fn ends(&self) -> Ends {
        Ends {
            six: self.six(),
            client: number(self.client.0),
            client_port: self.client.1,
            service: number(self.service.0),
            service_port: self.service.1,
            local: number(self.local.0),
            local_port: self.local.1,
            server: number(self.server.0),
            server_port: self.server.1,
        }
    }

    /// Types of an echo request and its reply.
    pub(crate) fn echo_types(&self) -> (u8, u8) {
        if self.six() { (128, 129) } else { (8, 0) }
    }
}

pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

/// What the server sees is 0x1000_0000 more than what the client sent.
pub(crate) const DELTA: u32 = 0x1000_0000;

pub(crate) fn sequence() -> Sequence {
    Sequence {
        in_delta: DELTA,
        first_ack: 0,
    }
}

/// The ones' complement sum of 16-bit words.
pub(crate) fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let tail = [0, protocol, (len >> 8) as u8, len as u8];
    [octets(source), octets(destination), tail.to_vec()].concat()
}

fn put(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// An IP packet. `between` are IPv4 options (a multiple of 4 bytes), or IPv6 extension headers of type `first` whose last names the
/// protocol.
pub(crate) fn packet_with(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    (first, between): (u8, &[u8]),
    payload: &[u8],
) -> Vec<u8> {
    let len = between.len() + payload.len();
    let mut header;
    if source.is_ipv4() {
        header = vec![
            0x45 + (between.len() / 4) as u8,
            0xb8,
            0,
            0,
            0x12,
            0x34,
            0x40,
            0,
            64,
            protocol,
            0,
            0,
        ];
        header.extend(octets(source));
        header.extend(octets(destination));
        header.extend(between);
        put(&mut header, 2, (20 + len) as u16);
        let checksum = !sum(&[&header]);
        put(&mut header, 10, checksum);
    } else {
        let next = if between.is_empty() { protocol } else { first };
        header = vec![0x6b, 0x81, 0x23, 0x45, 0, 0, next, 64];
        put(&mut header, 4, len as u16);
        header.extend(octets(source));
        header.extend(octets(destination));
        header.extend(between);
    }
    [header, payload.to_vec()].concat()
}

pub(crate) fn packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet_with(source, destination, protocol, (0, &[]), payload)
}

/// A TCP segment.
#[derive(Clone, Default, Debug)]
pub(crate) struct Segment {
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    pub(crate) fn bytes(&self, from: End, to: End) -> Vec<u8> {
        let mut bytes = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgment.to_be_bytes());
        bytes.extend([
            (5 + self.options.len() / 4) as u8 * 16,
            self.flags,
            0x72,
            0x10,
            0,
            0,
            0,
            0,
        ]);
        bytes.extend(&self.options);
        bytes.extend(&self.payload);
        let checksum = !sum(&[&pseudo_header(from.0, to.0, TCP, bytes.len()), &bytes]);
        put(&mut bytes, 16, checksum);
        bytes
    }

    pub(crate) fn packet(&self, from: End, to: End) -> Vec<u8> {
        packet(from.0, to.0, TCP, &self.bytes(from, to))
    }

    pub(crate) fn frame(&self, from: End, to: End) -> Vec<u8> {
        frame(&self.packet(from, to))
    }
}

pub(crate) fn datagram(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [from.1.to_be_bytes(), to.1.to_be_bytes(), [0, 0], [0, 0]].concat();
    bytes.extend(payload);
    let len = bytes.len();
    put(&mut bytes, 4, len as u16);
    let checksum = !sum(&[&pseudo_header(from.0, to.0, UDP, len), &bytes]);
    put(&mut bytes, 6, if checksum == 0 { 0xffff } else { checksum });
    bytes
}

pub(crate) fn udp(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    packet(from.0, to.0, UDP, &datagram(from, to, payload))
}

pub(crate) fn icmp_protocol(address: IpAddr) -> u8 {
    if address.is_ipv4() { 1 } else { 58 }
}

pub(crate) fn message(
    source: IpAddr,
    destination: IpAddr,
    head: [u8; 2],
    rest: [u8; 4],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = [&head[..], &[0, 0], &rest, body].concat();
    let pseudo_header = match source {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(_) => pseudo_header(source, destination, 58, bytes.len()),
    };
    let checksum = !sum(&[&pseudo_header, &bytes]);
    put(&mut bytes, 2, checksum);
    bytes
}

pub(crate) fn icmp(
    source: IpAddr,
    destination: IpAddr,
    head: [u8; 2],
    rest: [u8; 4],
    body: &[u8],
) -> Vec<u8> {
    let message = message(source, destination, head, rest, body);
    packet(source, destination, icmp_protocol(source), &message)
}

/// Echo of a type, with an identifier.
pub(crate) fn echo(source: IpAddr, destination: IpAddr, message_type: u8, id: u16) -> Vec<u8> {
    let [a, b] = id.to_be_bytes();
    icmp(
        source,
        destination,
        [message_type, 0],
        [a, b, 0, 1],
        b"abcdefghijklmnopq",
    )
}

/// In an untagged frame.
pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    tagged(&[], packet)
}

pub(crate) fn tagged(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0x11];
    for (number, tag) in tags.iter().enumerate() {
        bytes.extend(if number + 1 < tags.len() {
            [0x88, 0xa8]
        } else {
            [0x81, 0x00]
        });
        bytes.extend(tag.to_be_bytes());
    }
    bytes.extend(if packet[0] >> 4 == 4 {
        [0x08, 0x00]
    } else {
        [0x86, 0xdd]
    });
    bytes.extend(packet);
    bytes
}

/// Both as hexadecimal lines if they differ, which is easier to read.
#[track_caller]
pub(crate) fn assert_same(found: &[u8], expected: &[u8]) {
    let lines = |bytes: &[u8]| {
        let line = |chunk: &[u8]| {
            chunk
                .iter()
                .map(|byte| format!("{byte:02x} "))
                .collect::<String>()
        };
        bytes.chunks(16).map(line).collect::<Vec<_>>()
    };
    assert_eq!(lines(found), lines(expected));
}
