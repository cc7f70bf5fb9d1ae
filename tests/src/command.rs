//! Running a command to its end: bounded, in a process group of its own, and cut short by a signal if it may be.

use std::{
    ffi::OsStr,
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{Error, interrupt};

/// A process that was told to end gets this long before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long a command may take, and whether a signal ends it earlier.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// Until the bound or a signal: for what can be thrown away half done.
    Interruptible(Duration),
    /// Until the bound: for what must not be left half done.
    ToTheEnd(Duration),
}

/// What a command that ended had printed.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote on stdout; what is not UTF-8 is replaced.
    pub stdout: String,
    /// What it wrote on stderr; what is not UTF-8 is replaced.
    pub stderr: String,
}

impl Captured {
    /// The same, if the command succeeded.
    ///
    /// # Errors
    /// [`Error::Failed`] with what it wrote on stderr.
    pub fn success(self) -> Result<Self, Error> {
        if self.status.success() {
            return Ok(self);
        }
        Err(Error::Failed {
            command: self.command,
            status: self.status,
            stderr: self.stderr,
        })
    }

    /// The lines that it wrote on stderr, log lines left out: those begin with the date.
    pub fn complaints(&self) -> Vec<&str> {
        let is_dated = |line: &&str| {
            let date: Vec<_> = line.splitn(4, ['-', 'T']).take(3).collect();
            date.len() == 3 && date.iter().all(|part| part.parse::<u32>().is_ok())
        };
        self.stderr.lines().filter(|line| !is_dated(line)).collect()
    }

    /// What it printed, parsed as JSON.
    ///
    /// # Errors
    /// [`Error::NotJson`] with what it printed instead.
    pub fn json(&self) -> Result<serde_json::Value, Error> {
        serde_json::from_str(&self.stdout).map_err(|source| Error::NotJson {
            command: self.command.clone(),
            source,
            output: self.stdout.clone(),
        })
    }
}

/// Runs `command` and captures what it prints; its status is the caller's to judge.
///
/// # Errors
/// It could not be started, hung, or was cut short by a signal.
pub fn run(mut command: Command, wait: Wait) -> Result<Captured, Error> {
    let line = display(&command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = start(&mut command, &line, wait)?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait_for(&mut child, &line, wait)?;
    Ok(Captured {
        command: line,
        status,
        stdout: collect(stdout),
        stderr: collect(stderr),
    })
}

/// Runs `command` with its output going where ours goes, so that the user sees its progress.
///
/// # Errors
/// It could not be started, failed, hung, or was cut short by a signal.
pub fn run_shown(mut command: Command, wait: Wait) -> Result<(), Error> {
    let line = display(&command);
    command.stdin(Stdio::null());
    let mut child = start(&mut command, &line, wait)?;
    let status = wait_for(&mut child, &line, wait)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        command: line,
        status,
        stderr: "see its output above".to_owned(),
    })
}

fn start(command: &mut Command, line: &str, wait: Wait) -> Result<Child, Error> {
    if let Wait::Interruptible(_) = wait {
        interrupt::check()?;
    }
    // Ctrl-C goes to the whole foreground group: the child must not die of it on its own.
    command.process_group(0).spawn().map_err(|source| Error::Spawn {
        command: line.to_owned(),
        source,
    })
}

fn wait_for(child: &mut Child, line: &str, wait: Wait) -> Result<ExitStatus, Error> {
    let (Wait::Interruptible(limit) | Wait::ToTheEnd(limit)) = wait;
    let began = Instant::now();
    loop {
        if let Some(status) = poll(child, line)? {
            return Ok(status);
        }
        if let (Wait::Interruptible(_), Err(signal)) = (wait, interrupt::check()) {
            end_group(child, line)?;
            return Err(signal);
        }
        if began.elapsed() > limit {
            end_group(child, line)?;
            return Err(Error::TimedOut {
                command: line.to_owned(),
                limit,
            });
        }
        thread::sleep(next_look(began));
    }
}

