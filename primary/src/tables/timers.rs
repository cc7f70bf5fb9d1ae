//! What is due when, and the jitter that keeps neighbours from being asked all at once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use control::message::SaId;
use packet::MacAddress;

use super::neighbor_set::NeighborId;

/// Something that becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A neighbour's next step.
    Neighbor(NeighborId),
    /// An address is announced once more.
    Announcement {
        /// On this interface.
        interface: u16,
        /// The address.
        address: IpAddr,
    },
    /// An address was looked for on the link for long enough.
    Detection {
        /// On this interface.
        interface: u16,
        /// The address.
        address: Ipv6Addr,
    },
    /// A solicitation for the address of all routers of a subnet is answered.
    AnycastAnswer {
        /// By this interface.
        interface: u16,
        /// The address.
        target: Ipv6Addr,
        /// To this one; unspecified: to all nodes.
        asker: Ipv6Addr,
        /// And there.
        mac: MacAddress,
    },
    /// A lifetime of an SA is over.
    Sa {
        /// The SA.
        id: SaId,
        /// Whether that was its last.
        hard: bool,
    },
    /// An SA may have sent nothing for so long that it has to send a keepalive.
    SaKeepalive(SaId),
    /// Subscribers are told what happened to SAs.
    SaChanges,
    /// Subscribers are told of tunnels that packets were for which have no SA to send by.
    Acquires,
}

/// Deadlines in order. One that is moved leaves nothing behind, so that a flood of ARP cannot make the set grow.
#[derive(Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Duration, Timer)>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn set(&mut self, at: Duration, timer: Timer) {
        self.queue.insert((at, timer));
    }

    /// Forgets what was set for `at`.
    pub(super) fn cancel(&mut self, at: Duration, timer: Timer) {
        self.queue.remove(&(at, timer));
    }

    /// The earliest of what is due at `now`.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Timer> {
        self.queue.first().filter(|(at, _)| *at <= now)?;
        self.queue.pop_first().map(|(_, timer)| timer)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }
}

/// Random factors, RFC 4861 section 6.3.2: xorshift64*, no secret. Two gateways differ by their MAC addresses.
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn stir(&mut self, mac: MacAddress) {
        // A state of zero would stay zero.
        self.0 = (self.0.rotate_left(17) ^ mac.to_bits()).max(1);
    }

    /// 0.5 to 1.5 times `base`, uniformly.
    pub(super) fn around(&mut self, base: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thousandths = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % 1001;
        // At most 1000, which fits.
        base / 2 + base * thousandths as u32 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_fills_half_to_one_and_a_half_and_nothing_else() {
        let mut jitter = Jitter::new();
        jitter.stir(MacAddress([2, 0, 0, 0, 0, 1]));
        let base = Duration::from_secs(30);
        let times: Vec<_> = (0..10_000).map(|_| jitter.around(base)).collect();
        assert!(times.iter().all(|time| (base / 2..=base * 3 / 2).contains(time)));
        let tenths: BTreeSet<u128> = times
            .iter()
            .map(|time| (time.as_millis() - 15_000) / 3_001)
            .collect();
        assert_eq!(tenths.len(), 10);
        let mean = times.iter().sum::<Duration>() / 10_000;
        assert!(mean.abs_diff(base) < Duration::from_millis(500), "{mean:?}");
    }

    #[test]
    fn timers_come_due_in_order_and_not_before() {
        let mut timers = Timers::new();
        let timer = |last| Timer::Announcement {
            interface: 0,
            address: [10, 0, 0, last].into(),
        };
        let at = Duration::from_secs;
        timers.set(at(3), timer(3));
        timers.set(at(1), timer(1));
        timers.set(at(2), timer(2));
        timers.cancel(at(2), timer(2));
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.take_due(Duration::from_millis(999)), None);
        assert_eq!(timers.take_due(at(3)), Some(timer(1)));
        assert_eq!(timers.take_due(at(3)), Some(timer(3)));
        assert_eq!(timers.next(), None);
    }
}
