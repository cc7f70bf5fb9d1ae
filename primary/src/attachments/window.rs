//! How many packets may be with a tool at a time: as many as it has slots, and fewer while it is so far behind that packets were
//! taken from it.
//!
//! ```text
//!   answered, nobody behind      one more
//!   answered                     one more for as many answers as may be with it
//!   taken from it unanswered     half as many, and no fewer for those that it had before
//! ```
//!
//! Under overload, packets that go by the tool stay behind those of their flow that it has. The more it has, the more stay there, and
//! when there is no room for them, those before them are taken from the tool: its work on them is lost. A tool with all slots
//! in use would so work on nothing but packets that are gone. With fewer it answers in time about as many as it can.

/// What may be with a tool.
#[derive(Debug)]
pub(super) struct Window {
    /// Slots that there are.
    slots: usize,
    limit: usize,
    /// In time since the limit went up.
    answers: usize,
    /// When the limit was halved, ticks.
    halved: u64,
}

impl Window {
    /// For a tool with so many slots.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            limit: slots,
            answers: 0,
            halved: 0,
        }
    }

    /// Whether one more may go to the tool, which has all slots but `free`, those of packets that were taken from it included.
    #[inline]
    pub(super) fn is_open(&self, free: usize) -> bool {
        self.slots.saturating_sub(free) < self.limit
    }

    /// The tool has answered about one in time, while others stayed behind such packets or not.
    pub(super) fn answered(&mut self, any_behind: bool) {
        self.answers += 1;
        if !any_behind || self.answers >= self.limit {
            self.answers = 0;
            self.limit = (self.limit + 1).min(self.slots);
        }
    }

    /// One that the tool has had since `since` was taken from it at `now`, to make room.
    pub(super) fn taken_back(&mut self, since: u64, now: u64) {
        // Counters of the CPU that differ by less than half of all values.
        if since.wrapping_sub(self.halved) as i64 >= 0 {
            self.halved = now;
            self.limit = (self.limit / 2).max(1);
            self.answers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_once_for_what_the_tool_had_then_and_never_closes() {
        let mut window = Window::new(64);
        for since in 0..64 {
            window.taken_back(since, 64);
        }
        assert_eq!(window.limit, 32);
        assert!(window.is_open(33) && !window.is_open(32));
        for now in 65..100 {
            window.taken_back(now - 1, now);
        }
        assert_eq!(window.limit, 1);
        assert!(window.is_open(64) && !window.is_open(63));
    }

    #[test]
    fn a_tool_that_answers_in_time_gets_all_slots_again() {
        let mut window = Window::new(64);
        window.taken_back(0, 1);
        let answers = (0..).take_while(|_| {
            window.answered(false);
            window.limit < 64
        });
        assert_eq!(answers.count(), 31);
        window.taken_back(1, 2);
        let answers = (0..).take_while(|_| {
            window.answered(true);
            window.limit < 64
        });
        // One more for 32, one more for 33, …
        assert_eq!(answers.count(), (32..64).sum::<usize>() - 1);
        window.answered(false);
        assert_eq!(window.limit, 64);
    }
}
