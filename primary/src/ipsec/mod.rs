//! IPsec: SAs as workers use them, and the crypto devices behind them.
//!
//! ```text
//!   control thread ─ key, device ─► Session ─┐
//!                    Sa ─► esp::Inbound ─────┴─► InboundSa, OutboundSa ─ news ─► the worker whose it is
//! ```
//!
//! An SA belongs to one worker, which has its sequence numbers or its window to itself: chosen by the number of its record, so that
//! those of either direction spread.

mod carries;
mod crypto;
mod moved;
mod news;
mod sa;
mod told;

pub(crate) use carries::{Behind, Fronts};
pub use crypto::{Crypto, CryptoUnfit, SPARE_SESSIONS};
pub(crate) use moved::{Peer, source_port};
pub use news::{EspControl, EspNews, SaMatter, SaNews, SaSignal, news};
pub(crate) use sa::{Arrived, publish};
pub use sa::{InboundSa, MadeSa, OutboundSa, Parts, Prefetch, fill_in, outer};
pub(crate) use told::Told;

/// The worker that an SA belongs to. SAs are mostly made in pairs, of which one receives: those of a pair are of two workers, and the
/// next pair begins with the next worker, so that either direction is everybody's.
#[inline]
pub fn owner(slot: u32, workers: usize) -> usize {
    (slot / 2 + slot % 2) as usize % workers.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sas_of_pairs_spread_over_workers_in_either_direction() {
        for workers in 1..=16 {
            for (first, stride) in [(0, 1), (0, 2), (1, 2)] {
                let mut sas = vec![0u32; workers];
                for pair in 0..1_000 {
                    sas[owner(first + pair * stride, workers)] += 1;
                }
                let share = 1_000 / workers as u32;
                let even = share - 1..=share + 2;
                assert!(
                    sas.iter().all(|sas| even.contains(sas)),
                    "{workers} workers, each {stride}: {sas:?}"
                );
            }
        }
    }

    #[test]
    fn two_tunnels_use_both_of_two_workers_in_either_direction() {
        assert_eq!([0, 1, 2, 3].map(|slot| owner(slot, 2)), [0, 1, 1, 0]);
    }
}
