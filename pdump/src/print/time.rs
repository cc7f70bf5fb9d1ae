//! Times in front of lines, as tcpdump's `-t` has them, in UTC.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

const SECOND: u64 = 1_000_000_000;

/// What is said of the time of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// The time of day.
    #[default]
    Day,
    /// Nothing.
    None,
    /// Seconds since 1970.
    Epoch,
    /// How long after the packet before it.
    SinceLast,
    /// The date, and the time of day.
    Date,
    /// How long after the first packet.
    SinceFirst,
}

impl TimeStyle {
    /// As tcpdump counts `-t`.
    pub fn by_count(count: u8) -> Self {
        match count {
            0 => Self::Day,
            1 => Self::None,
            2 => Self::Epoch,
            3 => Self::SinceLast,
            4 => Self::Date,
            _ => Self::SinceFirst,
        }
    }
}

/// Says times one after the other.
#[derive(Debug, Default)]
pub(super) struct Times {
    style: TimeStyle,
    /// What the next is compared with, nanoseconds since 1970.
    reference: Option<u64>,
}

impl Times {
    pub(super) fn new(style: TimeStyle) -> Self {
        Self {
            style,
            reference: None,
        }
    }

    /// Writes the time of a packet, nanoseconds since 1970, and a space; for no time nothing.
    pub(super) fn put(&mut self, to: &mut String, time_ns: u64) -> fmt::Result {
        match self.style {
            TimeStyle::Day => write!(to, "{} ", OfDay(time_ns)),
            TimeStyle::None => Ok(()),
            TimeStyle::Epoch => write!(to, "{}.{:09} ", time_ns / SECOND, time_ns % SECOND),
            TimeStyle::SinceLast => {
                let last = self.reference.replace(time_ns).unwrap_or(time_ns);
                write!(to, "{} ", Since(last, time_ns))
            }
            TimeStyle::Date => {
                let date = timestamp(time_ns);
                write!(to, "{} ", date.trim_end_matches('Z').replace('T', " "))
            }
            TimeStyle::SinceFirst => {
                let first = *self.reference.get_or_insert(time_ns);
                write!(to, "{} ", Since(first, time_ns))
            }
        }
    }
}

/// Nanoseconds since 1970 as RFC 3339 has them, in UTC: `2026-11-21T12:34:56.123456789Z`.
pub(super) fn timestamp(time_ns: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(time_ns);
    humantime::format_rfc3339_nanos(time).to_string()
}

/// Hours, minutes, seconds.
struct OfDay(u64);

impl fmt::Display for OfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / SECOND;
        let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
        write!(
            f,
            "{hours:02}:{minutes:02}:{:02}.{:09}",
            seconds % 60,
            self.0 % SECOND
        )
    }
}

/// From the one to the other, which may be before it where several workers receive.
struct Since(u64, u64);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.1 < self.0 { '-' } else { ' ' };
        let distance = self.0.abs_diff(self.1);
        let seconds = distance / SECOND;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(
            f,
            "{sign}{hours:02}:{minutes:02}:{:02}.{:09}",
            seconds % 60,
            distance % SECOND
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_264_496_123_456_789;

    #[test]
    fn each_style_is_as_tcpdump_has_it() {
        for (count, expected) in [
            (0, "12:34:56.123456789 12:34:57.123456790 12:34:56.000000000 "),
            (1, ""),
            (
                2,
                "1795264496.123456789 1795264497.123456790 1795264496.000000000 ",
            ),
            (3, " 00:00:00.000000000  00:00:01.000000001 -00:00:01.123456790 "),
            (
                4,
                "2026-11-21 12:34:56.123456789 2026-11-21 12:34:57.123456790 2026-11-21 12:34:56.000000000 ",
            ),
            (5, " 00:00:00.000000000  00:00:01.000000001 -00:00:00.123456789 "),
        ] {
            let mut times = Times::new(TimeStyle::by_count(count));
            let mut said = String::new();
            for time in [NOON, NOON + SECOND + 1, NOON - 123_456_789] {
                times.put(&mut said, time).unwrap();
            }
            assert_eq!(said, expected);
        }
    }
}
