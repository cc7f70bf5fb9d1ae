//! The configuration file: rules, what is done with their packets, and the programs that decide about some.

mod helper;
mod rule;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use control::message::AlertRule;
use document::{ConfigErrors, Document, Section};
use router_alert::handler::Handler;

pub use helper::{HelperConfig, Transport};

/// A configuration that has nothing wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Rules in the order of the file.
    pub rules: Vec<AlertRule>,
    /// Helpers in the order of the file; no two have the same name or socket.
    pub helpers: Vec<HelperConfig>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        document::load(path, |text| Self::read(text, path))
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn read(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        Document::new(path, text).read_with(|root| Some(walk(&root)))
    }

    /// Looks whether all that takes time is done within the deadline of the class.
    ///
    /// # Errors
    ///
    /// What takes longer, in a sentence.
    pub fn fits(&self, deadline: Duration) -> Result<(), String> {
        for AlertRule { rule, handler, .. } in &self.rules {
            if let Handler::Hold(milliseconds) = handler
                && !holds(*milliseconds, deadline)
            {
                return Err(too_long(&rule.name, *milliseconds, deadline));
            }
        }
        for HelperConfig { name, timeout, .. } in &self.helpers {
            if let Some(timeout) = timeout.filter(|timeout| *timeout >= deadline) {
                return Err(format!(
                    "the helper '{name}' has {} ms to answer, and the primary waits {} ms: set timeout_ms below that, or \
                     deadline_ms of [[punt]] above",
                    timeout.as_millis(),
                    deadline.as_millis()
                ));
            }
        }
        Ok(())
    }
}

/// Whether packets can be held for so long before the primary stops waiting.
pub fn holds(milliseconds: u16, deadline: Duration) -> bool {
    Duration::from_millis(milliseconds.into()) < deadline
}

/// That a rule holds packets for too long.
pub fn too_long(rule: &str, milliseconds: u16, deadline: Duration) -> String {
    format!(
        "the rule '{rule}' holds packets for {milliseconds} ms, and the primary waits {} ms: hold them for less, or set \
         deadline_ms of [[punt]] above that",
        deadline.as_millis()
    )
}

fn walk(root: &Section<'_>) -> Config {
    let document = root.document;
    let mut config = Config::default();
    for section in root.sections("helper", "[[helper]]") {
        let place = section.place;
        if let Some(helper) = helper::read(section) {
            let (name, socket) = (&helper.name, helper.transport.socket());
            if config.helpers.iter().any(|other| other.name == *name) {
                let sentence = format!("there is a helper '{name}' already: give this one another name");
                document.report(place, sentence);
            }
            if socket.is_some()
                && config
                    .helpers
                    .iter()
                    .any(|other| other.transport.socket() == socket)
            {
                let sentence = "another helper has this socket already: give this one another".to_owned();
                document.report(place, sentence);
            }
            config.helpers.push(helper);
        }
    }
    for section in root.sections("rule", "[[rule]]") {
        let place = section.place;
        let Some(rule) = rule::read(section) else {
            continue;
        };
        let name = &rule.rule.name;
        if config.rules.iter().any(|other| other.rule.name == *name) {
            let sentence = format!("there is a rule '{name}' already: give this one another name");
            document.report(place, sentence);
        }
        if let Handler::Helper(helper) = &rule.handler
            && !config.helpers.iter().any(|other| other.name == *helper)
        {
            document.report(
                place,
                format!("there is no helper '{helper}': write [[helper]] and name = \"{helper}\""),
            );
        }
        config.rules.push(rule);
    }
    if config.rules.is_empty() && config.helpers.is_empty() {
        document.report_missing("there is no rule, so nothing would be relayed: write [[rule]]");
    }
    config
}
