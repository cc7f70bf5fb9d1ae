//! Waiting for a state that nothing announces: looked for again and again, up to a bound.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{Error, interrupt};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds what it looks for, and returns that. `expected` says in words what is waited for.
///
/// # Errors
/// It was not there within `limit`, a look failed, or a signal came.
pub fn wait_until<T>(
    expected: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > limit {
            return Err(Error::NotSeen {
                expected: expected.to_owned(),
                limit,
            });
        }
        interrupt::check()?;
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_found() {
        let mut looks = 0;
        let found = wait_until("a third look", Duration::from_secs(10), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn what_does_not_come_is_named_at_the_bound() {
        let error = wait_until::<()>("a miracle", Duration::from_millis(20), || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("a miracle"), "{error}");
    }
}
