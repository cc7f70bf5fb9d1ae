//! The checksums of upper layers when their payload is replaced.

use std::ops::Range;

use packet::Protocol;
use packet::checksum::Sum;

/// Where UDP has its length.
const UDP_LENGTH: usize = 4;

/// Makes length and checksum of the upper layer right that begins at `start`, before the bytes at `place` are replaced by `new`.
/// The payload begins at an even offset from there, so that it is summed up as it stands.
pub(super) fn replaced(
    packet: &mut [u8],
    (protocol, start): (Protocol, usize),
    place: Range<usize>,
    new: &[u8],
) {
    let Some(field) = field(protocol) else {
        return;
    };
    let old = packet.get(place.clone()).unwrap_or_default();
    let mut sum = Sum::ZERO.word(!Sum::ZERO.bytes(old).fold()).bytes(new);
    // The length of the upper layer: once in the pseudo-header, which ICMP for IPv4 has not, and once more in UDP's own.
    let before = place.end - start;
    let (before, after) = (before as u16, (before - place.len() + new.len()) as u16);
    let lengths = match protocol {
        Protocol::ICMP => 0,
        Protocol::UDP => 2,
        _ => 1,
    };
    for _ in 0..lengths {
        sum = sum.word(!before).word(after);
    }
    if protocol == Protocol::UDP {
        set(packet, start + UDP_LENGTH, after);
        if word(packet, start + field) == 0 {
            // The sender made none.
            return;
        }
    }
    update(packet, start + field, |old| match sum.word(!old).checksum() {
        // Zero would say that there is none.
        0 if protocol == Protocol::UDP => 0xffff,
        checksum => checksum,
    });
}

/// Where a protocol has its checksum; `None` for those that are not known.
pub(super) fn field(protocol: Protocol) -> Option<usize> {
    match protocol {
        Protocol::UDP => Some(6),
        Protocol::TCP => Some(16),
        Protocol::ICMP | Protocol::ICMPV6 => Some(2),
        _ => None,
    }
}

/// Changes the word at `offset`.
pub(super) fn update(packet: &mut [u8], offset: usize, change: impl FnOnce(u16) -> u16) {
    let changed = change(word(packet, offset));
    set(packet, offset, changed);
}

/// The word at `offset`, 0 beyond the end.
pub(super) fn word(packet: &[u8], offset: usize) -> u16 {
    let bytes = packet.get(offset..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

/// Writes the word at `offset`; nothing beyond the end.
pub(super) fn set(packet: &mut [u8], offset: usize, word: u16) {
    let bytes = packet.get_mut(offset..).and_then(<[u8]>::first_chunk_mut);
    if let Some(bytes) = bytes {
        *bytes = word.to_be_bytes();
    }
}
