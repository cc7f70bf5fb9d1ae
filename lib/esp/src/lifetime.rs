//! How much an SA may carry (RFC 4301 §4.4.2.1): a soft limit, at which a successor is made, and a hard one, at which it ends.
//! Seconds are the control thread's.

/// Limits of a kind; those that are `None` are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the SA protects.
    pub bytes: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
}

/// What a packet means for its SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The SA goes on.
    Lasts,
    /// The SA goes on, and has reached a soft limit. Said once.
    Soft,
    /// This packet is beyond a hard limit: neither it nor another may go.
    Ended,
}

/// Counts what an SA carries.
///
/// ```
/// use esp::lifetime::{Life, Lifetime, Limits};
///
/// let packets = |packets| Limits { bytes: None, packets: Some(packets) };
/// let mut lifetime = Lifetime::new(packets(2), packets(3));
/// let lives: Vec<Life> = (0..4).map(|_| lifetime.count(100)).collect();
/// assert_eq!(lives, [Life::Lasts, Life::Soft, Life::Lasts, Life::Ended]);
/// assert_eq!((lifetime.packets(), lifetime.bytes()), (3, 300));
/// ```
#[derive(Debug)]
pub struct Lifetime {
    bytes: u64,
    packets: u64,
    /// Above these something is to be said.
    due: Bounds,
    hard: Bounds,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    bytes: u64,
    packets: u64,
}

impl Bounds {
    fn of(limits: Limits) -> Bounds {
        Bounds {
            bytes: limits.bytes.unwrap_or(u64::MAX),
            packets: limits.packets.unwrap_or(u64::MAX),
        }
    }

    #[inline]
    fn hold(self, bytes: u64, packets: u64) -> bool {
        bytes <= self.bytes && packets <= self.packets
    }
}

impl Lifetime {
    /// The life of an SA that has carried nothing. Up to and with the hard limit, packets go; the soft limit is said when it is
    /// reached.
    pub fn new(soft: Limits, hard: Limits) -> Lifetime {
        let before = |limit: Option<u64>| limit.map(|limit| limit.saturating_sub(1));
        let (soft, hard) = (
            Bounds::of(Limits {
                bytes: before(soft.bytes),
                packets: before(soft.packets),
            }),
            Bounds::of(hard),
        );
        let due = Bounds {
            bytes: soft.bytes.min(hard.bytes),
            packets: soft.packets.min(hard.packets),
        };
        Lifetime {
            bytes: 0,
            packets: 0,
            due,
            hard,
            ended: false,
        }
    }

    /// Whether so many packets with so many bytes in all mean nothing for the SA: then [`Lifetime::carry`] may count them together.
    #[inline]
    pub fn has_room(&self, packets: usize, bytes: usize) -> bool {
        let (bytes, packets) = self.with(packets, bytes);
        self.due.hold(bytes, packets)
    }

    /// Counts packets that there was room for.
    #[inline]
    pub fn carry(&mut self, packets: usize, bytes: usize) {
        (self.bytes, self.packets) = self.with(packets, bytes);
    }

    #[inline]
    fn with(&self, packets: usize, bytes: usize) -> (u64, u64) {
        let bytes = self.bytes.saturating_add(bytes as u64);
        (bytes, self.packets.saturating_add(packets as u64))
    }

    /// Counts a packet with a payload of `len` bytes, unless the SA's life has ended.
    #[inline]
    pub fn count(&mut self, len: usize) -> Life {
        let (bytes, packets) = self.with(1, len);
        if !self.due.hold(bytes, packets) {
            return self.overdue(bytes, packets);
        }
        (self.bytes, self.packets) = (bytes, packets);
        Life::Lasts
    }

    #[cold]
    fn overdue(&mut self, bytes: u64, packets: u64) -> Life {
        self.ended |= !self.hard.hold(bytes, packets);
        if self.ended {
            // Whatever comes, however short, ends here.
            (self.due.bytes, self.due.packets) = (0, 0);
            return Life::Ended;
        }
        self.due = self.hard;
        (self.bytes, self.packets) = (bytes, packets);
        Life::Soft
    }

