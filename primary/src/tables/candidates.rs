//! Which routes there are for a prefix, and which of them counts.
//!
//! ```text
//!   own      for an address of the gateway: local, broadcast, connected     first
//!   given    by configuration or an operator                                second, kept while an own one hides it
//!   host     a neighbour's /32: not here but derived, see `forwarding`      last
//! ```
//!
//! A given IPv4 route takes 24 bytes in the map, so that a million of them take about 50 MB beside the FIB's own. Hence
//! a map for each family.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
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
    own: HashMap<IpNet, Candidate>,
    own_len4: usize,
    given4: HashMap<Ipv4Net, Candidate>,
    given6: HashMap<Ipv6Net, Candidate>,
    /// Routes of each prefix length, so that a longest match asks only for lengths that there are.
    lengths4: [usize; 33],
    lengths6: [usize; 129],
}

impl Candidates {
    pub(super) fn new() -> Self {
        Self {
            own: HashMap::new(),
            own_len4: 0,
            given4: HashMap::new(),
            given6: HashMap::new(),
            lengths4: [0; 33],
            lengths6: [0; 129],
        }
    }

    pub(super) fn own(&self, prefix: IpNet) -> Option<Candidate> {
        self.own.get(&prefix).copied()
    }

    pub(super) fn given(&self, prefix: IpNet) -> Option<Candidate> {
        match prefix {
            IpNet::V4(prefix) => self.given4.get(&prefix).copied(),
            IpNet::V6(prefix) => self.given6.get(&prefix).copied(),
        }
    }

    /// Own routes of IPv4 and of IPv6.
    pub(super) fn own_len(&self) -> [usize; 2] {
        [self.own_len4, self.own.len() - self.own_len4]
    }

    /// Given routes of IPv4 and of IPv6.
    pub(super) fn given_len(&self) -> [usize; 2] {
        [self.given4.len(), self.given6.len()]
    }

    /// Sets or, with `None`, removes the own route; gives the one before.
    pub(super) fn set_own(&mut self, prefix: IpNet, candidate: Option<Candidate>) -> Option<Candidate> {
        let before = set(&mut self.own, prefix, candidate);
        if let IpNet::V4(_) = prefix {
            self.own_len4 = self.own_len4 + usize::from(candidate.is_some()) - usize::from(before.is_some());
        }
        self.count(prefix, before.is_some(), candidate.is_some());
        before
    }

    /// Sets or, with `None`, removes the given route; gives the one before.
    pub(super) fn set_given(&mut self, prefix: IpNet, candidate: Option<Candidate>) -> Option<Candidate> {
        let before = match prefix {
            IpNet::V4(prefix) => set(&mut self.given4, prefix, candidate),
            IpNet::V6(prefix) => set(&mut self.given6, prefix, candidate),
        };
        self.count(prefix, before.is_some(), candidate.is_some());
        before
    }

    fn count(&mut self, prefix: IpNet, before: bool, after: bool) {
        let lengths: &mut [usize] = match prefix {
            IpNet::V4(_) => &mut self.lengths4,
            IpNet::V6(_) => &mut self.lengths6,
        };
        if let Some(count) = lengths.get_mut(usize::from(prefix.prefix_len())) {
            *count = *count + usize::from(after) - usize::from(before);
        }
    }

    /// The route that counts for exactly this prefix, of those whose target `counts`.
    pub(super) fn best(&self, prefix: IpNet, counts: impl Fn(Target) -> bool) -> Option<Candidate> {
        let counts = |route: &Candidate| counts(route.target);
        self.own(prefix)
            .filter(counts)
            .or_else(|| self.given(prefix).filter(counts))
    }

    /// The route of the longest prefix that holds `address`, of those whose target `counts`.
    pub(super) fn longest(
        &self,
        address: IpAddr,
        counts: impl Fn(Target) -> bool,
    ) -> Option<(IpNet, Candidate)> {
        let lengths: &[usize] = match address {
            IpAddr::V4(_) => &self.lengths4,
            IpAddr::V6(_) => &self.lengths6,
        };
        lengths
            .iter()
            .zip(0..=128)
            .rev()
            .filter(|(count, _)| **count > 0)
            .find_map(|(_, length)| {
                let prefix = IpNet::new(address, length).ok()?.trunc();
                Some((prefix, self.best(prefix, &counts)?))
            })
    }

    /// The prefixes of own routes whose target is so.
    pub(super) fn own_where(&self, mut wanted: impl FnMut(Target) -> bool) -> Vec<IpNet> {
        let found = self.own.iter().filter(|(_, route)| wanted(route.target));
        found.map(|(prefix, _)| *prefix).collect()
    }

    /// The given routes whose target is so, in order.
    pub(super) fn given_where(&self, mut wanted: impl FnMut(IpNet, Target) -> bool) -> Vec<IpNet> {
        let of4 = self
            .given4
            .iter()
            .map(|(prefix, route)| (IpNet::V4(*prefix), route));
        let of6 = self
            .given6
            .iter()
            .map(|(prefix, route)| (IpNet::V6(*prefix), route));
        let mut found: Vec<_> = of4
            .chain(of6)
            .filter(|(prefix, route)| wanted(*prefix, route.target))
            .map(|(prefix, _)| prefix)
            .collect();
        found.sort_unstable();
        found
    }
}

fn set<K: Eq + std::hash::Hash>(
    map: &mut HashMap<K, Candidate>,
    prefix: K,
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
    fn a_given_ipv4_route_takes_24_bytes_in_the_map() {
        assert_eq!(size_of::<(Ipv4Net, Candidate)>(), 24);
    }

    #[test]
    fn an_own_route_hides_a_given_one_and_shows_it_again() {
        for (prefix, address) in [("10.0.0.0/24", "10.0.0.7"), ("2001:db8::/64", "2001:db8::7")] {
            hides_and_shows(prefix.parse().unwrap(), address.parse().unwrap());
        }
    }

    fn hides_and_shows(prefix: IpNet, address: IpAddr) {
        let mut candidates = Candidates::new();
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
            let longest = candidates.longest(address, |_| true);
            longest.map(|(_, route)| route.target)
        };
        assert_eq!(found(&candidates), Some(Target::Glean(1)));
        candidates.set_own(prefix, None);
        assert_eq!(found(&candidates), Some(Target::Blackhole));
        candidates.set_given(prefix, None);
        assert_eq!(found(&candidates), None);
        assert_eq!((candidates.lengths4, candidates.lengths6), ([0; 33], [0; 129]));
    }
}
