//! What the registry cannot do.

use std::io;
use std::path::{Path, PathBuf};

use super::InstanceName;

/// What the registry could not do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The instance runs already.
    #[error(
        "instance '{name}' is running already (pid {pid}): give this one another name, or stop that one with 'kill {pid}'"
    )]
    Running {
        /// The instance.
        name: InstanceName,
        /// Its primary.
        pid: u32,
    },
    /// No directory of that name.
    #[error(
        "there is no instance '{name}' in {run_dir}: 'tollgate-ctl instance show' lists those that are there"
    )]
    Unknown {
        /// The instance.
        name: InstanceName,
        /// Where it was looked for.
        run_dir: PathBuf,
    },
    /// The caller may not.
    #[error(
        "no permission for {path}: run as root, or as a member of the instance's group ([instance] group)"
    )]
    Permission {
        /// The file or directory.
        path: PathBuf,
    },
    /// The description is not one.
    #[error(
        "{path} is not an instance description ({reason}): a tool of another build wrote it, or it was cut short"
    )]
    Description {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// Anything else that the kernel refused.
    #[error("cannot {step} {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl RegistryError {
    pub(super) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            _ => Self::Io { step, path, source },
        }
    }
}
