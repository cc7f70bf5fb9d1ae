//! Why a change was refused, in the words that operators read.

use control::message::{ControlError, ErrorCode};
use fib::{Fib6Error, FibError};

use super::fibs::FibRefusal;

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
    Fib(FibRefusal),
}

impl From<FibRefusal> for NeighborRefusal {
    fn from(error: FibRefusal) -> Self {
        Self::Fib(error)
    }
}

impl From<NeighborRefusal> for ControlError {
    fn from(refusal: NeighborRefusal) -> Self {
        refuse(ErrorCode::LimitReached, refusal.to_string())
    }
}

/// The FIB's refusal as an answer.
pub(super) fn fib_refusal(error: FibRefusal) -> ControlError {
    let code = match error {
        FibRefusal::Four(FibError::HostBits { .. }) | FibRefusal::Six(Fib6Error::HostBits { .. }) => {
            ErrorCode::Invalid
        }
        FibRefusal::Four(FibError::RouteLimit { .. } | FibError::Tbl8Exhausted { .. })
        | FibRefusal::Six(Fib6Error::RouteLimit { .. } | Fib6Error::Exhausted { .. }) => {
            ErrorCode::LimitReached
        }
        _ => ErrorCode::Failed,
    };
    refuse(code, fib_sentence(&error))
}

fn fib_sentence(error: &FibRefusal) -> String {
    let too_many = |limit: usize, key| {
        format!(
            "the FIB has {limit} routes, those of addresses and neighbours included: raise {key} in [limits]"
        )
    };
    match *error {
        FibRefusal::Four(FibError::RouteLimit { limit }) => too_many(limit, "routes4"),
        FibRefusal::Six(Fib6Error::RouteLimit { limit }) => too_many(limit, "routes6"),
        FibRefusal::Four(FibError::Tbl8Exhausted { groups, retired: 0 }) => format!(
            "all {groups} groups for prefixes longer than /24 are in use: raise tbl8_groups4 in [limits]"
        ),
        FibRefusal::Four(FibError::Tbl8Exhausted { groups, retired }) => format!(
            "all {groups} groups for prefixes longer than /24 are in use, {retired} of which become free in a moment: \
             try again"
        ),
        FibRefusal::Six(Fib6Error::Exhausted { retired: 0, .. }) => {
            "the memory of IPv6 routes is full: raise routes6 in [limits]".to_owned()
        }
        FibRefusal::Six(Fib6Error::Exhausted { .. }) => {
            "the memory of IPv6 routes is full, and some of it becomes free in a moment: try again".to_owned()
        }
        ref other => other.to_string(),
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
