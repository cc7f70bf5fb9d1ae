//! How a process of a topology is to be started.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
};

use crate::{
    Error, Privilege, Process, RUN_ID_VARIABLE, RunId,
    capture::{Capture, Tail},
    command::display,
    interrupt,
};

/// What is to be started, and how.
#[derive(Debug)]
pub struct ProcessBuilder {
    privilege: Privilege,
    why: String,
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    log: Option<PathBuf>,
    shown: bool,
    has_stdin: bool,
}

impl ProcessBuilder {
    /// `program`, with privilege; `why` is for the user whose sudo is used.
    pub fn new(privilege: Privilege, why: &str, program: impl AsRef<OsStr>) -> Self {
        Self {
            privilege,
            why: why.to_owned(),
            words: vec![program.as_ref().to_owned()],
            // Marks it and its children for the sweep.
            environment: vec![(RUN_ID_VARIABLE.into(), RunId::current().to_string().into())],
            folder: None,
            log: None,
            shown: false,
            has_stdin: false,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.words.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.words
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// An environment variable of the process; sudo keeps none of ours.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder that it works in, ours if not set.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Its stderr goes to the file `log`, its stdout beside it with the extension `out`: it may then outlive us, which a pipe to us
    /// would not let it.
    #[must_use]
    pub fn log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// Shows each line of output as it comes, besides capturing it.
    #[must_use]
    pub fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    /// It reads on stdin what [`Process::ask`] says, and finds the end there when the guard is dropped.
    #[must_use]
    pub fn with_stdin(mut self) -> Self {
        self.has_stdin = true;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// A signal came first, or the program cannot be started.
    pub fn start(self) -> Result<Process, Error> {
        interrupt::check()?;
        let mut command = self.command();
        self.privilege.announce(&command, &self.why);
        let line = display(&command);
        command
            .stdin(if self.has_stdin {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let has_ended = Arc::new(AtomicBool::new(false));
        let (stdout, stderr) = (Capture::default(), Capture::default());
        if let Some(log) = &self.log {
            let out = log.with_extension("out");
            command.stdout(create(&out)?).stderr(create(log)?);
            stdout.follow(Tail::open(&out, &has_ended)?, None);
            stderr.follow(Tail::open(log, &has_ended)?, None);
        }
        let mut child = command.spawn().map_err(|source| Error::Spawn {
            command: line,
            source,
        })?;
        if let Some(pipe) = child.stdout.take() {
            stdout.follow(pipe, self.shown.then(|| Box::new(std::io::stdout()) as _));
        }
        if let Some(pipe) = child.stderr.take() {
            stderr.follow(pipe, self.shown.then(|| Box::new(std::io::stderr()) as _));
        }
        let name = self
            .words
            .first()
            .map(|program| file_name(program))
            .unwrap_or_default();
        Process::new(name, self.privilege, child, has_ended, stdout, stderr)
    }

    /// Behind sudo the child is sudo, so a shell says which pid the program has before it becomes the program.
    fn command(&self) -> Command {
        let pairs = self.environment.iter().map(|(name, value)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            pair
        });
        match self.privilege {
            Privilege::Direct => {
                let mut command = self
                    .privilege
                    .command(self.words.first().map_or(OsStr::new("true"), OsString::as_os_str));
                command
                    .args(&self.words[1..])
                    .envs(self.environment.iter().map(|(n, v)| (n, v)));
                command
            }
            Privilege::Sudo => {
                let mut command = self.privilege.command("env");
                command
                    .args(pairs)
                    .args(["sh", "-c", "echo $$; exec \"$@\"", "sh"])
                    .args(&self.words);
                command
            }
        }
    }
}

fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(|source| Error::File {
        action: "make",
        path: path.to_owned(),
        source,
    })
}

fn file_name(program: &OsStr) -> String {
    Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned()
}
