//! Nodes made and nodes given up.
//!
//! A change makes all of its new nodes, which may fail, before it publishes the uppermost, which cannot. Then it keeps
//! them, and retires those that they replace. If one cannot be made, it drops the others, and nothing has happened.

use super::blocks::{Block, Blocks};
use super::entry::Entry;
use super::memory::View;
use super::node::{Header, Node};
use crate::quiescence::Quiescence;
use crate::retired::Retired;

/// There is no room for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The units of nodes: free, in use, retired, or those of a change that is not published yet.
pub(crate) struct Space {
    blocks: Blocks,
    fresh: Vec<Block>,
    retired: Retired<Block>,
    retired_units: usize,
}

impl Space {
    pub(crate) fn new(blocks: Blocks) -> Space {
        Space {
            blocks,
            fresh: Vec::new(),
            retired: Retired::new(),
            retired_units: 0,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.blocks.capacity()
    }

    /// Units in use, without retired ones.
    pub(crate) fn used(&self) -> usize {
        self.blocks.taken() - self.retired_units
    }

    pub(crate) fn retired(&self) -> usize {
        self.retired_units
    }

    /// A new node, as the entry that is to name it.
    pub(crate) fn make(&mut self, view: &View<'_>, node: &Node) -> Result<Entry, NoRoom> {
        let block = self.blocks.take(node.units()).ok_or(NoRoom)?;
        self.fresh.push(block);
        node.write(view, block.unit);
        Ok(Entry::node(block.unit))
    }

    /// The new nodes are published.
    pub(crate) fn keep(&mut self) {
        self.fresh.clear();
    }

    /// Nobody has seen the new nodes and nobody will.
    pub(crate) fn drop_fresh(&mut self) {
        for block in self.fresh.drain(..) {
            self.blocks.give_back(block);
        }
    }

    /// No entry that a reader can find names this node any more.
    pub(crate) fn retire(&mut self, view: &View<'_>, unit: u32) {
        let units = Header::read(view, unit).units();
        self.retired_units += units;
        self.retired.push(Block {
            unit,
            // At most `MAX_NODE_UNITS`.
            units: units as u8,
        });
    }

    /// Frees the retired nodes that no worker can be reading any more; gives the number of units.
    pub(crate) fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        let Space { blocks, retired, .. } = self;
        let before = blocks.taken();
        retired.reclaim(quiescence, |block| blocks.give_back(block));
        let released = before - blocks.taken();
        self.retired_units -= released;
        released
    }
}
