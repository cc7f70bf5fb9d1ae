//! What becomes of ESP packets on bad links and in bad hands.

use esp::Format;

use crate::random::Random;

/// The longest that a packet becomes, bytes: that of a packet buffer, less what cryptography needs behind it.
const LONGEST: usize = 1900;

/// Changes a packet of an SA up to three times. `other` is another packet to take pieces of, `spis` are those of other SAs.
pub fn mutate(random: &mut Random, packet: &mut Vec<u8>, format: Format, other: &[u8], spis: &[u32]) {
    for _ in 0..=random.below(3) {
        change(random, packet, format, other, spis);
        packet.truncate(LONGEST);
    }
}

fn change(random: &mut Random, packet: &mut Vec<u8>, format: Format, other: &[u8], spis: &[u32]) {
    let len = packet.len();
    if len == 0 {
        packet.extend_from_slice(other);
        return;
    }
    // Header and IV are at one end, padding, next header and ICV at the other.
    let at = match random.below(4) {
        0 => random.below(len.min(format.head_len())),
        1 => len - 1 - random.below(len.min(format.icv_len() + 16)),
        _ => random.below(len),
    };
    let more = |random: &mut Random, packet: &mut Vec<u8>, count: usize| {
        packet.extend((0..count).map(|_| random.byte()));
    };
    match random.below(16) {
        0..3 => packet[at] ^= 1 << random.below(8),
        3 => packet[at] = random.byte(),
        4 => packet[at] = *random.one_of(&[0, 1, 0x7f, 0x80, 0xff]),
        5 => packet.truncate(at),
        6 => {
            let count = 1 + random.below(40);
            more(random, packet, count);
        }
        7 => {
            // Whole blocks, so that the length is one that can be.
            let count = 16 * (1 + random.below(4));
            if random.one_in(2) {
                packet.truncate(len.saturating_sub(count));
            } else {
                more(random, packet, count);
            }
        }
        8 => drop(packet.drain(..random.below(20).min(len))),
        9..12 => {
            // Near the number, at the edges of windows, or anything.
            let Some(field) = packet.get_mut(4..8).and_then(<[u8]>::first_chunk_mut::<4>) else {
                return;
            };
            let number = u32::from_be_bytes(*field);
            let step = *random.one_of(&[1, 2, 31, 32, 63, 64, 65, 999, 1000, 4095, 4096, 1 << 31]);
            let number = match random.below(4) {
                0 => number.wrapping_add(step),
                1 => number.wrapping_sub(step),
                2 => *random.one_of(&[0, 1, u32::MAX, u32::MAX - 1, 1 << 31]),
                _ => random.bits() as u32,
            };
            *field = number.to_be_bytes();
        }
        12 => {
            let Some(field) = packet.first_chunk_mut::<4>() else {
                return;
            };
            let spi = match random.below(4) {
                0 => random.below(256) as u32,
                1 => random.bits() as u32,
                _ => *random.one_of(spis),
            };
            *field = spi.to_be_bytes();
        }
        13 => {
            // The beginning of this, the end of another.
            let from = at.min(other.len());
            packet.truncate(at);
            packet.extend_from_slice(&other[from..]);
        }
        14 => {
            let icv = len.saturating_sub(format.icv_len());
            if let (Some(here), Some(there)) = (
                packet.get_mut(icv..),
                other.get(other.len().saturating_sub(format.icv_len())..),
            ) {
                here.iter_mut()
                    .zip(there)
                    .for_each(|(here, there)| *here = *there);
            }
        }
        _ => {
            let count = 1 + random.below(16);
            let from = random.below(len);
            if from.max(at) + count <= len {
                packet.copy_within(from..from + count, at);
            }
        }
    }
}
