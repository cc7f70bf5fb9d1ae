//! Ethernet frames: link header, VLAN tags, and what is in them.

use packet::MacAddress;

use super::bytes::Bytes;
use super::line::{Line, put};
use super::{arp, ip4, ip6};

/// How many packets inside of packets are described.
const DEEPEST: u8 = 4;
/// How many tags.
const MOST_TAGS: usize = 4;

/// Describes a frame of which `frame` are the first bytes and that had `wire_length` bytes, on one line of printable characters.
pub fn summary(frame: &[u8], wire_length: u32) -> String {
    let mut line = Line::new(false);
    tell(&mut line, Bytes::new(frame, wire_length as usize), 0);
    line.end().to_owned()
}

/// Describes a frame; `depth` packets are around it.
pub(super) fn tell(line: &mut Line, frame: Bytes<'_>, depth: u8) {
    if told(line, frame, depth).is_none() {
        line.cut("ether");
    }
}

/// Whether what is inside goes on being described.
pub(super) fn is_too_deep(line: &mut Line, depth: u8) -> bool {
    let deep = depth > DEEPEST;
    if deep {
        put!(line, "...");
    }
    deep
}

fn told(line: &mut Line, frame: Bytes<'_>, depth: u8) -> Option<()> {
    if is_too_deep(line, depth) {
        return Some(());
    }
    let [destination, source] = [frame.array(0)?, frame.array(6)?].map(MacAddress);
    let first = frame.u16(12)?;
    let (mut ethertype, mut payload) = (first, frame.skip(14));
    let mut tags = 0;
    while is_tag(ethertype) && tags < MOST_TAGS {
        ethertype = payload.u16(2)?;
        payload = payload.skip(4);
        tags += 1;
    }
    // Nothing else is looked into: then who speaks to whom is all that there is to say.
    let is_known = matches!(ethertype, 0x0800 | 0x0806 | 0x86dd);
    if line.link || !is_known {
        put!(line, "{source} > {destination}, ethertype ");
        put_ethertype(line, first);
        put!(line, ", length {}", frame.len());
        line.put_str(if tags > 0 || is_known { ": " } else { "" });
    }
    for tag in 0..tags {
        let field = frame.u16(14 + tag * 4)?;
        // IEEE 802.1Q section 9.6: PCP, DEI, VID.
        let eligible = if field & 0x1000 == 0 { "" } else { ", DEI" };
        put!(line, "vlan {}, p {}{eligible}", field & 0x0fff, field >> 13);
        let is_end = tag + 1 == tags && !is_known;
        if line.link || !is_known {
            line.put_str(", ethertype ");
            put_ethertype(line, frame.u16(16 + tag * 4)?);
        }
        line.put_str(if is_end { "" } else { ", " });
    }
    match ethertype {
        0x0800 => ip4::tell(line, payload, depth),
        0x86dd => ip6::tell(line, payload, depth),
        0x0806 => arp::tell(line, payload),
        _ => {}
    }
    Some(())
}

/// The length of the link header, with tags.
pub(super) fn header_length(frame: Bytes<'_>) -> usize {
    let is_tagged = |tags: &usize| frame.u16(12 + tags * 4).is_some_and(is_tag);
    14 + 4 * (0..MOST_TAGS).take_while(is_tagged).count()
}

fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// The name of an EtherType, and its number.
pub(super) fn put_ethertype(line: &mut Line, ethertype: u16) {
    let name = match ethertype {
        // Below 0x0600 it is a length (IEEE 802.3 section 3.2.6).
        ..0x0600 => "802.3",
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x6558 => "TEB",
        0x8100 => "802.1Q",
        0x86dd => "IPv6",
        0x8809 => "Slow Protocols",
        0x8847 => "MPLS unicast",
        0x8863 => "PPPoE D",
        0x8864 => "PPPoE S",
        0x888e => "EAPOL",
        0x88a8 => "802.1Q-QinQ",
        0x88cc => "LLDP",
        0x9100 => "802.1Q-9100",
        _ => "Unknown",
    };
    put!(line, "{name} ({ethertype:#06x})");
}
