//! How the tool fails: one sentence, or with `--json` one object, on stderr; status 1, or 2 for wrong usage.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use control::choose::ChooseError;
use control::message::{ControlError, ErrorCode};
use serde_json::json;

/// The code of wrong usage; all others are those of [`ErrorCode`].
const USAGE: &str = "usage";

/// Why the tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is wrong in a way that clap cannot see.
    #[error("{0}")]
    Usage(String),
    /// The instance refused, or could not be reached.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A refusal by this tool itself.
    pub(crate) fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        ControlError::new(code, message).into()
    }

    /// Says what failed and gives the status to exit with.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        match self {
            // Whoever read the output has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Usage(_) => report(json, 2, USAGE, &self.to_string()),
            Self::Refused(error) => report(json, 1, error.code.name(), &error.message),
            Self::Output(_) => report(json, 1, ErrorCode::Failed.name(), &self.to_string()),
        }
    }
}

impl From<ChooseError> for Failure {
    fn from(error: ChooseError) -> Self {
        match error {
            ChooseError::Several { .. } => Self::Usage(error.to_string()),
            ChooseError::Refused(error) => Self::Refused(error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

/// Prints what clap has to say: help and version on stdout, wrong usage on stderr.
pub(crate) fn report_usage(error: &clap::Error, json: bool) -> ExitCode {
    let wrong = error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if wrong && json {
        return report(json, 2, USAGE, &control::tool::sentence(error));
    }
    match error.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

fn report(json: bool, status: u8, code: &str, message: &str) -> ExitCode {
    let said = if json {
        json!({ "error": { "code": code, "message": message } }).to_string()
    } else {
        format!("error: {message}")
    };
    // Nobody is left to tell when stderr is closed; the status remains.
    drop(writeln!(io::stderr(), "{said}"));
    ExitCode::from(status)
}
