//! Token buckets: how many packets of a kind may go to the control thread.

/// Packets per second that are let through in the long run, per interface.
const RATE: u64 = 1000;
/// Packets that are let through at once.
const BURST: u64 = 256;
/// Interfaces that have a bucket of their own; others share by remainder.
const BUCKETS: usize = 64;

/// A token bucket per interface, counted in ticks of the time stamp counter.
pub(super) struct Policer {
    ticks_per_packet: u64,
    /// The time up to which each bucket's tokens are spent.
    spent_until: [u64; BUCKETS],
}

impl Policer {
    /// Full buckets at `now`.
    pub(super) fn new(tsc_hz: u64, now: u64) -> Self {
        let ticks_per_packet = (tsc_hz / RATE).max(1);
        Self {
            ticks_per_packet,
            spent_until: [now.saturating_sub(ticks_per_packet * BURST); BUCKETS],
        }
    }

    /// Whether one more packet of the interface may pass.
    pub(super) fn admit(&mut self, interface: u16, now: u64) -> bool {
        let spent = &mut self.spent_until[usize::from(interface) % BUCKETS];
        // A bucket holds no more than a burst, however long it was left alone.
        let from = (*spent).max(now.saturating_sub(self.ticks_per_packet * BURST));
        let admitted = from + self.ticks_per_packet <= now;
        if admitted {
            *spent = from + self.ticks_per_packet;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 1_000_000;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let start = 1_000 * HZ;
        let mut policer = Policer::new(HZ, start);
        let at_once = (0..1000).filter(|_| policer.admit(0, start)).count();
        assert_eq!(at_once as u64, BURST);
        let in_a_second = (0..HZ).filter(|tick| policer.admit(0, start + tick)).count() as u64;
        assert!((RATE - 2..=RATE).contains(&in_a_second), "{in_a_second}");
        let later = start + 3600 * HZ;
        assert_eq!(
            (0..1000).filter(|_| policer.admit(0, later)).count() as u64,
            BURST
        );
    }

    #[test]
    fn a_flood_on_one_interface_leaves_another_alone() {
        let mut policer = Policer::new(HZ, 1_000 * HZ);
        while policer.admit(0, 1_000 * HZ) {}
        assert!(policer.admit(1, 1_000 * HZ));
    }
}
