//! Puts fragments together: of IPv4 (RFC 791 §3.2, RFC 1122 §3.3.2) and IPv6 (RFC 8200 §4.5).
//!
//! ```text
//!   Fragment ─► insert ─┬─► Held: waits for the others, for 30 s (IPv4) or 60 s (IPv6)
//!                       ├─► Whole: the packet, in the memory of its slot
//!                       └─► Refused: it overlaps another one, and all of the packet goes
//!               expire ───► Expired: the first fragment, for who is to be told
//! ```
//!
//! All memory is taken at the start: a slot of 64 KB, and 8 KB for headers, for each packet that can be under way, and one more. A
//! fragment is copied into it, so that no packet buffer is kept. When all but that one are taken, the oldest goes: a flood of fragments
//! that are never completed takes the slots of packets that are slower than the flood, and those of no others.
//!
//! **Overlap.** Fragments that overlap are how filters and hosts are made to disagree (RFC 1858, RFC 3128, RFC 5722). Any overlap
//! discards the packet, of either family, and what still comes of it. A copy, same bytes at the same place, changes nothing.
//! Tiny first fragments (RFC 1858 §3) hide nothing here, since only whole packets are looked at.

#![forbid(unsafe_code)]

mod fragment;
mod given_up;
mod slot;

pub use fragment::{Fragment, FragmentError};
pub use given_up::{GivenUp, Piece};

use slot::{Placed, SLOT_BYTES, Slot, State};

/// How long the fragments of an IPv4 packet are waited for, seconds (RFC 1122 §3.3.2 says 60 to 120, hosts today take 30).
const PATIENCE_V4: u64 = 30;
/// The same for IPv6: RFC 8200 §4.5.
const PATIENCE_V6: u64 = 60;

/// Packets that are being put together. The default has room for none.
#[derive(Default)]
pub struct Reassembler {
    slots: Vec<Slot>,
    /// By slot, the tag of its key and when its first fragment came, of a free one never. They lie close together, since all are looked at for each
    /// fragment of a flood, and a slot is long.
    tags: Vec<u32>,
    since: Vec<u64>,
    /// Slots that were used and are free again.
    free: Vec<usize>,
    most: usize,
    bytes: Vec<u8>,
    ticks_per_second: u64,
    /// No slot is due before.
    next_due: u64,
}

/// What became of a fragment.
#[derive(Debug)]
pub enum Inserted<'r> {
    /// It waits for the others.
    Held {
        /// Number of the interface that it counts for: by which the first of them came.
        interface: u16,
        /// The fragments of another packet, which had to go since all slots were taken.
        evicted: Option<GivenUp<'r>>,
    },
    /// It was there already, and is not needed.
    Copy,
    /// It overlaps another: it goes, and the fragments that were there.
    Overlap(GivenUp<'r>),
    /// The packet was refused before: it goes.
    Refused,
    /// It was the last one missing.
    Whole(Whole<'r>),
}

/// Fragments that were held and are no more, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Number of the interface that they count for.
    pub interface: u16,
    /// How many.
    pub fragments: u32,
}

/// A packet that was put together.
#[derive(Debug)]
pub struct Whole<'r> {
    /// The link header of its first fragment and the packet.
    pub frame: &'r mut [u8],
    /// Number of the interface by which that fragment came, and an answer goes.
    pub interface: u16,
    /// Bytes of the link header.
    pub link_len: usize,
    /// Whether it is IPv6.
    pub six: bool,
    /// Bytes of the longest of its fragments, IP header included: what its sender takes its path for.
    pub longest: u16,
    /// The fragments that it was made of, the last one included.
    pub made_of: Lost,
}

/// A packet whose fragments have not come in time.
#[derive(Debug)]
pub struct Expired<'r> {
    /// Those that had come.
    pub lost: GivenUp<'r>,
    /// The first of them as it came, link header in front, if it did, and by which interface: its sender is told (RFC 792,
    /// RFC 4443 §3.3).
    pub first: Option<(u16, &'r [u8])>,
}

impl Reassembler {
    /// Bytes for each packet that is under way, and for one more.
    pub const BYTES_PER_PACKET: usize =
        SLOT_BYTES + size_of::<Slot>() + size_of::<u32>() + size_of::<u64>() + size_of::<usize>();

    /// For at most `most` packets at a time, at least 1; time is in ticks.
    pub fn new(most: usize, ticks_per_second: u64) -> Self {
        let most = most.max(1);
        let slots = most + 1;
        Self {
            slots: Vec::with_capacity(slots),
            tags: Vec::with_capacity(slots),
            since: Vec::with_capacity(slots),
            free: Vec::with_capacity(slots),
            most,
            bytes: vec![0; slots * SLOT_BYTES],
            ticks_per_second: ticks_per_second.max(1),
            next_due: u64::MAX,
        }
    }

