//! Where the keys are written that a running primary cannot change, for the message that says so.

use std::collections::HashMap;

use document::{KeyPlace, Place};

/// The section of interfaces.
pub(super) const INTERFACE: &str = "[[interface]]";

/// Whether places of the section's keys are kept: those of the others can be changed, and there may be a million of them.
pub(super) fn is_fixed(section: &str) -> bool {
    matches!(
        section,
        "[instance]" | "[eal]" | "[crypto]" | "[limits]" | "[workers]" | INTERFACE
    )
}

/// Lines of keys, by section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// By section, where that begins, and key.
    keys: HashMap<(&'static str, Place, &'static str), Place>,
    /// Where the sections of interfaces begin, by name.
    interfaces: HashMap<String, Place>,
}

impl Places {
    pub(super) fn of(kept: Vec<KeyPlace>) -> Self {
        // There is one of each but of interfaces.
        let begin = |kept: &KeyPlace| match kept.section {
            INTERFACE => kept.begin,
            _ => Place::START,
        };
        let keys = kept
            .iter()
            .map(|kept| ((kept.section, begin(kept), kept.key), kept.place));
        Self {
            keys: keys.collect(),
            interfaces: HashMap::new(),
        }
    }

    pub(super) fn name_interface(&mut self, name: &str, begin: Place) {
        self.interfaces.insert(name.to_owned(), begin);
    }

    /// The line of a key of a section that there is once.
    pub(crate) fn line(&self, section: &'static str, key: &'static str) -> Option<usize> {
        self.keys
            .get(&(section, Place::START, key))
            .map(|place| place.line)
    }

    /// The line of a key of an interface, or that on which the interface begins.
    pub(crate) fn interface_line(&self, interface: &str, key: &'static str) -> Option<usize> {
        let begin = self.interfaces.get(interface)?;
        let place = self.keys.get(&(INTERFACE, *begin, key)).unwrap_or(begin);
        Some(place.line)
    }
}
