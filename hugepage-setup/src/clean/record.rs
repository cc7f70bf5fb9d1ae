//! What a clean did, thing by thing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use control::instance::InstanceName;
use serde::Serialize;

/// What was removed, or should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A directory of the registry.
    InstanceDirectory,
    /// A table region.
    TableRegion,
    /// Memory of EAL.
    HugepageFile,
    /// The directory that EAL keeps per file prefix.
    EalDirectory,
    /// A discovery page.
    DiscoverySegment,
}

impl Kind {
    /// Its name in sentences.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::InstanceDirectory => "directory",
            Self::TableRegion => "table region",
            Self::HugepageFile => "hugepage file",
            Self::EalDirectory => "EAL directory",
            Self::DiscoverySegment => "discovery segment",
        }
    }
}

/// One thing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// The dead instance that it belonged to, if the registry knew.
    pub(crate) instance: Option<InstanceName>,
    /// Memory or disk that it held.
    pub(crate) bytes: u64,
    /// Why it is still there.
    pub(crate) error: Option<String>,
}

/// What became of one thing.
pub(crate) enum Outcome {
    /// It is gone, or would be, and held so many bytes.
    Removed(u64),
    /// It was not there, or is alive.
    Left,
    /// It is dead and still there.
    Failed(String),
}

/// All records, each path once.
#[derive(Default)]
pub(crate) struct Records {
    list: Vec<Record>,
    seen: HashSet<PathBuf>,
}

impl Records {
    /// Whether a path was dealt with.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.seen.contains(path)
    }

    /// Notes what became of a path.
    pub(crate) fn add(&mut self, kind: Kind, path: &Path, instance: Option<&InstanceName>, outcome: Outcome) {
        let (bytes, error) = match outcome {
            Outcome::Left => return,
            Outcome::Removed(bytes) => (bytes, None),
            Outcome::Failed(error) => (0, Some(error)),
        };
        self.seen.insert(path.to_path_buf());
        self.list.push(Record {
            kind,
            path: path.to_path_buf(),
            instance: instance.cloned(),
            bytes,
            error,
        });
    }

    /// In the order in which they were noted.
    pub(crate) fn into_list(self) -> Vec<Record> {
        self.list
    }
}
