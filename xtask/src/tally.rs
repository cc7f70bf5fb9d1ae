//! Adding up what the test runners say.

use std::ops::AddAssign;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// The sum of all `test result: ok. 3 passed; 0 failed; ...` lines in a runner's output.
    pub(crate) fn read(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            let Some((_, counts)) = line
                .split_once("test result: ")
                .and_then(|(_, rest)| rest.split_once(". "))
            else {
                continue;
            };
            let count = |kind: &str| {
                let of_kind = counts.split(';').find_map(|part| part.trim().strip_suffix(kind));
                of_kind
                    .and_then(|number| number.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            tally += Self {
                passed: count("passed"),
                failed: count("failed"),
            };
        }
        tally
    }

    /// Whether no runner said anything.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_runners_are_added() {
        let output = "running 2 tests\ntest a ... ok\n\
                      test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s\n\
                      test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.4s\n";
        assert_eq!(
            Tally::read(output),
            Tally {
                passed: 16,
                failed: 2
            }
        );
    }

    #[test]
    fn output_without_a_result_counts_nothing() {
        assert!(Tally::read("error: could not compile `primary`\n").is_empty());
        assert!(Tally::read("test result: ").is_empty());
    }
}
