//! ARP (RFC 826).

use std::net::Ipv4Addr;

use packet::MacAddress;

use super::bytes::Bytes;
use super::line::{Line, put};

/// Describes a message, with padding if there is some.
pub(super) fn tell(line: &mut Line, message: Bytes<'_>) {
    // With the link header, that has said so.
    if !line.link {
        line.put_str("ARP, ");
    }
    if told(line, message).is_none() {
        line.cut("arp");
    }
    put!(line, ", length {}", message.len());
}

fn told(line: &mut Line, message: Bytes<'_>) -> Option<()> {
    let kinds = (message.u16(0)?, message.u16(2)?, message.u16(4)?);
    if kinds != (1, 0x0800, 0x0604) {
        let (hardware, protocol, _) = kinds;
        put!(line, "hardware {hardware}, protocol {protocol:#06x}");
        return Some(());
    }
    let operation = message.u16(6)?;
    let sender: MacAddress = MacAddress(message.array(8)?);
    let sender_address = Ipv4Addr::from(message.u32(14)?);
    let target = MacAddress(message.array(18)?);
    let target_address = Ipv4Addr::from(message.u32(24)?);
    match operation {
        1 => {
            put!(line, "Request who-has {target_address}");
            if target != MacAddress::ZERO {
                put!(line, " ({target})");
            }
            put!(line, " tell {sender_address}");
        }
        2 => put!(line, "Reply {sender_address} is-at {sender}"),
        other => put!(line, "operation {other}"),
    }
    Some(())
}
