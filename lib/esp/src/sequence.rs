//! Sequence numbers of what an SA sends (RFC 4303 §2.2, §3.3.3): each once, from 1 on, and none after the last.
//!
//! ```text
//!   without ESN    1 .. 2^32 - 1      all of it in the packet
//!   with ESN       1 .. 2^64 - 1      its low half in the packet; both are authenticated (§2.2.1)
//! ```

use std::fmt;

/// The number of a packet within its SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub(crate) u64);

impl SequenceNumber {
    /// All of it.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The half that the packet has.
    #[inline]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// The half that it has not; 0 without ESN.
    #[inline]
    pub const fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All sequence numbers of the SA are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SA has sent as many packets as it has sequence numbers; it needs a successor with other keys")]
pub struct SequenceEnded;

/// Hands out the sequence numbers of an outbound SA.
///
/// ```
/// use esp::Sequence;
///
/// let mut sequence = Sequence::new(false);
/// assert_eq!(sequence.next()?.get(), 1);
/// let mut sequence = Sequence::resumed(false, u64::from(u32::MAX) - 1);
/// assert_eq!(sequence.next()?.get(), 0xffff_ffff);
/// assert!(sequence.next().is_err());
/// # Ok::<(), esp::SequenceEnded>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    last: u64,
    end: u64,
}

impl Sequence {
    /// The numbers of a new SA, of 64 bits if it has extended sequence numbers.
    pub const fn new(esn: bool) -> Sequence {
        Sequence::resumed(esn, 0)
    }

    /// The numbers of an SA that has sent before, up to and with `last`: that or a later one, never an earlier.
    pub const fn resumed(esn: bool, last: u64) -> Sequence {
        let end = if esn { u64::MAX } else { u32::MAX as u64 };
        let last = if last < end { last } else { end };
        Sequence { last, end }
    }

    /// The next number, which is never given again.
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "the end of an SA is an error, not the end of a list"
    )]
    pub fn next(&mut self) -> Result<SequenceNumber, SequenceEnded> {
        if self.last == self.end {
            return Err(SequenceEnded);
        }
        self.last += 1;
        Ok(SequenceNumber(self.last))
    }

    /// Whether they have 64 bits.
    pub(crate) const fn esn(&self) -> bool {
        self.end == u64::MAX
    }

    /// The last that was given, 0 before the first.
    #[inline]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// How many are left.
    #[inline]
    pub const fn left(&self) -> u64 {
        self.end - self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_one_and_go_up_by_one() {
        for esn in [false, true] {
            let mut sequence = Sequence::new(esn);
            let numbers: Vec<_> = (0..3).map(|_| sequence.next().unwrap().get()).collect();
            assert_eq!((numbers, sequence.last()), (vec![1, 2, 3], 3));
        }
    }

    #[test]
    fn the_last_number_is_the_last() {
        for (esn, end) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
            let mut sequence = Sequence::resumed(esn, end - 2);
            assert_eq!(sequence.left(), 2);
            assert_eq!(sequence.next().unwrap().get(), end - 1);
            assert_eq!(sequence.next().unwrap().get(), end);
            for _ in 0..3 {
                assert_eq!(sequence.next(), Err(SequenceEnded));
            }
            assert_eq!((sequence.last(), sequence.left()), (end, 0));
        }
        assert_eq!(Sequence::resumed(false, u64::MAX).next(), Err(SequenceEnded));
    }

    #[test]
    fn with_esn_the_high_half_counts_on() {
        let mut sequence = Sequence::resumed(true, 0xffff_ffff);
        let number = sequence.next().unwrap();
        assert_eq!((number.high(), number.low()), (1, 0));
        assert_eq!(number.to_string(), "4294967296");
    }
}
