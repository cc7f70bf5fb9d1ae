//! IPv6 and its extension headers (RFC 8200).

use std::net::Ipv6Addr;

use packet::Protocol;
use packet::extension::{ExtensionHeader, option_type};

use super::bytes::Bytes;
use super::line::{Line, note, put};
use super::{frame, upper};

const HEADER_LEN: usize = 40;

/// Describes a packet, with padding if there is some; `depth` others are around it.
pub(super) fn tell(line: &mut Line, packet: Bytes<'_>, depth: u8) {
    if frame::is_too_deep(line, depth) {
        return;
    }
    if !line.link {
        put!(line, "IP6 ");
    }
    if told(line, packet, depth).is_none() {
        line.cut("ip6");
    }
}

fn told(line: &mut Line, packet: Bytes<'_>, depth: u8) -> Option<()> {
    let version = packet.u8(0)? >> 4;
    if version != 6 {
        put!(line, "bad version {version}");
        return Some(());
    }
    let length = usize::from(packet.u16(4)?);
    let missing = (HEADER_LEN + length).saturating_sub(packet.len());
    let [source, destination] = [packet.array::<16>(8)?, packet.array(24)?].map(Ipv6Addr::from);
    if missing > 0 {
        put!(line, "truncated-ip6 - {missing} bytes missing!");
    }
    let ends = upper::Ends {
        source: source.into(),
        destination: destination.into(),
    };
    let protocol = Protocol(packet.u8(6)?);
    let knows_ports = matches!(protocol, Protocol::TCP | Protocol::UDP);
    if !knows_ports {
        put!(line, "{ends}: ");
    }
    let payload = packet.skip(HEADER_LEN).take(length);
    let envelope = upper::Envelope {
        ends: knows_ports.then_some(&ends),
        is_fragment: false,
        depth,
    };
    if extensions(line, protocol, payload, envelope).is_none() {
        line.cut("extension header");
    }
    Some(())
}

/// Each extension header, and what follows the last.
fn extensions(
    line: &mut Line,
    mut protocol: Protocol,
    mut payload: Bytes<'_>,
    mut envelope: upper::Envelope<'_>,
) -> Option<()> {
    loop {
        let (name, length) = match protocol {
            Protocol::HOP_BY_HOP => ("HBH", extension_length(payload)?),
            Protocol::DESTINATION_OPTIONS => ("DSTOPT", extension_length(payload)?),
            Protocol::ROUTING => ("RT6", extension_length(payload)?),
            Protocol::FRAGMENT => ("frag", 8),
            _ => break,
        };
        match protocol {
            Protocol::FRAGMENT => {
                let field = payload.u16(2)?;
                let (offset, identification) = (field & 0xfff8, payload.u32(4)?);
                put!(line, "frag ({offset}|{})", payload.len().saturating_sub(length));
                let more = if field & 1 == 0 { "" } else { "+" };
                note!(line, "fragment {identification:#010x} at {offset}{more}");
                if offset != 0 {
                    return Some(());
                }
                line.put_str(" ");
                envelope.is_fragment = field & 1 != 0;
            }
            Protocol::ROUTING => {
                let (kind, left) = (payload.u8(2)?, payload.u8(3)?);
                put!(
                    line,
                    "{name} (len={}, type={kind}, segleft={left}) ",
                    payload.u8(1)?
                );
            }
            _ => {
                put!(line, "{name} ");
                let header = payload.captured().get(..length)?;
                if let Some(value) = router_alert(protocol, header) {
                    note!(line, "router alert {value}");
                }
            }
        }
        protocol = Protocol(payload.u8(0)?);
        payload = payload.skip(length);
    }
    if protocol == Protocol::NO_NEXT_HEADER {
        put!(line, "no next header");
    } else {
        upper::tell(line, protocol, payload, &envelope);
    }
    Some(())
}

/// RFC 8200 section 4.3: in units of 8 bytes, the first of them not counted.
fn extension_length(header: Bytes<'_>) -> Option<usize> {
    header.u8(1).map(|units| (usize::from(units) + 1) * 8)
}

/// The value of the option, if a header of options has it and is all there.
fn router_alert(protocol: Protocol, bytes: &[u8]) -> Option<u16> {
    let header = ExtensionHeader {
        protocol,
        offset: 0,
        named_at: 0,
        bytes,
    };
    let found = header.options()?.find_map(|option| {
        let option = option.ok()?;
        let is_alert = option.option_type == option_type::ROUTER_ALERT;
        option.data.first_chunk().copied().filter(|_| is_alert)
    });
    found.map(u16::from_be_bytes)
}
