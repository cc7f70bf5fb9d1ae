//! The highest rate at which something still holds.

/// The highest between `least` and `most` for which `holds` says so, to within a factor of `closeness`; `None` if it does not even for
/// `least`. What holds for a rate is taken to hold for lower ones.
///
/// # Errors
/// Those of `holds`.
pub(super) fn highest<E>(
    least: f64,
    most: f64,
    closeness: f64,
    mut holds: impl FnMut(f64) -> Result<bool, E>,
) -> Result<Option<f64>, E> {
    if holds(most)? {
        return Ok(Some(most));
    }
    if !holds(least)? {
        return Ok(None);
    }
    let (mut low, mut high) = (least, most);
    while high / low > closeness {
        // Rates that are searched lie orders of magnitude apart.
        let middle = (low * high).sqrt();
        if holds(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(limit: f64) -> (Option<f64>, usize) {
        let mut asked = 0;
        let found = highest(1e3, 1e6, 1.05, |rate| {
            asked += 1;
            Ok::<_, ()>(rate <= limit)
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn the_edge_is_found_to_within_the_closeness() {
        for limit in [1e3, 1500.0, 42_000.0, 999_000.0] {
            let (rate, asked) = found(limit);
            let rate = rate.unwrap();
            assert!(rate <= limit && limit / rate <= 1.05, "{rate} for {limit}");
            assert!(asked < 12, "{asked} questions");
        }
    }

    #[test]
    fn what_always_holds_or_never_is_said_at_once() {
        assert_eq!(found(1e7), (Some(1e6), 1));
        assert_eq!(found(10.0), (None, 2));
    }

    #[test]
    fn an_error_ends_it() {
        assert_eq!(highest(1.0, 2.0, 1.1, |_| Err("no")), Err("no"));
    }
}
