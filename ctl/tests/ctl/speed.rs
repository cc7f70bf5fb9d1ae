//! How fast the tool answers. The bounds hold for release builds; debug builds run the same without them.

use std::time::{Duration, Instant};

use crate::fake_primary::FakePrimary;
use crate::run::run;

const BOUNDED: bool = !cfg!(debug_assertions);

/// The median of five, so that a busy machine does not decide.
fn median(mut once: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[2]
}

#[test]
fn a_hundred_thousand_routes_come_in_half_a_second() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 100_000);
    for (form, words) in [("JSON", "--json route show"), ("table", "route show")] {
        let mut lines = 0;
        let time = median(|| lines = run(&primary.run_dir, words).good().lines().count());
        assert!(lines >= 100_007, "{lines}");
        println!("100,000 routes as {form}: {time:?}");
        assert!(!BOUNDED || time < Duration::from_millis(500), "{time:?}");
    }
    assert_eq!(run(&primary.run_dir, "--json route").json().len(), 100_007);
    assert_eq!(primary.asked(), []);
}

#[test]
fn a_small_question_is_answered_in_twenty_milliseconds() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    for words in ["--json link show", "--json log show", "--version"] {
        let time = median(|| drop(run(&primary.run_dir, words).good()));
        println!("{words}: {time:?}");
        assert!(!BOUNDED || time < Duration::from_millis(20), "{time:?}");
    }
}
