//! On which interfaces hop-by-hop headers are judged from now on, or no more.

use std::collections::{HashMap, HashSet};

use super::change::Change;
use crate::config::{Config, HopByHop};

/// The changes of interfaces in `stay`, and of new ones, on which they are not judged until more is said.
pub(super) fn hop_by_hop(
    running: &Config,
    wanted: &Config,
    stay: &HashSet<&str>,
) -> impl Iterator<Item = Change> {
    let before: HashMap<&str, HopByHop> = running
        .hop_by_hop()
        .filter(|(name, _)| stay.contains(name))
        .collect();
    let changed = wanted
        .hop_by_hop()
        .filter(move |(name, now)| before.get(name).copied().unwrap_or_default() != *now);
    changed.map(|(name, now)| Change::HopByHop {
        interface: name.to_owned(),
        hop_by_hop: now,
    })
}
