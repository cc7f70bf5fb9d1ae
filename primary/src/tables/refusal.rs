//! Why a change was refused, in the words that operators read.

use control::message::{ControlError, ErrorCode};
use fib::FibError;

/// Why there can be no further neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeighborRefusal {
    /// As many as there may be, all in use.
    #[error("there are {limit} neighbours already and all are in use: raise neighbors in [limits]")]
    Limit {
        /// The limit.
        limit: usize,
    },
    /// All adjacencies are in use or wait for workers.
    #[error("no adjacency is free for the neighbour: try again in a moment, or raise neighbors in [limits]")]
    Adjacencies,
    /// No route leads to it.
    #[error("{}", fib_sentence(.0))]
    Fib(FibError),
}

impl From<FibError> for NeighborRefusal {
    fn from(error: FibError) -> Self {
        Self::Fib(error)
    }
}

impl From<NeighborRefusal> for ControlError {
    fn from(refusal: NeighborRefusal) -> Self {
        refuse(ErrorCode::LimitReached, refusal.to_string())
    }
}

/// The FIB's refusal as an answer.
pub(super) fn fib_refusal(error: FibError) -> ControlError {
    let code = match error {
        FibError::HostBits { .. } => ErrorCode::Invalid,
        FibError::RouteLimit { .. } | FibError::Tbl8Exhausted { .. } => ErrorCode::LimitReached,
        FibError::Tbl24Length { .. } | FibError::Tbl8Length { .. } => ErrorCode::Failed,
    };
    refuse(code, fib_sentence(&error))
}

fn fib_sentence(error: &FibError) -> String {
    match error {
        FibError::RouteLimit { limit } => {
            format!(
                "the FIB has {limit} routes, those of addresses and neighbours included: raise routes4 in [limits]"
            )
        }
        FibError::Tbl8Exhausted { groups, retired: 0 } => format!(
            "all {groups} groups for prefixes longer than /24 are in use: raise tbl8_groups4 in [limits]"
        ),
        FibError::Tbl8Exhausted { groups, retired } => format!(
            "all {groups} groups for prefixes longer than /24 are in use, {retired} of which become free in a moment: \
             try again"
        ),
        other => other.to_string(),
    }
}

/// A refusal.
pub(super) fn refuse(code: ErrorCode, message: impl Into<String>) -> ControlError {
    ControlError::new(code, message)
}

/// A list for a sentence: the first few, and how many more there are.
pub(super) fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let mut items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() {
        return "none".to_owned();
    }
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let mut text = items.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
