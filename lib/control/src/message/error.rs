//! Why a primary refuses what a tool asks.

use serde::{Deserialize, Serialize};

/// A refusal: a code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// What was wrong and what to do.
    pub message: String,
}

impl ControlError {
    /// A refusal.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Kinds of refusal. The names are stable: scripts compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No instance of that name.
    UnknownInstance,
    /// The instance's primary is dead.
    InstanceDead,
    /// The caller may not use the instance.
    PermissionDenied,
    /// Tool and primary are of different builds.
    VersionMismatch,
    /// The primary does not answer.
    NoAnswer,
    /// The request is not one that the primary understands.
    BadRequest,
    /// No interface of that name.
    UnknownInterface,
    /// It exists already.
    Exists,
    /// It does not exist.
    NotFound,
    /// A value that cannot be.
    Invalid,
    /// A limit of the configuration is reached.
    LimitReached,
    /// Something else failed.
    Failed,
    /// Another request is under way that this one has to wait for.
    Busy,
}

impl ErrorCode {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownInstance => "unknown_instance",
            Self::InstanceDead => "instance_dead",
            Self::PermissionDenied => "permission_denied",
            Self::VersionMismatch => "version_mismatch",
            Self::NoAnswer => "no_answer",
            Self::BadRequest => "bad_request",
            Self::UnknownInterface => "unknown_interface",
            Self::Exists => "exists",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::LimitReached => "limit_reached",
            Self::Failed => "failed",
            Self::Busy => "busy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_same_in_json_and_by_name() {
        let json = serde_json::to_string(&ErrorCode::InstanceDead).unwrap();
        assert_eq!(json, format!("\"{}\"", ErrorCode::InstanceDead.name()));
    }
}
