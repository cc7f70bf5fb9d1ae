//! Routes: clustered, random, and a provider's hosts. The same in every run.

use std::collections::HashSet;

use ipnet::{Ipv4Net, Ipv6Net};

/// Share of prefix lengths, per thousand, much as in the Internet's table.
const LENGTHS: [(u8, u64); 14] = [
    (20, 2),
    (24, 4),
    (28, 6),
    (29, 30),
    (32, 140),
    (33, 10),
    (36, 30),
    (38, 8),
    (40, 80),
    (42, 10),
    (44, 120),
    (46, 40),
    (47, 20),
    (48, 500),
];
/// First 16 bits of the blocks that the regional registries give from.
const REGIONS: [u128; 7] = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2a10, 0x2c00];

/// xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`, at most 2^32.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((self.next() >> 32) * end) >> 32
    }

    pub(crate) fn address(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// This many different prefixes of [`LENGTHS`]. Those up to /32 lie anywhere in the regions' blocks; three of four
/// longer ones lie in one of those, most of them in few, next to each other or spread.
pub(crate) fn clustered(count: usize, random: &mut Random) -> Vec<Ipv6Net> {
    let mut providers = Vec::new();
    distinct(count, || {
        let length = length(random);
        let region = REGIONS[random.below(REGIONS.len() as u64) as usize];
        let anywhere = region << 112 | u128::from(random.below(1 << 16)) << 96 | random.address() >> 32;
        if length <= 32 {
            providers.push(prefix6(anywhere, length));
        }
        if length <= 32 || providers.is_empty() || random.below(4) == 0 {
            return prefix6(anywhere, length);
        }
        let part = random.below(1 << 16) as f64 / 65536.0;
        let provider = providers[(part.powi(4) * providers.len() as f64) as usize];
        let spread = 1 << (4 + random.below(13));
        let within = u128::from(random.below(spread)) << (128 - length);
        prefix6(
            provider.addr().to_bits() | within & provider.hostmask().to_bits(),
            length,
        )
    })
}

/// This many different /48s under 2000::/3.
pub(crate) fn random_48s(count: usize, random: &mut Random) -> Vec<Ipv6Net> {
    distinct(count, || prefix6(1 << 125 | random.address() >> 3, 48))
}

/// This many different hosts under 2001:db8:1:2::/64.
pub(crate) fn hosts(count: usize, random: &mut Random) -> Vec<Ipv6Net> {
    distinct(count, || {
        prefix6(0x2001_0db8_0001_0002 << 64 | u128::from(random.next()), 128)
    })
}

/// This many different IPv4 prefixes, most of them /24s, below 224.0.0.0.
pub(crate) fn ipv4(count: usize, random: &mut Random) -> Vec<Ipv4Net> {
    distinct(count, || {
        let length = match random.below(100) {
            0..3 => 16,
            3..20 => 20,
            20..40 => 22,
            40..98 => 24,
            _ => 28,
        };
        let address = random.below(0xe000_0000) as u32;
        Ipv4Net::new(address.into(), length).unwrap_or_default().trunc()
    })
}

fn distinct<T: Copy + Eq + std::hash::Hash>(count: usize, next: impl FnMut() -> T) -> Vec<T> {
    let mut seen = HashSet::new();
    let fresh = std::iter::repeat_with(next).filter(|prefix| seen.insert(*prefix));
    fresh.take(count).collect()
}

fn length(random: &mut Random) -> u8 {
    let mut share = random.below(1000);
    let of_share = LENGTHS.iter().find(|(_, of)| {
        let here = share < *of;
        share = share.saturating_sub(*of);
        here
    });
    of_share.map_or(48, |(length, _)| *length)
}

fn prefix6(address: u128, length: u8) -> Ipv6Net {
    Ipv6Net::new(address.into(), length).unwrap_or_default().trunc()
}
