//! Times as the file has them: `30s`, `90m`, `4h`.

use std::str::FromStr;
use std::time::Duration;

/// A time of at least a millisecond and at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// Longer ones would come to nothing but overflows.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text).ok();
        span.filter(|span| (Duration::from_millis(1)..=LONGEST).contains(span))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no time: write one like \"30s\", \"90m\" or \"4h\""))
    }
}
