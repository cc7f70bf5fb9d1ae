//! SAs as a worker has them: its own, and whose the others are.
//!
//! ```text
//!   SPI, destination ─► number ─┬─► another worker's
//!   tunnel ──────────► number ──┴─► its own: InboundSa, OutboundSa
//!                        └─► whose packets it sends, of each that goes out
//! ```

use std::collections::VecDeque;
use std::net::IpAddr;

use super::senders::Sender;
use crate::ipsec::{InboundSa, OutboundSa, Prefetch};

/// An SA's place in the table, or none.
#[derive(Clone, Copy)]
struct Entry {
    spi: u32,
    /// [`FREE`]: nothing is here.
    slot: u32,
    destination: IpAddr,
}

/// How many others are done from the time on when an SA, and when its session, is asked for from memory. All at once would be more than a
/// core can wait for at a time.
const SA_AHEAD: usize = 6;
const SESSION_AHEAD: usize = 3;

const FREE: u32 = u32::MAX;
const NOBODY: Entry = Entry {
    spi: 0,
    slot: FREE,
    destination: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
};

/// The numbers of SAs, of both directions, by SPI and destination: open addressing, half of it empty at least.
pub(super) struct Index {
    entries: Vec<Entry>,
}

impl Index {
    /// Room for so many.
    pub(super) fn new(capacity: usize) -> Self {
        let places = (2 * capacity).next_power_of_two().max(2);
        Self {
            entries: vec![NOBODY; places],
        }
    }

    /// SPIs are chosen here, so nobody else can have them collide.
    fn home(&self, spi: u32) -> usize {
        let mixed = spi.wrapping_mul(0x9e37_79b1);
        (mixed ^ mixed >> 16) as usize & (self.entries.len() - 1)
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.entries.len() - 1)
    }

    fn place(&self, spi: u32, destination: IpAddr) -> Result<usize, usize> {
        let mut place = self.home(spi);
        loop {
            let entry = &self.entries[place];
            if entry.slot == FREE {
                return Err(place);
            }
            if entry.spi == spi && entry.destination == destination {
                return Ok(place);
            }
            place = self.next(place);
        }
    }

    #[inline]
    pub(super) fn find(&self, spi: u32, destination: IpAddr) -> Option<u32> {
        let place = self.place(spi, destination).ok()?;
        Some(self.entries[place].slot)
    }

    /// Puts one in; there is room, since there are no more SAs than were said.
    pub(super) fn insert(&mut self, spi: u32, destination: IpAddr, slot: u32) {
        let (Ok(place) | Err(place)) = self.place(spi, destination);
        self.entries[place] = Entry {
            spi,
            slot,
            destination,
        };
    }

    /// Takes one out, and moves those up that stood behind it because of it.
    pub(super) fn remove(&mut self, spi: u32, destination: IpAddr, slot: u32) {
        let Ok(mut hole) = self.place(spi, destination) else {
            return;
        };
        if self.entries[hole].slot != slot {
            return;
        }
        let mask = self.entries.len() - 1;
        let mut place = self.next(hole);
        while self.entries[place].slot != FREE {
            let home = self.home(self.entries[place].spi);
            // Whether the hole lies on its way from home.
            if (place.wrapping_sub(home) & mask) >= (place.wrapping_sub(hole) & mask) {
                self.entries[hole] = self.entries[place];
                hole = place;
            }
            place = self.next(place);
        }
        self.entries[hole] = NOBODY;
    }
}

/// SAs of this worker by their number, and which of these have packets in their bursts.
pub(super) struct Own<S> {
    sas: Vec<Option<Box<S>>>,
    /// In the order in which they were noted.
    busy: VecDeque<u32>,
    /// Which are in the list above: each once, so that there is room.
    noted: Vec<bool>,
}