    /// Bytes carried.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets carried.
    #[inline]
    pub fn packets(&self) -> u64 {
        self.packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(most: u64) -> Limits {
        Limits {
            bytes: Some(most),
            packets: None,
        }
    }

    fn packets(most: u64) -> Limits {
        Limits {
            bytes: None,
            packets: Some(most),
        }
    }

    fn lives(lifetime: &mut Lifetime, lengths: &[usize]) -> Vec<Life> {
        lengths.iter().map(|len| lifetime.count(*len)).collect()
    }

    #[test]
    fn without_limits_it_lasts() {
        let mut lifetime = Lifetime::new(Limits::default(), Limits::default());
        assert_eq!(lives(&mut lifetime, &[usize::MAX; 3]), [Life::Lasts; 3]);
    }

    #[test]
    fn bytes_end_it_at_the_packet_that_would_go_beyond_and_for_good() {
        use Life::{Ended, Lasts, Soft};
        let mut lifetime = Lifetime::new(bytes(200), bytes(300));
        let seen = lives(&mut lifetime, &[100, 99, 1, 100, 1, 0, 0]);
        assert_eq!(seen, [Lasts, Lasts, Soft, Lasts, Ended, Ended, Ended]);
        assert_eq!((lifetime.bytes(), lifetime.packets()), (300, 4));
    }

    #[test]
    fn a_packet_that_jumps_over_both_limits_ends_it() {
        let mut lifetime = Lifetime::new(bytes(200), bytes(300));
        assert_eq!(lives(&mut lifetime, &[301, 1]), [Life::Ended; 2]);
        assert_eq!((lifetime.bytes(), lifetime.packets()), (0, 0));
    }

    #[test]
    fn the_soft_limit_that_comes_first_is_said_and_no_other() {
        use Life::{Ended, Lasts, Soft};
        let mut lifetime = Lifetime::new(
            Limits {
                bytes: Some(300),
                packets: Some(2),
            },
            Limits {
                bytes: Some(1000),
                packets: Some(5),
            },
        );
        let seen = lives(&mut lifetime, &[100; 6]);
        assert_eq!(seen, [Lasts, Soft, Lasts, Lasts, Lasts, Ended]);
    }

    #[test]
    fn a_soft_limit_at_or_above_the_hard_one_is_never_above_it() {
        use Life::{Ended, Lasts, Soft};
        let mut lifetime = Lifetime::new(packets(3), packets(3));
        assert_eq!(lives(&mut lifetime, &[1; 4]), [Lasts, Lasts, Soft, Ended]);
        let mut lifetime = Lifetime::new(packets(9), packets(3));
        assert_eq!(lives(&mut lifetime, &[1; 5]), [Lasts, Lasts, Lasts, Ended, Ended]);
        let mut lifetime = Lifetime::new(Limits::default(), packets(0));
        assert_eq!(lives(&mut lifetime, &[1; 2]), [Ended, Ended]);
    }

    #[test]
    fn packets_that_there_is_room_for_count_together_as_one_by_one() {
        for soft in 0..12 {
            for count in 1..8 {
                let limits = |packets, bytes| Limits { packets, bytes };
                for (soft, hard) in [
                    (limits(Some(soft), None), limits(Some(10), None)),
                    (limits(None, Some(soft * 100)), limits(None, Some(1000))),
                ] {
                    let (mut one, mut other) = (Lifetime::new(soft, hard), Lifetime::new(soft, hard));
                    let lives: Vec<_> = (0..count).map(|_| one.count(100)).collect();
                    let room = other.has_room(count, count * 100);
                    assert_eq!(room, lives.iter().all(|life| *life == Life::Lasts));
                    if room {
                        other.carry(count, count * 100);
                        assert_eq!((other.packets(), other.bytes()), (one.packets(), one.bytes()));
                    }
                }
            }
        }
    }
}
