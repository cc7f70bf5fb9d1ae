//! Which interfaces redirects are sent to from now on, or no more.

use std::collections::{HashMap, HashSet};

use super::change::Change;
use crate::config::Config;

/// The changes of interfaces in `stay`, and of new ones, to which redirects are sent until more is said.
pub(super) fn redirects(
    running: &Config,
    wanted: &Config,
    stay: &HashSet<&str>,
) -> impl Iterator<Item = Change> {
    let before: HashMap<&str, bool> = running
        .redirect_states()
        .filter(|(name, _)| stay.contains(name))
        .collect();
    let changed = wanted
        .redirect_states()
        .filter(move |(name, on)| before.get(name).copied().unwrap_or(true) != *on);
    changed.map(|(name, on)| Change::Redirects {
        interface: name.to_owned(),
        on,
    })
}
