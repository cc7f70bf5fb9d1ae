//! What can go wrong, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use control::instance::RegistryError;

use crate::size::{Bytes, PageSize};

/// Why the tool could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The caller may not.
    #[error("{what} needs root: run the same command with sudo")]
    NotRoot {
        /// What was to be done.
        what: &'static str,
    },
    /// The kernel was built without them, or sysfs is missing.
    #[error(
        "this kernel shows no huge pages: {path} is missing or empty (is /sys mounted, is CONFIG_HUGETLBFS on?)"
    )]
    NoHugepages {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// Not a size of this CPU.
    #[error(
        "there are no huge pages of {size} on this host, only of {}: name one of these with --size",
        list(known)
    )]
    Size {
        /// What was asked for.
        size: PageSize,
        /// What there is.
        known: Vec<PageSize>,
    },
    /// Not a node of this host.
    #[error(
        "there is no NUMA node {node} with huge pages, only: {}; name one of these with --node",
        list(known)
    )]
    Node {
        /// What was asked for.
        node: u32,
        /// What there is.
        known: Vec<u32>,
    },
    /// More than the memory holds; nothing was tried.
    #[error(
        "the kernel was asked for none of the {missing} huge pages of {size} that are missing {place}: they take {} and \
         only {} of {} is available; ask for at most {most} in all, or stop what uses the memory",
        Bytes(missing * size.bytes()), Bytes(*available), Bytes(*total)
    )]
    Memory {
        /// Size of the pages.
        size: PageSize,
        /// How many are missing.
        missing: u64,
        /// Host or node.
        place: String,
        /// Bytes available.
        available: u64,
        /// Bytes of all memory.
        total: u64,
        /// How many pages in all would fit.
        most: u64,
    },
    /// The kernel gave fewer than asked for.
    #[error(
        "the kernel gave {gave} of the {missing} huge pages of {size} that were missing {place} ({total} of {wanted} are \
         there now and stay): {why}; {remedy}"
    )]
    Short {
        /// Size of the pages.
        size: PageSize,
        /// How many were given.
        gave: u64,
        /// How many were missing.
        missing: u64,
        /// Host or node.
        place: String,
        /// How many there are.
        total: u64,
        /// How many there should be.
        wanted: u64,
        /// What the memory looks like.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// Pages that cannot be had although the kernel counts them.
    #[error(
        "only {proved} of the {pages} new huge pages of {size} could be mapped and touched {place}: {why}; see \
         'tollgate-hugepage-setup show' for who took them"
    )]
    Proof {
        /// Size of the pages.
        size: PageSize,
        /// How many could be touched.
        proved: u64,
        /// How many should.
        pages: u64,
        /// Host or node.
        place: String,
        /// What stopped it.
        why: String,
    },
    /// A counter of the kernel that is no number.
    #[error(
        "{path} holds no number: this kernel shows its huge pages in a way that this build does not know"
    )]
    Count {
        /// The file.
        path: PathBuf,
    },
    /// Something is in the way of a mount.
    #[error("cannot mount huge pages at {path}: {reason}")]
    InTheWay {
        /// The directory.
        path: PathBuf,
        /// What is in the way and what to do.
        reason: String,
    },
    /// The path is not one of ours to unmount.
    #[error("no huge pages are mounted at {path}: 'tollgate-hugepage-setup show' lists where they are")]
    NotMounted {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody works with files of the mount.
    #[error(
        "{path} is in use by {users}: stop them first, or run 'tollgate-hugepage-setup clean' if they are dead"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Files and processes.
        users: String,
    },
    /// No such group.
    #[error(
        "there is no group '{name}': make it with 'groupadd --system {name}', or name another with --group"
    )]
    Group {
        /// What was asked for.
        name: String,
    },
    /// Some of the remains are still there; each was named already.
    #[error("{count} of the remains could not be removed: see the lines before this one")]
    Remains {
        /// How many.
        count: usize,
    },
    /// Neither a network device of the PCI buses nor an interface of the kernel.
    #[error("there is no network device '{name}' here: name one of {}", list(known))]
    NoNic {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The doctor found something that has to be mended; each was named already.
    #[error("{} found: each finding says what to do about it", problems(*count))]
    Problems {
        /// How many.
        count: usize,
    },
    /// The registry of instances.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Anything else that the kernel refused.
    #[error("cannot {step} {path}: {source}{}", hint(source))]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was tried, and on which file.
    pub(crate) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { step, path, source }
    }

    /// What the process ends with.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::NoNic { .. } => 2,
            _ => 1,
        }
    }
}

fn problems(count: usize) -> String {
    match count {
        1 => "1 problem was".to_owned(),
        count => format!("{count} problems were"),
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => " (run the same command as root)",
        io::ErrorKind::ReadOnlyFilesystem => " (in a container: run it on the host)",
        _ => "",
    }
}

/// The items with commas between them, or "none".
pub(crate) fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
