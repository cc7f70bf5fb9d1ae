//! The replay window beside a model that remembers every number in a set, over the edges of 2^32.

use std::collections::BTreeSet;

use esp::{MAX_WINDOW, MIN_WINDOW, ReplayError, Window, WindowSizeError};
use proptest::collection::vec;
use proptest::prelude::*;

/// RFC 4303 §3.4.3 and appendix A2 word for word, with nothing clever.
struct Model {
    size: u64,
    esn: bool,
    highest: u64,
    taken: BTreeSet<u64>,
}

impl Model {
    fn new(size: u16, esn: bool, highest: u64) -> Model {
        let size = u64::from(size);
        let taken = (highest.saturating_sub(size)..=highest).collect();
        Model {
            size,
            esn,
            highest,
            taken,
        }
    }

    /// The whole number, as appendix A2.1 finds its high half; `None` if that would be below zero.
    fn whole(&self, seql: u32) -> Option<u64> {
        if !self.esn {
            return Some(seql.into());
        }
        let (tl, th, w) = (self.highest as u32, self.highest >> 32, self.size as u32);
        let bl = tl.wrapping_sub(w - 1);
        let seqh = if tl >= w - 1 {
            // Case A: the window lies within one subspace.
            if seql >= bl { th } else { th + 1 }
        } else if seql >= bl {
            // Case B: it begins in the one before.
            th.checked_sub(1)?
        } else {
            th
        };
        Some(seqh << 32 | u64::from(seql))
    }

    fn check(&self, seql: u32) -> Result<u64, ReplayError> {
        let number = self.whole(seql).ok_or(ReplayError::TooOld)?;
        if number + self.size <= self.highest {
            return Err(ReplayError::TooOld);
        }
        if number == 0 || self.taken.contains(&number) {
            return Err(ReplayError::Replayed);
        }
        Ok(number)
    }

    fn take(&mut self, number: u64) {
        self.taken.insert(number);
        self.highest = self.highest.max(number);
        let bottom = self.highest.saturating_sub(self.size);
        self.taken = self.taken.split_off(&bottom);
    }
}

/// A packet that comes: how far from the highest, and whether it is authentic.
fn arrivals() -> impl Strategy<Value = Vec<(i64, bool)>> {
    let distance = prop_oneof![
        8 => -70..70_i64,
        4 => -5000..5000_i64,
        1 => -100_000..100_000_i64,
        1 => prop::sample::select(vec![
            -4096_i64, -4095, -64, -63, -32, -31, 1, 64, 128, 4096, 1 << 20, (1 << 32) - 5000, 1 << 31, -(1 << 31),
        ]),
    ];
    vec((distance, prop::bool::weighted(0.9)), 1..150)
}

fn size() -> impl Strategy<Value = u16> {
    prop_oneof![
        prop::sample::select(vec![
            32, 33, 63, 64, 65, 66, 127, 128, 129, 130, 1024, 2048, 4095, 4096
        ]),
        MIN_WINDOW..=MAX_WINDOW,
    ]
}

fn highest() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..10_000_u64,
        0xffff_f000..0xffff_ffff_u64,
        0x1_0000_0000..0x1_0000_2000_u64,
        0x1_ffff_f000..0x2_0000_1000_u64,
        1 << 40..1_u64 << 62,
    ]
}

proptest! {
    #[test]
    fn the_window_takes_what_the_model_takes(
        size in size(), esn: bool, start in highest(), arrivals in arrivals(),
    ) {
        let start = if esn { start } else { start.min(0xffff_ffff) };
        let mut window = Window::resumed(size, esn, start).unwrap();
        let mut model = Model::new(size, esn, start);
        for (distance, authentic) in arrivals {
            let number = model.highest.saturating_add_signed(distance);
            let low = if esn { number as u32 } else { number.min(0xffff_ffff) as u32 };
            let checked = window.check(low).map(|number| number.get());
            prop_assert_eq!(checked, model.check(low), "{} at {}", low, model.highest);
            if let (true, Ok(number)) = (authentic, window.check(low)) {
                prop_assert_eq!(window.take(number), Ok(()));
                model.take(number.get());
                prop_assert_eq!(window.take(number), Err(ReplayError::Replayed));
            }
            prop_assert_eq!(window.highest(), model.highest);
        }
    }

    #[test]
    fn numbers_that_were_checked_before_others_were_taken_are_looked_at_again(
        size in size(), esn: bool, start in highest(), numbers in vec(-40..200_i64, 2..64),
    ) {
        let start = if esn { start } else { start.min(0xffff_0000) };
        let mut window = Window::resumed(size, esn, start).unwrap();
        let mut model = Model::new(size, esn, start);
        // A burst: all are checked, then all decrypted, then all taken.
        let checked: Vec<_> = numbers
            .into_iter()
            .filter_map(|distance| window.check(start.saturating_add_signed(distance) as u32).ok())
            .collect();
        for number in checked {
            let expected = if number.get() + u64::from(size) <= model.highest {
                Err(ReplayError::TooOld)
            } else if model.taken.contains(&number.get()) {
                Err(ReplayError::Replayed)
            } else {
                model.take(number.get());
                Ok(())
            };
            prop_assert_eq!(window.take(number), expected);
        }
    }
}

