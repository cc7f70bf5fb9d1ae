//! What a frame is that a router sent, and in what two of them differ.

use std::ops::Range;

const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ARP: [u8; 2] = [0x08, 0x06];
const TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];

/// A frame taken apart as far as the comparison needs it.
pub(super) struct Frame<'a> {
    bytes: &'a [u8],
    ethertype: [u8; 2],
    /// What follows the link header.
    packet: &'a [u8],
    tags: usize,
}

impl<'a> Frame<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut at = ETHERNET - 2;
        let mut tags = 0;
        let ethertype = |at: usize| {
            bytes
                .get(at..)
                .and_then(<[u8]>::first_chunk)
                .copied()
                .unwrap_or_default()
        };
        while TAGS.contains(&ethertype(at)) {
            (at, tags) = (at + 4, tags + 1);
        }
        Self {
            bytes,
            ethertype: ethertype(at),
            packet: bytes.get(at + 2..).unwrap_or_default(),
            tags,
        }
    }

    /// Both addresses of the IP packet in it, if there is one.
    fn addresses(&self) -> Option<&'a [u8]> {
        match self.ethertype {
            IPV4 => self.packet.get(12..20),
            IPV6 => self.packet.get(8..40),
            _ => None,
        }
    }

    /// What it is, in a few words, as an answer to `sent`.
    pub(super) fn summary(&self, sent: &Frame<'_>) -> String {
        let name = match (self.ethertype, self.packet) {
            (IPV4 | IPV6, _) if self.addresses() == sent.addresses() => "forwarded".to_owned(),
            (ARP, [_, _, _, _, _, _, _, operation, ..]) => format!("arp {operation}"),
            (IPV4 | IPV6, _) => {
                let protocol = if self.ethertype == IPV4 {
                    self.packet.get(9)
                } else {
                    self.packet.get(6)
                };
                match (protocol, self.payload()) {
                    (Some(1), [icmp_type, code, ..]) => format!("icmp {icmp_type}/{code}"),
                    (Some(58), [icmp_type, code, ..]) => format!("icmp6 {icmp_type}/{code}"),
                    (Some(6), _) => "tcp".to_owned(),
                    (protocol, _) => format!("protocol {protocol:?}"),
                }
            }
            _ => "unknown".to_owned(),
        };
        if self.tags == 0 {
            name
        } else {
            format!("{name} with {} tags", self.tags)
        }
    }

    fn header_len(&self) -> usize {
        match self.ethertype {
            IPV4 => usize::from(self.packet.first().map_or(0, |first| first & 15)) * 4,
            _ => 40,
        }
    }

    fn payload(&self) -> &'a [u8] {
        self.packet.get(self.header_len()..).unwrap_or_default()
    }

    fn is_forwarded(&self, sent: &Frame<'_>) -> bool {
        self.addresses().is_some() && self.addresses() == sent.addresses()
    }

    fn range(&self, range: Range<usize>) -> &'a [u8] {
        self.packet
            .get(range.start..range.end.min(self.packet.len()))
            .unwrap_or_default()
    }

    /// The parts that are compared, by name. Lengths and checksums follow from them: [`Self::is_sound`] looks at those.
    fn parts(&self, sent: &Frame<'_>) -> Vec<(&'static str, Vec<u8>)> {
        let link = self.bytes.get(..ETHERNET - 2).unwrap_or_default();
        let mut parts = vec![
            ("destination mac", link.get(..6).unwrap_or_default().to_vec()),
            ("source mac", link.get(6..).unwrap_or_default().to_vec()),
        ];
        let mut add = |name, bytes: &[u8]| parts.push((name, bytes.to_vec()));
        match self.ethertype {
            ARP => {
                add("arp", self.range(0..28));
                add("padding", self.range(28..usize::MAX));
            }
            IPV4 => {
                let forwarded = self.is_forwarded(sent);
                add("tos", self.range(1..2));
                // Whoever makes a packet chooses its identification.
                add("id", if forwarded { self.range(4..6) } else { &[] });
                let flags = self.packet.get(6).map_or(0, |byte| byte & 0xe0);
                let df = if self.is_error() { "df of an error" } else { "df" };
                add(df, &[flags & 0x40]);
                add("flags", &[flags & 0xa0]);
                let offset = self
                    .range(6..8)
                    .iter()
                    .fold(0, |all, byte| all << 8 | u16::from(*byte))
                    & 0x1fff;
                add("offset", &offset.to_be_bytes());
                add("ttl", self.range(8..9));
                add("protocol", self.range(9..10));
                add("source", self.range(12..16));
                add("destination", self.range(16..20));
                add("options", self.range(20..self.header_len()));
            }
            IPV6 => {
                let first: Vec<_> = self.range(0..4).to_vec();
                let word = first.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
                add("traffic class", &[(word >> 20) as u8]);
                add("flow label", &(word & 0xf_ffff).to_be_bytes());
                add("next header", self.range(6..7));
                add("hop limit", self.range(7..8));
                add("source", self.range(8..24));
                add("destination", self.range(24..40));
            }
            _ => add("frame", self.bytes),
        }
        if matches!(self.ethertype, IPV4 | IPV6) {
            let payload = self.payload();
            if self.is_forwarded(sent) {
                add("payload", payload);
            } else if self.is_error() {
                add("field", payload.get(4..8).unwrap_or_default());
                add("quote", payload.get(8..).unwrap_or_default());
            } else {
                add("body", payload.get(4..).unwrap_or_default());
            }
        }
        parts
    }

    fn is_error(&self) -> bool {
        match (self.ethertype, self.payload().first()) {
            (IPV4, Some(icmp_type)) => {
                self.packet.get(9) == Some(&1) && matches!(icmp_type, 3 | 4 | 5 | 11 | 12)
            }
            (IPV6, Some(icmp_type)) => self.packet.get(6) == Some(&58) && *icmp_type < 128,
            _ => false,
        }
    }

    /// Whether the lengths and checksums of a packet that a router made itself are right.
    pub(super) fn is_sound(&self, sent: &Frame<'_>) -> bool {
        if self.is_forwarded(sent) {
            return true;
        }
        match self.ethertype {
            IPV4 => {
                let total = usize::from(u16::from_be_bytes([self.packet[2], self.packet[3]]));
                total == self.packet.len()
                    && sum([self.range(0..self.header_len())]) == 0xffff
                    && (self.packet[9] != 1 || sum([self.payload()]) == 0xffff)
            }
            IPV6 => {
                let length = self.payload().len();
                let pseudo = [&(length as u32).to_be_bytes()[..], &[0, 0, 0, self.packet[6]]].concat();
                usize::from(u16::from_be_bytes([self.packet[4], self.packet[5]])) == length
                    && sum([self.range(8..40), &pseudo, self.payload()]) == 0xffff
            }
            _ => true,
        }
    }
}

