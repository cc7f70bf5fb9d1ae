//! Packets that come back from tools, or go by them.

use dpdk::Mbuf;
use shm::attachment::Stage;

/// A packet that a tool decided about, or that lost its tool.
pub enum HandedBack {
    /// It goes on as if no tool had been asked.
    Forward(Mbuf),
    /// It goes by the tool, and has stayed behind others of its flow.
    Behind(Mbuf),
    /// It is forgotten.
    Drop(Mbuf),
    /// It was for the tool.
    Take(Mbuf),
    /// It is dropped, and its sender told that it is prohibited.
    Refuse(Mbuf),
    /// Its class has no tool any more and fails closed.
    Orphan(Mbuf),
    /// Other bytes, the first `usize` of what [`Consumers::bytes`](super::Consumers::bytes) gives, go on in its place.
    Rewrite(Mbuf, Stage, u16, usize),
    /// A packet of the tool's own: as many bytes of the buffer.
    Send(Stage, u16, usize),
}

impl HandedBack {
    /// The packet that the tool had, if it had one.
    pub fn packet(&self) -> Option<&Mbuf> {
        match self {
            Self::Forward(mbuf)
            | Self::Drop(mbuf)
            | Self::Take(mbuf)
            | Self::Refuse(mbuf)
            | Self::Orphan(mbuf)
            | Self::Rewrite(mbuf, ..) => Some(mbuf),
            // It was never there.
            Self::Behind(_) | Self::Send(..) => None,
        }
    }
}
