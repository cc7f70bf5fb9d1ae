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
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

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
        let [a, b, c, d, e, f] = self.0;
        let ports =
            u64::from(flow.source_port) << 16 | u64::from(flow.destination_port) | (kind as u64) << 32;
        let source = fold((flow.source >> 64) as u64 ^ a, flow.source as u64 ^ b);
        let destination = fold((flow.destination >> 64) as u64 ^ c, flow.destination as u64 ^ d);
        fold(fold(source ^ ports, destination.rotate_left(29) ^ e) ^ f, a | 1)
    }
}

/// Of a number and another, the same everywhere and always.
#[inline]
pub(crate) fn fixed(key: u128, more: u64) -> u64 {
    let low = key as u64 ^ 0x2d35_8dcc_aa6c_78a5;
    let high = (key >> 64) as u64 ^ 0x8bb8_4b93_962e_acc9;
    fold(
        fold(low, high) ^ more ^ 0x4b33_a62e_d433_d4a3,
        0x4d5a_2da5_1de1_aa47,
    )
}
