//! Which packets belong together: a number for each flow, by which routes with several next hops choose one.
//!
//! ```text
//!   IPv4   addresses, protocol, ports; of a fragment the addresses alone, since only the first has ports
//!   IPv6   addresses and flow label, RFC 6438; where there is no label, protocol and ports as in IPv4
//! ```
//!
//! The seed differs between gateways, so that those in a row do not all split the same flows from the same.

use std::net::IpAddr;

use control::message::Flow;
use packet::{Protocol, ipv4, ipv6};

/// Odd numbers without pattern: digits of pi.
const KEYS: [u64; 4] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
];

/// The number of the flow of an IPv4 packet.
pub fn hash4(seed: u32, packet: &[u8]) -> u32 {
    let Some(header) = packet.first_chunk::<{ ipv4::HEADER_LEN }>() else {
        return 0;
    };
    let [
        version,
        _,
        _,
        _,
        _,
        _,
        fragment0,
        fragment1,
        _,
        protocol,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = *header;
    // More fragments, or an offset: RFC 791 section 3.1.
    let is_fragment = u16::from_be_bytes([fragment0, fragment1]) & 0x3fff != 0;
    let upper = if is_fragment {
        0
    } else {
        upper(protocol, packet.get(usize::from(version & 0xf) * 4..))
    };
    let addresses = u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]);
    number(seed, addresses, 0, upper)
}

/// The number of the flow of an IPv6 packet.
pub fn hash6(seed: u32, packet: &[u8]) -> u32 {
    let Some(header) = packet.first_chunk::<{ ipv6::HEADER_LEN }>() else {
        return 0;
    };
    let [b0, b1, b2, b3, _, _, next_header, _, addresses @ ..] = header;
    let label = u32::from_be_bytes([*b0, *b1, *b2, *b3]) & 0xf_ffff;
    let upper = if label == 0 {
        upper(*next_header, packet.get(ipv6::HEADER_LEN..))
    } else {
        u64::from(label)
    };
    let half = |at: usize| {
        let bytes = addresses.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    };
    let source = fold(half(0) ^ KEYS[0], half(8) ^ KEYS[1]);
    let destination = fold(half(16) ^ KEYS[2], half(24) ^ KEYS[3]);
    number(seed, source, destination, upper)
}

/// The number that the packets of a flow have.
pub fn hash(seed: u32, flow: &Flow) -> u32 {
    let ports = flow
        .ports
        .filter(|_| has_ports(flow.protocol))
        .unwrap_or_default();
    let ports = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    match flow.destination {
        IpAddr::V4(destination) => {
            let source = match flow.source {
                Some(IpAddr::V4(source)) => source.octets(),
                _ => [0; 4],
            };
            let addresses = [source, destination.octets()].concat();
            let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 0, flow.protocol, 0, 0];
            packet.extend(addresses.into_iter().chain(ports));
            hash4(seed, &packet)
        }
        IpAddr::V6(destination) => {
            let source = match flow.source {
                Some(IpAddr::V6(source)) => source.octets(),
                _ => [0; 16],
            };
            let mut packet = (flow.label & 0xf_ffff).to_be_bytes().to_vec();
            packet.extend([0, 0, flow.protocol, 0]);
            packet.extend(source.into_iter().chain(destination.octets()).chain(ports));
            hash6(seed, &packet)
        }
    }
}

/// The number of two addresses of one family, which stand one behind the other as in a header.
pub fn pair(seed: u32, addresses: &[u8]) -> u32 {
    let (words, _) = addresses.as_chunks();
    let number = words.iter().fold(u64::from(seed) ^ KEYS[0], |number, word| {
        fold(number ^ KEYS[2], u64::from_be_bytes(*word) ^ KEYS[1])
    });
    // Once more, or neighbours among addresses would be neighbours among numbers.
    (fold(number ^ KEYS[3], KEYS[1]) >> 16) as u32
}

/// Whether what follows begins with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
fn has_ports(protocol: u8) -> bool {
    protocol == Protocol::TCP.0 || matches!(protocol, 17 | 33 | 132 | 136)
}

/// Protocol and ports.
#[inline]
fn upper(protocol: u8, payload: Option<&[u8]>) -> u64 {
    let ports = payload
        .filter(|_| has_ports(protocol))
        .and_then(|payload| payload.first_chunk())
        .map_or(0, |ports| u32::from_be_bytes(*ports));
    u64::from(protocol) << 32 | u64::from(ports)
}

#[inline]
fn number(seed: u32, a: u64, b: u64, upper: u64) -> u32 {
    let addresses = fold(a ^ KEYS[0], b ^ KEYS[1] ^ u64::from(seed));
    (fold(addresses ^ KEYS[2], upper ^ KEYS[3] ^ u64::from(seed)) >> 16) as u32
}

/// The two halves of a product, one over the other: every bit of both numbers counts.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}
