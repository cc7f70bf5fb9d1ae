//! Token buckets: how many packets of a kind may go to the control thread or to the kernel, and how many ICMP errors may be
//! sent.

use control::message::PuntClass;

use crate::attachments::ClassPolicy;

/// ICMP errors to an interface: RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f).
const ERRORS: (u64, u64) = (1000, 100);
/// Interfaces that have a bucket of their own; others share by remainder.
const BUCKETS: usize = 64;

/// A token bucket, counted in ticks of the time stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    ticks_per_packet: u64,
    /// Ticks that a full bucket is worth.
    full: u64,
    /// The time up to which its tokens are spent.
    spent_until: u64,
}

impl Bucket {
    /// A full bucket at `now`: `rate` packets per second, `burst` at once.
    pub fn new(tsc_hz: u64, rate: u64, burst: u64, now: u64) -> Self {
        let ticks_per_packet = (tsc_hz / rate.max(1)).max(1);
        let full = ticks_per_packet.saturating_mul(burst.max(1));
        Self {
            ticks_per_packet,
            full,
            spent_until: now.saturating_sub(full),
        }
    }

    /// Whether one more packet may pass.
    #[inline]
    pub fn admit(&mut self, now: u64) -> bool {
        let spent = self.spent_with_next(now);
        let admitted = spent <= now;
        if admitted {
            self.spent_until = spent;
        }
        admitted
    }

    /// Whether one more packet might pass.
    #[inline]
    pub(super) fn would_admit(&self, now: u64) -> bool {
        self.spent_with_next(now) <= now
    }

    fn spent_with_next(&self, now: u64) -> u64 {
        // A bucket holds no more than a burst, however long it was left alone.
        self.spent_until.max(now.saturating_sub(self.full)) + self.ticks_per_packet
    }
}

/// The policers of a worker.
pub(super) struct Policers {
    pub(super) arp: Policer,
    pub(super) nd: Policer,
    pub(super) errors: Policer,
    pub(super) kernel: Policer,
}

impl Policers {
    /// Full buckets at `now`, for each interface those that the classes' policies say.
    pub(super) fn new(policies: &[ClassPolicy; PuntClass::COUNT], tsc_hz: u64, now: u64) -> Self {
        let of_class = |class| of_class(policies, class, tsc_hz, now);
        Self {
            arp: of_class(PuntClass::Arp),
            nd: of_class(PuntClass::Nd),
            errors: Policer::new(tsc_hz, ERRORS, now),
            kernel: of_class(PuntClass::Kernel),
        }
    }

    /// Other policies from `now` on; ICMP errors have the buckets that they had.
    pub(super) fn set(&mut self, policies: &[ClassPolicy; PuntClass::COUNT], tsc_hz: u64, now: u64) {
        self.arp = of_class(policies, PuntClass::Arp, tsc_hz, now);
        self.nd = of_class(policies, PuntClass::Nd, tsc_hz, now);
        self.kernel = of_class(policies, PuntClass::Kernel, tsc_hz, now);
    }
}

fn of_class(policies: &[ClassPolicy; PuntClass::COUNT], class: PuntClass, tsc_hz: u64, now: u64) -> Policer {
    let policy = &policies[class as usize];
    Policer::new(tsc_hz, (policy.rate.into(), policy.burst.into()), now)
}

/// A bucket per interface.
pub(super) struct Policer([Bucket; BUCKETS]);

impl Policer {
    /// Full buckets at `now` of so many packets per second, and so many at once.
    pub(super) fn new(tsc_hz: u64, (rate, burst): (u64, u64), now: u64) -> Self {
        Self([Bucket::new(tsc_hz, rate, burst, now); BUCKETS])
    }

    /// Whether one more packet of the interface may pass.
    pub(super) fn admit(&mut self, interface: u16, now: u64) -> bool {
        self.0[usize::from(interface) % BUCKETS].admit(now)
    }

    /// Whether one more packet of the interface might pass. It takes nothing: for packets that may turn out not to want to.
    pub(super) fn would_admit(&self, interface: u16, now: u64) -> bool {
        self.0[usize::from(interface) % BUCKETS].would_admit(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 1_000_000;
    const RATE: u64 = 1000;
    const BURST: u64 = 256;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let start = 1_000 * HZ;
        let mut policer = Policer::new(HZ, (RATE, BURST), start);
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
    fn to_ask_takes_nothing() {
        let now = 1_000 * HZ;
        let mut policer = Policer::new(HZ, (RATE, 1), now);
        assert!(policer.would_admit(0, now) && policer.would_admit(0, now));
        assert!(policer.admit(0, now));
        assert!(!policer.would_admit(0, now));
    }

    #[test]
    fn other_policies_leave_the_bucket_of_errors_as_it_is() {
        let policy = |burst| ClassPolicy {
            fail: control::message::FailMode::Open,
            rate: 1,
            burst,
            deadline_ms: 1000,
        };
        let now = 1_000 * HZ;
        let mut policers = Policers::new(&[policy(1); PuntClass::COUNT], HZ, now);
        while policers.errors.admit(0, now) {}
        policers.set(&[policy(3); PuntClass::COUNT], HZ, now);
        let admitted = |policer: &mut Policer| (0..9).filter(|_| policer.admit(0, now)).count();
        assert_eq!(
            [
                &mut policers.arp,
                &mut policers.nd,
                &mut policers.kernel,
                &mut policers.errors
            ]
            .map(admitted),
            [3, 3, 3, 0]
        );
    }

    #[test]
    fn a_flood_on_one_interface_leaves_another_alone() {
        let mut policer = Policer::new(HZ, (RATE, BURST), 1_000 * HZ);
        while policer.admit(0, 1_000 * HZ) {}
        assert!(policer.admit(1, 1_000 * HZ));
    }
}
