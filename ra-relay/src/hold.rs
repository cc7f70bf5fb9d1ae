//! Things that wait for their time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Things in the order in which their time comes; those of the same time in the order in which they were put in.
#[derive(Debug)]
pub struct Held<T> {
    waiting: BTreeMap<(Instant, u64), T>,
    count: u64,
}

impl<T> Held<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            count: 0,
        }
    }

    /// Keeps something until a time.
    pub fn put(&mut self, until: Instant, what: T) {
        self.count += 1;
        self.waiting.insert((until, self.count), what);
    }

    /// The next of those whose time has come.
    pub fn due(&mut self, now: Instant) -> Option<T> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// How long until the next one's time.
    pub fn next(&self, now: Instant) -> Option<Duration> {
        let ((until, _), _) = self.waiting.first_key_value()?;
        Some(until.saturating_duration_since(now))
    }

    /// Takes the next one out, whenever its time is.
    pub fn take(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, what)| what)
    }
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_at_its_time_and_what_has_the_same_time_in_its_order() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut held = Held::new();
        for (milliseconds, what) in [(20, "b"), (10, "a"), (20, "c"), (30, "d"), (20, "e")] {
            held.put(at(milliseconds), what);
        }
        assert_eq!(held.next(at(4)), Some(Duration::from_millis(6)));
        assert_eq!(held.due(at(9)), None);
        assert_eq!(held.due(at(10)), Some("a"));
        assert_eq!(held.due(at(10)), None);
        let mut due = || held.due(at(25));
        assert_eq!(
            [due(), due(), due(), due()],
            [Some("b"), Some("c"), Some("e"), None]
        );
        assert_eq!(held.next(at(40)), Some(Duration::ZERO));
        assert_eq!(
            (held.take(), held.take(), held.next(at(40))),
            (Some("d"), None, None)
        );
    }
}