#[test]
fn all_numbers_in_a_row_over_two_to_the_32_are_taken_once() {
    for size in [32, 64, 100, 4096] {
        let start = 0xffff_ffff - 5000;
        let mut window = Window::resumed(size, true, start).unwrap();
        for number in start + 1..start + 10_000 {
            let checked = window.check(number as u32).unwrap();
            assert_eq!(checked.get(), number);
            window.take(checked).unwrap();
            assert_eq!(window.check(number as u32), Err(ReplayError::Replayed));
        }
    }
}

#[test]
fn late_packets_from_before_two_to_the_32_have_the_high_half_of_then() {
    let mut window = Window::resumed(64, true, 0xffff_fff0).unwrap();
    let ahead = window.check(5).unwrap();
    assert_eq!((ahead.high(), ahead.low()), (1, 5));
    window.take(ahead).unwrap();
    let late = window.check(0xffff_fffe).unwrap();
    assert_eq!((late.high(), late.low()), (0, 0xffff_fffe));
    window.take(late).unwrap();
    assert_eq!(window.highest(), 0x1_0000_0005);
    assert_eq!(window.check(0xffff_fffe), Err(ReplayError::Replayed));
    // What was taken before the SA went on here.
    assert_eq!(window.check(0xffff_fff0), Err(ReplayError::Replayed));
}

#[test]
fn without_esn_the_numbers_end_and_none_is_taken_for_a_later_one() {
    let mut window = Window::resumed(64, false, 0xffff_fff0).unwrap();
    let last = window.check(0xffff_ffff).unwrap();
    window.take(last).unwrap();
    for low in [0, 1, 5, 0xffff_ffff - 64] {
        assert_eq!(window.check(low), Err(ReplayError::TooOld), "{low:#x}");
    }
    assert_eq!(window.check(0xffff_ffff), Err(ReplayError::Replayed));
    assert!(window.check(0xffff_fffe).is_ok());
}

#[test]
fn number_zero_and_what_would_be_below_it_are_refused() {
    for esn in [false, true] {
        let window = Window::new(64, esn).unwrap();
        assert_eq!(window.check(0), Err(ReplayError::Replayed));
        assert_eq!(window.check(1).map(|number| number.get()), Ok(1));
    }
    // A young window with ESN reaches below zero, where these would lie.
    let window = Window::new(64, true).unwrap();
    for low in [u32::MAX, u32::MAX - 62] {
        assert_eq!(window.check(low), Err(ReplayError::TooOld));
    }
    assert!(window.check(u32::MAX - 63).is_ok());
}

#[test]
fn a_window_of_none_takes_every_number_as_often_as_it_comes_and_knows_the_highest() {
    let mut window = Window::new(0, false).unwrap();
    assert_eq!(window.size(), 0);
    let mut highest = 0;
    for low in [0, 0, 7, 7, 1, 5000, 7, 5000, 4999, u32::MAX, u32::MAX, 1, 0] {
        let number = window.check(low).unwrap();
        assert_eq!(number.get(), u64::from(low));
        window.take(number).unwrap();
        highest = highest.max(low);
        assert_eq!(window.highest(), u64::from(highest));
    }
}

#[test]
fn sizes_are_from_32_to_4096_and_0_without_esn() {
    for size in [1, 31, 4097, u16::MAX] {
        assert_eq!(Window::new(size, false).err(), Some(WindowSizeError(size)));
    }
    assert_eq!(Window::new(0, true).err(), Some(WindowSizeError(0)));
    for size in [32, 4096] {
        assert_eq!(Window::new(size, true).unwrap().size(), size);
    }
}
