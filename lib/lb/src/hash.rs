//! Hashes: of flows with a secret, so that nobody outside can choose flows that collide, and of what is configured without one, so
//! that all workers and gateways agree.

use crate::config::Kind;
use crate::view::Flow;

/// Both halves of a product of 128 bits, added bit by bit: each bit of either factor reaches all of the result.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The next of a row of numbers that look random (SplitMix64).
#[inline]
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed(*seed)
}

/// A number, its bits so mixed that each hangs on all (SplitMix64's).
#[inline]
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What IPv4 addresses that are mapped begin with.
const MAPPED: u128 = 0xffff;

/// What one worker hashes flows with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys([u64; 6]);

impl Keys {
    /// Made of `secret`.
    pub(crate) fn new(mut secret: u64) -> Self {
        Self(std::array::from_fn(|_| next(&mut secret)))
    }

    /// Of a flow of this kind.
    #[inline]
    pub(crate) fn flow(&self, flow: &Flow, kind: Kind) -> u64 {
        if (flow.source >> 32, flow.destination >> 32) == (MAPPED, MAPPED) {
            let ports = u32::from(flow.source_port) << 16 | u32::from(flow.destination_port);
            return self.flow4(flow.source as u32, flow.destination as u32, ports, kind);
        }
        let [a, b, c, d, e, f] = self.0;
        let ports =
            u64::from(flow.source_port) << 16 | u64::from(flow.destination_port) | (kind as u64) << 32;
        let source = fold((flow.source >> 64) as u64 ^ a, flow.source as u64 ^ b);
        let destination = fold((flow.destination >> 64) as u64 ^ c, flow.destination as u64 ^ d);
        fold(fold(source ^ ports, destination.rotate_left(29) ^ e) ^ f, a | 1)
    }

    /// The same of a flow of IPv4, with its ports in a row.
    #[inline]
    pub(crate) fn flow4(&self, source: u32, destination: u32, ports: u32, kind: Kind) -> u64 {
        let [a, b, c, d, ..] = self.0;
        let addresses = u64::from(source) << 32 | u64::from(destination);
        let ports = (kind as u64) << 32 | u64::from(ports);
        fold(fold(addresses ^ a, ports ^ b) ^ c, d | 1)
    }
}

/// Of a number and another, the same everywhere and always.
#[inline]
pub(crate) fn fixed(key: u128, more: u64) -> u64 {
    let low = key as u64 ^ 0x2d35_8dcc_aa6c_78a5;
    let high = (key >> 64) as u64 ^ 0x8bb8_4b93_962e_acc9;
    // Numbers in a row are to be as far from each other as any, for the rings that are made of them.
    mixed(fold(low, high) ^ more.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 64,000 flows that differ as little as those of a test do, each of 64 places has its share, whichever bits name it.
    #[test]
    fn flows_in_a_row_are_spread_over_all_places() {
        let keys = Keys::new(1);
        let six = 0x2001_0db8_u128 << 96;
        for (shift, network) in [0, 16, 48, 58]
            .into_iter()
            .flat_map(|shift| [(shift, 0xffff << 32), (shift, six)])
        {
            let mut places = [0_u32; 64];
            for number in 0..64_000_u32 {
                let flow = Flow {
                    source: network | 0x0a00_0000 | u128::from(number / 64),
                    destination: network | 0xc0a8_0001,
                    source_port: 1024 + (number % 64) as u16,
                    destination_port: 80,
                };
                places[(keys.flow(&flow, Kind::Udp) >> shift) as usize % 64] += 1;
            }
            assert!(
                places.iter().all(|place| (800..1200).contains(place)),
                "{shift}: {places:?}"
            );
        }
    }

    #[test]
    fn other_secrets_and_other_kinds_hash_otherwise() {
        for network in [0, MAPPED << 32] {
            let flow = Flow {
                source: network,
                destination: network,
                ..Flow::default()
            };
            let hash = Keys::new(1).flow(&flow, Kind::Udp);
            assert_ne!(hash, Keys::new(2).flow(&flow, Kind::Udp));
            assert_ne!(hash, Keys::new(1).flow(&flow, Kind::Tcp));
            let other = Flow {
                source: network | 1,
                ..flow
            };
            assert_ne!(hash, Keys::new(1).flow(&other, Kind::Udp));
            assert_ne!(hash, Keys::new(1).flow(&other.reversed(), Kind::Udp));
        }
    }
}
