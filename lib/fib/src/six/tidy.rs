//! Nodes gone with a removed prefix.
//!
//! The answers are right already; this only gives memory back. On the way from the last node to the root table
//!
//! ```text
//!   a node all of whose ways are the cover's     goes: the way above gets the cover, in place
//!   one with nothing but a node in one way       goes: the bits that both skip join in a new lower one
//!   one that would take less if made anew        is
//! ```

use super::entry::Entry;
use super::memory::{Place, View};
use super::node::{Header, Node};
use super::space::{NoRoom, Space};
use super::way;

/// Tidies the nodes above and at the end of a prefix that was removed. If there is no room for a new node, an old one
/// stays: to be tried again. `key` is what follows the bits that led to `place`.
pub(crate) fn tidy(space: &mut Space, view: &View<'_>, place: Place, key: u128) -> Result<(), NoRoom> {
    let entry = view.entry(place);
    if !entry.is_node() {
        return Ok(());
    }
    let node = Header::read(view, entry.unit());
    let skip = node.skip();
    if skip.agreed(key) < skip.length {
        return Ok(());
    }
    let key = key << skip.length;
    let below = tidy(
        space,
        view,
        node.place(node.number(way(key))),
        key << super::STRIDE,
    );
    let here = tidy_node(space, view, place, entry.unit());
    space.keep();
    below.and(here)
}

fn tidy_node(space: &mut Space, view: &View<'_>, place: Place, unit: u32) -> Result<(), NoRoom> {
    let node = Node::read(view, unit);
    let mut own = (0u8..).zip(&node.ways).filter(|(_, entry)| **entry != node.cover);
    match (own.next(), own.next()) {
        (None, _) => view.publish(place, node.cover),
        (Some((way, entry)), None) if entry.is_node() && cover(view, *entry) == node.cover => {
            let mut lower = Node::read(view, entry.unit());
            lower.skip = node.skip.then(way, lower.skip);
            let joined = space.make(view, &lower)?;
            view.publish(place, joined);
            space.retire(view, entry.unit());
        }
        _ if node.units() < Header::read(view, unit).units() => {
            let smaller = space.make(view, &node)?;
            view.publish(place, smaller);
        }
        _ => return Ok(()),
    }
    space.retire(view, unit);
    Ok(())
}

/// The cover of the node that `entry` names: if it is not that of the node above, a prefix ends between them.
fn cover(view: &View<'_>, entry: Entry) -> Entry {
    view.entry(Header::read(view, entry.unit()).cover())
}
