//! What is said of configurations: one to apply, and what runs as one.
//!
//! Their texts are as long as there are routes, so they go as descriptors, see [`crate::text`]. The primary reads, compares
//! and writes them beside its work, so a request is answered with [`super::Reply::ConfigStarted`] and
//! [`super::Request::ConfigResult`] asks how far it is.

use serde::{Deserialize, Serialize};

/// How far the primary is with what this connection asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigProgress {
    /// The file is read and compared, or what runs is written down.
    Reading,
    /// Changes are made.
    Applying {
        /// So many are made.
        done: u64,
        /// Of so many.
        all: u64,
    },
    /// It is done. With the answer comes the descriptor of a text: the changes, one per line, or what runs.
    Done {
        /// How many changes there are, or were.
        changes: u64,
    },
}
