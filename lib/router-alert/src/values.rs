//! Values of router alerts: what the registered ones are called, and sets of them.
//!
//! Values mean something else in each family. IPv4: RFC 2113, RFC 5350 §3.1; IPv6: RFC 2711 §2.1, RFC 5350 §3.2, closed for
//! new values by RFC 9805. A value that is not registered is as good as any: only a rule makes it special.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Family;

/// A range of values with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The first value.
    pub first: u16,
    /// The last value, not below the first.
    pub last: u16,
    /// What they are for.
    pub name: &'static str,
    /// The document that says so.
    pub reference: &'static str,
}

const fn registered(first: u16, last: u16, name: &'static str, reference: &'static str) -> Registered {
    Registered {
        first,
        last,
        name,
        reference,
    }
}

const EXPERIMENTAL: Registered = registered(65503, 65534, "experimental", "RFC 5350");
const RESERVED: Registered = registered(65535, 65535, "reserved", "RFC 5350");

const FOUR: &[Registered] = &[
    registered(0, 0, "router shall examine packet", "RFC 2113"),
    registered(1, 32, "aggregated reservation nesting level", "RFC 3175"),
    registered(33, 64, "QoS NSLP aggregation level", "RFC 5974"),
    registered(65, 65, "NSIS NATFW NSLP", "RFC 5973"),
    EXPERIMENTAL,
    RESERVED,
];

const SIX: &[Registered] = &[
    registered(0, 0, "Multicast Listener Discovery", "RFC 2710"),
    registered(1, 1, "RSVP", "RFC 2711"),
    registered(2, 2, "Active Networks", "RFC 2711"),
    registered(3, 3, "reserved", "RFC 5350"),
    registered(4, 35, "aggregated reservation nesting level", "RFC 3175"),
    registered(36, 67, "QoS NSLP aggregation level", "RFC 5974"),
    registered(68, 68, "NSIS NATFW NSLP", "RFC 5973"),
    registered(69, 69, "MPLS OAM", "RFC 7506, historic by RFC 9570"),
    EXPERIMENTAL,
    RESERVED,
];

/// The values of a family that mean something, in order.
pub const fn registry(family: Family) -> &'static [Registered] {
    match family {
        Family::Four => FOUR,
        Family::Six => SIX,
    }
}

