//! A process of a topology: started in a namespace or beside it, its output captured, ended when its guard is dropped.

use std::{
    fmt,
    io::Write,
    process::{Child, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::{
    Error, Privilege,
    capture::Capture,
    command::{GRACE, next_look, signal_through_sudo},
    interrupt,
};

/// A running process, or one that has ended; dropped, it is ended.
pub struct Process {
    name: String,
    pid: Pid,
    privilege: Privilege,
    child: Child,
    status: Option<ExitStatus>,
    has_ended: Arc<AtomicBool>,
    stdout: Capture,
    stderr: Capture,
}

impl Process {
    pub(crate) fn new(
        name: String,
        privilege: Privilege,
        child: Child,
        has_ended: Arc<AtomicBool>,
        stdout: Capture,
        stderr: Capture,
    ) -> Result<Self, Error> {
        let pid = Pid::from_raw(child.id().cast_signed());
        let mut process = Self {
            name,
            pid,
            privilege,
            child,
            status: None,
            has_ended,
            stdout,
            stderr,
        };
        if privilege == Privilege::Sudo {
            process.learn_pid()?;
        }
        Ok(process)
    }

    /// The pid of the program itself, also behind sudo.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// What it has written on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
            self.has_ended.store(self.status.is_some(), Ordering::Release);
        }
        self.status
    }

    /// Waits until a line on stderr satisfies `is_event`, and returns that line. `expected` says in words what is waited for.
    ///
    /// # Errors
    /// It ended, or said nothing of the kind within `limit`, or a signal came.
    pub fn wait_for_stderr(
        &mut self,
        expected: &str,
        limit: Duration,
        is_event: impl Fn(&str) -> bool,
    ) -> Result<String, Error> {
        let lines = self.stderr.clone();
        self.wait_for_line(&lines, expected, limit, is_event)
    }

    /// As [`Process::wait_for_stderr`], on stdout.
    ///
    /// # Errors
    /// It ended, or said nothing of the kind within `limit`, or a signal came.
    pub fn wait_for_stdout(
        &mut self,
        expected: &str,
        limit: Duration,
        is_event: impl Fn(&str) -> bool,
    ) -> Result<String, Error> {
        let lines = self.stdout.clone();
        self.wait_for_line(&lines, expected, limit, is_event)
    }

    fn wait_for_line(
        &mut self,
        lines: &Capture,
        expected: &str,
        limit: Duration,
        is_event: impl Fn(&str) -> bool,
    ) -> Result<String, Error> {
        let began = Instant::now();
        loop {
            // Asked before the output is read: whatever a dead process said is then in it.
            let status = self.ended().filter(|_| lines.at_end());
            if let Some(line) = lines.find(&is_event) {
                return Ok(line);
            }
            let expected = expected.to_owned();
            if let Some(status) = status {
                return Err(Error::EndedEarly {
                    process: self.name.clone(),
                    status,
                    expected,
                    output: self.output(),
                });
            }
            if began.elapsed() > limit {
                return Err(Error::NoEvent {
                    process: self.name.clone(),
                    expected,
                    limit,
                    output: self.output(),
                });
            }
            interrupt::check()?;
            lines.wait_for_more(interrupt::TICK);
        }
    }

    /// Says a line on its stdin, if it was started with one: that it has ended is said better by the wait for what it does then.
    pub(crate) fn say(&mut self, line: &str) {
        if let Some(stdin) = &mut self.child.stdin {
            let _ = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        }
    }

    /// Says a line on its stdin and returns the line that it answers on stdout, which is then as if it had never been there. `expected` says in
    /// words what it is asked for.
    ///
    /// # Errors
    /// It was started without [`ProcessBuilder::with_stdin`](crate::ProcessBuilder::with_stdin) or has ended, or said nothing within `limit`, or
    /// a signal came. What it says later would be taken for another answer: it is not to be asked again.
    pub fn ask(&mut self, line: &str, expected: &str, limit: Duration) -> Result<String, Error> {
        self.say(line);
        let answer = self.wait_for_stdout(expected, limit, |_| true)?;
        self.stdout.forget_first_line();
        Ok(answer)
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// It runs longer than `limit` (it is left running), or a signal came.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                self.finish_reading();
                return Ok(status);
            }
            if began.elapsed() > limit {
                let expected = "that it is done".to_owned();
                return Err(Error::NoEvent {
                    process: self.name.clone(),
                    expected,
                    limit,
                    output: self.output(),
                });
            }
            interrupt::check()?;
            thread::sleep(next_look(began));
        }
    }

    /// Sends `signal` to the program; nothing happens if it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_some() {
            return;
        }
        match self.privilege {
            // The child is not reaped, so the pid is still its own; ESRCH is impossible and EPERM too.
            Privilege::Direct => {
                let _ = kill(self.pid, signal);
            }
            Privilege::Sudo => signal_through_sudo(&self.pid.to_string(), signal),
        }
    }

    /// SIGTERM to it and to what it started, and waits for the end.
    ///
    /// # Errors
    /// [`Error::Unstoppable`] if it had to be killed.
    pub fn terminate(&mut self) -> Result<ExitStatus, Error> {
        self.signal_all(Signal::SIGTERM);
        if let Some(status) = self.wait_out(GRACE) {
            return Ok(status);
        }
        self.kill();
        Err(Error::Unstoppable {
            process: self.name.clone(),
            limit: GRACE,
            output: self.output(),
        })
    }

    /// SIGKILL to it and to what it started, and waits for the end.
    pub fn kill(&mut self) {
        self.signal_all(Signal::SIGKILL);
        self.wait_out(GRACE);
    }

    /// Leaves it running when this value goes; its output has to go to a [`ProcessBuilder::log`].
    pub fn leave_running(self) {
        std::mem::forget(self);
    }

    /// As [`Process::signal`], to its process group, which is its own unless sudo leads it.
    fn signal_all(&mut self, signal: Signal) {
        let running = self.ended().is_none();
        match self.privilege {
            Privilege::Direct if running => {
                let _ = killpg(self.pid, signal);
            }
            _ => self.signal(signal),
        }
    }

    /// Waits for the end whatever signals come, for at most `limit`.
    fn wait_out(&mut self, limit: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while self.ended().is_none() && began.elapsed() < limit {
            thread::sleep(next_look(began));
        }
        self.finish_reading();
        self.status
    }

    /// Lets the readers reach the end of a dead process's output; a grandchild may hold the pipe, so not for ever.
    fn finish_reading(&self) {
        let began = Instant::now();
        while !(self.stdout.at_end() && self.stderr.at_end()) && began.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn output(&self) -> String {
        format!("{}{}", self.stdout(), self.stderr())
    }

    fn learn_pid(&mut self) -> Result<(), Error> {
        let line = self.wait_for_stdout("its pid", GRACE, |line| line.parse::<i32>().is_ok())?;
        if let Ok(pid) = line.parse() {
            self.pid = Pid::from_raw(pid);
        }
        self.stdout.forget_first_line();
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The error says that it had to be killed: it is gone, which is what a drop is for.
        let _ = self.terminate();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessBuilder;

    const SOON: Duration = Duration::from_secs(10);

    fn sh(script: &str) -> Process {
        ProcessBuilder::new(Privilege::Direct, "test", "sh")
            .args(["-c", script])
            .start()
            .unwrap()
    }

    #[test]
    fn an_event_is_found_and_the_process_goes_on() {
        let mut process = sh("echo starting >&2; echo ready >&2; exec sleep 60");
        process
            .wait_for_stderr("`ready`", SOON, |line| line == "ready")
            .unwrap();
        assert_eq!(process.ended(), None);
        let status = process.terminate().unwrap();
        assert!(!status.success());
    }

    #[test]
    fn a_process_that_ends_before_its_event_is_quoted() {
        let mut process = sh("echo cannot open it >&2; exit 1");
        let error = process
            .wait_for_stderr("`ready`", SOON, |line| line == "ready")
            .unwrap_err();
        assert!(matches!(&error, Error::EndedEarly { .. }), "{error}");
        assert!(error.to_string().contains("cannot open it"), "{error}");
    }

    #[test]
    fn an_event_that_does_not_come_is_an_error_at_the_bound() {
        let mut process = sh("exec sleep 60");
        let error = process
            .wait_for_stderr("`ready`", Duration::from_millis(50), |_| true)
            .unwrap_err();
        assert!(matches!(error, Error::NoEvent { .. }), "{error}");
    }

    #[test]
    fn what_an_ended_process_said_is_complete() {
        let mut process = sh("seq 1 20000");
        assert!(process.wait(SOON).unwrap().success());
        assert_eq!(process.stdout().lines().count(), 20_000);
    }

    #[test]
    fn a_process_that_is_asked_answers_line_by_line() {
        let mut process = ProcessBuilder::new(Privilege::Direct, "test", "sh")
            .args(["-c", "while read line; do echo \"got $line\"; done"])
            .with_stdin()
            .start()
            .unwrap();
        for line in ["one", "two"] {
            assert_eq!(
                process.ask(line, "what it got", SOON).unwrap(),
                format!("got {line}")
            );
        }
        let mut ended = sh("exit 1");
        let error = ended.ask("one", "what it got", SOON).unwrap_err();
        assert!(matches!(&error, Error::EndedEarly { .. }), "{error}");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = sh("exec sleep 60");
        let path = format!("/proc/{}/stat", process.pid());
        assert!(std::fs::exists(&path).unwrap());
        drop(process);
        assert!(!std::fs::exists(&path).unwrap());
    }

    #[test]
    fn a_log_is_followed_as_a_pipe_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("process.log");
        let mut process = ProcessBuilder::new(Privilege::Direct, "test", "sh")
            .args(["-c", "echo ready >&2; read x; exec sleep 60"])
            .log(&log)
            .start()
            .unwrap();
        process
            .wait_for_stderr("`ready`", SOON, |line| line == "ready")
            .unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\n");
        process.terminate().unwrap();
        assert_eq!(process.stderr(), "ready\n");
    }

    #[test]
    fn what_a_terminated_process_has_started_ends_too() {
        let mut process = sh("sleep 60 & echo $!; wait");
        let child = process
            .wait_for_stdout("a pid", SOON, |line| line.parse::<u32>().is_ok())
            .unwrap();
        process.terminate().unwrap();
        let began = Instant::now();
        // A zombie until init reaps it.
        let alive = || std::fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|words| !words.is_empty());
        while alive() && began.elapsed() < SOON {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!alive());
    }

    #[test]
    fn a_killed_process_had_no_say() {
        let mut process = sh("trap 'echo term' TERM; echo ready >&2; while :; do sleep 0.05; done");
        process
            .wait_for_stderr("`ready`", SOON, |line| line == "ready")
            .unwrap();
        process.kill();
        assert_eq!(process.stdout(), "");
        assert!(process.ended().is_some());
    }
}
