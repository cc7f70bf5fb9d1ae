//! A bar on the terminal that says how far something is; nothing when nobody looks.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Takes itself away when it is dropped.
pub(crate) struct Bar {
    /// What is counted, as in "7 of 9 routes".
    unit: &'static str,
    began: Instant,
    shown: Option<Instant>,
}

impl Bar {
    const PERIOD: Duration = Duration::from_millis(100);

    pub(crate) fn new(unit: &'static str) -> Self {
        Self {
            unit,
            began: Instant::now(),
            shown: None,
        }
    }

    /// So many are done, of so many.
    pub(crate) fn show(&mut self, done: u64, all: u64) {
        if done != all {
            self.draw(|bar| format!("{} {done} of {all} {}", filled(done, all), bar.unit));
        }
    }

    /// Something is being done of which nobody knows how much there is.
    pub(crate) fn show_work(&mut self, what: &str) {
        self.draw(|bar| format!("{} {what}", moving(bar.began.elapsed())));
    }

    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            eprint!("\r\x1b[K");
        }
    }

    fn draw(&mut self, line: impl FnOnce(&Self) -> String) {
        let lately = self.shown.is_some_and(|shown| shown.elapsed() < Self::PERIOD);
        // What is over at once needs none.
        if lately || self.began.elapsed() < Self::PERIOD || !stderr().is_terminal() {
            return;
        }
        eprint!("\r\x1b[K{}", line(self));
        // A bar that could not be shown is no reason to stop.
        drop(stderr().flush());
        self.shown = Some(Instant::now());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Characters between the brackets.
const WIDTH: usize = 40;

fn filled(done: u64, all: u64) -> String {
    let part = done.min(all) as f64 / all.max(1) as f64;
    let full = (part * WIDTH as f64) as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(WIDTH - full))
}

/// A block that goes to and fro, a place each [`Bar::PERIOD`].
fn moving(time: Duration) -> String {
    const BLOCK: usize = 5;
    let ends = WIDTH - BLOCK;
    let step = (time.as_millis() / Bar::PERIOD.as_millis()) as usize % (2 * ends);
    let before = step.min(2 * ends - step);
    format!(
        "[{}{}{}]",
        " ".repeat(before),
        "=".repeat(BLOCK),
        " ".repeat(ends - before)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_its_part_and_as_long_as_any_other() {
        assert_eq!(filled(1, 4), format!("[{:<40}]", "=".repeat(10)));
        assert_eq!(filled(0, 0), format!("[{:<40}]", ""));
        assert_eq!(filled(u64::MAX, u64::MAX), format!("[{}]", "=".repeat(40)));
        assert_eq!(filled(9, 3), filled(3, 3));
    }

    #[test]
    fn a_block_goes_to_the_end_and_back() {
        let at = |tenths: u64| moving(Duration::from_millis(100 * tenths)).find('=').unwrap();
        assert_eq!([0, 1, 35, 36, 69, 70, 71].map(at), [1, 2, 36, 35, 2, 1, 2]);
        assert!((0..200).all(|tenths| moving(Duration::from_millis(100 * tenths)).len() == 42));
    }
}