/// What a value is for; `None` if it is not registered.
///
/// ```
/// use router_alert::{Family, values};
///
/// assert_eq!(values::name(Family::Six, 5), Some("aggregated reservation nesting level"));
/// assert_eq!(values::name(Family::Six, 70), None);
/// ```
pub fn name(family: Family, value: u16) -> Option<&'static str> {
    registry(family)
        .iter()
        .find(|entry| (entry.first..=entry.last).contains(&value))
        .map(|entry| entry.name)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(text: &str) -> ValueSet {
        text.parse().unwrap()
    }

    #[test]
    fn req_ra_14_known_values_have_names_and_others_none() {
        for (family, value, expected) in [
            (Family::Four, 0, Some("router shall examine packet")),
            (Family::Four, 32, Some("aggregated reservation nesting level")),
            (Family::Four, 33, Some("QoS NSLP aggregation level")),
            (Family::Four, 65, Some("NSIS NATFW NSLP")),
            (Family::Four, 66, None),
            (Family::Six, 0, Some("Multicast Listener Discovery")),
            (Family::Six, 1, Some("RSVP")),
            (Family::Six, 3, Some("reserved")),
            (Family::Six, 35, Some("aggregated reservation nesting level")),
            (Family::Six, 36, Some("QoS NSLP aggregation level")),
            (Family::Six, 68, Some("NSIS NATFW NSLP")),
            (Family::Six, 69, Some("MPLS OAM")),
            (Family::Six, 70, None),
            (Family::Six, 65502, None),
            (Family::Six, 65503, Some("experimental")),
            (Family::Six, 65534, Some("experimental")),
            (Family::Four, 65535, Some("reserved")),
        ] {
            assert_eq!(name(family, value), expected, "{family} {value}");
        }
    }

    #[test]
    fn req_ra_14_the_registries_are_in_order_and_do_not_overlap() {
        for family in [Family::Four, Family::Six] {
            let entries = registry(family);
            assert!(entries.iter().all(|entry| entry.first <= entry.last));
            assert!(entries.windows(2).all(|pair| pair[0].last < pair[1].first));
        }
    }

    #[test]
    fn req_ra_15_sets_are_read_and_written_as_text() {
        for (text, written) in [
            ("0,4-35,65503-65534", "0,4-35,65503-65534"),
            ("any", "any"),
            (" any ", "any"),
            ("none", "none"),
            ("0-65535", "any"),
            ("7", "7"),
            ("007", "7"),
            ("5-5", "5"),
            (" 9 , 1 - 3 ,2-4", "1-4,9"),
            ("65535,65534", "65534-65535"),
            ("3,1,2,0", "0-3"),
        ] {
            assert_eq!(set(text).to_string(), written, "{text:?}");
        }
    }

    #[test]
    fn req_ra_15_what_is_no_set_is_refused_with_what_is_wrong() {
        for text in [
            "", "1,", ",1", "65536", "-1", "+1", "0x5", "1-", "-", "1-2-3", "all", "any,1", "1;2", "1 2",
        ] {
            assert!(
                matches!(text.parse::<ValueSet>(), Err(ValueSetError::Value(_))),
                "{text:?}"
            );
        }
        assert_eq!(
            "1,9-4".parse::<ValueSet>().unwrap_err().to_string(),
            "the range 9-4 is empty: write 4-9"
        );
        assert_eq!(
            "1,70000".parse::<ValueSet>().unwrap_err().to_string(),
            "'70000' is no value: write numbers from 0 to 65535 and ranges of them, as in 0,4-35, or any"
        );
    }

    #[test]
    fn req_ra_17_values_are_put_in_and_taken_out() {
        let mut values = set("1-3,7");
        values.insert(4..=6);
        assert_eq!(values, set("1-7"));
        values.remove(3..=4);
        assert_eq!(values, set("1-2,5-7"));
        values.remove(0..=u16::MAX);
        assert!(values.is_empty());
        values.insert(u16::MAX..=u16::MAX);
        values.insert(0..=0);
        assert_eq!(values, set("0,65535"));
        #[allow(clippy::reversed_empty_ranges, reason = "that is what is tried")]
        {
            values.insert(9..=3);
            values.remove(9..=0);
        }
        assert_eq!(values, set("0,65535"));
        assert_eq!(values.union(&set("1-65534")), ValueSet::any());
        assert_eq!(ValueSet::any().ranges().collect::<Vec<_>>(), [0..=u16::MAX]);
    }

    #[test]
    fn sets_are_texts_in_json() {
        let values = set("0,4-35");
        assert_eq!(serde_json::to_string(&values).unwrap(), "\"0,4-35\"");
        assert_eq!(serde_json::from_str::<ValueSet>("\"0,4-35\"").unwrap(), values);
        let refused = serde_json::from_str::<ValueSet>("\"9-4\"").unwrap_err();
        assert!(refused.to_string().contains("write 4-9"), "{refused}");
    }

    /// Values near both ends, where there is least room.
    fn value() -> impl Strategy<Value = u16> {
        prop_oneof![0..24u16, 65_512..=u16::MAX]
    }

    fn values(set: &ValueSet) -> BTreeSet<u16> {
        (0..=u16::MAX).filter(|value| set.contains(*value)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn req_ra_15_a_set_is_what_was_put_in_and_not_taken_out(
            changes in prop::collection::vec((any::<bool>(), value(), value()), 0..12),
        ) {
            let (mut set, mut expected) = (ValueSet::default(), BTreeSet::new());
            for (put_in, one, other) in changes {
                let range = one.min(other)..=one.max(other);
                if put_in {
                    set.insert(range.clone());
                    expected.extend(range);
                } else {
                    set.remove(range.clone());
                    expected.retain(|value| !range.contains(value));
                }
            }
            prop_assert_eq!(values(&set), expected);
            let ranges: Vec<_> = set.ranges().collect();
            for pair in ranges.windows(2) {
                prop_assert!(u32::from(*pair[0].end()) + 1 < u32::from(*pair[1].start()), "{}", set);
            }
            prop_assert_eq!(set.to_string().parse::<ValueSet>(), Ok(set));
        }

        #[test]
        fn req_ra_15_no_text_upsets_the_parser(text in "[0-9,\\- any+]{0,24}") {
            if let Ok(set) = text.parse::<ValueSet>() {
                prop_assert_eq!(set.to_string().parse::<ValueSet>(), Ok(set));
            }
        }
    }
}
