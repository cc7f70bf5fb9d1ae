//! Of `[router_alert]`, how many packets go to a tool.

use std::fmt;

use control::message::AlertRate;
use document::Section;

use crate::worker::{AlertPolicy, Excess};

/// The keys of a limit.
struct Keys {
    rate: &'static str,
    burst: &'static str,
}

const INTERFACE: Keys = Keys {
    rate: "interface_rate",
    burst: "interface_burst",
};
const SOURCE: Keys = Keys {
    rate: "source_rate",
    burst: "source_burst",
};

impl AlertPolicy {
    pub(super) fn parse(section: &Section<'_>) -> Self {
        let excess = section.string("excess").and_then(|text| {
            let found = Excess::ALL.into_iter().find(|excess| excess.name() == text.value);
            if found.is_none() {
                let sentence = format!(
                    "excess = '{}' is not known: use \"forward\" or \"drop\"",
                    text.value
                );
                section.document.report(text.place, sentence);
            }
            found
        });
        Self {
            excess: excess.unwrap_or(Self::DEFAULT.excess),
            interface: limit(section, &INTERFACE),
            source: limit(section, &SOURCE),
        }
    }

    /// Its keys that have numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let limits = [(INTERFACE, self.interface), (SOURCE, self.source)];
        limits
            .into_iter()
            .filter_map(|(keys, limit)| Some((keys, limit?)))
            .flat_map(|(keys, limit)| [(keys.rate, limit.rate), (keys.burst, limit.burst)])
    }
}

/// A limit whose rate is given. As many at once as come in a quarter of a second, where nothing else is said.
fn limit(section: &Section<'_>, keys: &Keys) -> Option<AlertRate> {
    let rate = section.integer::<u32>(keys.rate, 1..=10_000_000);
    let burst = section.integer::<u32>(keys.burst, 1..=1_000_000);
    match (rate, burst) {
        (Some(rate), burst) => Some(AlertRate {
            rate: rate.value,
            burst: burst.map_or_else(|| (rate.value / 4).max(1), |burst| burst.value),
        }),
        (None, Some(burst)) => {
            let sentence = format!(
                "{0} means nothing without {1}: give {1} as well, or remove it",
                keys.burst, keys.rate
            );
            section.document.report(burst.place, sentence);
            None
        }
        (None, None) => None,
    }
}

/// As one line says it.
impl fmt::Display for AlertPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "excess {}", self.excess.name())?;
        self.numbers()
            .try_for_each(|(key, number)| write!(f, " {key} {number}"))
    }
}
