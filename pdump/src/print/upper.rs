//! What is above IP.

use std::fmt;
use std::net::IpAddr;

use packet::Protocol;

use super::bytes::Bytes;
use super::line::{Line, note, put};
use super::{frame, icmp4, icmp6, ike, ip4, ip6, tcp};

/// The IP packet around.
pub(super) struct Envelope<'a> {
    /// Where it comes from and goes to, if that is still to be said, with ports.
    pub(super) ends: Option<&'a Ends>,
    /// Whether more of what it carries is in other packets.
    pub(super) is_fragment: bool,
    /// How many packets are around it.
    pub(super) depth: u8,
}

/// Source and destination.
pub(super) struct Ends {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source, self.destination)
    }
}

/// The name of a protocol, or its number.
pub(super) struct Name(pub(super) Protocol);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Protocol::ICMP => f.write_str("icmp"),
            Protocol::IGMP => f.write_str("igmp"),
            Protocol::TCP => f.write_str("tcp"),
            Protocol::UDP => f.write_str("udp"),
            Protocol::RSVP => f.write_str("rsvp"),
            Protocol::GRE => f.write_str("gre"),
            Protocol::ESP => f.write_str("esp"),
            Protocol::AH => f.write_str("ah"),
            Protocol::ICMPV6 => f.write_str("icmp6"),
            Protocol::OSPF => f.write_str("ospf"),
            Protocol::VRRP => f.write_str("vrrp"),
            Protocol(number) => write!(f, "ip-proto-{number}"),
        }
    }
}

/// Describes what a packet carries.
pub(super) fn tell(line: &mut Line, protocol: Protocol, payload: Bytes<'_>, envelope: &Envelope<'_>) {
    let Envelope { ends, depth, .. } = *envelope;
    let (told, name) = match protocol {
        Protocol::UDP => (udp(line, payload, envelope), "udp"),
        Protocol::TCP => (tcp::tell(line, payload, ends), "tcp"),
        Protocol::ICMP => (icmp4::tell(line, payload), "icmp"),
        Protocol::ICMPV6 => (icmp6::tell(line, payload), "icmp6"),
        Protocol::ESP => (esp(line, payload), "ESP"),
        Protocol::AH => (authentication(line, payload, depth), "AH"),
        Protocol::GRE => (gre(line, payload, depth), "gre"),
        Protocol::IPIP => return ip4::tell(line, payload, depth + 1),
        Protocol::IPV6 => return ip6::tell(line, payload, depth + 1),
        other => return put!(line, "{}, length {}", Name(other), payload.len()),
    };
    if told.is_none() {
        line.cut(name);
    }
}

/// Says the ends with their ports, or the ports alone, and gives these. They are the first words of a header.
pub(super) fn put_ports(line: &mut Line, header: Bytes<'_>, ends: Option<&Ends>) -> Option<(u16, u16)> {
    let ports = header.u16(0).zip(header.u16(2));
    match (ends, ports) {
        (Some(Ends { source, destination }), Some((from, to))) => {
            put!(line, "{source}.{from} > {destination}.{to}: ");
        }
        (None, Some((from, to))) => put!(line, "{from} > {to}: "),
        (Some(ends), None) => put!(line, "{ends}: "),
        (None, None) => {}
    }
    ports
}

/// RFC 768.
fn udp(line: &mut Line, datagram: Bytes<'_>, envelope: &Envelope<'_>) -> Option<()> {
    let (source, destination) = put_ports(line, datagram, envelope.ends)?;
    let length = usize::from(datagram.u16(4)?);
    if length < 8 {
        put!(line, "truncated-udplength {length}");
        return Some(());
    }
    if length > datagram.len() && !envelope.is_fragment {
        put!(
            line,
            "UDP, bad length {} > {}",
            length - 8,
            datagram.len().saturating_sub(8)
        );
        return Some(());
    }
    let payload = datagram.take(length).skip(8);
    if [source, destination].contains(&500) {
        ike::tell(line, payload);
    } else if [source, destination].contains(&4500) {
        encapsulated(line, payload)?;
    } else {
        put!(line, "UDP, length {}", length - 8);
    }
    Some(())
}

/// Port 4500 (RFC 3948 section 2): a keepalive, IKE behind four zeros, or ESP.
fn encapsulated(line: &mut Line, payload: Bytes<'_>) -> Option<()> {
    if payload.len() == 1 && payload.u8(0)? == 0xff {
        put!(line, "isakmp-nat-keep-alive");
    } else if payload.u32(0)? == 0 {
        put!(line, "NONESP-encap: ");
        ike::tell(line, payload.skip(4));
    } else {
        put!(line, "UDP-encap: ");
        esp(line, payload)?;
    }
    Some(())
}

/// RFC 4303.
fn esp(line: &mut Line, packet: Bytes<'_>) -> Option<()> {
    let (spi, sequence) = (packet.u32(0)?, packet.u32(4)?);
    put!(
        line,
        "ESP(spi={spi:#010x},seq={sequence:#x}), length {}",
        packet.len()
    );
    Some(())
}

/// RFC 4302.
fn authentication(line: &mut Line, packet: Bytes<'_>, depth: u8) -> Option<()> {
    let (next, words) = (Protocol(packet.u8(0)?), packet.u8(1)?);
    let (spi, sequence) = (packet.u32(4)?, packet.u32(8)?);
    put!(line, "AH(spi={spi:#010x},seq={sequence:#x}): ");
    if !frame::is_too_deep(line, depth) {
        let length = (usize::from(words) + 2) * 4;
        let envelope = Envelope {
            ends: None,
            is_fragment: false,
            depth: depth + 1,
        };
        tell(line, next, packet.skip(length), &envelope);
    }
    Some(())
}

/// RFC 2784 and RFC 2890.
fn gre(line: &mut Line, packet: Bytes<'_>, depth: u8) -> Option<()> {
    let (flags, protocol) = (packet.u16(0)?, packet.u16(2)?);
    let version = flags & 7;
    put!(line, "GREv{version}");
    if version != 0 {
        put!(line, ", length {}", packet.len());
        return Some(());
    }
    let mut at = 4;
    if flags & 0x8000 != 0 {
        at += 4;
    }
    if flags & 0x2000 != 0 {
        put!(line, ", key={:#x}", packet.u32(at)?);
        at += 4;
    }
    if flags & 0x1000 != 0 {
        put!(line, ", seq {}", packet.u32(at)?);
        at += 4;
    }
    if line.link {
        line.put_str(", proto ");
        frame::put_ethertype(line, protocol);
    }
    put!(line, ", length {}: ", packet.len());
    let inside = packet.skip(at);
    match protocol {
        0x0800 => ip4::tell(line, inside, depth + 1),
        0x86dd => ip6::tell(line, inside, depth + 1),
        0x6558 => frame::tell(line, inside, depth + 1),
        other => note!(line, "protocol {other:#06x}"),
    }
    Some(())
}

/// Notes between whom the packet was that an error quotes. Its ports are the first that follows its header.
pub(super) fn note_quoted(line: &mut Line, protocol: Protocol, ends: &Ends, ports: Option<(u16, u16)>) {
    match (protocol, ports) {
        (Protocol::TCP | Protocol::UDP, Some((source, destination))) => note!(
            line,
            "about {}.{source} > {}.{destination} {}",
            ends.source,
            ends.destination,
            Name(protocol)
        ),
        _ => note!(line, "about {ends} {}", Name(protocol)),
    }
}
