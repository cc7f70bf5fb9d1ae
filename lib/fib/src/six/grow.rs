//! Nodes for a new prefix.
//!
//! ```text
//!   it ends ...                          new nodes
//!   in a way without a node below        one for it; the node above with an entry for that way
//!   in a node that is there              that node with entries for its ways
//!   within the bits that a node skips,   one where they part, for which the bits are divided,
//!   or beside them                       that node with the lower part, and one for the prefix if it ends below
//! ```
//!
//! One store publishes them, and with them the prefix's next hop for all addresses that no node below answers for.

use super::entry::Entry;
use super::memory::{Place, View};
use super::node::{Header, Node, Skip};
use super::space::{NoRoom, Space};
use super::{Prefix, ROOT_BITS, STRIDE, way};

/// Makes the nodes that `prefix`, not a short one and not there yet, needs. Its `leaf` is not yet in the nodes below.
pub(crate) fn grow(space: &mut Space, view: &View<'_>, prefix: Prefix, leaf: Entry) -> Result<(), NoRoom> {
    let grown = New { prefix, leaf }.grow(space, view);
    match grown {
        Ok(()) => space.keep(),
        Err(NoRoom) => space.drop_fresh(),
    }
    grown
}

struct New {
    prefix: Prefix,
    leaf: Entry,
}

impl New {
    fn grow(&self, space: &mut Space, view: &View<'_>) -> Result<(), NoRoom> {
        let (mut place, mut at) = (Place::root(self.prefix.bits), ROOT_BITS);
        loop {
            let entry = view.entry(place);
            if !entry.is_node() {
                let alone = self.alone(space, view, at, entry)?;
                view.publish(place, alone);
                return Ok(());
            }
            let header = Header::read(view, entry.unit());
            let skip = header.skip();
            let position = at + skip.length;
            let parts = (at + skip.agreed(self.prefix.bits << at)).min(self.prefix.position());
            if parts == position && parts < self.prefix.position() {
                let below = header.place(header.number(way(self.prefix.bits << position)));
                if view.entry(below).is_node() {
                    (place, at) = (below, position + STRIDE);
                    continue;
                }
            }
            let mut node = Node::read(view, entry.unit());
            if parts < position {
                node = divided(space, view, node, parts - at)?;
            }
            self.add(space, view, &mut node, parts)?;
            let changed = space.make(view, &node)?;
            view.publish(place, changed);
            space.retire(view, entry.unit());
            return Ok(());
        }
    }

    /// A node for this prefix alone, reached by the bits up to `at`, among addresses that `cover` answers for.
    fn alone(&self, space: &mut Space, view: &View<'_>, at: u8, cover: Entry) -> Result<Entry, NoRoom> {
        let position = self.prefix.position();
        let skip = Skip::of(self.prefix.bits << at, position - at);
        let mut node = Node::empty(skip, cover);
        self.add(space, view, &mut node, position)?;
        space.make(view, &node)
    }

    /// Adds this prefix to a node at `position`.
    fn add(&self, space: &mut Space, view: &View<'_>, node: &mut Node, position: u8) -> Result<(), NoRoom> {
        if position < self.prefix.position() {
            let way = &mut node.ways[usize::from(way(self.prefix.bits << position))];
            *way = self.alone(space, view, position + STRIDE, *way)?;
            return Ok(());
        }
        let (first, last) = self.prefix.ways();
        for way in &mut node.ways[usize::from(first)..=usize::from(last)] {
            if !way.is_node() && way.depth() <= self.prefix.length {
                *way = self.leaf;
            }
        }
        Ok(())
    }
}

/// A node that skips only the first `length` bits of what `node` skips, above it with the rest.
fn divided(space: &mut Space, view: &View<'_>, mut node: Node, length: u8) -> Result<Node, NoRoom> {
    let skip = node.skip;
    let mut above = Node::empty(Skip::of(skip.bits, length), node.cover);
    node.skip = skip.after(length);
    above.ways[usize::from(way(skip.bits << length))] = space.make(view, &node)?;
    Ok(above)
}
