//! Which routes there are for a prefix, and which of them counts.
//!
//! ```text
//!   own      for an address of the gateway: local, broadcast, connected     first
//!   given    by configuration or an operator                                second, kept while an own one hides it
//!   host     a neighbour's /32: not here but derived, see `forwarding`      last
//! ```
//!
//! Of several given routes to a prefix, with different metrics, one counts, see `service`; the others are set aside.
//!
//! A given IPv4 route takes 24 bytes in the map, so that a million of them take about 50 MB beside the FIB's own. Hence
//! a map for each family.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use shm::records::RouteProtocol;

use super::attributes::AttributesId;
use super::groups::GroupId;
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
    /// To the neighbours of this group.
    Group(GroupId),
    /// Nowhere.
    Blackhole,
    /// Nowhere, and the sender is told that nobody is there.
    Unreachable,
    /// Nowhere, and the sender is told that it is not allowed.
    Prohibit,
    /// Here; it is the address of all routers of a subnet of the interface.
    Anycast(u16),
}

impl Target {
    /// The interface that it names itself.
    pub(super) fn interface(self) -> Option<u16> {
        match self {
            Self::Local(interface)
            | Self::Broadcast(interface)
            | Self::Glean(interface)
            | Self::Anycast(interface) => Some(interface),
            Self::Via(_) | Self::Group(_) | Self::Blackhole | Self::Unreachable | Self::Prohibit => None,
        }
    }
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) target: Target,
    pub(super) protocol: RouteProtocol,
    pub(super) attributes: AttributesId,
    /// Of its record: tells it from all others of its family.
    pub(super) slot: u32,
}