impl<S: Prefetch> Own<S> {
    /// Room for so many.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            sas: (0..capacity).map(|_| None).collect(),
            busy: VecDeque::with_capacity(capacity),
            noted: vec![false; capacity],
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut S> {
        self.sas.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Puts an SA in the place of another, or takes it out.
    pub(super) fn swap(&mut self, slot: u32, sa: &mut Option<Box<S>>) {
        if let Some(place) = self.sas.get_mut(slot as usize) {
            std::mem::swap(place, sa);
        }
    }

    /// Takes an SA out for a while.
    #[inline]
    pub(super) fn take(&mut self, slot: u32) -> Option<Box<S>> {
        self.sas.get_mut(slot as usize)?.take()
    }

    /// Puts an SA back that was taken out.
    #[inline]
    pub(super) fn put_back(&mut self, slot: u32, sa: Option<Box<S>>) {
        if let Some(place) = self.sas.get_mut(slot as usize) {
            *place = sa;
        }
    }

    /// Notes that an SA has packets.
    pub(super) fn note(&mut self, slot: u32) {
        if let Some(noted) = self.noted.get_mut(slot as usize)
            && !std::mem::replace(noted, true)
        {
            self.busy.push_back(slot);
            if self.busy.len() <= SA_AHEAD
                && let Some(sa) = self.get(slot)
            {
                sa.prefetch();
                if self.busy.len() <= SESSION_AHEAD {
                    sa.prefetch_session();
                }
            }
        }
    }

    /// The first of those that were noted; its burst may be done by now. Asks for what those behind it need.
    pub(super) fn take_busy(&mut self) -> Option<u32> {
        let slot = self.busy.pop_front()?;
        if let Some(sa) = self.ahead(SA_AHEAD - 1) {
            sa.prefetch();
        }
        if let Some(sa) = self.ahead(SESSION_AHEAD - 1) {
            sa.prefetch_session();
        }
        if let Some(noted) = self.noted.get_mut(slot as usize) {
            *noted = false;
        }
        Some(slot)
    }

    /// The one of those that were noted which so many others are done before.
    fn ahead(&self, others: usize) -> Option<&S> {
        self.get(*self.busy.get(others)?)
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&S> {
        self.sas.get(slot as usize)?.as_deref()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }
}

/// All SAs.
pub(super) struct Sas {
    pub(super) by_spi: Index,
    pub(super) inbound: Own<InboundSa>,
    pub(super) outbound: Own<OutboundSa>,
    /// By interface: the SA that packets of the tunnel leave by.
    pub(super) current: Vec<u32>,
    /// By number: what is known of those that go out.
    senders: Vec<Option<Sender>>,
}

impl Sas {
    pub(super) fn new(capacity: usize, interfaces: usize) -> Self {
        Self {
            by_spi: Index::new(capacity),
            inbound: Own::new(capacity),
            outbound: Own::new(capacity),
            current: vec![FREE; interfaces],
            senders: vec![None; capacity],
        }
    }

    /// What is known of an SA that goes out.
    pub(super) fn sender(&self, slot: u32) -> Option<&Sender> {
        self.senders.get(slot as usize)?.as_ref()
    }

    pub(super) fn set_sender(&mut self, slot: u32, sender: Option<Sender>) {
        if let Some(place) = self.senders.get_mut(slot as usize) {
            *place = sender;
        }
    }

    /// The SA that packets of a tunnel leave by.
    #[inline]
    pub(super) fn current(&self, tunnel: u16) -> Option<u32> {
        let slot = *self.current.get(usize::from(tunnel))?;
        (slot != FREE).then_some(slot)
    }

    pub(super) fn set_current(&mut self, tunnel: u16, slot: Option<u32>) {
        if let Some(place) = self.current.get_mut(usize::from(tunnel)) {
            *place = slot.unwrap_or(FREE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_in_the_index_is_what_was_put_in_and_not_taken_out(
            steps in prop::collection::vec((any::<bool>(), 0_u32..24, 0_u8..3), 0..200)
        ) {
            let mut index = Index::new(72);
            let mut model: HashMap<(u32, IpAddr), u32> = HashMap::new();
            for (number, (add, spi, last)) in steps.into_iter().enumerate() {
                // Many of these share a home.
                let spi = spi << 24;
                let destination = IpAddr::from([192, 0, 2, last]);
                let slot = number as u32;
                if add {
                    index.insert(spi, destination, slot);
                    model.insert((spi, destination), slot);
                } else if let Some(slot) = model.remove(&(spi, destination)) {
                    index.remove(spi, destination, slot + 1);
                    prop_assert_eq!(index.find(spi, destination), Some(slot));
                    index.remove(spi, destination, slot);
                }
                for spi in (0..24).map(|spi| spi << 24) {
                    for last in 0..3 {
                        let destination = IpAddr::from([192, 0, 2, last]);
                        let expected = model.get(&(spi, destination)).copied();
                        prop_assert_eq!(index.find(spi, destination), expected);
                    }
                }
            }
        }
    }
}
