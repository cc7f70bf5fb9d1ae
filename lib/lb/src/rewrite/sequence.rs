//! Sequence numbers of a connection on its two sides.

use packet::tcp::TcpFlags;

use crate::{View, What};

/// How the numbers of a TCP connection are changed. The server sees an initial sequence number of the gateway's choice, since
/// all clients come from the same local addresses: what it remembers of an ended connection has nothing to do with the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Is added to the client's sequence numbers, and taken from what the server acknowledges.
    pub in_delta: u32,
    /// What the client acknowledges while it has had nothing but the server's SYN. 0: there has been no SYN of the server.
    pub first_ack: u32,
}

impl Sequence {
    /// Of a connection whose SYN has the number `client`, and `server` towards the server.
    pub const fn new(client: u32, server: u32) -> Sequence {
        Sequence {
            in_delta: server.wrapping_sub(client),
            first_ack: 0,
        }
    }

    /// Remembers what the server's SYN says. To be called for each SYN with ACK of the server; others change nothing.
    #[inline]
    pub fn answered(&mut self, view: &View) {
        if let What::Segment { flags, sequence, .. } = view.what
            && flags.has(TcpFlags::SYN.and(TcpFlags::ACK))
        {
            self.first_ack = sequence.wrapping_add(1);
        }
    }

    /// Whether a client's segment carries its address to the server: a SYN, and what acknowledges no more than the server's SYN.
    #[inline]
    pub fn carries_address(&self, view: &View) -> bool {
        let What::Segment {
            flags,
            acknowledgment,
            ..
        } = view.what
        else {
            return false;
        };
        let acknowledges = flags.has(TcpFlags::ACK);
        if flags.has(TcpFlags::SYN) {
            return !acknowledges;
        }
        acknowledges && !flags.has(TcpFlags::RST) && self.first_ack != 0 && self.first_ack == acknowledgment
    }
}
