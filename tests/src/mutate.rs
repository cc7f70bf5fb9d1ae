//! What chance makes of a frame: a few bytes changed, moved, put in or taken out, mostly in the headers.

use crate::Random;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Longer than one packet buffer.
const TOO_LONG: usize = 2100;
/// Values at the edges of what fields mean.
const EDGES: [u8; 16] = [0, 1, 2, 4, 5, 6, 7, 8, 15, 31, 58, 63, 127, 128, 254, 255];

/// Changes a frame in one to three places; one in sixteen stays as it is.
pub fn mutate(random: &mut Random, frame: &mut Vec<u8>) {
    if random.once_in(16) {
        return;
    }
    for _ in 0..1 + random.below(3) {
        change(random, frame);
    }
}

/// Makes the checksum of the IPv4 header in an untagged frame right, however long it says that it is.
pub fn mend_checksum(frame: &mut [u8]) {
    let Some((link, packet)) = frame.split_first_chunk_mut::<ETHERNET>() else {
        return;
    };
    let length = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if link[12..] != [0x08, 0x00] || length < 12 || length > packet.len() {
        return;
    }
    packet[10..12].fill(0);
    let mut sum: u32 = packet[..length]
        .as_chunks::<2>()
        .0
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn change(random: &mut Random, frame: &mut Vec<u8>) {
    let length = frame.len();
    // Mostly in the headers, and rarely in the link header, behind which nothing else would be seen.
    let start = if random.once_in(16) { 0 } else { ETHERNET };
    let end = if random.once_in(2) {
        length
    } else {
        length.min(ETHERNET + 64)
    };
    let place = start + random.below(end.saturating_sub(start));
    let Some(byte) = frame.get_mut(place) else {
        frame.push(random.number() as u8);
        return;
    };
    match random.below(16) {
        0..5 => *byte ^= 1 << random.below(8),
        5..8 => *byte = EDGES[random.below(EDGES.len())],
        8..10 => *byte = random.number() as u8,
        10 => *byte = byte.wrapping_add(1),
        11 => frame.truncate(place),
        12 => frame.insert(place, EDGES[random.below(EDGES.len())]),
        13 => {
            frame.remove(place);
        }
        14 => {
            // A piece from elsewhere in the frame.
            let count = 1 + random.below((length - place).min(16));
            let from = random.below(length - count + 1);
            frame.copy_within(from..from + count, place);
        }
        _ => {
            let most = if random.once_in(64) { TOO_LONG } else { 64 };
            let more = random.below(most);
            frame.resize(length + more, random.number() as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_differ_and_come_again_from_the_same_seed() {
        let made = |seed| {
            let mut random = Random::new(seed);
            let made = (0..1000).map(|_| {
                let mut frame = vec![0x33; 100];
                mutate(&mut random, &mut frame);
                frame
            });
            made.collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        let as_they_were = made(1).iter().filter(|frame| **frame == [0x33; 100]).count();
        assert!((20..200).contains(&as_they_were), "{as_they_were}");
    }

    #[test]
    fn a_mended_header_sums_up() {
        let header = "4600002812340000402effffc6336401cb00714d94040000";
        let mut frame = vec![0; ETHERNET];
        frame[12] = 0x08;
        let pairs = header.as_bytes().as_chunks::<2>().0.iter();
        frame.extend(pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()));
        mend_checksum(&mut frame);
        assert_eq!(frame[24..26], [0x6c, 0xed]);
    }
}
