//! Several instances on one host: neither sees nor harms another, and none leaves anything behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod coming_and_going;
mod side_by_side;
mod site;

use std::time::Duration;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
