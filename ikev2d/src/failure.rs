//! How the daemon fails: one sentence, or with `--json` one object, on stderr; status 1, or 2 for wrong usage.

use std::io::{self, Write};
use std::process::ExitCode;

use control::choose::ChooseError;
use control::message::{ControlError, ErrorCode};
use document::ConfigErrors;
use serde_json::json;

/// Why the daemon did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// The instance refused, or could not be reached.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// Tools could not be listened for.
    #[error("cannot listen for tollgate-ctl: {0}")]
    Listen(io::Error),
    /// There are no random bytes.
    #[error("the kernel gives no random bytes, without which there are no keys: {0}")]
    Random(getrandom::Error),
    /// Something could not be printed.
    #[error("cannot write to the standard output: {0}")]
    Print(#[from] io::Error),
}

impl Failure {
    /// Says what failed and gives the status to exit with.
    pub fn report(&self, json: bool) -> ExitCode {
        // Whoever read the page or script has seen enough.
        if matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        let said = if json {
            json!({ "error": { "code": self.code(), "message": self.to_string() } }).to_string()
        } else {
            let text = self.to_string();
            let lines: Vec<_> = text.lines().map(|line| format!("error: {line}")).collect();
            lines.join("\n")
        };
        // Nobody is left to tell when stderr is closed; the status remains.
        drop(writeln!(io::stderr(), "{said}"));
        ExitCode::from(match self {
            Self::Usage(_) | Self::Configuration(_) => 2,
            _ => 1,
        })
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Configuration(_) => ErrorCode::Invalid.name(),
            Self::Refused(error) => error.code.name(),
            Self::Listen(_) | Self::Random(_) | Self::Print(_) => ErrorCode::Failed.name(),
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
