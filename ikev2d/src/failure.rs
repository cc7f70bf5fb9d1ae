//! How the daemon fails: one sentence, or with `--json` one object, on stderr; status 1, or 2 for wrong usage.

use std::io;

use control::choose::ChooseError;
use control::message::{ControlError, ErrorCode};
use control::tool;
use document::ConfigErrors;

use crate::confinement::{ConfinementError, FilterError};

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
    /// It could not give up its rights.
    #[error(transparent)]
    Confinement(#[from] ConfinementError),
    /// It could not limit itself to the system calls that it needs.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Tools could not be listened for.
    #[error("cannot listen for tollgate-ctl: {0}")]
    Listen(io::Error),
    /// There are no random bytes.
    #[error("the kernel gives no random bytes, without which there are no keys: {0}")]
    Random(getrandom::Error),
    /// Something could not be printed.
    #[error("cannot write to the standard output: {0}")]
    Print(#[from] io::Error),
    /// The kernel takes no handler of signals.
    #[error("cannot take signals, by which the daemon is ended and told to read its file again: {0}")]
    Signals(io::Error),
}

impl tool::Failure for Failure {
    fn usage(sentence: String) -> Self {
        Self::Usage(sentence)
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Configuration(_) => ErrorCode::Invalid.name(),
            Self::Refused(error) => error.code.name(),
            Self::Confinement(_)
            | Self::Filter(_)
            | Self::Listen(_)
            | Self::Random(_)
            | Self::Print(_)
            | Self::Signals(_) => ErrorCode::Failed.name(),
        }
    }

    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Configuration(_) => 2,
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
