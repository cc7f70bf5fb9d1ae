//! Sets of values, as rules have them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of values: ranges in order that neither overlap nor touch. As text `0,4-35,65503-65534`, `any` or `none`.
///
/// ```
/// use router_alert::values::ValueSet;
///
/// let mut values: ValueSet = "4-35, 0".parse()?;
/// values.insert(1..=3);
/// assert_eq!(values.to_string(), "0-35");
/// assert!(values.contains(5) && !values.contains(36));
/// # Ok::<(), router_alert::values::ValueSetError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueSet {
    ranges: Vec<(u16, u16)>,
}

/// Why a text is no set of values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueSetError {
    /// Something that is neither a value nor a range.
    #[error("'{0}' is no value: write numbers from 0 to 65535 and ranges of them, as in 0,4-35, or any")]
    Value(String),
    /// A range whose end lies before its beginning.
    #[error("the range {first}-{last} is empty: write {last}-{first}")]
    Backwards {
        /// Its beginning.
        first: u16,
        /// Its end.
        last: u16,
    },
}

impl ValueSet {
    /// All values.
    pub fn any() -> Self {
        Self {
            ranges: vec![(0, u16::MAX)],
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `value` is one of them.
    pub fn contains(&self, value: u16) -> bool {
        let behind = self.ranges.partition_point(|(first, _)| *first <= value);
        self.ranges
            .get(..behind)
            .and_then(<[_]>::last)
            .is_some_and(|(_, last)| value <= *last)
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u16>> {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }

    /// Puts in `values`. An empty range changes nothing.
    pub fn insert(&mut self, values: RangeInclusive<u16>) {
        if values.is_empty() {
            return;
        }
        let (mut first, mut last) = values.into_inner();
        // Neighbours become one with it, and what is not next to it is not next to what it becomes.
        self.ranges.retain(|(from, to)| {
            let apart = to.saturating_add(1) < first || last.saturating_add(1) < *from;
            if !apart {
                (first, last) = (first.min(*from), last.max(*to));
            }
            apart
        });
        let at = self.ranges.partition_point(|(from, _)| *from < first);
        self.ranges.insert(at, (first, last));
    }

    /// Takes out `values`, those of them that are in it.
    pub fn remove(&mut self, values: RangeInclusive<u16>) {
        if values.is_empty() {
            return;
        }
        let (first, last) = values.into_inner();
        let mut left = Vec::with_capacity(self.ranges.len() + 1);
        for &(from, to) in &self.ranges {
            if let Some(before) = first.checked_sub(1)
                && from <= before
            {
                left.push((from, to.min(before)));
            }
            if let Some(after) = last.checked_add(1)
                && after <= to
            {
                left.push((from.max(after), to));
            }
        }
        self.ranges = left;
    }

    /// The values of both.
    #[must_use]
    pub fn union(&self, other: &ValueSet) -> ValueSet {
        let mut both = self.clone();
        for range in other.ranges() {
            both.insert(range);
        }
        both
    }
}

impl FromStr for ValueSet {
    type Err = ValueSetError;

    fn from_str(text: &str) -> Result<Self, ValueSetError> {
        match text.trim() {
            "any" => return Ok(Self::any()),
            "none" => return Ok(Self::default()),
            _ => {}
        }
        let mut set = Self::default();
        for part in text.split(',').map(str::trim) {
            let value = |text: &str| {
                // A sign is no digit, though a number may have one.
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse().ok().filter(|_| digits);
                number.ok_or_else(|| ValueSetError::Value(part.to_owned()))
            };
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (value(first.trim_end())?, value(last.trim_start())?),
                None => (value(part)?, value(part)?),
            };
            if last < first {
                return Err(ValueSetError::Backwards { first, last });
            }
            set.insert(first..=last);
        }
        Ok(set)
    }
}

impl fmt::Display for ValueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ranges[..] {
            [] => return f.write_str("none"),
            [(0, u16::MAX)] => return f.write_str("any"),
            _ => {}
        }
        for (number, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for ValueSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValueSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
