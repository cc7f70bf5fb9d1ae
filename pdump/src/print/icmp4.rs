//! ICMP (RFC 792, RFC 1122, RFC 1812).

use std::net::Ipv4Addr;

use packet::Protocol;

use super::bytes::Bytes;
use super::line::{Line, put};
use super::upper::{Ends, Name, note_quoted};

/// The packet that an error quotes.
struct Quoted {
    ends: Ends,
    protocol: Protocol,
    ports: Option<(u16, u16)>,
}

/// Describes a message.
pub(super) fn tell(line: &mut Line, message: Bytes<'_>) -> Option<()> {
    let (kind, code) = (message.u8(0)?, message.u8(1)?);
    put!(line, "ICMP ");
    match kind {
        0 | 8 => {
            let kind = if kind == 8 { "request" } else { "reply" };
            put!(
                line,
                "echo {kind}, id {}, seq {}",
                message.u16(4)?,
                message.u16(6)?
            );
        }
        3 => unreachable(line, message, code)?,
        4 => put!(line, "source quench"),
        5 => {
            let gateway = Ipv4Addr::from(message.u32(4)?);
            let quoted = quoted(message)?;
            let (word, to) = match code {
                0 => ("redirect", "net"),
                1 => ("redirect", "host"),
                2 => ("redirect-tos", "net"),
                _ => ("redirect-tos", "host"),
            };
            put!(line, "{word} {} to {to} {gateway}", quoted.ends.destination);
        }
        9 => put!(line, "router advertisement"),
        10 => put!(line, "router solicitation"),
        11 => match code {
            0 => put!(line, "time exceeded in-transit"),
            1 => put!(line, "ip reassembly time exceeded"),
            other => put!(line, "time exceeded-#{other}"),
        },
        12 if code == 0 => put!(line, "parameter problem - octet {}", message.u8(4)?),
        12 => put!(line, "parameter problem - code {code}"),
        13 => put!(
            line,
            "time stamp query id {} seq {}",
            message.u16(4)?,
            message.u16(6)?
        ),
        14 => put!(
            line,
            "time stamp reply id {} seq {}",
            message.u16(4)?,
            message.u16(6)?
        ),
        other => put!(line, "type-#{other}"),
    }
    put!(line, ", length {}", message.len());
    if matches!(kind, 3 | 4 | 5 | 11 | 12)
        && let Some(quoted) = quoted(message)
    {
        note_quoted(line, quoted.protocol, &quoted.ends, quoted.ports);
    }
    Some(())
}

fn unreachable(line: &mut Line, message: Bytes<'_>, code: u8) -> Option<()> {
    let Quoted {
        ends,
        protocol,
        ports,
    } = quoted(message)?;
    let host = ends.destination;
    match code {
        0 => put!(line, "net {host} unreachable"),
        1 => put!(line, "host {host} unreachable"),
        2 => put!(line, "{host} protocol {} unreachable", protocol.0),
        3 => match (protocol, ports) {
            (Protocol::TCP | Protocol::UDP, Some((_, port))) => {
                put!(line, "{host} {} port {port} unreachable", Name(protocol));
            }
            (_, Some((_, port))) => {
                put!(line, "{host} protocol {} port {port} unreachable", protocol.0);
            }
            (_, None) => return None,
        },
        4 => match message.u16(6)? {
            0 => put!(line, "{host} unreachable - need to frag"),
            mtu => put!(line, "{host} unreachable - need to frag (mtu {mtu})"),
        },
        5 => put!(line, "{host} unreachable - source route failed"),
        6 => put!(line, "net {host} unreachable - unknown"),
        7 => put!(line, "host {host} unreachable - unknown"),
        8 => put!(line, "{host} unreachable - source host isolated"),
        9 => put!(line, "net {host} unreachable - admin prohibited"),
        10 => put!(line, "host {host} unreachable - admin prohibited"),
        11 => put!(line, "net {host} unreachable - tos prohibited"),
        12 => put!(line, "host {host} unreachable - tos prohibited"),
        13 => put!(line, "host {host} unreachable - admin prohibited filter"),
        14 => put!(line, "host {host} unreachable - host precedence violation"),
        15 => put!(line, "host {host} unreachable - precedence cutoff"),
        other => put!(line, "{host} unreachable-#{other}"),
    }
    Some(())
}

/// The packet behind the eight bytes of an error.
fn quoted(message: Bytes<'_>) -> Option<Quoted> {
    let packet = message.skip(8);
    let header_length = usize::from(packet.u8(0)? & 0x0f) * 4;
    let [source, destination] = [packet.u32(12)?, packet.u32(16)?].map(Ipv4Addr::from);
    let is_first = packet.u16(6)? & 0x1fff == 0;
    let payload = packet.skip(header_length);
    Some(Quoted {
        ends: Ends {
            source: source.into(),
            destination: destination.into(),
        },
        protocol: Protocol(packet.u8(9)?),
        ports: payload.u16(0).zip(payload.u16(2)).filter(|_| is_first),
    })
}
