//! Where messages go: stderr, a file, or the journal.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use control::message::LogLevel;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::LogError;
use super::levels::{MARKED, severity};

/// Where messages are to go, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// The journal of systemd.
    Journal,
    /// A file, written at its end.
    File(PathBuf),
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Journal => f.write_str("journal"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Text that names no target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no place for a log: use \"stderr\", \"journal\" or a file's path that starts with '/'")]
pub struct BadTarget(String);

impl FromStr for LogTarget {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        match text {
            "stderr" => Ok(Self::Stderr),
            "journal" => Ok(Self::Journal),
            path if path.starts_with('/') => Ok(Self::File(PathBuf::from(path))),
            other => Err(BadTarget(other.to_owned())),
        }
    }
}

/// An open target.
pub(super) enum Output {
    Stderr,
    File(File),
    /// One sender for each severity, since each has one mapping from tracing's levels.
    Journal(Vec<tracing_journald::Layer>),
}

impl Output {
    pub(super) fn open(target: &LogTarget) -> Result<Self, LogError> {
        match target {
            LogTarget::Stderr => Ok(Self::Stderr),
            LogTarget::File(path) => open_file(path).map(Self::File),
            LogTarget::Journal => PRIORITIES
                .map(journal)
                .into_iter()
                .collect::<Result<_, _>>()
                .map(Self::Journal)
                .map_err(LogError::Journal),
        }
    }

    /// Writes the event. A target that fails loses it: there is nowhere to say so.
    pub(super) fn write<S>(&self, event: &Event<'_>, context: Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        match self {
            // One call for a line, so that lines of several processes do not mix.
            Self::Stderr => drop(
                io::stderr()
                    .lock()
                    .write_all(line(event, SystemTime::now()).as_bytes()),
            ),
            Self::File(file) => {
                let mut file = file;
                drop(file.write_all(line(event, SystemTime::now()).as_bytes()));
            }
            Self::Journal(senders) => {
                if let Some(sender) = senders.get(severity(event.metadata()) as usize) {
                    sender.on_event(event, context);
                }
            }
        }
    }
}

fn open_file(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(|source| LogError::File {
            path: path.to_path_buf(),
            source,
        })
}

/// The journal's priorities in the order of [`LogLevel::ALL`].
const PRIORITIES: [Priority; 8] = [
    Priority::Emergency,
    Priority::Alert,
    Priority::Critical,
    Priority::Error,
    Priority::Warning,
    Priority::Notice,
    Priority::Informational,
    Priority::Debug,
];

fn journal(priority: Priority) -> io::Result<tracing_journald::Layer> {
    let mappings = PriorityMappings {
        error: priority,
        warn: priority,
        info: priority,
        debug: priority,
        trace: priority,
    };
    Ok(tracing_journald::Layer::new()?.with_priority_mappings(mappings))
}

/// The event as a line: time (RFC 3339, UTC), level, module, message, other fields.
fn line(event: &Event<'_>, now: SystemTime) -> String {
    let mut text = Text::default();
    event.record(&mut text);
    let time = humantime::format_rfc3339_millis(now);
    let level: LogLevel = severity(event.metadata());
    let module = event.metadata().target();
    format!("{time} {level:<7} {module}: {}{}\n", text.message, text.fields)
}

/// The message of an event and its fields, each kept on one line.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn push(&mut self, field: &Field, value: &str) {
        let printable = value.chars().flat_map(|c| {
            let (plain, escaped) = if c.is_control() {
                (None, Some(c.escape_default()))
            } else {
                (Some(c), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        });
        if field.name() == "message" {
            self.message.extend(printable);
        } else if !MARKED.iter().any(|level| level.name() == field.name()) {
            self.fields.extend([" ", field.name(), "="]);
            self.fields.extend(printable);
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.push(field, &text);
        }
    }
}
