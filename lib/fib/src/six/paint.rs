//! A prefix's leaves get another next hop, in place.
//!
//! Never fails: an address's answer changes by one store, be it in the root table, in a way of the node that the
//! prefix ends in, or in the cover of a node below.

use super::Prefix;
use super::entry::Entry;
use super::memory::{Place, View};
use super::node::Header;

/// A new leaf for those addresses of a prefix whose leaf is of a certain depth.
pub(crate) struct Paint {
    pub(crate) prefix: Prefix,
    /// Whether a leaf of this depth is overwritten for a prefix of this length.
    pub(crate) overwrites: fn(u8, u8) -> bool,
    pub(crate) leaf: Entry,
}

impl Paint {
    /// Paints. The node that the prefix ends in is there, unless it is short.
    pub(crate) fn apply(&self, view: &View<'_>) {
        let root = Place::root(self.prefix.bits);
        if self.prefix.is_short() {
            let slots = 1 << (super::ROOT_BITS - self.prefix.length);
            (root.0..root.0 + slots).for_each(|slot| self.at(view, Place(slot)));
            return;
        }
        let (mut place, mut at) = (root, super::ROOT_BITS);
        loop {
            let entry = view.entry(place);
            if !entry.is_node() {
                return;
            }
            let node = Header::read(view, entry.unit());
            let position = at + node.skip().length;
            if position >= self.prefix.position() {
                node.places_in(self.prefix.ways())
                    .for_each(|place| self.at(view, place));
                return;
            }
            place = node.place(node.number(super::way(self.prefix.bits << position)));
            at = position + super::STRIDE;
        }
    }

    /// Paints what is at `place` and below it, all of which is the prefix's.
    fn at(&self, view: &View<'_>, place: Place) {
        let entry = view.entry(place);
        if !entry.is_node() {
            if (self.overwrites)(entry.depth(), self.prefix.length) {
                view.publish(place, self.leaf);
            }
            return;
        }
        let node = Header::read(view, entry.unit());
        // Below a node all leaves are of its cover's depth or deeper.
        if view.entry(node.cover()).depth() <= self.prefix.length {
            self.at(view, node.cover());
            node.places().for_each(|place| self.at(view, place));
        }
    }
}
