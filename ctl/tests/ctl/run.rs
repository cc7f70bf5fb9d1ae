//! Runs the tool and takes its output apart.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run of the tool gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Stdout of a run that did what it was asked.
    pub(crate) fn good(self) -> String {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{self:?}");
        self.stdout
    }

    /// The list of objects on stdout.
    pub(crate) fn json(self) -> Vec<Value> {
        serde_json::from_str(&self.good()).unwrap()
    }

    /// Status, code and message of a run with `--json` that failed.
    pub(crate) fn error(self) -> (i32, String, String) {
        assert_eq!(self.stdout, "", "{self:?}");
        let error: Value = serde_json::from_str(&self.stderr).unwrap_or_else(|_| panic!("{self:?}"));
        let text = |key: &str| error["error"][key].as_str().unwrap().to_owned();
        (self.status, text("code"), text("message"))
    }
}

/// The tool, with a run directory and nothing from the caller's environment.
pub(crate) fn tool(run_dir: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-ctl"));
    command
        .args(words.split_whitespace())
        .env_remove("TOLLGATE_INSTANCE")
        .env("TOLLGATE_RUN_DIR", run_dir);
    command
}

pub(crate) fn run(run_dir: &Path, words: &str) -> Ran {
    ran(tool(run_dir, words).output().unwrap())
}

pub(crate) fn run_with_input(run_dir: &Path, words: &str, input: &str) -> Ran {
    let pipes = || Stdio::piped();
    let mut child = tool(run_dir, words)
        .stdin(pipes())
        .stdout(pipes())
        .stderr(pipes())
        .spawn()
        .unwrap();
    // What is refused by its words alone may be gone before it has read anything.
    if let Err(error) = child.stdin.take().unwrap().write_all(input.as_bytes()) {
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
    ran(child.wait_with_output().unwrap())
}

fn ran(output: Output) -> Ran {
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
