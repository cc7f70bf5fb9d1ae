//! What a tunnel has learned of its path: the longest inner packet that comes through, for a while. RFC 1191 section 6.3 has such
//! a figure forgotten after ten minutes, since the path may have become better.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Family;

/// Seconds for which a figure counts.
pub const LEARNED_SECONDS: u64 = 600;

/// Every link of IPv6 carries packets of this many bytes, so a tunnel does too: RFC 8200 section 5.
const LEAST_OF_SIX: u16 = packet::ipv6::MIN_MTU as u16;

/// Ticks that are one unit of the clock below, as a power of two: 48 bits of it are 200 years.
const UNIT: u32 = 16;

/// The longest inner packet, shared by all workers: written by whoever learns of it, one word.
///
/// ```text
///    63                             16 15              0
///   | until when, units of 2^16 ticks | bytes            |     zero: nothing was learned
/// ```
#[derive(Debug, Default)]
pub struct PathMtu(AtomicU64);

impl PathMtu {
    /// Learns that no longer inner packets come through, which counts until a time. A longer figure than the one that counts is
    /// not believed: RFC 1191 section 3. Gives whether it is a shorter one.
    pub fn learn(&self, mtu: u16, now: u64, until: u64) -> bool {
        let before = self.at(now);
        if mtu <= before {
            let word = until >> UNIT << UNIT | u64::from(mtu);
            self.0.store(word, Ordering::Relaxed);
        }
        mtu < before
    }

    /// The longest inner packet at a time, as far as was learned.
    #[inline]
    pub fn at(&self, now: u64) -> u16 {
        let word = self.0.load(Ordering::Relaxed);
        if word >> UNIT > now >> UNIT {
            word as u16
        } else {
            u16::MAX
        }
    }

    /// The longest inner packet of either family now.
    #[inline]
    pub(super) fn least(&self) -> u16 {
        self.of(Family::Four)
    }

    /// The longest inner packet of a family now. One of IPv6 is never told to be shorter than every link carries: what is too long
    /// then goes in an outer packet that is cut, RFC 4213 section 3.2.2 and RFC 2473 section 7.1.
    #[inline]
    pub(super) fn of(&self, family: Family) -> u16 {
        // Usually there is nothing to look at the clock for.
        if self.0.load(Ordering::Relaxed) == 0 {
            return u16::MAX;
        }
        let learned = self.at(dpdk::tsc());
        match family {
            Family::Four => learned,
            Family::Six => learned.max(LEAST_OF_SIX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 5 << UNIT;
    const LATER: u64 = 9 << UNIT;

    #[test]
    fn what_was_learned_counts_for_a_while() {
        let mtu = PathMtu::default();
        assert_eq!(mtu.at(NOW), u16::MAX);
        mtu.learn(1300, NOW, LATER);
        assert_eq!(
            [NOW, LATER - 1, LATER].map(|now| mtu.at(now)),
            [1300, 1300, u16::MAX]
        );
    }

    #[test]
    fn only_a_shorter_figure_is_believed_while_one_counts() {
        let mtu = PathMtu::default();
        assert!(mtu.learn(1300, NOW, LATER));
        assert!(!mtu.learn(1400, NOW, 2 * LATER));
        assert_eq!((mtu.at(NOW), mtu.at(LATER)), (1300, u16::MAX));
        assert!(mtu.learn(1200, NOW, 2 * LATER));
        assert_eq!((mtu.at(NOW), mtu.at(LATER)), (1200, 1200));
        assert!(!mtu.learn(1200, NOW, 2 * LATER));
        assert!(mtu.learn(1400, 2 * LATER, 3 * LATER));
        assert_eq!(mtu.at(2 * LATER), 1400);
    }

    #[test]
    fn a_packet_of_ipv6_is_told_no_less_than_every_link_carries() {
        let mtu = PathMtu::default();
        assert_eq!(
            [Family::Four, Family::Six].map(|family| mtu.of(family)),
            [u16::MAX; 2]
        );
        mtu.learn(1000, 0, u64::MAX);
        assert_eq!(
            [Family::Four, Family::Six].map(|family| mtu.of(family)),
            [1000, 1280]
        );
    }
}
