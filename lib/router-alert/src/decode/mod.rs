//! What is in a packet, in a line for people.
//!
//! ```text
//!   2001:db8::1 > 2001:db8:1::1, hop limit 64, rsvp Path, Send_TTL 64, length 136: SESSION, RSVP_HOP
//!   198.51.100.1 > 203.0.113.77, ttl 1, igmp v2 report of 239.1.2.3
//!   2001:db8::1 > 2001:db8:1::1, hop limit 255, tcp 80 > 80 SYN, 102 bytes of text
//! ```
//!
//! A packet must not be able to drive the terminal of whoever reads the line: what comes from it are numbers, addresses,
//! names that are known here, hex, and [`text()`] with everything escaped that is not seen.

mod multicast;
mod pgm;
mod rsvp;
mod text;

use std::fmt::{self, Display, Formatter};

use packet::tcp::TcpFlags;
use packet::{Ipv4, Ipv6, Protocol, Tcp, Udp};

use crate::upper::{Part, Upper};

/// Most objects or records of a message that are named.
const MOST_NAMED: usize = 32;
/// Most bytes that are shown as hex.
const MOST_HEX: usize = 16;

/// What `packet` is: addresses, TTL or hop limit, protocol and contents, in one line without its end. Whatever the bytes are,
/// there is a line for them. Text that it carries is counted in it, and given by [`text()`].
///
/// ```
/// use packet::PacketBuilder;
///
/// let (host, peer) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
/// let packet = PacketBuilder::ipv4(host, peer).ttl(9).udp(5000, 500, b"hello");
/// assert_eq!(
///     router_alert::decode::line(&packet),
///     "198.51.100.1 > 203.0.113.77, ttl 9, udp 5000 > 500, 5 bytes of text"
/// );
/// ```
pub fn line(packet: &[u8]) -> String {
    Line(packet).to_string()
}

/// The payload of `packet` if it is text: printable UTF-8 with lines and tabs, and zeros behind it at most. Of TCP and UDP it
/// is what follows their header. Line ends and tabs stay; other characters that are not seen are escaped.
///
/// ```
/// use packet::PacketBuilder;
/// use router_alert::decode::text;
///
/// let (host, peer) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
/// let packet = |payload| PacketBuilder::ipv4(host, peer).udp(5000, 500, payload);
/// assert_eq!(text(&packet("请\n".as_bytes())).as_deref(), Some("请\n"));
/// assert_eq!(text(&packet(&[0x1b, b'[', b'2', b'J'])), None);
/// ```
pub fn text(packet: &[u8]) -> Option<String> {
    let upper = match packet.first()? >> 4 {
        4 => Upper::of_v4(&Ipv4::parse(packet).ok()?),
        _ => Upper::of_v6(&Ipv6::parse(packet).ok()?).ok()?,
    };
    let is_later = upper.part.is_some_and(|part| part.offset != 0);
    let payload = if is_later {
        upper.bytes
    } else {
        upper.bytes.get(upper.payload()?)?
    };
    text::readable(payload)
}

/// A packet as its line.
struct Line<'a>(&'a [u8]);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.first().map(|byte| byte >> 4) {
            Some(4) => match Ipv4::parse(self.0) {
                Ok(ip) => {
                    write!(f, "{} > {}, ttl {}, ", ip.source(), ip.destination(), ip.ttl())?;
                    contents(f, &Upper::of_v4(&ip))
                }
                Err(error) => write!(f, "{error}: {}", Hex(self.0)),
            },
            Some(6) => match Ipv6::parse(self.0) {
                Ok(ip) => {
                    let hops = ip.hop_limit();
                    write!(f, "{} > {}, hop limit {hops}, ", ip.source(), ip.destination())?;
                    match Upper::of_v6(&ip) {
                        Ok(upper) => contents(f, &upper),
                        Err(error) => write!(f, "{error}"),
                    }
                }
                Err(error) => write!(f, "{error}: {}", Hex(self.0)),
            },
            _ => write!(f, "neither IPv4 nor IPv6: {}", Hex(self.0)),
        }
    }
}

fn contents(f: &mut Formatter<'_>, upper: &Upper<'_>) -> fmt::Result {
    let (protocol, bytes) = (upper.protocol, upper.bytes);
    match upper.part {
        Some(Part {
            offset,
            identification,
        }) if offset != 0 => {
            write!(
                f,
                "fragment {identification:#x} from byte {offset} on, {protocol}, "
            )?;
            return payload(f, bytes);
        }
        Some(Part { identification, .. }) => write!(f, "first fragment {identification:#x}, ")?,
        None => {}
    }
    match protocol {
        Protocol::RSVP => rsvp::write(f, bytes),
        Protocol::IGMP => multicast::igmp(f, bytes),
        Protocol::ICMPV6 => multicast::icmpv6(f, bytes),
        pgm::PGM => pgm::write(f, bytes),
        Protocol::TCP => tcp(f, bytes),
        Protocol::UDP => udp(f, bytes),
        _ => {
            write!(f, "{protocol}, ")?;
            payload(f, bytes)
        }
    }
}

fn tcp(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let Ok(segment) = Tcp::parse(bytes) else {
        return cut_short(f, "tcp", bytes);
    };
    write!(
        f,
        "tcp {} > {}",
        segment.source_port(),
        segment.destination_port()
    )?;
    for (flag, name) in [
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::PSH, "PSH"),
        (TcpFlags::ACK, "ACK"),
    ] {
        if segment.flags().has(flag) {
            write!(f, " {name}")?;
        }
    }
    f.write_str(", ")?;
    payload(f, segment.payload())
}

fn udp(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let Ok(datagram) = Udp::parse(bytes) else {
        return cut_short(f, "udp", bytes);
    };
    write!(
        f,
        "udp {} > {}, ",
        datagram.source_port(),
        datagram.destination_port()
    )?;
    payload(f, datagram.payload())
}

/// For a message that is not all there, as in a fragment, or whose lengths are wrong.
fn cut_short(f: &mut Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name} cut short or malformed, ")?;
    payload(f, bytes)
}

fn payload(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match bytes.len() {
        0 => f.write_str("no payload"),
        length if text::is_readable(bytes) => write!(f, "{length} bytes of text"),
        length => write!(f, "{length} bytes: {}", Hex(bytes)),
    }
}

/// The first of some bytes as hex.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(MOST_HEX) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(if self.0.len() > MOST_HEX { "..." } else { "" })
    }
}

/// Writes the first of some names, and how many more there are.
fn names<T: Display>(f: &mut Formatter<'_>, mut names: impl Iterator<Item = T>) -> fmt::Result {
    for (number, name) in names.by_ref().take(MOST_NAMED).enumerate() {
        write!(f, "{}{name}", if number == 0 { ": " } else { ", " })?;
    }
    match names.count() {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

#[cfg(test)]
mod tests;
