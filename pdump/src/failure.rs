//! How the tool fails: one sentence, or with `--json` one object, on stderr; status 1, or 2 for wrong usage.

use std::io;

use control::choose::ChooseError;
use control::message::{ControlError, ErrorCode};
use control::tool;
use serde_json::{Map, Value, json};

use crate::filter::FilterError;
use crate::output::OutputError;
use crate::privileges::PrivilegeError;
use crate::reread::InputError;
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
    /// Files cannot be read, or not to their end.
    #[error("{}", sentences(.0))]
    Input(Vec<InputError>),
    /// Root cannot be given up, or files not be given away.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Something else could not be printed.
    #[error("cannot write to the standard output: {0}")]
    Print(#[from] io::Error),
}

/// A line for each.
fn sentences(errors: &[InputError]) -> String {
    let sentences: Vec<_> = errors.iter().map(InputError::to_string).collect();
    sentences.join("\n")
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Input(vec![error])
    }
}

impl tool::Failure for Failure {
    fn usage(sentence: String) -> Self {
        Self::Usage(sentence)
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Filter(_) => ErrorCode::Invalid.name(),
            Self::Refused(error) => error.code.name(),
            Self::Source(CaptureError::PrimaryEnded(_)) => ErrorCode::InstanceDead.name(),
            Self::Source(_) | Self::Output(_) | Self::Input(_) | Self::Privileges(_) | Self::Print(_) => {
                ErrorCode::Failed.name()
            }
        }
    }

    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Filter(_) => 2,
            _ => 1,
        }
    }

    fn unprinted(&self) -> Option<&io::Error> {
        match self {
            Self::Print(error) => Some(error),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Filter(error) => {
                let pointer = error.pointer().map(|pointer| format!("\n{pointer}"));
                format!("error: {error}{}", pointer.unwrap_or_default())
            }
            _ => {
                let text = self.to_string();
                let lines: Vec<_> = text.lines().map(|line| format!("error: {line}")).collect();
                lines.join("\n")
            }
        }
    }

    fn add_details(&self, error: &mut Map<String, Value>) {
        if let Self::Filter(FilterError::Wrong {
            column: Some(column), ..
        }) = self
        {
            error.insert("column".to_owned(), json!(column));
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
