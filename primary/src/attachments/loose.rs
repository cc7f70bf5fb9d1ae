//! Frames that lie in no packet buffer, such as fragments that wait for others, and packets for which no buffer was free. To be shown they
//! are copied into a buffer that is kept for that, since filters look at nothing else.

use dpdk::{Mbuf, Pool};

/// A frame that lies in no packet buffer.
#[derive(Clone, Copy, Debug)]
pub struct Loose<'a> {
    /// Its bytes, in order.
    pub parts: &'a [&'a [u8]],
    /// What was marked on the buffer that it came in, if it was marked.
    pub mark: Option<u64>,
}

/// The buffer that is kept, and the pool that has more of them for what is longer.
pub struct Spare {
    mbuf: Mbuf,
    pool: Pool,
}

impl Spare {
    /// Takes a buffer of `pool`; `None` where all are in use.
    pub fn new(pool: &Pool) -> Option<Self> {
        let pool = pool.clone();
        pool.alloc().map(|mbuf| Self { mbuf, pool })
    }

    /// Copies a frame into the buffer; `None` where it is longer and no other buffer is free. It is there until [`Spare::empty`].
    pub(super) fn fill(&mut self, frame: &Loose<'_>) -> Option<&mut Mbuf> {
        match frame.mark {
            Some(mark) => self.mbuf.set_mark(mark),
            None => self.mbuf.clear_mark(),
        }
        for part in frame.parts {
            self.mbuf.extend(&self.pool, part).ok()?;
        }
        Some(&mut self.mbuf)
    }

    /// Gives back what was more than one buffer.
    pub(super) fn empty(&mut self) {
        self.mbuf.truncate(0);
    }
}
