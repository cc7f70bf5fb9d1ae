//! What takes long and needs nothing of the control thread: files are read, tables compared and texts written by a thread for
//! each.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use control::message::{ConfigProgress, ControlError, ErrorCode, Route};
use control::text;
use ipnet::IpNet;
use packet::MacAddress;

use crate::config::{Config, ConfigErrors, Overrides};
use crate::log::PreparedLog;
use crate::reload::{self, Change};
use crate::worker::doorbell::Doorbell;

/// The most problems of a file that one answer names.
const PROBLEMS: usize = 100;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The kernel, for whoever sent SIGHUP.
    Signal,
    /// The tool of this connection.
    Tool(u64),
    /// A tool that is gone.
    Nobody,
}

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Apply,
    DryRun,
    Show,
}

/// Where a configuration is.
pub(super) enum Source {
    File(PathBuf),
    /// Sent by a tool, which calls it so.
    Text(OwnedFd, PathBuf),
}

/// Something that is under way.
pub(super) struct Job {
    pub(super) asker: Asker,
    /// What messages call it.
    pub(super) file: String,
    pub(super) goal: Goal,
    pub(super) stage: Stage,
}

/// How far it is.
pub(super) enum Stage {
    /// The file is read.
    Reading(Receiver<Result<Box<Config>, ControlError>>),
    /// The tables are read, and compared with it.
    Planning(Receiver<Result<Box<Planned>, ControlError>>),
    /// The tables are read, and written down.
    Showing(Receiver<Result<OwnedFd, ControlError>>),
    /// Changes are made.
    Applying(Box<Applying>),
    /// Between two others.
    Nothing,
}

/// What is to be changed.
pub(super) struct Planned {
    /// What ran.
    pub(super) before: Box<Config>,
    /// What is to run.
    pub(super) wanted: Box<Config>,
    pub(super) changes: Vec<Change>,
    /// The changes, one per line.
    pub(super) text: OwnedFd,
    /// The refusal for which earlier changes are undone.
    pub(super) undoes: Option<ControlError>,
}

/// Changes that are being made.
pub(super) struct Applying {
    pub(super) planned: Box<Planned>,
    /// Ready to be changed to; there is none where changes are undone.
    pub(super) log: Option<PreparedLog>,
    /// How many are made.
    pub(super) done: usize,
    /// Until when a step that found no room is tried again.
    pub(super) patience_until: Option<Duration>,
}

impl Applying {
    pub(super) fn new(planned: Box<Planned>, log: Option<PreparedLog>) -> Self {
        Self {
            planned,
            log,
            done: 0,
            patience_until: None,
        }
    }

    /// Changes that are not made yet.
    pub(super) fn left(&self) -> &[Change] {
        self.planned.changes.get(self.done..).unwrap_or_default()
    }
}

impl Job {
    /// Whether other changes have to wait for its end.
    pub(super) fn holds_changes_up(&self) -> bool {
        self.goal == Goal::Apply && matches!(self.stage, Stage::Planning(_) | Stage::Applying(_))
    }

    pub(super) fn progress(&self) -> ConfigProgress {
        match &self.stage {
            Stage::Applying(applying) => ConfigProgress::Applying {
                done: applying.done as u64,
                all: applying.planned.changes.len() as u64,
            },
            _ => ConfigProgress::Reading,
        }
    }
}

/// A thread ended without a word.
pub(super) fn lost() -> ControlError {
    let sentence = "the thread that reads configurations ended: restart the primary";
    ControlError::new(ErrorCode::Failed, sentence)
}

/// Has a thread do it; the control thread is woken when it has.
fn begin<T: Send + 'static>(
    doorbell: Doorbell,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Receiver<T>, ControlError> {
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("config".to_owned())
        .spawn(move || {
            // Nobody waits for it when the primary ends.
            drop(sender.send(work()));
            doorbell.ring();
        })
        .map_err(|error| {
            let sentence = format!("no thread can be started to read configurations ({error}): try again");
            ControlError::new(ErrorCode::Failed, sentence)
        })?;
    Ok(receiver)
}

/// Begins to read a file.
pub(super) fn read(source: Source, overrides: Overrides, doorbell: Doorbell) -> Result<Stage, ControlError> {
    let work = move || {
        let config = match source {
            Source::File(path) => Config::load(&path, &overrides),
            Source::Text(descriptor, path) => {
                let text = text::read(descriptor)
                    .map_err(|error| ControlError::new(ErrorCode::Invalid, error.to_string()))?;
                Config::read(&text, &path, &overrides)
            }
        };
        config.map(Box::new).map_err(|errors| refusal(&errors))
    };
    begin(doorbell, work).map(Stage::Reading)
}

fn refusal(errors: &ConfigErrors) -> ControlError {
    let problems = errors.problems();
    let mut lines: Vec<String> = problems.iter().take(PROBLEMS).map(ToString::to_string).collect();
    if problems.len() > PROBLEMS {
        lines.push(format!("and {} more", problems.len() - PROBLEMS));
    }
    ControlError::new(ErrorCode::Invalid, lines.join("\n"))
}

fn unreadable(error: impl std::fmt::Display) -> ControlError {
    ControlError::new(ErrorCode::Failed, error.to_string())
}

/// Whether files say whether there is to be such a route.
fn is_ours(route: &Route, named: &HashSet<(IpNet, u32)>) -> bool {
    reload::is_by_hand(route) || named.contains(&(route.prefix, route.metric()))
}

/// Begins to compare what runs with `wanted`. Routes of `named` are the file's though a protocol has made them; without that
/// all are, as when earlier changes are undone. `macs` are those of the ports.
pub(super) fn plan(
    mut before: Config,
    wanted: Box<Config>,
    macs: Vec<MacAddress>,
    named: Option<HashSet<(IpNet, u32)>>,
    undoes: Option<ControlError>,
    tables: PathBuf,
    doorbell: Doorbell,
) -> Result<Stage, ControlError> {
    let work = move || {
        (before.routes, before.neighbors) = reload::read_tables(&tables).map_err(unreadable)?;
        let ours = |route: &Route| named.as_ref().is_none_or(|named| is_ours(route, named));
        let changes = reload::plan(&before, &wanted, &macs, ours);
        let mut lines = String::new();
        for change in &changes {
            lines.extend([&change.to_string(), "\n"]);
        }
        let text = text::sealed(lines.as_bytes()).map_err(unreadable)?;
        Ok(Box::new(Planned {
            before: Box::new(before),
            wanted,
            changes,
            text,
            undoes,
        }))
    };
    begin(doorbell, work).map(Stage::Planning)
}

/// Begins to write down what runs.
pub(super) fn show(
    mut running: Config,
    named: HashSet<(IpNet, u32)>,
    tables: PathBuf,
    overrides: Overrides,
    doorbell: Doorbell,
) -> Result<Stage, ControlError> {
    let work = move || {
        let (routes, neighbors) = reload::read_tables(&tables).map_err(unreadable)?;
        running.neighbors = neighbors;
        running.routes = reload::shown(routes, &running, |route| is_ours(route, &named));
        text::sealed(running.render(&overrides).as_bytes()).map_err(unreadable)
    };
    begin(doorbell, work).map(Stage::Showing)
}
