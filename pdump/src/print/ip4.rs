//! IPv4 (RFC 791).

use std::net::Ipv4Addr;

use packet::ipv4_options::{Ipv4Options, option_kind};
use packet::{Protocol, checksum};

use super::bytes::Bytes;
use super::line::{Line, note, put};
use super::{frame, upper};

const HEADER_LEN: usize = 20;

/// Describes a packet, with padding if there is some; `depth` others are around it.
pub(super) fn tell(line: &mut Line, packet: Bytes<'_>, depth: u8) {
    if frame::is_too_deep(line, depth) {
        return;
    }
    if !line.link {
        put!(line, "IP ");
    }
    if told(line, packet, depth).is_none() {
        line.cut("ip");
    }
}

fn told(line: &mut Line, packet: Bytes<'_>, depth: u8) -> Option<()> {
    let first = packet.u8(0)?;
    let header_length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 {
        put!(line, "bad version {}", first >> 4);
        return Some(());
    }
    if header_length < HEADER_LEN {
        put!(line, "bad-hlen {header_length}");
        return Some(());
    }
    let total = usize::from(packet.u16(2)?);
    if total < header_length {
        put!(line, "bad-len {total}");
        return Some(());
    }
    let header = packet.captured().get(..header_length)?;
    if total > packet.len() {
        put!(line, "truncated-ip - {} bytes missing! ", total - packet.len());
    }
    let fragment = packet.u16(6)?;
    let (source, destination) = (packet.u32(12)?, packet.u32(16)?);
    let ends = upper::Ends {
        source: Ipv4Addr::from(source).into(),
        destination: Ipv4Addr::from(destination).into(),
    };
    let protocol = Protocol(packet.u8(9)?);
    let payload = packet.take(total).skip(header_length);
    let offset = usize::from(fragment & 0x1fff) * 8;
    let more = fragment & 0x2000 != 0;
    if offset == 0 {
        let knows_ports = matches!(protocol, Protocol::TCP | Protocol::UDP);
        if !knows_ports {
            put!(line, "{ends}: ");
        }
        let envelope = upper::Envelope {
            ends: knows_ports.then_some(&ends),
            is_fragment: more,
            depth,
        };
        upper::tell(line, protocol, payload, &envelope);
    } else {
        put!(line, "{ends}: {}", upper::Name(protocol));
    }
    if offset != 0 || more {
        let identification = packet.u16(4)?;
        let and_more = if more { "+" } else { "" };
        note!(
            line,
            "fragment {identification}: {} bytes at {offset}{and_more}",
            payload.len()
        );
    }
    if let Some(value) = router_alert(header) {
        note!(line, "router alert {value}");
    }
    if checksum::Sum::ZERO.bytes(header).fold() != 0xffff {
        note!(line, "wrong header checksum");
    }
    Some(())
}

/// The value of the option, if the header has it.
fn router_alert(header: &[u8]) -> Option<u16> {
    let mut options = Ipv4Options::new(header.get(HEADER_LEN..)?);
    let found = options.find_map(|option| match *option.ok()?.bytes {
        [option_kind::ROUTER_ALERT, _, ref value @ ..] => value.first_chunk().copied(),
        _ => None,
    });
    found.map(u16::from_be_bytes)
}
