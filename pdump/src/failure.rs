//! How the tool fails: one sentence, or with `--json` one object, on stderr; status 1, or 2 for wrong usage.

use std::io::{self, Write};
use std::process::ExitCode;

use control::choose::ChooseError;
use control::message::{ControlError, ErrorCode};
use serde_json::json;

use crate::filter::FilterError;
use crate::output::OutputError;
use crate::source::CaptureError;

/// Why the tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong in a way that clap cannot see.
    #[error("{0}")]
    Usage(String),
    /// The filter is no filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The instance refused, or could not be reached.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// The capture ended before its time.
    #[error(transparent)]
    Source(#[from] CaptureError),
    /// Packets could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Something else could not be printed.
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
            let mut error = json!({ "code": self.code(), "message": self.to_string() });
            if let Self::Filter(FilterError::Wrong {
                column: Some(column), ..
            }) = self
            {
                error["column"] = json!(column);
            }
            json!({ "error": error }).to_string()
        } else if let Self::Filter(error) = self
            && let Some(pointer) = error.pointer()
        {
            format!("error: {error}\n{pointer}")
        } else {
            format!("error: {self}")
        };
        // Nobody is left to tell when stderr is closed; the status remains.
        drop(writeln!(io::stderr(), "{said}"));
        ExitCode::from(self.status())
    }

    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Filter(_) => 2,
            _ => 1,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Filter(_) => ErrorCode::Invalid.name(),
            Self::Refused(error) => error.code.name(),
            Self::Source(CaptureError::PrimaryEnded(_)) => ErrorCode::InstanceDead.name(),
            Self::Source(_) | Self::Output(_) | Self::Print(_) => ErrorCode::Failed.name(),
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
