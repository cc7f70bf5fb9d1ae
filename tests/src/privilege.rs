//! How a privileged command is run: directly by root, or through sudo, which is named each time it is used.

use std::{
    ffi::{OsStr, OsString},
    io::Write,
    process::Command,
    time::Duration,
};

use nix::unistd::Uid;

use crate::{Captured, Error, Wait, command::display, interrupt, run};

/// A change to the host takes milliseconds; one that takes this long has hung.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The way to the rights that namespaces, links and hugepages need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// This process is root.
    Direct,
    /// An ordinary user: `sudo -n` in front of each privileged command, each named on stderr before it runs.
    Sudo,
}

impl Privilege {
    /// What this process has.
    pub fn detect() -> Self {
        if Uid::effective().is_root() {
            Self::Direct
        } else {
            Self::Sudo
        }
    }

    /// `program`, to be run with privilege. The search path holds the folders of system programs, which the PATH of an ordinary user
    /// lacks.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Direct => {
                let mut command = Command::new(program);
                command.env("PATH", search_path());
                command
            }
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", "--"]).arg(program);
                command
            }
        }
    }

    /// Names a privileged step to the user who lent the right to it; root needs no telling.
    pub fn announce(self, command: &Command, why: &str) {
        if self == Self::Sudo {
            let line = display(command).replacen("sudo -n --", "sudo:", 1);
            // Nobody reading is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}: {why}");
        }
    }

    /// Runs `words` with privilege to its end and returns what it printed. `why` is for the user whose sudo is used.
    ///
    /// A step is never cut short: a signal is looked for before it, so that no half-made change is left behind.
    ///
    /// # Errors
    /// [`Error::Interrupted`] before it ran; otherwise those of a command that cannot start, fails or hangs.
    pub fn run(self, why: &str, words: &[&str]) -> Result<Captured, Error> {
        interrupt::check()?;
        self.run_to_undo(why, words)
    }

    /// As [`Privilege::run`], but also after a signal: for the way back.
    ///
    /// # Errors
    /// Those of a command that cannot start, fails or hangs.
    pub fn run_to_undo(self, why: &str, words: &[&str]) -> Result<Captured, Error> {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        let mut command = self.command(program);
        command.args(arguments);
        self.announce(&command, why);
        run(command, Wait::ToTheEnd(STEP_LIMIT))?.success()
    }
}

fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
    path
}
