//! How long packets took, in powers of two.

use std::time::Duration;

/// Classes: below 1 ns, below 2 ns, below 4 ns and so on, up to 9 minutes.
const CLASSES: usize = 40;

/// How often something took how long.
#[derive(Clone, Debug)]
pub struct Histogram {
    classes: [u64; CLASSES],
    count: u64,
}

impl Histogram {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            classes: [0; CLASSES],
            count: 0,
        }
    }

    /// Takes one; what took longer than the last class is of that one.
    #[inline]
    pub fn add(&mut self, nanoseconds: u64) {
        let class = (u64::BITS - nanoseconds.leading_zeros()) as usize;
        self.classes[class.min(CLASSES - 1)] += 1;
        self.count += 1;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What so many of a hundred took at most: the end of a class, so up to twice what it was. `None` if there was none.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let wanted = (self.count as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut below = 0;
        for (class, count) in self.classes.iter().enumerate() {
            below += count;
            if below >= wanted {
                return Some(Duration::from_nanos(1 << class));
            }
        }
        None
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_end_of_its_class() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50.0), None);
        for nanoseconds in [0, 900, 1000, 1023, 5000] {
            histogram.add(nanoseconds);
        }
        assert_eq!(histogram.percentile(1.0), Some(Duration::from_nanos(1)));
        assert_eq!(histogram.percentile(50.0), Some(Duration::from_nanos(1024)));
        assert_eq!(histogram.percentile(100.0), Some(Duration::from_nanos(8192)));
        histogram.add(u64::MAX);
        assert_eq!(histogram.percentile(100.0), Some(Duration::from_nanos(1 << 39)));
        assert_eq!(histogram.count(), 6);
    }
}
