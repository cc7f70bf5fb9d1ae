//! How the tool fails: one sentence, or with `--json` one object, on stderr; status 1, or 2 for wrong usage.

use std::io;

use control::choose::ChooseError;
use control::message::{ControlError, ErrorCode};
use control::punt::AttachmentError;
use control::tool;
use document::ConfigErrors;

use crate::helpers::BeginError;

/// Why the tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// What the configuration wants takes longer than the primary waits.
    #[error("{0}")]
    TooLong(String),
    /// A helper cannot begin.
    #[error(transparent)]
    Helper(#[from] BeginError),
    /// The instance refused, or could not be reached.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// The relay lost its primary.
    #[error(transparent)]
    Ended(#[from] AttachmentError),
    /// Something could not be printed.
    #[error("cannot write to the standard output: {0}")]
    Print(#[from] io::Error),
}

impl tool::Failure for Failure {
    fn usage(sentence: String) -> Self {
        Self::Usage(sentence)
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Configuration(_) | Self::TooLong(_) => ErrorCode::Invalid.name(),
            Self::Refused(error) => error.code.name(),
            Self::Ended(AttachmentError::PrimaryEnded(_)) => ErrorCode::InstanceDead.name(),
            Self::Ended(_) | Self::Helper(_) | Self::Print(_) => ErrorCode::Failed.name(),
        }
    }

    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Configuration(_) | Self::TooLong(_) => 2,
            _ => 1,
        }
    }

    fn unprinted(&self) -> Option<&io::Error> {
        match self {
            Self::Print(error) => Some(error),
            _ => None,
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
