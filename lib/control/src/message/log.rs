//! Levels of the log.

use serde::{Deserialize, Serialize};

/// Severity as in syslog, RFC 5424 section 6.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// The system is unusable.
    Emerg,
    /// Act at once.
    Alert,
    /// Critical.
    Crit,
    /// An error.
    Err,
    /// A warning.
    Warning,
    /// Normal, but worth a line.
    Notice,
    /// Informational.
    Info,
    /// For those who look for a fault.
    Debug,
}

impl LogLevel {
    /// All of them, most severe first.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Err,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// The name as configuration and command line have it.
    pub fn name(self) -> &'static str {
        [
            "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
        ][self as usize]
    }
}

impl std::str::FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|level| level.name()).collect();
                format!("'{text}' is not a log level: use one of {}", names.join(", "))
            })
    }
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
