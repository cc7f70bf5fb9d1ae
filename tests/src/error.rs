//! What can go wrong while a topology is built, used or taken down.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why a step of a topology failed; each message names the step and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program could not be started at all.
    #[error("cannot start `{command}`: {source}; is the package that holds it installed?")]
    Spawn {
        /// The command line.
        command: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The command ran and said no.
    #[error("`{command}` failed ({status}): {}", said(.stderr))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote on stderr.
        stderr: String,
    },
    /// The command was still running at its bound and has been killed.
    #[error("`{command}` did not end within {} s and was killed", .limit.as_secs())]
    TimedOut {
        /// The command line.
        command: String,
        /// The bound.
        limit: Duration,
    },
    /// A signal asks for the end; everything is being taken down.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// A capture file that is none.
    #[error("{} cannot be read as a capture: {reason}", .path.display())]
    Pcap {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A process did not say what it was expected to say.
    #[error("{process} did not say {expected} within {} s; its output was:\n{output}", .limit.as_secs())]
    NoEvent {
        /// Name of the process.
        process: String,
        /// What was waited for.
        expected: String,
        /// The bound.
        limit: Duration,
        /// What it said instead.
        output: String,
    },
    /// A process ended while something was expected of it.
    #[error("{process} ended ({status}) before it said {expected}; its output was:\n{output}")]
    EndedEarly {
        /// Name of the process.
        process: String,
        /// How it ended.
        status: ExitStatus,
        /// What was waited for.
        expected: String,
        /// What it said.
        output: String,
    },
    /// A state that was waited for did not come about.
    #[error("{expected} was not seen within {} s", .limit.as_secs())]
    NotSeen {
        /// What was waited for.
        expected: String,
        /// The bound.
        limit: Duration,
    },
    /// A process ignored SIGTERM and had to be killed.
    #[error("{process} was still alive {} s after SIGTERM and was killed; its output was:\n{output}", .limit.as_secs())]
    Unstoppable {
        /// Name of the process.
        process: String,
        /// The bound.
        limit: Duration,
        /// What it said.
        output: String,
    },
    /// A file of the topology could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was to be done: "write", "read" ...
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The tables of a primary cannot be read.
    #[error("the tables of {instance} cannot be read: {reason}")]
    Tables {
        /// Name of the instance.
        instance: String,
        /// Why not.
        reason: String,
    },
    /// A command was expected to print JSON.
    #[error("`{command}` printed no JSON ({source}): {output}")]
    NotJson {
        /// The command line.
        command: String,
        /// What the parser said.
        source: serde_json::Error,
        /// What was printed.
        output: String,
    },
    /// A process that is asked answered that it could not, or what cannot be read.
    #[error("{process} did not do what it was asked for: {reason}")]
    Answer {
        /// Name of the process.
        process: String,
        /// What is wrong.
        reason: String,
    },
    /// A program of the suite has not been built.
    #[error("{name} is not in {}; build it with `cargo build --release --bins`, or name its folder in TOLLGATE_BIN_DIR", .folder.display())]
    MissingBinary {
        /// File name of the program.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
}

fn said(stderr: &str) -> &str {
    match stderr.trim() {
        "" => "it said nothing on stderr",
        text => text,
    }
}
