//! What routes say beside where they lead. Routes that say the same share one set, so that a million of them cost two bytes
//! each, and those that say nothing no set at all.

use std::collections::HashMap;
use std::net::IpAddr;

/// What a route says beside where it leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Attributes {
    pub(super) metric: u32,
    /// Of the gateway's own packets by the route.
    pub(super) source: Option<IpAddr>,
    /// The longest packet that goes by it.
    pub(super) mtu: Option<u16>,
}

/// Number of a set. It may name another one once no route has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttributesId(u16);

impl AttributesId {
    /// Metric 0 and nothing else.
    pub(super) const NONE: Self = Self(0);
}

/// All sets that routes have, and by how many routes each is held.
pub(super) struct AttributeSets {
    slots: Vec<(Attributes, usize)>,
    free: Vec<AttributesId>,
    by_value: HashMap<Attributes, AttributesId>,
}

impl AttributeSets {
    /// How many there can be at a time.
    pub(super) const MOST: usize = 1 << 16;

    pub(super) fn new() -> Self {
        Self {
            slots: vec![(Attributes::default(), 0)],
            free: Vec::new(),
            by_value: HashMap::new(),
        }
    }

    pub(super) fn get(&self, id: AttributesId) -> Attributes {
        self.slots
            .get(usize::from(id.0))
            .map_or_else(Attributes::default, |(attributes, _)| *attributes)
    }

    /// One more route has these; `None` when there are too many different ones.
    pub(super) fn hold(&mut self, attributes: Attributes) -> Option<AttributesId> {
        if attributes == Attributes::default() {
            return Some(AttributesId::NONE);
        }
        let id = match self.by_value.get(&attributes) {
            Some(id) => *id,
            None => self.insert(attributes)?,
        };
        self.slots[usize::from(id.0)].1 += 1;
        Some(id)
    }

    fn insert(&mut self, attributes: Attributes) -> Option<AttributesId> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = AttributesId(u16::try_from(self.slots.len()).ok()?);
                self.slots.push((attributes, 0));
                id
            }
        };
        self.slots[usize::from(id.0)] = (attributes, 0);
        self.by_value.insert(attributes, id);
        Some(id)
    }

    /// One route less has them.
    pub(super) fn release(&mut self, id: AttributesId) {
        let Some((attributes, routes)) = self.slots.get_mut(usize::from(id.0)) else {
            return;
        };
        if id == AttributesId::NONE {
            return;
        }
        *routes -= 1;
        if *routes == 0 {
            self.by_value.remove(attributes);
            self.free.push(id);
        }
    }

    /// Whether a route has this source.
    pub(super) fn has_source(&self, source: IpAddr) -> bool {
        self.by_value
            .keys()
            .any(|attributes| attributes.source == Some(source))
    }

    /// How many sets routes have.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_value.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_one_and_go_with_their_last_route() {
        let mut sets = AttributeSets::new();
        let attributes = |metric| Attributes {
            metric,
            ..Attributes::default()
        };
        assert_eq!(sets.hold(attributes(0)), Some(AttributesId::NONE));
        let first = sets.hold(attributes(7)).unwrap();
        assert_eq!(sets.hold(attributes(7)), Some(first));
        let other = sets.hold(attributes(8)).unwrap();
        assert_ne!(first, other);
        assert_eq!(sets.get(first).metric, 7);
        sets.release(first);
        assert_eq!(sets.hold(attributes(7)), Some(first));
        sets.release(first);
        sets.release(first);
        assert_eq!(sets.hold(attributes(9)), Some(first));
        sets.release(AttributesId::NONE);
        assert_eq!((sets.get(AttributesId::NONE).metric, sets.len()), (0, 2));
    }

    #[test]
    fn more_different_sets_than_numbers_are_refused() {
        let mut sets = AttributeSets::new();
        let taken = (1..=AttributeSets::MOST as u32)
            .map(|metric| Attributes {
                metric,
                ..Attributes::default()
            })
            .filter(|attributes| sets.hold(*attributes).is_some())
            .count();
        assert_eq!(taken, AttributeSets::MOST - 1);
    }
}
