//! `[router_alert]`, and `hop_by_hop` of an interface: what is made of the options of packets.

use std::fmt;

use document::Section;
use router_alert::alert::{Beyond, Duplicates, Padding, Settings};

use super::words::{Words, name, word};
use crate::path::OptionPolicy;
use crate::worker::AlertPolicy;

/// `[router_alert]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAlert {
    /// What is made of options on an interface that says `hop_by_hop = "ignore"`.
    pub options: OptionPolicy,
    /// How many go to a tool.
    pub limits: AlertPolicy,
}

/// What an interface does with the hop-by-hop headers of packets that come in by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HopByHop {
    /// They are looked at while router alerts concern anybody, and what is not known is skipped.
    #[default]
    Ignore,
    /// Each is judged.
    Process,
}

const PADDING: Words<Padding, 2> = [("lenient", Padding::Lenient), ("strict", Padding::Strict)];
const DUPLICATES: Words<Duplicates, 3> = [
    ("drop", Duplicates::Refuse),
    ("first", Duplicates::First),
    ("last", Duplicates::Last),
];
const BEYOND: Words<Beyond, 2> = [("forward", Beyond::Ignore), ("drop", Beyond::Refuse)];
const WRONG_LENGTH: Words<bool, 2> = [("answer", true), ("silent", false)];
const HOP_BY_HOP: Words<HopByHop, 2> = [("ignore", HopByHop::Ignore), ("process", HopByHop::Process)];

impl RouterAlert {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let defaults = OptionPolicy::default();
        let of = defaults.settings;
        let number = |key, range, default| {
            let found = section.integer::<u16>(key, range);
            found.map_or(default, |at| usize::from(at.value))
        };
        let settings = Settings {
            padding: word(&section, "padding", &PADDING).unwrap_or(of.padding),
            duplicates: word(&section, "duplicates", &DUPLICATES).unwrap_or(of.duplicates),
            // A hop-by-hop header has 8 to 2048 bytes.
            most_bytes: number("most_bytes", 8..=2048, of.most_bytes),
            most_options: number("most_options", 1..=1023, of.most_options),
            beyond: word(&section, "beyond", &BEYOND).unwrap_or(of.beyond),
            unrecognized: of.unrecognized,
        };
        let tells_length = word(&section, "wrong_length", &WRONG_LENGTH);
        let limits = AlertPolicy::parse(&section);
        section.finish();
        Self {
            options: OptionPolicy {
                settings,
                tells_length: tells_length.unwrap_or(defaults.tells_length),
            },
            limits,
        }
    }

    /// Its keys that have words.
    pub(crate) fn words(&self) -> [(&'static str, &'static str); 4] {
        let settings = &self.options.settings;
        [
            ("padding", name(&PADDING, &settings.padding)),
            ("duplicates", name(&DUPLICATES, &settings.duplicates)),
            ("wrong_length", name(&WRONG_LENGTH, &self.options.tells_length)),
            ("beyond", name(&BEYOND, &settings.beyond)),
        ]
    }

    /// Its keys that have numbers.
    pub(crate) fn numbers(&self) -> [(&'static str, usize); 2] {
        let settings = &self.options.settings;
        [
            ("most_bytes", settings.most_bytes),
            ("most_options", settings.most_options),
        ]
    }

    /// What is made of options on an interface.
    pub fn on(&self, hop_by_hop: HopByHop) -> OptionPolicy {
        self.options.with_hop_by_hop(hop_by_hop == HopByHop::Process)
    }
}

/// As one line says it.
impl fmt::Display for RouterAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words().map(|(key, word)| format!("{key} {word}")).join(" ");
        let numbers = self.numbers().map(|(key, number)| format!("{key} {number}"));
        let numbers = numbers.join(" ");
        write!(f, "{words} {numbers} {}", self.limits)
    }
}

impl HopByHop {
    /// That of an interface, if it says any.
    pub(super) fn parse(section: &Section<'_>) -> Self {
        word(section, "hop_by_hop", &HOP_BY_HOP).unwrap_or_default()
    }

    /// That of an interface that does this with options.
    pub fn of(options: &OptionPolicy) -> Self {
        if options.processes() {
            Self::Process
        } else {
            Self::Ignore
        }
    }
}

impl fmt::Display for HopByHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(name(&HOP_BY_HOP, self))
    }
}
