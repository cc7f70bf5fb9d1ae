//! The neighbours by number and by address, and which of them may go when there are too many. `I` is the address
//! family's type.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fib::NextHop;
use packet::MacAddress;
use shm::records::NeighborState;

use super::reachability::Reachability;
use crate::adjacency::Adjacency;

/// Number of a neighbour. It may name another one once the neighbour is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NeighborId(u32);

/// A host on a link.
#[derive(Debug)]
pub(super) struct Neighbor<I> {
    pub(super) interface: u16,
    pub(super) address: I,
    /// Known while packets go there.
    pub(super) mac: Option<MacAddress>,
    pub(super) reachability: Reachability,
    pub(super) adjacency: NextHop,
    /// Routes whose next hop it is, a group of next hops that has it counting as one.
    pub(super) routes: u32,
    /// Whether packets that may go elsewhere go to it: not from when it failed until it is known again.
    pub(super) serves: bool,
    /// Of its record.
    pub(super) slot: u32,
    /// When the state that tools see last changed.
    pub(super) changed: Duration,
    /// The state that tools see.
    pub(super) shown: NeighborState,
    /// The timer that is set for it.
    pub(super) timer: Option<Duration>,
    /// Whether subscribers have heard of it.
    pub(super) told: bool,
    /// Whether it has answered a question of the gateway since it last failed to.
    pub(super) proven: bool,
    /// Its place among those that may go.
    expendable: Option<Place>,
}

/// Who has proven to be there goes after all others, and the longest unchanged before others. So strangers who only say that they
/// are there, in whatever numbers, take the places of strangers.
type Place = (bool, Duration);

impl<I> Neighbor<I> {
    /// One that nobody has asked for.
    pub(super) fn new(interface: u16, address: I, adjacency: NextHop, now: Duration) -> Self {
        Self {
            interface,
            address,
            mac: None,
            reachability: Reachability::IDLE,
            adjacency,
            routes: 0,
            serves: true,
            slot: 0,
            changed: now,
            shown: Reachability::IDLE.state(),
            timer: None,
            told: false,
            proven: false,
            expendable: None,
        }
    }

    /// Makes it one at the other end of a tunnel: nobody asks for it, and its frames need no address.
    pub(super) fn be_beyond_tunnel(&mut self) {
        self.reachability = Reachability::PERMANENT;
        self.shown = self.reachability.state();
        self.mac = Some(MacAddress::ZERO);
    }

    /// Whether it is at the other end of a tunnel.
    pub(super) fn is_beyond_tunnel(&self) -> bool {
        self.mac == Some(MacAddress::ZERO)
    }

    /// What becomes of packets for it.
    pub(super) fn forwarding(&self) -> Adjacency {
        let interface = self.interface;
        match self.mac {
            Some(mac) if self.reachability.forwards() => Adjacency::Forward { interface, mac },
            _ if self.reachability.is_holding() => Adjacency::Failed { interface },
            _ => Adjacency::Incomplete { interface },
        }
    }

    fn place(&self) -> Option<Place> {
        let may_go = match self.shown {
            NeighborState::Stale | NeighborState::Failed => true,
            NeighborState::Reachable => !self.proven,
            NeighborState::Incomplete | NeighborState::Probe | NeighborState::Permanent => false,
        };
        (self.routes == 0 && may_go).then_some((self.proven, self.changed))
    }
}

/// All neighbours of one address family.
pub(super) struct NeighborSet<I> {
    slots: Vec<Option<Neighbor<I>>>,
    free: Vec<NeighborId>,
    by_address: BTreeMap<(I, u16), NeighborId>,
    /// Those that may go, in that order.
    expendable: BTreeSet<(Place, NeighborId)>,
}

impl<I: Copy + Ord> NeighborSet<I> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_address: BTreeMap::new(),
            expendable: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(super) fn get(&self, id: NeighborId) -> Option<&Neighbor<I>> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: NeighborId) -> Option<&mut Neighbor<I>> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    pub(super) fn find(&self, interface: u16, address: I) -> Option<NeighborId> {
        self.by_address.get(&(address, interface)).copied()
    }

    /// Those with an address from `first` to `last`, on any interface, by address.
    pub(super) fn within(&self, first: I, last: I) -> impl Iterator<Item = NeighborId> {
        self.by_address
            .range((first, 0)..=(last, u16::MAX))
            .map(|(_, id)| *id)
    }

    /// All of them, by address.
    pub(super) fn all(&self) -> impl Iterator<Item = NeighborId> {
        self.by_address.values().copied()
    }

    /// Takes one in whose address and interface are new.
    pub(super) fn insert(&mut self, neighbor: Neighbor<I>) -> NeighborId {
        let key = (neighbor.address, neighbor.interface);
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Fewer than 2^25: each has an adjacency.
            NeighborId((self.slots.len() - 1) as u32)
        });
        self.slots[id.0 as usize] = Some(neighbor);
        self.by_address.insert(key, id);
        id
    }

    pub(super) fn remove(&mut self, id: NeighborId) -> Option<Neighbor<I>> {
        let neighbor = self.slots.get_mut(id.0 as usize)?.take()?;
        if let Some(place) = neighbor.expendable {
            self.expendable.remove(&(place, id));
        }
        self.by_address.remove(&(neighbor.address, neighbor.interface));
        self.free.push(id);
        Some(neighbor)
    }

    /// Notes whether it may go, after it has changed.
    pub(super) fn weigh(&mut self, id: NeighborId) {
        let Some(neighbor) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let place = neighbor.place();
        let before = std::mem::replace(&mut neighbor.expendable, place);
        if before != place {
            self.expendable.extend(place.map(|place| (place, id)));
            if let Some(before) = before {
                self.expendable.remove(&(before, id));
            }
        }
    }

    /// The one to go first when there must be room. No route names it, and it is stale, has failed, or was never asked.
    pub(super) fn most_expendable(&self) -> Option<NeighborId> {
        self.expendable.first().map(|(_, id)| *id)
    }
}
