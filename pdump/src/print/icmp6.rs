//! ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) and multicast listener discovery (RFC 2710, RFC 9777).

use std::net::Ipv6Addr;

use packet::{MacAddress, Protocol};

use super::bytes::Bytes;
use super::line::{Line, note, put};
use super::upper::{Ends, Name, note_quoted};

/// Extension headers of a quoted packet that are gone through.
const MOST_EXTENSIONS: usize = 8;

/// The packet that an error quotes.
struct Quoted {
    ends: Ends,
    protocol: Protocol,
    ports: Option<(u16, u16)>,
}

/// Describes a message.
pub(super) fn tell(line: &mut Line, message: Bytes<'_>) -> Option<()> {
    let (kind, code) = (message.u8(0)?, message.u8(1)?);
    put!(line, "ICMP6, ");
    match kind {
        1..=4 => error(line, message, kind, code)?,
        128 | 129 => {
            let kind = if kind == 128 { "request" } else { "reply" };
            put!(
                line,
                "echo {kind}, id {}, seq {}",
                message.u16(4)?,
                message.u16(6)?
            );
        }
        130 => {
            put!(line, "multicast listener query");
            note!(line, "group {}", address(message, 8)?);
        }
        131 => put!(
            line,
            "multicast listener report max resp delay: {} addr: {}",
            message.u16(4)?,
            address(message, 8)?
        ),
        132 => put!(
            line,
            "multicast listener done max resp delay: {} addr: {}",
            message.u16(4)?,
            address(message, 8)?
        ),
        133 => put!(line, "router solicitation"),
        134 => {
            put!(line, "router advertisement");
            note!(
                line,
                "hop limit {}, lifetime {} s",
                message.u8(4)?,
                message.u16(6)?
            );
        }
        135 => put!(line, "neighbor solicitation, who has {}", address(message, 8)?),
        136 => put!(line, "neighbor advertisement, tgt is {}", address(message, 8)?),
        137 => put!(
            line,
            "redirect, {} to {}",
            address(message, 24)?,
            address(message, 8)?
        ),
        143 => put!(
            line,
            "multicast listener report v2, {} group record(s)",
            message.u16(6)?
        ),
        other => put!(line, "unknown icmp6 type ({other})"),
    }
    put!(line, ", length {}", message.len());
    match kind {
        1..=4 => {
            if let Some(Quoted {
                ends,
                protocol,
                ports,
            }) = quoted(message)
            {
                note_quoted(line, protocol, &ends, ports);
            }
        }
        133 => note_addresses(line, message.skip(8)),
        134 => note_addresses(line, message.skip(16)),
        135 => note_addresses(line, message.skip(24)),
        136 => {
            let flags = message.u8(4)?;
            for (flag, name) in [(0x80, "router"), (0x40, "solicited"), (0x20, "override")] {
                if flags & flag != 0 {
                    note!(line, "{name}");
                }
            }
            note_addresses(line, message.skip(24));
        }
        137 => note_addresses(line, message.skip(40)),
        _ => {}
    }
    Some(())
}

fn error(line: &mut Line, message: Bytes<'_>, kind: u8, code: u8) -> Option<()> {
    match (kind, code) {
        (1, _) => {
            put!(line, "destination unreachable, ");
            let Quoted {
                ends,
                protocol,
                ports,
            } = quoted(message)?;
            let host = ends.destination;
            match (code, protocol, ports) {
                (0, ..) => put!(line, "unreachable route {host}"),
                (1, ..) => put!(line, "unreachable prohibited {host}"),
                (2, ..) => put!(line, "beyond scope {host}, source address {}", ends.source),
                (3, ..) => put!(line, "unreachable address {host}"),
                (4, Protocol::TCP | Protocol::UDP, Some((_, port))) => {
                    put!(line, "unreachable port, {host} {} port {port}", Name(protocol));
                }
                (4, Protocol::TCP | Protocol::UDP, None) => return None,
                (4, ..) => put!(line, "unreachable port, {host} protocol {}", protocol.0),
                (other, ..) => put!(line, "unknown unreach code ({other})"),
            }
        }
        (2, _) => put!(line, "packet too big, mtu {}", message.u32(4)?),
        (3, 0) => put!(
            line,
            "time exceeded in-transit for {}",
            quoted(message)?.ends.destination
        ),
        (3, 1) => put!(line, "time exceeded in-transit (reassembly)"),
        (3, other) => put!(line, "time exceeded in-transit, unknown code ({other})"),
        (_, 0) => put!(line, "parameter problem, erroneous - octet {}", message.u32(4)?),
        (_, 1) => put!(line, "parameter problem, next header - octet {}", message.u32(4)?),
        (_, 2) => put!(line, "parameter problem, option - octet {}", message.u32(4)?),
        (_, other) => put!(line, "parameter problem, code-#{other}"),
    }
    Some(())
}

/// The link-layer addresses among the options of neighbour discovery (RFC 4861 section 4.6).
fn note_addresses(line: &mut Line, mut options: Bytes<'_>) {
    while let Some((kind, units)) = options.u8(0).zip(options.u8(1))
        && units > 0
    {
        if let (1 | 2, Some(mac)) = (kind, options.array(2)) {
            let whose = if kind == 1 { "source" } else { "target" };
            note!(line, "{whose} lladdr {}", MacAddress(mac));
        }
        options = options.skip(usize::from(units) * 8);
    }
}

fn address(message: Bytes<'_>, at: usize) -> Option<Ipv6Addr> {
    message.array::<16>(at).map(Ipv6Addr::from)
}

/// The packet behind the eight bytes of an error.
fn quoted(message: Bytes<'_>) -> Option<Quoted> {
    let packet = message.skip(8);
    let ends = Ends {
        source: address(packet, 8)?.into(),
        destination: address(packet, 24)?.into(),
    };
    let mut protocol = Protocol(packet.u8(6)?);
    let mut payload = packet.skip(40);
    for _ in 0..MOST_EXTENSIONS {
        let length = match protocol {
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS | Protocol::ROUTING => {
                payload.u8(1).map(|units| (usize::from(units) + 1) * 8)
            }
            Protocol::FRAGMENT => Some(8),
            _ => None,
        };
        let Some((length, next)) = length.zip(payload.u8(0)) else {
            break;
        };
        let is_later =
            protocol == Protocol::FRAGMENT && payload.u16(2).is_none_or(|field| field & 0xfff8 != 0);
        protocol = Protocol(next);
        payload = if is_later {
            Bytes::new(&[], 0)
        } else {
            payload.skip(length)
        };
    }
    Some(Quoted {
        ends,
        protocol,
        ports: payload.u16(0).zip(payload.u16(2)),
    })
}