/// Short waits at first, since most commands take milliseconds and some tests time them.
pub(crate) fn next_look(began: Instant) -> Duration {
    (began.elapsed() / 16).clamp(Duration::from_micros(200), interrupt::TICK)
}

fn poll(child: &mut Child, line: &str) -> Result<Option<ExitStatus>, Error> {
    child.try_wait().map_err(|source| Error::Spawn {
        command: line.to_owned(),
        source,
    })
}

/// Ends a child and what it started: SIGTERM, then SIGKILL when the grace is over.
fn end_group(child: &mut Child, line: &str) -> Result<(), Error> {
    let group = Pid::from_raw(child.id().cast_signed());
    signal_group(group, Signal::SIGTERM);
    let told = Instant::now();
    while told.elapsed() < GRACE {
        if poll(child, line)?.is_some() {
            return Ok(());
        }
        thread::sleep(next_look(told));
    }
    signal_group(group, Signal::SIGKILL);
    let _ = child.wait();
    Ok(())
}

/// Sends `signal` to a process group; through sudo where the group is root's and we are not.
fn signal_group(group: Pid, signal: Signal) {
    if killpg(group, signal) == Err(Errno::EPERM) {
        signal_through_sudo(&format!("-{group}"), signal);
    }
}

/// `kill` as root; an error means that the target has gone, which is what was wanted.
pub(crate) fn signal_through_sudo(target: &str, signal: Signal) {
    // The shell's own: a minimal system has no program of that name.
    let script = format!(
        "kill -s {} -- {target}",
        signal.as_str().trim_start_matches("SIG")
    );
    let mut command = Command::new("sudo");
    command.args(["-n", "--", "sh", "-c", &script]);
    let _ = run(command, Wait::ToTheEnd(GRACE));
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    Some(thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still what the command said.
        let _: io::Result<usize> = pipe.read_to_end(&mut bytes);
        bytes
    }))
}

/// What a drained pipe held. A grandchild that keeps the pipe open does not hold us up for more than a second.
fn collect(drained: Option<JoinHandle<Vec<u8>>>) -> String {
    let Some(drained) = drained else {
        return String::new();
    };
    let began = Instant::now();
    while !drained.is_finished() && began.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(1));
    }
    if !drained.is_finished() {
        return String::new();
    }
    String::from_utf8_lossy(&drained.join().unwrap_or_default()).into_owned()
}

/// The command line as a user would type it.
pub(crate) fn display(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{word}'")
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_complaint_is_told_from_a_log_line() {
        let script =
            "echo 2026-11-21T04:01:58.469Z notice  instance: entered >&2; echo x: a-b-c is wrong >&2";
        let captured = run(sh(script), Wait::ToTheEnd(GRACE)).unwrap();
        assert_eq!(captured.complaints(), ["x: a-b-c is wrong"]);
    }

    #[test]
    fn both_streams_and_the_status_are_captured() {
        let captured = run(sh("echo out; echo err >&2; exit 3"), Wait::ToTheEnd(GRACE)).unwrap();
        assert_eq!(captured.stdout, "out\n");
        assert_eq!(captured.stderr, "err\n");
        assert_eq!(captured.status.code(), Some(3));
        let refused = captured.success().unwrap_err().to_string();
        assert!(refused.contains("sh -c") && refused.contains("err"), "{refused}");
    }

    #[test]
    fn a_command_that_hangs_is_killed_at_its_bound() {
        let began = Instant::now();
        let error = run(sh("sleep 60"), Wait::ToTheEnd(Duration::from_millis(100))).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(began.elapsed() < GRACE);
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_block() {
        let captured = run(sh("head -c 1000000 /dev/zero"), Wait::ToTheEnd(GRACE)).unwrap();
        assert_eq!(captured.stdout.len(), 1_000_000);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(Command::new("tollgate-no-such-program"), Wait::ToTheEnd(GRACE)).unwrap_err();
        assert!(error.to_string().contains("tollgate-no-such-program"), "{error}");
    }
}
