//! What becomes of packets on bad links and in bad hands: some changes to a frame, with its checksums made right again
//! now and then, so that what is behind them is reached.

use crate::gateway::packets::{TO4, TO6};
use crate::random::Random;

/// The longest that a frame becomes.
const LONGEST: usize = 4096;

/// Changes `frame` up to four times; `other` is one to take pieces of. Once in sixteen it stays as it is.
pub fn mutate(random: &mut Random, frame: &mut Vec<u8>, other: &[u8]) {
    if random.one_in(16) {
        return;
    }
    for _ in 0..=random.below(4) {
        change(random, frame, other);
    }
    if !random.one_in(4) {
        mend_header(frame);
    }
    if random.one_in(4) {
        mend_icmp(frame);
    }
}

fn change(random: &mut Random, frame: &mut Vec<u8>, other: &[u8]) {
    if frame.is_empty() {
        frame.extend_from_slice(other);
        return;
    }
    let length = frame.len();
    // Headers are at the front.
    let at = if random.one_in(4) {
        random.below(length)
    } else {
        random.below(length.min(80))
    };
    let network = network(frame);
    match random.below(13) {
        0 => frame[at] ^= 1 << random.below(8),
        1 => frame[at] = random.byte(),
        2 => frame[at] = *random.one_of(&[0, 1, 0x7f, 0x80, 0xff]),
        3 => frame.truncate(at),
        4 if length < LONGEST => {
            let piece = [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat();
            let piece = &piece[..1 + random.below(16)];
            frame.splice(at..at, piece.iter().copied());
        }
        5 if length < LONGEST => frame.resize(length + 1 + random.below(64), 0),
        6 => {
            // A length field: IP's, UDP's, that of an extension header, of an option.
            let field = network + random.one_of(&[2, 4, 24, 41, 43, 44, 45, 49, 21, 23]);
            let delta = random.below(9) as u8;
            if let Some(byte) = frame.get_mut(field + random.below(2)) {
                *byte = byte.wrapping_add(delta).wrapping_sub(4);
            }
        }
        7 => {
            let count = 1 + random.below(16);
            let from = random.below(length);
            if from.max(at) + count <= length {
                for offset in 0..count {
                    frame.swap(from + offset, at + offset);
                }
            }
        }
        8 if at < other.len() => {
            let end = length.min(other.len()).min(at + 1 + random.below(40));
            if at < end {
                frame[at..end].copy_from_slice(&other[at..end]);
            }
        }
        9 if length > 12 && length < LONGEST => {
            let tag = [0x81, 0, random.byte() & 0xe0, u8::from(random.one_in(4))];
            frame.splice(12..12, tag);
        }
        10 => address(random, frame, network),
        11 => {
            let ttl = network + if is_six(frame, network) { 7 } else { 8 };
            if let Some(byte) = frame.get_mut(ttl) {
                *byte = random.below(3) as u8;
            }
        }
        _ => {
            let next = *random.one_of(&[0, 1, 6, 17, 43, 44, 50, 51, 58, 59, 60]);
            let field = network
                + if is_six(frame, network) {
                    *random.one_of(&[6, 40, 48])
                } else {
                    9
                };
            if let Some(byte) = frame.get_mut(field) {
                *byte = next;
            }
        }
    }
}

/// Another destination, or another kind of source.
fn address(random: &mut Random, frame: &mut [u8], network: usize) {
    let source = random.one_in(4);
    if is_six(frame, network) {
        let at = network + if source { 8 } else { 24 };
        if let Some(field) = frame.get_mut(at..at + 16) {
            field.copy_from_slice(&random.one_of(&TO6).octets());
        }
    } else {
        let at = network + if source { 12 } else { 16 };
        if let Some(field) = frame.get_mut(at..at + 4) {
            let address: &[u8; 4] = random.one_of(&TO4);
            field.copy_from_slice(address);
        }
    }
}

/// Where the network header begins, by the tags that there seem to be.
fn network(frame: &[u8]) -> usize {
    let tag = |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8]));
    match (tag(12), tag(16)) {
        (false, _) => 14,
        (true, false) => 18,
        (true, true) => 22,
    }
}

fn is_six(frame: &[u8], network: usize) -> bool {
    frame.get(network).is_some_and(|byte| byte >> 4 == 6)
}

/// Makes the checksum of an IPv4 header right.
pub fn mend_header(frame: &mut [u8]) {
    let network = network(frame);
    let header_len = frame.get(network).map_or(0, |byte| usize::from(byte & 15) * 4);
    if is_six(frame, network) || header_len < 20 {
        return;
    }
    if let Some(header) = frame.get_mut(network..network + header_len) {
        header[10..12].fill(0);
        let sum = complement(0, header);
        header[10..12].copy_from_slice(&sum);
    }
}

/// Makes the checksum of an ICMP message right, if no options or extension headers stand before it.
fn mend_icmp(frame: &mut [u8]) {
    let network = network(frame);
    let Some(packet) = frame.get_mut(network..) else {
        return;
    };
    let (start, length, pseudo) = match &*packet {
        [0x45, _, high, low, ..] if packet.get(9) == Some(&1) => (20, u16::from_be_bytes([*high, *low]), 0),
        [0x60..=0x6f, _, _, _, high, low, 58, ..] if packet.len() >= 40 => {
            let payload = u16::from_be_bytes([*high, *low]);
            let pseudo = sum(u64::from(payload) + 58, &packet[8..40]);
            (40, payload.saturating_add(40), pseudo)
        }
        _ => return,
    };
    if let Some(message) = packet.get_mut(start..usize::from(length))
        && message.len() >= 4
    {
        message[2..4].fill(0);
        let sum = complement(pseudo, message);
        message[2..4].copy_from_slice(&sum);
    }
}

fn sum(start: u64, bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks::<2>();
    let words: u64 = words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)))
        .sum();
    start + words + odd.first().map_or(0, |byte| u64::from(*byte) << 8)
}

fn complement(start: u64, bytes: &[u8]) -> [u8; 2] {
    let mut sum = sum(start, bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
