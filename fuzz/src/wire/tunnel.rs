//! What stands behind an outer IP header: IP in IP and GRE, RFC 2003, RFC 2473, RFC 2784, RFC 2890; and marks, RFC 6040.

use packet::Protocol;
use packet::tunnel::{Carried, ecn};

use super::{sums_up, u16_at};
use crate::gateway::packets;

/// The protocols by their first byte's remainder.
const PROTOCOLS: [u8; 4] = [4, 41, 47, 17];

/// Packets behind a byte that says how they are carried, and the outer traffic class.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for frame in packets::frames(0) {
        let packet = frame.get(14..).unwrap_or_default();
        for (number, class) in [(0_u8, 0_u8), (1, 3), (2, 1)] {
            seeds.push([&[number, class], packet].concat());
        }
        for (flags, fields) in [(0_u8, 0), (0x20, 4), (0xb0, 12)] {
            let mut header = vec![2, 2, flags, 0, frame[12], frame[13]];
            header.resize(header.len() + fields, 0);
            seeds.push([&header, packet].concat());
        }
    }
    seeds
}

/// Reads what an outer header carries.
pub fn body(bytes: &[u8]) {
    let Some(([number, class], payload)) = bytes.split_first_chunk() else {
        return;
    };
    let protocol = PROTOCOLS[usize::from(number % 4)];
    let Some(carried) = Carried::parse(Protocol(protocol), payload) else {
        assert_eq!(protocol, 17);
        return;
    };
    let read = carried.and_then(|carried| carried.inner()).ok();
    let read = read.map(|(ethertype, before)| (ethertype.0, before));
    assert_eq!(read, expected(protocol, payload), "{protocol}: {payload:02x?}");
    if let Some((_, before)) = read {
        check_marks(&payload[before..], *class);
    }
}

/// EtherType and place of the inner packet, read anew.
fn expected(protocol: u8, payload: &[u8]) -> Option<(u16, usize)> {
    let (ethertype, before) = match protocol {
        4 => (0x0800, 0),
        41 => (0x86dd, 0),
        _ => {
            let flags = payload.first().filter(|_| payload.len() >= 4)?;
            let fields = [0x80, 0x20, 0x10]
                .iter()
                .filter(|flag| flags & *flag != 0)
                .count();
            let before = 4 + 4 * fields;
            let is_refused = flags & 0x4c != 0 || payload[1] & 7 != 0 || payload.len() < before;
            let is_wrong = flags & 0x80 != 0 && !sums_up(0, payload);
            if is_refused || is_wrong {
                return None;
            }
            (u16_at(payload, 2), before)
        }
    };
    let inner = &payload[before..];
    let (version, least) = match ethertype {
        0x0800 => (4, 20),
        0x86dd => (6, 40),
        _ => return None,
    };
    let is_one = inner.len() >= least && inner[0] >> 4 == version;
    is_one.then_some((ethertype, before))
}

/// Nothing but the mark of a packet changes, and the checksum of IPv4 with it.
fn check_marks(inner: &[u8], outer: u8) {
    let mut after = inner.to_vec();
    let goes_on = ecn::decapsulate(&mut after, outer);
    let class = |packet: &[u8]| match packet[0] >> 4 {
        4 => packet[1],
        _ => packet[0] << 4 | packet[1] >> 4,
    };
    let (before, now) = (class(inner), class(&after));
    assert_eq!(goes_on, before & 3 != 0 || outer & 3 != 3);
    let mark = match (before & 3, outer & 3) {
        (0, _) => 0,
        (3, _) | (_, 3) => 3,
        (2, 1) => 1,
        (mark, _) => mark,
    };
    assert_eq!(now, before & 0xfc | mark);
    let header = usize::from(inner[0] & 15) * 4;
    if inner[0] >> 4 == 4
        && header >= 20
        && let (Some(was), Some(is)) = (inner.get(..header), after.get(..header))
    {
        assert_eq!(sums_up(0, was), sums_up(0, is));
        assert_eq!(was[2..10], is[2..10]);
    }
    let unchanged = if inner[0] >> 4 == 4 { 12 } else { 2 };
    assert_eq!(after[unchanged..], inner[unchanged..]);
    assert_eq!(after[0] >> 4, inner[0] >> 4);
}