/// All routes but those of neighbours.
pub(super) struct Candidates {
    own: HashMap<IpNet, Candidate>,
    own_len4: usize,
    given4: HashMap<Ipv4Net, Candidate>,
    given6: HashMap<Ipv6Net, Candidate>,
    /// Given routes beside the one that counts. No list is empty.
    aside: BTreeMap<IpNet, Vec<Candidate>>,
    aside_len: [usize; 2],
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
            aside: BTreeMap::new(),
            aside_len: [0; 2],
            lengths4: [0; 33],
            lengths6: [0; 129],
        }
    }

    pub(super) fn own(&self, prefix: IpNet) -> Option<Candidate> {
        self.own.get(&prefix).copied()
    }

    /// The given route that counts.
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
        let [aside4, aside6] = self.aside_len;
        [self.given4.len() + aside4, self.given6.len() + aside6]
    }

    /// All given routes to a prefix, first the one that counts.
    pub(super) fn given_each(&self, prefix: IpNet) -> impl Iterator<Item = Candidate> {
        // Mostly there are none at all.
        let aside = (!self.aside.is_empty())
            .then(|| self.aside.get(&prefix))
            .flatten();
        self.given(prefix)
            .into_iter()
            .chain(aside.into_iter().flatten().copied())
    }

    /// Whether there are several given routes to the prefix.
    pub(super) fn is_contested(&self, prefix: IpNet) -> bool {
        self.aside.contains_key(&prefix)
    }

    /// The prefixes to which there are several given routes.
    pub(super) fn contested(&self) -> impl Iterator<Item = IpNet> {
        self.aside.keys().copied()
    }

    /// Adds a given route. It counts if it is the first.
    pub(super) fn add_given(&mut self, prefix: IpNet, route: Candidate) {
        if self.given(prefix).is_none() {
            self.set_given(prefix, Some(route));
        } else {
            self.aside.entry(prefix).or_default().push(route);
            self.aside_len[family(prefix)] += 1;
        }
    }

    /// Puts a given route in the place of another.
    pub(super) fn replace_given(&mut self, prefix: IpNet, before: Candidate, after: Candidate) {
        if self
            .given(prefix)
            .is_some_and(|active| active.slot == before.slot)
        {
            self.set_given(prefix, Some(after));
        } else if let Some(place) = self
            .aside
            .get_mut(&prefix)
            .and_then(|routes| routes.iter_mut().find(|route| route.slot == before.slot))
        {
            *place = after;
        }
    }

    /// Takes a given route out. If it counted and there are others, one of those does now.
    pub(super) fn remove_given(&mut self, prefix: IpNet, route: Candidate) {
        if self.given(prefix).is_some_and(|active| active.slot == route.slot) {
            let next = self.aside.get(&prefix).and_then(|routes| routes.first().copied());
            self.set_given(prefix, next);
            if let Some(next) = next {
                self.take_aside(prefix, next);
            }
        } else {
            self.take_aside(prefix, route);
        }
    }

    /// Makes a given route that was set aside the one that counts.
    pub(super) fn promote(&mut self, prefix: IpNet, route: Candidate) {
        let active = self.given(prefix);
        self.take_aside(prefix, route);
        self.set_given(prefix, Some(route));
        if let Some(active) = active {
            self.add_given(prefix, active);
        }
    }

    fn take_aside(&mut self, prefix: IpNet, route: Candidate) {
        let Some(routes) = self.aside.get_mut(&prefix) else {
            return;
        };
        let before = routes.len();
        routes.retain(|other| other.slot != route.slot);
        self.aside_len[family(prefix)] -= before - routes.len();
        if routes.is_empty() {
            self.aside.remove(&prefix);
        }
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

    /// Sets or, with `None`, removes the given route that counts.
    fn set_given(&mut self, prefix: IpNet, candidate: Option<Candidate>) {
        let before = match prefix {
            IpNet::V4(prefix) => set(&mut self.given4, prefix, candidate),
            IpNet::V6(prefix) => set(&mut self.given6, prefix, candidate),
        };
        self.count(prefix, before.is_some(), candidate.is_some());
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

    /// The given routes that are so, by prefix.
    pub(super) fn given_where(
        &self,
        mut wanted: impl FnMut(IpNet, &Candidate) -> bool,
    ) -> Vec<(IpNet, Candidate)> {
        let of4 = self
            .given4
            .iter()
            .map(|(prefix, route)| (IpNet::V4(*prefix), *route));
        let of6 = self
            .given6
            .iter()
            .map(|(prefix, route)| (IpNet::V6(*prefix), *route));
        let aside = self
            .aside
            .iter()
            .flat_map(|(prefix, routes)| routes.iter().map(|route| (*prefix, *route)));
        let all = of4.chain(of6).chain(aside);
        let mut found: Vec<_> = all.filter(|(prefix, route)| wanted(*prefix, route)).collect();
        found.sort_unstable_by_key(|(prefix, route)| (*prefix, route.slot));
        found
    }
}

/// The place of a prefix's family in a pair.
fn family(prefix: IpNet) -> usize {
    usize::from(prefix.addr().is_ipv6())
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
    fn of_several_given_routes_one_counts_and_the_others_wait() {
        let prefix: IpNet = "10.0.0.0/24".parse().unwrap();
        let route = |slot| Candidate {
            target: Target::Blackhole,
            protocol: RouteProtocol::STATIC,
            attributes: AttributesId::NONE,
            slot,
        };
        let mut candidates = Candidates::new();
        for slot in 1..=3 {
            candidates.add_given(prefix, route(slot));
        }
        let slots = |candidates: &Candidates| -> Vec<u32> {
            candidates.given_each(prefix).map(|route| route.slot).collect()
        };
        assert_eq!(
            (slots(&candidates), candidates.given_len()),
            (vec![1, 2, 3], [3, 0])
        );
        candidates.promote(prefix, route(3));
        assert_eq!(slots(&candidates), [3, 2, 1]);
        candidates.remove_given(prefix, route(3));
        assert_eq!(slots(&candidates), [2, 1]);
        candidates.remove_given(prefix, route(1));
        assert_eq!(
            (slots(&candidates), candidates.is_contested(prefix)),
            (vec![2], false)
        );
        candidates.remove_given(prefix, route(2));
        assert_eq!((candidates.given_len(), candidates.lengths4), ([0, 0], [0; 33]));
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
                protocol: RouteProtocol::STATIC,
                attributes: AttributesId::NONE,
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
