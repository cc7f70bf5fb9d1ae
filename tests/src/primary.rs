//! A primary of a test: its process, and the tools pointed at it.

use std::{fs, path::PathBuf, process::ExitStatus, time::Duration};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    Captured, Error, PrimaryBuilder, Privilege, Process, ProcessBuilder, Wait, binaries, run, wait_until,
};

/// A question to a primary is answered in milliseconds.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// An address is looked for during one second; a busy host may need a few.
const DETECTION_LIMIT: Duration = Duration::from_secs(10);

/// A running primary; dropped, it is ended and its folder removed.
#[derive(Debug)]
pub struct Primary {
    instance: String,
    privilege: Privilege,
    // Before the folder: it must have ended when its run directory goes.
    process: Process,
    run_dir: PathBuf,
    folder: TempDir,
}

impl Primary {
    /// A primary of an instance of its own whose name ends in `label`.
    pub fn builder(privilege: Privilege, label: &str) -> PrimaryBuilder {
        PrimaryBuilder::new(privilege, label)
    }

    pub(crate) fn new(
        instance: String,
        privilege: Privilege,
        process: Process,
        run_dir: PathBuf,
        folder: TempDir,
    ) -> Self {
        Self {
            instance,
            privilege,
            process,
            run_dir,
            folder,
        }
    }

    /// Name of the instance.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Its `--run-dir`.
    pub fn run_dir(&self) -> PathBuf {
        self.run_dir.clone()
    }

    /// Its configuration file, which a test may rewrite before [`Primary::reload`].
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("primary.toml")
    }

    /// How long the workers were ready to run while their CPU ran something else, since the start: proc(5), schedstat.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn workers_kept_waiting(&mut self) -> Result<Duration, Error> {
        let path = PathBuf::from(format!("/proc/{}/task", self.process().pid()));
        let tasks = fs::read_dir(&path).map_err(|source| Error::File {
            action: "read",
            path,
            source,
        })?;
        let nanoseconds = tasks
            .flatten()
            .filter(|task| {
                fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.contains("worker"))
            })
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
        Ok(Duration::from_nanos(nanoseconds.sum()))
    }

    /// Its process: output so far, pid, waiting for a line of its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Runs `tollgate-ctl` on this instance and returns how it went, whatever its status.
    ///
    /// # Errors
    /// It is not built, hangs, or a signal came.
    pub fn ctl(&self, words: &[&str]) -> Result<Captured, Error> {
        let mut command = self.privilege.command(binaries::find("tollgate-ctl")?);
        command
            .arg("--run-dir")
            .arg(&self.run_dir)
            .args(["--instance", &self.instance])
            .args(words);
        self.privilege.announce(&command, "asks the primary");
        run(command, Wait::Interruptible(TOOL_LIMIT))
    }

    /// Runs `tollgate-ctl --json` on this instance and returns what it printed.
    ///
    /// # Errors
    /// It failed, or printed no JSON.
    pub fn ctl_json(&self, words: &[&str]) -> Result<serde_json::Value, Error> {
        let mut all = vec!["--json"];
        all.extend(words);
        self.ctl(&all)?.success()?.json()
    }

    /// `tollgate-ctl` on this instance, to be started as a process of its own: `monitor`, `--watch`.
    ///
    /// # Errors
    /// It is not built.
    pub fn ctl_process(&self, words: &[&str]) -> Result<ProcessBuilder, Error> {
        self.tool("watches the primary", "tollgate-ctl", words)
    }

    /// `tollgate-pdump` on this instance, to be started.
    ///
    /// # Errors
    /// It is not built.
    pub fn pdump(&self, words: &[&str]) -> Result<ProcessBuilder, Error> {
        self.tool("captures packets", "tollgate-pdump", words)
    }

    /// The program `name` on this instance, to be started.
    ///
    /// # Errors
    /// It is not built.
    pub fn tool(&self, why: &str, name: &str, words: &[&str]) -> Result<ProcessBuilder, Error> {
        let program = binaries::find(name)?;
        Ok(ProcessBuilder::new(self.privilege, why, program)
            .arg("--run-dir")
            .arg(&self.run_dir)
            .args(["--instance", &self.instance])
            .args(words))
    }

    /// Waits until every address is in use, or known to be another host's: an IPv6 address is looked for on its link for a
    /// second, RFC 4862. An address on a link that is down stays tentative.
    ///
    /// # Errors
    /// One stays tentative.
    pub fn wait_for_addresses(&self) -> Result<(), Error> {
        wait_until("the end of `tentative`", DETECTION_LIMIT, || {
            let addresses = self.ctl_json(&["addr", "show"])?;
            let tentative = addresses
                .as_array()
                .is_none_or(|addresses| addresses.iter().any(|address| address["state"] == "tentative"));
            Ok((!tentative).then_some(()))
        })
    }

    /// Runs `tollgate-hugepage-setup` on the run directory and returns how it went, whatever its status.
    ///
    /// # Errors
    /// It is not built, hangs, or a signal came.
    pub fn hugepage_setup(&self, words: &[&str]) -> Result<Captured, Error> {
        let mut command = self.privilege.command(binaries::find("tollgate-hugepage-setup")?);
        command.arg("--run-dir").arg(&self.run_dir).args(words);
        self.privilege
            .announce(&command, "looks after the host's hugepages");
        run(command, Wait::Interruptible(TOOL_LIMIT))
    }

    /// SIGHUP: it reads its configuration file again.
    pub fn reload(&mut self) {
        self.process.signal(Signal::SIGHUP);
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// SIGTERM, and waits for the end; the run directory stays until the value is dropped, for a look at what was left in it.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn terminate(&mut self) -> Result<ExitStatus, Error> {
        self.process.terminate()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Leaves it running, with its folder, when this process ends; [`crate::sweep()`] ends it.
    pub fn leave_running(self) {
        self.process.leave_running();
        let _ = self.folder.keep();
    }

    pub(crate) fn into_folder(mut self) -> TempDir {
        self.process.kill();
        self.folder
    }
}

#[allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests alone, which end where something is not as expected"
)]
impl Primary {
    /// Runs `tollgate-ctl` on this instance, in words that have no blanks in them, and returns what it printed.
    ///
    /// # Panics
    /// It is refused, with what it said.
    #[track_caller]
    pub fn tell(&self, words: &str) -> String {
        let split: Vec<_> = words.split_whitespace().collect();
        match self.ctl(&split).and_then(Captured::success) {
            Ok(captured) => captured.stdout,
            Err(error) => panic!("{words}: {error}"),
        }
    }

    /// Code and message of the refusal of words that [`Primary::tell`] would take.
    ///
    /// # Panics
    /// They are not refused, or without a word.
    #[track_caller]
    pub fn refusal(&self, words: &str) -> (String, String) {
        let split: Vec<_> = ["--json"].into_iter().chain(words.split_whitespace()).collect();
        let ran = self.ctl(&split).unwrap();
        assert!(!ran.status.success(), "{words}: {ran:?}");
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        let text = |key: &str| error["error"][key].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }
}
