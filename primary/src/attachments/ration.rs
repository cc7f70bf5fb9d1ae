//! How much a worker takes for a capture of what matches: a sample, and a budget.
//!
//! A budget is a bucket that fills with time. What does not fit in the long run is left out evenly: from what there was to take in the
//! last hundredth of a second follows of how many packets one is taken in the next.

use control::message::{Budget, Sample, SampleBy};

use crate::worker::spread;

/// Hundredths of a second.
const WINDOWS: u64 = 100;

/// Units of a tick, so that a byte of the fastest line costs some.
const UNITS: u64 = 256;

/// A worker's share of what a capture may take.
#[derive(Clone, Debug)]
pub struct Ration {
    sample: Option<Sample>,
    /// Packets until the next of the sample.
    until_sample: u32,
    packets: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Ticks of a window.
    window: u64,
    /// When this one began.
    began: u64,
    /// One of so many packets is taken in it.
    stride: u64,
    /// Packets until the next is taken.
    until_taken: u64,
}

/// What is left of a budget. It may be overdrawn by a packet, and nothing is taken until that is paid.
#[derive(Clone, Debug)]
struct Bucket {
    /// What one costs, units.
    cost: u64,
    credit: i64,
    most: i64,
    /// When credit was given last.
    since: u64,
    /// What all that there was would have cost in this window.
    asked: u64,
}

impl Bucket {
    fn new(cost: u64, window: u64, now: u64) -> Self {
        Self {
            cost,
            credit: 0,
            most: (window * UNITS).cast_signed(),
            since: now,
            asked: 0,
        }
    }

    fn refill(&mut self, now: u64) {
        let ticks = now.saturating_sub(self.since).min(1 << 40);
        self.since = now;
        self.credit = (self.credit + (ticks * UNITS).cast_signed()).min(self.most);
    }

    /// Of how many packets one is to be taken, after so many ticks.
    fn stride(&mut self, ticks: u64) -> u64 {
        let asked = std::mem::take(&mut self.asked);
        asked.div_ceil((ticks * UNITS).max(1))
    }
}

impl Ration {
    /// The share of one of so many workers; `None` where everything is taken.
    pub fn new(budget: &Budget, workers: u64, tsc_hz: u64, now: u64) -> Option<Self> {
        if *budget == Budget::default() {
            return None;
        }
        let window = tsc_hz / WINDOWS;
        let per_second = tsc_hz.saturating_mul(UNITS).saturating_mul(workers);
        let bucket = |cost: u64| Bucket::new(cost.max(1), window, now);
        let bits = |mbps: u64| mbps.saturating_mul(1_000_000);
        Some(Self {
            sample: budget.sample,
            until_sample: 0,
            packets: budget.max_pps.map(|pps| bucket(per_second / pps.max(1))),
            bytes: budget
                .max_mbps
                .map(|mbps| bucket(per_second.saturating_mul(8) / bits(mbps.max(1)))),
            window,
            began: now,
            stride: 1,
            until_taken: 0,
        })
    }

    /// Whether a frame that matched is taken, of which so many bytes would be kept.
    pub fn takes(&mut self, frame: &[u8], bytes: usize, now: u64) -> bool {
        self.is_sampled(frame) && self.is_affordable(bytes as u64, now)
    }

    fn is_sampled(&mut self, frame: &[u8]) -> bool {
        match self.sample {
            None => true,
            Some(Sample {
                every,
                by: SampleBy::Flow,
            }) => {
                // The high bits are the well-mixed ones. What is no IP packet is always in.
                let hash = spread::flow(frame).unwrap_or(0);
                (u64::from(hash) * u64::from(every)) >> 32 == 0
            }
            Some(Sample {
                every,
                by: SampleBy::Packet,
            }) => {
                let left = self.until_sample.checked_sub(1);
                self.until_sample = left.unwrap_or(every.saturating_sub(1));
                left.is_none()
            }
        }
    }

