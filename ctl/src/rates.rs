//! Rates per second: what `--watch` adds to counters.

use std::time::Duration;

use serde_json::{Map, Value};

/// A counter as it stands, by the key that the JSON form has it under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// The object within the object that it lies in, if it does.
    pub(crate) group: Option<&'static str>,
    pub(crate) name: &'static str,
    pub(crate) value: u64,
}

impl Count {
    pub(crate) fn new(name: &'static str, value: u64) -> Self {
        Self {
            group: None,
            name,
            value,
        }
    }
}

/// Growth per second of all counters of one object.
#[derive(Debug)]
pub(crate) struct Rates(Vec<(Count, Option<f64>)>);

impl Rates {
    /// From two looks at an object. Without an earlier look, or when a counter went back, there is no rate.
    pub(crate) fn between(now: Vec<Count>, earlier: Option<(&[Count], Duration)>) -> Self {
        let rate = |count: &Count| {
            let (earlier, elapsed) = earlier?;
            let before = earlier
                .iter()
                .find(|other| (other.group, other.name) == (count.group, count.name))?;
            let grown = count.value.checked_sub(before.value)?;
            // To a tenth: more digits would be noise of the clock.
            Some((grown as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0)
        };
        Self(now.into_iter().map(|count| (count, rate(&count))).collect())
    }

    /// The rate of a counter.
    pub(crate) fn of(&self, name: &str) -> Option<f64> {
        self.0
            .iter()
            .find(|(count, _)| count.name == name)
            .and_then(|(_, rate)| *rate)
    }

    /// The JSON form: `NAME_per_second` beside `NAME`, and `GROUP_per_second` with the same keys as `GROUP`. A rate
    /// that is not known yet is null.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for (count, rate) in &self.0 {
            let rate = rate.map_or(Value::Null, Value::from);
            match count.group {
                None => drop(object.insert(format!("{}_per_second", count.name), rate)),
                Some(group) => {
                    let group = object
                        .entry(format!("{group}_per_second"))
                        .or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(group) = group {
                        group.insert(count.name.to_owned(), rate);
                    }
                }
            }
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_growth_over_time() {
        let earlier = [
            Count::new("packets", 100),
            Count::new("bytes", 10),
            Count::new("back", 9),
        ];
        let now = vec![
            Count::new("packets", 350),
            Count::new("bytes", 10),
            Count::new("back", 1),
            Count::new("new", 5),
        ];
        let rates = Rates::between(now, Some((&earlier, Duration::from_millis(500))));
        assert_eq!(rates.of("packets"), Some(500.0));
        assert_eq!(rates.of("bytes"), Some(0.0));
        assert_eq!(rates.of("back"), None);
        assert_eq!(rates.of("new"), None);
        assert_eq!(rates.of("absent"), None);
    }

    #[test]
    fn json_has_rates_beside_and_groups_as_groups() {
        let now = vec![
            Count::new("rx", 4),
            Count {
                group: Some("drops"),
                name: "no_route",
                value: 2,
            },
            Count {
                group: Some("drops"),
                name: "too_big",
                value: 0,
            },
        ];
        let json = |rates: Rates| Value::Object(rates.to_json()).to_string();
        assert_eq!(
            json(Rates::between(now.clone(), None)),
            r#"{"drops_per_second":{"no_route":null,"too_big":null},"rx_per_second":null}"#
        );
        let zero = [0; 3].map(|value| value);
        let earlier: Vec<_> = now
            .iter()
            .zip(zero)
            .map(|(count, value)| Count { value, ..*count })
            .collect();
        assert_eq!(
            json(Rates::between(now, Some((&earlier, Duration::from_secs(2))))),
            r#"{"drops_per_second":{"no_route":1.0,"too_big":0.0},"rx_per_second":2.0}"#
        );
    }
}
