//! Why a command of xtask did not succeed, and the exit status that says so.

use std::{io, path::PathBuf};

/// Why a command did not succeed; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A step failed, or a signal came.
    #[error(transparent)]
    Step(#[from] ::tests::Error),
    /// Neither root nor sudo.
    #[error(
        "namespaces, hugepages and packages need root: run this as root, or install sudo and give {user} the right to use it"
    )]
    NoPrivilege {
        /// Who runs this.
        user: String,
    },
    /// Signals cannot be caught, so nothing could be put back.
    #[error("cannot catch signals ({0}); nothing was changed")]
    Signals(io::Error),
    /// Neither Debian 12 nor 13, and something is missing.
    #[error(
        "this is {system}, and xtask installs packages on Debian 12 and 13 only: install by your own means \
         {missing} and run this again"
    )]
    UnknownSystem {
        /// Name of the system.
        system: String,
        /// What to install.
        missing: String,
    },
    /// The kernel has no hugepages of the size that is used.
    #[error("this kernel offers no 2 MB hugepages ({}: {source}); boot one with CONFIG_HUGETLBFS on a CPU that has them", .path.display())]
    NoHugepages {
        /// What was read.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A file of ours could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// What was seen is not what must be seen.
    #[error("{0}")]
    Unexpected(String),
    /// Tests failed, or none ran.
    #[error("{0}")]
    Tests(String),
    /// Packets take more instructions than they may.
    #[error(
        "packets take too many instructions:\n  {}\nthe bounds are in {figures}; if the change is worth it, `cargo xtask instructions --accept` \
         raises them", .complaints.join("\n  ")
    )]
    Instructions {
        /// Which, and by how much.
        complaints: Vec<String>,
        /// Where they are written down.
        figures: &'static str,
    },
    /// The host is not as it was.
    #[error("the host is not as it was before:\n  {}", .0.join("\n  "))]
    NotRestored(Vec<String>),
    /// A demo that was kept is in the way.
    #[error("a demo is still up; take it down with `cargo xtask demo --down`")]
    DemoIsUp,
    /// There is none to take down.
    #[error("no demo was kept up from this checkout, so there is nothing to take down")]
    NoDemo,
    /// Another command is using the host for too long.
    #[error(
        "another `cargo xtask` has been using this host's hugepages for {0} minutes; wait for it to end, or end it"
    )]
    HostIsBusy(u64),
}

impl Error {
    /// 128 and the signal after a signal, as shells have it; 1 otherwise.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Step(::tests::Error::Interrupted(signal)) => u8::try_from(128 + signal).unwrap_or(1),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_gives_the_status_that_a_shell_would_show() {
        assert_eq!(Error::Step(::tests::Error::Interrupted(2)).exit_status(), 130);
        assert_eq!(Error::Step(::tests::Error::Interrupted(15)).exit_status(), 143);
        assert_eq!(Error::DemoIsUp.exit_status(), 1);
    }
}