    fn is_affordable(&mut self, bytes: u64, now: u64) -> bool {
        let ticks = now.saturating_sub(self.began);
        let ends = ticks >= self.window;
        let (mut stride, mut has_credit) = (1, true);
        for (bucket, amount) in [(&mut self.packets, 1), (&mut self.bytes, bytes)] {
            let Some(bucket) = bucket else { continue };
            bucket.refill(now);
            if ends {
                stride = bucket.stride(ticks).max(stride);
            }
            bucket.asked = bucket.asked.saturating_add(bucket.cost.saturating_mul(amount));
            has_credit &= bucket.credit >= 0;
        }
        if ends {
            (self.began, self.stride) = (now, stride);
            self.until_taken = self.until_taken.min(stride - 1);
        }
        if let Some(left) = self.until_taken.checked_sub(1) {
            self.until_taken = left;
            return false;
        }
        if !has_credit {
            return false;
        }
        self.until_taken = self.stride - 1;
        for (bucket, amount) in [(&mut self.packets, 1), (&mut self.bytes, bytes)] {
            let Some(bucket) = bucket else { continue };
            let cost = bucket.cost.saturating_mul(amount).min(1 << 60);
            bucket.credit -= cost.cast_signed();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use packet::{MacAddress, PacketBuilder};

    use super::*;

    const HZ: u64 = 2_000_000_000;

    fn ration(budget: Budget, workers: u64) -> Ration {
        Ration::new(&budget, workers, HZ, 0).unwrap()
    }

    /// Which of so many packets per second of 100 bytes are taken, for a second.
    fn taken(ration: &mut Ration, pps: u64) -> Vec<u64> {
        let is_taken = |number: &u64| ration.takes(&[], 100, number * HZ / pps);
        (0..pps).filter(is_taken).collect()
    }

    #[test]
    fn without_a_budget_there_is_no_ration() {
        assert!(Ration::new(&Budget::default(), 1, HZ, 0).is_none());
    }

    #[test]
    fn over_its_budget_a_capture_takes_as_many_as_it_may_spread_over_all() {
        for (max_pps, workers, pps, expected) in [
            (1000, 1, 100_000, 1000),
            (1000, 2, 100_000, 500),
            (10, 1, 5000, 10),
            (50_000, 1, 1_000_000, 50_000),
            (1000, 1, 900, 900),
        ] {
            let budget = Budget {
                max_pps: Some(max_pps),
                ..Budget::default()
            };
            let taken = taken(&mut ration(budget, workers), pps);
            let count = taken.len() as u64;
            assert!(
                count <= expected + expected / 50 + 2 && count >= expected - expected / 10,
                "{count} of {pps}, not {expected}"
            );
            // In each fifth of the second a fifth of them.
            for fifth in 0..5 {
                let range = pps * fifth / 5..pps * (fifth + 1) / 5;
                let here = taken.iter().filter(|number| range.contains(number)).count() as u64;
                assert!(
                    here.abs_diff(count / 5) <= count / 50 + 2,
                    "{here} of {count} in fifth {fifth} of {pps}"
                );
            }
        }
    }

    #[test]
    fn bytes_have_a_budget_of_their_own() {
        let budget = Budget {
            max_mbps: Some(8),
            ..Budget::default()
        };
        // A million bytes per second are 10,000 of these packets.
        let count = taken(&mut ration(budget, 1), 200_000).len();
        assert!((9_000..=10_200).contains(&count), "{count}");
    }

    #[test]
    fn a_sample_by_packet_is_every_nth_and_one_by_flow_has_all_of_a_flow() {
        let sample = |every, by| Budget {
            sample: Some(Sample { every, by }),
            ..Budget::default()
        };
        let mut by_packet = ration(sample(7, SampleBy::Packet), 1);
        assert_eq!(taken(&mut by_packet, 70), (0..70).step_by(7).collect::<Vec<_>>());
        let mut by_flow = ration(sample(4, SampleBy::Flow), 1);
        let frame = |from: u16, to: u16, back: bool| {
            let link = PacketBuilder::ethernet(MacAddress::BROADCAST, MacAddress::BROADCAST);
            let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            if back {
                link.ipv4(b, a).udp(to, from, b"")
            } else {
                link.ipv4(a, b).udp(from, to, b"")
            }
        };
        let mut flows = 0;
        for port in 1000..2000 {
            let forth = by_flow.takes(&frame(port, 53, false), 60, 0);
            assert_eq!(by_flow.takes(&frame(port, 53, true), 60, 0), forth);
            flows += usize::from(forth);
        }
        assert!((200..300).contains(&flows), "{flows} of 1000 flows");
    }
}
