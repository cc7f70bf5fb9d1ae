//! Bytes that wait to be written, and where their blocks end.

use std::cell::RefCell;
use std::io::{self, Write};
use std::mem;
use std::rc::Rc;

/// The end of a block in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockEnd {
    /// Bytes up to and including the block.
    pub(super) end: usize,
    /// Packets in it.
    pub(super) packets: u64,
}

/// A buffer that an encoder writes into and the file empties: both have a handle on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer(Rc<RefCell<Content>>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    blocks: Vec<BlockEnd>,
}

impl Buffer {
    /// What was written since the last block is one, with so many packets.
    pub(super) fn end_block(&self, packets: u64) {
        let Content { bytes, blocks } = &mut *self.0.borrow_mut();
        let end = bytes.len();
        blocks.push(BlockEnd { end, packets });
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().bytes.len()
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> (Vec<u8>, Vec<BlockEnd>) {
        let Content { bytes, blocks } = mem::take(&mut *self.0.borrow_mut());
        (bytes, blocks)
    }

    /// Gives the memory of what was taken out back for what comes next.
    pub(super) fn recycle(&self, mut bytes: Vec<u8>, mut blocks: Vec<BlockEnd>) {
        bytes.clear();
        blocks.clear();
        *self.0.borrow_mut() = Content { bytes, blocks };
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
