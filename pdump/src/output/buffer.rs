//! Bytes that wait to be written, and where their blocks end.

/// The end of a block in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockEnd {
    /// Bytes up to and including the block.
    pub(crate) end: usize,
    /// Packets in it.
    pub(crate) packets: u64,
}

/// What an encoder writes into and a file is written from. Emptied, it keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// The blocks.
    pub(crate) bytes: Vec<u8>,
    blocks: Vec<BlockEnd>,
}

impl Buffer {
    /// What was written since the last block is one, with so many packets.
    #[inline]
    pub(crate) fn end_block(&mut self, packets: u64) {
        let end = self.bytes.len();
        self.blocks.push(BlockEnd { end, packets });
    }

    /// The blocks, in their order.
    pub(crate) fn blocks(&self) -> &[BlockEnd] {
        &self.blocks
    }

    /// Packets in all of its blocks.
    pub(crate) fn packets(&self) -> u64 {
        self.blocks.iter().map(|block| block.packets).sum()
    }

    /// Nothing is in it any more.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.blocks.clear();
    }
}
