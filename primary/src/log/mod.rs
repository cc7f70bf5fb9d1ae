//! The log: levels as in syslog, by module, changed at run time.
//!
//! Every event names its module as its `target`, one of [`MODULES`]. What DPDK logs is of the module `eal`.

mod levels;
mod output;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use control::message::LogLevel;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

pub use self::levels::{BadLevels, Levels};
use self::output::Output;
pub use self::output::{BadTarget, LogTarget};

/// The modules that log, which are the targets of their events.
pub const MODULES: &[&str] = &[
    "arp",
    "attachment",
    "capture",
    "config",
    "control",
    "eal",
    "event",
    "instance",
    "nd",
    "port",
    "punt",
    "route",
    "service",
    "tap",
    "worker",
];

/// Logs at the severity `notice`: normal, but worth a line even where info is not wanted. Used as `tracing::info!` is.
macro_rules! notice {
    (target: $target:expr, $($arguments:tt)+) => {
        ::tracing::info!(target: $target, notice = true, $($arguments)+)
    };
}
pub(crate) use notice;

/// `[log]`: what is logged, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Level of all modules, and of single ones.
    pub levels: Levels,
    /// Where it goes.
    pub target: LogTarget,
}

/// What the log refused.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file.
    #[error(
        "the log file {path} cannot be opened for writing ({source}): make its directory, or set another target in [log]"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The journal.
    #[error("the journal does not answer ({0}): without systemd set target in [log] to \"stderr\" or a file")]
    Journal(io::Error),
    /// A module that there is not.
    #[error(transparent)]
    Module(#[from] BadLevels),
    /// Called twice.
    #[error("the log of this process is set up already: it is set up once and changed by apply")]
    AlreadyInitialised,
}

/// A handle to the log. Clones are handles to the same.
#[derive(Clone)]
pub struct Log {
    levels: Arc<RwLock<Levels>>,
    output: Arc<RwLock<Output>>,
    target: Arc<RwLock<LogTarget>>,
}

/// A log as configured whose target is open: nothing can fail any more.
pub struct PreparedLog {
    config: LogConfig,
    output: Output,
}

impl PreparedLog {
    /// Opens the target. A log file is opened anew, so that one that was moved away is let go of.
    pub fn open(config: &LogConfig) -> Result<Self, LogError> {
        Ok(Self {
            output: Output::open(&config.target)?,
            config: config.clone(),
        })
    }
}

impl Log {
    /// Sets up the log of this process, once. DPDK's own goes the same way from here on.
    pub fn init(config: &LogConfig) -> Result<Self, LogError> {
        let log = Self::open(config)?;
        tracing::subscriber::set_global_default(log.subscriber())
            .map_err(|_| LogError::AlreadyInitialised)?;
        dpdk::log::set_sink(from_dpdk);
        Ok(log)
    }

    fn open(config: &LogConfig) -> Result<Self, LogError> {
        let output = Output::open(&config.target)?;
        Ok(Self {
            levels: Arc::new(RwLock::new(config.levels.clone())),
            output: Arc::new(RwLock::new(output)),
            target: Arc::new(RwLock::new(config.target.clone())),
        })
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(self.clone().with_filter(Wanted(self.levels.clone())))
    }

    /// Sets the level of a module, or, without one, of all that have none of their own.
    pub fn set(&self, module: Option<&str>, level: LogLevel) -> Result<(), LogError> {
        let module = module.map(levels::module).transpose()?;
        {
            let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
            match module {
                Some(module) => drop(levels.modules.insert(module, level)),
                None => levels.default = level,
            }
        }
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// The level of every module, and `default` for those that have none of their own.
    pub fn levels(&self) -> BTreeMap<String, LogLevel> {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        let default = std::iter::once(("default".to_owned(), levels.default));
        default
            .chain(
                MODULES
                    .iter()
                    .map(|module| ((*module).to_owned(), levels.of(module))),
            )
            .collect()
    }

    /// What is logged now, and where.
    pub fn config(&self) -> LogConfig {
        LogConfig {
            levels: self.levels.read().unwrap_or_else(PoisonError::into_inner).clone(),
            target: self.target.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Makes levels and target those that were prepared.
    pub fn apply(&self, prepared: PreparedLog) {
        let PreparedLog { config, output } = prepared;
        *self.output.write().unwrap_or_else(PoisonError::into_inner) = output;
        *self.levels.write().unwrap_or_else(PoisonError::into_inner) = config.levels;
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = config.target;
        tracing::callsite::rebuild_interest_cache();
    }
}

impl<S> Layer<S> for Log
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.output
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .write(event, context);
    }
}

/// Lets through what the levels want. The answer for a place in the code is kept until a level changes.
struct Wanted(Arc<RwLock<Levels>>);

impl Wanted {
    fn levels(&self) -> std::sync::RwLockReadGuard<'_, Levels> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.levels().want(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.levels().want(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.levels().most() {
            // Events of these severities carry tracing's level ERROR or, notice, INFO.
            LogLevel::Emerg | LogLevel::Alert | LogLevel::Crit | LogLevel::Err => LevelFilter::ERROR,
            LogLevel::Warning => LevelFilter::WARN,
            LogLevel::Notice | LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::TRACE,
        })
    }
}

/// A line of DPDK's log as an event.
fn from_dpdk(level: dpdk::log::LogLevel, line: &str) {
    use dpdk::log::LogLevel;
    match level {
        LogLevel::Emergency => tracing::error!(target: "eal", emerg = true, "{line}"),
        LogLevel::Alert => tracing::error!(target: "eal", alert = true, "{line}"),
        LogLevel::Critical => tracing::error!(target: "eal", crit = true, "{line}"),
        LogLevel::Error => tracing::error!(target: "eal", "{line}"),
        LogLevel::Warning => tracing::warn!(target: "eal", "{line}"),
        LogLevel::Notice => notice!(target: "eal", "{line}"),
        LogLevel::Info => tracing::info!(target: "eal", "{line}"),
        LogLevel::Debug => tracing::debug!(target: "eal", "{line}"),
    }
}
