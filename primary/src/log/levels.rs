//! Severities and the level that each module logs at.
//!
//! tracing has five levels and syslog eight. An event's severity is that of its level (ERROR err, WARN warning, INFO info,
//! DEBUG and TRACE debug) unless one of its fields is named for another: emerg, alert, crit or notice. Names of fields
//! are known before the event is made, so an event that is not wanted costs one load.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use control::message::LogLevel;
use tracing::{Level, Metadata};

use super::MODULES;
use document::suggestion;

/// Severities without a tracing level of their own: events carry a field of that name.
pub(super) const MARKED: [LogLevel; 4] = [LogLevel::Emerg, LogLevel::Alert, LogLevel::Crit, LogLevel::Notice];

/// The severity of an event.
pub(super) fn severity(metadata: &Metadata<'_>) -> LogLevel {
    let marked = MARKED
        .into_iter()
        .find(|level| metadata.fields().field(level.name()).is_some());
    marked.unwrap_or(match *metadata.level() {
        Level::ERROR => LogLevel::Err,
        Level::WARN => LogLevel::Warning,
        Level::INFO => LogLevel::Info,
        Level::DEBUG | Level::TRACE => LogLevel::Debug,
    })
}

/// Which messages are wanted: up to a level, and for some modules up to another. As text: `info,arp=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    pub(super) default: LogLevel,
    pub(super) modules: BTreeMap<&'static str, LogLevel>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            default: LogLevel::Info,
            modules: BTreeMap::new(),
        }
    }
}

impl Levels {
    /// These levels as `--verbose` raises them that is given so often: once to `debug` for all modules but `eal`, where DPDK
    /// says thousands of lines at the start, and twice for that as well. To raise them again changes nothing.
    pub fn raised(self, verbose: u8) -> Self {
        const LOUD: &str = "eal";
        let modules = match (verbose, self.of(LOUD)) {
            (0, _) => return self,
            (1, level) if level != LogLevel::Debug => BTreeMap::from([(LOUD, level)]),
            _ => BTreeMap::new(),
        };
        Self {
            default: LogLevel::Debug,
            modules,
        }
    }

    /// The level of a module.
    pub fn of(&self, module: &str) -> LogLevel {
        self.modules.get(module).copied().unwrap_or(self.default)
    }

    /// Whether an event is wanted. Spans are not: nothing here shows them.
    pub(super) fn want(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && severity(metadata) <= self.of(metadata.target())
    }

    /// The most verbose level of all.
    pub(super) fn most(&self) -> LogLevel {
        self.modules.values().copied().fold(self.default, LogLevel::max)
    }
}

/// The name of a module as [`MODULES`] has it.
pub(super) fn module(name: &str) -> Result<&'static str, BadLevels> {
    let known = MODULES.iter().find(|known| **known == name);
    known
        .copied()
        .ok_or_else(|| BadLevels::Module(name.to_owned(), suggestion(name, MODULES)))
}

/// Text that says no levels.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLevels {
    /// No such level.
    #[error("{0}")]
    Level(String),
    /// No such module.
    #[error("there is no log module '{0}': {1}")]
    Module(String, String),
    /// Said twice, perhaps differently.
    #[error("the log level of {0} is given twice: remove one")]
    Twice(String),
    /// Neither a level nor `module=level`.
    #[error(
        "a log level is empty: write a level, as in \"info\", or levels by module, as in \"info,arp=debug\""
    )]
    Empty,
}

impl FromStr for Levels {
    type Err = BadLevels;

    fn from_str(text: &str) -> Result<Self, BadLevels> {
        let mut default = None;
        let mut modules = BTreeMap::new();
        for part in text.split(',').map(str::trim) {
            let (name, level) = match part.split_once('=') {
                Some((name, level)) => (Some(name.trim()), level.trim()),
                None => (None, part),
            };
            if level.is_empty() {
                return Err(BadLevels::Empty);
            }
            let level: LogLevel = level.parse().map_err(BadLevels::Level)?;
            let before = match name {
                None => default.replace(level),
                Some(name) => modules.insert(module(name)?, level),
            };
            if before.is_some() {
                return Err(BadLevels::Twice(name.unwrap_or("all modules").to_owned()));
            }
        }
        Ok(Self {
            default: default.unwrap_or(Self::default().default),
            modules,
        })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        self.modules
            .iter()
            .try_for_each(|(module, level)| write!(f, ",{module}={level}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn modules_may_differ_from_the_rest() {
        let levels: Levels = "warning, arp=debug,eal=err".parse().unwrap();
        assert_eq!(levels.of("arp"), LogLevel::Debug);
        assert_eq!(levels.of("eal"), LogLevel::Err);
        assert_eq!(levels.of("port"), LogLevel::Warning);
        assert_eq!("arp=debug".parse::<Levels>().unwrap().of("port"), LogLevel::Info);
    }

    #[test]
    fn what_is_not_known_is_answered_with_what_is() {
        let message = |text: &str| text.parse::<Levels>().unwrap_err().to_string();
        assert!(message("info,apr=debug").contains("did you mean 'arp'?"));
        assert!(message("loud").contains("notice"));
        assert!(message("info,arp=debug,arp=info").contains("arp"));
        assert!(message("info,").contains("empty"));
    }

    #[test]
    fn verbose_raises_all_modules_and_that_of_dpdk_when_it_is_said_twice() {
        let raised = |text: &str, verbose| text.parse::<Levels>().unwrap().raised(verbose).to_string();
        assert_eq!(raised("err,arp=info", 0), "err,arp=info");
        assert_eq!(raised("err,arp=info", 1), "debug,eal=err");
        assert_eq!(raised("err,eal=notice", 1), "debug,eal=notice");
        assert_eq!(raised("err,eal=debug", 1), "debug");
        assert_eq!(raised("err,eal=notice", 2), "debug");
        assert_eq!(raised("err", 3), "debug");
    }

    proptest! {
        #[test]
        fn to_be_verbose_again_changes_nothing(level in 0..8usize, eal in 0..8usize, verbose in 0..4u8) {
            let modules = [("eal", LogLevel::ALL[eal])].into();
            let once = Levels { default: LogLevel::ALL[level], modules }.raised(verbose);
            prop_assert_eq!(once.clone().raised(verbose), once);
        }

        #[test]
        fn levels_come_back_from_their_text(
            default in 0..8usize,
            modules in proptest::collection::btree_map(0..MODULES.len(), 0..8usize, 0..5),
        ) {
            let modules = modules.into_iter().map(|(module, level)| (MODULES[module], LogLevel::ALL[level])).collect();
            let levels = Levels { default: LogLevel::ALL[default], modules };
            prop_assert_eq!(levels.to_string().parse(), Ok(levels));
        }

        #[test]
        fn any_text_says_levels_or_is_refused(text in "[a-z=, ]{0,30}") {
            if let Ok(levels) = text.parse::<Levels>() {
                prop_assert_eq!(levels.to_string().parse(), Ok(levels));
            }
        }
    }
}
