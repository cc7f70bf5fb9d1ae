//! The way of a packet through a worker: the stages, top to bottom.
//!
//! ```text
//!   rx ─► ethernet ─► ip4_input ─► lookup ─┬─► rewrite ─► Transmit by the adjacency's interface
//!            │                             ├─► local   ─► Transmit back where it came from (ICMP echo)
//!            └─► Punt (ARP)                └─► Wait for the next hop, or Drop with a reason
//! ```
//!
//! Stages see the bytes of a burst and note what becomes of each packet; nothing is moved, sent or freed before
//! [`crate::worker`] does what the notes say. So a stage is tested on plain byte buffers.

mod ethernet;
mod ip4_input;
mod local;
mod lookup;
mod rewrite;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fib::{Fib4Reader, NextHop};
use packet::MacAddress;
use shm::DropReason;

use crate::adjacency::{self, Adjacency, AdjacencyReader};

/// The most packets that go through the stages together.
pub const BURST: usize = 32;

/// What a worker knows of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceView {
    /// Its MAC address.
    pub mac: MacAddress,
    /// Longest IP packet, bytes.
    pub mtu: u16,
    /// Whether a kernel interface feeds it, which may hand over packets whose sums or cuts it left to hardware.
    pub kernel_device: bool,
    /// Set by the control thread.
    pub up: Arc<AtomicBool>,
}

impl InterfaceView {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Leaves by this interface, its link header written.
    Transmit(u16),
    /// Ends here.
    Drop(DropReason),
    /// Goes to the control thread.
    Arp,
    /// Stays until the next hop on this interface has answered.
    Wait {
        /// The interface.
        interface: u16,
        /// The next hop.
        next_hop: Ipv4Addr,
        /// Where the packet itself goes: what the FIB says of it tells when the wait is over.
        destination: Ipv4Addr,
    },
}

/// What the stages note of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// What becomes of it.
    pub disposition: Disposition,
    /// Bytes to take from its front before it leaves: a tag that it came with.
    pub trim: u8,
    /// Its length before that: what lies behind is link-layer padding.
    pub length: u16,
    /// Whether the gateway made it from an echo request.
    pub echo_reply: bool,
    /// Where its network header begins.
    network: u8,
    /// Whether its frame was for everybody or a group.
    group_frame: bool,
}

impl Note {
    const NEW: Self = Self {
        disposition: Disposition::Drop(DropReason::EthernetTruncated),
        trim: 0,
        length: 0,
        echo_reply: false,
        network: 0,
        group_frame: false,
    };

    fn drop(&mut self, reason: DropReason) {
        self.disposition = Disposition::Drop(reason);
    }
}

/// The numbers of the packets in a burst that go on to the next stage.
struct Alive {
    numbers: [u8; BURST],
    count: usize,
}

impl Alive {
    const NONE: Self = Self {
        numbers: [0; BURST],
        count: 0,
    };

    #[inline]
    fn push(&mut self, number: usize) {
        if let Some(place) = self.numbers.get_mut(self.count) {
            // A burst has 32 packets.
            *place = number as u8;
            self.count += 1;
        }
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.numbers
            .iter()
            .take(self.count)
            .map(|number| usize::from(*number))
    }
}

/// A burst on its way: bytes and notes by number.
pub struct Burst<'p, 'b> {
    /// From the destination MAC address on.
    pub packets: &'b mut [&'p mut [u8]],
    /// As many as packets.
    pub notes: &'b mut [Note; BURST],
}

/// The stages of a worker and what they look up.
pub struct Stages<F, A> {
    interfaces: Vec<InterfaceView>,
    fib: Fib4Reader<F>,
    adjacencies: AdjacencyReader<A>,
}

/// Notes for a burst that has not begun.
pub const NOTES: [Note; BURST] = [Note::NEW; BURST];

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// The stages over these tables. Interfaces are named by their index.
    pub fn new(interfaces: Vec<InterfaceView>, fib: Fib4Reader<F>, adjacencies: AdjacencyReader<A>) -> Self {
        Self {
            interfaces,
            fib,
            adjacencies,
        }
    }

    /// Takes a burst that came in by `ingress` through all stages: afterwards each packet's note says what becomes of
    /// it. At most [`BURST`] packets are looked at.
    #[inline]
    pub fn run(&self, ingress: u16, burst: &mut Burst<'_, '_>) {
        let Some(interface) = self
            .interfaces
            .get(usize::from(ingress))
            .filter(|interface| interface.is_up())
        else {
            return drop_all(burst, DropReason::InterfaceDown);
        };
        let mut ip4 = Alive::NONE;
        ethernet::run(interface, burst, &mut ip4);

        let mut destinations = [0u32; BURST];
        let mut alive = Alive::NONE;
        ip4_input::run(interface, burst, &ip4, &mut destinations, &mut alive);

        let mut next_hops = [NextHop::NONE; BURST];
        self.fib
            .lookup_burst(&destinations[..alive.count], &mut next_hops[..alive.count]);
        for (number, next_hop) in alive.iter().zip(next_hops) {
            let adjacency = self.adjacencies.load(next_hop);
            if let Adjacency::Forward { interface, mac } = adjacency {
                self.adjacencies.mark_used(next_hop);
                rewrite::run(&self.interfaces, interface, mac, burst, number);
            } else if let Adjacency::Local { .. } = adjacency {
                local::run(interface, ingress, burst, number);
            } else {
                lookup::unforwardable(adjacency, || self.adjacencies.next_hop(next_hop), burst, number);
            }
        }
    }

    /// Whether a packet for `destination` would still have to wait for its next hop.
    pub fn must_wait(&self, destination: Ipv4Addr) -> bool {
        let adjacency = self.adjacencies.load(self.fib.lookup(destination.into()));
        matches!(adjacency, Adjacency::Glean { .. } | Adjacency::Incomplete { .. })
    }

    /// Takes one packet through all stages.
    pub fn run_one(&self, ingress: u16, packet: &mut [u8]) -> Note {
        let mut notes = NOTES;
        self.run(
            ingress,
            &mut Burst {
                packets: &mut [packet],
                notes: &mut notes,
            },
        );
        notes[0]
    }
}

fn drop_all(burst: &mut Burst<'_, '_>, reason: DropReason) {
    for note in burst.notes.iter_mut().take(burst.packets.len()) {
        *note = Note::NEW;
        note.drop(reason);
    }
}