/// The names of the parts in which two frames differ.
pub(super) fn differences(one: &Frame<'_>, other: &Frame<'_>, sent: &Frame<'_>) -> Vec<&'static str> {
    let pairs = one.parts(sent).into_iter().zip(other.parts(sent));
    let names = pairs
        .filter(|(one, other)| one.1 != other.1)
        .filter(|(one, other)| one.0 != "options" || !same_but_for_the_moment(&one.1, &other.1))
        .map(|(one, _)| one.0);
    names.collect()
}

/// Whether options differ only in the moments that two routers wrote into timestamps (RFC 791 section 3.1), a second apart
/// at most.
fn same_but_for_the_moment(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && without_moments(one, other) == without_moments(other, one)
}

/// `options` with zeros for each time that is about that of `others`.
fn without_moments(options: &[u8], others: &[u8]) -> Vec<u8> {
    let mut without = options.to_vec();
    let mut at = 0;
    loop {
        let rest = options.get(at..).unwrap_or_default();
        at += match rest {
            [] | [0, ..] => return without,
            [1, ..] => 1,
            [68, length, _, overflow_flag, ..] => {
                // Times alone, or each behind an address.
                let (first, step) = if overflow_flag & 15 == 0 { (4, 4) } else { (8, 8) };
                let length = usize::from(*length).min(rest.len());
                for place in (first..(length + 1).saturating_sub(4)).step_by(step) {
                    let place = at + place..at + place + 4;
                    if is_same_moment(&options[place.clone()], &others[place.clone()]) {
                        without[place].fill(0);
                    }
                }
                length.max(4)
            }
            [_, length, ..] => usize::from(*length).max(2),
            [_] => return without,
        };
    }
}

/// Whether two timestamps, in milliseconds, are a second apart at most, before or after midnight.
fn is_same_moment(one: &[u8], other: &[u8]) -> bool {
    const DAY: i64 = 86_400_000;
    let milliseconds = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | i64::from(*byte));
    let apart = (milliseconds(one) - milliseconds(other)).rem_euclid(DAY);
    apart.min(DAY - apart) <= 1000
}

/// The ones' complement sum, RFC 1071; a part of odd length comes last.
fn sum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let words = parts.into_iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