    /// Takes a fragment that came by `interface`, `link` in front of it.
    pub fn insert(&mut self, fragment: &Fragment<'_>, link: &[u8], interface: u16, now: u64) -> Inserted<'_> {
        let (index, evicted) = match self.find(fragment) {
            Some(index) => (index, None),
            None => self.open(fragment, interface, now),
        };
        let at = index * SLOT_BYTES;
        let (Some(slot), Some(bytes)) = (self.slots.get_mut(index), self.bytes.get_mut(at..at + SLOT_BYTES))
        else {
            return Inserted::Refused;
        };
        if slot.state == State::Refused {
            return Inserted::Refused;
        }
        match slot.place(fragment, link, interface, bytes) {
            Placed::Copy => Inserted::Copy,
            Placed::Contradiction => {
                let lost = slot.refuse();
                Inserted::Overlap(self.given_up(index, lost))
            }
            Placed::Taken if slot.is_complete() => match slot.join(bytes) {
                Some(joined) => {
                    let made_of = slot.lost();
                    let (six, longest) = (slot.key.is_v6(), slot.longest);
                    self.release(index);
                    let frame = self.bytes.get_mut(at + joined.begin..at + joined.end);
                    Inserted::Whole(Whole {
                        frame: frame.unwrap_or_default(),
                        interface: joined.interface,
                        link_len: joined.link_len,
                        six,
                        longest,
                        made_of,
                    })
                }
                None => {
                    // The caller counts the last one by itself.
                    slot.fragments -= 1;
                    let lost = slot.refuse();
                    Inserted::Overlap(self.given_up(index, lost))
                }
            },
            Placed::Taken => Inserted::Held {
                interface: slot.interface,
                evicted: evicted.map(|(index, lost)| self.given_up(index, lost)),
            },
        }
    }

    /// The slot of the packet that a fragment is part of.
    fn find(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let (key, tag) = (&fragment.key, fragment.key.tag());
        let is_it =
            |(slot, found): (&Slot, &u32)| *found == tag && slot.state != State::Free && slot.key == *key;
        self.slots.iter().zip(&self.tags).position(is_it)
    }

    /// A slot for a new packet, and that of the oldest if it is given up since there are as many as there may be. What lies there is there
    /// until the next is opened.
    fn open(&mut self, fragment: &Fragment<'_>, interface: u16, now: u64) -> (usize, Option<(usize, Lost)>) {
        let is_full = self.slots.len() - self.free.len() >= self.most;
        let oldest = is_full.then(|| self.oldest());
        let index = self.take_slot(fragment, interface, now);
        let lost = oldest.and_then(|oldest| Some((oldest, self.release(oldest)?)));
        (index, lost.filter(|(_, lost)| lost.fragments > 0))
    }

    /// A free slot for a new packet: there is one more than there may be packets.
    fn take_slot(&mut self, fragment: &Fragment<'_>, interface: u16, now: u64) -> usize {
        let (key, tag) = (fragment.key, fragment.key.tag());
        let Some(index) = self.free.pop() else {
            let new = Slot::new(key, interface, now);
            self.next_due = self.next_due.min(self.due(&new));
            self.slots.push(new);
            self.tags.push(tag);
            self.since.push(now);
            return self.slots.len() - 1;
        };
        let (Some(slot), Some(its_tag), Some(since)) = (
            self.slots.get_mut(index),
            self.tags.get_mut(index),
            self.since.get_mut(index),
        ) else {
            return 0;
        };
        slot.reset(key, interface, now);
        (*its_tag, *since) = (tag, now);
        let due = self.slots.get(index).map_or(u64::MAX, |slot| self.due(slot));
        self.next_due = self.next_due.min(due);
        index
    }

    /// Has a slot for another packet; what lies in it stays until then.
    fn release(&mut self, index: usize) -> Option<Lost> {
        let slot = self.slots.get_mut(index)?;
        slot.state = State::Free;
        if let Some(since) = self.since.get_mut(index) {
            *since = u64::MAX;
        }
        self.free.push(index);
        Some(slot.lost())
    }

    fn given_up(&self, index: usize, lost: Lost) -> GivenUp<'_> {
        let bytes = self.bytes.get(index * SLOT_BYTES..(index + 1) * SLOT_BYTES);
        let notes = self.slots.get(index).map_or(0, |slot| slot.notes);
        GivenUp::new(lost, bytes.unwrap_or_default(), notes)
    }

    /// The slot of the packet whose first fragment came first.
    fn oldest(&self) -> usize {
        let since = self.since.iter().enumerate();
        since
            .min_by_key(|(_, since)| **since)
            .map_or(0, |(index, _)| index)
    }

    fn due(&self, slot: &Slot) -> u64 {
        let seconds = if slot.key.is_v6() {
            PATIENCE_V6
        } else {
            PATIENCE_V4
        };
        slot.since
            .saturating_add(seconds.saturating_mul(self.ticks_per_second))
    }

    /// Whether [`Reassembler::expire`] may have something to give.
    #[inline]
    pub fn is_due(&self, now: u64) -> bool {
        now >= self.next_due
    }

    /// The next packet whose time is over; it is given up.
    pub fn expire(&mut self, now: u64) -> Option<Expired<'_>> {
        let due = |slot: &Slot| (slot.state != State::Free).then(|| self.due(slot));
        let Some(index) = self
            .slots
            .iter()
            .position(|slot| due(slot).is_some_and(|due| now >= due))
        else {
            self.next_due = self.slots.iter().filter_map(due).min().unwrap_or(u64::MAX);
            return None;
        };
        let is_open = self.slots.get(index)?.state == State::Open;
        let lost = self.release(index)?;
        let bytes = self.bytes.get(index * SLOT_BYTES..(index + 1) * SLOT_BYTES)?;
        let slot = self.slots.get(index)?;
        Some(Expired {
            lost: GivenUp::new(lost, bytes, slot.notes),
            first: slot.first_frame(bytes).filter(|_| is_open),
        })
    }

    /// Gives up one packet that is still under way, whatever its time: for the end.
    pub fn give_up(&mut self) -> Option<GivenUp<'_>> {
        let index = self.slots.iter().position(|slot| slot.state != State::Free)?;
        let lost = self.release(index)?;
        Some(self.given_up(index, lost))
    }
}

impl Slot {
    fn lost(&self) -> Lost {
        Lost {
            interface: self.interface,
            fragments: self.fragments,
        }
    }

    /// Forgets what is there and takes nothing more.
    fn refuse(&mut self) -> Lost {
        let lost = self.lost();
        self.state = State::Refused;
        self.fragments = 0;
        lost
    }
}
