//! Which routes there are for a prefix, and which of them counts.
//!
//! ```text
//!   own      for an address of the gateway: local, broadcast, connected     first
//!   given    by configuration or an operator                                second, kept while an own one hides it
//!   host     a neighbour's /32: not here but derived, see `forwarding`      last
//! ```
//!
//! A given route takes 24 bytes in the map, so that a million of them take about 50 MB beside the FIB's own.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use shm::records::{RouteKind, RouteProtocol};

use super::neighbor_set::NeighborId;

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Here; the interface has the address.
    Local(u16),
    /// To nobody: network or broadcast address of a subnet of the interface.
    Broadcast(u16),
    /// Out of the interface, where the destination itself is the neighbour.
    Glean(u16),
    /// To this neighbour.
    Via(NeighborId),
    /// Nowhere.
    Blackhole,
}

impl Target {
    /// The interface that it names itself.
    pub(super) fn interface(self) -> Option<u16> {
        match self {
            Self::Local(interface) | Self::Broadcast(interface) | Self::Glean(interface) => Some(interface),
            Self::Via(_) | Self::Blackhole => None,
        }
    }

    pub(super) fn kind(self) -> RouteKind {
        match self {
            Self::Local(_) => RouteKind::Local,
            Self::Broadcast(_) => RouteKind::Broadcast,
            Self::Glean(_) => RouteKind::Connected,
            Self::Via(_) => RouteKind::Via,
            Self::Blackhole => RouteKind::Blackhole,
        }
    }
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) target: Target,
    pub(super) protocol: RouteProtocol,
    /// Of its record.
    pub(super) slot: u32,
}

/// All routes but those of neighbours.
pub(super) struct Candidates {
    own: HashMap<Ipv4Net, Candidate>,
    given: HashMap<Ipv4Net, Candidate>,
    /// Routes of each prefix length, so that a longest match asks only for lengths that there are.
    lengths: [usize; 33],
}

impl Candidates {
    pub(super) fn new() -> Self {
        Self {
            own: HashMap::new(),
            given: HashMap::new(),
            lengths: [0; 33],
        }
    }

    pub(super) fn own(&self, prefix: Ipv4Net) -> Option<Candidate> {
        self.own.get(&prefix).copied()
    }

    pub(super) fn given(&self, prefix: Ipv4Net) -> Option<Candidate> {
        self.given.get(&prefix).copied()
    }

    pub(super) fn own_len(&self) -> usize {
        self.own.len()
    }

    pub(super) fn given_len(&self) -> usize {
        self.given.len()
    }

    /// Sets or, with `None`, removes the own route; gives the one before.
    pub(super) fn set_own(&mut self, prefix: Ipv4Net, candidate: Option<Candidate>) -> Option<Candidate> {
        let before = set(&mut self.own, prefix, candidate);
        self.count(prefix, before.is_some(), candidate.is_some());
        before
    }

    /// Sets or, with `None`, removes the given route; gives the one before.
    pub(super) fn set_given(&mut self, prefix: Ipv4Net, candidate: Option<Candidate>) -> Option<Candidate> {
        let before = set(&mut self.given, prefix, candidate);
        self.count(prefix, before.is_some(), candidate.is_some());
        before
    }

    fn count(&mut self, prefix: Ipv4Net, before: bool, after: bool) {
        if let Some(count) = self.lengths.get_mut(usize::from(prefix.prefix_len())) {
            *count = *count + usize::from(after) - usize::from(before);
        }
    }

    /// The route that counts for exactly this prefix.
    pub(super) fn best(&self, prefix: Ipv4Net) -> Option<Candidate> {
        self.own(prefix).or_else(|| self.given(prefix))
    }

    /// The route of the longest prefix that holds `address`.
    pub(super) fn longest(&self, address: Ipv4Addr) -> Option<(Ipv4Net, Candidate)> {
        self.lengths
            .iter()
            .zip(0..=32)
            .rev()
            .filter(|(count, _)| **count > 0)
            .find_map(|(_, length)| {
                let prefix = Ipv4Net::new(address, length).ok()?.trunc();
                Some((prefix, self.best(prefix)?))
            })
    }

    /// The given routes whose target is so, in order.
    pub(super) fn given_where(&self, mut wanted: impl FnMut(Target) -> bool) -> Vec<Ipv4Net> {
        let mut found: Vec<_> = self
            .given
            .iter()
            .filter(|(_, route)| wanted(route.target))
            .map(|(prefix, _)| *prefix)
            .collect();
        found.sort_unstable();
        found
    }
}

fn set(
    map: &mut HashMap<Ipv4Net, Candidate>,
    prefix: Ipv4Net,
    candidate: Option<Candidate>,
) -> Option<Candidate> {
    match candidate {
        Some(candidate) => map.insert(prefix, candidate),
        None => map.remove(&prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_route_takes_24_bytes_in_the_map() {
        assert_eq!(size_of::<(Ipv4Net, Candidate)>(), 24);
    }

    #[test]
    fn an_own_route_hides_a_given_one_and_shows_it_again() {
        let mut candidates = Candidates::new();
        let prefix: Ipv4Net = "10.0.0.0/24".parse().unwrap();
        let route = |target| {
            Some(Candidate {
                target,
                protocol: RouteProtocol::Static,
                slot: 0,
            })
        };
        candidates.set_given(prefix, route(Target::Blackhole));
        candidates.set_own(prefix, route(Target::Glean(1)));
        let found = |candidates: &Candidates| {
            candidates
                .longest([10, 0, 0, 7].into())
                .map(|(_, route)| route.target)
        };
        assert_eq!(found(&candidates), Some(Target::Glean(1)));
        candidates.set_own(prefix, None);
        assert_eq!(found(&candidates), Some(Target::Blackhole));
        candidates.set_given(prefix, None);
        assert_eq!(found(&candidates), None);
        assert_eq!(candidates.lengths, [0; 33]);
    }
}
